//! The head of the request that goes to an instance, written straight from the user's request.
//!
//! Invariant: framing fields are written from what was parsed, never copied, so the instance cannot
//! find a different end of the request than the router did.
//! Invariant: neither fields that concern only the user's connection nor a tester's pass reach the
//! instance, and no user can say what only the router may say, in whatever spelling: programs that
//! read fields as variables (CGI, WSGI) take `X_Forwarded_For` for `X-Forwarded-For`.

use std::io::Write;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header, request};
use http_body::Body;
use hyper::body::Incoming;

use crate::message::{cookies, host::path_of};

/// How the names of the router's own fields begin: passes, marks of copies.
const OURS: &str = "x-pointsman-";

/// What the head says in addition to the user's own fields.
#[derive(Debug)]
pub(crate) struct Wording<'a> {
    /// The host that the user asked for.
    pub(crate) host: &'a str,
    /// The user's address.
    pub(crate) peer: &'a str,
    pub(crate) outgoing: Outgoing,
    /// The user asks for a WebSocket.
    pub(crate) websocket: bool,
    /// The user waits for `100 Continue`.
    pub(crate) expects_continue: bool,
}

/// How the body of a request is framed for the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// There is none.
    Nothing,
    /// This many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// How to frame the body of this request.
pub(crate) fn outgoing(head: &request::Parts, body: &Incoming) -> Outgoing {
    if body.is_end_stream() {
        // A method that usually has a body states that there is none (RFC 9110, section 8.6).
        let usual = matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
        let said = head.headers.contains_key(header::CONTENT_LENGTH);
        return if usual || said {
            Outgoing::Length(0)
        } else {
            Outgoing::Nothing
        };
    }
    body.size_hint()
        .exact()
        .map_or(Outgoing::Chunked, Outgoing::Length)
}

/// Whether the body comes in a coding that the router does not know: only `chunked` is passed on.
pub(crate) fn is_coded(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    codings.next().is_some_and(|value| !known(value)) || codings.next().is_some()
}

/// Whether the request asks for a WebSocket, the only upgrade that is passed on.
pub(crate) fn asks_for_websocket(head: &request::Parts) -> bool {
    head.version == Version::HTTP_11
        && head.method == Method::GET
        && head.headers.contains_key(header::UPGRADE)
        && has_token(&head.headers, header::UPGRADE, "websocket")
        && has_token(&head.headers, header::CONNECTION, "upgrade")
}

/// Whether the user sends the body only after `100 Continue`.
pub(crate) fn expects_continue(head: &request::Parts) -> bool {
    head.version >= Version::HTTP_11
        && head
            .headers
            .get(header::EXPECT)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Whether a comma-separated field names `token`.
fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .any(|value| tokens(value).any(|t| t.eq_ignore_ascii_case(token.as_bytes())))
}

fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
}

/// Writes the head into `output`.
pub(crate) fn write(output: &mut Vec<u8>, head: &request::Parts, wording: &Wording<'_>) {
    put(
        output,
        &[
            head.method.as_str(),
            " ",
            path_of(&head.uri),
            " HTTP/1.1\r\nhost: ",
        ],
    );
    put(output, &[wording.host, "\r\n"]);
    let named = named_in_connection(&head.headers);
    for (name, value) in &head.headers {
        if !stays_behind(name) && !named.contains(name) {
            put_field(output, name.as_str(), value.as_bytes());
        }
    }
    cookies::write(output, &head.headers);
    put_forwarded(output, &head.headers, wording);
    if wording.websocket {
        put(output, &["connection: upgrade\r\nupgrade: websocket\r\n"]);
    } else if head.headers.contains_key(header::TE)
        && has_token(&head.headers, header::TE, "trailers")
    {
        // The router accepts trailers if the user does (RFC 9110, section 10.1.4).
        put(output, &["connection: te\r\nte: trailers\r\n"]);
    }
    if wording.expects_continue {
        put(output, &["expect: 100-continue\r\n"]);
    }
    match wording.outgoing {
        Outgoing::Nothing => {}
        Outgoing::Chunked => put(output, &["transfer-encoding: chunked\r\n"]),
        Outgoing::Length(length) => {
            write!(output, "content-length: {length}\r\n").expect("a Vec takes everything");
        }
    }
    put(output, &["\r\n"]);
}

fn put(output: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        output.extend_from_slice(part.as_bytes());
    }
}

fn put_field(output: &mut Vec<u8>, name: &str, value: &[u8]) {
    output.extend_from_slice(name.as_bytes());
    output.extend_from_slice(b": ");
    output.extend_from_slice(value);
    output.extend_from_slice(b"\r\n");
}

/// Fields that concern only the user's connection, and those that the router writes itself.
pub(crate) fn stays_behind(name: &HeaderName) -> bool {
    let name = name.as_str();
    if name.contains('_') {
        // No field that matters is spelled with it, except to pass for another one.
        return is_ours(&name.replace('_', "-"));
    }
    is_ours(name)
}

