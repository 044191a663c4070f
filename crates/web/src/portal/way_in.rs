//! The way in for browsers: which host the portal is at, who may post to it, and what its pages may do.
//!
//! Cookies know no ports: what is deployed on this machine listens beside this server, so a session of
//! `127.0.0.1` would be sent to every one of them. That is why the portal has a host name of its own.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};

use super::{failed::Failed, visitor};
use crate::App;

/// What a page may load and do: only what this server sends, and no script may write HTML but through
/// the policy of our own.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; \
    require-trusted-types-for 'script'; trusted-types fragments";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// A year, in seconds, as browsers take it.
const ONLY_TLS: &str = "max-age=31536000";

/// Where people reach the portal: scheme, host and port, nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    secure: bool,
    host: String,
}

/// Where people reach the portal: one address, or several, of which links name the first.
#[derive(Debug, Clone)]
pub struct PublicUrls(Arc<[PublicUrl]>);

impl PublicUrls {
    /// `given`, or `usual` when none is given.
    #[must_use]
    pub fn new(given: Vec<PublicUrl>, usual: PublicUrl) -> Self {
        match given.is_empty() {
            true => Self(Arc::new([usual])),
            false => Self(given.into()),
        }
    }

    /// The one that links name.
    ///
    /// # Panics
    /// Never: there is always one.
    #[must_use]
    pub fn first(&self) -> &PublicUrl {
        &self.0[0]
    }

    /// The one that is at `host`.
    pub(crate) fn at(&self, host: &str) -> Option<&PublicUrl> {
        self.0.iter().find(|url| url.is_at(host))
    }
}

/// Why a text is no address of a portal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an address for the portal: write a scheme, a host and perhaps a port, such as https://deploy.example.com; plain http is only for names under localhost"
)]
pub struct PublicUrlError(String);

impl PublicUrl {
    /// The portal of a server on this machine that listens on `port`.
    #[must_use]
    pub fn on_this_machine(port: u16) -> Self {
        Self {
            secure: false,
            host: format!("pointsman.localhost:{port}"),
        }
    }

    /// It is reached through TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether a request for `host` is for the portal.
    fn is_at(&self, host: &str) -> bool {
        let usual = if self.secure { ":443" } else { ":80" };
        let bare = |host: &str| {
            host.strip_suffix(usual)
                .unwrap_or(host)
                .to_ascii_lowercase()
        };
        bare(host) == bare(&self.host)
    }

    /// Whether `origin` is the portal's own.
    fn is_origin(&self, origin: &str) -> bool {
        let scheme = if self.secure { "https://" } else { "http://" };
        origin
            .strip_prefix(scheme)
            .is_some_and(|host| self.is_at(host))
    }
}

impl std::str::FromStr for PublicUrl {
    type Err = PublicUrlError;
    fn from_str(text: &str) -> Result<Self, PublicUrlError> {
        let bad = || PublicUrlError(text.chars().take(200).collect());
        let (scheme, host) = text
            .trim_end_matches('/')
            .split_once("://")
            .ok_or_else(bad)?;
        let authority: Authority = host.parse().map_err(|_| bad())?;
        let name = authority.host().to_ascii_lowercase();
        let good = match scheme {
            "https" => true,
            "http" => name.ends_with(".localhost"),
            _ => false,
        };
        if !good || host.contains('@') {
            return Err(bad());
        }
        Ok(Self {
            secure: scheme == "https",
            host: host.to_ascii_lowercase(),
        })
    }
}

impl std::fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.host)
    }
}

/// What every answer of the portal carries.
pub(super) async fn headers(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_secure = app
        .portal
        .urls
        .at(host(&request))
        .is_some_and(PublicUrl::is_secure);
    let mut response = guarded(next.run(request).await);
    if is_secure {
        let only_tls = HeaderValue::from_static(ONLY_TLS);
        response
            .headers_mut()
            .insert(header::STRICT_TRANSPORT_SECURITY, only_tls);
    }
    response
}

/// An answer that says what a browser may do with it.
pub(super) fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let mut say = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    say(header::CONTENT_SECURITY_POLICY, POLICY);
    say(header::REFERRER_POLICY, "same-origin");
    say(OPENER, "same-origin");
    say(RESOURCE, "same-origin");
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// The portal is at its own host only. Who looks for it at another name of this machine is sent there.
pub(super) async fn own_host(State(app): State<App>, request: Request, next: Next) -> Response {
    let host = host(&request);
    if app.portal.urls.at(host).is_some() {
        return next.run(request).await;
    }
    let url = app.portal.urls.first();
    let path = request.uri().path_and_query().map_or("/", |it| it.as_str());
    if request.method() == Method::GET && crate::layers::is_this_machine(host) {
        return Redirect::temporary(&format!("{url}{path}")).into_response();
    }
    Failed::misdirected(url).into_response()
}

