//! The gate on dark traffic: the answers to copies, against the noise between two answers of stable.

use super::Moment;
use crate::{
    deployment::Watch,
    evidence::{ALPHA_PPM, Arm, Evidence, Margin, Question},
    gate::{GateLook, ShadowGate, Verdict},
    traffic::Mirrored,
};

/// How much more often than two answers of stable a copy may differ by chance, in percent: what changes
/// with time, such as a clock, differs more often where the copy is answered a little later.
const NOISE_PERCENT: u32 = 50;

pub(super) fn look(moment: &Moment<'_>, gate: &ShadowGate, watch: &mut Watch) -> GateLook {
    let seen = moment.seen.mirrored.clone().unwrap_or_default();
    let before = watch.mirrored.clone().unwrap_or_default();
    let before = if before.epoch == seen.epoch {
        before
    } else {
        Mirrored::default()
    };
    let requests = seen.compared.saturating_sub(before.compared);
    let arm = |events, before: u64| Arm {
        requests,
        events: u64::saturating_sub(events, before).min(requests),
    };
    let copies = arm(seen.differing, before.differing);
    let users = arm(seen.noisy, before.noisy);
    let margin = Margin {
        points_ppm: gate.margin_permille * 1000,
        percent_of_stable: NOISE_PERCENT,
    };
    watch.shadow.add(copies, users, margin.growth());
    let judged = watch.shadow.judge(&Question {
        margin,
        stop_ppm: ALPHA_PPM,
        pass_ppm: ALPHA_PPM,
        least_ratio: 0,
        above_nats: 0.0,
    });
    let verdict = Verdict::from(&judged.verdict);
    GateLook {
        gate: 0,
        name: String::new(),
        verdict,
        text: words(&watch.shadow, &seen, verdict),
        traffic: None,
        value: None,
    }
}

fn words(evidence: &Evidence, seen: &Mirrored, verdict: Verdict) -> String {
    let (copies, users) = (evidence.new_side(), evidence.stable_side());
    let mut text = format!(
        "{} of {} answers differ from what users got, {} by chance",
        copies.events, copies.requests, users.events
    );
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
pub(super) fn counters(seen: &Mirrored) -> Mirrored {
    Mirrored {
        fields: [].into(),
        ..seen.clone()
    }
}
