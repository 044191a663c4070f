//! Environments: what holds deployments there, now and in the next two weeks, and what runs there.

mod calendar;

use axum::{
    body::Bytes,
    extract::Path,
    response::{IntoResponse, Response},
};
use domain::{
    access::{Denied, Resource, Right},
    governance::Lock,
    names::{EnvironmentName, ServiceName},
    time::UnixMs,
};
use maud::{Markup, html};
use operations::{Desk, Error, overview::Column, status::Status};

use super::{
    failed::Failed,
    parts::{
        Mark, Query, ROWS, age, ago, deployment_path, empty, group_path, icon, missing, moment,
        now, pager, query,
    },
    shell::{Head, Part, page},
    visitor::Visitor,
    way_in::see,
};
use crate::rows::Pages;

pub(super) fn pages() -> Pages {
    Pages::default()
        .shows("/environments", list)
        .shows("/environments/{environment}", read)
        .form("/environments/{environment}/lock", lock)
        .form("/environments/{environment}/unlock", unlock)
}

/// Whether deployments may begin there, in the three ways that everybody can tell apart.
fn mark(column: &Column) -> Mark {
    match (&column.lock, &column.freeze) {
        (Some(_), _) => Mark::new("wait", "lock", "locked"),
        (None, Some(_)) => Mark::new("wait", "freeze", "frozen"),
        (None, None) => Mark::new("ok", "ok", "open"),
    }
}

async fn list(visitor: Visitor) -> Result<Markup, Failed> {
    let columns = visitor.desk.columns().await?;
    let now = now();
    let body = html! {
        div.top { h1 { "Environments" } }
        @if columns.is_empty() {
            (empty("No environment yet", &html! {
                p { "An environment is a place where services run, such as staging or production." }
                p { a href="/catalogue" { "Describe one in the catalogue" } }
            }))
        } @else {
            div.scroll tabindex="0" role="region" aria-label="Environments" {
                table.table {
                    thead { tr {
                        th scope="col" { "Environment" } th scope="col" { "Deployments" }
                        th scope="col" { "Comes next" } th scope="col" { "Owner" } th.num scope="col" { "Instances at most" }
                    } }
                    tbody { @for column in &columns { (line(column, now)) } }
                }
            }
        }
    };
    let head = Head {
        part: Part::Environments,
        title: &["Environments"],
        trail: &[],
        topic: None,
    };
    Ok(page(&visitor, &head, &body))
}

fn line(column: &Column, now: UnixMs) -> Markup {
    let environment = &column.environment;
    html! {
        tr {
            th scope="row" {
                a href={ "/environments/" (environment.name) } { (environment.name) }
                " " span.small.soft { (environment.environment_type) }
            }
            td { (mark(column).plain()) }
            td.small {
                @match column.coming.first() {
                    Some(freeze) => { "frozen in " (age(now, freeze.from)) ": " (freeze.reason) },
                    None => span.soft { "nothing" },
                }
            }
            td { @match &environment.owner { Some(owner) => (owner), None => span.soft { "nobody" } } }
            td.num { @match environment.capacity_limit { Some(limit) => (limit), None => span.soft { "no limit" } } }
        }
    }
}

async fn read(
    visitor: Visitor,
    Path(name): Path<EnvironmentName>,
    asked: Query,
) -> Result<Markup, Failed> {
    let desk = &visitor.desk;
    let after: Option<ServiceName> = asked.read("after");
    let columns = desk.columns().await?;
    let column = columns.into_iter().find(|it| it.environment.name == name);
    let statuses = desk.environment_status(&name, after.as_ref(), ROWS).await?;
    let Some(column) = column else {
        return Err(Failed::no_page());
    };
    let locking = may_not_lock(desk, &name).await?;
    let now = now();
    let path = format!("/environments/{name}");
    let here = after.as_ref().map(ServiceName::as_str);
    let body = html! {
        (head(&column))
        (holds(&column, locking.as_ref(), now))
        section.card aria-labelledby="calendar-title" {
            div.head { h2 #calendar-title { "The next two weeks" } }
            (calendar::strip(&column, now))
        }
        section.stack aria-labelledby="groups-title" {
            h2 #groups-title { "Server groups" }
            div #groups { (groups(&name, &statuses.items, now)) }
            (pager(&path, &[], here, statuses.next.as_deref()))
        }
    };
    let head = Head {
        part: Part::Environments,
        title: &[name.as_str()],
        trail: &[("/environments", "Environments")],
        topic: Some("overview"),
    };
    Ok(page(&visitor, &head, &body))
}

/// What somebody lacks to lock there; `None`: nothing.
async fn may_not_lock(desk: &Desk, name: &EnvironmentName) -> Result<Option<Denied>, Error> {
    desk.missing(Right::Lock, Resource::Environment(name)).await
}

fn head(column: &Column) -> Markup {
    let environment = &column.environment;
    html! {
        div.top #e-head {
            div {
                h1 { (environment.name) }
                p.lead {
                    "type " (environment.environment_type)
                    " · " @match &environment.owner { Some(owner) => { "owned by " (owner) }, None => { "without an owner" } }
                    " · " @match environment.capacity_limit { Some(limit) => { "at most " (limit) " instances, those of running deployments included" }, None => { "no limit of instances" } }
                }
                @if !environment.description.is_empty() { p { (environment.description) } }
            }
            (mark(column).badge())
        }
    }
}

