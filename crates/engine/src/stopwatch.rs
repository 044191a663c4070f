//! The time of a deployment while this engine drives it.

use domain::{
    deployment::{CLOCK_SET_MS, Deployment},
    time::{DrivenMs, UnixMs},
};

use crate::ports::Clock;

/// Time that passed and is not stored yet is stored after so long, in milliseconds: as much is lost
/// when an engine dies, and no more.
pub const STORED_EVERY_MS: u64 = 10_000;

/// Counts the time of one deployment, by a clock that nobody can set, from the moment when this engine
/// began to drive it; and notices when the wall clock was set.
#[derive(Debug, Default)]
pub struct Stopwatch {
    last: Option<Reading>,
    /// The record that was last seen, and how long it was driven then, which may not be stored.
    known: Option<(u64, DrivenMs)>,
    /// How long it was driven when it was last stored or read.
    stored: DrivenMs,
    /// Taking over changed the record, and that is not stored yet.
    took_over: bool,
    /// Every request that was made is in the record, which this engine stored itself.
    complete: bool,
    /// How far the wall clock was set forward, in milliseconds, and nobody was told yet.
    set_by_ms: i64,
}

/// What both clocks show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) wall: UnixMs,
    pub(crate) steady_ms: u64,
}

impl Reading {
    pub(crate) fn of(clock: &impl Clock) -> Self {
        Self {
            wall: clock.now(),
            steady_ms: clock.steady_ms(),
        }
    }

    /// Milliseconds since `earlier`, by the steady clock.
    pub(crate) fn since_ms(self, earlier: Self) -> u64 {
        self.steady_ms.saturating_sub(earlier.steady_ms)
    }

    /// How far the wall clock was set forward since `earlier`; `None` where it went on as ever.
    pub(crate) fn set_by_ms(self, earlier: Self) -> Option<i64> {
        let on_the_wall = self.wall.0.saturating_sub(earlier.wall.0);
        let by_ms = on_the_wall.saturating_sub_unsigned(self.since_ms(earlier));
        (by_ms.unsigned_abs() > CLOCK_SET_MS).then_some(by_ms)
    }
}

impl Stopwatch {
    /// Lets the time pass for `deployment` that did since the last call.
    pub fn pass(&mut self, deployment: &mut Deployment, clock: &impl Clock) {
        let now = Reading::of(clock);
        let mut same = self.last.is_some();
        match self.known {
            Some((version, driven)) if version == deployment.version => {
                deployment.time.driven = driven;
            }
            // Somebody else changed it, a person who let it go on, say: what passed before is not its time.
            _ => {
                self.stored = deployment.time.driven;
                same = false;
            }
        }
        if !self.complete {
            self.took_over = deployment.take_over();
        }
        let last = self.last.replace(now).unwrap_or(now);
        let set_by_ms = now.set_by_ms(last).unwrap_or(0);
        self.set_by_ms = self.set_by_ms.saturating_add(set_by_ms);
        let passed_ms = if same { now.since_ms(last) } else { 0 };
        deployment.pass(passed_ms, now.wall);
        self.known = Some((deployment.version, deployment.time.driven));
    }

    /// How far the wall clock was set forward since somebody was told, in milliseconds; negative: back.
    pub(crate) fn clock_was_set(&self) -> Option<i64> {
        (self.set_by_ms != 0).then_some(self.set_by_ms)
    }

    /// So much is not stored that it should be.
    pub(crate) fn is_due(&self, deployment: &Deployment) -> bool {
        self.took_over || deployment.time.driven.since_ms(self.stored) >= STORED_EVERY_MS
    }

    /// A request was made and is not in the record: as after a crash, what is seen next may be from
    /// before it, so this engine takes the deployment over once more.
    pub(crate) fn not_recorded(&mut self) {
        self.complete = false;
    }

    /// `deployment` is stored, and with it that the wall clock was set by so much.
    pub(crate) fn stored(&mut self, deployment: &Deployment, set_by_ms: Option<i64>) {
        self.known = Some((deployment.version, deployment.time.driven));
        self.stored = deployment.time.driven;
        (self.took_over, self.complete) = (false, true);
        self.set_by_ms = self.set_by_ms.saturating_sub(set_by_ms.unwrap_or(0));
    }
}