fn is_ours(name: &str) -> bool {
    name.starts_with(OURS)
        || matches!(
            name,
            "connection"
                | "content-length"
                | "cookie"
                | "expect"
                | "host"
                | "http2-settings"
                | "keep-alive"
                | "proxy-authorization"
                | "proxy-connection"
                | "te"
                | "transfer-encoding"
                | "upgrade"
                | "x-forwarded-for"
                | "x-forwarded-host"
                | "x-forwarded-proto"
        )
}

/// The other fields that `Connection` names (RFC 9110, section 7.6.1). It cannot remove the fields
/// that route or frame: the router writes those in any case.
fn named_in_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::CONNECTION).iter();
    let names = values.flat_map(tokens).filter(|token| {
        !token.eq_ignore_ascii_case(b"keep-alive") && !token.eq_ignore_ascii_case(b"close")
    });
    names
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .collect()
}

fn put_forwarded(output: &mut Vec<u8>, headers: &HeaderMap, wording: &Wording<'_>) {
    output.extend_from_slice(b"x-forwarded-for: ");
    for earlier in headers.get_all("x-forwarded-for") {
        output.extend_from_slice(earlier.as_bytes());
        output.extend_from_slice(b", ");
    }
    put(
        output,
        &[
            wording.peer,
            "\r\nx-forwarded-proto: http\r\nx-forwarded-host: ",
        ],
    );
    put(output, &[wording.host, "\r\n"]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn written(request: Request<()>, outgoing: Outgoing, websocket: bool) -> String {
        let (head, ()) = request.into_parts();
        let mut output = Vec::new();
        let wording = Wording {
            host: "shop.staging.localhost",
            peer: "10.0.0.1",
            outgoing,
            websocket,
            expects_continue: false,
        };
        write(&mut output, &head, &wording);
        String::from_utf8(output)
            .expect("text")
            .replace("\r\n", "\n")
    }

    #[test]
    fn a_head_keeps_what_is_the_users_and_drops_what_is_the_connections() {
        let request = Request::get("http://x/a?b=c")
            .header("accept", "*/*")
            .header("connection", "X-Hop, keep-alive, host, content-length")
            .header("x-hop", "1")
            .header("keep-alive", "timeout=5")
            .header("te", "trailers")
            .header("upgrade", "h2c")
            .header("transfer-encoding", "chunked")
            .header("content-length", "5")
            .header("x-forwarded-for", "1.2.3.4")
            .header("x-forwarded-host", "evil")
            .header("x-forwarded-proto", "https")
            .header("x-pointsman-pass", "secret")
            .header("x-pointsman-shadow", "1")
            .header("x_pointsman_shadow", "1")
            .header("x_forwarded_for", "6.6.6.6")
            .header("content_length", "1")
            .header("x_own", "kept")
            .header("cookie", "a=1; pointsman-pass=secret")
            .header("cookie", "b=2");
        assert_eq!(
            written(request.body(()).expect("good"), Outgoing::Length(7), false),
            "GET /a?b=c HTTP/1.1\nhost: shop.staging.localhost\naccept: */*\nx_own: kept\n\
             cookie: a=1; b=2\nx-forwarded-for: 1.2.3.4, 10.0.0.1\nx-forwarded-proto: http\n\
             x-forwarded-host: shop.staging.localhost\nconnection: te\nte: trailers\n\
             content-length: 7\n\n"
        );
    }

    #[test]
    fn only_chunks_are_a_known_coding() {
        for (codings, coded) in [
            (&[][..], false),
            (&["chunked"], false),
            (&["Chunked"], false),
            (&["gzip, chunked"], true),
            (&["gzip", "chunked"], true),
            (&["chunked", "chunked"], true),
        ] {
            let request = codings.iter().fold(Request::post("/"), |request, coding| {
                request.header("transfer-encoding", *coding)
            });
            let (head, ()) = request.body(()).expect("good").into_parts();
            assert_eq!(is_coded(&head.headers), coded, "{codings:?}");
        }
    }

    #[test]
    fn only_websocket_is_an_upgrade() {
        let asks = |upgrade: &str, connection: &str| {
            let request = Request::get("/").header("upgrade", upgrade);
            let request = request
                .header("connection", connection)
                .body(())
                .expect("good");
            asks_for_websocket(&request.into_parts().0)
        };
        assert!(asks("WebSocket", "keep-alive, Upgrade"));
        assert!(!asks("h2c", "upgrade"));
        assert!(!asks("websocket", "keep-alive"));
        let request = Request::get("/")
            .header("upgrade", "websocket")
            .body(())
            .expect("good");
        let text = written(request, Outgoing::Nothing, true);
        assert!(
            text.contains("connection: upgrade\nupgrade: websocket\n\n"),
            "{text}"
        );
    }
}
