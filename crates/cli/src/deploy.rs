//! `deploy` and `plan`.

use std::time::Instant;

use clap::Args;
use domain::{release::ImageId, time::human_ms};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Context,
    client::Client,
    failure::{Exit, Failure},
    output::{self, Format},
    plan_page, problem,
    screen::{Screen, Target},
    strategy::StrategyArgs,
    style::Style,
    watch::{self, Watching},
    wire::{Deployment, Preview, Reason, Status},
};

/// What to deploy, and how.
#[derive(Debug, Args)]
pub struct WishArgs {
    /// The service
    pub service: String,
    /// The version of the release to deploy
    pub version: String,
    /// The environment
    #[arg(short, long, visible_alias = "env", value_name = "ENV")]
    pub environment: String,
    /// How the release becomes live.
    #[command(flatten)]
    pub strategy: StrategyArgs,
    /// Deploy even if this release is live already, and replace its instances with new ones
    #[arg(long)]
    pub force: bool,
    /// AWS: run the package on this machine image, even if the release is live on another one
    #[arg(long, value_name = "AMI")]
    pub image: Option<ImageId>,
}

/// The arguments of `deploy`.
#[derive(Debug, Args)]
pub struct DeployArgs {
    #[command(flatten)]
    wish: WishArgs,
    /// Show only the plan and every objection
    #[arg(long)]
    dry_run: bool,
    /// Watch until the deployment ends (the default)
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Return as soon as the deployment has started
    #[arg(long)]
    no_wait: bool,
}

impl WishArgs {
    /// The body of the request. The gates of the server group are read where others are added.
    async fn body(&self, client: &Client, dry_run: bool) -> Result<Value, Failure> {
        let usual = if self.strategy.adds_to_the_group() {
            self.gates_of_the_group(client).await?
        } else {
            Vec::new()
        };
        let mut body = json!({
            "service": self.service,
            "environment": self.environment,
            "version": self.version,
            "force": self.force,
            "dry_run": dry_run,
        });
        if let Some(strategy) = self.strategy.body(usual)? {
            body["strategy"] = strategy;
        }
        if let Some(image) = &self.image {
            body["image"] = image.as_str().into();
        }
        Ok(body)
    }

    async fn gates_of_the_group(&self, client: &Client) -> Result<Vec<Value>, Failure> {
        let name = format!("{}.{}", self.service, self.environment);
        let group: Result<Value, Failure> = client.get(client.url(&["server-groups", &name])).await;
        match group {
            // Governance says better what is missing.
            Err(failure) if failure.exit == Exit::NotReached => Ok(Vec::new()),
            group => {
                let gates = group?.get_mut("gates").map(Value::take);
                Ok(gates
                    .and_then(|gates| gates.as_array().cloned())
                    .unwrap_or_default())
            }
        }
    }

    /// The deployment that is only planned, as far as a heading tells it.
    async fn planned(&self, client: &Client, body: &Value) -> Result<Deployment, Failure> {
        let place = ["environments", &self.environment, "services", &self.service];
        let status: Status = client.get(client.url(&place)).await?;
        let strategy = body.get("strategy").cloned();
        let strategy = strategy.unwrap_or_else(|| json!({ "kind": "scale-up" }));
        Ok(Deployment {
            service: self.service.clone(),
            environment: self.environment.clone(),
            version: self.version.clone(),
            stable_version: status.live.map(|live| live.version),
            strategy,
            ..Deployment::default()
        })
    }
}

/// Deploys, or only shows what would be done.
///
/// # Errors
/// When governance says no, or the server cannot be reached.
pub async fn deploy(context: &Context, args: &DeployArgs) -> Result<Exit, Failure> {
    if args.dry_run {
        return plan(context, &args.wish).await;
    }
    args.wish.strategy.check()?;
    let client = context.client()?;
    let begun = begin(&client, &args.wish.body(&client, false).await?).await?;
    follow(context, &client, begun, args.no_wait).await
}

/// Shows what a deployment that began will do, and watches it, unless nobody wants to wait.
///
/// # Errors
/// When the server says no, or is away for too long.
pub async fn follow(
    context: &Context,
    client: &Client,
    begun: Begun,
    no_wait: bool,
) -> Result<Exit, Failure> {
    let mut screen = context.screen();
    let style = screen.style();
    screen.log(&plan_page::heading(&begun.deployment, style));
    if let Some(preview) = &begun.preview {
        screen.log(&format!("\n{}\n", plan_page::page(preview, style)));
    }
    if no_wait {
        return begun_only(context, &begun);
    }
    finish(context, client, begun.deployment).await
}

