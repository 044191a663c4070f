//! `token create|list|revoke`: what programs show at the door.
//!
//! Invariant: a token is printed once, when it is made, on standard output.

use clap::{Args, Subcommand};
use domain::access::{PersonName, Right};
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
    /// Create a token and print it; it cannot be shown again
    Create(CreateArgs),
    /// List tokens: all of them if you manage people, otherwise your own
    List,
    /// Revoke a token, starting with the next request
    Revoke(TokenArgs),
}

/// What kind of token.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// What the token is for, such as `ci` or the name of a machine
    name: String,
    /// The service account whose token it is [default: you]
    #[arg(long, value_name = "NAME")]
    owner: Option<PersonName>,
    /// Only this right; may be repeated [default: every right of the owner]
    #[arg(long = "right", value_name = "RIGHT", value_parser = right)]
    rights: Vec<Right>,
    /// Only for what this team owns
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// Only in environments of this type
    #[arg(long, value_name = "TYPE")]
    environment_type: Option<String>,
    /// Only the metrics, for a scraper
    #[arg(long, conflicts_with_all = ["rights", "team", "environment_type"])]
    metrics: bool,
    /// After how many days it ends, at most 365
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    days: u16,
}

/// Which token.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// The token's id, as `token list` shows it
    id: String,
}

/// A right, by its word.
pub(crate) fn right(text: &str) -> Result<Right, String> {
    let found = Right::ALL.into_iter().find(|right| right.as_str() == text);
    found.ok_or_else(|| {
        let words: Vec<&str> = Right::ALL.iter().map(|right| right.as_str()).collect();
        format!("use one of {}", words.join(", "))
    })
}

/// Does it.
///
/// # Errors
/// When there is a token of that name already, or none, or the server cannot be reached.
pub async fn run(context: &Context, command: &TokenCommand) -> Result<Exit, Failure> {
    let client = context.client()?;
    match command {
        TokenCommand::Create(args) => {
            let mut body = json!({
                "name": args.name,
                "owner": args.owner,
                "team": args.team,
                "environment_type": args.environment_type,
                "metrics": args.metrics,
                "days": args.days,
            });
            if !args.rights.is_empty() {
                body["rights"] = json!(args.rights);
            }
            let reply = client.post(client.url(&["tokens"]), &body).await?;
            output::value(context.format, &reply.body, |made| text_at(made, "token"))?;
        }
        TokenCommand::List => {
            let items = client.items(client.url(&["tokens"]), TOKENS_MAX).await?;
            output::value(context.format, &Value::Array(items), table)?;
        }
        TokenCommand::Revoke(args) => {
            let url = client.url(&["tokens", &args.id]);
            client.send(client.request(Method::DELETE, url)).await?;
            context.say(&format!("the token {} is revoked", args.id));
        }
    }
    Ok(Exit::Ok)
}

/// What a token reaches, in a few words.
fn reach(item: &Value) -> String {
    if item["metrics"] == true {
        return "metrics".to_owned();
    }
    let Some(rights) = item["rights"].as_array() else {
        return "all of the owner's".to_owned();
    };
    let rights: Vec<&str> = rights.iter().filter_map(Value::as_str).collect();
    rights.join(",")
}

fn table(items: &Value) -> String {
    let items = items.as_array().map_or(&[][..], Vec::as_slice);
    let row = |item: &Value| {
        let text = |key| text_at(item, key);
        let day = |key| text(key).chars().take(10).collect();
        vec![
            text("id"),
            text("owner"),
            text("name"),
            reach(item),
            ago(&text("created_at")),
            day("ends_at"),
            day("used_on"),
        ]
    };
    let rows: Vec<_> = items.iter().map(row).collect();
    let heading = ["ID", "OWNER", "NAME", "REACHES", "CREATED", "ENDS", "USED"];
    output::table(&heading, &rows)
}
