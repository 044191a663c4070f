//! `cargo xtask bench deployment`: how long 4 -> 8 -> 4 takes, against the time that nobody can save.
//!
//! The floor is what the instances and the settings need: boot and health checks, measured by starting
//! the same release by hand; the bake, as it was asked for; the stop of an idle instance, measured.
//! What is left is the control plane's own.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::cargo;

const ROUNDS: usize = 3;
const PROGRAM: &str = "target/release/pointsman";
const RELEASE: &str = "examples/shop/releases/storefront/1.1.0";
/// As `examples/shop/catalogue.yaml` says.
const HEALTH_INTERVAL: Duration = Duration::from_millis(250);
const HEALTHY_THRESHOLD: u32 = 2;
/// As the demo asks for.
const BAKE: Duration = Duration::from_secs(5);

/// Measures and prints.
///
/// # Errors
/// When the demo fails or the shop does not start.
pub fn run() -> Result<(), String> {
    println!("\n## One deployment, 4 -> 8 -> 4 under load\n");
    cargo(&["build", "--release", "--quiet", "--package", "pointsman"])?;
    let (mut totals, mut boots, mut stops) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        totals.push(deployed_in()?);
        let (boot, stop) = instance_by_hand()?;
        boots.push(boot);
        stops.push(stop);
    }
    let (total, boot, stop) = (median(totals), median(boots), median(stops));
    let floor = boot + BAKE.as_secs_f64() + stop;
    let own = total - floor;
    println!("boot and {HEALTHY_THRESHOLD} health checks   {boot:>7.2} s");
    println!("bake                       {:>7.2} s", BAKE.as_secs_f64());
    println!("stop of an idle instance   {stop:>7.2} s");
    println!("floor                      {floor:>7.2} s");
    println!("deployment                 {total:>7.2} s, medians of {ROUNDS}");
    println!(
        "control plane's own share  {own:>7.2} s, {:.1} % of the floor",
        100.0 * own / floor
    );
    let allowed = (floor / 10.0).max(1.0);
    if own > allowed {
        return Err(format!(
            "the control plane's own share is above {allowed:.2} s"
        ));
    }
    Ok(())
}

/// Seconds that the demo's good release took, as its JSON says.
fn deployed_in() -> Result<f64, String> {
    let output = Command::new(PROGRAM)
        .args(["demo", "--output", "json"])
        .stderr(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start {PROGRAM}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let good = text
        .split('{')
        .find(|part| part.contains("\"release\":\"1.1.0\""));
    let seconds = good
        .and_then(|part| part.split("\"seconds\":").nth(1))
        .and_then(|rest| {
            let number: String = rest
                .chars()
                .take_while(|c| c.is_ascii_digit() || *c == '.')
                .collect();
            number.parse().ok()
        });
    match seconds {
        Some(seconds) if output.status.success() => Ok(seconds),
        _ => Err(format!("the demo did not go as it should: {text}")),
    }
}

/// Seconds from the start of one instance until it is healthy, and from the request to end until it
/// has ended.
fn instance_by_hand() -> Result<(f64, f64), String> {
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map_err(|error| format!("no port is free: {error}"))?
        .port();
    let program = Path::new(PROGRAM)
        .canonicalize()
        .map_err(|error| error.to_string())?;
    let started = Instant::now();
    let mut child = Command::new(program)
        .arg("shop-server")
        .current_dir(RELEASE)
        .env("PORT", port.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start the shop: {error}"))?;
    let healthy = until_healthy(port, started);
    let boot = started.elapsed();
    let asked = Instant::now();
    let ended = end(&mut child);
    healthy?;
    ended?;
    Ok((boot.as_secs_f64(), asked.elapsed().as_secs_f64()))
}

fn until_healthy(port: u16, started: Instant) -> Result<(), String> {
    let mut passes = 0;
    while passes < HEALTHY_THRESHOLD {
        if started.elapsed() > Duration::from_secs(30) {
            return Err("the shop never became healthy".to_owned());
        }
        if health_passes(port) {
            passes += 1;
            if passes < HEALTHY_THRESHOLD {
                thread::sleep(HEALTH_INTERVAL);
            }
        } else {
            thread::sleep(Duration::from_millis(2));
        }
    }
    Ok(())
}

fn health_passes(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn end(child: &mut Child) -> Result<(), String> {
    let kill = Command::new("kill").arg(child.id().to_string()).status();
    kill.map_err(|error| format!("cannot end the shop: {error}"))?;
    child
        .wait()
        .map(drop)
        .map_err(|error| format!("cannot wait for the shop: {error}"))
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
