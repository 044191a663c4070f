//! What people do in a story: at moments of the world, or in a step of the way forward.

use std::collections::VecDeque;

use domain::{deployment::Command, time::UnixMs};
use fastrand::Rng;

use super::Story;

/// What a person does in a step of the way forward.
#[derive(Debug, Clone)]
pub struct InStep {
    /// Index of the step; their number for the restoring after the last.
    pub step: usize,
    /// How long after it began, in milliseconds.
    pub after_ms: u64,
    /// What.
    pub command: Command,
    /// When it is due, once the step began.
    due: Option<UnixMs>,
}

impl InStep {
    /// The person says `command` so long after `step` began.
    #[must_use]
    pub fn new(step: usize, after_ms: u64, command: Command) -> Self {
        let due = None;
        Self {
            step,
            after_ms,
            command,
            due,
        }
    }
}

impl Story {
    /// The story with a person who takes part in one of its steps, in a third of those that are not calm.
    pub(super) fn interrupted(mut self, rng: &mut Rng) -> Self {
        if !self.calm && rng.u32(0..3) == 0 {
            let steps = self.deployment.plan.steps.len();
            let reason = "because".to_owned();
            let command = match rng.u32(0..6) {
                0..=2 => Command::Abort { reason },
                3 | 4 => Command::RollBack { reason },
                _ => Command::Promote,
            };
            // Most requests of a step are made, and show their effect, soon after it began.
            let after_ms = if rng.bool() {
                rng.u64(0..3000)
            } else {
                rng.u64(0..12_000)
            };
            self.in_step = Some(InStep::new(rng.usize(..=steps), after_ms, command));
        }
        self
    }

    /// What the person says who is asked for an approval.
    #[must_use]
    pub fn answer(&self) -> Command {
        if self.approves {
            Command::Approve
        } else {
            let reason = "because".to_owned();
            Command::Reject { reason }
        }
    }

    /// What the person does now, if anything.
    pub fn next_command(&mut self, now: UnixMs, step: Option<usize>) -> Option<Command> {
        if let Some(in_step) = &mut self.in_step
            && step == Some(in_step.step)
        {
            let due = in_step.due.get_or_insert(now.plus_ms(in_step.after_ms));
            if *due <= now {
                return self.in_step.take().map(|in_step| in_step.command);
            }
        }
        let due = self.commands.front().is_some_and(|(at, _)| *at <= now);
        due.then(|| self.commands.pop_front())
            .flatten()
            .map(|(_, command)| command)
    }
}

/// Draws what a person does, and when.
pub(super) fn commands(rng: &mut Rng, until_ms: u64) -> VecDeque<(UnixMs, Command)> {
    let reason = "because".to_owned();
    let early = rng.u64(0..=until_ms);
    let late = rng.u64(early..=until_ms);
    let (early, late) = (UnixMs(0).plus_ms(early), UnixMs(0).plus_ms(late));
    match rng.u32(0..9) {
        8 => [(early, Command::Promote), (late, Command::Promote)].into(),
        0 => [(early, Command::Abort { reason })].into(),
        1 => [(early, Command::RollBack { reason })].into(),
        2 => [(early, Command::Pause), (late, Command::Resume)].into(),
        3 => [(early, Command::Pause), (late, Command::Abort { reason })].into(),
        _ => VecDeque::new(),
    }
}
