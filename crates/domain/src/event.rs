//! What happened to a deployment, for the people who watch it.
//!
//! Invariant: what a page, a stream or a test shows is this list and nothing else; state is never
//! parsed back out of it.

use serde::{Deserialize, Serialize};

use crate::{
    deployment::{Command, Decided, Decision, Deployment, Outcome},
    effect::Effect,
    gate::GateLook,
    plan::Step,
    reason::Waiting,
    time::{UnixMs, human_ms},
};

/// One thing that happened to a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: UnixMs,
    /// What.
    #[serde(flatten)]
    pub what: What,
    /// The same as a sentence.
    pub message: String,
}

/// The kinds of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// Somebody asked for it.
    Requested,
    /// The baseline was recorded.
    Recorded,
    /// A step was entered (counted from 0); equal to the number of steps while the baseline is
    /// being restored.
    StepStarted {
        /// Which.
        step: usize,
    },
    /// The provider was asked for something.
    Applied {
        /// For what.
        effect: Effect,
    },
    /// It waits for something else than before.
    Waiting {
        /// For what.
        waiting: Waiting,
    },
    /// A gate was looked at.
    Looked {
        /// At which step.
        step: usize,
        /// What was seen.
        look: GateLook,
    },
    /// A person did something.
    Commanded {
        /// What, in one word.
        command: String,
        /// Who.
        by: String,
    },
    /// The clock of the server was set, or its machine slept.
    ClockSet {
        /// How far forward, in milliseconds; negative: back.
        by_ms: i64,
    },
    /// It turned round.
    RollingBack,
    /// It ended.
    Finished {
        /// How.
        outcome: Outcome,
    },
}

impl What {
    /// The stable code, in `snake_case`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Recorded => "recorded",
            Self::StepStarted { .. } => "step_started",
            Self::Applied { .. } => "applied",
            Self::Waiting { .. } => "waiting",
            Self::Looked { .. } => "looked",
            Self::Commanded { .. } => "commanded",
            Self::ClockSet { .. } => "clock_set",
            Self::RollingBack => "rolling_back",
            Self::Finished { .. } => "finished",
        }
    }
}

/// The server's clock moved by `by_ms` against a steady one; `deployment` is as it was before.
#[must_use]
pub fn of_clock(deployment: &Deployment, by_ms: i64, at: UnixMs) -> Event {
    let way = if by_ms < 0 { "back" } else { "forward" };
    let by = human_ms(by_ms.unsigned_abs());
    let follows = match deployment.step() {
        Some(Step::Bake(_)) => "the bake begins again",
        _ => "no deadline is changed by it",
    };
    Event {
        at,
        what: What::ClockSet { by_ms },
        message: format!("the clock of the server moved {way} by {by}; {follows}"),
    }
}

/// The events that a turn of the engine gives rise to: what differs between the two records.
#[must_use]
pub fn of_turn(
    before: &Deployment,
    decided: &Decided,
    after: &Deployment,
    at: UnixMs,
) -> Vec<Event> {
    let looks = decided.looks.iter().map(|look| {
        let what = What::Looked {
            step: before.progress.at,
            look: look.clone(),
        };
        (what, format!("{}: {}", look.name, look.text))
    });
    let mut events: Vec<Event> = looks
        .chain(of_decision(before, &decided.then))
        .map(|(what, message)| Event { at, what, message })
        .collect();
    events.extend(of_progress(before, &decided.then, after, at));
    events
}

/// What is told of the decision itself; the others show in what became of the deployment.
fn of_decision(before: &Deployment, decision: &Decision) -> Option<(What, String)> {
    match decision {
        Decision::Record(baseline) => {
            let instances = baseline.live_sizes().desired;
            let slices = baseline.slices.values();
            let protected: usize = slices.map(|slice| slice.protected.len()).sum();
            let message =
                format!("recorded the baseline: {instances} instances, {protected} protected");
            Some((What::Recorded, message))
        }
        Decision::Apply(effect) => {
            let effect = effect.clone();
            let message = effect.to_string();
            Some((What::Applied { effect }, message))
        }
        Decision::Hold { waiting, .. } | Decision::Wait(waiting) | Decision::Keep(waiting) => {
            let last = before.waiting.as_ref();
            let is_new = !last.is_some_and(|last| last.is_like(waiting));
            let waiting = waiting.clone();
            let message = waiting.sentence(&before.versions());
            is_new.then_some((What::Waiting { waiting }, message))
        }
        Decision::Next | Decision::Fail(_) | Decision::Finish(_) => None,
    }
}

