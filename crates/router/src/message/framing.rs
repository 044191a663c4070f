//! Where the body of an instance's answer ends: by length, by chunks, by the end of the connection
//! (RFC 9112, sections 6 and 7).
//!
//! Pure: it works on a buffer and asks for more.
//!
//! Invariant: a chunk whose size is in doubt ends the answer with a fault, never with a guess.
//! Invariant: no line and no block of trailers makes the buffer grow beyond its limit.

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;

use crate::{fault::WireFault, message::trailers};

/// Longest line with the size of a chunk, in bytes, extensions included.
const CHUNK_LINE_LEN_MAX: usize = 256;

/// How the end of an answer's body is found, and how much was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// This many bytes are missing.
    Length(u64),
    /// Chunks.
    Chunked(Chunk),
    /// It ends when the instance closes the connection.
    UntilClose,
}

/// Where in a chunked body we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// Before the line with a size.
    Size,
    /// This many bytes of the chunk are missing.
    Data(u64),
    /// Before the line end that follows a chunk.
    DataEnd,
    /// Before the trailers.
    Trailers,
    /// After the end.
    Ended,
}

/// The next piece of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    /// The body is complete.
    End,
    /// The buffer must hold more first.
    More,
}

impl Framing {
    /// Whether nothing more belongs to the answer.
    pub(crate) fn has_ended(self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::Ended))
    }

    /// How many bytes of the body are missing, when that is known.
    pub(crate) fn missing(self) -> Option<u64> {
        match self {
            Self::Length(missing) => Some(missing),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }

    /// Takes the next piece from the front of `input`.
    pub(crate) fn take_piece(&mut self, input: &mut BytesMut) -> Result<Piece, WireFault> {
        match self {
            Self::Length(0) => Ok(Piece::End),
            Self::Length(missing) => Ok(take_data(input, missing)),
            Self::Chunked(chunk) => chunk.take_piece(input),
            Self::UntilClose if input.is_empty() => Ok(Piece::More),
            Self::UntilClose => Ok(Piece::Data(input.split().freeze())),
        }
    }
}

/// Takes as much of `missing` bytes as `input` holds.
fn take_data(input: &mut BytesMut, missing: &mut u64) -> Piece {
    if input.is_empty() {
        return Piece::More;
    }
    let len = input
        .len()
        .min(usize::try_from(*missing).unwrap_or(usize::MAX));
    *missing -= len as u64;
    Piece::Data(input.split_to(len).freeze())
}

impl Chunk {
    fn take_piece(&mut self, input: &mut BytesMut) -> Result<Piece, WireFault> {
        loop {
            match self {
                Self::Size => match take_size(input)? {
                    None => return Ok(Piece::More),
                    Some(0) => *self = Self::Trailers,
                    Some(size) => *self = Self::Data(size),
                },
                Self::Data(0) => *self = Self::DataEnd,
                Self::Data(missing) => return Ok(take_data(input, missing)),
                Self::DataEnd => match input.get(..2) {
                    None => return Ok(Piece::More),
                    Some(b"\r\n") => {
                        input.advance(2);
                        *self = Self::Size;
                    }
                    Some(_) => return Err(WireFault("a chunk is longer than its size")),
                },
                Self::Trailers => {
                    let Some(trailers) = trailers::take(input)? else {
                        return Ok(Piece::More);
                    };
                    *self = Self::Ended;
                    if !trailers.is_empty() {
                        return Ok(Piece::Trailers(trailers));
                    }
                }
                Self::Ended => return Ok(Piece::End),
            }
        }
    }
}

/// Takes a line with the size of a chunk.
fn take_size(input: &mut BytesMut) -> Result<Option<u64>, WireFault> {
    const FAULT: WireFault = WireFault("the size of a chunk is not a hexadecimal number");
    let line = &input[..input.len().min(CHUNK_LINE_LEN_MAX)];
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return if line.len() < CHUNK_LINE_LEN_MAX {
            Ok(None)
        } else {
            Err(FAULT)
        };
    };
    let digits = line[..end]
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default();
    let digits = digits.trim_ascii_end();
    if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(FAULT);
    }
    let digits = str::from_utf8(digits).map_err(|_| FAULT)?;
    let size = u64::from_str_radix(digits, 16).map_err(|_| FAULT)?;
    input.advance(end + 2);
    Ok(Some(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `text` in steps of `step` bytes; returns the data and the trailers.
    fn chunks(text: &str, step: usize) -> Result<Option<(String, HeaderMap)>, WireFault> {
        let (mut input, mut framing) = (BytesMut::new(), Framing::Chunked(Chunk::Size));
        let (mut data, mut trailers) = (String::new(), HeaderMap::new());
        let mut source = text.as_bytes().chunks(step);
        loop {
            match framing.take_piece(&mut input)? {
                Piece::Data(bytes) => data.push_str(&String::from_utf8_lossy(&bytes)),
                Piece::Trailers(map) => trailers = map,
                Piece::End => return Ok(Some((data, trailers))),
                Piece::More => match source.next() {
                    Some(bytes) => input.extend_from_slice(bytes),
                    None => return Ok(None),
                },
            }
        }
    }

    #[test]
    fn chunks_are_read_however_they_are_cut() {
        let text = "5;ext=1\r\nhello\r\n1 \r\n!\r\n00\r\nx-sum: 6\r\ncontent-length: 9\r\n\r\n";
        for step in 1..=text.len() {
            let (data, trailers) = chunks(text, step).expect("good").expect("complete");
            assert_eq!(data, "hello!");
            assert_eq!(trailers.len(), 1, "fields that frame are dropped");
            assert_eq!(trailers["x-sum"], "6");
        }
        assert!(chunks(&text[..text.len() - 1], 9).expect("good").is_none());
    }

    #[test]
    fn faulty_chunks_are_refused() {
        for text in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "0x5\r\n",
            "5\r\nhello!\r\n",
            "5\nhello\r\n0\r\n\r\n",
            "1000000000000000\r\n",
            &"1".repeat(300),
            "0\r\nbad name: 1\r\n\r\n",
        ] {
            let read = chunks(text, 400);
            assert!(!matches!(read, Ok(Some(_))), "{text:?} gave {read:?}");
        }
        let fault = chunks(&"1".repeat(300), 400).expect_err("a line has a limit");
        let text = "the size of a chunk is not a hexadecimal number";
        assert_eq!(fault, WireFault(text));
    }
}
