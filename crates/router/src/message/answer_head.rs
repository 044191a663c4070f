//! How the head of an instance's answer is read from bytes (RFC 9112, sections 4 to 6).
//!
//! Pure: it works on a buffer and asks for more. Built on `httparse`.
//!
//! Invariant: an answer whose end is not beyond doubt (two lengths, a length and a transfer coding,
//! an unknown coding) is refused, never guessed at.
//! Invariant: nothing that an instance sends makes a buffer grow beyond [`HEAD_LEN_MAX`].

use std::mem::MaybeUninit;

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::{
    fault::WireFault,
    message::{
        framing::{Chunk, Framing},
        trailers::{HEAD_LEN_MAX, HEADERS_MAX},
    },
};

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    /// Without the fields that concern only this connection.
    pub(crate) headers: HeaderMap,
    pub(crate) framing: Framing,
    /// Whether the instance allows the connection to be reused after this answer.
    pub(crate) keep_alive: bool,
    /// Whether `Upgrade` names `websocket`.
    pub(crate) websocket: bool,
}

/// Where the name and the value of a field lie in the head: start and end of each. Small, because
/// there is room for [`HEADERS_MAX`] of them on the stack for every answer.
type Place = [u16; 4];

/// Takes one head from the front of `input`; `None` when it is not complete yet. `to_head` says
/// that the request was a HEAD, whose answers have no body.
pub(crate) fn take_head(input: &mut BytesMut, to_head: bool) -> Result<Option<Head>, WireFault> {
    let mut places: [Place; HEADERS_MAX] = [[0; 4]; HEADERS_MAX];
    let mut fields = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut head,
        input,
        &mut fields,
    );
    let len = match parsed {
        Ok(httparse::Status::Complete(len)) if len <= HEAD_LEN_MAX => len,
        Ok(httparse::Status::Partial) if input.len() < HEAD_LEN_MAX => return Ok(None),
        Ok(_) => return Err(WireFault("its header is larger than 64 KiB")),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(WireFault("it has more than 128 header fields"));
        }
        Err(_) => return Err(WireFault("it is not HTTP/1.1")),
    };
    let minor = head.version.unwrap_or_default();
    let status = head.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(WireFault("its status is not a number from 100 to 999"))?;
    for (place, field) in places.iter_mut().zip(head.headers.iter()) {
        *place = place_in(input, field);
    }
    let count = head.headers.len();
    let bytes = input.split_to(len).freeze();
    let mut gathered = Gathered::with_capacity(count);
    for place in &places[..count] {
        let [name_start, name_end, value_start, value_end] = place.map(usize::from);
        let name = bytes.get(name_start..name_end).unwrap_or_default();
        let name = HeaderName::from_bytes(name);
        let name = name.map_err(|_| WireFault("a header name is not a token"))?;
        let value = bytes.get(value_start..value_end).unwrap_or_default();
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(value));
        gathered.add(
            name,
            value.map_err(|_| WireFault("a header value is not text"))?,
        )?;
    }
    gathered.into_head(status, minor, to_head).map(Some)
}

