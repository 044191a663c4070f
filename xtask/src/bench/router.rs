//! `cargo xtask bench router`: our router beside nginx and HAProxy, in one run, with public tools.
//!
//! An nginx serves 1 KiB and 1 MiB from files; `wrk` asks for them, directly and through each
//! proxy. Every proxy keeps connections alive on both sides, has the same number of threads, writes
//! no access log and sets the `X-Forwarded-*` fields. CPU time is the proxy's own, user and system,
//! from `/proc`. The order changes every round; the table shows medians.
//!
//! Invariant: everything that was started is ended, also after an error; only loopback is used.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, thread};

use super::{
    configs::{haproxy_config, nginx_conf, nginx_site},
    load::{
        Folder, Load, Sample, Server, Setup, build_router, family, free_port, install, median_of,
        start, write, wrk,
    },
};

/// Rounds per measurement; odd, so that the median is one of them.
const ROUNDS: usize = 5;
/// Length of one `wrk` run, in seconds.
const SECONDS: u32 = 2;
/// Kept-alive connections under load.
const CONNECTIONS: u32 = 32;

/// Measures and prints. Installs what is missing of nginx, HAProxy and wrk from Debian's packages.
///
/// # Errors
/// What could not be installed, built, started or measured, as a sentence.
pub fn run() -> Result<(), String> {
    install()?;
    let router = build_router()?;
    let folder = Folder::new()?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!(
        "{} core(s); {ROUNDS} rounds of {SECONDS} s; medians\n",
        cores
    );
    let setups: &[Setup] = match cores {
        1 => &[Setup {
            threads: 1,
            pinned: false,
        }],
        _ => &[
            Setup {
                threads: 1,
                pinned: true,
            },
            Setup {
                threads: 2,
                pinned: false,
            },
        ],
    };
    for setup in setups {
        let servers = start_all(&folder.path, &router, *setup)?;
        let results = measure(&servers, *setup)?;
        println!("{}", report(*setup, &servers, &results));
    }
    Ok(())
}

/// Starts the backend and the three proxies, and waits until all answer.
fn start_all(folder: &Path, router: &Path, setup: Setup) -> Result<Vec<Server>, String> {
    let (backend, ours, nginx, haproxy) = (free_port()?, free_port()?, free_port()?, free_port()?);
    let (near, far) = if setup.pinned {
        (Some(0), Some(1))
    } else {
        (None, None)
    };
    let threads = setup.threads;
    let backend_conf = folder.join("backend.conf");
    let site = format!(
        "server {{ listen 127.0.0.1:{backend}; root {}/www; }}",
        folder.display()
    );
    write(
        &backend_conf,
        nginx_conf(folder, "backend", 1, &site).as_bytes(),
    )?;
    let proxy_conf = folder.join("proxy.conf");
    let site = nginx_site(backend, nginx);
    write(
        &proxy_conf,
        nginx_conf(folder, "proxy", threads, &site).as_bytes(),
    )?;
    let haproxy_conf = folder.join("haproxy.conf");
    write(
        &haproxy_conf,
        haproxy_config(backend, haproxy, threads).as_bytes(),
    )?;

    let at = |port: u16| format!("127.0.0.1:{port}");
    let path = |path: &Path| path.display().to_string();
    let ours_arguments = [at(ours), threads.to_string(), at(backend)];
    Ok(vec![
        start(
            "direct",
            backend,
            far,
            "nginx",
            &["-c".to_owned(), path(&backend_conf)],
        )?,
        start("pointsman", ours, near, &path(router), &ours_arguments)?,
        start(
            "nginx",
            nginx,
            near,
            "nginx",
            &["-c".to_owned(), path(&proxy_conf)],
        )?,
        start(
            "haproxy",
            haproxy,
            near,
            "haproxy",
            &["-f".to_owned(), path(&haproxy_conf)],
        )?,
    ])
}

const SMALL: Load = Load {
    path: "small",
    connections: CONNECTIONS,
};
const LARGE: Load = Load {
    path: "large",
    connections: CONNECTIONS,
};
const ALONE: Load = Load {
    path: "small",
    connections: 1,
};

/// The medians of every server under every load.
type Results = BTreeMap<(&'static str, Load), Sample>;

fn measure(servers: &[Server], setup: Setup) -> Result<Results, String> {
    let mut samples: BTreeMap<(&str, Load), Vec<Sample>> = BTreeMap::new();
    for load in [SMALL, ALONE, LARGE] {
        for server in servers {
            wrk(server, load, 1, setup)?;
        }
        for round in 0..ROUNDS {
            let mut order: Vec<_> = servers.iter().collect();
            order.rotate_left(round % servers.len());
            for server in order {
                let sample = wrk(server, load, SECONDS, setup)?;
                samples.entry((server.name, load)).or_default().push(sample);
            }
        }
    }
    Ok(samples
        .into_iter()
        .map(|(key, samples)| (key, median_of(&samples)))
        .collect())
}

/// Resident memory of a server, in MiB.
fn resident_mib(server: &Server) -> f64 {
    let kib = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    family(server).into_iter().filter_map(kib).sum::<f64>() / 1024.0
}

/// The columns of the table, as wide as the rows below.
const HEADING: &str = "\
\x20               c=32       CPU   c=32 p50/p99            c=1 p50/p99            added c=1    1 MiB       CPU     RSS
               req/s    us/req             us                     us           p50/p99 us    req/s    us/req     MiB
";

/// The table for people. `added` is the difference to asking the backend directly.
fn report(setup: Setup, servers: &[Server], results: &Results) -> String {
    let place = if setup.pinned {
        "proxy on core 0, the rest on core 1"
    } else {
        "nothing pinned"
    };
    let mut text = format!("{} proxy thread(s), {place}\n", setup.threads);
    text.push_str(HEADING);
    let direct = results[&("direct", ALONE)];
    for server in servers {
        let of = |load| results[&(server.name, load)];
        let (small, large, alone) = (of(SMALL), of(LARGE), of(ALONE));
        let cpu = |us: f64, digits: usize| match server.is_backend {
            true => "-".to_owned(),
            false => format!("{us:.digits$}"),
        };
        let pair = |a: f64, b: f64| format!("{a:.0} / {b:.0}");
        let added = pair(alone.p50_us - direct.p50_us, alone.p99_us - direct.p99_us);
        let _ = writeln!(
            text,
            "{:<10} {:>9.0} {:>9} {:>14} {:>22} {:>20} {:>8.0} {:>9} {:>7.0}",
            server.name,
            small.per_second,
            cpu(small.cpu_us, 1),
            pair(small.p50_us, small.p99_us),
            pair(alone.p50_us, alone.p99_us),
            if server.is_backend {
                "-".to_owned()
            } else {
                added
            },
            large.per_second,
            cpu(large.cpu_us, 0),
            resident_mib(server),
        );
    }
    text
}
