//! `cargo xtask bench rollback`: how long users meet a bad release after somebody typed
//! `pointsman rollback` inside the warm window.
//!
//! Measured from the start of the command to the last request that the bad release answered, with
//! real processes, real connections and the whole way through CLI, API, store, engine and router.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::cargo;

const ROUNDS: usize = 30;
const PROGRAM: &str = "target/release/pointsman";
const USERS: usize = 8;
/// Between two requests of a user.
const PAUSE: Duration = Duration::from_millis(5);
/// The p99 that is promised.
const ALLOWED: Duration = Duration::from_secs(1);
const GROUP: &str = r#"{"kind":"ServerGroup","service":"storefront","environment":"staging","size":4,"slices":2,"zones":["a","b"],"health":{"path":"/health","interval_ms":100,"timeout_ms":1000,"healthy_threshold":2,"unhealthy_threshold":3},"drain_seconds":5,"variables":{"SHOP_SERVER":"PROGRAM"}}"#;

/// Measures and prints.
///
/// # Errors
/// When a command fails, or the p99 is above a second.
pub fn run() -> Result<(), String> {
    println!("\n## From `pointsman rollback` to the last request on the bad release\n");
    cargo(&["build", "--release", "--quiet", "--package", "pointsman"])?;
    let world = World::start()?;
    let users = Users::start(&world.address()?);
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        times.push(world.round(&users)?);
    }
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    println!(
        "{ROUNDS} rounds: median {:.0?}, p90 {:.0?}, largest {:.0?}; {} requests, {} failed",
        at(50),
        at(90),
        at(100),
        users.count(),
        users.failed(),
    );
    if at(99) > ALLOWED {
        return Err(format!("the p99 is above {ALLOWED:?}"));
    }
    if users.failed() > 0 {
        return Err("requests failed".to_owned());
    }
    Ok(())
}

/// A control plane with the shop, in a folder of its own.
struct World {
    folder: PathBuf,
    program: PathBuf,
    server: Child,
}

