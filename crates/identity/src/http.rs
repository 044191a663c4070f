//! What is asked of an issuer over HTTP: at its hosts only, in bounded time, of bounded size.

use std::{collections::BTreeSet, time::Duration};

use bytes::BytesMut;
use operations::sign_in::ProviderRefused;
use reqwest::{Client, RequestBuilder, redirect};
use serde::de::DeserializeOwned;
use url::Url;

use crate::settings::{Settings, is_protected};

/// Longest time that a question takes.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Most of an answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Asks an issuer.
#[derive(Debug)]
pub(crate) struct Http {
    client: Client,
    hosts: BTreeSet<String>,
}

impl Http {
    /// Asks the issuer of these settings, at its hosts.
    pub(crate) fn new(settings: &Settings) -> Result<Self, reqwest::Error> {
        // An error means that a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("pointsman/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let issuer: Option<Url> = settings.issuer.parse().ok();
        let own = issuer.as_ref().and_then(Url::host_str).map(str::to_owned);
        let hosts = settings.hosts.iter().cloned().chain(own).collect();
        Ok(Self { client, hosts })
    }

    /// A question by GET.
    pub(crate) fn get(&self, url: &Url) -> Result<RequestBuilder, ProviderRefused> {
        Ok(self.client.get(self.allowed(url)?.clone()))
    }

    /// A question by POST.
    pub(crate) fn post(&self, url: &Url) -> Result<RequestBuilder, ProviderRefused> {
        Ok(self.client.post(self.allowed(url)?.clone()))
    }

    /// The address, if the issuer may have one there.
    pub(crate) fn allowed<'a>(&self, url: &'a Url) -> Result<&'a Url, ProviderRefused> {
        let known = url.host_str().is_some_and(|host| self.hosts.contains(host));
        match known && is_protected(url) {
            true => Ok(url),
            false => Err(ProviderRefused::OtherHost),
        }
    }
}

/// The answer to a question, and whether it is a good one.
pub(crate) async fn answer<T: DeserializeOwned>(
    question: RequestBuilder,
) -> Result<Result<T, u16>, ProviderRefused> {
    let unreachable = |error: reqwest::Error| {
        tracing::warn!(error = %error.without_url(), "an identity provider does not answer");
        ProviderRefused::Unreachable
    };
    let mut response = question.send().await.map_err(unreachable)?;
    let status = response.status();
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(ProviderRefused::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_server_error() {
        tracing::warn!(%status, "an identity provider is in trouble");
        return Err(ProviderRefused::Unreachable);
    }
    if !status.is_success() {
        return Ok(Err(status.as_u16()));
    }
    serde_json::from_slice(&body).map(Ok).map_err(|error| {
        tracing::warn!(%error, "an identity provider's answer cannot be read");
        ProviderRefused::Malformed
    })
}
