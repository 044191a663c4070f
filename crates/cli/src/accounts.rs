//! `doctor` and `import`: accounts as they are, before anything depends on them.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Context,
    failure::{Exit, Failure},
    harmless::harmless,
    output::{self, Format, text_at},
};

/// Most accounts that are checked when none is named.
const ACCOUNTS_MAX: usize = 100;

/// What to check.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The account [default: every account in the catalogue]
    account: Option<String>,
    /// Print the smallest policy that Pointsman needs in the account, instead of checking
    #[arg(long, requires = "account")]
    policy: bool,
}

/// What can be read into manifests.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Generate a server group that adopts an Auto Scaling group, or two for blue/green
    Asg(ImportArgs),
}

/// Which groups, and for what.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Name of the Auto Scaling group; with two, the blue one first
    #[arg(required = true, num_args = 1..=2)]
    groups: Vec<String>,
    /// The account of the groups
    #[arg(short, long)]
    account: String,
    /// The service that runs on them
    #[arg(short, long)]
    service: String,
    /// The environment of the service
    #[arg(short, long, visible_alias = "env", value_name = "ENV")]
    environment: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Checkup {
    account: String,
    checks: Vec<Check>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Check {
    name: String,
    status: String,
    found: String,
    remedy: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Imported {
    manifest: Value,
    notes: Vec<String>,
}

/// Checks accounts, and says what to do about each thing that is not well.
///
/// # Errors
/// When the server cannot be reached, or there is no such account.
pub async fn doctor(context: &Context, args: &DoctorArgs) -> Result<Exit, Failure> {
    let client = context.client()?;
    let names = match &args.account {
        Some(name) if args.policy => {
            let policy: Value = client
                .get(client.url(&["accounts", name, "policy"]))
                .await?;
            output::line(&format!("{policy:#}"))?;
            return Ok(Exit::Ok);
        }
        Some(name) => vec![name.clone()],
        None => {
            let accounts = client
                .items(client.url(&["accounts"]), ACCOUNTS_MAX)
                .await?;
            accounts.iter().map(|it| text_at(it, "name")).collect()
        }
    };
    let mut values = Vec::new();
    for name in &names {
        values.push(
            client
                .get(client.url(&["accounts", name, "checkup"]))
                .await?,
        );
    }
    let read = |value: &Value| client.read::<Checkup>(value.clone());
    let checkups = values.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    output::value(context.format, &Value::Array(values), |_| {
        if checkups.is_empty() {
            return "the catalogue has no accounts: everything runs on this machine".to_owned();
        }
        let pages: Vec<String> = checkups.iter().map(page).collect();
        pages.join("\n\n")
    })?;
    let failed = checkups
        .iter()
        .flat_map(|it| &it.checks)
        .any(|check| check.status == "failed");
    Ok(if failed { Exit::NotReached } else { Exit::Ok })
}

fn page(checkup: &Checkup) -> String {
    let mut lines = vec![format!("account {}", checkup.account)];
    let widest = checkup
        .checks
        .iter()
        .map(|check| check.name.chars().count())
        .max();
    let width = widest.unwrap_or(0);
    for check in &checkup.checks {
        let Check { name, found, .. } = check;
        let mark = match check.status.as_str() {
            "ok" => '✔',
            "failed" => '✘',
            "warning" => '!',
            _ => '·',
        };
        lines.push(format!("  {mark} {name:<width$}  {found}"));
        if let Some(remedy) = check.remedy.as_ref().filter(|_| check.status != "ok") {
            lines.push(format!("    {:<width$}  next: {remedy}", ""));
        }
    }
    lines.join("\n")
}

/// Prints a manifest that adopts what is there.
///
/// # Errors
/// When the groups cannot be read, or the server cannot be reached.
pub async fn import(context: &Context, command: &ImportCommand) -> Result<Exit, Failure> {
    let ImportCommand::Asg(args) = command;
    let client = context.client()?;
    let mut url = client.url(&["accounts", &args.account, "import"]);
    url.query_pairs_mut()
        .append_pair("groups", &args.groups.join(","))
        .append_pair("service", &args.service)
        .append_pair("environment", &args.environment);
    let value: Value = client.get(url).await?;
    let imported: Imported = client.read(value.clone())?;
    for note in &imported.notes {
        // Nobody reads it when nobody is there.
        let _ = writeln!(io::stderr(), "note: {}", harmless(note));
    }
    if context.format == Format::Json {
        output::value(Format::Json, &value, |_| String::new())?;
        return Ok(Exit::Ok);
    }
    for note in &imported.notes {
        // A line break in what AWS says must not end the comment.
        let note: Vec<&str> = note.split_whitespace().collect();
        output::line(&format!("# {}", note.join(" ")))?;
    }
    output::line(output::yaml(&imported.manifest).trim_end())?;
    Ok(Exit::Ok)
}
