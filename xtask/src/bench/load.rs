//! What the benches of the router share: servers that end, `wrk`, and CPU time.
//!
//! Invariant: everything that was started is ended, also after an error; only loopback is used.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The host that our router routes; the others do not mind.
pub(super) const HOST: &str = "shop.staging.localhost";
/// The kernel's clock ticks per second in `/proc/PID/stat` (`getconf CLK_TCK`, 100 on Linux).
const TICKS_PER_SECOND: f64 = 100.0;
/// How long a server may take to listen.
const START_MAX: Duration = Duration::from_secs(10);

/// How many threads a proxy has, and whether it has core 0 for itself while the rest uses core 1.
#[derive(Clone, Copy)]
pub(super) struct Setup {
    pub(super) threads: usize,
    pub(super) pinned: bool,
}

/// One thing to ask: the backend itself or a proxy before it.
pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) port: u16,
    child: Child,
    /// The backend, which is asked directly and whose CPU time is nobody's concern.
    pub(super) is_backend: bool,
}

impl Drop for Server {
    fn drop(&mut self) {
        // TERM, so that nginx ends its workers too; by pid, because it is ours.
        let _ = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        let _ = self.child.wait();
    }
}

/// A temporary folder that goes away.
pub(super) struct Folder {
    pub(super) path: PathBuf,
}

impl Folder {
    pub(super) fn new() -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("bench-router-{}", std::process::id()));
        let folder = Self { path };
        write(&folder.path.join("www/small"), &[b'x'; 1024])?;
        write(&folder.path.join("www/large"), &vec![b'x'; 1 << 20])?;
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), String> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let done = fs::create_dir_all(folder).and_then(|()| fs::write(path, content));
    done.map_err(|error| format!("could not write {}: {error}", path.display()))
}

/// Installs the Debian packages that are missing.
pub(super) fn install() -> Result<(), String> {
    let is_missing = |tool: &&str| find(tool).is_none();
    let missing: Vec<_> = ["nginx", "haproxy", "wrk"]
        .into_iter()
        .filter(is_missing)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {}", missing.join(", "));
    succeed(Command::new("apt-get").args(["update", "-qq"]))?;
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    succeed(
        command
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(missing),
    )
}

fn find(tool: &str) -> Option<PathBuf> {
    let folders = [
        "/usr/sbin",
        "/usr/bin",
        "/usr/local/sbin",
        "/usr/local/bin",
        "/sbin",
        "/bin",
    ];
    folders
        .iter()
        .map(|folder| Path::new(folder).join(tool))
        .find(|path| path.exists())
}

fn succeed(command: &mut Command) -> Result<(), String> {
    match command.stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?} ended with {status}")),
        Err(error) => Err(format!("could not run {command:?}: {error}")),
    }
}

/// Builds the example that runs a router with a fixed table, and says where it is.
pub(super) fn build_router() -> Result<PathBuf, String> {
    println!("building the router (release)");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args([
        "build",
        "--release",
        "--quiet",
        "-p",
        "router",
        "--example",
        "router",
    ]);
    succeed(&mut command)?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    );
    Ok(target.join("release/examples/router"))
}

pub(super) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener
        .map(|address| address.port())
        .map_err(|error| format!("no free port: {error}"))
}

/// A command for `program`, on one core when `core` is given.
fn pinned(core: Option<u32>, program: &str) -> Command {
    let program = find(program).unwrap_or_else(|| PathBuf::from(program));
    let Some(core) = core else {
        return Command::new(program);
    };
    let mut command = Command::new("taskset");
    command.arg("-c").arg(core.to_string()).arg(program);
    command
}

/// Starts a server and waits until it listens; `direct` is the name of the backend.
pub(super) fn start(
    name: &'static str,
    port: u16,
    core: Option<u32>,
    program: &str,
    arguments: &[String],
) -> Result<Server, String> {
    let child = pinned(core, program)
        .args(arguments)
        .stdout(Stdio::null())
        .spawn();
    let child = child.map_err(|error| format!("could not start {name}: {error}"))?;
    let server = Server {
        name,
        port,
        child,
        is_backend: name == "direct",
    };
    until_listening(&server).map(|()| server)
}

