//! `cargo xtask bench weights`: the share of users that each slice gets, measured against the share
//! that was asked for, by chance and with sticky users.

use crate::cargo;

/// Measures and prints.
///
/// # Errors
/// When it cannot be built, or a request is not answered.
pub fn run() -> Result<(), String> {
    println!("\n## Weights\n");
    cargo(&[
        "run",
        "--release",
        "--quiet",
        "--package",
        "router",
        "--example",
        "weights",
    ])
}
