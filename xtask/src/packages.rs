//! Installs Debian packages that a chore needs and the machine lacks.

use std::{path::Path, process::Command};

use crate::run;

/// Installs packages whose services stay off: now, because Debian asks `policy-rc.d` before it
/// starts one, and at the next boot. Chores start what they need themselves.
const INSTALL: &str = r#"
    set -e
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        trap 'exit 1' INT TERM HUP
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "$@"
    for service in "$@"; do
        systemctl disable --quiet "$service" 2>/dev/null || true
    done
"#;

/// Makes sure that the packages are installed, without a service of theirs running. Does nothing, and needs no rights, where they are.
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
    let mut install = privileged("sh");
    install.args(["-c", INSTALL, "install"]).args(&missing);
    run(&mut install).map_err(|_| format!("the packages cannot be installed; {by_hand}"))
}

/// Makes sure that Python can make environments of its own: the emulated AWS lives in one.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_python() -> Result<(), String> {
    let modules = Command::new("python3")
        .args(["-c", "import ensurepip, venv"])
        .output();
    if modules.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    ensure(&["python3", "python3-venv"])
}

/// Makes sure that there is a Node.js with npm: the browser tests are driven by it.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_node() -> Result<(), String> {
    let answers = |program: &str| {
        let output = Command::new(program).arg("--version").output();
        output.is_ok_and(|output| output.status.success())
    };
    if answers("node") && answers("npm") {
        return Ok(());
    }
    ensure(&["nodejs", "npm"])
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