fn until_listening(server: &Server) -> Result<(), String> {
    let address = SocketAddr::from(([127, 0, 0, 1], server.port));
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        if begun.elapsed() > START_MAX {
            return Err(format!("{} did not listen within 10 s", server.name));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// What one run showed.
#[derive(Clone, Copy, Default)]
pub(super) struct Sample {
    pub(super) per_second: f64,
    pub(super) cpu_us: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
}

/// A kind of load: the path and the number of connections.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Load {
    pub(super) path: &'static str,
    pub(super) connections: u32,
}

pub(super) fn median_of(samples: &[Sample]) -> Sample {
    let median = |of: fn(&Sample) -> f64| {
        let mut values: Vec<_> = samples.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Sample {
        per_second: median(|sample| sample.per_second),
        cpu_us: median(|sample| sample.cpu_us),
        p50_us: median(|sample| sample.p50_us),
        p99_us: median(|sample| sample.p99_us),
    }
}

/// Runs `wrk` once. An answer that is not 200, or a socket error, is an error here.
pub(super) fn wrk(
    server: &Server,
    load: Load,
    seconds: u32,
    setup: Setup,
) -> Result<Sample, String> {
    match wrk_whatever(server, load, seconds, setup)? {
        (sample, None) => Ok(sample),
        (_, Some(text)) => Err(format!("{} failed under wrk:\n{text}", server.name)),
    }
}

/// Runs `wrk` once. What it printed comes along when an answer was not 200, or none came in time.
pub(super) fn wrk_whatever(
    server: &Server,
    load: Load,
    seconds: u32,
    setup: Setup,
) -> Result<(Sample, Option<String>), String> {
    let mut command = pinned(setup.pinned.then_some(1), "wrk");
    command
        .args(["-t1", "--latency", "-H"])
        .arg(format!("Host: {HOST}"));
    command
        .arg(format!("-c{}", load.connections))
        .arg(format!("-d{seconds}s"));
    command.arg(format!("http://127.0.0.1:{}/{}", server.port, load.path));
    let before = cpu_seconds(server)?;
    let output = command
        .output()
        .map_err(|error| format!("could not run wrk: {error}"))?;
    let used = cpu_seconds(server)? - before;
    let text = String::from_utf8_lossy(&output.stdout);
    let faulty = text.contains("Non-2xx") || text.contains("Socket errors");
    if !output.status.success() {
        return Err(format!("wrk failed at {}:\n{text}", server.name));
    }
    let field = |label: &str, at: usize| {
        let line = text.lines().find(|line| line.contains(label));
        let word = line.and_then(|line| line.split_whitespace().nth(at));
        word.ok_or_else(|| format!("wrk printed no {label:?}:\n{text}"))
    };
    let requests = number(field("requests in", 0)?)?;
    let sample = Sample {
        per_second: number(field("Requests/sec", 1)?)?,
        cpu_us: used * 1e6 / requests.max(1.0),
        p50_us: micros(field("50%", 1)?)?,
        p99_us: micros(field("99%", 1)?)?,
    };
    Ok((sample, faulty.then(|| text.into_owned())))
}

fn number(word: &str) -> Result<f64, String> {
    word.parse()
        .map_err(|_| format!("{word:?} is not a number"))
}

/// A time as wrk prints it, such as `1.20ms`, in microseconds.
fn micros(word: &str) -> Result<f64, String> {
    for (unit, factor) in [("us", 1.0), ("ms", 1e3), ("s", 1e6)] {
        if let Some(value) = word.strip_suffix(unit) {
            return Ok(number(value)? * factor);
        }
    }
    Err(format!("{word:?} is not a time"))
}

/// The process and its children: nginx and HAProxy work in children.
pub(super) fn family(server: &Server) -> Vec<u32> {
    let pid = server.child.id();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let children = children
        .split_whitespace()
        .filter_map(|child| child.parse().ok());
    std::iter::once(pid).chain(children).collect()
}

/// User and system time that a server has used so far.
fn cpu_seconds(server: &Server) -> Result<f64, String> {
    let mut ticks = 0.0;
    for pid in family(server) {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        let stat = stat.map_err(|error| format!("{} is gone: {error}", server.name))?;
        // The second field, the name, is in parentheses and may hold spaces.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let fields: Vec<_> = fields.split_whitespace().collect();
        let [user, system] = [11, 12].map(|at| fields.get(at).copied().unwrap_or("0"));
        ticks += number(user)? + number(system)?;
    }
    Ok(ticks / TICKS_PER_SECOND)
}
