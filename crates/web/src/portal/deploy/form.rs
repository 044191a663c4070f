//! The form, in reading order: what was wrong, what is chosen, the plan or what speaks against it, the button.

use domain::{catalogue::StrategyKind, names::EnvironmentName, release::Release};
use maud::{Markup, html};

use super::{
    Answer, Board, Chosen,
    asked::{CANARY, request},
};
use crate::portal::{
    parts::{ROWS, age, empty, icon, now, objection_items, query},
    plan::{consequence, plan},
};

/// The strategies that can be chosen.
const WAYS: [(StrategyKind, &str); 4] = [
    (StrategyKind::ScaleUp, "double the group, keep the new half"),
    (
        StrategyKind::BlueGreen,
        "fill the other slice, then move users",
    ),
    (
        StrategyKind::Canary,
        "fill the other slice, then move users in stages",
    ),
    (StrategyKind::InstanceRefresh, "AWS replaces the instances"),
];

/// The whole page.
pub(super) fn body(board: &Board) -> Markup {
    let asked = |field| board.asked.text(field);
    html! {
        div.top {
            h1 {
                @match (&board.chosen, asked("version"), asked("environment")) {
                    (None, ..) => "Deploy",
                    (Some(chosen), version, environment) => {
                        "Deploy " (chosen.service().name)
                        @if !version.is_empty() { " " span.mono { (version) } }
                        @if !environment.is_empty() { " to " (environment) }
                    }
                }
            }
        }
        (wrong(board))
        @match &board.chosen {
            None => (services(board)),
            Some(chosen) => {
                (choices(board, chosen))
                (answered(board, chosen))
            }
        }
    }
}

/// What keeps it from beginning, on top of everything.
fn wrong(board: &Board) -> Markup {
    html! {
        @if board.changed {
            div.note.wait role="alert" {
                p { b { "The plan changed since you read it." } " Nothing was started. Below is the plan as it is now: read it, then press the button again." }
            }
        }
        @if !board.faults.is_empty() {
            div.note.stop role="alert" {
                p { b { "Nothing was started: " } "something in the form cannot be taken." }
                ul.faults {
                    @for fault in &board.faults {
                        li { a href={ "#f-" (fault.field) } { (label(&fault.field)) } ": " (fault.message) }
                    }
                }
            }
        }
        @match &board.answer {
            Answer::Refused(objections) => {
                section.stack aria-labelledby="against-title" {
                    h2 #against-title { span.stop { (icon("failed")) } " " (counted(objections.len())) " against it" }
                    (objection_items(objections))
                }
            }
            Answer::Lacking(denied) => {
                div.note.stop {
                    p { b { "You may not deploy this here." } " You lack the right " code { (denied.right) } " for " (denied.resource) "." }
                    p.soft { "Someone with the right " code { "administer" } " can grant it." }
                }
            }
            Answer::Unknown(why) => {
                div.note.wait { p { b { "There is no plan now: " } (why) "." } p.soft { "Try again in a moment." } }
            }
            Answer::Open | Answer::Plan(_) => {}
        }
    }
}

fn counted(objections: usize) -> String {
    match objections {
        1 => "One objection".to_owned(),
        many => format!("{many} objections"),
    }
}

/// A field's name as the form has it.
fn label(field: &str) -> &str {
    match field {
        "environment" => "Environment",
        "version" => "Release",
        "surge" => "Surge",
        "bake" => "Bake",
        "stages" => "Stages",
        "warm" => "Warm",
        "approve" => "Approval at",
        "image" => "Machine image",
        "reason" => "Reason",
        "confirm" => "Name of the service",
        other => other,
    }
}

/// What is wrong with a field, beside it.
fn fault(board: &Board, field: &str) -> Markup {
    let found = board.faults.iter().find(|fault| fault.field == field);
    html! { @if let Some(fault) = found { span.fault id={ "w-" (field) } { (icon("failed")) " " (fault.message) } } }
}

/// The id of what is wrong with a field, for those who hear the page.
fn described(board: &Board, field: &str) -> Option<String> {
    let mut faults = board.faults.iter();
    let is_wrong = faults.any(|fault| fault.field == field);
    is_wrong.then(|| format!("w-{field}"))
}

