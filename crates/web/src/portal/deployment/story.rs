//! The head of the page, the one sentence, how it ended, and what happened.

use domain::{
    deployment::{Certificate, Deployment},
    event::{Event, What},
    plan::Strategy,
    reason::{Then, Waiting},
};
use maud::{Markup, html};
use operations::deployments::plan_hash;

use super::Seen;
use crate::portal::parts::{Mark, ago, group_path, icon, length, moment, who};

/// Lines of the log that are shown.
const LOG_MAX: usize = 200;

/// What is deployed where, how, by whom, and where it stands.
pub(super) fn head(seen: &Seen) -> Markup {
    let deployment = &seen.deployment;
    let place = &deployment.target.place;
    html! {
        div.top #d-head {
            div {
                h1 { (place.service) " " span.mono { (deployment.launch.version) } " to " a href=(group_path(place)) { (place.environment) } }
                p.lead {
                    @match &deployment.stable {
                        Some(stable) => { "replaces " span.mono { (stable.version) } },
                        None => { "the first release there" },
                    }
                    " · " (how(&deployment.strategy))
                    " · asked for by " (deployment.requested_by) ", " (ago(deployment.requested_at, seen.now))
                }
            }
            (Mark::of(deployment).badge())
        }
    }
}

fn how(strategy: &Strategy) -> String {
    strategy.kind().to_string()
}

/// The one sentence: what it waits for, since when, until when, and who can act; or how it ended.
pub(super) fn says(seen: &Seen) -> Markup {
    let deployment = &seen.deployment;
    let versions = deployment.versions();
    let failure = deployment.failure.as_ref();
    let colour = Mark::of(deployment).colour;
    html! {
        div #d-says class={ "note " (colour) } {
            @if let Some(failure) = failure {
                p { b { @if deployment.ending.is_some() { "Went back: " } @else { "Goes back: " } } (failure.sentence(&versions)) "." }
                @if deployment.ending.is_none() { p.soft { "The cause: " (who(failure.who_can_act())) "." } }
            }
            @match (&deployment.ending, &deployment.waiting) {
                (Some(ending), _) => {
                    p { b { (ended(deployment)) } " " (moment(ending.at)) ", after " (length(ending.at.since_ms(deployment.requested_at))) "." }
                }
                (None, Some(waiting)) => (waits(seen, waiting)),
                (None, None) => p { b { "At work" } ": the next request to the provider is on its way." },
            }
        }
    }
}

/// The same for those who listen: one line, which changes when what happens does, and not with every number.
pub(super) fn status(seen: &Seen) -> Markup {
    let deployment = &seen.deployment;
    let mark = Mark::of(deployment);
    let step = deployment.step().filter(|_| deployment.ending.is_none());
    html! {
        p.hide #d-status role="status" {
            (deployment.launch.version) " " (mark.word)
            @if let Some(step) = step { ": " (step.sentence(&deployment.versions())) }
        }
    }
}

fn ended(deployment: &Deployment) -> String {
    let clean = deployment
        .ending
        .as_ref()
        .is_some_and(|ending| ending.certificate.is_clean());
    let left = match clean {
        true => "everything is as intended",
        false => "not everything is as intended",
    };
    format!("Ended: {}; {left}.", Mark::of(deployment).word)
}

fn waits(seen: &Seen, waiting: &Waiting) -> Markup {
    let deployment = &seen.deployment;
    html! {
        p { b { "Waits: " } (waiting.sentence(&deployment.versions())) "." }
        p.soft {
            @if let Some(since) = deployment.waiting_since() { "Since " (moment(since)) " (" (length(seen.now.since_ms(since))) ") · " }
            @if let Some((until, then)) = waiting.until() {
                "until " (moment(until))
                @match then {
                    Then::GoesOn => { ", then it goes on" },
                    Then::GivesUp => { " at the latest, then it goes back" },
                }
                " · "
            }
            (who(waiting.who_can_act())) "."
        }
    }
}

/// What it left behind, against what was intended.
pub(super) fn end(seen: &Seen) -> Markup {
    let ending = seen.deployment.ending.as_ref();
    html! {
        div #d-end {
            @if let Some(ending) = ending {
                section.card {
                    div.head {
                        h2 { "What it left behind" }
                        @if ending.certificate.is_clean() { (Mark::new("ok", "ok", "as intended").plain()) }
                        @else { (Mark::new("stop", "failed", "not as intended").plain()) }
                    }
                    (certificate(&ending.certificate))
                }
            }
        }
    }
}

fn certificate(certificate: &Certificate) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="What it left behind" {
            table.table {
                thead { tr { th scope="col" { "Field" } th scope="col" { "Before" } th scope="col" { "Intended" } th scope="col" { "Seen" } } }
                tbody {
                    @for line in &certificate.lines {
                        tr {
                            th scope="row" { (line.field) }
                            td { (line.before) } td { (line.intended) }
                            td {
                                @if line.intended == line.seen { (line.seen) }
                                @else { span.state.stop { (icon("failed")) (line.seen) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What happened, newest first.
pub(super) fn log(seen: &Seen) -> Markup {
    let all = seen.events.len();
    html! {
        section.card #d-log {
            div.head {
                h2 { "What happened" }
                span.soft.small { (all) " events" @if all > LOG_MAX { ", the newest " (LOG_MAX) " shown" } }
            }
            div.happened role="log" aria-label="Events, newest first" tabindex="0" { ol reversed {
                @for (event, more) in grouped(seen).into_iter().take(LOG_MAX) {
                    li class=[weight(&event.what)] {
                        (moment(event.at))
                        span { (event.message) @if more > 0 { span.small.soft { " · the last of " (more + 1) " looks" } } }
                    }
                }
            } }
        }
    }
}

/// The events, newest first; of looks at the same gate that follow each other only the last, and how many
/// were before it.
fn grouped(seen: &Seen) -> Vec<(&Event, usize)> {
    let mut grouped: Vec<(&Event, usize)> = Vec::new();
    for event in seen.newest_first() {
        match grouped.last_mut() {
            Some((later, more)) if is_same_look(&later.what, &event.what) => *more += 1,
            _ => grouped.push((event, 0)),
        }
    }
    grouped
}

fn is_same_look(later: &What, earlier: &What) -> bool {
    match (later, earlier) {
        (What::Looked { step, look }, What::Looked { step: at, look: of }) => {
            (step, look.gate) == (at, of.gate)
        }
        _ => false,
    }
}

/// What people did, turns and ends stand out from what the engine does all the time.
fn weight(what: &What) -> Option<&'static str> {
    match what {
        What::Commanded { .. } | What::RollingBack | What::Finished { .. } | What::Requested => {
            Some("big")
        }
        What::StepStarted { .. } => Some("step"),
        _ => None,
    }
}

/// What one needs to speak about it with others or with a program.
pub(super) fn facts(seen: &Seen) -> Markup {
    let deployment = &seen.deployment;
    html! {
        details.card {
            summary { "Names and numbers" }
            dl.facts {
                dt { "Deployment" } dd.mono { (deployment.id) }
                dt { "Launch" } dd.mono { (deployment.launch.id) }
                dt { "Content" } dd.mono { (deployment.launch.content) }
                dt { "Plan" } dd.mono { (plan_hash(deployment)) }
                dt { "Requests to the provider" } dd { (deployment.effects_spent) " of at most " (deployment.effects_max()) " on this course" }
                dt { "In a terminal" } dd.mono { "pointsman watch " (deployment.id) }
            }
        }
    }
}
