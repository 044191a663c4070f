//! The two cookies that the router knows, among those that a user sends (RFC 6265, section 4.2).
//!
//! Invariant: a tester's pass never reaches an instance; every other cookie does, unchanged.

use http::{HeaderMap, header};

use crate::pass;

/// The values of the cookies with this name, in all fields.
pub(crate) fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let fields = headers.get_all(header::COOKIE).iter();
    fields
        .flat_map(|field| field.as_bytes().split(|byte| *byte == b';'))
        .filter_map(move |pair| {
            let (key, value) = split(pair);
            (key == name.as_bytes()).then_some(value)
        })
}

/// Writes the user's cookies as one field, without a pass. HTTP/2 may cut cookies into several
/// fields; HTTP/1.1 wants one (RFC 9113, section 8.2.3).
pub(crate) fn write(output: &mut Vec<u8>, headers: &HeaderMap) {
    let start = output.len();
    let mut put = |piece: &[u8]| {
        let before: &[u8] = if output.len() == start {
            b"cookie: "
        } else {
            b"; "
        };
        output.extend_from_slice(before);
        output.extend_from_slice(piece);
    };
    for field in headers.get_all(header::COOKIE) {
        let mut pairs = field.as_bytes().split(|byte| *byte == b';');
        if pairs.clone().any(is_pass) {
            let others = pairs.filter(|pair| !is_pass(pair)).map(<[u8]>::trim_ascii);
            others.for_each(&mut put);
        } else if pairs.next().is_some() {
            put(field.as_bytes());
        }
    }
    if output.len() > start {
        output.extend_from_slice(b"\r\n");
    }
}

fn is_pass(pair: &[u8]) -> bool {
    split(pair).0.eq_ignore_ascii_case(pass::COOKIE.as_bytes())
}

fn split(pair: &[u8]) -> (&[u8], &[u8]) {
    let at = pair.iter().position(|byte| *byte == b'=');
    let (key, value) = pair.split_at(at.unwrap_or(pair.len()));
    (
        key.trim_ascii(),
        value.get(1..).unwrap_or_default().trim_ascii(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(fields: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::COOKIE, HeaderValue::from_static(field));
        }
        headers
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let headers = headers(&[
            "a=pointsman=1; pointsman = 2;xpointsman=3",
            "pointsman=4; pointsman",
        ]);
        let found: Vec<_> = values(&headers, "pointsman").collect();
        assert_eq!(found, [&b"2"[..], b"4", b""]);
    }

    #[test]
    fn only_passes_are_left_out() {
        for (fields, written) in [
            (&[][..], ""),
            (&["a=1;b=2 ;; c"], "cookie: a=1;b=2 ;; c\r\n"),
            (&["a=1", "b=2"], "cookie: a=1; b=2\r\n"),
            (&["pointsman-pass=x"], ""),
            (
                &["a=1; pointsman-pass=x; b=\"2\""],
                "cookie: a=1; b=\"2\"\r\n",
            ),
            (
                &["Pointsman-Pass =x", "b=2", "pointsman-pass"],
                "cookie: b=2\r\n",
            ),
            (
                &["pointsman=1; pointsman-passage=2"],
                "cookie: pointsman=1; pointsman-passage=2\r\n",
            ),
        ] {
            let mut output = Vec::new();
            write(&mut output, &headers(fields));
            assert_eq!(
                String::from_utf8(output).expect("text"),
                written,
                "{fields:?}"
            );
        }
    }
}
