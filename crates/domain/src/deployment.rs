//! One attempt to make a release the live one: the record that the journal keeps, and how it moves.
//!
//! Everything that a deployment remembers is in [`Deployment`]; there is no state elsewhere. The
//! engine moves it with [`Deployment::after`], people move it with [`Deployment::command`], both
//! pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    effect::{Effect, Purpose, Target, Token},
    names::DeploymentId,
    observation::Observation,
    plan::{self, Baseline, Capacity, Plan, Roles, Situation, Step, Strategy},
    reason::{Failure, Waiting},
    release::Launch,
    slice::Slice,
    time::{DrivenMs, UnixMs},
    users::Split,
};

mod certificate;
mod command;
mod decision;
mod shown;
mod time;
mod watch;

pub use certificate::{Certificate, CertificateLine};
pub use command::{Command, CommandRefused};
pub use decision::{Decided, Decision};
pub use shown::Status;
pub use time::{CLOCK_SET_MS, Held, OwnTime};
pub use watch::Watch;

/// One attempt to make a release the live one in an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its id; ids sort by time.
    pub id: DeploymentId,
    /// What is deployed to, with the group's settings as they were when it began.
    pub target: Target,
    /// How.
    pub strategy: Strategy,
    /// What shall become live.
    pub launch: Launch,
    /// What was live when the deployment began; decided once. `None` for a first deployment.
    pub stable: Option<Launch>,
    /// Which slice has which role; decided for good when the baseline is recorded.
    pub roles: Roles,
    /// Who asked for it.
    pub requested_by: String,
    /// When.
    pub requested_at: UnixMs,
    /// The way forward.
    pub plan: Plan,
    /// What was there before the first change; every ending is measured against it.
    pub baseline: Option<Baseline>,
    /// How long it was driven: what all its waits are measured by.
    #[serde(default)]
    pub time: OwnTime,
    /// Where it is.
    pub progress: Progress,
    /// Set while a person holds it.
    pub paused: Option<Pause>,
    /// What it waits for, as of the last turn.
    pub waiting: Option<Waiting>,
    /// Why it is not going forward any more.
    pub failure: Option<Failure>,
    /// Effects asked for so far in this course.
    pub effects_spent: u32,
    /// The last effect that the provider accepted, and when: it is not asked for again before it
    /// could have been seen.
    pub last_effect: Option<(Effect, DrivenMs)>,
    /// How many instances each slice was last asked to keep, whether the request arrived or not: what is
    /// seen may be from before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub asked_sizes: BTreeMap<Slice, u32>,
    /// When this engine began to drive it, or another after a crash: the last request may not be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_over_at: Option<DrivenMs>,
    /// How it ended.
    pub ending: Option<Ending>,
    /// Grows by one with each change of this record; the journal compares it before it saves.
    pub version: u64,
}

/// Where a deployment is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Which way it goes.
    pub course: Course,
    /// The steps of this course.
    pub steps: Vec<Step>,
    /// Index of the current step; equal to their number while the baseline is being restored.
    pub at: usize,
    /// When the current step began.
    pub since: DrivenMs,
    /// How long the current step's condition holds without a break.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// The split of users that was last asked for in this course.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_traffic: Option<Split>,
    /// Since when nothing of stable is healthy, going forward from a stable in a slice of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_gone_since: Option<DrivenMs>,
    /// What its gates were seen to say.
    #[serde(default)]
    pub watch: Watch,
}

/// Which way a deployment goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Course {
    /// Towards the new release.
    Forward,
    /// Back to stable.
    RollingBack,
}

/// A person's hold on a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when.
    pub since: UnixMs,
    /// Who.
    pub by: String,
}

/// How a deployment ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// In one word.
    pub outcome: Outcome,
    /// When.
    pub at: UnixMs,
    /// What was restored, field by field.
    pub certificate: Certificate,
}

/// How a deployment ended, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The new release is live.
    Succeeded,
    /// Stable is live again, because a step failed or a person asked for it.
    RolledBack,
    /// Stable is live again, because a person aborted.
    Aborted,
    /// Stable could not be brought back in full either. The baseline is restored.
    Failed,
}

