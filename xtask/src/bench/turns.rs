//! Two servers asked in turns by one client: whatever else the machine does hits both alike, so that
//! the difference of their latencies means something on a busy machine too.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use super::load::{HOST, Server};

/// Requests to one server before it is the other's turn.
const BLOCK: usize = 20;
/// An answer that takes longer than this breaks the measurement.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// The 50th and the 99th percentile of a server's latency, in microseconds, and how many requests
/// there were.
#[derive(Clone, Copy)]
pub(super) struct Latency {
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) requests: usize,
}

/// Asks two servers in turns for as long as `length`.
///
/// # Errors
/// When a server does not answer.
pub(super) fn in_turns(servers: [&Server; 2], length: Duration) -> Result<[Latency; 2], String> {
    let mut asked = Vec::new();
    for server in servers {
        asked.push(Asked::connect(server)?);
    }
    let begun = Instant::now();
    while begun.elapsed() < length {
        for asked in &mut asked {
            for _ in 0..BLOCK {
                asked.ask()?;
            }
        }
    }
    let mut latencies = asked.into_iter().map(Asked::latency);
    match (latencies.next(), latencies.next()) {
        (Some(one), Some(two)) => Ok([one, two]),
        _ => Err("there are two servers".to_owned()),
    }
}

/// A kept-alive connection, and how long each answer took.
struct Asked {
    name: &'static str,
    stream: BufReader<TcpStream>,
    took: Vec<Duration>,
}

impl Asked {
    fn connect(server: &Server) -> Result<Self, String> {
        let connect = || {
            let stream = TcpStream::connect(("127.0.0.1", server.port))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(ANSWER_MAX))?;
            std::io::Result::Ok(BufReader::new(stream))
        };
        let stream = connect().map_err(|error| format!("{}: {error}", server.name))?;
        Ok(Self {
            name: server.name,
            stream,
            took: Vec::new(),
        })
    }

    fn ask(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        self.answer()
            .map_err(|error| format!("{} did not answer: {error}", self.name))?;
        self.took.push(begun.elapsed());
        Ok(())
    }

    fn answer(&mut self) -> std::io::Result<()> {
        let request = format!("GET /small HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (mut line, mut length) = (String::new(), 0);
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let field = line.trim_end().to_ascii_lowercase();
            if let Some(value) = field.strip_prefix("content-length: ") {
                length = value.parse().map_err(std::io::Error::other)?;
            }
            if field.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)
    }

    fn latency(mut self) -> Latency {
        self.took.sort_unstable();
        let requests = self.took.len();
        let at = |percent: usize| {
            let took = self.took.get(requests * percent / 100);
            took.map_or(0.0, |took| took.as_secs_f64() * 1e6)
        };
        Latency {
            p50_us: at(50),
            p99_us: at(99),
            requests,
        }
    }
}
