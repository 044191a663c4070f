//! Gates of a bake: what was measured, what it comes to, and what is remembered of it.
//!
//! Measuring gates are looked at every second, gates that ask the world outside when an answer came.
//! A look changes what is remembered ([`Watch`]); what follows from it is decided from there, so that
//! a lost turn loses one look and nothing else.

use super::Moment;
use crate::{
    deployment::{Course, Deployment, Watch},
    evidence::{Arm, Evidence},
    gate::{Answer, Gate, GateLook, GateState, Said, ShadowGate, TrafficGate, Verdict},
    plan::{Bake, Step, Until},
    reason::{Failure, Waiting},
    time::human_ms,
    traffic::{Mirrored, Traffic},
};

/// Between two looks at what is measured, in milliseconds.
const LOOK_MS: u64 = 1000;
/// False alarms that a gate on dark traffic may give, in a million.
const SHADOW_ALPHA_PPM: u32 = 10_000;

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
    Gates {
        standing: standing(moment, until, &watch),
        watch: (!looks.is_empty()).then_some(watch),
        looks,
    }
}

fn standing(moment: &Moment<'_>, until: &Until, watch: &Watch) -> Together {
    let gates = || until.gates.iter().zip(&watch.gates);
    if let Some((gate, state)) = gates().find(|(_, state)| state.verdict == Verdict::Failed) {
        return Together::Failed(Failure::Gate {
            gate: gate.to_string(),
            text: state.text.clone(),
        });
    }
    let open = |(gate, state): &(&Gate, &GateState)| match gate {
        Gate::Approval(_) => state.approved_by.is_none(),
        _ => state.verdict == Verdict::Open,
    };
    let Some((gate, state)) = gates().find(open) else {
        return Together::Met;
    };
    let within_ms = until.open_ms_max(gate);
    let (gate_text, text) = (gate.to_string(), state.text.clone());
    if moment.waited_ms() > within_ms {
        return Together::Failed(Failure::GateOpen {
            gate: gate_text,
            text: or_nothing(text),
            within_ms,
        });
    }
    let deadline = moment.ends_at(within_ms);
    Together::Open(match gate {
        Gate::Approval(approval) => Waiting::Approval {
            by_another: approval.by_another,
            deadline,
        },
        _ => Waiting::Gate {
            gate: gate_text,
            text: or_nothing(text),
            deadline,
        },
    })
}

fn or_nothing(text: String) -> String {
    if text.is_empty() {
        "nothing was measured yet".to_owned()
    } else {
        text
    }
}

/// Looks at every gate that is due, and remembers what was seen.
fn take(moment: &Moment<'_>, until: &Until, watch: &mut Watch) -> Vec<GateLook> {
    let measures = |gate: &Gate| matches!(gate, Gate::Traffic(_) | Gate::Shadow(_));
    let due = watch
        .looked_at
        .is_none_or(|at| moment.now.since_ms(at) >= LOOK_MS);
    let mut looks = Vec::new();
    let alone = moment.stable_gone_since.is_some();
    if due && until.gates.iter().any(measures) {
        for (index, gate) in until.gates.iter().enumerate() {
            looks.extend(
                match gate {
                    Gate::Traffic(_) | Gate::Shadow(_) if alone => Some(nothing_to_compare()),
                    Gate::Traffic(gate) => Some(traffic(moment, gate, watch)),
                    Gate::Shadow(gate) => Some(shadow(moment, gate, watch)),
                    _ => None,
                }
                .map(|seen| GateLook {
                    gate: index,
                    name: gate.to_string(),
                    ..seen
                }),
            );
        }
        watch.looked_at = Some(moment.now);
        watch.began = watch.began.or(Some(moment.now));
        watch.traffic.clone_from(&moment.seen.traffic);
        watch.mirrored = moment.seen.mirrored.as_ref().map(counters);
    }
    for answer in moment.answers {
        if let Some(gate) = until.gates.get(answer.gate) {
            looks.push(answered(gate, answer, &mut watch.gates[answer.gate]));
        }
    }
    for look in &looks {
        let state = &mut watch.gates[look.gate];
        (state.verdict, state.text) = (look.verdict, look.text.clone());
    }
    looks
}

/// Missing data is never success: a person decides whether the release is the fix.
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