impl World {
    fn start() -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("pointsman-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let program = Path::new(PROGRAM)
            .canonicalize()
            .map_err(|error| error.to_string())?;
        let server = Command::new(&program)
            .args(["server", "--listen", "127.0.0.1:0"])
            .arg("--data")
            .arg(folder.join("data"))
            .arg("--local-state")
            .arg(folder.join("cloud"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start {PROGRAM}: {error}"))?;
        let world = Self {
            folder,
            program,
            server,
        };
        world.until("the server answers", || {
            world.cli(&["team", "list"]).is_ok()
        })?;
        world.fill()?;
        Ok(world)
    }

    fn fill(&self) -> Result<(), String> {
        self.cli(&["apply", "-f", "examples/shop"])?;
        let manifest = self.folder.join("group.json");
        let program = self.program.display().to_string();
        std::fs::write(&manifest, GROUP.replace("PROGRAM", &program))
            .map_err(|error| error.to_string())?;
        self.cli(&["apply", "-f", &manifest.display().to_string()])?;
        for version in ["1.0.0", "1.1.0"] {
            let artifact = format!("examples/shop/releases/storefront/{version}");
            self.cli(&[
                "release",
                "create",
                "storefront",
                version,
                "--artifact",
                &artifact,
            ])?;
        }
        self.cli(&["deploy", "storefront", "1.0.0", "-e", "staging"])?;
        Ok(())
    }

    /// Moves all users to 1.1.0, rolls back, and says how long users still met it.
    fn round(&self, users: &Users) -> Result<Duration, String> {
        let deploy = [
            "deploy",
            "storefront",
            "1.1.0",
            "-e",
            "staging",
            "--no-wait",
        ];
        let strategy = ["--strategy", "blue-green", "--all-at-once", "--warm", "5m"];
        self.cli(&[&deploy[..], &strategy].concat())?;
        self.until("the old slice is warm", || {
            self.status()
                .is_ok_and(|status| status.contains("all users are on"))
        })?;
        let asked = Instant::now();
        self.cli(&[
            "rollback",
            "storefront",
            "-e",
            "staging",
            "--reason",
            "measured",
        ])?;
        self.until("the way back ends", || {
            self.status()
                .is_ok_and(|status| !status.contains("rolling_back"))
        })?;
        let last = users.last_met("1.1.0").ok_or_else(|| {
            let (asked, failed) = (users.count(), users.failed());
            format!("of {asked} answers none was of the bad release; {failed} connections broke")
        })?;
        Ok(last.saturating_duration_since(asked))
    }

    fn status(&self) -> Result<String, String> {
        self.cli(&["status", "storefront", "-e", "staging", "--output", "json"])
    }

    /// Host and port of the shop.
    fn address(&self) -> Result<String, String> {
        let status = self.status()?;
        let url = status
            .split("\"url\":")
            .nth(1)
            .and_then(|rest| rest.split('"').nth(1));
        let url = url.ok_or("the status names no address")?;
        let address = url.trim_start_matches("http://").trim_end_matches('/');
        Ok(address.to_owned())
    }

    fn cli(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(&self.program)
            .args(arguments)
            .env("POINTSMAN_DATA", self.folder.join("data"))
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("{arguments:?}: {error}"))
    }

    fn until(&self, what: &str, reached: impl Fn() -> bool) -> Result<(), String> {
        let started = Instant::now();
        while !reached() {
            if started.elapsed() > Duration::from_secs(60) {
                return Err(format!("{what}: not within a minute"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // The server first: it would start the one-machine cloud again.
        let _ = Command::new("kill")
            .arg(self.server.id().to_string())
            .status();
        let _ = self.server.wait();
        let stop = Command::new(&self.program)
            .args(["local", "--stop", "--state-dir"])
            .arg(self.folder.join("cloud"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        drop(stop);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Users who ask all the time, each on a connection of their own.
struct Users {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
}

#[derive(Default)]
struct Seen {
    last: std::collections::BTreeMap<String, Instant>,
    requests: u64,
    failed: u64,
}

impl Users {
    fn start(address: &str) -> Self {
        let users = Self {
            seen: Arc::default(),
            stop: Arc::default(),
        };
        for _ in 0..USERS {
            let (seen, stop) = (Arc::clone(&users.seen), Arc::clone(&users.stop));
            let host = address.to_owned();
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if ask(&host, &seen, &stop).is_err() && !stop.load(Ordering::Relaxed) {
                        lock(&seen).failed += 1;
                    }
                }
            });
        }
        users
    }

    fn last_met(&self, release: &str) -> Option<Instant> {
        lock(&self.seen).last.get(release).copied()
    }

    fn count(&self) -> u64 {
        lock(&self.seen).requests
    }

    fn failed(&self) -> u64 {
        lock(&self.seen).failed
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Asks on one connection until it breaks or the users stop.
fn ask(host: &str, seen: &Mutex<Seen>, stop: &AtomicBool) -> std::io::Result<()> {
    let port = host.rsplit(':').next().unwrap_or_default();
    let port = port.parse::<u16>().map_err(std::io::Error::other)?;
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n");
    let mut reader = BufReader::new(stream.try_clone()?);
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(request.as_bytes())?;
        let (mut release, mut length, mut line) = (String::new(), 0, String::new());
        reader.read_line(&mut line)?;
        let ok = line.starts_with("HTTP/1.1 200");
        loop {
            line.clear();
            if reader.read_line(&mut line)? <= 2 {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            match name.to_ascii_lowercase().as_str() {
                "x-release" => release = value.trim().to_owned(),
                "content-length" => length = value.trim().parse().unwrap_or(0),
                _ => {}
            }
        }
        std::io::copy(
            &mut std::io::Read::take(&mut reader, length),
            &mut std::io::sink(),
        )?;
        let mut seen = lock(seen);
        seen.requests += 1;
        seen.failed += u64::from(!ok);
        seen.last.insert(release, Instant::now());
        drop(seen);
        thread::sleep(PAUSE);
    }
    Ok(())
}
