//! One identity provider that speaks OpenID Connect.

use std::fmt;

use futures_util::{FutureExt, future::BoxFuture};
use openidconnect::{CsrfToken, Nonce, PkceCodeChallenge};
use operations::sign_in::{
    ProviderRefused,
    provider::{Arrival, Departure, Identity, IdentityProvider},
};
use reqwest::RequestBuilder;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    claims::{Claims, identity, lack},
    http::{Http, answer},
    issuer::{Issuer, Offers},
    settings::{Settings, SettingsError},
    token::{self, Wanted},
};

/// An identity provider that speaks OpenID Connect.
pub struct OpenId {
    settings: Settings,
    secret: Option<String>,
    issuer: Issuer,
    http: Http,
}

/// What is given for a code, or for a refresh token.
#[derive(Deserialize)]
struct Tokens {
    #[serde(default)]
    id_token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    refresh_token: Option<String>,
}

impl fmt::Debug for OpenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenId({})", self.settings.name)
    }
}

impl IdentityProvider for OpenId {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn title(&self) -> &str {
        &self.settings.title
    }

    fn begin<'a>(&'a self, back: &'a str) -> BoxFuture<'a, Result<Departure, ProviderRefused>> {
        self.departure(back).boxed()
    }

    fn finish<'a>(
        &'a self,
        back: &'a str,
        arrival: &'a Arrival,
    ) -> BoxFuture<'a, Result<Identity, ProviderRefused>> {
        self.arrived(back, arrival).boxed()
    }

    fn confirm<'a>(
        &'a self,
        subject: &'a str,
        renewal: &'a str,
    ) -> BoxFuture<'a, Result<Identity, ProviderRefused>> {
        self.still(subject, renewal).boxed()
    }
}

impl OpenId {
    /// The provider with these settings. Nothing is asked of it yet.
    ///
    /// # Errors
    /// When its secret cannot be read, or no HTTP client can be made.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        Ok(Self {
            secret: settings.client_secret()?,
            issuer: Issuer::new(settings.issuer.clone()),
            http: Http::new(&settings)?,
            settings,
        })
    }

    async fn departure(&self, back: &str) -> Result<Departure, ProviderRefused> {
        let offers = self.issuer.offers(&self.http).await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (state, nonce) = (CsrfToken::new_random(), Nonce::new_random());
        let scopes = self.settings.scopes.iter().map(String::as_str);
        let scopes: Vec<&str> = std::iter::once("openid").chain(scopes).collect();
        let mut url = offers.authorization_endpoint;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", back)
            .append_pair("scope", &scopes.join(" "))
            .append_pair("state", state.secret())
            .append_pair("nonce", nonce.secret())
            .append_pair("code_challenge", challenge.as_str())
            .append_pair("code_challenge_method", challenge.method().as_str());
        Ok(Departure {
            url: url.to_string(),
            state: state.secret().clone(),
            nonce: nonce.secret().clone(),
            verifier: verifier.secret().clone(),
        })
    }

    async fn arrived(&self, back: &str, arrival: &Arrival) -> Result<Identity, ProviderRefused> {
        let offers = self.issuer.offers(&self.http).await?;
        match &arrival.issuer {
            Some(issuer) if *issuer != self.issuer.url() => {
                return Err(ProviderRefused::WrongIssuer);
            }
            None if offers.names_itself => return Err(ProviderRefused::WrongIssuer),
            _ => {}
        }
        let code = arrival.code.as_deref().ok_or(ProviderRefused::Declined)?;
        let question = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", back),
            ("code_verifier", &arrival.verifier),
        ];
        let tokens = self.tokens(&offers, &question).await?;
        let id_token = tokens.id_token.as_deref();
        let id_token = id_token.ok_or(ProviderRefused::Malformed)?;
        let claims = self.claims(id_token, Some(&arrival.nonce)).await?;
        let claims = self.completed(&offers, claims, &tokens).await?;
        identity(&claims, &self.settings, tokens.refresh_token)
    }

    async fn still(&self, subject: &str, renewal: &str) -> Result<Identity, ProviderRefused> {
        let offers = self.issuer.offers(&self.http).await?;
        let question = [("grant_type", "refresh_token"), ("refresh_token", renewal)];
        let tokens = self.tokens(&offers, &question).await?;
        let claims = match tokens.id_token.as_deref() {
            Some(id_token) => self.claims(id_token, None).await?,
            None => Claims::from_iter([("sub".to_owned(), Value::from(subject))]),
        };
        if claims.get("sub").and_then(Value::as_str) != Some(subject) {
            return Err(ProviderRefused::WrongSubject);
        }
        let claims = self.completed(&offers, claims, &tokens).await?;
        identity(&claims, &self.settings, tokens.refresh_token)
    }

    /// What is given for a code, or for a refresh token.
    async fn tokens(
        &self,
        offers: &Offers,
        question: &[(&str, &str)],
    ) -> Result<Tokens, ProviderRefused> {
        let request = self.http.post(&offers.token_endpoint)?;
        let request = self.as_ourselves(request, offers, question);
        answer(request).await?.map_err(|status| {
            tracing::warn!(status, provider = self.settings.name, "no token is given");
            ProviderRefused::Declined
        })
    }

    fn as_ourselves(
        &self,
        request: RequestBuilder,
        offers: &Offers,
        question: &[(&str, &str)],
    ) -> RequestBuilder {
        let id = self.settings.client_id.as_str();
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(question);
        let request = match self.secret.as_deref() {
            Some(secret) if !offers.wants_secret_in_form() => {
                request.basic_auth(encoded(id), Some(encoded(secret)))
            }
            secret => {
                form.append_pair("client_id", id);
                form.extend_pairs(secret.map(|secret| ("client_secret", secret)));
                request
            }
        };
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.finish())
    }

    /// What a token says, once it is known that it counts.
    async fn claims(&self, id_token: &str, nonce: Option<&str>) -> Result<Claims, ProviderRefused> {
        let key = token::key_id(id_token)?;
        let keys = self.issuer.keys(&self.http, key.as_deref()).await?;
        let wanted = Wanted {
            issuer: self.issuer.url(),
            client_id: &self.settings.client_id,
            nonce,
        };
        token::verified(id_token, keys, &wanted)
    }

    /// The claims, with those that the issuer tells elsewhere only.
    async fn completed(
        &self,
        offers: &Offers,
        claims: Claims,
        tokens: &Tokens,
    ) -> Result<Claims, ProviderRefused> {
        let (Some(url), Some(access)) = (&offers.userinfo_endpoint, &tokens.access_token) else {
            return Ok(claims);
        };
        if !lack(&claims, &self.settings) {
            return Ok(claims);
        }
        let question = self.http.get(url)?.bearer_auth(access);
        let more: Result<Claims, u16> = answer(question).await?;
        let Ok(mut all) = more else {
            return Err(ProviderRefused::Declined);
        };
        if all.get("sub") != claims.get("sub") {
            return Err(ProviderRefused::WrongSubject);
        }
        all.extend(claims);
        Ok(all)
    }
}

/// As RFC 6749 (2.3.1) wants it in the header.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
