//! One service: who owns it, what is live where, whether its newest release may go there, and what happened.

use axum::extract::Path;
use domain::{
    access::{Resource, Right},
    deployment::Deployment,
    governance::Objection,
    names::{EnvironmentName, Place, ServiceName},
    release::Release,
    time::UnixMs,
};
use maud::{Markup, html};
use operations::{
    Desk, Error,
    deployments::{Listed, Readiness},
    overview::{Cell, Column, Row},
};

use super::{
    deployments,
    failed::Failed,
    parts::{Mark, ago, deployment_path, empty, group_path, icon, now, query, who},
    releases,
    shell::{Head, Part, page},
    visitor::Visitor,
};
use crate::rows::Pages;

/// Releases and deployments that the page shows; each has a page of its own with all of them.
const NEWEST: u32 = 10;

pub(super) fn pages() -> Pages {
    Pages::default().shows("/services/{service}", read)
}

/// A service in one environment.
struct At<'a> {
    column: &'a Column,
    cell: &'a Cell,
    /// What is against the newest release there; `None`: there is no release.
    ready: Option<Readiness>,
    may_deploy: bool,
    may_roll_back: bool,
}

async fn read(visitor: Visitor, Path(name): Path<ServiceName>) -> Result<Markup, Failed> {
    let desk = &visitor.desk;
    let columns = desk.columns().await?;
    let row = desk.row_of(&columns, &name).await?;
    let releases = desk.releases(&name, None, NEWEST).await?;
    let newest = releases.items.iter().find(|it| it.withdrawn.is_none());
    let places = places(desk, &columns, &row, newest).await?;
    let listed = Listed {
        service: Some(name.clone()),
        ..Listed::default()
    };
    let last = desk.deployments(&listed, None, NEWEST).await?;
    let now = now();
    let body = html! {
        (top(&row))
        (everywhere(&row, &places, newest, now))
        div.two {
            (newest_releases(&name, &releases.items, &row, now))
            (newest_deployments(&name, &last.items, now))
        }
        (elsewhere(&name))
    };
    let head = Head {
        part: Part::Overview,
        title: &[name.as_str(), "service"],
        trail: &[("/", "Overview")],
        topic: None,
    };
    Ok(page(&visitor, &head, &body))
}

/// Every place of the service in the order in which releases pass through them.
async fn places<'a>(
    desk: &Desk,
    columns: &'a [Column],
    row: &'a Row,
    newest: Option<&Release>,
) -> Result<Vec<At<'a>>, Error> {
    let there = columns.iter().filter_map(|column| {
        let cell = row.cells.get(&column.environment.name)?;
        Some((column, cell))
    });
    let there: Vec<(&Column, &Cell)> = there.collect();
    let names = there.iter().map(|(column, _)| &column.environment.name);
    let names: Vec<EnvironmentName> = names.cloned().collect();
    let ready = match newest {
        Some(newest) => {
            let asked = desk.readiness(&row.service, &newest.version, &names);
            asked.await?.into_iter().map(Some).collect()
        }
        None => names.iter().map(|_| None).collect::<Vec<_>>(),
    };
    let mut places = Vec::new();
    for ((column, cell), ready) in there.into_iter().zip(ready) {
        let place = place(row, column);
        places.push(At {
            column,
            cell,
            ready,
            may_deploy: desk.can(Right::Deploy, Resource::Place(&place)).await?,
            may_roll_back: desk.can(Right::RollBack, Resource::Place(&place)).await?,
        });
    }
    Ok(places)
}

fn place(row: &Row, column: &Column) -> Place {
    Place {
        service: row.service.name.clone(),
        environment: column.environment.name.clone(),
    }
}

fn top(row: &Row) -> Markup {
    let service = &row.service;
    html! {
        div.top {
            div {
                h1 { (service.name) }
                p.lead {
                    "owned by " a href={ "/catalogue/teams/" (service.owner) } { (service.owner) }
                    @if !service.description.is_empty() { " · " (service.description) }
                }
            }
            a.button.main-button href=(query("/deploy", &[("service", service.name.as_str())])) { "Deploy" }
        }
    }
}