/// The first question: which service.
fn services(board: &Board) -> Markup {
    let asked = board.asked.text("service");
    html! {
        section.card.stack aria-labelledby="which-title" {
            h2 #which-title { "Which service?" }
            form.filters method="get" action="/deploy" role="search" aria-label="Find a service" {
                label { "Service" input type="search" name="service" value=(asked) placeholder="part of a name" autofocus; }
                @for field in ["environment", "version"] {
                    @if board.asked.is_on(field) { input type="hidden" name=(field) value=(board.asked.text(field)); }
                }
                button type="submit" { "Find" }
            }
            @if board.services.is_empty() {
                (empty("No service matches", &html! { p { a href="/deploy" { "Show all services" } " or " a href="/catalogue/new?kind=services" { "describe a new one" } } }))
            } @else {
                ul.hits {
                    @for name in &board.services {
                        li { a href=(query("/deploy", &[("service", name.as_str()), ("environment", board.asked.text("environment"))])) { (name) } }
                    }
                }
                @if board.services.len() == ROWS as usize { p.small.soft { "These are the first " (ROWS) ". Type a part of the name to find others." } }
            }
        }
    }
}

/// What, where and how.
fn choices(board: &Board, chosen: &Chosen) -> Markup {
    let kind = board.asked.kind(chosen.service());
    let strategies = &chosen.service().strategies;
    let allowed = WAYS.iter().filter(|(kind, _)| strategies.contains(kind));
    html! {
        form.card.stack method="get" action="/deploy" {
            input type="hidden" name="service" value=(chosen.service().name);
            div.head {
                h2 { "What, where and how" }
                a.small href="/deploy" { "Another service" }
            }
            div.choose {
                (environments(board, chosen))
                (releases(board, chosen))
                label { "Strategy"
                    select name="strategy" {
                        @for (way, what) in allowed { option value=(way) selected[*way == kind] { (way) ": " (what) } }
                    }
                }
            }
            details open[board.faults.iter().any(|it| it.field != "confirm")] {
                summary { "Options of " (kind) }
                (options(board, kind))
            }
            div.flow { button type="submit" { "Show the plan" } }
        }
    }
}

fn environments(board: &Board, chosen: &Chosen) -> Markup {
    let here = |name: &EnvironmentName| chosen.row.cells.contains_key(name);
    let columns = board.columns.iter();
    let columns: Vec<_> = columns.filter(|it| here(&it.environment.name)).collect();
    let asked = board.asked.text("environment");
    let is_known = columns
        .iter()
        .any(|it| it.environment.name.as_str() == asked);
    html! {
        label { "Environment"
            select #f-environment name="environment" aria-describedby=[described(board, "environment")] {
                @if asked.is_empty() { option value="" { "choose" } }
                @else if !is_known { option value=(asked) selected { (asked) } }
                @for column in columns {
                    @let name = &column.environment.name;
                    @let live = chosen.row.cells.get(name).and_then(|cell| cell.live.as_ref());
                    option value=(name) selected[name.as_str() == asked] {
                        (name)
                        @match live { Some(live) => { ": " (live.launch.version) " is live" }, None => { ": nothing live" } }
                        @if column.lock.is_some() { ", locked" } @else if column.freeze.is_some() { ", frozen" }
                    }
                }
            }
            (fault(board, "environment"))
        }
    }
}

fn releases(board: &Board, chosen: &Chosen) -> Markup {
    let asked = board.asked.text("version");
    let is_known = chosen
        .releases
        .iter()
        .any(|it| it.version.as_str() == asked);
    let newest = chosen.releases.iter().find(|it| it.withdrawn.is_none());
    let usual = newest.map_or("", |release| release.version.as_str());
    let selected = if asked.is_empty() { usual } else { asked };
    html! {
        @if chosen.releases.is_empty() {
            label { "Release"
                input #f-version name="version" value=(asked) placeholder="1.0.0" aria-describedby="no-release";
                span.hint #no-release { "none yet: create one with " code { "pointsman release create " (chosen.service().name) " 1.0.0 --artifact DIR" } }
            }
        } @else {
            label { "Release, newest first"
                select #f-version name="version" aria-describedby=[described(board, "version")] {
                    @if !asked.is_empty() && !is_known { option value=(asked) selected { (asked) } }
                    @for release in &chosen.releases {
                        option value=(release.version) selected[release.version.as_str() == selected] { (told(release, chosen)) }
                    }
                }
                (fault(board, "version"))
            }
        }
    }
}

/// A release in one line: how old, where live, whether withdrawn.
fn told(release: &Release, chosen: &Chosen) -> String {
    let live = chosen.row.cells.iter().filter(|(_, cell)| {
        let live = cell.live.as_ref();
        live.is_some_and(|live| live.launch.version == release.version)
    });
    let places: Vec<&str> = live.map(|(name, _)| name.as_str()).collect();
    let mut text = format!(
        "{}, {} old",
        release.version,
        age(release.created_at, now())
    );
    if release.withdrawn.is_some() {
        text.push_str(", withdrawn");
    }
    if !places.is_empty() {
        text.push_str(&format!(", live in {}", places.join(", ")));
    }
    text
}

