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
    /// Show a deployment
    Get {
        /// Id of the deployment
        id: String,
    },
}

/// Which deployments.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only deployments of this service
    #[arg(short, long)]
    service: Option<String>,
    /// Only deployments in this environment
    #[arg(short, long, visible_alias = "env", value_name = "ENV")]
    environment: Option<String>,
    /// Only deployments that have not ended
    #[arg(long)]
    unfinished: bool,
    /// Maximum number of rows
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
}

/// Which deployment.
#[derive(Debug, Args)]
pub struct TargetArgs {
    /// Id of a deployment; or, with --environment, a service
    target: String,
    /// The environment in which the service is being deployed
    #[arg(short, long, visible_alias = "env", value_name = "ENV")]
    environment: Option<String>,
}

/// Which deployment, and why.
#[derive(Debug, Args)]
pub struct ReasonArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Reason, for the audit log
    #[arg(short, long, default_value = "no reason given")]
    reason: String,
    /// Return at once instead of watching until the stable release is restored
    #[arg(long)]
    no_wait: bool,
}

/// Which deployment is approved.
#[derive(Debug, Args)]
pub struct ApproveArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Approve only if the plan still has this hash (`plan_hash` of `pointsman deployment get`)
    #[arg(long, value_name = "HASH")]
    plan_hash: Option<String>,
}

/// What a person can ask of a running deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Restore the stable release; the deployment ends as aborted.
    Abort,
    /// Refuse an approval: restore the stable release; the deployment ends as rolled back.
    Reject,
    /// Restore the stable release; the deployment ends as rolled back.
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

/// Pauses a deployment.
///
/// # Errors
/// When there is none, it has ended or is paused already, or the server cannot be reached.
pub async fn pause(context: &Context, args: &TargetArgs) -> Result<Exit, Failure> {
    let id = send(context, args, "pause", json!({})).await?;
    context.say(&format!("paused; continue with `pointsman resume {id}`"));
    Ok(Exit::Ok)
}

/// Resumes a paused deployment.
///
/// # Errors
/// When there is none, it is not paused, or the server cannot be reached.
pub async fn resume(context: &Context, args: &TargetArgs) -> Result<Exit, Failure> {
    let id = send(context, args, "resume", json!({})).await?;
    context.say(&format!("resumed; follow it with `pointsman watch {id}`"));
    Ok(Exit::Ok)
}

/// Approves a deployment that waits for approval.
///
/// # Errors
/// When it waits for none, somebody else must approve, or the server cannot be reached.
pub async fn approve(context: &Context, args: &ApproveArgs) -> Result<Exit, Failure> {
    let body = match &args.plan_hash {
        Some(hash) => json!({ "plan_hash": hash }),
        None => json!({}),
    };
    let id = send(context, &args.target, "approve", body).await?;
    context.say(&format!("approved; follow it with `pointsman watch {id}`"));
    Ok(Exit::Ok)
}

/// Ends the current bake early.
///
/// # Errors
/// When it does not bake now, waits for approval, or the server cannot be reached.
pub async fn promote(context: &Context, args: &TargetArgs) -> Result<Exit, Failure> {
    let id = send(context, args, "promote", json!({})).await?;
    context.say(&format!(
        "the bake is over; follow the next step with `pointsman watch {id}`"
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

/// Sends a deployment back, and watches until the stable release is restored.
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
            "follow it with `pointsman watch {}`",
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
            .next("`pointsman deployment list` shows past deployments")
        })
}
