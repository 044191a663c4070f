//! Gates of a bake: what was measured, what it comes to, and what is remembered of it.
//!
//! Measuring gates are looked at every second, gates that ask the world outside when an answer came.
//! A look changes what is remembered ([`Watch`]); what follows from it is decided from there, so that
//! a lost turn loses one look and nothing else.

mod compared;
mod open;
mod shadow;

use super::Moment;
use crate::{
    deployment::{Course, Deployment, Watch},
    evidence::Sign,
    gate::{Answer, Gate, GateLook, GateState, Said, Verdict},
    plan::{Bake, Step, Until},
    reason::{Failure, Waiting},
    traffic::MINUTE_MS,
};
use compared::Comparing;

/// Between two looks at what is measured, in milliseconds.
const LOOK_MS: u64 = 1000;

/// What all gates of a bake come to.
pub(super) enum Together {
    /// All are met.
    Met,
    /// One is not, and may still be.
    Open(Waiting),
    /// One is not, and will not be.
    Failed(Failure),
}

/// The gates of the current step that the world outside must be asked about now, by their index.
#[must_use]
pub fn questions(deployment: &Deployment) -> Vec<(usize, &Gate)> {
    let forward = deployment.progress.course == Course::Forward;
    let Some(Step::Bake(Bake { until, .. })) = deployment.step().filter(|_| forward) else {
        return Vec::new();
    };
    if deployment.paused.is_some() {
        return Vec::new();
    }
    let states = &deployment.progress.watch.gates;
    let due = |(index, gate): &(usize, &Gate)| {
        let asked_at = states.get(*index).and_then(|state| state.asked_at);
        gate.asked_every_ms().is_some_and(|every| {
            asked_at.is_none_or(|at| deployment.time.driven.since_ms(at) >= every)
        })
    };
    until.gates.iter().enumerate().filter(due).collect()
}

/// The gates of a bake at one moment.
pub(super) struct Gates {
    /// What to remember of them; `None`: none was looked at.
    pub(super) watch: Option<Watch>,
    /// The looks, for people.
    pub(super) looks: Vec<GateLook>,
    /// What all of them come to.
    pub(super) standing: Together,
}

/// Looks at the gates that can be looked at now.
pub(super) fn look(moment: &Moment<'_>, until: &Until) -> Gates {
    let before = &moment.deployment.progress.watch;
    let mut watch = before.clone();
    watch
        .gates
        .resize_with(until.gates.len(), GateState::default);
    let looks = take(moment, until, &mut watch);
    let asks = open::ask_people(moment, until, &mut watch);
    let changed = asks || !looks.is_empty();
    Gates {
        standing: open::standing(moment, until, &watch),
        watch: changed.then_some(watch),
        looks,
    }
}

/// Looks at every gate that is due, and remembers what was seen.
fn take(moment: &Moment<'_>, until: &Until, watch: &mut Watch) -> Vec<GateLook> {
    let comparing = Comparing::of(moment);
    let mut looks = measured(moment, until, &comparing, watch);
    for answer in moment.answers {
        let Some(gate) = until.gates.get(answer.gate) else {
            continue;
        };
        if let Said::Counted { new, stable } = answer.said {
            begin(moment, watch);
            watch.gates[answer.gate].asked_at = Some(answer.at);
            // Listed twice, a gate is one comparison, and what was counted counts once.
            let first = until.gates.iter().position(|one| one == gate);
            let (gate, counters) = ((gate, answer.gate), (answer.at, new, stable));
            if first == Some(answer.gate) {
                comparing.take_counters(gate, counters, moment, watch);
            }
            looks.extend(comparing.look(gate, moment, watch));
        } else {
            looks.push(answered(gate, answer, &mut watch.gates[answer.gate]));
        }
    }
    for look in &looks {
        let state = &mut watch.gates[look.gate];
        (state.verdict, state.text) = (look.verdict, look.text.clone());
    }
    looks
}

