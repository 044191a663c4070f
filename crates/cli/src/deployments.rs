//! `deployment list|get`, `watch`, `pause`, `resume`, `approve`, `promote`, `reject`,
//! `abort`, `rollback`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Context,
    client::Client,
    deploy,
    failure::{Exit, Failure},
    output::{self, Format, ago, text_at},
    wire::{Deployment, Status},
};

/// What can be asked about deployments.
#[derive(Debug, Subcommand)]
pub enum DeploymentCommand {
    /// List deployments, newest first
    List(ListArgs),
    /// Show one deployment
    Get {
        /// Its id
        id: String,
    },
}

/// Which deployments.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only of this service
    #[arg(short, long)]
    service: Option<String>,
    /// Only in this environment
    #[arg(short, long, visible_alias = "env", value_name = "ENV")]
    environment: Option<String>,
    /// Only those that have not ended
    #[arg(long)]
    unfinished: bool,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
}

/// Which deployment.
#[derive(Debug, Args)]
pub struct TargetArgs {
    /// The id of a deployment; or a service, together with --environment
    target: String,
    /// Where the service is being deployed
    #[arg(short, long, visible_alias = "env", value_name = "ENV")]
    environment: Option<String>,
}

/// Which deployment, and why.
#[derive(Debug, Args)]
pub struct ReasonArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Why, for those who read the audit log
    #[arg(short, long, default_value = "no reason given")]
    reason: String,
    /// Return at once instead of watching until stable is back
    #[arg(long)]
    no_wait: bool,
}

/// Which deployment is approved.
#[derive(Debug, Args)]
pub struct ApproveArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Only if its plan is still the one with this hash (`plan_hash` of `pointsman deployment get`)
    #[arg(long, value_name = "HASH")]
    plan_hash: Option<String>,
}

/// What a person can ask of a running deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Give stable back, end as aborted.
    Abort,
    /// Say no where a gate asks: give stable back, end as rolled back.
    Reject,
    /// Give stable back, end as rolled back.
    RollBack,
}

/// Answers a question about deployments.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub async fn run(context: &Context, command: DeploymentCommand) -> Result<Exit, Failure> {
    match command {
        DeploymentCommand::List(args) => list(context, &args).await,
        DeploymentCommand::Get { id } => {
            let client = context.client()?;
            let deployment: Value = client.get(client.url(&["deployments", &id])).await?;
            output::value(context.format, &deployment, |deployment| {
                output::yaml(deployment).trim_end().to_owned()
            })?;
            Ok(Exit::Ok)
        }
    }
}

