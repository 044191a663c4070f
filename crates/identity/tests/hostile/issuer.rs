//! An issuer of the tests' own, which lies as it is asked to.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};

/// In which way the issuer lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    None,
    OtherIssuerInMetadata,
    OtherIssuerInToken,
    OtherIssuerInAnswer,
    NoIssuerInAnswer,
    OtherNonce,
    NoNonce,
    OtherAudience,
    MoreAudiences,
    OtherKey,
    UnknownKey,
    NoSignature,
    SharedSecret,
    Ended,
    EndedJustNow,
    NotYet,
    IssuedSoon,
    GroupsElsewhere,
    Huge,
    HugeKeys,
    KeysElsewhere,
    Redirects,
    RefusesTheCode,
    NoToken,
    Slow,
}

/// The issuer.
#[derive(Clone)]
pub struct Issuer(Arc<Mutex<Inside>>);

struct Inside {
    url: String,
    lie: Lie,
    nonce: Option<String>,
    keys_given: usize,
    key: EcdsaKeyPair,
    other_key: EcdsaKeyPair,
}

fn key() -> EcdsaKeyPair {
    let (kind, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap()
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs().cast_signed()
}

impl Issuer {
    /// Listens on a port of this machine.
    pub async fn start(lie: Lie) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = Self(Arc::new(Mutex::new(Inside {
            url: format!("http://{}", listener.local_addr().unwrap()),
            lie,
            nonce: None,
            keys_given: 0,
            key: key(),
            other_key: key(),
        })));
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(offers))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(issuer.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        issuer
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }

    pub fn url(&self) -> String {
        self.inside().url.clone()
    }

    /// Lies like this from now on.
    pub fn now(&self, lie: Lie) {
        self.inside().lie = lie;
    }

    /// A browser came with this nonce.
    pub fn asked(&self, nonce: &str) {
        self.inside().nonce = Some(nonce.to_owned());
    }

    /// What the answer that the browser brings says of the issuer.
    pub fn says_it_is(&self) -> Option<String> {
        let inside = self.inside();
        match inside.lie {
            Lie::NoIssuerInAnswer => None,
            Lie::OtherIssuerInAnswer => Some("https://evil.example".to_owned()),
            _ => Some(inside.url.clone()),
        }
    }

    pub fn keys_given(&self) -> usize {
        self.inside().keys_given
    }
}

impl Inside {
    fn claims(&self) -> Value {
        let (lie, now) = (self.lie, now());
        let mut claims = json!({
            "iss": self.url,
            "sub": "4711",
            "aud": "pointsman",
            "iat": now,
            "exp": now + 300,
            "preferred_username": "ann",
            "email": "ann@example.com",
            "groups": ["Web People", "ops"],
        });
        claims["nonce"] = json!(self.nonce);
        let (claim, value) = match lie {
            Lie::OtherIssuerInToken => ("iss", json!("https://evil.example")),
            Lie::OtherNonce => ("nonce", json!("another")),
            Lie::NoNonce => ("nonce", Value::Null),
            Lie::OtherAudience => ("aud", json!("another")),
            Lie::MoreAudiences => ("aud", json!(["pointsman", "another"])),
            Lie::Ended => ("exp", json!(now - 120)),
            Lie::EndedJustNow => ("exp", json!(now - 30)),
            Lie::NotYet => ("nbf", json!(now + 120)),
            Lie::IssuedSoon => ("iat", json!(now + 30)),
            Lie::GroupsElsewhere => ("_claim_names", json!({"groups": "src1"})),
            _ => return claims,
        };
        claims[claim] = value;
        if lie == Lie::GroupsElsewhere {
            claims.as_object_mut().unwrap().remove("groups");
        }
        claims
    }

    fn token(&self) -> String {
        let head = match self.lie {
            Lie::NoSignature => json!({"alg": "none"}),
            Lie::SharedSecret => json!({"alg": "HS256", "kid": "1"}),
            Lie::UnknownKey => json!({"alg": "ES256", "kid": "2"}),
            _ => json!({"alg": "ES256", "kid": "1"}),
        };
        let text = format!(
            "{}.{}",
            base64(head.to_string()),
            base64(self.claims().to_string())
        );
        let key = match self.lie {
            Lie::OtherKey => &self.other_key,
            _ => &self.key,
        };
        let signature = match self.lie {
            Lie::NoSignature => String::new(),
            Lie::SharedSecret => {
                // The classic: the public key as if it were a secret that both share.
                let shared = hmac::Key::new(hmac::HMAC_SHA256, key.public_key().as_ref());
                base64(hmac::sign(&shared, text.as_bytes()))
            }
            _ => base64(key.sign(&SystemRandom::new(), text.as_bytes()).unwrap()),
        };
        format!("{text}.{signature}")
    }
}

async fn offers(State(issuer): State<Issuer>) -> Response {
    let (url, lie) = (issuer.url(), issuer.inside().lie);
    if lie == Lie::Redirects {
        return Redirect::temporary("/keys").into_response();
    }
    let keys = match lie {
        Lie::KeysElsewhere => "https://evil.example",
        _ => url.as_str(),
    };
    let name = match lie {
        Lie::OtherIssuerInMetadata => "https://evil.example",
        _ => url.as_str(),
    };
    let padding = match lie {
        Lie::Huge => "x".repeat(2 * 1024 * 1024),
        _ => String::new(),
    };
    Json(json!({
        "issuer": name,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{keys}/keys"),
        "authorization_response_iss_parameter_supported": true,
        "padding": padding,
    }))
    .into_response()
}

async fn keys(State(issuer): State<Issuer>) -> Response {
    let mut inside = issuer.inside();
    inside.keys_given += 1;
    if inside.lie == Lie::HugeKeys {
        return "x".repeat(2 * 1024 * 1024).into_response();
    }
    let public = inside.key.public_key().as_ref();
    Json(json!({"keys": [{
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "1",
        "x": base64(&public[1..33]), "y": base64(&public[33..]),
    }]}))
    .into_response()
}

async fn token(State(issuer): State<Issuer>) -> Response {
    let lie = issuer.inside().lie;
    match lie {
        Lie::Slow => tokio::time::sleep(Duration::from_secs(20)).await,
        Lie::RefusesTheCode => {
            let refused = json!({"error": "invalid_grant"});
            return (StatusCode::BAD_REQUEST, Json(refused)).into_response();
        }
        Lie::NoToken => return Json(json!({"access_token": "a"})).into_response(),
        _ => {}
    }
    let token = issuer.inside().token();
    Json(json!({"id_token": token, "access_token": "a", "refresh_token": "refresh"}))
        .into_response()
}
