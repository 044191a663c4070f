//! The daemon, and a service for it to run, for the tests of this crate.
//!
//! `cloud local --state-dir DIR [--router-port N] [--metrics-port N]` is the daemon, and
//! `cloud router --state-dir DIR` the router that it starts; `cloud serve` is the service: it answers
//! with its version and process id, `/slow` after a second, and `/health` with 500 if BROKEN is set or
//! the file ILL is there. It listens on the address LISTEN, and with LEAVES it starts a process that
//! puts itself into the background.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use provider_local::{
    daemon::{DaemonConfig, run},
    launch, routing,
    users::option,
};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("serve") => return serve(),
        Some(launch::LAUNCHER) => {
            let _returned_in_vain = launch::start();
            std::process::exit(1);
        }
        _ => {}
    }
    let after = |name: &str| {
        let at = arguments.iter().position(|a| a == name)?;
        arguments.get(at + 1).cloned()
    };
    let state = PathBuf::from(after("--state-dir").expect("--state-dir DIR is needed"));
    let port = |name| after(name).map(|port| port.parse().expect("a port"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let result = match arguments.get(1).map(String::as_str) {
        Some("router") => {
            let result = runtime.block_on(routing::run(&state));
            result.map_err(|error| error.to_string())
        }
        _ => {
            let config = DaemonConfig {
                state,
                router_port: port("--router-port"),
                metrics_port: port("--metrics-port"),
                user_ids: after("--instance-users").and_then(|text| option(&text).expect("ids")),
            };
            runtime
                .block_on(run(config))
                .map_err(|error| error.to_string())
        }
    };
    if let Err(error) = result {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn serve() {
    let port = std::env::var("PORT").expect("PORT is set");
    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1".to_owned());
    if std::env::var_os("LEAVES").is_some() {
        let mut shell = std::process::Command::new("sh");
        let left = shell.args(["-c", "setsid sleep 300 &"]).status();
        assert!(left.expect("sh runs").success());
    }
    println!("listening on {port}");
    let listener = TcpListener::bind(format!("{address}:{port}")).expect("the port is free");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || answer_all(&stream));
    }
}

fn answer_all(stream: &TcpStream) {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let body = format!("{} {}\n", variable("POINTSMAN_VERSION"), std::process::id());
    let mut lines = BufReader::new(stream).lines();
    let mut path = None;
    while let Some(Ok(line)) = lines.next() {
        if path.is_none() {
            path = line.split(' ').nth(1).map(str::to_owned);
        }
        if !line.is_empty() {
            continue;
        }
        let path = path.take().unwrap_or_default();
        if path == "/slow" {
            std::thread::sleep(Duration::from_secs(1));
        }
        let ill = !variable("BROKEN").is_empty() || Path::new(&variable("ILL")).is_file();
        let broken = path == "/health" && ill;
        let status = if broken { "500 Broken" } else { "200 OK" };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if (&mut &*stream)
            .write_all((head + &body).as_bytes())
            .is_err()
        {
            return;
        }
    }
}
