//! `cargo xtask bench mirror`: what copying 5 % of the requests costs, beside nginx's `mirror`.
//!
//! The same servers as for `bench router`, and a second nginx that gets the copies; or a listener
//! that takes connections and never answers, which is the shadow that hangs. CPU time is the
//! proxy's own, so copies count, and what the shadow does is nobody's concern.
//!
//! Invariant: only loopback is used; a proxy that fails under load fails the bench, but for nginx
//! with the hung shadow, whose users wait for the copies.

use std::{
    collections::BTreeMap, fmt::Write as _, net::TcpListener, path::Path, thread, time::Duration,
};

use super::{
    configs::{nginx_conf, nginx_mirror_site, nginx_site},
    load::{
        Folder, Load, Sample, Server, Setup, build_router, free_port, install, median_of, start,
        write, wrk_whatever,
    },
    turns::in_turns,
};

/// Rounds per measurement; odd, so that the median is one of them.
const ROUNDS: usize = 5;
/// Length of one `wrk` run, in seconds.
const SECONDS: u32 = 2;
/// How long two proxies are asked in turns.
const TURNS: Duration = Duration::from_secs(10);
/// The share that is copied, in percent.
const PERCENT: &str = "5";

const BUSY: Load = Load {
    path: "small",
    connections: 32,
};
const ALONE: Load = Load {
    path: "small",
    connections: 1,
};

const OURS: &str = "pointsman";
const OURS_MIRRORED: &str = "pointsman, 5 %";
const OURS_COMPARED: &str = "pointsman, 5 % compared";
const OURS_HUNG: &str = "pointsman, 5 % to a hung shadow";
const NGINX: &str = "nginx";
const NGINX_MIRRORED: &str = "nginx, 5 %";
const NGINX_HUNG: &str = "nginx, 5 % to a hung shadow";

/// Each proxy with copies, and the one to compare it with.
const PAIRS: [(&str, &str); 5] = [
    (OURS_MIRRORED, OURS),
    (OURS_COMPARED, OURS),
    (OURS_HUNG, OURS),
    (NGINX_MIRRORED, NGINX),
    (NGINX_HUNG, NGINX),
];

/// The medians of every proxy under both loads, and whether users waited in vain.
type Results = BTreeMap<(&'static str, Load), (Sample, bool)>;

/// Measures and prints. Installs what is missing of nginx and wrk from Debian's packages.
///
/// # Errors
/// What could not be installed, built, started or measured, as a sentence.
pub(super) fn run() -> Result<(), String> {
    install()?;
    let router = build_router()?;
    let folder = Folder::new()?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let setup = Setup {
        threads: 1,
        pinned: cores > 1,
    };
    let place = match setup.pinned {
        true => "proxy with all its threads on core 0, the rest on core 1",
        false => "nothing pinned",
    };
    println!("\n## Dark traffic\n\n{ROUNDS} rounds of {SECONDS} s; medians; {place}\n");
    let servers = start_all(&folder.path, &router, setup)?;
    let results = measure(&servers, setup)?;
    println!("{}", report(&servers, &results));
    report_in_turns(&servers)
}

/// What copies add to the latency of users: the proxy with copies and the one without are asked in
/// turns.
fn report_in_turns(servers: &[Server]) -> Result<(), String> {
    let of = |name| {
        let found = servers.iter().find(|server| server.name == name);
        found.ok_or_else(|| format!("{name} is not there"))
    };
    println!("asked in turns, one request at a time, for {TURNS:?}: us");
    for (name, without) in PAIRS {
        let [with, without] = in_turns([of(name)?, of(without)?], TURNS)?;
        println!(
            "{name:<32} p50 {:.0}, without {:.0}; p99 {:.0}, without {:.0}; {} requests",
            with.p50_us, without.p50_us, with.p99_us, without.p99_us, with.requests
        );
    }
    Ok(())
}

/// Takes connections, keeps them, and says nothing.
fn hang() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0");
    let listener = listener.map_err(|error| format!("no free port: {error}"))?;
    let port = listener.local_addr().map_err(|error| error.to_string())?;
    thread::spawn(move || {
        let kept: Vec<_> = listener.incoming().flatten().collect();
        drop(kept);
    });
    Ok(port.port())
}

