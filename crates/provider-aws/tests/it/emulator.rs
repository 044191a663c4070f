//! The emulated AWS of the tests: a process of our own on loopback, on a free port, and its controls.
//!
//! Nothing of it stands in for our own code: the real provider talks to it over HTTP, with the official
//! clients.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use domain::{catalogue::Account, time::UnixMs};
use engine::ports::Clock;
use provider_aws::{Credentials, Settings};
use serde_json::{Value, json};

/// An emulated AWS; it ends with this value.
#[derive(Debug)]
pub struct Emulator {
    process: Child,
    port: u16,
    clock: EmulatedClock,
}

/// The emulator's clock, which stands still unless told.
#[derive(Debug, Clone, Default)]
pub struct EmulatedClock(Arc<AtomicI64>);

impl Clock for EmulatedClock {
    fn now(&self) -> UnixMs {
        UnixMs(self.0.load(Ordering::SeqCst))
    }
    fn steady_ms(&self) -> u64 {
        self.now().since_ms(UnixMs(0))
    }
}

/// Looks as often as the test likes, and believes what it sees: the clock stands still meanwhile.
pub fn settings() -> Settings {
    let nobody = Credentials::new("emulated", "emulated", None, None, "tests");
    Settings {
        poll_every: Duration::ZERO,
        poll_soonest: Duration::ZERO,
        consistency_ms: 0,
        rate_limited: false,
        credentials: Some(nobody),
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/emulator")
}

/// A Python with what the emulator needs, installed once per target folder.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let script = folder().join("install.sh");
        let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("emulator");
        let output = Command::new("bash").arg(script).arg(&venv).output();
        let output = output.expect("bash runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success(),
            "the emulator cannot be installed: {said}"
        );
        venv.join("bin/python")
    })
}

/// What the emulator was made for is tested where it lives.
#[test]
fn the_emulated_aws_follows_its_rules() {
    let output = Command::new(python())
        .args(["-m", "unittest", "discover", "--start-directory", "."])
        .current_dir(folder())
        .output()
        .expect("Python runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let some = said
        .lines()
        .any(|line| line.starts_with("Ran ") && !line.starts_with("Ran 0"));
    assert!(some, "{said}");
}

impl Emulator {
    /// Starts one whose clock stands still.
    pub fn start(seed: u64) -> Self {
        let mut process = Command::new(python())
            .arg(folder().join("emulator.py"))
            .args(["--host", "127.0.0.1", "--port", "0", "--clock", "manual"])
            .args(["--seed", &seed.to_string()])
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .expect("the emulator starts");
        let stdout = process.stdout.take().expect("its output is read");
        let mut lines = BufReader::new(stdout).lines();
        let ready = lines
            .next()
            .expect("it says that it is ready")
            .expect("in text");
        let port = ready
            .strip_prefix("ready ")
            .and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("the emulator said {ready:?}"));
        // Nobody reads on; its pipe must not fill up.
        std::thread::spawn(move || lines.for_each(drop));
        let emulator = Self {
            process,
            port,
            clock: EmulatedClock::default(),
        };
        emulator.advance(0);
        emulator
    }

    /// An account that is this emulator.
    pub fn account(&self) -> Account {
        let account = json!({
            "name": "emulated", "provider": "aws", "region": "us-east-1",
            "endpoint_url": format!("http://127.0.0.1:{}", self.port),
            "package_bucket": "packages",
        });
        serde_json::from_value(account).expect("it is an account")
    }

    /// Its clock.
    pub fn clock(&self) -> EmulatedClock {
        self.clock.clone()
    }

    /// Lets time pass there.
    pub fn advance(&self, ms: u64) {
        let answer = self.control("clock", &json!({ "advance_ms": ms }));
        let now = answer["now_ms"].as_i64().expect("it says what time it is");
        self.clock.0.store(now, Ordering::SeqCst);
    }

    /// Changes how long things take, and who dies among equals.
    pub fn settings(&self, settings: &Value) {
        self.control("settings", settings);
    }

    /// What it knows to be true of a group, whatever it shows.
    pub fn truth(&self, group: &str) -> Value {
        self.ask(
            "GET",
            &format!("/control/group?name={group}&region=us-east-1"),
            "",
        )
    }

    /// All that happened to a group.
    pub fn log(&self, group: &str) -> Vec<Value> {
        let log = self.ask("GET", &format!("/control/log?group={group}"), "");
        log.as_array().cloned().unwrap_or_default()
    }

    /// Asks one of its controls for something.
    pub fn control(&self, what: &str, body: &Value) -> Value {
        self.ask("POST", &format!("/control/{what}"), &body.to_string())
    }

    /// Asks one of its controls what it knows.
    pub fn get(&self, path: &str) -> Value {
        self.ask("GET", path, "")
    }

    /// Drops a group from its memory.
    pub fn forget(&self, group: &str) {
        self.control("forget", &json!({ "group": group }));
    }

    /// Runs a Python script of the emulator's folder against it.
    pub fn script(&self, name: &str, arguments: &[&str]) {
        let output = Command::new(python())
            .arg(folder().join(name))
            .args(["--endpoint", &format!("http://127.0.0.1:{}", self.port)])
            .args(arguments)
            .output()
            .expect("Python runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{name}: {said}");
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        let limit = Some(Duration::from_secs(60));
        stream.set_read_timeout(limit).expect("a limit can be set");
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream
            .write_all(request.as_bytes())
            .expect("it takes the request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        assert!(head.contains(" 200 "), "{method} {path}: {answer}");
        serde_json::from_str(body).unwrap_or(Value::Null)
    }
}