/// What became of the course, the step and the deployment itself.
fn of_progress(
    before: &Deployment,
    decision: &Decision,
    after: &Deployment,
    at: UnixMs,
) -> Vec<Event> {
    let mut events = Vec::new();
    let mut push = |what, message: String| events.push(Event { at, what, message });
    if before.progress.course != after.progress.course {
        let versions = after.versions();
        let why = after.failure.as_ref().map(|it| it.sentence(&versions));
        let why = why.unwrap_or_default();
        push(What::RollingBack, format!("rolling back: {why}"));
    }
    let moved = before.progress.at != after.progress.at
        || before.progress.course != after.progress.course
        || matches!(decision, Decision::Record(_));
    if moved && after.ending.is_none() {
        push(
            What::StepStarted {
                step: after.progress.at,
            },
            step_message(after),
        );
    }
    if let Some(ending) = &after.ending {
        push(
            What::Finished {
                outcome: ending.outcome,
            },
            finished_message(after, ending.outcome),
        );
    }
    events
}

/// The events of a person's command.
#[must_use]
pub fn of_command(command: &Command, by: &str, after: &Deployment, at: UnixMs) -> Vec<Event> {
    let message = match command {
        Command::Pause => format!("{by} paused the deployment"),
        Command::Resume => format!("{by} resumed the deployment"),
        Command::Abort { reason } => format!("{by} aborted: {reason}"),
        Command::RollBack { reason } => format!("{by} rolled back: {reason}"),
        Command::Approve => format!("{by} approved"),
        Command::Reject { reason } => format!("{by} rejected: {reason}"),
        Command::Promote => format!("{by} ended the bake early"),
    };
    let commanded = What::Commanded {
        command: command.as_str().to_owned(),
        by: by.to_owned(),
    };
    let mut events = vec![Event {
        at,
        what: commanded,
        message,
    }];
    let turns_round = matches!(
        command,
        Command::Abort { .. } | Command::RollBack { .. } | Command::Reject { .. }
    );
    let step_started = || What::StepStarted {
        step: after.progress.at,
    };
    if *command == Command::Promote {
        events.push(Event {
            at,
            what: step_started(),
            message: step_message(after),
        });
    }
    if turns_round {
        let what = step_started();
        events.push(Event {
            at,
            what: What::RollingBack,
            message: "rolling back".to_owned(),
        });
        events.push(Event {
            at,
            what,
            message: step_message(after),
        });
    }
    events
}

/// The first event of every deployment.
#[must_use]
pub fn of_request(deployment: &Deployment) -> Event {
    Event {
        at: deployment.requested_at,
        what: What::Requested,
        message: format!(
            "{} asked to deploy {} {} to {} by {}",
            deployment.requested_by,
            deployment.target.place.service,
            deployment.launch.version,
            deployment.target.place.environment,
            deployment.strategy.kind()
        ),
    }
}

fn step_message(deployment: &Deployment) -> String {
    deployment.step().map_or_else(
        || "restore: the baseline plus exactly the intended change".to_owned(),
        |step| step.sentence(&deployment.versions()),
    )
}

fn finished_message(deployment: &Deployment, outcome: Outcome) -> String {
    let version = &deployment.launch.version;
    let stable = deployment
        .stable
        .as_ref()
        .map_or("nothing".to_owned(), |s| s.version.to_string());
    match outcome {
        Outcome::Succeeded => format!("{version} is live"),
        Outcome::RolledBack => format!("rolled back: {stable} is live"),
        Outcome::Aborted => format!("aborted: {stable} is live"),
        Outcome::Failed => format!(
            "failed: the healthiest instances were kept; {stable} is what new instances start from"
        ),
    }
}