fn everywhere(row: &Row, places: &[At<'_>], newest: Option<&Release>, now: UnixMs) -> Markup {
    html! {
        div.stack {
            h2 #where-title { "Where it is" }
            @if places.is_empty() {
                (empty("It has no server group yet", &html! {
                    p { "A server group says how many instances of it run in an environment." }
                    p { a href="/catalogue/new?kind=server-groups" { "Describe one" } }
                }))
            } @else {
                div.scroll tabindex="0" role="region" aria-labelledby="where-title" {
                    table.table {
                        thead { tr {
                            th scope="col" { "Environment" }
                            th scope="col" { "Live" }
                            th scope="col" { @match newest { Some(newest) => { "May " span.mono { (newest.version) } " go there?" }, None => "May it be deployed?" } }
                            th scope="col" { "Go back" }
                        } }
                        tbody { @for at in places { (one(row, at, newest, now)) } }
                    }
                }
            }
        }
    }
}

fn one(row: &Row, at: &At<'_>, newest: Option<&Release>, now: UnixMs) -> Markup {
    let place = place(row, at.column);
    html! {
        tr {
            th scope="row" {
                a href=(group_path(&place)) { (place.environment) }
                div.small.soft { (at.column.environment.environment_type) }
                @if at.column.lock.is_some() { span.state.wait.small { (icon("lock")) "locked" } }
                @else if at.column.freeze.is_some() { span.state.wait.small { (icon("freeze")) "frozen" } }
            }
            td {
                @match &at.cell.live {
                    Some(live) => {
                        a.version href=(releases::path(&place.service, &live.launch.version)) { (live.launch.version) }
                        div.small.soft { (ago(live.since, now)) " by " a href={ "/deployments/" (live.deployment) } { "this deployment" } }
                    }
                    None => span.soft { "nothing" },
                }
                @if let Some(deployment) = &at.cell.deployment {
                    div.small { a href=(deployment_path(deployment)) { (deployment.launch.version) } " " (Mark::of(deployment).plain()) }
                }
            }
            td { (may(&place, at, newest)) }
            td { (back(&place, at)) }
        }
    }
}

/// Whether the newest release may go there now, and what is against it.
fn may(place: &Place, at: &At<'_>, newest: Option<&Release>) -> Markup {
    let (Some(ready), Some(newest)) = (&at.ready, newest) else {
        return html! { span.soft { "there is no release yet" } };
    };
    let plan = query(
        "/deploy",
        &[
            ("service", place.service.as_str()),
            ("environment", place.environment.as_str()),
            ("version", newest.version.as_str()),
        ],
    );
    html! {
        @match &ready.objections {
            Err(why) => {
                (Mark::new("wait", "waiting", "not known").plain())
                p.small.soft { (why) }
            }
            Ok(objections) if objections.is_empty() => {
                (Mark::new("ok", "ok", "yes").plain())
                @if at.may_deploy { " " a href=(plan) { "see the plan" } }
            }
            Ok(objections) if is_there(objections) => (Mark::new("off", "ok", "it is live there").plain()),
            Ok(objections) => {
                (Mark::new("stop", "failed", "no").plain())
                ul.faults {
                    @for objection in objections {
                        li.small { (objection) ". " span.soft { (who(objection.who_can_act())) } }
                    }
                }
            }
        }
        @if !at.may_deploy {
            p.small { "You lack the right " code { (Right::Deploy) } "; someone with the right " code { (Right::Administer) } " can grant it." }
        }
    }
}

/// Nothing is against it but that it is live already.
fn is_there(objections: &[Objection]) -> bool {
    matches!(objections, [Objection::AlreadyLive { .. }])
}

/// The way back to the release before.
fn back(place: &Place, at: &At<'_>) -> Markup {
    let running = at.cell.deployment.as_ref();
    let previous = at.cell.live.as_ref().and_then(|it| it.previous.as_ref());
    let consequence = match (running, previous) {
        (Some(running), _) => format!("Turns the deployment of {} round.", running.launch.version),
        (None, Some(previous)) => {
            format!(
                "Deploys {} again, by the quickest way there is.",
                previous.version
            )
        }
        (None, None) => String::new(),
    };
    html! {
        @if consequence.is_empty() { span.soft { "nothing was live before" } }
        @else if !at.may_roll_back {
            span.small { "You lack the right " code { (Right::RollBack) } "." }
        } @else {
            details {
                summary { "Roll back" }
                form.act method="post" action={ "/services/" (place.service) "/" (place.environment) "/roll-back" } {
                    div.press {
                        button.danger type="submit" aria-describedby={ "back-" (place.environment) } { "Roll back" }
                        input name="reason" aria-label={ "Why " (place.environment) " goes back" } placeholder="why, in a few words" maxlength="1000" autocomplete="off" required;
                    }
                    p.small.soft id={ "back-" (place.environment) } { (consequence) }
                }
            }
        }
    }
}

fn newest_releases(name: &ServiceName, releases: &[Release], row: &Row, now: UnixMs) -> Markup {
    html! {
        section.card aria-labelledby="releases-title" {
            div.head {
                h2 #releases-title { "Newest releases" }
                a.small href={ "/services/" (name) "/releases" } { "All releases" }
            }
            @if releases.is_empty() {
                p.soft { "None yet. Create one:" }
                pre { "pointsman release create " (name) " 1.0.0 --artifact DIR" }
            } @else {
                ul.rows { @for release in releases { (releases::item(release, row, now)) } }
            }
        }
    }
}

fn newest_deployments(name: &ServiceName, last: &[Deployment], now: UnixMs) -> Markup {
    html! {
        section.card aria-labelledby="deployments-title" {
            div.head {
                h2 #deployments-title { "Last deployments" }
                a.small href=(query("/deployments", &[("service", name.as_str())])) { "All deployments" }
            }
            @if last.is_empty() { p.soft { "It was never deployed." } }
            @else { ul.rows { @for deployment in last { (deployments::item(deployment, now)) } } }
        }
    }
}

fn elsewhere(name: &ServiceName) -> Markup {
    html! {
        p.small.soft {
            a href={ "/catalogue/services/" (name) } { "Its entry in the catalogue" }
            " · in a terminal " code { "pointsman status " (name) }
        }
    }
}
