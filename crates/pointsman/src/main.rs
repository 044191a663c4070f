//! The program `pointsman`: everything is in the library.

use std::process::ExitCode;

use clap::Parser;
use pointsman::cli::{self, Cli};

#[tokio::main]
async fn main() -> ExitCode {
    cli::run(Cli::parse()).await
}
