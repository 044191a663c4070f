//! `slices` and `switch`: the two slices of a service side by side, and moving users between them.

use clap::Args;
use domain::time::human_ms;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Context,
    amounts::Seconds,
    deploy::{self, Begun},
    failure::{Exit, Failure},
    output::{self, Format},
    screen::{Screen, Target},
};

/// Of what.
#[derive(Debug, Args)]
pub struct SlicesArgs {
    /// The service
    service: String,
    /// The environment
    #[arg(short, long, visible_alias = "env", value_name = "ENV")]
    environment: String,
}

/// What to switch, and why.
#[derive(Debug, Args)]
pub struct SwitchArgs {
    #[command(flatten)]
    place: SlicesArgs,
    /// Reason, for the audit log
    #[arg(short, long)]
    reason: Option<String>,
    /// Return as soon as the deployment has started
    #[arg(long)]
    no_wait: bool,
}

/// For whom, and for how long.
#[derive(Debug, Args)]
pub struct PassArgs {
    #[command(flatten)]
    place: SlicesArgs,
    /// The slice, `blue` or `green` [default: the slice without users]
    #[arg(long)]
    slice: Option<String>,
    /// How long the pass is valid, such as 30m; at most a week
    #[arg(long = "for", value_name = "TIME", default_value = "1h")]
    lasts: Seconds,
}

/// The slices of a place, as far as they are shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Slices {
    slices: Vec<Slice>,
    mirror: Option<Mirror>,
    mirrored: Option<Mirrored>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Slice {
    slice: String,
    role: String,
    weight: u8,
    version: Option<String>,
    sizes: Sizes,
    instances: std::collections::BTreeMap<String, u32>,
    traffic: Option<Traffic>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sizes {
    desired: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Traffic {
    requests: u64,
    errors: u64,
    p50_us: Option<u64>,
    p95_us: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Mirror {
    from: String,
    to: String,
    percent: u8,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Mirrored {
    copies: u64,
    errors: u64,
    compared: u64,
    differing: u64,
}

/// Shows the slices of a service.
///
/// # Errors
/// When there are none, or the server cannot be reached.
pub async fn show(context: &Context, args: &SlicesArgs) -> Result<Exit, Failure> {
    let client = context.client()?;
    let SlicesArgs {
        service,
        environment,
    } = args;
    let url = client.url(&["environments", environment, "services", service, "slices"]);
    let value: Value = client.get(url).await?;
    let slices: Slices = client.read(value.clone())?;
    output::value(context.format, &value, |_| page(&slices))?;
    Ok(Exit::Ok)
}

/// Moves the users to what the other slice runs, and watches until they are there.
///
/// # Errors
/// When governance says no, or the server cannot be reached.
pub async fn switch(context: &Context, args: &SwitchArgs) -> Result<Exit, Failure> {
    let client = context.client()?;
    let SlicesArgs {
        service,
        environment,
    } = &args.place;
    let url = client.url(&["environments", environment, "services", service, "switch"]);
    let body = json!({ "reason": args.reason });
    let begun: Begun = client.read(client.post(url, &body).await?.body)?;
    deploy::follow(context, &client, begun, args.no_wait).await
}

/// Gives a pass for testers: on standard output only the pass, so that it can be put into a variable.
///
/// # Errors
/// When nothing was deployed there, or the server cannot be reached.
pub async fn pass(context: &Context, args: &PassArgs) -> Result<Exit, Failure> {
    let client = context.client()?;
    let SlicesArgs {
        service,
        environment,
    } = &args.place;
    let url = client.url(&["environments", environment, "services", service, "passes"]);
    let body = json!({ "slice": args.slice, "seconds": args.lasts.0 });
    let pass = client.post(url, &body).await?.body;
    if context.format != Format::Table {
        output::value(context.format, &pass, output::yaml)?;
        return Ok(Exit::Ok);
    }
    let text = |field: &str| pass[field].as_str().unwrap_or_default().to_owned();
    output::line(&text("token"))?;
    Screen::new(Target::Stderr).log(&format!(
        "leads to {} until {}; send it in the header x-pointsman-pass or the cookie pointsman-pass",
        text("slice"),
        text("expires_at")
    ));
    Ok(Exit::Ok)
}

fn page(slices: &Slices) -> String {
    let heading = [
        "SLICE",
        "ROLE",
        "USERS",
        "VERSION",
        "SIZE",
        "INSTANCES",
        "REQUESTS",
        "ERRORS",
        "P50",
        "P95",
    ];
    let rows: Vec<_> = slices.slices.iter().map(row).collect();
    let mut lines = vec![output::table(&heading, &rows)];
    if let Some(Mirror { from, to, percent }) = &slices.mirror {
        let Mirrored {
            copies,
            errors,
            compared,
            differing,
        } = slices.mirrored.unwrap_or_default();
        let mut line = format!(
            "copies of {percent} % of {from}'s requests go to {to}: {copies} sent, {errors} failed"
        );
        if compared > 0 {
            line.push_str(&format!(", {differing} of {compared} answers differ"));
        }
        lines.push(format!("\n{line}"));
    }
    lines.join("\n")
}

fn row(slice: &Slice) -> Vec<String> {
    let instances: Vec<String> = slice
        .instances
        .iter()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    let counted = |count: fn(&Traffic) -> u64| {
        let traffic = slice.traffic.as_ref();
        traffic.map_or(String::new(), |traffic| count(traffic).to_string())
    };
    let took = |us: fn(&Traffic) -> Option<u64>| {
        let us = slice.traffic.as_ref().and_then(us);
        us.map(time).unwrap_or_default()
    };
    vec![
        slice.slice.clone(),
        slice.role.clone(),
        format!("{} %", slice.weight),
        slice.version.clone().unwrap_or_else(|| "-".to_owned()),
        slice.sizes.desired.to_string(),
        instances.join(", "),
        counted(|traffic| traffic.requests),
        counted(|traffic| traffic.errors),
        took(|traffic| traffic.p50_us),
        took(|traffic| traffic.p95_us),
    ]
}

/// A time to answer, with as many digits as are of use.
fn time(us: u64) -> String {
    match us {
        0..10_000 => format!("{:.1} ms", us as f64 / 1000.0),
        10_000..1_000_000 => format!("{} ms", us / 1000),
        _ => human_ms(us / 1000),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn slices_stand_side_by_side() {
        let value = json!({
            "slices": [
                {"slice": "blue", "role": "live", "weight": 90, "version": "1.0.0",
                 "sizes": {"min": 2, "desired": 2, "max": 2}, "instances": {"healthy": 2},
                 "traffic": {"epoch": 1, "requests": 900, "errors": 3, "p50_us": 5120, "p95_us": 48_000}},
                {"slice": "green", "role": "next", "weight": 10, "version": null,
                 "sizes": {"desired": 2}, "instances": {"healthy": 1, "pending": 1}, "traffic": null},
            ],
            "mirror": {"from": "blue", "to": "green", "percent": 5},
            "mirrored": {"copies": 40, "errors": 0, "compared": 39, "differing": 2},
        });
        let slices: Slices = serde_json::from_value(value).expect("slices");
        expect![[r#"
            SLICE  ROLE  USERS  VERSION  SIZE  INSTANCES             REQUESTS  ERRORS  P50     P95
            blue   live  90 %   1.0.0    2     2 healthy             900       3       5.1 ms  48 ms
            green  next  10 %   -        2     1 healthy, 1 pending

            copies of 5 % of blue's requests go to green: 40 sent, 0 failed, 2 of 39 answers differ"#]]
        .assert_eq(&page(&slices));
    }
}