/// What a new deployment is made of.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its id.
    pub id: DeploymentId,
    /// What is deployed to.
    pub target: Target,
    /// How.
    pub strategy: Strategy,
    /// What shall become live.
    pub launch: Launch,
    /// What is live.
    pub stable: Option<Launch>,
    /// Who asks.
    pub requested_by: String,
    /// When.
    pub requested_at: UnixMs,
}

impl Deployment {
    /// A deployment that has not done anything yet, planned for the group as it is seen now.
    #[must_use]
    pub fn new(request: Request, seen: &Observation) -> Self {
        let now = Baseline::of(seen, &request.strategy, request.stable.as_ref());
        let plan = plan::plan(
            &request.strategy,
            &Situation::of(&request.target.group, &now),
            &request.launch,
            request.stable.as_ref(),
        );
        let progress = Progress {
            course: Course::Forward,
            steps: plan.steps.clone(),
            at: 0,
            since: DrivenMs::default(),
            held: None,
            asked_traffic: None,
            stable_gone_since: None,
            watch: Watch::default(),
        };
        let target = Target {
            purpose: match request.strategy {
                Strategy::InstanceRefresh(_) => Purpose::InstanceRefresh,
                _ => Purpose::Deployment,
            },
            ..request.target.for_strategy(&request.strategy)
        };
        Self {
            id: request.id,
            target,
            strategy: request.strategy,
            launch: request.launch,
            stable: request.stable,
            roles: now.roles,
            requested_by: request.requested_by,
            requested_at: request.requested_at,
            plan,
            baseline: None,
            time: OwnTime {
                driven: DrivenMs::default(),
                zero: request.requested_at,
            },
            progress,
            paused: None,
            waiting: None,
            failure: None,
            effects_spent: 0,
            last_effect: None,
            asked_sizes: BTreeMap::new(),
            taken_over_at: None,
            ending: None,
            version: 1,
        }
    }

    /// Says to providers who asks, and how far it had come.
    #[must_use]
    pub fn token(&self) -> Token {
        Token {
            deployment: self.id.clone(),
            version: self.version,
        }
    }

    /// The current step; `None` while the baseline is being restored.
    #[must_use]
    pub fn step(&self) -> Option<&Step> {
        self.progress.steps.get(self.progress.at)
    }

    /// What shall be live in the end of this course.
    #[must_use]
    pub fn wanted(&self) -> Option<&Launch> {
        match self.progress.course {
            Course::Forward => Some(&self.launch),
            Course::RollingBack => self.stable.as_ref(),
        }
    }

    /// The numbers it was planned for. Before the baseline is known, `current` is what is asked.
    #[must_use]
    pub fn capacity(&self) -> Capacity {
        let group = &self.target.group;
        let current = self
            .baseline
            .as_ref()
            .map_or(group.size, |b| b.live_sizes().desired);
        Capacity::of(group, current)
    }

    /// Most instances that may be in one slice at once.
    #[must_use]
    pub fn ceiling(&self) -> u32 {
        plan::ceiling(&self.strategy, self.capacity())
    }

    /// Effects that one course may ask for. Far above what any good course needs; it stops a loop
    /// between two parties that undo each other's work.
    #[must_use]
    pub fn effects_max(&self) -> u32 {
        100 + 10 * self.ceiling().min(10_000)
            + 10 * u32::try_from(self.progress.steps.len()).unwrap_or(0)
    }

    /// The record after one turn of the engine.
    #[must_use]
    pub fn after(mut self, decided: &Decided, now: UnixMs) -> Self {
        let before = self.clone();
        self.waiting = None;
        if let Some(watch) = &decided.watch {
            self.progress.watch = watch.clone();
        }
        if let Some(effect) = &decided.failed {
            self.note_sizes(effect);
        }
        if !matches!(decided.then, Decision::Keep(_)) {
            self.progress.stable_gone_since = decided.stable_gone_since;
        }
        self.take(&decided.then, now);
        if self != before {
            self.version += 1;
        }
        self
    }

