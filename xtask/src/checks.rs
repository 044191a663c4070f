//! Checks that run no product code: format, lints, rooms, file sizes, and the reference.

use std::process::Command;

use crate::{cargo, run};

/// Format, lints of everything with all features, rooms and sizes: for every commit.
///
/// # Errors
/// When one of them fails.
pub fn check(_: &[String]) -> Result<(), String> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ])?;
    cargo(&[
        "test",
        "--quiet",
        "--package",
        "pointsman",
        "--test",
        "rooms",
        "--test",
        "sizes",
    ])
}

/// What people build who follow the README: the binary with its default features. Code that only
/// exists without the features `aws` and `oidc` is compiled here and nowhere else.
///
/// # Errors
/// When it does not compile, or a lint fails.
pub fn defaults() -> Result<(), String> {
    cargo(&["clippy", "--all-targets", "--", "-D", "warnings"])
}

/// Builds the reference of all crates, private items too: with all features, then with the default ones.
///
/// # Errors
/// When rustdoc warns.
pub fn docs(_: &[String]) -> Result<(), String> {
    doc(&["--all-features"])?;
    doc(&["--exclude", "provider-aws", "--exclude", "identity"])
}

fn doc(selection: &[&str]) -> Result<(), String> {
    run(Command::new(env!("CARGO"))
        .args([
            "doc",
            "--workspace",
            "--no-deps",
            "--document-private-items",
        ])
        .args(selection)
        .env("RUSTDOCFLAGS", "-D warnings"))
}
