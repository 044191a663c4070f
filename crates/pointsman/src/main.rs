//! The program `pointsman`: everything is in the library.

use std::process::ExitCode;

use clap::Parser;
use pointsman::commands::{self, Cli};

#[tokio::main]
async fn main() -> ExitCode {
    commands::run(Cli::parse()).await
}
