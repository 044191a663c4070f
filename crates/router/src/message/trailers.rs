//! The header fields after the last chunk of a body: which are allowed, and how they are read and
//! written (RFC 9110, section 6.5; RFC 9112, section 7.1.2).

use bytes::{Buf, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{fault::WireFault, message::request_head::stays_behind};

/// Longest head or block of trailers that is accepted from an instance, in bytes.
pub(crate) const HEAD_LEN_MAX: usize = u16::MAX as usize;
/// Most header fields in it.
pub(crate) const HEADERS_MAX: usize = 128;

/// Takes the trailers and the empty line after them.
pub(crate) fn take(input: &mut BytesMut) -> Result<Option<HeaderMap>, WireFault> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let (len, fields) = match httparse::parse_headers(input, &mut fields) {
        Ok(httparse::Status::Complete(done)) => done,
        Ok(httparse::Status::Partial) if input.len() < HEAD_LEN_MAX => return Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => return Err(WireFault("its trailers are faulty")),
    };
    let mut trailers = HeaderMap::new();
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_bytes(field.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(WireFault("its trailers are faulty"));
        };
        if is_trailer(&name) {
            trailers.append(name, value);
        }
    }
    input.advance(len);
    Ok(Some(trailers))
}

/// Writes the end of a chunked body, with those of `trailers` that are allowed there.
pub(crate) fn end_chunks(output: &mut Vec<u8>, trailers: &HeaderMap) {
    output.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.iter().filter(|(name, _)| is_trailer(name)) {
        output.extend_from_slice(name.as_str().as_bytes());
        output.extend_from_slice(b": ");
        output.extend_from_slice(value.as_bytes());
        output.extend_from_slice(b"\r\n");
    }
    output.extend_from_slice(b"\r\n");
}

/// Whether the field is allowed in trailers: those that frame or route a message, say who sent it, or
/// say how to read it are not (RFC 9110, section 6.5.1). A program that adds trailers to the head
/// would take them for what the router or the user said there.
fn is_trailer(name: &HeaderName) -> bool {
    let known = matches!(
        name.as_str(),
        "authorization"
            | "cache-control"
            | "content-encoding"
            | "content-range"
            | "content-type"
            | "forwarded"
            | "max-forwards"
            | "range"
            | "set-cookie"
            | "trailer"
            | "x-real-ip"
    );
    !known && !stays_behind(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_say_nothing_that_belongs_into_the_head() {
        let mut trailers = HeaderMap::new();
        for name in [
            "authorization",
            "content-length",
            "cookie",
            "grpc-status",
            "transfer-encoding",
            "x-checksum",
            "x-forwarded-for",
            "x-pointsman-pass",
            "x_pointsman_pass",
        ] {
            trailers.append(name, HeaderValue::from_static("1"));
        }
        let mut output = Vec::new();
        end_chunks(&mut output, &trailers);
        assert_eq!(output, b"0\r\ngrpc-status: 1\r\nx-checksum: 1\r\n\r\n");
    }
}
