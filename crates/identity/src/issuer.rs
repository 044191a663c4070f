//! What an issuer offers, and its keys.

use std::time::{Duration, Instant};

use openidconnect::{JsonWebKey, core::CoreJsonWebKeySet};
use operations::sign_in::ProviderRefused;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use crate::http::{Http, answer};

/// How long what an issuer said is good, even where it does not name a key that is unknown.
const GOOD_FOR: Duration = Duration::from_secs(60 * 60);
/// Between two questions for keys.
const KEYS_EVERY: Duration = Duration::from_secs(30);

/// What an issuer offers, as far as it matters here.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Offers {
    issuer: String,
    pub(crate) authorization_endpoint: Url,
    pub(crate) token_endpoint: Url,
    jwks_uri: Url,
    #[serde(default)]
    pub(crate) userinfo_endpoint: Option<Url>,
    #[serde(default, rename = "authorization_response_iss_parameter_supported")]
    pub(crate) names_itself: bool,
    #[serde(default, rename = "token_endpoint_auth_methods_supported")]
    auth_methods: Vec<String>,
}

impl Offers {
    /// The client's secret belongs into the form and not into a header.
    pub(crate) fn wants_secret_in_form(&self) -> bool {
        let has = |method: &str| self.auth_methods.iter().any(|it| it == method);
        has("client_secret_post") && !has("client_secret_basic")
    }
}

/// An issuer, and what it said.
#[derive(Debug)]
pub(crate) struct Issuer {
    url: String,
    offers: Mutex<Option<(Offers, Instant)>>,
    keys: Mutex<Option<(CoreJsonWebKeySet, Instant)>>,
}

impl Issuer {
    /// The issuer whose address is written like this.
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            offers: Mutex::default(),
            keys: Mutex::default(),
        }
    }

    /// Its address, as it is in its tokens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What it offers.
    pub(crate) async fn offers(&self, http: &Http) -> Result<Offers, ProviderRefused> {
        let mut known = self.offers.lock().await;
        if let Some((offers, at)) = known.as_ref()
            && at.elapsed() < GOOD_FOR
        {
            return Ok(offers.clone());
        }
        let base = self.url.trim_end_matches('/');
        let url = format!("{base}/.well-known/openid-configuration");
        let url: Url = url.parse().map_err(|_| ProviderRefused::Malformed)?;
        let offers: Offers = good(answer(http.get(&url)?).await?)?;
        if offers.issuer != self.url {
            tracing::warn!(said = offers.issuer, wanted = self.url, "another issuer");
            return Err(ProviderRefused::WrongIssuer);
        }
        for url in [&offers.authorization_endpoint, &offers.token_endpoint] {
            http.allowed(url)?;
        }
        *known = Some((offers.clone(), Instant::now()));
        Ok(offers)
    }

    /// Its keys, with the one of the id `wanted` among them if it has such a one. They are asked for again
    /// when it is not, at most every 30 seconds.
    pub(crate) async fn keys(
        &self,
        http: &Http,
        wanted: Option<&str>,
    ) -> Result<CoreJsonWebKeySet, ProviderRefused> {
        let jwks_uri = self.offers(http).await?.jwks_uri;
        let mut known = self.keys.lock().await;
        if let Some((keys, at)) = known.as_ref() {
            let has = wanted.is_none_or(|wanted| {
                let mut ids = keys.keys().iter().filter_map(JsonWebKey::key_id);
                ids.any(|id| id.as_str() == wanted)
            });
            let age = at.elapsed();
            if has && age < GOOD_FOR || age < KEYS_EVERY {
                return Ok(keys.clone());
            }
        }
        let keys: CoreJsonWebKeySet = good(answer(http.get(&jwks_uri)?).await?)?;
        *known = Some((keys.clone(), Instant::now()));
        Ok(keys)
    }
}

fn good<T>(answer: Result<T, u16>) -> Result<T, ProviderRefused> {
    answer.map_err(|status| {
        tracing::warn!(status, "an identity provider does not say what it offers");
        ProviderRefused::Malformed
    })
}
