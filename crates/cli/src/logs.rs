//! `logs`: what the instances of a service wrote.

use std::io::{self, Write};

use clap::Args;
use futures_util::StreamExt;
use reqwest::Method;

use super::{
    Context,
    failure::{Exit, Failure},
    harmless::Lines,
};

/// Of what.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// The service
    service: String,
    /// The environment
    #[arg(short, long, visible_alias = "env", value_name = "ENV")]
    environment: String,
    /// Only lines of this instance
    #[arg(short, long, value_name = "ID")]
    instance: Option<String>,
    /// Number of past lines per instance
    #[arg(short = 'n', long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    lines: u32,
    /// Keep printing new lines until Ctrl-C
    #[arg(short, long)]
    follow: bool,
}

/// Prints logs as they come.
///
/// # Errors
/// When there are none, or the server cannot be reached.
pub async fn run(context: &Context, args: &LogsArgs) -> Result<Exit, Failure> {
    let client = context.client()?;
    let mut url = client.url(&[
        "environments",
        &args.environment,
        "services",
        &args.service,
        "logs",
    ]);
    {
        let mut query = url.query_pairs_mut();
        query.append_pair("lines", &args.lines.to_string());
        if args.follow {
            query.append_pair("follow", "true");
        }
        if let Some(instance) = &args.instance {
            query.append_pair("instance", instance);
        }
    }
    let response = client.open(client.request(Method::GET, url)).await?;
    let mut lines = Lines::default();
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| {
            Failure::new(Exit::Unreachable, "the log stream was interrupted")
                .because(error)
                .next("run the command again")
        })?;
        if print(&lines.take(&piece)).is_err() {
            // The reader of our output went away, as `head` does.
            return Ok(Exit::Ok);
        }
    }
    let _ = print(&lines.rest());
    Ok(Exit::Ok)
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
