//! The program of the example shop (`examples/shop`): a small HTTP/1.1 server that tells which
//! release it is.
//!
//! Invariant: standard library only (but for the digest of a WebSocket's handshake), and nothing of
//! the control plane is used here but its exit codes. It is in this
//! binary so that one `cargo build` makes all that the demo needs (`examples/shop/README.md`).

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

mod echo;

use cli::failure::Exit;

/// Connections served at once; one more is answered with 503.
const CONNECTIONS_MAX: usize = 512;
/// Longest request head, in bytes.
const HEAD_LEN_MAX: u64 = 16 * 1024;
/// Longest request body that is read and dropped, in bytes.
const BODY_LEN_MAX: u64 = 1024 * 1024;
/// A connection that says nothing for this long is closed. Far above what a router keeps idle, so
/// that never both sides act at once.
const IDLE_MAX: Duration = Duration::from_secs(600);
/// Longest answer of `/slow`, in milliseconds.
const SLOW_MS_MAX: u64 = 60_000;
/// Most events of one `/events` stream.
const EVENTS_MAX: u64 = 10_000;

/// What the release folder says.
struct Release {
    service: String,
    version: String,
    broken: String,
    /// What every page does instead of its work: `missing`, `hang` or `cut`.
    fault: String,
    /// So many of a hundred requests for pages fail.
    errors_percent: u64,
    /// Every page takes so long.
    delay: Duration,
    price_cents: u64,
    /// Requests for pages so far, so that exactly the share fails.
    pages: AtomicU64,
}

/// Serves the release in the current folder on `PORT`, until the process is ended.
#[must_use]
pub fn run() -> Exit {
    match serve() {
        Ok(()) => Exit::Ok,
        Err(error) => {
            eprintln!("shop-server: {error}");
            Exit::NotReached
        }
    }
}

fn serve() -> io::Result<()> {
    let release = Arc::new(Release::read("release.env")?);
    if release.broken == "boot" {
        return Err(io::Error::other("this release is broken: it does not boot"));
    }
    let port: u16 = env::var("PORT")
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| io::Error::other("PORT is not set to a port number"))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    println!("{} {} listens on {port}", release.service, release.version);
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        match stream {
            Ok(stream) => accept(stream, &release, &open),
            // Out of file descriptors, or the peer is gone already: the next one may do.
            Err(error) => eprintln!("shop-server: accept: {error}"),
        }
    }
    Ok(())
}

fn accept(stream: TcpStream, release: &Arc<Release>, open: &Arc<AtomicUsize>) {
    let (release, open) = (Arc::clone(release), Arc::clone(open));
    let full = open.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS_MAX;
    let counter = Arc::clone(&open);
    let spawned = thread::Builder::new()
        .stack_size(128 * 1024)
        .spawn(move || {
            // An error here means that the peer went away; there is nobody left to tell.
            let _ = if full {
                refuse(stream)
            } else {
                converse(stream, &release)
            };
            open.fetch_sub(1, Ordering::Relaxed);
        });
    if let Err(error) = spawned {
        counter.fetch_sub(1, Ordering::Relaxed);
        eprintln!("shop-server: thread: {error}");
    }
}

fn refuse(stream: TcpStream) -> io::Result<()> {
    Reply::text(503, "too many connections\n").write(&stream, true)
}

/// Answers one request after the other on one connection.
fn converse(stream: TcpStream, release: &Release) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE_MAX))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(request) = Request::read(&mut reader)? {
        let close = request.close;
        if request.path == "/events" {
            return events(&stream, request.number("count", 10, EVENTS_MAX));
        }
        if let Some(key) = request
            .websocket_key
            .as_deref()
            .filter(|_| request.path == "/echo")
        {
            return echo::converse(&stream, &mut reader, key);
        }
        if is_page(&request) && release.fault == "cut" {
            return cut(&stream);
        }
        answer(&request, release).write(&stream, close)?;
        if close {
            return Ok(());
        }
    }
    Ok(())
}

fn is_page(request: &Request) -> bool {
    matches!(request.path.as_str(), "/" | "/price")
}

