//! `cargo xtask bench`: measures against peers and floors, in the same run, and prints ratios.

pub mod aws;
mod configs;
mod deployment;
mod load;
mod mirror;
mod rollback;
mod router;
mod turns;
mod weights;

use crate::cargo;

/// Runs the named bench, or all of them.
///
/// # Errors
/// When something cannot be installed, built or measured, or the name is unknown.
pub fn run(arguments: &[String]) -> Result<(), String> {
    match arguments.first().map(String::as_str) {
        None => {
            router::run()?;
            mirror::run()?;
            weights::run()?;
            deployment::run()?;
            rollback::run()?;
            scale()?;
            gates(&[])?;
            portal(&[])?;
            aws::run()
        }
        Some("router") => router::run(),
        Some("mirror") => mirror::run(),
        Some("weights") => weights::run(),
        Some("deployment") => deployment::run(),
        Some("rollback") => rollback::run(),
        Some("scale") => scale(),
        Some("gates") => gates(&arguments[1..]),
        Some("portal") => portal(&arguments[1..]),
        Some("aws") => aws::run(),
        Some(other) => Err(format!(
            "there is no bench {other}; there are router, mirror, weights, deployment, rollback, scale, gates, portal and aws"
        )),
    }
}

/// A large installation on the simulated provider.
fn scale() -> Result<(), String> {
    println!("\n## A large installation\n");
    cargo(&[
        "run",
        "--release",
        "--quiet",
        "--package",
        "pointsman",
        "--example",
        "scale",
    ])
}

/// The portal of a large installation; `--postgres URL` keeps it in that empty database.
fn portal(arguments: &[String]) -> Result<(), String> {
    println!("\n## The portal of a large installation\n");
    let run = [
        "run",
        "--release",
        "--quiet",
        "--package",
        "pointsman",
        "--example",
        "portal",
        "--",
    ];
    let arguments = arguments.iter().map(String::as_str);
    cargo(&run.into_iter().chain(arguments).collect::<Vec<_>>())
}

/// The comparison that gates use, beside the rules that other tools use, on simulated releases; `--quick`
/// plays fewer.
fn gates(arguments: &[String]) -> Result<(), String> {
    println!("\n## False stops and missed faults\n");
    let build = [
        "run",
        "--release",
        "--quiet",
        "--package",
        "domain",
        "--example",
        "gates",
        "--",
    ];
    let arguments = arguments.iter().map(String::as_str);
    cargo(&build.into_iter().chain(arguments).collect::<Vec<_>>())
}