/// Looks at what is measured without asking anybody, once a second.
fn measured(
    moment: &Moment<'_>,
    until: &Until,
    comparing: &Comparing<'_>,
    watch: &mut Watch,
) -> Vec<GateLook> {
    let measures = |gate: &Gate| matches!(gate, Gate::Traffic(_) | Gate::Shadow(_));
    if !is_due(moment, watch) || !until.gates.iter().any(measures) {
        return Vec::new();
    }
    begin(moment, watch);
    let alone = moment.stable_gone_since.is_some();
    if alone {
        // Users may be moved meanwhile: what is counted until stable is back compares nothing.
        watch.traffic.clear();
        watch.counted_since = None;
        watch.minutes_from = None;
    } else {
        comparing.take_traffic(moment, &until.gates, watch);
        comparing.take_minutes(moment, &until.gates, watch);
    }
    let mut looks = Vec::new();
    for (index, gate) in until.gates.iter().enumerate() {
        let seen = match gate {
            Gate::Traffic(_) | Gate::Shadow(_) if alone => {
                // Nothing is known, which no setting takes for success.
                watch.gates[index].sign = Some(Sign::Slight);
                Some(nothing_to_compare())
            }
            Gate::Traffic(_) => comparing.look((gate, index), moment, watch),
            Gate::Shadow(gate) => Some(shadow::look(moment, gate, watch)),
            _ => None,
        };
        looks.extend(seen.map(|seen| GateLook {
            gate: index,
            name: gate.to_string(),
            ..seen
        }));
    }
    watch.looked_at = Some(moment.now);
    watch.mirrored = moment.seen.mirrored.as_ref().map(shadow::counters);
    looks
}

/// Whether there is something to see. A provider that counts by the minute has news once a minute.
fn is_due(moment: &Moment<'_>, watch: &Watch) -> bool {
    let Some(at) = watch.looked_at else {
        return true;
    };
    let since_ms = moment.now.since_ms(at);
    let Some(by_minute) = &moment.seen.by_minute else {
        return since_ms >= LOOK_MS;
    };
    let has_news = watch
        .minutes_from
        .is_none_or(|from| by_minute.since(from).next().is_some());
    since_ms >= if has_news { LOOK_MS } else { MINUTE_MS }
}

/// Notes the first look of the step: with it another share of users begins.
fn begin(moment: &Moment<'_>, watch: &mut Watch) {
    if watch.began.is_none() {
        Comparing::begin_share(watch);
        watch.began = Some(moment.now);
    }
}

/// Deploying the fix must be possible while stable is broken.
fn nothing_to_compare() -> GateLook {
    GateLook {
        gate: 0,
        name: String::new(),
        verdict: Verdict::Open,
        text: "no instance of stable is healthy; there is nothing to compare with".to_owned(),
        traffic: None,
        value: None,
    }
}

/// An answer from outside: good ones hold as long as no other comes, bad ones must repeat.
fn answered(gate: &Gate, answer: &Answer, state: &mut GateState) -> GateLook {
    let patience = gate.patience().map_or(1, |patience| patience.bad_answers);
    state.asked_at = Some(answer.at);
    let (verdict, text, value) = match &answer.said {
        Said::Good { text, value } => {
            state.bad_answers = 0;
            (Verdict::Met, text.clone(), *value)
        }
        Said::Bad { text, value } => {
            state.bad_answers += 1;
            let failed = state.bad_answers >= patience.max(1);
            let verdict = if failed {
                Verdict::Failed
            } else {
                Verdict::Open
            };
            (verdict, text.clone(), *value)
        }
        // What was compared before still holds; whoever was silent may have changed their mind.
        Said::Nothing { text } if gate.compares() => (state.verdict, text.clone(), None),
        Said::Nothing { text } => (Verdict::Open, text.clone(), None),
        // Counters say nothing by themselves.
        Said::Counted { .. } => (state.verdict, state.text.clone(), None),
    };
    GateLook {
        gate: answer.gate,
        name: gate.to_string(),
        verdict,
        text,
        traffic: None,
        value,
    }
}
