//! Why the daemon cannot run.

use std::{io, path::PathBuf};

use crate::key::KeyError;

/// Why the daemon cannot run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Another daemon uses the state folder.
    #[error("another `pointsman local` already runs with {}; stop it first, or name another folder", .0.display())]
    AlreadyRuns(PathBuf),
    /// The state file cannot be parsed.
    #[error("{} cannot be understood: {why}; move it away to start with no instances (running ones are then left alone)", .path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no key for passes and cookies.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The router cannot listen on its port.
    #[error(
        "the router cannot listen on 127.0.0.1:{port}: {source}; name another port with --router-port"
    )]
    Router {
        /// The port.
        port: u16,
        /// The cause.
        source: io::Error,
    },
    /// The metrics cannot be served on their port.
    #[error(
        "the metrics cannot be offered on 127.0.0.1:{port}: {source}; name another port with --metrics-port"
    )]
    Metrics {
        /// The port.
        port: u16,
        /// The cause.
        source: io::Error,
    },
    /// The disk or the control socket failed.
    #[error("the one-machine cloud cannot use its folder: {0}")]
    Io(#[from] io::Error),
}