/// Promises an answer, and breaks off in the middle of it.
fn cut(mut stream: &TcpStream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nthe beginning\n")
}

fn answer(request: &Request, release: &Release) -> Reply {
    let Release {
        service, version, ..
    } = release;
    let broken = release.broken == "health";
    if is_page(request) {
        match release.fault.as_str() {
            "missing" => return Reply::text(404, "no such page\n").with_version(version),
            "hang" => thread::sleep(Duration::from_millis(SLOW_MS_MAX)),
            _ => {}
        }
        if release.fails_a_page() {
            return Reply::text(500, "something went wrong\n").with_version(version);
        }
    }
    let answer = match request.path.as_str() {
        "/health" if broken => Reply::text(503, "broken\n"),
        "/health" => Reply::text(200, "ok\n"),
        "/version" => Reply::text(
            200,
            &format!("{{\"service\":\"{service}\",\"version\":\"{version}\"}}\n"),
        ),
        "/" if broken => Reply::text(500, "this release is broken\n"),
        "/" => Reply::text(200, &format!("{service} {version}\n")),
        "/price" => Reply::json(&format!(
            "{{\"item\":\"train set\",\"price_cents\":{},\"currency\":\"EUR\",\"served_at\":{}}}\n",
            release.price_cents,
            unix_ms(),
        )),
        "/slow" => {
            thread::sleep(Duration::from_millis(request.number(
                "ms",
                200,
                SLOW_MS_MAX,
            )));
            Reply::text(200, &format!("{service} {version}, slowly\n"))
        }
        _ => Reply::text(404, "no such page\n"),
    };
    answer.with_version(version)
}

fn unix_ms() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis())
}

/// A stream of server-sent events, one every 100 ms, then the end.
fn events(mut stream: &TcpStream, count: u64) -> io::Result<()> {
    stream.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\nconnection: close\r\n\r\n",
    )?;
    for number in 1..=count {
        stream.write_all(format!("id: {number}\ndata: tick {number}\n\n").as_bytes())?;
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

struct Request {
    path: String,
    query: BTreeMap<String, String>,
    close: bool,
    /// Of a request for a WebSocket.
    websocket_key: Option<String>,
}

impl Request {
    /// The next request with its body dropped; `None` when the peer is done.
    fn read(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let mut head = reader.by_ref().take(HEAD_LEN_MAX);
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut request = Self::of_line(&line)?;
        let mut body_len = 0;
        loop {
            line.clear();
            if head.read_line(&mut line)? == 0 {
                return Err(io::Error::other("the head ended early or is too long"));
            }
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "connection" if value.eq_ignore_ascii_case("close") => request.close = true,
                "sec-websocket-key" => request.websocket_key = Some(value.to_owned()),
                "content-length" => body_len = value.parse().map_err(io::Error::other)?,
                "transfer-encoding" => return Err(io::Error::other("chunked bodies not taken")),
                _ => {}
            }
        }
        drop_body(reader, body_len)?;
        Ok(Some(request))
    }

    fn of_line(line: &str) -> io::Result<Self> {
        let mut words = line.split_whitespace();
        let (Some(_), Some(target), Some(protocol)) = (words.next(), words.next(), words.next())
        else {
            return Err(io::Error::other("this is not HTTP/1.1"));
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        Ok(Self {
            path: path.to_owned(),
            query: pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            close: protocol == "HTTP/1.0",
            websocket_key: None,
        })
    }

    /// A number of the query, at most `max`.
    fn number(&self, name: &str, default: u64, max: u64) -> u64 {
        let number = self.query.get(name).and_then(|text| text.parse().ok());
        number.unwrap_or(default).min(max)
    }
}

fn drop_body(reader: &mut BufReader<TcpStream>, len: u64) -> io::Result<()> {
    if len > BODY_LEN_MAX {
        return Err(io::Error::other("the body is too long"));
    }
    let dropped = io::copy(&mut reader.take(len), &mut io::sink())?;
    if dropped < len {
        return Err(io::Error::other("the body ended early"));
    }
    Ok(())
}

struct Reply {
    status: u16,
    media_type: &'static str,
    body: String,
    version: Option<String>,
}

impl Reply {
    fn text(status: u16, body: &str) -> Self {
        Self {
            status,
            media_type: "text/plain",
            body: body.to_owned(),
            version: None,
        }
    }

    fn json(body: &str) -> Self {
        Self {
            media_type: "application/json",
            ..Self::text(200, body)
        }
    }

    fn with_version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }

    fn write(&self, mut stream: &TcpStream, close: bool) -> io::Result<()> {
        let reason = match self.status {
            200 => "OK",
            404 => "Not Found",
            500 => "Internal Server Error",
            _ => "Service Unavailable",
        };
        let version = match &self.version {
            Some(version) => format!("x-release: {version}\r\n"),
            None => String::new(),
        };
        let connection = if close { "connection: close\r\n" } else { "" };
        let answer = format!(
            "HTTP/1.1 {} {reason}\r\ncontent-type: {}\r\ncontent-length: {}\r\n{version}{connection}\r\n{}",
            self.status,
            self.media_type,
            self.body.len(),
            self.body
        );
        stream.write_all(answer.as_bytes())
    }
}