/// The new release against stable, by what routers counted since the last look.
fn traffic(moment: &Moment<'_>, gate: &TrafficGate, watch: &mut Watch) -> GateLook {
    let roles = moment.deployment.roles;
    let counted = |slice| -> Option<Traffic> {
        let (now, before) = (moment.seen.traffic.get(&slice)?, watch.traffic.get(&slice)?);
        Some(now.since(before))
    };
    if let Some((new, stable)) = counted(roles.next).zip(counted(roles.live)) {
        watch.counted += new.requests;
        watch.comparison.add(&new, &stable, &gate.tolerance);
    }
    let seen = watch.comparison.look(&gate.tolerance);
    let more = match &seen.verdict {
        crate::evidence::Conclusion::NotEnough { more_requests } => *more_requests,
        _ => None,
    };
    GateLook {
        gate: 0,
        name: String::new(),
        verdict: Verdict::from(&seen.verdict),
        text: format!("{seen}{}", time_for(moment, watch, more)),
        traffic: Some(seen),
        value: None,
    }
}

/// How long `more` requests take at the rate of this step.
fn time_for(moment: &Moment<'_>, watch: &Watch, more: Option<u64>) -> String {
    let elapsed_ms = watch.began.map_or(0, |began| moment.now.since_ms(began));
    match more {
        Some(more) if watch.counted > 0 && elapsed_ms > 0 => {
            let ms = u128::from(more) * u128::from(elapsed_ms) / u128::from(watch.counted);
            format!(" ({})", human_ms(u64::try_from(ms).unwrap_or(u64::MAX)))
        }
        _ => String::new(),
    }
}

/// The answers to copies, against the noise between two answers of stable; without a comparison, the
/// failed copies against the failed requests of users.
fn shadow(moment: &Moment<'_>, gate: &ShadowGate, watch: &mut Watch) -> GateLook {
    let seen = moment.seen.mirrored.clone().unwrap_or_default();
    let before = watch.mirrored.clone().unwrap_or_default();
    let before = if before.epoch == seen.epoch {
        before
    } else {
        Mirrored::default()
    };
    let compares = moment
        .seen
        .mirror
        .as_ref()
        .is_some_and(|m| m.compare.is_some());
    let (copies, users) = if compares {
        let requests = seen.compared.saturating_sub(before.compared);
        let arm = |events, before: u64| Arm {
            requests,
            events: u64::saturating_sub(events, before),
        };
        (
            arm(seen.differing, before.differing),
            arm(seen.noisy, before.noisy),
        )
    } else {
        let live = moment.deployment.roles.live;
        let stable = moment.seen.traffic.get(&live).zip(watch.traffic.get(&live));
        let stable = stable
            .map(|(now, before)| now.since(before))
            .unwrap_or_default();
        let copies = Arm {
            requests: seen.copies.saturating_sub(before.copies),
            events: seen.errors.saturating_sub(before.errors),
        };
        let users = Arm {
            requests: stable.requests,
            events: stable.errors,
        };
        (copies, users)
    };
    watch.shadow.add(copies, users);
    let judged = watch
        .shadow
        .judge(gate.margin_permille * 1000, SHADOW_ALPHA_PPM);
    let verdict = Verdict::from(&judged.verdict);
    GateLook {
        gate: 0,
        name: String::new(),
        verdict,
        text: shadow_text(&watch.shadow, &seen, compares, verdict),
        traffic: None,
        value: None,
    }
}

fn shadow_text(evidence: &Evidence, seen: &Mirrored, compares: bool, verdict: Verdict) -> String {
    let (copies, users) = (evidence.new_side(), evidence.stable_side());
    let mut text = if compares {
        format!(
            "{} of {} answers differ from what users got, {} by chance",
            copies.events, copies.requests, users.events
        )
    } else {
        format!(
            "{} of {} copies failed, {} of {} requests of users did",
            copies.events, copies.requests, users.events, users.requests
        )
    };
    if verdict == Verdict::Open {
        text.push_str("; not enough yet");
    }
    let worst = seen
        .fields
        .iter()
        .filter(|(_, field)| field.differed > field.noise)
        .max_by_key(|(_, field)| field.differed - field.noise);
    if let Some((name, field)) = worst {
        text.push_str(&format!("; mostly {name}"));
        if let Some((users, copy)) = &field.example {
            text.push_str(&format!(", such as {users} and now {copy}"));
        }
    }
    text
}

/// The counters alone: examples are not needed to tell what is new.
fn counters(seen: &Mirrored) -> Mirrored {
    Mirrored {
        fields: [].into(),
        ..seen.clone()
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
        Said::Nothing { text } => (Verdict::Open, text.clone(), None),
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
