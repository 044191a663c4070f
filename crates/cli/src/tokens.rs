//! `token create|list|revoke`: who may use a server, in addition to the person who started it.
//!
//! Invariant: a token is printed once, when it is made, on standard output.

use clap::{Args, Subcommand};
use domain::access::PersonName;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Context,
    failure::{Exit, Failure},
    output::{self, ago, text_at},
};

/// Most tokens that are listed.
const TOKENS_MAX: usize = 10_000;

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Create a token for a person and print it; it cannot be shown again
    Create(PersonArgs),
    /// List the people who have tokens
    List,
    /// Revoke a person's token, starting with the next request
    Revoke(PersonArgs),
}

/// Whose token.
#[derive(Debug, Args)]
pub struct PersonArgs {
    /// The person's name, which audit events will show
    name: PersonName,
}

/// Does it.
///
/// # Errors
/// When the person has a token already, or none, or the server cannot be reached.
pub async fn run(context: &Context, command: &TokenCommand) -> Result<Exit, Failure> {
    let client = context.client()?;
    match command {
        TokenCommand::Create(person) => {
            let body = json!({ "name": person.name });
            let reply = client.post(client.url(&["tokens"]), &body).await?;
            output::value(context.format, &reply.body, |made| text_at(made, "token"))?;
        }
        TokenCommand::List => {
            let items = client.items(client.url(&["tokens"]), TOKENS_MAX).await?;
            output::value(context.format, &Value::Array(items), table)?;
        }
        TokenCommand::Revoke(person) => {
            let url = client.url(&["tokens", person.name.as_str()]);
            client.send(client.request(Method::DELETE, url)).await?;
            context.say(&format!("the token of {} is revoked", person.name));
        }
    }
    Ok(Exit::Ok)
}

fn table(items: &Value) -> String {
    let items = items.as_array().map_or(&[][..], Vec::as_slice);
    let row = |item: &Value| {
        let text = |key| text_at(item, key);
        vec![text("name"), ago(&text("created_at")), text("created_by")]
    };
    let rows: Vec<_> = items.iter().map(row).collect();
    output::table(&["NAME", "CREATED", "BY"], &rows)
}
