//! `status`: what runs, and what is being done.

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::{
    Context,
    client::Client,
    failure::{Exit, Failure},
    live::gate_text,
    output::{self, ago, text_at},
    style::Style,
    waits,
    wire::{Deployment, Instance, Status},
};

/// Most server groups that are looked through.
const GROUPS_MAX: usize = 50_000;

/// Of what.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The service [default: every service of the environment]
    service: Option<String>,
    /// The environment
    #[arg(short, long, visible_alias = "env", value_name = "ENV")]
    environment: String,
}

/// Shows what runs.
///
/// # Errors
/// When it does not exist, or the server cannot be reached.
pub async fn run(context: &Context, args: &StatusArgs) -> Result<Exit, Failure> {
    let client = context.client()?;
    let environment = &args.environment;
    if let Some(service) = &args.service {
        let value = one(&client, environment, service).await?;
        let status: Status = client.read(value.clone())?;
        output::value(context.format, &value, |_| page(&status, Style::stdout()))?;
        return Ok(Exit::Ok);
    }
    let mut all = Vec::new();
    for service in services(&client, environment).await? {
        all.push(one(&client, environment, &service).await?);
    }
    output::value(context.format, &Value::Array(all.clone()), |_| {
        let statuses = all
            .iter()
            .filter_map(|value| client.read(value.clone()).ok());
        let rows: Vec<_> = statuses.map(|status| row(&status)).collect();
        output::table(
            &["SERVICE", "LIVE", "HEALTHY", "DEPLOYMENT", "ADDRESS"],
            &rows,
        )
    })?;
    Ok(Exit::Ok)
}

async fn one(client: &Client, environment: &str, service: &str) -> Result<Value, Failure> {
    client
        .get(client.url(&["environments", environment, "services", service]))
        .await
}

/// The services that have a server group in `environment`.
async fn services(client: &Client, environment: &str) -> Result<Vec<String>, Failure> {
    // Asked first, so that an environment that does not exist is an error and not an empty table.
    let _: Value = client
        .get(client.url(&["environments", environment]))
        .await?;
    let groups = client
        .items(client.url(&["server-groups"]), GROUPS_MAX)
        .await?;
    Ok(groups
        .iter()
        .filter(|group| text_at(group, "environment") == environment)
        .map(|group| text_at(group, "service"))
        .collect())
}

fn instances(status: &Status) -> &[Instance] {
    status
        .observation
        .as_ref()
        .map_or(&[], |seen| seen.instances.as_slice())
}

fn row(status: &Status) -> Vec<String> {
    let all = instances(status);
    let healthy = all
        .iter()
        .filter(|instance| instance.state == "healthy")
        .count();
    vec![
        status.service.clone(),
        status
            .live
            .as_ref()
            .map_or("-".to_owned(), |live| live.version.clone()),
        format!("{healthy} of {}", all.len()),
        status.deployment.as_ref().map_or("-".to_owned(), in_short),
        status.url.clone().unwrap_or_default(),
    ]
}

fn in_short(deployment: &Deployment) -> String {
    format!("{} {}", deployment.version, deployment.status)
}

pub(super) fn page(status: &Status, style: Style) -> String {
    let Status {
        service,
        environment,
        ..
    } = status;
    let mut lines = vec![style.bold(&format!("{service} in {environment}"))];
    let mut field = |name: &str, text: String| {
        lines.push(format!("  {}  {text}", style.dim(&format!("{name:10}"))));
    };
    if let Some(url) = &status.url {
        field("address", style.cyan(url));
    }
    field(
        "live",
        status
            .live
            .as_ref()
            .map_or("nothing that Pointsman deployed".to_owned(), |live| {
                format!(
                    "{}, deployed {}",
                    style.green(&live.version),
                    ago(&live.since)
                )
            }),
    );
    if let Some(trouble) = &status.trouble {
        field("provider", style.red(&trouble.sentence));
    }
    let split = status.observation.as_ref().map(|seen| &seen.weights);
    if let Some(weights) = split.filter(|weights| weights.len() > 1) {
        let shares = weights
            .iter()
            .map(|(slice, share)| format!("{share} % {slice}"));
        field("users", shares.collect::<Vec<_>>().join(", "));
    }
    if let Some(deployment) = &status.deployment {
        field(
            "deployment",
            format!("{}  {}", in_short(deployment), style.dim(&deployment.id)),
        );
        for gate in deployment.gates() {
            field("gate", gate_text(gate, style));
        }
        if let Some(waiting) = &deployment.waiting {
            let gates = deployment.gates();
            field("waits", waits::line_below(gates, waiting, Timestamp::now()));
        }
    }
    if let Some(lock) = &status.lock {
        let text = format!("by {}: {}", text_at(lock, "by"), text_at(lock, "reason"));
        field("locked", style.yellow(&text));
    }
    let rows: Vec<_> = instances(status).iter().map(instance_row).collect();
    if !rows.is_empty() {
        lines.push(String::new());
        lines.push(output::table(
            &["INSTANCE", "VERSION", "STATE", "ZONE", "STARTED"],
            &rows,
        ));
    }
    lines.join("\n")
}

fn instance_row(instance: &Instance) -> Vec<String> {
    vec![
        instance.id.clone(),
        instance.version.clone(),
        instance.state.clone(),
        instance.zone.clone(),
        ago(&instance.started_at),
    ]
}
