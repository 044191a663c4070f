//! The plan as a track: a station for each step, points where users are moved, signals where something is
//! measured or asked.

use domain::{
    deployment::{Course, Deployment},
    gate::{Gate, GateState, Verdict},
    plan::{Bake, Step},
    release::LaunchId,
    users::Split,
};
use maud::{Markup, html};

use super::Seen;
use crate::portal::parts::{age, icon, length};

/// Where a station is, seen from where the deployment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    Done,
    Here,
    Ahead,
}

impl Stand {
    fn of(index: usize, deployment: &Deployment) -> Self {
        let at = deployment.progress.at;
        if deployment.ending.is_some() || index < at {
            Self::Done
        } else if index == at {
            Self::Here
        } else {
            Self::Ahead
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Here => "here",
            Self::Ahead => "ahead",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Done => "reached",
            Self::Here => "now",
            Self::Ahead => "ahead",
        }
    }
}

/// The steps of the present course.
pub(super) fn track(seen: &Seen) -> Markup {
    let deployment = &seen.deployment;
    let back = deployment.progress.course == Course::RollingBack;
    let last = deployment.progress.steps.len();
    html! {
        section.card #d-track {
            div.head {
                h2 { @if back { "The way back" } @else { "The plan" } }
                span.soft.small { "step " ((deployment.progress.at + 1).min(last + 1)) " of " (last + 1) }
            }
            ol class={ "track" @if back { " back" } } {
                @for (index, step) in deployment.progress.steps.iter().enumerate() {
                    (station(deployment, step, Stand::of(index, deployment), &since(seen, index)))
                }
                (restoring(Stand::of(last, deployment)))
            }
            (now_asked(deployment))
            @if back { (left(deployment)) }
        }
    }
}

/// How long the present step goes on.
fn since(seen: &Seen, index: usize) -> Markup {
    let here = Stand::of(index, &seen.deployment) == Stand::Here;
    let began = seen.began(index).filter(|_| here);
    html! { @if let Some(began) = began { p.small.soft { "for " (age(began, seen.now)) } } }
}

/// The steps of a deployment that did not begin yet, each with what `foot` says of it.
pub(in crate::portal) fn ahead(deployment: &Deployment, foot: impl Fn(usize) -> Markup) -> Markup {
    html! {
        ol.track.whole {
            @for (index, step) in deployment.plan.steps.iter().enumerate() {
                (station(deployment, step, Stand::Ahead, &foot(index)))
            }
            (restoring(Stand::Ahead))
        }
    }
}

/// The plan that it did not follow to its end.
fn left(deployment: &Deployment) -> Markup {
    let versions = deployment.versions();
    html! {
        details {
            summary.small { "The plan that it left" }
            ol.plain { @for step in &deployment.plan.steps { li.soft { (step.sentence(&versions)) } } }
        }
    }
}

/// What the gates of the present step saw last, where there is room for it.
fn now_asked(deployment: &Deployment) -> Markup {
    let gates = deployment.step().map_or(&[] as &[Gate], Step::gates);
    let states = &deployment.progress.watch.gates;
    let asked: Vec<(&Gate, &GateState)> = gates.iter().zip(states).collect();
    let told = |state: &GateState| !state.text.is_empty() || state.approved_by.is_some();
    html! {
        @if deployment.ending.is_none() && asked.iter().any(|(_, state)| told(state)) {
            dl.asked {
                @for (gate, state) in asked.into_iter().filter(|(_, state)| told(state)) {
                    dt { (gate) }
                    dd {
                        @if let Some(by) = &state.approved_by { "approved by " (by) @if !state.text.is_empty() { "; " } }
                        (state.text)
                    }
                }
            }
        }
    }
}

fn station(deployment: &Deployment, step: &Step, stand: Stand, foot: &Markup) -> Markup {
    html! {
        li class={ "station " (stand.class()) } aria-current=[(stand == Stand::Here).then_some("step")] {
            span.node { (icon(shape(step, stand))) }
            div.at {
                h3 { (name(step)) " " span.hide { (stand.word()) } }
                (condition(deployment, step))
                @if let Step::Shift(split) = step { (points(deployment, split)) }
                @if !step.gates().is_empty() { (signals(deployment, step, stand)) }
                (foot)
            }
        }
    }
}

/// The last station: what was changed for a while is given back.
fn restoring(stand: Stand) -> Markup {
    html! {
        li class={ "station last " (stand.class()) } aria-current=[(stand == Stand::Here).then_some("step")] {
            span.node { (icon("end")) }
            div.at {
                h3 { "Restore" " " span.hide { (stand.word()) } }
                p.small { "sizes, protection and weights as intended" }
            }
        }
    }
}

