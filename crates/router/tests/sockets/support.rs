//! A router, scripted instances that speak bytes, and a client that does.

use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use domain::{catalogue::Stickiness, observation::InstanceId, slice::Slice};
use router::{
    Backend, Limits, Route, Router, RouterConfig, SliceRoute, Sticky, Table,
    pass::{KEY_LEN, PassKey},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::timeout,
};

/// The host that every test asks for.
pub const HOST: &str = "shop.staging.localhost";
/// No condition in these tests takes longer than this.
pub const LONG: Duration = Duration::from_secs(20);

/// A router with `limits` whose only host has all of `backends` in one slice.
pub fn router_with(limits: Limits, backends: &[&Arc<Backend>]) -> Router {
    let threads = std::num::NonZeroUsize::new(2);
    let config = RouterConfig {
        threads,
        limits,
        ..RouterConfig::default()
    };
    let router = Router::start(config).expect("a free port");
    router.publish(table(&[(Slice::Blue, 100, backends)]));
    router
}

pub fn router(backends: &[&Arc<Backend>]) -> Router {
    router_with(Limits::default(), backends)
}

/// A table with one host, whose users are sent by chance.
pub fn table(slices: &[(Slice, u8, &[&Arc<Backend>])]) -> Table {
    table_with(None, slices)
}

/// A table with one host, whose users are recognised by `sticky`.
pub fn table_with(sticky: Option<Stickiness>, slices: &[(Slice, u8, &[&Arc<Backend>])]) -> Table {
    let slices = slices.iter().map(|(slice, weight, backends)| SliceRoute {
        slice: *slice,
        weight: *weight,
        backends: backends.iter().map(|backend| Arc::clone(backend)).collect(),
    });
    let route = Route {
        slices: slices.collect(),
        sticky: sticky
            .and_then(|by| Sticky::new("shop.staging", &by, &PassKey::from_bytes([7; KEY_LEN]))),
        ..Route::default()
    };
    Table {
        hosts: HashMap::from([("shop.staging".to_owned(), route)]),
    }
}

/// Bytes to and from a peer. Every wait is bounded.
pub struct Wire(pub BufReader<TcpStream>);

impl Wire {
    pub async fn to(router: &Router) -> Self {
        let stream = TcpStream::connect(router.local_addr())
            .await
            .expect("the router accepts");
        Self(BufReader::new(stream))
    }

    pub async fn say(&mut self, text: &str) {
        self.0
            .get_mut()
            .write_all(text.as_bytes())
            .await
            .expect("the peer listens");
    }

    /// A line with its end; empty at the end of the stream.
    pub async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = timeout(LONG, self.0.read_line(&mut line))
            .await
            .expect("a line in time");
        read.map_or_else(|_| String::new(), |_| line)
    }

    /// A head with the empty line after it; less when the stream ends first.
    pub async fn head(&mut self) -> String {
        let mut head = String::new();
        loop {
            let line = self.line().await;
            head.push_str(&line);
            if line.is_empty() || line == "\r\n" {
                return head.to_ascii_lowercase();
            }
        }
    }

    pub async fn exactly(&mut self, len: usize) -> String {
        let mut bytes = vec![0; len];
        let read = timeout(LONG, self.0.read_exact(&mut bytes))
            .await
            .expect("bytes in time");
        read.expect("the stream goes on");
        String::from_utf8(bytes).expect("text")
    }

    /// All until the peer closes.
    pub async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let _ = timeout(LONG, self.0.read_to_end(&mut bytes))
            .await
            .expect("an end in time");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A request's or an answer's head and body with a `Content-Length`.
    pub async fn message(&mut self) -> (String, String) {
        let head = self.head().await;
        let len = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let len = len.map_or(0, |len| len.parse().expect("a number"));
        let body = self.exactly(len).await;
        (head, body)
    }

    /// One GET on this connection; gives status and body.
    pub async fn get(&mut self, path: &str) -> (u16, String) {
        let (head, body) = self.get_with(path, "").await;
        (status(&head), body)
    }

    /// One GET with more header fields, each with its line end; gives head and body.
    pub async fn get_with(&mut self, path: &str, fields: &str) -> (String, String) {
        self.say(&format!(
            "GET {path} HTTP/1.1\r\nhost: {HOST}\r\n{fields}\r\n"
        ))
        .await;
        self.message().await
    }
}

pub fn status(head: &str) -> u16 {
    let code = head
        .split(' ')
        .nth(1)
        .unwrap_or_else(|| panic!("no status in {head:?}"));
    code.parse().expect("a number")
}

/// Says `text` on a new connection and gives all that comes until the router closes.
pub async fn ask(router: &Router, text: &str) -> String {
    let mut wire = Wire::to(router).await;
    wire.say(text).await;
    wire.rest().await
}

/// One GET on a connection of its own.
pub async fn get(router: &Router, path: &str) -> (u16, String) {
    Wire::to(router).await.get(path).await
}

/// An instance that can be killed.
pub struct Instance {
    pub backend: Arc<Backend>,
    task: JoinHandle<()>,
}

impl Instance {
    /// Every connection is handed to `script`, with its number from 0.
    pub async fn scripted<F, Fut>(name: &str, script: F) -> Self
    where
        F: Fn(usize, Wire) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let (stream, _) = listener.accept().await.expect("a connection");
                stream.set_nodelay(true).expect("a TCP option");
                connections.spawn(script(number, Wire(BufReader::new(stream))));
            }
        });
        Self {
            backend: Backend::new(InstanceId(name.to_owned()), address),
            task,
        }
    }

    /// Answers every request with its name, after `pause`.
    pub async fn named(name: &str, pause: Duration) -> Self {
        let body = name.to_owned();
        Self::scripted(name, move |_, mut wire| {
            let body = body.clone();
            async move {
                while !wire.message().await.0.is_empty() {
                    tokio::time::sleep(pause).await;
                    let len = body.len();
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {len}\r\n\r\n");
                    if wire
                        .0
                        .get_mut()
                        .write_all((head + &body).as_bytes())
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
            }
        })
        .await
    }

    /// Closes the listener and every connection at once, as `kill -9` does.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// An address where nobody listens.
pub async fn nobody(name: &str) -> Arc<Backend> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    Backend::new(InstanceId(name.to_owned()), address)
}

/// Waits until `condition` holds.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(LONG, wait)
        .await
        .unwrap_or_else(|_| panic!("waited in vain: {what}"));
}
