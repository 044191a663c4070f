//! `server`: what the command line says about the processes that stay.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, ValueEnum};

use super::{
    Context,
    connection::data_folder,
    failure::{Exit, Failure},
};
use crate::{
    config::{Config, LogFormat},
    server,
};

/// What a server is told.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// Folder with everything that it keeps [default: ~/.local/share/pointsman]
    #[arg(long, value_name = "FOLDER", env = "POINTSMAN_DATA")]
    data: Option<PathBuf>,
    /// Where it listens; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7080")]
    listen: SocketAddr,
    /// Also listen where others can reach it: a proxy with TLS or a private network protects it
    #[arg(long)]
    allow_remote: bool,
    /// The database, such as postgres://host/name [default: a SQLite file in the data folder]
    ///
    /// An address with a password belongs into the environment variable, where `ps` does not show
    /// it.
    #[arg(
        long,
        value_name = "URL",
        env = "POINTSMAN_DATABASE",
        hide_env_values = true
    )]
    database: Option<String>,
    /// Folder of the one-machine cloud [default: its usual one]
    #[arg(long, value_name = "FOLDER", env = "POINTSMAN_LOCAL_STATE")]
    local_state: Option<PathBuf>,
    /// How the log is written, to standard error
    #[arg(long, value_enum, default_value = "text")]
    log: Log,
}

/// The formats of the log.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Log {
    /// Lines for people
    Text,
    /// One JSON object per line
    Json,
}

/// Runs the control plane until it is asked to end.
///
/// # Errors
/// When it cannot start.
pub async fn server(_context: &Context, args: ServerArgs) -> Result<Exit, Failure> {
    let data = args.data.unwrap_or_else(data_folder);
    let config = Config {
        listen: args.listen,
        allow_remote: args.allow_remote,
        database: args.database,
        local_state: args.local_state,
        log: match args.log {
            Log::Text => LogFormat::Text,
            Log::Json => LogFormat::Json,
        },
        ..Config::new(data)
    };
    server::run(config)
        .await
        .map_err(|error| failure("the server cannot run", &error))?;
    Ok(Exit::Ok)
}

/// An error with all its causes: the sentence of each says what to do.
fn failure(what: &str, error: &anyhow::Error) -> Failure {
    error
        .chain()
        .fold(Failure::new(Exit::NotReached, what), |failure, cause| {
            failure.because(cause)
        })
}