/// Where the portal is that a request is for.
pub(super) fn here<'a>(app: &'a App, request: &Request) -> &'a PublicUrl {
    let urls = &app.portal.urls;
    urls.at(host(request)).unwrap_or(urls.first())
}

/// The host that a request names.
fn host(request: &Request) -> &str {
    let header = request.headers().get(header::HOST);
    let header = header.and_then(|host| host.to_str().ok());
    let authority = request.uri().authority().map(Authority::as_str);
    authority.or(header).unwrap_or_default()
}

/// Refuses what another site's page makes a browser send: the cookie alone proves nothing about who
/// wrote the form.
pub(super) async fn same_origin(State(app): State<App>, request: Request, next: Next) -> Response {
    let harmless = matches!(*request.method(), Method::GET | Method::HEAD);
    let url = app.portal.urls.at(host(&request));
    if harmless || url.is_some_and(|url| is_own(request.headers(), url)) {
        return next.run(request).await;
    }
    Failed::cross_origin().into_response()
}

/// A page of our own sent it. Browsers say so in `Sec-Fetch-Site`, older ones in `Origin`; programs that
/// show a token send no cookie, and nothing can be done in their name.
fn is_own(headers: &HeaderMap, url: &PublicUrl) -> bool {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match (text(&SEC_FETCH_SITE), text(&header::ORIGIN)) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => url.is_origin(origin),
        (None, None) => {
            headers.contains_key(header::AUTHORIZATION) && visitor::cookie(headers).is_none()
        }
    }
}

/// A path of this portal, to go to after signing in; anything else becomes the overview.
pub(super) fn path_here(text: &str) -> &str {
    let plain = !text.contains('\\') && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    match text.strip_prefix('/') {
        Some(rest) if plain && !rest.starts_with('/') => text,
        _ => "/",
    }
}

/// An answer to a form: the browser asks for `path` next.
pub(super) fn see(path: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(path) else {
        return StatusCode::NO_CONTENT.into_response();
    };
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portal_is_at_one_host() {
        let url: PublicUrl = "https://Deploy.example.com/".parse().unwrap();
        for host in ["deploy.example.com", "DEPLOY.example.com:443"] {
            assert!(url.is_at(host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "deploy.example.com:80",
            "deploy.example.com.evil",
        ] {
            assert!(!url.is_at(host), "{host}");
        }
        assert!(url.is_origin("https://deploy.example.com"));
        assert!(!url.is_origin("http://deploy.example.com"));
        assert!(!url.is_origin("null"));
    }

    #[test]
    fn plain_http_is_for_this_machine() {
        for good in [
            "http://pointsman.localhost:7080",
            "https://a.b",
            "https://[::1]:4",
        ] {
            assert!(good.parse::<PublicUrl>().is_ok(), "{good}");
        }
        for bad in [
            "http://deploy.example.com",
            "http://localhost:7080",
            "http://127.0.0.1",
            "https://a.b/path",
            "https://user@a.b",
            "ftp://a.b",
            "a.b",
            "https://",
        ] {
            let error = bad.parse::<PublicUrl>().unwrap_err();
            assert_eq!(error, PublicUrlError(bad.to_owned()));
        }
    }

    #[test]
    fn signing_in_leads_to_pages_of_the_portal_only() {
        for good in ["/", "/services/shop?env=a", "/deployments/1#log"] {
            assert_eq!(path_here(good), good);
        }
        for bad in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "evil",
            "/a\r\nb",
            "/\t/evil.example",
            "\\\\evil.example",
        ] {
            assert_eq!(path_here(bad), "/", "{bad}");
        }
    }

    #[test]
    fn only_forms_of_our_own_pages_are_taken() {
        let url = PublicUrl::on_this_machine(7080);
        let own = "http://pointsman.localhost:7080";
        for (headers, taken) in [
            (vec![("sec-fetch-site", "same-origin")], true),
            (vec![("sec-fetch-site", "none")], true),
            (
                vec![("sec-fetch-site", "same-site"), ("origin", own)],
                false,
            ),
            (vec![("sec-fetch-site", "cross-site")], false),
            (vec![("origin", own)], true),
            (vec![("origin", "http://pointsman.localhost:7081")], false),
            (vec![("origin", "null")], false),
            (vec![], false),
            (vec![("authorization", "Bearer x")], true),
            (
                vec![
                    ("authorization", "Bearer x"),
                    ("cookie", "__Host-pointsman=y"),
                ],
                false,
            ),
            (
                vec![
                    ("authorization", "Bearer x"),
                    ("sec-fetch-site", "cross-site"),
                ],
                false,
            ),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in &headers {
                map.insert(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_own(&map, &url), taken, "{headers:?}");
        }
    }
}
