//! What gates come to, above all those that are still open.

use super::{Moment, Together};
use crate::{
    bounds::DAY,
    deployment::Watch,
    evidence::Sign,
    gate::{Gate, GateState, OnDeadline, Verdict},
    plan::Until,
    reason::{Failure, Waiting},
    time::DrivenMs,
};

/// How long a person may take to decide what a gate could not, in milliseconds.
const DECISION_MS: u64 = DAY as u64 * 1000;
/// A comparison is not given up before it was looked at for so long, in milliseconds.
const GIVE_UP_MS_MIN: u64 = 60_000;

/// One gate of the step, and what is remembered of it.
struct One<'a> {
    moment: &'a Moment<'a>,
    until: &'a Until,
    watch: &'a Watch,
    gate: &'a Gate,
    state: &'a GateState,
}

/// What follows from a gate that is open when its time is over.
enum Late {
    Fails,
    AsksPeople,
    Passes,
}

/// Notes the gates that cannot be decided and that people are asked about from now on, and says whether
/// there are any.
pub(super) fn ask_people(moment: &Moment<'_>, until: &Until, watch: &mut Watch) -> bool {
    let asks: Vec<usize> = ones(moment, until, watch)
        .enumerate()
        .filter(|(_, one)| !one.gate.only_observes())
        .filter(|(_, one)| one.is_open() && one.state.undecided_at.is_none())
        .filter(|(_, one)| one.is_late() && matches!(one.late(), Late::AsksPeople))
        .map(|(index, _)| index)
        .collect();
    for index in &asks {
        watch.gates[*index].undecided_at = Some(moment.now);
    }
    !asks.is_empty()
}

/// What all gates come to: the first that failed, or else the first that is open.
pub(super) fn standing(moment: &Moment<'_>, until: &Until, watch: &Watch) -> Together {
    let binding = || ones(moment, until, watch).filter(|one| !one.gate.only_observes());
    if let Some(failed) = binding().find(|one| one.state.verdict == Verdict::Failed) {
        return Together::Failed(Failure::Gate {
            gate: failed.gate.to_string(),
            text: failed.state.text.clone(),
        });
    }
    let mut open = binding().filter(One::is_open);
    open.find_map(|one| one.holds_up()).unwrap_or(Together::Met)
}

fn ones<'a>(
    moment: &'a Moment<'a>,
    until: &'a Until,
    watch: &'a Watch,
) -> impl Iterator<Item = One<'a>> {
    let gates = until.gates.iter().zip(&watch.gates);
    gates.map(move |(gate, state)| One {
        moment,
        until,
        watch,
        gate,
        state,
    })
}

impl One<'_> {
    /// It is neither met nor failed, and nobody has approved what it could not decide.
    fn is_open(&self) -> bool {
        let unmet = self.state.verdict == Verdict::Open || matches!(self.gate, Gate::Approval(_));
        unmet && self.state.approved_by.is_none()
    }

    fn deadline(&self) -> DrivenMs {
        let within_ms = self.until.open_ms_max(self.gate);
        self.moment.deployment.progress.since.plus_ms(within_ms)
    }

    /// Its time is over; or it is sure to be over before enough is known, and nothing else is waited for.
    fn is_late(&self) -> bool {
        let waited_ms = self.moment.waited_ms();
        waited_ms > self.until.open_ms_max(self.gate) || self.is_hopeless(waited_ms)
    }

    fn is_hopeless(&self, waited_ms: u64) -> bool {
        let now = self.moment.now;
        let watched_ms = self.watch.began.map_or(0, |began| now.since_ms(began));
        let stage_is_over = waited_ms > u64::from(self.until.seconds) * 1000;
        let left_ms = self.deadline().since_ms(now);
        // Estimates are rough: twice the time that is left.
        let too_long = |met_at: DrivenMs| met_at.since_ms(now) > 2 * left_ms;
        stage_is_over && watched_ms >= GIVE_UP_MS_MIN && self.state.met_at.is_some_and(too_long)
    }

    /// What follows if it is open when its time is over.
    fn late(&self) -> Late {
        match (self.gate.on_deadline(), self.state.sign) {
            (OnDeadline::Fail, _) | (_, Some(Sign::Strong)) => Late::Fails,
            (OnDeadline::Ask, _) | (OnDeadline::Pass, Some(Sign::Slight)) => Late::AsksPeople,
            (OnDeadline::Pass, Some(Sign::None) | None) => Late::Passes,
        }
    }

    /// What it comes to while it is open; `None` where it passes nevertheless.
    fn holds_up(&self) -> Option<Together> {
        let waited_ms = self.moment.waited_ms();
        if let Some(since) = self.state.undecided_at {
            let deadline = since.plus_ms(DECISION_MS);
            return Some(if self.moment.now > deadline {
                self.fails(waited_ms)
            } else {
                self.asks_people(deadline)
            });
        }
        if !self.is_late() {
            return Some(Together::Open(self.waits()));
        }
        match self.late() {
            Late::Passes => None,
            Late::Fails | Late::AsksPeople => {
                Some(self.fails(waited_ms.min(self.until.open_ms_max(self.gate))))
            }
        }
    }

    fn waits(&self) -> Waiting {
        let deadline = self.moment.deployment.time.on_the_wall(self.deadline());
        match self.gate {
            Gate::Approval(approval) => Waiting::Approval {
                by_another: approval.by_another,
                deadline,
            },
            gate => Waiting::Gate {
                gate: gate.to_string(),
                text: self.text(),
                deadline,
            },
        }
    }

    fn asks_people(&self, deadline: DrivenMs) -> Together {
        let deadline = self.moment.deployment.time.on_the_wall(deadline);
        Together::Open(Waiting::Undecided {
            gate: self.gate.to_string(),
            text: self.text(),
            deadline,
        })
    }

    fn fails(&self, within_ms: u64) -> Together {
        Together::Failed(Failure::GateOpen {
            gate: self.gate.to_string(),
            text: self.text(),
            within_ms,
        })
    }

    fn text(&self) -> String {
        match self.state.text.as_str() {
            "" => "nothing was measured yet".to_owned(),
            text => text.to_owned(),
        }
    }
}
