//! Installs Debian packages that a chore needs and the machine lacks.

use std::{path::Path, process::Command};

use crate::run;

/// Makes sure that the packages are installed. Does nothing, and needs no rights, where they are.
///
/// # Errors
/// When a package is missing and cannot be installed: the message says what to run by hand.
pub fn ensure(packages: &[&str]) -> Result<(), String> {
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|name| !installed(name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand = format!(
        "install by hand what is missing: apt-get install {}",
        missing.join(" ")
    );
    if !Path::new("/usr/bin/apt-get").exists() {
        return Err(format!("this machine has no apt-get; {by_hand}"));
    }
    println!("installing {}", missing.join(" "));
    let apt = |arguments: &[&str]| {
        let mut command = privileged("apt-get");
        run(command
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive"))
    };
    let install = [
        &["install", "-y", "-qq", "--no-install-recommends"],
        &missing[..],
    ]
    .concat();
    apt(&["update", "-qq"])
        .and_then(|()| apt(&install))
        .map_err(|error| format!("{error}; {by_hand}"))
}

fn installed(package: &str) -> bool {
    let query = ["-W", "-f", "${Status}", package];
    let output = Command::new("dpkg-query").args(query).output();
    output.is_ok_and(|output| output.stdout.ends_with(b"ok installed"))
}

/// A command run as root: directly, or through sudo.
fn privileged(program: &str) -> Command {
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|id| id.stdout.starts_with(b"0\n"));
    if root {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}