/// What holds deployments now, and the buttons that change it.
fn holds(column: &Column, denied: Option<&Denied>, now: UnixMs) -> Markup {
    html! {
        div.stack #e-holds {
            @if let Some(lock) = &column.lock { (locked(lock, now)) }
            @if let Some(freeze) = &column.freeze {
                div.note.wait {
                    p { span.state.wait { (icon("freeze")) "Frozen" } " until " (moment(freeze.until)) ": " (freeze.reason) }
                    p.soft { "No deployment begins here before then. The freeze ends by itself; someone with the right to govern can change it: " (freeze.name) "." }
                }
            }
            (locking(column, denied))
        }
    }
}

fn locked(lock: &Lock, now: UnixMs) -> Markup {
    html! {
        div.note.wait {
            p { span.state.wait { (icon("lock")) "Locked" } " by " b { (lock.by) } ", " (ago(lock.since, now)) ": " (lock.reason) }
            p.soft { "No deployment begins here until somebody lifts the lock. What runs goes on, and the way back stays open." }
        }
    }
}

fn locking(column: &Column, denied: Option<&Denied>) -> Markup {
    let name = &column.environment.name;
    let is_locked = column.lock.is_some();
    html! {
        section.card aria-label="Lock" {
            div.acts {
                form.act method="post" action={ "/environments/" (name) "/lock" } {
                    div.press {
                        button type="submit" disabled[denied.is_some()] aria-describedby="lock-hint" {
                            @if is_locked { "Change the lock" } @else { "Lock" }
                        }
                        @if denied.is_none() {
                            input name="reason" aria-label="Why it is locked" placeholder="why, in a few words" maxlength="1000" autocomplete="off" required;
                        }
                    }
                    p.small.soft #lock-hint {
                        "No deployment begins in " (name) " until the lock is lifted. What runs goes on."
                        (missing(denied))
                    }
                }
                @if is_locked {
                    form.act method="post" action={ "/environments/" (name) "/unlock" } {
                        div.press { button.main-button type="submit" disabled[denied.is_some()] aria-describedby="unlock-hint" { "Lift the lock" } }
                        p.small.soft #unlock-hint { "Deployments may begin again at once." (missing(denied)) }
                    }
                }
            }
        }
    }
}

fn groups(name: &EnvironmentName, statuses: &[Status], now: UnixMs) -> Markup {
    if statuses.is_empty() {
        let next = html! {
            p { "A server group says how many instances of a service run in " (name) "." }
            p { a href="/catalogue" { "Describe one in the catalogue" } }
        };
        return empty("No server group here yet", &next);
    }
    html! {
        div.scroll tabindex="0" role="region" aria-label="Server groups" {
            table.table {
                thead { tr {
                    th scope="col" { "Service" } th scope="col" { "Live" } th scope="col" { "Instances" }
                    th scope="col" { "Deployment" } th scope="col" { "Address" }
                } }
                tbody { @for status in statuses { (group(status, now)) } }
            }
        }
    }
}

fn group(status: &Status, now: UnixMs) -> Markup {
    let place = &status.place;
    html! {
        tr {
            th scope="row" { a href=(group_path(place)) { (place.service) } }
            td {
                @match &status.live {
                    Some(live) => { span.version { (live.launch.version) } " " span.small.soft { (age(live.since, now)) } },
                    None => {
                        span.soft { "nothing" } " "
                        a.small href=(query("/deploy", &[("service", place.service.as_str()), ("environment", place.environment.as_str())])) { "deploy" }
                    },
                }
            }
            td { (instances(status)) }
            td {
                @match &status.deployment {
                    Some(deployment) => a href=(deployment_path(deployment)) { span.mono { (deployment.launch.version) } " " (Mark::of(deployment).plain()) },
                    None => span.soft { "none" },
                }
            }
            td.small { @if let Some(url) = &status.url { a href=(url) rel="noreferrer" { (url) } } }
        }
    }
}

/// How many instances are healthy, and what is wrong.
fn instances(status: &Status) -> Markup {
    if let Some(trouble) = &status.trouble {
        return html! { span.state.stop { (icon("failed")) "not known" } " " span.small { (trouble.sentence) } };
    }
    let Some(seen) = &status.observation else {
        return html! { span.soft { "none" } };
    };
    let (healthy, wanted) = seen
        .slices
        .values()
        .fold((0, 0), |(healthy, wanted), slice| {
            (healthy + slice.healthy(), wanted + slice.sizes.desired)
        });
    let mark = match (healthy, wanted) {
        (_, 0) => Mark::new("off", "end", "none wanted"),
        (healthy, wanted) if healthy >= wanted => Mark::new("ok", "ok", "healthy"),
        (0, _) => Mark::new("stop", "failed", "none healthy"),
        _ => Mark::new("wait", "waiting", "not all healthy"),
    };
    html! { (mark.plain()) " " span.small.soft { (healthy) " of " (wanted) } }
}

async fn lock(
    visitor: Visitor,
    Path(name): Path<EnvironmentName>,
    form: Bytes,
) -> Result<Response, Failed> {
    let form = Query::of(&form);
    visitor.desk.lock(&name, form.text("reason")).await?;
    Ok(see(&format!("/environments/{name}")).into_response())
}

async fn unlock(visitor: Visitor, Path(name): Path<EnvironmentName>) -> Result<Response, Failed> {
    visitor.desk.unlock(&name).await?;
    Ok(see(&format!("/environments/{name}")).into_response())
}
