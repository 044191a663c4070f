//! From the host name of a request to the key of the routing table.
//!
//! Invariant: looking up a host allocates nothing.

use domain::names::NAME_LEN_MAX;
use http::{Uri, Version, header, request};

/// Longest key: a service, a dot, an environment; in bytes.
const KEY_LEN_MAX: usize = NAME_LEN_MAX + 1 + NAME_LEN_MAX;
/// What every routed host name ends with.
const SUFFIX: &str = ".localhost";

/// The key of a host in the table: its name in lower case, without port and without `.localhost`.
#[derive(Debug)]
pub(crate) struct Key {
    bytes: [u8; KEY_LEN_MAX],
    len: usize,
}

impl Key {
    /// The key of `host`, such as `Shop.Staging.localhost:7000`; `None` when it has another suffix
    /// or is too long to be two names.
    pub(crate) fn of(host: &str) -> Option<Self> {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            Some(_) => return None,
            None => host,
        };
        let at = name.len().checked_sub(SUFFIX.len())?;
        let (stem, suffix) = name.split_at_checked(at)?;
        if !suffix.eq_ignore_ascii_case(SUFFIX) || stem.len() > KEY_LEN_MAX {
            return None;
        }
        let mut bytes = [0; KEY_LEN_MAX];
        for (to, from) in bytes.iter_mut().zip(stem.bytes()) {
            *to = from.to_ascii_lowercase();
        }
        Some(Self {
            bytes,
            len: stem.len(),
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

/// The host that a request asks for: the authority of the target, else the `Host` header
/// (RFC 9112, section 3.2.2; RFC 9113, section 8.3.1).
///
/// # Errors
/// What is wrong with the request, as a sentence, when it names no host or more than one.
pub(crate) fn host_of(head: &request::Parts) -> Result<&str, &'static str> {
    let mut named = head.headers.get_all(header::HOST).iter();
    let (first, more) = (named.next(), named.next());
    if more.is_some() {
        return Err("the request has more than one Host header");
    }
    if let Some(authority) = head.uri.authority() {
        return Ok(authority.as_str());
    }
    match first {
        Some(value) => value
            .to_str()
            .map_err(|_| "the Host header is not plain text"),
        None if head.version == Version::HTTP_10 => Ok(""),
        None => Err("the request has no Host header"),
    }
}

/// The target to ask an instance for: path and query.
pub(crate) fn path_of(uri: &Uri) -> &str {
    uri.path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_become_keys() {
        let long = "a".repeat(63);
        for (host, key) in [
            ("shop.staging.localhost", Some("shop.staging")),
            ("Shop.STAGING.LocalHost:7000", Some("shop.staging")),
            ("shop.staging.localhost:", Some("shop.staging")),
            ("a.b.c.localhost", Some("a.b.c")),
            (
                &format!("{long}.{long}.localhost"),
                Some(&*format!("{long}.{long}")),
            ),
            (&format!("{long}.{long}a.localhost"), None),
            (".localhost", Some("")),
            ("localhost", None),
            ("shop.staging", None),
            ("shop.staging.localhost.", None),
            ("shop.staging.localhost:80:80", None),
            ("shop.staging.localhost:x", None),
            ("user@shop.staging.localhost", Some("user@shop.staging")),
            ("", None),
            ("\u{fc}.localhost", Some("\u{fc}")),
            ("[::1]", None),
        ] {
            assert_eq!(Key::of(host).as_ref().map(Key::as_str), key, "{host:?}");
        }
    }
}
