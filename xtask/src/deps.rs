//! `cargo xtask deps`: what this repository depends on, and whether it should.

use std::{
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{run, tools};

/// How long the database of advisories may take to answer.
const FETCH_MAX: Duration = Duration::from_secs(60);

/// Fails for a dependency that nothing uses, that `deny.toml` does not allow, or that has a published
/// vulnerability.
///
/// Advisories are in a database outside of this repository. Where it cannot be reached, a sentence
/// says that they were not checked, and the chore goes on.
///
/// # Errors
/// When a check fails, or a tool that it needs cannot be installed.
pub fn check(_: &[String]) -> Result<(), String> {
    tools::ensure()?;
    run(tool("cargo-shear").args(["--locked", "--deny-warnings"]))
        .map_err(|_| "dependencies or files are unused or misplaced, see above".to_owned())?;
    deny(&["check", "bans", "licenses", "sources"])?;
    match fetch_advisories() {
        Ok(()) => deny(&["--offline", "check", "advisories"]),
        Err(reason) => {
            println!(
                "advisories NOT checked: the database of RustSec cannot be reached ({reason}). \
                 Run `cargo xtask deps` on a machine that reaches it."
            );
            Ok(())
        }
    }
}

fn deny(arguments: &[&str]) -> Result<(), String> {
    run(tool("cargo-deny").arg("--locked").args(arguments))
        .map_err(|_| "a dependency is not allowed by deny.toml, see above".to_owned())
}

/// Brings the database of advisories up to date.
///
/// # Errors
/// With the reason, when it did not answer in time or at all.
fn fetch_advisories() -> Result<(), String> {
    let mut fetch = tool("cargo-deny");
    fetch
        .args(["fetch", "db"])
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = fetch.spawn().map_err(|error| error.to_string())?;
    let Some(success) = ended_within(&mut child, FETCH_MAX) else {
        drop(child.kill());
        drop(child.wait());
        return Err(format!("no answer within {} s", FETCH_MAX.as_secs()));
    };
    if success {
        return Ok(());
    }
    let output = child
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    Err(last.unwrap_or("no reason given").trim().to_owned())
}

/// Whether a program succeeded, or nothing when it still runs after `limit`.
fn ended_within(child: &mut Child, limit: Duration) -> Option<bool> {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) => thread::sleep(Duration::from_millis(100)),
            Err(_) => return Some(false),
        }
    }
    None
}

fn tool(name: &str) -> Command {
    let mut command = Command::new(tools::program(name));
    command.current_dir(tools::repository());
    command
}
