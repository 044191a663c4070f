//! `audit list|verify|head`: who did what, when and why, and whether anybody changed the record.

use clap::Subcommand;
use serde_json::Value;

use super::{
    Context,
    failure::{Exit, Failure},
    output::{self, ago, text_at},
};

/// What can be asked about the audit log.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// List audit events, newest first
    List {
        /// Maximum number of events
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// Verify the chain of hashes from the first event to the last
    Verify {
        /// Head that was kept elsewhere: also find a log that was cut short or rewritten since then
        #[arg(long, value_name = "SEQ:HASH")]
        since: Option<String>,
    },
    /// Print the head of the log, as SEQ:HASH; keep it elsewhere for `audit verify --since`
    Head,
}

/// Answers it.
///
/// # Errors
/// When the log was changed, or the server cannot be reached.
pub async fn run(context: &Context, command: AuditCommand) -> Result<Exit, Failure> {
    match command {
        AuditCommand::List { limit } => list(context, limit as usize).await,
        AuditCommand::Verify { since } => verify(context, since.as_deref()).await,
        AuditCommand::Head => head(context).await,
    }
}

async fn list(context: &Context, limit: usize) -> Result<Exit, Failure> {
    let client = context.client()?;
    let items = client.items(client.url(&["audit-events"]), limit).await?;
    output::value(context.format, &Value::Array(items), |items| {
        let events = items.as_array().map_or(&[][..], Vec::as_slice);
        let rows: Vec<_> = events.iter().map(row).collect();
        output::table(
            &["SEQ", "WHEN", "WHO", "ACTION", "SUBJECT", "DETAIL"],
            &rows,
        )
    })?;
    Ok(Exit::Ok)
}

fn row(event: &Value) -> Vec<String> {
    let text = |key| text_at(event, key);
    let detail = event.get("detail").filter(|detail| !detail.is_null());
    vec![
        text("seq"),
        ago(&text("at")),
        text("actor"),
        text("action"),
        text("subject"),
        detail.map_or(String::new(), short),
    ]
}

/// The detail in at most 60 characters; `--output json` has all of it.
fn short(detail: &Value) -> String {
    let text = detail.to_string();
    match text.char_indices().nth(60) {
        None => text,
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

async fn head(context: &Context) -> Result<Exit, Failure> {
    let verification = verified(context, None).await?;
    intact(&verification)?;
    output::value(context.format, &verification, |found| {
        format!("{}:{}", text_at(found, "checked"), text_at(found, "head"))
    })?;
    Ok(Exit::Ok)
}

async fn verify(context: &Context, since: Option<&str>) -> Result<Exit, Failure> {
    let verification = verified(context, since).await?;
    let checked = text_at(&verification, "checked");
    output::value(context.format, &verification, |_| {
        format!("checked {checked} audit events")
    })?;
    intact(&verification)?;
    context.say(match since {
        Some(_) => "nobody changed the audit log, and it goes on from the head that you kept",
        None => {
            "the chain is intact; whether its end was cut off, or all of it was rewritten, was not checked: \
             keep `pointsman audit head` elsewhere, and pass it as --since"
        }
    });
    Ok(Exit::Ok)
}

async fn verified(context: &Context, since: Option<&str>) -> Result<Value, Failure> {
    let client = context.client()?;
    let mut url = client.url(&["audit-events", "verification"]);
    if let Some(since) = since {
        url.query_pairs_mut().append_pair("since", since);
    }
    client.get(url).await
}

fn intact(verification: &Value) -> Result<(), Failure> {
    match verification
        .get("first_broken")
        .filter(|seq| !seq.is_null())
    {
        None => Ok(()),
        Some(seq) => Err(Failure::new(
            Exit::NotReached,
            format!("the audit log was changed at event {seq}, or just before it"),
        )
        .because(text_at(verification, "why"))
        .next("compare it with a backup of the database; the events before it are intact")),
    }
}