impl Release {
    fn read(path: &str) -> io::Result<Self> {
        let text = fs::read_to_string(path)
            .map_err(|error| io::Error::other(format!("{path} cannot be read: {error}")))?;
        Ok(Self::of(&text))
    }

    fn of(text: &str) -> Self {
        let settings: BTreeMap<&str, &str> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim()))
            .collect();
        let setting = |name: &str| (*settings.get(name).unwrap_or(&"")).to_owned();
        let number = |name: &str, otherwise| {
            let number = settings.get(name).and_then(|text| text.parse().ok());
            number.unwrap_or(otherwise)
        };
        Self {
            service: setting("SERVICE"),
            version: setting("VERSION"),
            broken: setting("BROKEN"),
            fault: setting("FAULT"),
            errors_percent: number("ERRORS_PERCENT", 0).min(100),
            delay: Duration::from_millis(number("DELAY_MS", 0).min(SLOW_MS_MAX)),
            price_cents: number("PRICE_CENTS", 4999),
            pages: AtomicU64::new(0),
        }
    }

    /// Counts a page; every so many fail, evenly.
    fn fails_a_page(&self) -> bool {
        thread::sleep(self.delay);
        let nth = self.pages.fetch_add(1, Ordering::Relaxed);
        let failed_until = |n: u64| n * self.errors_percent / 100;
        failed_until(nth + 1) > failed_until(nth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_file_decides_what_is_answered() {
        let good = Release::of("# a comment\nSERVICE=cart\nVERSION = 1.0.0\n");
        let broken = Release::of("SERVICE=cart\nVERSION=1.2.0\nBROKEN=health\n");
        let ask = |path: &str, release: &Release| {
            let request = Request::of_line(&format!("GET {path} HTTP/1.1")).expect("a request");
            let answer = answer(&request, release);
            (answer.status, answer.body)
        };
        assert_eq!(ask("/", &good), (200, "cart 1.0.0\n".to_owned()));
        assert_eq!(ask("/health?x=1", &good).0, 200);
        assert_eq!(ask("/health", &broken).0, 503);
        assert_eq!(ask("/", &broken).0, 500);
        assert_eq!(ask("/nothing", &good).0, 404);
        assert!(ask("/price", &good).1.contains("\"price_cents\":4999,"));
        let cheap = Release::of("SERVICE=cart\nVERSION=1.5.0\nPRICE_CENTS=1\n");
        assert!(ask("/price", &cheap).1.contains("\"price_cents\":1,"));
        let flaky = Release::of("SERVICE=cart\nVERSION=1.3.0\nERRORS_PERCENT=20\n");
        let failed = (0..100).filter(|_| ask("/", &flaky).0 == 500).count();
        assert_eq!(failed, 20);
        assert_eq!(ask("/health", &flaky).0, 200);
    }
}