/// Watches `deployment` to its end, prints the outcome, and turns it into an exit code.
///
/// # Errors
/// When the server says no, or is away for too long.
pub async fn finish(
    context: &Context,
    client: &Client,
    deployment: Deployment,
) -> Result<Exit, Failure> {
    let started = Instant::now();
    let id = deployment.id.clone();
    let mut screen = context.screen();
    let watching = Watching {
        client,
        screen: &mut screen,
        more: &Vec::new,
    };
    let ended = watch::watch(watching, deployment).await?;
    let elapsed = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    screen.log(&outcome(&ended, elapsed, screen.style()));
    // An extra for people: nothing is wrong when it cannot be had.
    if let Ok(calls) = client
        .get::<Calls>(client.url(&["deployments", &id, "calls"]))
        .await
        && let (Some(changes), Some(looks)) = (calls.changes, calls.looks)
    {
        let text = format!(
            "  AWS calls: {changes} that changed something, {looks:.0} to look (its share)"
        );
        screen.log(&text);
    }
    if context.format != Format::Table {
        let value: Value = client.get(client.url(&["deployments", &id])).await?;
        output::value(context.format, &value, output::yaml)?;
    }
    Ok(if ended.succeeded() {
        Exit::Ok
    } else {
        Exit::NotReached
    })
}

/// What a deployment cost.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Calls {
    changes: Option<u64>,
    looks: Option<f64>,
}

/// How it ended, in one line, or more when something is left behind.
#[must_use]
pub fn outcome(ended: &Deployment, elapsed_ms: u64, style: Style) -> String {
    let time = human_ms(elapsed_ms / 100 * 100);
    let stable = ended.stable_version.as_deref().unwrap_or("nothing");
    let mut text = match ended.status.as_str() {
        "succeeded" => format!(
            "{} {} is live, after {time}",
            style.green("✔"),
            ended.version
        ),
        "failed" => format!(
            "{} failed after {time}; see `pointsman status`",
            style.red("✘")
        ),
        "aborted" => format!(
            "{} aborted: {stable} is live, after {time}",
            style.yellow("↩")
        ),
        _ => format!(
            "{} rolled back: {stable} is live, after {time}",
            style.yellow("↩")
        ),
    };
    if let Some(failure) = &ended.failure {
        text.push_str(&format!("\n  {} {}", style.dim("why:"), failure.sentence));
    }
    let dirty = ended
        .certificate
        .iter()
        .filter(|certificate| !certificate.clean);
    for line in dirty.flat_map(|certificate| &certificate.lines) {
        if line.intended != line.seen {
            text.push_str(&format!(
                "\n  {} {} should be {} and is {}",
                style.red("left behind:"),
                line.field,
                line.intended,
                line.seen
            ));
        }
    }
    text
}

/// Shows the plan, and every objection.
///
/// # Errors
/// When governance says no, or the server cannot be reached.
pub async fn plan(context: &Context, args: &WishArgs) -> Result<Exit, Failure> {
    args.strategy.check()?;
    let client = context.client()?;
    let body = args.body(&client, true).await?;
    let reply = client.post(client.url(&["deployments"]), &body).await?;
    let answer: DryRun = client.read(reply.body.clone())?;
    if context.format != Format::Table {
        output::value(context.format, &reply.body, output::yaml)?;
    } else if let Some(preview) = &answer.preview {
        let style = Style::stdout();
        let planned = args.planned(&client, &body).await?;
        output::line(&plan_page::heading(&planned, style))?;
        output::line(&format!("\n{}", plan_page::page(preview, style)))?;
    }
    if answer.objections.is_empty() {
        return Ok(Exit::Ok);
    }
    let what = format!(
        "{} {} may not be deployed to {}",
        args.service, args.version, args.environment
    );
    Err(problem::refused(what, answer.objections))
}

/// Starts a deployment.
///
/// # Errors
/// When governance says no, or the server cannot be reached.
pub async fn begin(client: &Client, body: &Value) -> Result<Begun, Failure> {
    let reply = client.post(client.url(&["deployments"]), body).await?;
    client.read(reply.body)
}

/// The answer to a started deployment.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Begun {
    /// The deployment.
    pub deployment: Deployment,
    /// What it is expected to do; `None` for one that is rolled back.
    pub preview: Option<Preview>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DryRun {
    preview: Option<Preview>,
    objections: Vec<Reason>,
}

fn begun_only(context: &Context, begun: &Begun) -> Result<Exit, Failure> {
    let id = &begun.deployment.id;
    if context.format == Format::Table {
        output::line(id)?;
        Screen::new(Target::Stderr).log(&format!("watch it with `pointsman watch {id}`"));
    } else {
        output::value(context.format, &json!({ "id": id }), output::yaml)?;
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_behind_is_told() {
        let mut ended = Deployment {
            status: "rolled_back".into(),
            stable_version: Some("1.0.0".into()),
            failure: Some(Reason {
                sentence: "only 0 of 4 became healthy".into(),
                ..Reason::default()
            }),
            ..Deployment::default()
        };
        let text = outcome(&ended, 12_340, Style::PLAIN);
        assert_eq!(
            text,
            "↩ rolled back: 1.0.0 is live, after 12 s\n  why: only 0 of 4 became healthy"
        );
        ended.certificate = Some(super::super::wire::Certificate {
            clean: false,
            lines: vec![super::super::wire::CertificateLine {
                field: "max".into(),
                intended: "4".into(),
                seen: "8".into(),
            }],
        });
        let text = outcome(&ended, 0, Style::PLAIN);
        assert!(
            text.ends_with("left behind: max should be 4 and is 8"),
            "{text}"
        );
    }
}
