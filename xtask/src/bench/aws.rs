//! `cargo xtask bench aws`: what a release costs in calls to AWS, beside a plain script and Ansible.
//! `cargo xtask guide`: the AWS guide, as written.
//!
//! Both need the emulated AWS of the tests, which is written in Python.

use std::{path::Path, process::Command};

use crate::{cargo, packages, run as run_to_end};

const EMULATOR: &str = "crates/provider-aws/tests/emulator";
const PROGRAM: &str = "target/debug/pointsman";
/// The peer, and what its modules for AWS need.
const ANSIBLE: &[&str] = &["ansible==12.3.0", "boto3==1.44.5", "botocore==1.44.5"];

/// Measures and prints.
///
/// # Errors
/// When something cannot be installed or built, or Pointsman was throttled or left wrong instances.
pub fn run() -> Result<(), String> {
    println!("\n## Calls to AWS\n");
    let ansible = ansible()?;
    prepare()?;
    let arguments = ["--pointsman", PROGRAM, "--ansible", &ansible];
    run_to_end(
        Command::new(python())
            .arg(script("bench.py"))
            .args(arguments),
    )
}

/// Runs the commands of `docs/guide/aws.md`.
///
/// # Errors
/// When one of them fails.
pub fn guide(_: &[String]) -> Result<(), String> {
    prepare()?;
    let arguments = ["--pointsman", PROGRAM, "--repository", "."];
    run_to_end(
        Command::new(python())
            .arg(script("guide.py"))
            .args(arguments),
    )
}

fn python() -> &'static str {
    "target/tmp/emulator/bin/python"
}

fn script(name: &str) -> String {
    format!("{EMULATOR}/{name}")
}

/// The program, and a Python with the emulator. A debug build will do: AWS's answers take longer.
fn prepare() -> Result<(), String> {
    packages::ensure_python()?;
    let install = ["install.sh", "../../../../target/tmp/emulator"];
    run_to_end(Command::new("bash").args(install).current_dir(EMULATOR))?;
    cargo(&[
        "build",
        "--quiet",
        "--package",
        "pointsman",
        "--features",
        "aws",
    ])
}

/// The program of Ansible, in an environment of its own.
fn ansible() -> Result<String, String> {
    packages::ensure_python()?;
    let folder = Path::new("target/tmp/ansible");
    let program = folder.join("bin/ansible-playbook");
    if !program.exists() {
        run_to_end(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        let pip = ["install", "--quiet", "--disable-pip-version-check"];
        let mut install = Command::new(folder.join("bin/pip"));
        run_to_end(install.args(pip).args(ANSIBLE))?;
    }
    let program = program.canonicalize().map_err(|error| error.to_string())?;
    Ok(program.display().to_string())
}
