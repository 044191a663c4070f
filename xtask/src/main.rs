//! Chores of this repository. `cargo xtask` alone lists them; nothing but cargo is needed to start,
//! and a chore installs what it needs.

mod bench;
mod checks;
mod deps;
mod packages;
mod tests;
mod tools;

use std::process::{Command, ExitCode};

/// A chore: its name, what it does, and how.
type Chore = (
    &'static str,
    &'static str,
    fn(&[String]) -> Result<(), String>,
);

const CHORES: &[Chore] = &[
    (
        "dev",
        "run the example shop on this machine and leave it running",
        dev,
    ),
    (
        "check",
        "format, lints, the arrows between rooms, file sizes; for every commit",
        checks::check,
    ),
    (
        "test",
        "[CARGO-TEST-ARGUMENTS] check, deps, docs, default features and every test; or only the tests named",
        tests::all,
    ),
    (
        "deps",
        "unused dependencies, licences, sources, published vulnerabilities",
        deps::check,
    ),
    (
        "docs",
        "build the reference of all crates, warnings denied",
        checks::docs,
    ),
    (
        "sim",
        "[SEED | FROM..TO] replay one simulated story, or play 10,000",
        sim,
    ),
    (
        "soak",
        "N [FROM] play N simulated stories that nobody has played before",
        soak,
    ),
    (
        "openapi",
        "write api/openapi.json from the handlers",
        openapi,
    ),
    (
        "bench",
        "[router|mirror|weights|deployment|rollback|scale|gates|aws] measure against peers and floors",
        bench::run,
    ),
    (
        "guide",
        "run the commands of the AWS guide as written, against an emulated AWS",
        bench::aws::guide,
    ),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let chore = arguments
        .first()
        .and_then(|name| CHORES.iter().find(|chore| chore.0 == *name));
    let Some((name, _, run)) = chore else {
        for (name, what, _) in CHORES {
            println!("cargo xtask {name:<8} {what}");
        }
        return ExitCode::from(if arguments.is_empty() { 0 } else { 2 });
    };
    match run(&arguments[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("cargo xtask {name}: {message}");
            ExitCode::FAILURE
        }
    }
}

fn dev(_: &[String]) -> Result<(), String> {
    cargo(&["run", "--release", "--", "demo", "--keep"])
}

fn sim(arguments: &[String]) -> Result<(), String> {
    let seeds = arguments.first().map_or("0..10000", String::as_str);
    stories(&[seeds])
}

fn soak(arguments: &[String]) -> Result<(), String> {
    let arguments = arguments.iter().map(String::as_str);
    let arguments: Vec<&str> = std::iter::once("soak").chain(arguments).collect();
    stories(&arguments)
}

/// Plays simulated stories.
fn stories(arguments: &[&str]) -> Result<(), String> {
    let build = [
        "run",
        "--release",
        "--quiet",
        "--package",
        "engine",
        "--features",
        "testing",
    ];
    cargo(&[&build[..], &["--example", "sim", "--"], arguments].concat())
}

fn openapi(_: &[String]) -> Result<(), String> {
    let test = "the_description_in_the_repository_is_the_one_of_the_handlers";
    let test = ["test", "--package", "pointsman", "--test", "it", test];
    run(Command::new(env!("CARGO"))
        .args(test)
        .env("UPDATE_EXPECT", "1"))
}

/// Runs cargo with these arguments.
fn cargo(arguments: &[&str]) -> Result<(), String> {
    run(Command::new(env!("CARGO")).args(arguments))
}

/// Runs a command to its end; a failure names it.
fn run(command: &mut Command) -> Result<(), String> {
    let status = command
        .status()
        .map_err(|error| format!("cannot start {command:?}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?} ended with {status}"))
    }
}
