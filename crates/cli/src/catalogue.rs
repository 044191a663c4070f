//! `team|service|environment-type|environment|server-group|prometheus|account list|get`, and locks of
//! environments.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Context,
    failure::{Exit, Failure},
    kinds::Kind,
    manifests::{self, EntryArgs},
    output,
};

/// Most entries that one list shows.
const ENTRIES_MAX: usize = 50_000;

/// What can be asked about every kind of thing.
#[derive(Debug, Subcommand)]
pub enum EntryCommand {
    /// List all of them
    List,
    /// Show one, as a manifest that can be applied again
    Get(NameArgs),
}

/// What can be asked about environments.
#[derive(Debug, Subcommand)]
pub enum EnvironmentCommand {
    /// List all of them
    List,
    /// Show one, as a manifest that can be applied again
    Get(NameArgs),
    /// Refuse all deployments there until it is unlocked
    Lock {
        /// Its name
        name: String,
        /// Why, for those who are refused
        #[arg(short, long)]
        reason: String,
    },
    /// Allow deployments there again
    Unlock(NameArgs),
}

/// Which one.
#[derive(Debug, Args)]
pub struct NameArgs {
    /// Its name; a server group is named SERVICE.ENVIRONMENT
    name: String,
}

/// Answers a question about things of one kind.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub async fn run(context: &Context, kind: Kind, command: EntryCommand) -> Result<Exit, Failure> {
    match command {
        EntryCommand::List => list(context, kind).await,
        EntryCommand::Get(NameArgs { name }) => {
            manifests::get(context, &EntryArgs { kind, name }).await
        }
    }
}

/// Answers a question about environments, or locks one.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub async fn environment(context: &Context, command: EnvironmentCommand) -> Result<Exit, Failure> {
    let kind = Kind::Environment;
    match command {
        EnvironmentCommand::List => list(context, kind).await,
        EnvironmentCommand::Get(name) => run(context, kind, EntryCommand::Get(name)).await,
        EnvironmentCommand::Lock { name, reason } => {
            let client = context.client()?;
            let url = client.url(&["environments", &name, "lock"]);
            let request = client.request(Method::PUT, url);
            let body = json!({ "reason": reason });
            client.send(request.json(&body)).await?;
            context.say(&format!(
                "locked {name}; `pointsman environment unlock {name}` opens it again"
            ));
            Ok(Exit::Ok)
        }
        EnvironmentCommand::Unlock(NameArgs { name }) => {
            let client = context.client()?;
            let url = client.url(&["environments", &name, "lock"]);
            client.send(client.request(Method::DELETE, url)).await?;
            context.say(&format!("unlocked {name}"));
            Ok(Exit::Ok)
        }
    }
}

async fn list(context: &Context, kind: Kind) -> Result<Exit, Failure> {
    let client = context.client()?;
    let items = client
        .items(client.url(&[kind.collection()]), ENTRIES_MAX)
        .await?;
    output::value(context.format, &Value::Array(items), |items| {
        let entries = items.as_array().map_or(&[][..], Vec::as_slice);
        let rows: Vec<_> = entries.iter().map(|entry| kind.row(entry)).collect();
        output::table(kind.heading(), &rows)
    })?;
    Ok(Exit::Ok)
}
