//! What a deployment shows of itself: its status, since when it waits, and the versions of its
//! launches.

use std::fmt;

use super::{Course, Deployment, Outcome};
use crate::{gate::Gate, plan::Step, reason::Waiting, time::UnixMs, versions::Versions};

/// Where a deployment stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It goes towards the new release.
    Running,
    /// A person paused it.
    Paused,
    /// It goes back to stable.
    RollingBack,
    /// It ended.
    Ended(Outcome),
}

impl Status {
    /// Every status of a deployment that has not ended.
    pub const UNFINISHED: [Self; 3] = [Self::Running, Self::Paused, Self::RollingBack];

    /// The stable code, in `snake_case`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::RollingBack => "rolling_back",
            Self::Ended(outcome) => outcome.as_str(),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Outcome {
    /// The stable code, in `snake_case`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::RolledBack => "rolled_back",
            Self::Aborted => "aborted",
            Self::Failed => "failed",
        }
    }
}

impl Course {
    /// The stable code, in `snake_case`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::RollingBack => "rolling_back",
        }
    }
}

impl Deployment {
    /// Where it stands, in one word.
    #[must_use]
    pub fn status(&self) -> Status {
        match (&self.ending, &self.paused, self.progress.course) {
            (Some(ending), _, _) => Status::Ended(ending.outcome),
            (None, Some(_), _) => Status::Paused,
            (None, None, Course::RollingBack) => Status::RollingBack,
            (None, None, Course::Forward) => Status::Running,
        }
    }

    /// Since when it waits for what it waits for; `None` while it waits for nothing, and where the
    /// record does not tell, as with a provider that stopped answering.
    #[must_use]
    pub fn waiting_since(&self) -> Option<UnixMs> {
        let shown = |moment| self.time.on_the_wall(moment);
        match self.waiting.as_ref()? {
            Waiting::Paused { .. } => self.paused.as_ref().map(|pause| pause.since),
            Waiting::Accepted { .. } => self.last_effect.as_ref().map(|(_, at)| shown(*at)),
            Waiting::Baking { .. } | Waiting::Confirming { .. } => {
                self.progress.held.as_ref().map(|held| shown(held.since))
            }
            Waiting::Healthy { .. }
            | Waiting::Warm { .. }
            | Waiting::Gate { .. }
            | Waiting::Approval { .. }
            | Waiting::Weights
            | Waiting::Refreshing { .. }
            | Waiting::Draining { .. }
            | Waiting::Settling { .. } => Some(self.step_since()),
            Waiting::Undecided { .. } => {
                let gates = self.progress.watch.gates.iter();
                let asked = gates.filter_map(|gate| gate.undecided_at).min();
                asked.map(|at| self.time.on_the_wall(at))
            }
            Waiting::Unattended { since } => Some(*since),
            Waiting::Recovering { .. }
            | Waiting::ForeignRefresh { .. }
            | Waiting::Provider { .. }
            | Waiting::Database { .. } => None,
        }
    }

    /// When the current step began.
    #[must_use]
    pub fn step_since(&self) -> UnixMs {
        self.time.on_the_wall(self.progress.since)
    }

    /// When the current step fails if `gate`, which is one of its gates, is still open.
    #[must_use]
    pub fn gate_deadline(&self, gate: &Gate) -> Option<UnixMs> {
        match self.step()? {
            Step::Bake(bake) => Some(self.step_since().plus_ms(bake.until.open_ms_max(gate))),
            _ => None,
        }
    }

    /// The versions of the launches that it has to do with: the new one, stable, and what slices
    /// launched before.
    #[must_use]
    pub fn versions(&self) -> Versions {
        let before = self.baseline.iter().flat_map(|it| it.slices.values());
        let before = before.filter_map(|slice| slice.launch.as_ref());
        Versions::of(before.chain(&self.stable).chain([&self.launch]))
    }
}