/// The options of the strategy that is chosen.
fn options(board: &Board, kind: StrategyKind) -> Markup {
    let two = matches!(kind, StrategyKind::BlueGreen | StrategyKind::Canary);
    let stages = match kind {
        StrategyKind::Canary => CANARY,
        _ => "100",
    };
    html! {
        div.choose {
            @if two {
                (field(board, "stages", stages, "shares of users, each with a time"))
                (field(board, "approve", "0,10", "shares at which a person must say yes; 0: before any user is moved"))
                (field(board, "warm", "600", "seconds that the old slice stays ready"))
            } @else {
                (field(board, "surge", "100", "extra instances at once, in percent"))
                (field(board, "bake", "10", "seconds that new instances must stay healthy"))
            }
            (field(board, "image", "ami-…", "AWS: another machine image for the package"))
        }
        div.checks {
            @if two {
                (check(board, "keep", "Keep the old slice for good"))
                (check(board, "gates", "Leave out the gates of the server group"))
            }
            (check(board, "force", "Also if it is live already: replace its instances"))
        }
    }
}

fn field(board: &Board, name: &str, usual: &str, hint: &str) -> Markup {
    let wrong = described(board, name);
    let hinted = format!("h-{name}");
    let both = [Some(hinted.clone()), wrong].into_iter().flatten();
    let both: Vec<String> = both.collect();
    html! {
        div.field {
            label for={ "f-" (name) } { (label(name)) }
            input id={ "f-" (name) } name=(name) value=(board.asked.text(name)) placeholder=(usual) autocomplete="off" aria-describedby=(both.join(" "));
            span.hint id=(hinted) { (hint) }
            (fault(board, name))
        }
    }
}

fn check(board: &Board, name: &str, text: &str) -> Markup {
    html! { label.check { input type="checkbox" name=(name) value="on" checked[board.asked.is_on(name)]; (text) } }
}

/// The plan and its button; or why there is no button to press.
fn answered(board: &Board, chosen: &Chosen) -> Markup {
    let wish = board.asked.wish(chosen.service(), &chosen.gates).ok();
    let commands = html! {
        @if let Some(wish) = &wish {
            details.card {
                summary { "The same in a terminal or from a program" }
                div.stack {
                    pre { (board.asked.line(chosen.service())) }
                    pre { (request(wish, &board.server)) }
                }
            }
        }
    };
    html! {
        @match &board.answer {
            Answer::Plan(planned) => {
                (plan(planned))
                (button(board, Some((&planned.hash(), &consequence(planned)))))
                (commands)
            }
            Answer::Refused(_) | Answer::Lacking(_) => {
                (button(board, None))
                (commands)
            }
            Answer::Unknown(_) => (commands),
            Answer::Open if chosen.row.cells.is_empty() => {
                (empty("It has no server group yet", &html! {
                    p { "A server group says how many instances run where." }
                    p { a href="/catalogue/new?kind=server-groups" { "Describe one" } }
                }))
            }
            Answer::Open => p.soft { "Choose where and which release; the plan comes before anything begins." },
        }
    }
}

/// What begins it; without a plan, a button that says why it cannot be pressed.
fn button(board: &Board, planned: Option<(&str, &str)>) -> Markup {
    let asked = |field| board.asked.text(field);
    let ready = planned.is_some();
    html! {
        form.card.go-on method="post" action="/deploy" aria-label="Begin" {
            @for (name, value) in board.asked.pairs() { input type="hidden" name=(name) value=(value); }
            @if let Some((hash, _)) = planned { input type="hidden" name="plan" value=(hash); }
            @if ready {
                div.choose {
                    label { "Reason, for the audit log"
                        input #f-reason name="reason" value=(asked("reason")) maxlength="1000" autocomplete="off" placeholder="ticket, or a few words" aria-describedby=[described(board, "reason")];
                        (fault(board, "reason"))
                    }
                    @if board.asks_for_name() {
                        label { "Type " (asked("service")) ": users are in " (asked("environment"))
                            input #f-confirm name="confirm" value=(asked("confirm")) required autocomplete="off" autocapitalize="off" spellcheck="false" aria-describedby=[described(board, "confirm")];
                            (fault(board, "confirm"))
                        }
                    }
                }
            }
            div.stack {
                div { button.main-button type="submit" disabled[!ready] aria-describedby="consequence" { "Deploy " (asked("version")) " to " (asked("environment")) } }
                p.small.soft #consequence {
                    @match planned {
                        Some((_, consequence)) => (consequence),
                        None => "Not possible now: what is listed on top is against it.",
                    }
                }
            }
        }
    }
}
