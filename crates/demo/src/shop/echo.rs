//! `/echo`: a WebSocket that says back what it hears (RFC 6455), for small messages in one frame.

use std::{
    io::{self, BufRead, Write},
    net::TcpStream,
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha1::{Digest, Sha1};

/// RFC 6455, section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Longest message, in bytes: as much as fits into the short form of a frame's length.
const MESSAGE_LEN_MAX: u8 = 125;
const LAST_FRAME: u8 = 0x80;
const MASKED: u8 = 0x80;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// Answers the handshake, and then every message, until the other side closes.
pub(super) fn converse(
    mut stream: &TcpStream,
    reader: &mut impl BufRead,
    key: &str,
) -> io::Result<()> {
    let accept = BASE64_STANDARD.encode(Sha1::digest(format!("{key}{GUID}")));
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
    )?;
    loop {
        let mut head = [0; 2];
        reader.read_exact(&mut head)?;
        let (opcode, length) = (head[0] & 0x0F, head[1] & !MASKED);
        if head[0] & LAST_FRAME == 0 || head[1] & MASKED == 0 || length > MESSAGE_LEN_MAX {
            return Err(io::Error::other(
                "a frame that this small server does not take",
            ));
        }
        let mut mask = [0; 4];
        reader.read_exact(&mut mask)?;
        let mut message = vec![0; usize::from(length)];
        reader.read_exact(&mut message)?;
        for (byte, mask) in message.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        let answer = if opcode == PING { PONG } else { opcode };
        let mut frame = vec![LAST_FRAME | answer, length];
        frame.extend(message);
        stream.write_all(&frame)?;
        if opcode == CLOSE {
            return Ok(());
        }
    }
}
