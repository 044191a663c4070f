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
    wire::{Deployment, Instance, Observation, Status},
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
    let url = client.url(&["environments", environment, "status"]);
    let all = client.items(url, GROUPS_MAX).await?;
    output::value(context.format, &Value::Array(all), |all| {
        let rows = all.as_array().map_or(&[][..], Vec::as_slice);
        let rows: Vec<_> = rows.iter().map(row).collect();
        let table = output::table(
            &["SERVICE", "LIVE", "HEALTHY", "DEPLOYMENT", "ADDRESS"],
            &rows,
        );
        let notes = all.as_array().into_iter().flatten().flat_map(notes);
        [table]
            .into_iter()
            .chain(notes)
            .collect::<Vec<_>>()
            .join("\n")
    })?;
    Ok(Exit::Ok)
}

async fn one(client: &Client, environment: &str, service: &str) -> Result<Value, Failure> {
    client
        .get(client.url(&["environments", environment, "services", service]))
        .await
}

fn instances(status: &Status) -> &[Instance] {
    status
        .observation
        .as_ref()
        .map_or(&[], |seen| seen.instances.as_slice())
}

/// A row of the API's status of an environment.
fn row(place: &Value) -> Vec<String> {
    let deployment = &place["deployment"];
    vec![
        text_at(place, "service"),
        match text_at(&place["live"], "version") {
            version if version.is_empty() => "-".to_owned(),
            version => version,
        },
        if place["trouble"].is_null() {
            let (healthy, wanted) = (text_at(place, "healthy"), text_at(place, "wanted"));
            format!("{healthy} of {wanted}")
        } else {
            "?".to_owned()
        },
        if deployment.is_null() {
            "-".to_owned()
        } else {
            let (version, status) = (
                text_at(deployment, "version"),
                text_at(deployment, "status"),
            );
            format!("{version} {status}")
        },
        text_at(place, "url"),
    ]
}

/// What is wrong at a place, and what its deployment waits for, one line each.
fn notes(place: &Value) -> Vec<String> {
    let service = text_at(place, "service");
    let said = [
        text_at(&place["trouble"], "sentence"),
        text_at(place, "provider_says"),
        text_at(&place["deployment"]["waiting"], "sentence"),
    ];
    let said = said.into_iter().filter(|text| !text.is_empty());
    said.map(|text| format!("{service}: {text}")).collect()
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
            .map_or("nothing deployed by Pointsman".to_owned(), |live| {
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
    if let Some(seen) = &status.observation {
        field("healthy", healthy(seen, style));
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

/// How many instances are healthy, and what the provider says when some are not.
fn healthy(seen: &Observation, style: Style) -> String {
    let healthy = seen.instances.iter().filter(|it| it.state == "healthy");
    let healthy = healthy.count();
    let wanted: u32 = seen.sizes.values().map(|sizes| sizes.desired).sum();
    let said: Vec<&str> = seen.provider_says.values().map(String::as_str).collect();
    in_short_of(healthy, wanted, &said.join("; "), style)
}

fn in_short_of(healthy: usize, wanted: u32, says: &str, style: Style) -> String {
    let counts = format!("{healthy} of {wanted}");
    match says {
        "" => counts,
        says => style.red(&format!("{counts}: {says}")),
    }
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
