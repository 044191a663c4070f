//! What people can ask of a running deployment.

use super::{Course, Deployment, Pause};
use crate::{
    gate::{Gate, GateState},
    plan::Step,
    reason::Failure,
    time::UnixMs,
};

/// What a person can ask of a running deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Hold it where it is.
    Pause,
    /// Let it go on.
    Resume,
    /// Give stable back and end as aborted.
    Abort {
        /// Why, in their words.
        reason: String,
    },
    /// Give stable back and end as rolled back.
    RollBack {
        /// Why, in their words.
        reason: String,
    },
    /// Say yes where a gate asks for it.
    Approve,
    /// Say no where a gate asks for it: give stable back and end as rolled back.
    Reject {
        /// Why, in their words.
        reason: String,
    },
    /// Do not wait any longer: take the current bake as passed. Approvals cannot be skipped.
    Promote,
}

impl Command {
    /// The stable code, in `snake_case`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort { .. } => "abort",
            Self::RollBack { .. } => "roll_back",
            Self::Approve => "approve",
            Self::Reject { .. } => "reject",
            Self::Promote => "promote",
        }
    }
}

/// Why a command makes no sense now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandRefused {
    /// It ended.
    #[error(
        "this deployment has ended; to return to the previous release, run `pointsman rollback`"
    )]
    Finished,
    /// Pausing a paused one.
    #[error("this deployment is already paused; continue with `pointsman resume`")]
    AlreadyPaused,
    /// Resuming a running one.
    #[error("this deployment is not paused")]
    NotPaused,
    /// Pausing what AWS does.
    #[error(
        "AWS is replacing instances and cannot be paused; `pointsman abort` restores the stable release"
    )]
    NotPausable,
    /// Aborting twice.
    #[error("this deployment is already being rolled back")]
    AlreadyRollingBack,
    /// Approving what nobody asked about.
    #[error(
        "this deployment does not wait for approval now; `pointsman status` shows what it waits for"
    )]
    NothingToApprove,
    /// Approving one's own.
    #[error("{by} requested this deployment; somebody else must approve it")]
    NotByRequester {
        /// Who.
        by: String,
    },
    /// Promoting what is under way.
    #[error("there is no bake to end now; `pointsman promote` works while a deployment bakes")]
    NothingToPromote,
    /// Promoting past a person.
    #[error("this step waits for approval; approve it with `pointsman approve`")]
    ApprovalFirst,
}

impl Deployment {
    /// The record after a person's command.
    ///
    /// # Errors
    /// When the command makes no sense in the present state; nothing is changed then.
    pub fn command(
        mut self,
        command: Command,
        by: &str,
        now: UnixMs,
    ) -> Result<Self, CommandRefused> {
        if self.ending.is_some() {
            return Err(CommandRefused::Finished);
        }
        let by = by.to_owned();
        match command {
            Command::Pause if self.paused.is_some() => return Err(CommandRefused::AlreadyPaused),
            Command::Pause if self.is_refreshing() => return Err(CommandRefused::NotPausable),
            Command::Pause => self.paused = Some(Pause { since: now, by }),
            Command::Resume => {
                self.paused.take().ok_or(CommandRefused::NotPaused)?;
                self.progress.held = None;
            }
            Command::Abort { .. } | Command::RollBack { .. } | Command::Reject { .. }
                if self.progress.course == Course::RollingBack =>
            {
                return Err(CommandRefused::AlreadyRollingBack);
            }
            Command::Abort { reason } => self.roll_back(Failure::Aborted { by, reason }),
            Command::RollBack { reason } => {
                self.roll_back(Failure::RolledBackByPerson { by, reason });
            }
            Command::Reject { reason } => {
                self.open_approval()
                    .ok_or(CommandRefused::NothingToApprove)?;
                self.roll_back(Failure::Rejected { by, reason });
            }
            Command::Approve => self.approve(by)?,
            Command::Promote => self.promote()?,
        }
        self.waiting = None;
        self.version += 1;
        Ok(self)
    }

    /// AWS is at work, or may be.
    fn is_refreshing(&self) -> bool {
        let step = self.step();
        self.baseline.is_some() && matches!(step, Some(Step::Refresh(_) | Step::EndRefresh(_)))
    }

    /// The gate of the current step that asks for a person's yes and has none, or that could not be decided
    /// without one: its index, and whether it must be somebody else's.
    #[must_use]
    pub fn open_approval(&self) -> Option<(usize, bool)> {
        let Some(Step::Bake(bake)) = self.step() else {
            return None;
        };
        let state = |index: usize| self.progress.watch.gates.get(index);
        let approved = |index| state(index).is_some_and(|it| it.approved_by.is_some());
        let undecided = |index| state(index).is_some_and(GateState::asks_people);
        let gates = bake.until.gates.iter().enumerate();
        let mut open = gates.filter(|(index, _)| !approved(*index));
        open.find_map(|(index, gate)| match gate {
            Gate::Approval(approval) => Some((index, approval.by_another)),
            _ => undecided(index).then_some((index, false)),
        })
    }

    fn approve(&mut self, by: String) -> Result<(), CommandRefused> {
        let (index, by_another) = self
            .open_approval()
            .ok_or(CommandRefused::NothingToApprove)?;
        if by_another && by == self.requested_by {
            return Err(CommandRefused::NotByRequester { by });
        }
        let gates = &mut self.progress.watch.gates;
        if gates.len() <= index {
            gates.resize_with(index + 1, GateState::default);
        }
        gates[index].approved_by = Some(by);
        Ok(())
    }

    fn promote(&mut self) -> Result<(), CommandRefused> {
        let baking = matches!(self.step(), Some(Step::Bake(_)));
        if !baking || self.progress.course != Course::Forward {
            return Err(CommandRefused::NothingToPromote);
        }
        // What a gate could not decide may be skipped like every open gate; only an approval may not.
        let approval = self.open_approval().and_then(|(index, _)| {
            let gate = self.step()?.gates().get(index)?;
            matches!(gate, Gate::Approval(_)).then_some(gate)
        });
        if approval.is_some() {
            return Err(CommandRefused::ApprovalFirst);
        }
        self.paused = None;
        self.enter(self.progress.at + 1);
        Ok(())
    }
}