async fn list(context: &Context, args: &ListArgs) -> Result<Exit, Failure> {
    let client = context.client()?;
    let mut url = client.url(&["deployments"]);
    let filters = [
        ("service", args.service.as_deref()),
        ("environment", args.environment.as_deref()),
        ("unfinished", args.unfinished.then_some("true")),
    ];
    for (name, value) in filters {
        if let Some(value) = value {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    let items = client.items(url, usize::from(args.limit)).await?;
    output::value(context.format, &Value::Array(items), |items| {
        let deployments = items.as_array().map_or(&[][..], Vec::as_slice);
        let rows: Vec<_> = deployments.iter().map(row).collect();
        let heading = [
            "ID",
            "SERVICE",
            "ENVIRONMENT",
            "VERSION",
            "STATUS",
            "REQUESTED",
            "BY",
        ];
        output::table(&heading, &rows)
    })?;
    Ok(Exit::Ok)
}

fn row(deployment: &Value) -> Vec<String> {
    let text = |key| text_at(deployment, key);
    vec![
        text("id"),
        text("service"),
        text("environment"),
        text("version"),
        text("status"),
        ago(&text("requested_at")),
        text("requested_by"),
    ]
}

/// Watches a deployment until it ends.
///
/// # Errors
/// When there is none, or the server cannot be reached.
pub async fn watch(context: &Context, args: &TargetArgs) -> Result<Exit, Failure> {
    let client = context.client()?;
    let id = id(&client, args).await?;
    let deployment: Deployment = client.get(client.url(&["deployments", &id])).await?;
    let mut screen = context.screen();
    screen.log(&super::plan_page::heading(&deployment, screen.style()));
    deploy::finish(context, &client, deployment).await
}

/// Holds a deployment where it is.
///
/// # Errors
/// When there is none, it ended or is held already, or the server cannot be reached.
pub async fn pause(context: &Context, args: &TargetArgs) -> Result<Exit, Failure> {
    let id = send(context, args, "pause", json!({})).await?;
    context.say(&format!("paused; `pointsman resume {id}` lets it go on"));
    Ok(Exit::Ok)
}

/// Lets a held deployment go on.
///
/// # Errors
/// When there is none, it is not held, or the server cannot be reached.
pub async fn resume(context: &Context, args: &TargetArgs) -> Result<Exit, Failure> {
    let id = send(context, args, "resume", json!({})).await?;
    context.say(&format!("it goes on; `pointsman watch {id}` shows how"));
    Ok(Exit::Ok)
}

/// Says yes where a deployment waits for a person.
///
/// # Errors
/// When it waits for none, somebody else must say it, or the server cannot be reached.
pub async fn approve(context: &Context, args: &ApproveArgs) -> Result<Exit, Failure> {
    let body = match &args.plan_hash {
        Some(hash) => json!({ "plan_hash": hash }),
        None => json!({}),
    };
    let id = send(context, &args.target, "approve", body).await?;
    context.say(&format!(
        "approved; `pointsman watch {id}` shows how it goes on"
    ));
    Ok(Exit::Ok)
}

/// Cuts the present watch of a deployment short.
///
/// # Errors
/// When it watches nothing now, waits for a person, or the server cannot be reached.
pub async fn promote(context: &Context, args: &TargetArgs) -> Result<Exit, Failure> {
    let id = send(context, args, "promote", json!({})).await?;
    context.say(&format!(
        "it goes on with the next step; `pointsman watch {id}` shows how"
    ));
    Ok(Exit::Ok)
}

async fn send(
    context: &Context,
    args: &TargetArgs,
    verb: &str,
    body: Value,
) -> Result<String, Failure> {
    let client = context.client()?;
    let id = id(&client, args).await?;
    let url = client.url(&["deployments", &id, verb]);
    let reply = client.post(url, &body).await?;
    if context.format != Format::Table {
        output::value(context.format, &reply.body, output::yaml)?;
    }
    Ok(id)
}

/// Turns a deployment round, and watches until stable is back.
///
/// With a service and an environment, a roll-back also works when nothing runs there: the release
/// before the live one is deployed.
///
/// # Errors
/// When there is nothing to go back to, or the server cannot be reached.
pub async fn turn(context: &Context, args: &ReasonArgs, turn: Turn) -> Result<Exit, Failure> {
    let client = context.client()?;
    let ReasonArgs { target, reason, .. } = args;
    let url = match (turn, &target.environment) {
        (Turn::RollBack, Some(environment)) => {
            let service = target.target.as_str();
            client.url(&[
                "environments",
                environment,
                "services",
                service,
                "roll-back",
            ])
        }
        (Turn::RollBack, None) => client.url(&["deployments", &target.target, "roll-back"]),
        (Turn::Abort | Turn::Reject, _) => {
            let id = id(&client, target).await?;
            let verb = if turn == Turn::Reject {
                "reject"
            } else {
                "abort"
            };
            client.url(&["deployments", &id, verb])
        }
    };
    let reply = client.post(url, &json!({ "reason": reason })).await?;
    let body = reply.body.get("deployment").cloned().unwrap_or(reply.body);
    let deployment: Deployment = client.read(body)?;
    if args.no_wait {
        context.say(&format!(
            "watch it with `pointsman watch {}`",
            deployment.id
        ));
        return Ok(Exit::Ok);
    }
    let exit = deploy::finish(context, &client, deployment).await?;
    // Going back is what was asked for here, so "rolled back" and "aborted" are no failures.
    Ok(match exit {
        Exit::NotReached if went_back(&client, target).await => Exit::Ok,
        exit => exit,
    })
}

async fn went_back(client: &Client, target: &TargetArgs) -> bool {
    let mut url = client.url(&["deployments"]);
    let found: Result<Deployment, Failure> = match &target.environment {
        None => {
            client
                .get(client.url(&["deployments", &target.target]))
                .await
        }
        Some(environment) => {
            url.query_pairs_mut()
                .append_pair("service", &target.target)
                .append_pair("environment", environment);
            match client.items(url, 1).await {
                Ok(mut items) if !items.is_empty() => client.read(items.remove(0)),
                _ => return false,
            }
        }
    };
    found.is_ok_and(|deployment| {
        matches!(
            deployment.status.as_str(),
            "rolled_back" | "aborted" | "succeeded"
        )
    })
}

/// The id that was given, or the one of the deployment that runs there.
async fn id(client: &Client, args: &TargetArgs) -> Result<String, Failure> {
    let Some(environment) = &args.environment else {
        return Ok(args.target.clone());
    };
    let url = client.url(&["environments", environment, "services", &args.target]);
    let status: Status = client.get(url).await?;
    status
        .deployment
        .map(|deployment| deployment.id)
        .ok_or_else(|| {
            Failure::new(
                Exit::NotReached,
                format!("no deployment of {} runs in {environment}", args.target),
            )
            .next("`pointsman deployment list` shows those that ended")
        })
}
