//! Pointsman.
use clap::Parser;
use std::process::ExitCode;
#[tokio::main]
async fn main() -> ExitCode {
    pointsman::cli::run(pointsman::cli::Cli::parse()).await
}