fn shape(step: &Step, stand: Stand) -> &'static str {
    match (stand, step) {
        (Stand::Done, _) => "ok",
        (_, Step::Fill(_)) => "fill",
        (_, Step::Shift(_)) => "shift",
        (_, Step::Bake(_)) => "bake",
        (_, Step::Refresh(_) | Step::EndRefresh(_)) => "refresh",
        (_, Step::Retire(_)) => "retire",
    }
}

pub(in crate::portal) fn name(step: &Step) -> String {
    match step {
        Step::Fill(fill) => format!("Fill {}", fill.slice),
        Step::Shift(_) => "Shift users".to_owned(),
        Step::Bake(bake) => format!("Bake {}", bake.slice),
        Step::Refresh(refresh) => format!("Refresh {}", refresh.slice),
        Step::EndRefresh(end) => format!("End refresh {}", end.slice),
        Step::Retire(retire) => format!("Retire {}", retire.slice),
    }
}

/// The condition, short enough for a station.
fn condition(deployment: &Deployment, step: &Step) -> Markup {
    let versions = deployment.versions();
    let version = |launch: &LaunchId| html! { span.mono { (versions.name(launch)) } };
    html! {
        p.small {
            @match step {
                Step::Fill(fill) => {
                    (fill.count) " healthy of " (version(&fill.launch))
                    @if fill.beside > 0 { ", beside " (fill.beside) " others" }
                }
                Step::Shift(split) => { @if let Some(mirror) = &split.mirror { (mirror) } },
                Step::Bake(bake) => (baked(bake, &version(&bake.launch))),
                Step::Refresh(refresh) => { "AWS replaces " (refresh.count) " by " (version(&refresh.launch)) },
                Step::EndRefresh(_) => { "no refresh under way" },
                Step::Retire(retire) => {
                    @match retire.keep { 0 => { "none" }, keep => { (keep) } }
                    " of " (version(&retire.launch)) " left, " (retire.leaving) " stay"
                }
            }
        }
    }
}

fn baked(bake: &Bake, version: &Markup) -> Markup {
    html! {
        (bake.count) " of " (version) " stay healthy"
        @if bake.until.seconds > 0 { " for " (length(u64::from(bake.until.seconds) * 1000)) }
        @if let Some(warm) = bake.until.warm { "; " (warm) " ready for the way back" }
    }
}

/// Two rails: the straight one and the one that branches off, as wide as their shares.
fn points(deployment: &Deployment, split: &Split) -> Markup {
    let next = split.weights.share(deployment.roles.next);
    let live = match deployment.roles.are_apart() {
        true => split.weights.share(deployment.roles.live),
        false => 0,
    };
    let new = deployment.launch.version.to_string();
    let old = deployment.stable.as_ref().map(|it| it.version.to_string());
    let wide = |share: u8| 1 + share / 17;
    let label = match &old {
        Some(old) => format!("{next} % of users on {new}, {live} % on {old}"),
        None => format!("{next} % of users on {new}"),
    };
    html! {
        figure.points {
            svg viewBox="0 0 120 34" role="img" aria-label=(label) {
                path d="M4 26H116" stroke-width=(wide(live)) class={ "rail" @if live == 0 { " cold" } } {}
                path d="M4 26H24C52 26 52 8 80 8H116" stroke-width=(wide(next)) class={ "rail new" @if next == 0 { " cold" } } {}
            }
            figcaption.small {
                b { (next) " %" } " " span.mono { (new) }
                @if let Some(old) = &old { br; (live) " % " span.mono { (old) } }
            }
        }
    }
}

fn signals(deployment: &Deployment, step: &Step, stand: Stand) -> Markup {
    let states = &deployment.progress.watch.gates;
    html! {
        ul.signals {
            @for (index, gate) in step.gates().iter().enumerate() {
                li { (signal(gate, states.get(index).filter(|_| stand == Stand::Here), stand)) }
            }
        }
    }
}

fn signal(gate: &Gate, state: Option<&GateState>, stand: Stand) -> Markup {
    let approved = state.and_then(|state| state.approved_by.as_deref());
    let verdict = match (stand, state) {
        (Stand::Done, _) => Verdict::Met,
        (_, Some(_)) if approved.is_some() => Verdict::Met,
        (_, Some(state)) => state.verdict,
        (_, None) => Verdict::Open,
    };
    let (shape, colour, word) = match (verdict, stand) {
        (Verdict::Met, _) => ("signal-met", "ok", "met"),
        (Verdict::Failed, _) => ("signal-failed", "stop", "failed"),
        (Verdict::Open, Stand::Here) => ("signal-open", "wait", "open"),
        (Verdict::Open, _) => ("signal-open", "off", "ahead"),
    };
    html! {
        span class={ "lamp " (colour) } { (icon(shape)) }
        span {
            b.small { (gate) } " " span class={ "small " (colour) } { (word) }
            @if let Some(by) = approved { span.small { " · approved by " (by) } }
        }
    }
}
