//! The program `pointsman`: everything is in the library.

use std::process::ExitCode;

use clap::Parser;
use pointsman::{
    commands::{self, Cli},
    local::{self, LAUNCHER},
};

fn main() -> ExitCode {
    // No threads, no options, and no variables of an instance that could mean something to us.
    if std::env::args_os().nth(1).is_some_and(|it| it == LAUNCHER) {
        return local::start_instance();
    }
    run()
}

#[tokio::main]
async fn run() -> ExitCode {
    commands::run(Cli::parse()).await
}