/// Starts the backend, the shadow and the proxies; gives the backend, the shadow, then the proxies.
fn start_all(folder: &Path, router: &Path, setup: Setup) -> Result<Vec<Server>, String> {
    let (near, far) = match setup.pinned {
        true => (Some(0), Some(1)),
        false => (None, None),
    };
    let files = |port: u16| {
        let root = folder.display();
        format!("server {{ listen 127.0.0.1:{port}; root {root}/www; }}")
    };
    let nginx = |name: &'static str, file: &str, port, core, site: &str| {
        let path = folder.join(format!("{file}.conf"));
        write(&path, nginx_conf(folder, file, 1, site).as_bytes())?;
        let arguments = ["-c".to_owned(), path.display().to_string()];
        start(name, port, core, "nginx", &arguments)
    };
    let (backend, shadow, hung) = (free_port()?, free_port()?, hang()?);
    let ours = |name, more: &[String]| {
        let port = free_port()?;
        let at = |port: u16| format!("127.0.0.1:{port}");
        let mut arguments = vec![at(port), setup.threads.to_string(), at(backend)];
        arguments.extend_from_slice(more);
        start(name, port, near, &router.display().to_string(), &arguments)
    };
    let mirror = |shadow: u16| {
        [
            "--mirror".to_owned(),
            PERCENT.to_owned(),
            format!("127.0.0.1:{shadow}"),
        ]
    };
    let compare = [&mirror(shadow)[..], &["--compare".to_owned()]].concat();
    let (plain, mirrored, hanging) = (free_port()?, free_port()?, free_port()?);
    Ok(vec![
        nginx("direct", "backend", backend, far, &files(backend))?,
        nginx("shadow", "shadow", shadow, far, &files(shadow))?,
        ours(OURS, &[])?,
        nginx(NGINX, "plain", plain, near, &nginx_site(backend, plain))?,
        ours(OURS_MIRRORED, &mirror(shadow))?,
        nginx(
            NGINX_MIRRORED,
            "mirrored",
            mirrored,
            near,
            &nginx_mirror_site(backend, mirrored, shadow),
        )?,
        ours(OURS_COMPARED, &compare)?,
        ours(OURS_HUNG, &mirror(hung))?,
        nginx(
            NGINX_HUNG,
            "hung",
            hanging,
            near,
            &nginx_mirror_site(backend, hanging, hung),
        )?,
    ])
}

fn measure(servers: &[Server], setup: Setup) -> Result<Results, String> {
    let proxies = &servers[2..];
    let mut samples: BTreeMap<(&str, Load), (Vec<Sample>, bool)> = BTreeMap::new();
    for load in [BUSY, ALONE] {
        for server in proxies {
            wrk_whatever(server, load, 1, setup)?;
        }
        for round in 0..ROUNDS {
            let mut order: Vec<_> = proxies.iter().collect();
            order.rotate_left(round % proxies.len());
            for server in order {
                let (sample, complaint) = wrk_whatever(server, load, SECONDS, setup)?;
                if let Some(text) = complaint.as_ref().filter(|_| server.name != NGINX_HUNG) {
                    return Err(format!("{} failed under wrk:\n{text}", server.name));
                }
                let (samples, in_vain) = samples.entry((server.name, load)).or_default();
                samples.push(sample);
                *in_vain |= complaint.is_some();
            }
        }
    }
    Ok(samples
        .into_iter()
        .map(|(key, (samples, in_vain))| (key, (median_of(&samples), in_vain)))
        .collect())
}

/// The columns of the table, as wide as the rows below.
const HEADING: &str = "\
\x20                                    c=32       CPU     c=32 p50/p99      c=1      c=1 p50/p99
                                    req/s    us/req               us    req/s               us
";

/// The table for people, and the ratios.
fn report(servers: &[Server], results: &Results) -> String {
    let mut text = String::from(HEADING);
    let pair = |sample: Sample| format!("{:.0} / {:.0}", sample.p50_us, sample.p99_us);
    for server in &servers[2..] {
        let [(busy, one), (alone, other)] = [BUSY, ALONE].map(|load| results[&(server.name, load)]);
        let _ = writeln!(
            text,
            "{:<32} {:>8.0} {:>9.1} {:>16} {:>8.0} {:>16}{}",
            server.name,
            busy.per_second,
            busy.cpu_us,
            pair(busy),
            alone.per_second,
            pair(alone),
            if one || other {
                "  (users waited in vain)"
            } else {
                ""
            },
        );
    }
    let of = |name, load| results[&(name, load)].0;
    let _ = writeln!(text);
    for (name, without) in PAIRS {
        let (with, without) = (
            [BUSY, ALONE].map(|l| of(name, l)),
            [BUSY, ALONE].map(|l| of(without, l)),
        );
        let _ = writeln!(
            text,
            "{name}: CPU per request x {:.2}, requests per second x {:.2}, p99 {:+.0} us (c=32) and \
             {:+.0} us (c=1)",
            with[0].cpu_us / without[0].cpu_us,
            with[0].per_second / without[0].per_second,
            with[0].p99_us - without[0].p99_us,
            with[1].p99_us - without[1].p99_us,
        );
    }
    let _ = writeln!(
        text,
        "with 5 % copied, CPU per request of pointsman over that of nginx: {:.2} (without: {:.2})",
        of(OURS_MIRRORED, BUSY).cpu_us / of(NGINX_MIRRORED, BUSY).cpu_us,
        of(OURS, BUSY).cpu_us / of(NGINX, BUSY).cpu_us,
    );
    text
}