    fn take(&mut self, decision: &Decision, now: UnixMs) {
        match decision {
            Decision::Record(baseline) => self.record(baseline.clone()),
            Decision::Apply(effect) => {
                self.note_sizes(effect);
                self.effects_spent += 1;
                self.last_effect = Some((effect.clone(), self.time.driven));
                if let Effect::SetTraffic { weights, mirror } = effect {
                    let (weights, mirror) = (weights.clone(), mirror.clone());
                    self.progress.asked_traffic = Some(Split { weights, mirror });
                }
                self.progress.held = None;
            }
            Decision::Hold { held, waiting } => {
                self.progress.held = Some(held.clone());
                self.waiting = Some(waiting.clone());
            }
            Decision::Wait(waiting) => {
                self.progress.held = None;
                self.waiting = Some(waiting.clone());
            }
            Decision::Keep(waiting) => self.waiting = Some(waiting.clone()),
            Decision::Next => self.enter(self.progress.at + 1),
            Decision::Fail(failure) => self.fail(failure.clone()),
            Decision::Finish(certificate) => self.finish(certificate.clone(), now),
        }
    }

    /// Keeps the baseline, plans anew where the world moved since the plan was shown, and begins: the
    /// time that passed before anybody could look counts against no deadline.
    fn record(&mut self, baseline: Baseline) {
        self.roles = baseline.roles;
        self.plan = plan::plan(
            &self.strategy,
            &Situation::of(&self.target.group, &baseline),
            &self.launch,
            self.stable.as_ref(),
        );
        let current = baseline.live_sizes().desired;
        self.baseline = Some(baseline);
        self.progress.steps.clone_from(&self.plan.steps);
        self.progress.since = self.time.driven;
        if self.plan.steps.is_empty() {
            self.roll_back(Failure::NoRoom { current });
        }
    }

    fn enter(&mut self, at: usize) {
        self.progress.at = at;
        self.progress.since = self.time.driven;
        self.progress.held = None;
        // What is known of the release stays; counters are read anew, because users were moved.
        let before = std::mem::take(&mut self.progress.watch);
        self.progress.watch = Watch {
            comparisons: before.comparisons,
            shadow: before.shadow,
            ..Watch::default()
        };
        self.last_effect = None;
    }

    /// A step failed. Going forward it is rolled back; on the way back there is nothing left to go
    /// to, so the baseline is restored with whatever is healthy.
    fn fail(&mut self, failure: Failure) {
        match self.progress.course {
            Course::Forward => self.roll_back(failure),
            Course::RollingBack => {
                let versions = self.versions();
                let first = self.failure.take().map(|it| it.sentence(&versions));
                self.failure = Some(Failure::StableLost {
                    first: first.unwrap_or_default(),
                    then: failure.sentence(&versions),
                });
                self.enter(self.progress.steps.len());
            }
        }
    }

    /// Goes back to stable from wherever it is. A deployment that has changed nothing yet has
    /// nothing to take back: its way back is empty.
    fn roll_back(&mut self, failure: Failure) {
        let back = self
            .baseline
            .as_ref()
            .map_or_else(Plan::default, |baseline| {
                plan::roll_back(&self.strategy, baseline, self.stable.as_ref(), &self.launch)
            });
        self.failure = Some(failure);
        self.paused = None;
        self.effects_spent = 0;
        self.last_effect = None;
        self.progress = Progress {
            course: Course::RollingBack,
            steps: back.steps,
            at: 0,
            since: self.time.driven,
            held: None,
            asked_traffic: None,
            stable_gone_since: None,
            watch: Watch::default(),
        };
    }

    fn finish(&mut self, certificate: Certificate, now: UnixMs) {
        let outcome = match &self.failure {
            None => Outcome::Succeeded,
            Some(Failure::Aborted { .. }) => Outcome::Aborted,
            Some(Failure::StableLost { .. }) => Outcome::Failed,
            Some(_) => Outcome::RolledBack,
        };
        self.ending = Some(Ending {
            outcome,
            at: now,
            certificate,
        });
    }
}
