//! A small HTTP server that answers every request in one way, well or badly.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// How it answers.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// With a status line, one more header, and a body.
    Answer(&'static str, String, String),
    /// 200, with counters that have grown by so many a second since it began.
    Growing(Vec<(String, u64)>),
    /// Never.
    Silence,
    /// With a good status and a body that never ends.
    Endless {
        /// Between two pieces.
        pause: Duration,
    },
}

impl Behaviour {
    /// The same, for a request that comes now.
    fn at(&self, since: Duration) -> Self {
        match self {
            Self::Growing(counters) => {
                let kind = "content-type: text/plain".to_owned();
                let grown = |per_second: u64| u128::from(per_second) * since.as_millis() / 1000;
                let lines = counters.iter();
                let lines =
                    lines.map(|(name, per_second)| format!("{name} {}\n", grown(*per_second)));
                Self::Answer("200 OK", kind, lines.collect())
            }
            other => other.clone(),
        }
    }
}

/// A server that runs until it is dropped.
pub struct Stub {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Stub {
    /// Begins to answer on a free port.
    pub async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&requests);
        let began = Instant::now();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (behaviour, heard) = (behaviour.at(began.elapsed()), Arc::clone(&heard));
                // An error means that the other side went away.
                tokio::spawn(async move { answer(stream, behaviour, &heard).await.ok() });
            }
        });
        Self {
            address,
            requests,
            task,
        }
    }

    /// One that answers 200 with this body.
    pub async fn saying(body: &str) -> Self {
        let kind = "content-type: text/plain".to_owned();
        Self::start(Behaviour::Answer("200 OK", kind, body.to_owned())).await
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The bodies of the requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    stream: TcpStream,
    behaviour: Behaviour,
    heard: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? <= 2 {
            break;
        }
        let line = line.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    heard.lock().unwrap().push(String::from_utf8(body).unwrap());
    match behaviour {
        Behaviour::Answer(status, header, body) => {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\n{header}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            stream.write_all(format!("{head}{body}").as_bytes()).await
        }
        Behaviour::Growing(_) => unreachable!("it is an answer by now"),
        Behaviour::Silence => std::future::pending().await,
        Behaviour::Endless { pause } => {
            let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
            stream.write_all(head).await?;
            loop {
                stream.write_all(&[b'x'; 1024]).await?;
                tokio::time::sleep(pause).await;
            }
        }
    }
}
