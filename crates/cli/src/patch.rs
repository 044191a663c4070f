//! `patch`: server groups go to another machine image, with the release that they run.
//!
//! The server plans; this command starts the deployments and waits for them, so many at a time.
//! Ending it leaves those that run alone. Starting it again goes on: what is on its image by then is
//! ignored.

use std::{
    collections::VecDeque,
    io::{IsTerminal, Write},
    time::Duration,
};

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Context,
    client::Client,
    deploy,
    failure::{Exit, Failure},
    images::days,
    output::{self, Format},
    wire::{CapacityPoint, Deployment, Preview},
};

/// Between two looks at what runs.
const LOOK: Duration = Duration::from_secs(1);

/// What to patch, to which image, and how.
#[derive(Debug, Args)]
pub struct PatchArgs {
    /// `latest` for the newest stable image of the kind that each group runs; or the id of an image
    #[arg(long, value_name = "latest|AMI")]
    ami: String,
    /// Only server groups in this environment
    #[arg(short, long, visible_alias = "env", value_name = "ENV")]
    environment: Option<String>,
    /// Only server groups of this service
    #[arg(short, long)]
    service: Option<String>,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    /// Show only what would be done
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Maximum number of deployments at the same time
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u8).range(1..=50))]
    max_parallel: u8,
    /// Continue with the next server group after a deployment that did not succeed
    #[arg(long)]
    keep_going: bool,
    /// Reason, for the audit log
    #[arg(short, long)]
    reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Plan {
    groups: Vec<Group>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Group {
    service: String,
    environment: String,
    version: Option<String>,
    eligible: bool,
    reasons: Vec<String>,
    warning: Option<String>,
    from_image: Option<String>,
    from_name: Option<String>,
    days_behind: Option<u64>,
    to_image: Option<String>,
    to_name: Option<String>,
    strategy: Value,
    preview: Option<Preview>,
}

/// How far all of it got.
#[derive(Debug, Default)]
struct Progress {
    waiting: VecDeque<Group>,
    running: Vec<Deployment>,
    succeeded: usize,
    not_succeeded: Vec<String>,
}

/// Patches server groups.
///
/// # Errors
/// When nobody said yes, or the server says no or cannot be reached.
pub async fn run(context: &Context, args: &PatchArgs) -> Result<Exit, Failure> {
    let client = context.client()?;
    let body = json!({
        "ami": args.ami, "environment": args.environment, "service": args.service,
    });
    let reply = client.post(client.url(&["patches", "plan"]), &body).await?;
    let plan: Plan = client.read(reply.body.clone())?;
    output::value(context.format, &reply.body, |_| page(&plan))?;
    let eligible: VecDeque<Group> = plan.groups.into_iter().filter(|it| it.eligible).collect();
    if eligible.is_empty() {
        context.say("nothing to patch");
        return Ok(Exit::Ok);
    }
    if args.dry_run {
        return Ok(Exit::Ok);
    }
    if !args.yes && !agreed(context, eligible.len())? {
        context.say("nothing was changed");
        return Ok(Exit::Ok);
    }
    carry_out(context, &client, args, eligible).await
}

fn agreed(context: &Context, count: usize) -> Result<bool, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() || context.format != Format::Table {
        return Err(Failure::usage(
            "nothing was changed: there is no terminal to ask for confirmation",
        )
        .next("add --yes to patch without confirmation, or --dry-run to show only the plan"));
    }
    eprint!("patch {count} server group(s)? [y/N] ");
    drop(std::io::stderr().flush());
    let mut answer = String::new();
    stdin.read_line(&mut answer).map_err(|error| {
        Failure::usage("nothing was changed: the answer cannot be read").because(error)
    })?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Starts the deployments, at most so many at a time, and waits until all have ended.
async fn carry_out(
    context: &Context,
    client: &Client,
    args: &PatchArgs,
    waiting: VecDeque<Group>,
) -> Result<Exit, Failure> {
    let mut screen = context.screen();
    let style = screen.style();
    let mut progress = Progress {
        waiting,
        ..Progress::default()
    };
    loop {
        while let Some(group) = progress.next(args) {
            match begin(client, args, &group).await {
                Ok(deployment) => {
                    screen.log(&format!("{}: started {}", group.name(), deployment.id));
                    progress.running.push(deployment);
                }
                // The world changed since the plan; a server that is away ends it all.
                Err(failure) if failure.exit == Exit::Refused => {
                    screen.log(&failure.text(style));
                    progress.not_succeeded.push(group.name());
                }
                Err(failure) => return Err(failure),
            }
        }
        if progress.running.is_empty() {
            break;
        }
        tokio::time::sleep(LOOK).await;
        for deployment in std::mem::take(&mut progress.running) {
            let url = client.url(&["deployments", &deployment.id]);
            let now: Deployment = client.get(url).await?;
            if let Some(line) = progress.looked(now) {
                screen.log(&line);
            }
        }
    }
    screen.log(&progress.summary());
    Ok(if progress.not_succeeded.is_empty() {
        Exit::Ok
    } else {
        Exit::NotReached
    })
}

async fn begin(client: &Client, args: &PatchArgs, group: &Group) -> Result<Deployment, Failure> {
    let mut body = json!({
        "service": group.service,
        "environment": group.environment,
        "version": group.version,
        "image": group.to_image,
        "strategy": group.strategy,
    });
    if let Some(reason) = &args.reason {
        body["reason"] = reason.as_str().into();
    }
    Ok(deploy::begin(client, &body).await?.deployment)
}

impl Progress {
    /// The next group to start, if one may be started now.
    fn next(&mut self, args: &PatchArgs) -> Option<Group> {
        let stopped = !self.not_succeeded.is_empty() && !args.keep_going;
        let full = self.running.len() >= usize::from(args.max_parallel);
        if stopped || full {
            return None;
        }
        self.waiting.pop_front()
    }

    /// Counts a deployment that was looked at; the line that tells its end.
    fn looked(&mut self, deployment: Deployment) -> Option<String> {
        if !deployment.is_finished() {
            self.running.push(deployment);
            return None;
        }
        let name = name(&deployment.service, &deployment.environment);
        let mut line = format!("{name}: {}", deployment.status);
        if deployment.succeeded() {
            self.succeeded += 1;
        } else {
            if let Some(failure) = &deployment.failure {
                line.push_str(&format!(": {}", failure.sentence));
            }
            self.not_succeeded.push(name);
        }
        Some(line)
    }

    fn summary(&self) -> String {
        let mut text = format!("{} patched", self.succeeded);
        if !self.not_succeeded.is_empty() {
            let names = self.not_succeeded.join(", ");
            text.push_str(&format!(
                ", {} not: {names}; see `pointsman deployment list`",
                self.not_succeeded.len()
            ));
        }
        if !self.waiting.is_empty() {
            text.push_str(&format!(
                "; {} not started: run the same command again to continue",
                self.waiting.len()
            ));
        }
        text
    }
}

impl Group {
    fn name(&self) -> String {
        name(&self.service, &self.environment)
    }

    fn row(&self) -> Vec<String> {
        let or_dash = |text: Option<&String>| text.map_or("-".to_owned(), Clone::clone);
        let counts = self.preview.as_ref().map(|preview| {
            let instances = |point: Option<&CapacityPoint>| point.map_or(0, |it| it.instances);
            let first = instances(preview.capacity.first());
            let last = instances(preview.capacity.last());
            format!("{first} to {last}, peak {}", preview.peak_instances)
        });
        let what = match (self.eligible, &self.warning) {
            (true, None) => "patch".to_owned(),
            (true, Some(warning)) => format!("patch; note: {warning}"),
            (false, _) => format!("ignored: {}", self.reasons.join("; ")),
        };
        vec![
            self.service.clone(),
            self.environment.clone(),
            or_dash(self.version.as_ref()),
            or_dash(self.from_name.as_ref().or(self.from_image.as_ref())),
            or_dash(self.to_name.as_ref().or(self.to_image.as_ref())),
            days(self.days_behind.map(Value::from).as_ref()),
            counts.unwrap_or_else(|| "-".to_owned()),
            what,
        ]
    }
}

fn name(service: &str, environment: &str) -> String {
    format!("{service} in {environment}")
}

fn page(plan: &Plan) -> String {
    let heading = [
        "SERVICE",
        "ENVIRONMENT",
        "RELEASE",
        "FROM",
        "TO",
        "BEHIND",
        "INSTANCES",
        "WHAT",
    ];
    let rows: Vec<_> = plan.groups.iter().map(Group::row).collect();
    output::table(&heading, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(max_parallel: u8, keep_going: bool) -> PatchArgs {
        PatchArgs {
            ami: "latest".into(),
            environment: None,
            service: None,
            yes: true,
            dry_run: false,
            max_parallel,
            keep_going,
            reason: None,
        }
    }

    fn waiting(count: usize) -> Progress {
        let group = |number| Group {
            service: format!("s{number}"),
            environment: "e".into(),
            ..Group::default()
        };
        Progress {
            waiting: (0..count).map(group).collect(),
            ..Progress::default()
        }
    }

    fn deployment(service: &str, status: &str) -> Deployment {
        Deployment {
            service: service.into(),
            environment: "e".into(),
            status: status.into(),
            finished_at: (status != "running").then(|| "2026-11-22T23:04:08Z".into()),
            ..Deployment::default()
        }
    }

    #[test]
    fn no_more_are_started_than_are_allowed_at_once() {
        let mut progress = waiting(3);
        let args = args(2, false);
        for service in ["s0", "s1"] {
            let group = progress.next(&args).expect("one may start");
            assert_eq!(group.service, service);
            progress.running.push(deployment(service, "running"));
        }
        assert!(progress.next(&args).is_none());
        progress.running.clear();
        assert!(progress.looked(deployment("s0", "running")).is_none());
        let line = progress.looked(deployment("s1", "succeeded"));
        assert_eq!(line.as_deref(), Some("s1 in e: succeeded"));
        assert_eq!(progress.next(&args).expect("the last").service, "s2");
    }

    #[test]
    fn nothing_is_started_after_one_that_did_not_succeed_unless_asked_to() {
        for (keep_going, started, summary) in [
            (
                false,
                false,
                "0 patched, 1 not: s0 in e; see `pointsman deployment list`; 1 not started: run the \
                 same command again to continue",
            ),
            (
                true,
                true,
                "0 patched, 1 not: s0 in e; see `pointsman deployment list`",
            ),
        ] {
            let mut progress = waiting(2);
            let args = args(1, keep_going);
            assert!(progress.next(&args).is_some());
            progress.looked(deployment("s0", "rolled_back"));
            assert_eq!(progress.next(&args).is_some(), started);
            assert_eq!(progress.summary(), summary);
        }
    }
}
