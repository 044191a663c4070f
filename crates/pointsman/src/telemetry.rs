//! The log: to standard error, quiet unless something needs a person. `RUST_LOG` says more.
//!
//! Invariant: no line that is written here can end a process or a task.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// What is logged unless `RUST_LOG` says otherwise.
const USUAL: &str = "warn";

/// Tells whoever started this process. A reader that is gone misses it, and that is all.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Starts the log of this process. Started already, it stays as it is.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(USUAL));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // A file is no place for colours.
        .with_ansi(io::stderr().is_terminal())
        // A line that cannot be written is lost. Telling standard error of it would panic when that is
        // what fails, and take a process or a task along.
        .log_internal_errors(false)
        .with_writer(io::stderr);
    // The only error is that somebody started it before.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
