//! A WebSocket client of a few lines (RFC 6455), for small messages in one frame.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::World;

/// The key and the answer to it of RFC 6455, section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const MASK: [u8; 4] = [1, 2, 3, 4];
const TEXT: u8 = 0x81;

/// An open socket to the shop's `/echo`.
pub struct WebSocket(TcpStream);

impl WebSocket {
    /// Opens one through the router.
    pub async fn open(world: &World) -> Self {
        let status = world.status().await;
        let url = status["url"].as_str().expect("an address");
        let host = url.trim_start_matches("http://");
        let port: u16 = host
            .rsplit(':')
            .next()
            .and_then(|p| p.parse().ok())
            .expect("a port");
        let mut stream = TcpStream::connect(("127.0.0.1", port))
            .await
            .expect("connected");
        let request = format!(
            "GET /echo HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer"));
        }
        let head = String::from_utf8(head).expect("text").to_lowercase();
        assert!(head.starts_with("http/1.1 101"), "{head}");
        assert!(head.contains(&ACCEPT.to_lowercase()), "{head}");
        Self(stream)
    }

    /// Says a word, and gives what comes back.
    pub async fn echo(&mut self, word: &str) -> String {
        let length = u8::try_from(word.len()).expect("a short word");
        let mut frame = vec![TEXT, 0x80 | length];
        frame.extend(MASK);
        frame.extend(
            word.bytes()
                .zip(MASK.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        self.0.write_all(&frame).await.expect("sent");
        let mut head = [0; 2];
        self.0.read_exact(&mut head).await.expect("an answer");
        let mut heard = vec![0; usize::from(head[1])];
        self.0.read_exact(&mut heard).await.expect("an answer");
        assert_eq!(head[0], TEXT);
        String::from_utf8(heard).expect("text")
    }
}