/// Where `field` lies in `whole`, from which it was parsed. A head is shorter than 64 KiB, so 16
/// bits are enough.
fn place_in(whole: &[u8], field: &httparse::Header<'_>) -> Place {
    let offset = |part: &[u8]| (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    let (name, value) = (offset(field.name.as_bytes()), offset(field.value));
    let ends = [
        name,
        name + field.name.len(),
        value,
        value + field.value.len(),
    ];
    ends.map(|at| u16::try_from(at).unwrap_or(u16::MAX))
}

/// The header fields of an answer while they are read: those to pass on, and what the others mean.
#[derive(Default)]
struct Gathered {
    headers: HeaderMap,
    /// Names in `Connection` other than the usual ones.
    named: Vec<HeaderName>,
    length: Option<u64>,
    transfer_coding: bool,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    websocket: bool,
}

impl Gathered {
    fn with_capacity(fields: usize) -> Self {
        Self {
            headers: HeaderMap::with_capacity(fields + 2),
            ..Self::default()
        }
    }

    fn add(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), WireFault> {
        match name.as_str() {
            "connection" => self.add_connection(&value),
            "transfer-encoding" => {
                // A second line would make a list of codings, and we know only one.
                let repeated = std::mem::replace(&mut self.transfer_coding, true);
                self.chunked = !repeated && value.as_bytes().eq_ignore_ascii_case(b"chunked");
            }
            "upgrade" => self.websocket |= value.as_bytes().eq_ignore_ascii_case(b"websocket"),
            "keep-alive" | "proxy-connection" | "te" => {}
            "content-length" => {
                let length = parse_length(value.as_bytes());
                let length = length.ok_or(WireFault("its Content-Length is not a number"))?;
                if self
                    .length
                    .replace(length)
                    .is_some_and(|other| other != length)
                {
                    return Err(WireFault("it has two different Content-Lengths"));
                }
                self.headers.insert(name, value);
            }
            _ => {
                self.headers.append(name, value);
            }
        }
        Ok(())
    }

    fn add_connection(&mut self, value: &HeaderValue) {
        for token in value
            .as_bytes()
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
        {
            if token.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if token.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if let Ok(name) = HeaderName::from_bytes(token) {
                self.named.push(name);
            }
        }
    }

    /// Decides the framing (RFC 9112, section 6.3).
    fn into_head(
        mut self,
        status: StatusCode,
        minor: u8,
        to_head: bool,
    ) -> Result<Head, WireFault> {
        if self.transfer_coding {
            if self.length.is_some() {
                return Err(WireFault(
                    "it has both a Content-Length and a Transfer-Encoding",
                ));
            } else if !self.chunked || minor == 0 {
                return Err(WireFault("its Transfer-Encoding is not `chunked`"));
            }
        }
        for name in self
            .named
            .iter()
            .filter(|name| **name != header::CONTENT_LENGTH)
        {
            self.headers.remove(name);
        }
        // These never have a body, so they must not state a length (RFC 9110, section 8.6).
        let bodiless = status.is_informational() || status == StatusCode::NO_CONTENT;
        if bodiless {
            self.headers.remove(header::CONTENT_LENGTH);
        }
        let no_body = bodiless || to_head || status == StatusCode::NOT_MODIFIED;
        let framing = match self.length {
            _ if no_body => Framing::Length(0),
            _ if self.chunked => Framing::Chunked(Chunk::Size),
            Some(length) => Framing::Length(length),
            None => Framing::UntilClose,
        };
        let keep_alive = !self.close && (minor == 1 || self.keep_alive);
        let Self {
            headers, websocket, ..
        } = self;
        Ok(Head {
            status,
            headers,
            framing,
            keep_alive,
            websocket,
        })
    }
}

/// A length in decimal digits and nothing else.
fn parse_length(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits
        .then(|| str::from_utf8(text).ok()?.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::framing::Piece;

    fn head_of(text: &str) -> Result<Option<Head>, WireFault> {
        take_head(&mut BytesMut::from(text), false)
    }

    #[test]
    fn a_head_is_taken_once_it_is_complete() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello";
        for cut in 0..text.len() - 5 {
            assert!(
                head_of(&text[..cut]).expect("a good beginning").is_none(),
                "{cut}"
            );
        }
        let mut input = BytesMut::from(text);
        let head = take_head(&mut input, false)
            .expect("good")
            .expect("complete");
        assert_eq!(
            (head.status, head.framing),
            (StatusCode::OK, Framing::Length(5))
        );
        assert_eq!(head.headers["x-a"], "b");
        assert!(head.keep_alive);
        assert_eq!(&input[..], b"hello");
    }

    #[test]
    fn the_framing_follows_the_rules() {
        let chunked = Framing::Chunked(Chunk::Size);
        for (text, framing) in [
            ("HTTP/1.1 200 OK\r\n\r\n", Framing::UntilClose),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n",
                chunked,
            ),
            (
                "HTTP/1.1 204 No\r\ncontent-length: 7\r\n\r\n",
                Framing::Length(0),
            ),
            (
                "HTTP/1.1 304 No\r\ncontent-length: 7\r\n\r\n",
                Framing::Length(0),
            ),
            ("HTTP/1.1 100 Go\r\n\r\n", Framing::Length(0)),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 7\r\ncontent-length: 7\r\n\r\n",
                Framing::Length(7),
            ),
        ] {
            let head = head_of(text).expect(text).expect(text);
            assert_eq!(head.framing, framing, "{text:?}");
        }
        let mut input = BytesMut::from("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n");
        let head = take_head(&mut input, true)
            .expect("good")
            .expect("complete");
        assert_eq!(
            head.framing,
            Framing::Length(0),
            "an answer to HEAD has no body"
        );
        assert_eq!(
            head.headers["content-length"], "7",
            "but it keeps the length"
        );
    }

    /// Why a head is refused; nothing when it is not.
    fn refusal(text: &str) -> &'static str {
        head_of(text).err().map_or("", |fault| fault.0)
    }

    #[test]
    fn doubtful_framing_is_refused() {
        let both = "it has both a Content-Length and a Transfer-Encoding";
        let two = "it has two different Content-Lengths";
        let number = "its Content-Length is not a number";
        let coding = "its Transfer-Encoding is not `chunked`";
        let form = "it is not HTTP/1.1";
        for (fields, why) in [
            ("content-length: 5\r\ntransfer-encoding: chunked\r\n", both),
            ("transfer-encoding: chunked\r\ncontent-length: 5\r\n", both),
            ("content-length: 5\r\ncontent-length: 6\r\n", two),
            ("content-length: 5, 5\r\n", number),
            ("content-length: +5\r\n", number),
            ("content-length: \r\n", number),
            ("content-length: 99999999999999999999\r\n", number),
            ("transfer-encoding: gzip, chunked\r\n", coding),
            (
                "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
                coding,
            ),
            (
                "transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n",
                coding,
            ),
            ("transfer-encoding: identity\r\n", coding),
            ("bad name: x\r\n", form),
            ("no-colon\r\n", form),
            (" folded: x\r\n", form),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            assert_eq!(refusal(&text), why, "{text:?}");
        }
        let old = "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(refusal(old), coding);
        assert_eq!(refusal("SSH-2.0-OpenSSH\r\n"), form);
    }

    #[test]
    fn fields_of_the_connection_stay_behind() {
        let text = "HTTP/1.1 200 OK\r\nconnection: X-Hop, close\r\nkeep-alive: timeout=5\r\n\
                    x-hop: 1\r\nx-end: 2\r\nset-cookie: a\r\nset-cookie: b\r\n\r\n";
        let head = head_of(text).expect("good").expect("complete");
        assert!(!head.keep_alive);
        let mut names: Vec<_> = head.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["set-cookie", "set-cookie", "x-end"]);
    }

    #[test]
    fn http_1_0_closes_unless_it_says_otherwise() {
        let old = |fields| head_of(&format!("HTTP/1.0 200 OK\r\n{fields}\r\n")).expect("good");
        assert!(!old("").expect("complete").keep_alive);
        assert!(
            old("connection: Keep-Alive\r\n")
                .expect("complete")
                .keep_alive
        );
    }

    #[test]
    fn heads_are_bounded() {
        let long = format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(HEAD_LEN_MAX));
        assert_eq!(refusal(&long), "its header is larger than 64 KiB");
        let many = format!(
            "HTTP/1.1 200 OK\r\n{}\r\n",
            "a: b\r\n".repeat(HEADERS_MAX + 1)
        );
        assert_eq!(refusal(&many), "it has more than 128 header fields");
    }

    /// Whichever byte of an answer is changed, reading it neither panics nor loops.
    #[test]
    fn no_byte_brings_the_reader_down() {
        let text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx:\r\nconnection: a, b\r\n\r\n\
                    5;e\r\nhello\r\nb\r\nhello world\r\n0\r\nx-sum: 6\r\n\r\n";
        for at in 0..text.len() {
            for byte in [
                0, b'\t', b'\n', b'\r', b' ', b',', b'0', b':', b';', b'f', 127, 255,
            ] {
                let mut input = BytesMut::from(text);
                input[at] = byte;
                let Ok(Some(mut head)) = take_head(&mut input, false) else {
                    continue;
                };
                let most = input.len() + 3;
                let pieces = std::iter::repeat_with(|| head.framing.take_piece(&mut input));
                let read = pieces
                    .take(most)
                    .take_while(|piece| matches!(piece, Ok(Piece::Data(_) | Piece::Trailers(_))));
                assert!(read.count() < most, "byte {at} as {byte}");
            }
        }
    }
}
