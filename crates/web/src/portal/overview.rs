//! The overview: services by environments, and what needs people.

use crate::rows::Pages;
use domain::{
    deployment::{Course, Deployment},
    names::{EnvironmentName, Place, ServiceName, TeamName},
    time::UnixMs,
};
use maud::{Markup, html};
use operations::{
    deployments::Listed,
    overview::{Cell, Column, Row, Wanted},
};

use super::{
    failed::Failed,
    parts::{
        Mark, Query, ROWS, age, ago, asks_people, deployment_path, empty, group_path, icon, now,
        pager, query, who,
    },
    profile::star,
    shell::{Head, Part, page},
    visitor::Visitor,
};

/// Deployments that the strip on top looks at.
const RUNNING_MAX: u32 = 100;

pub(super) fn pages() -> Pages {
    Pages::default().shows("/", read)
}

/// What the address of the page asks for.
struct Asked {
    wanted: Wanted,
    after: Option<ServiceName>,
    /// Only environments of this type.
    class: String,
}

impl Asked {
    fn of(query: &Query) -> Self {
        Self {
            wanted: Wanted {
                team: query.read::<TeamName>("team"),
                contains: query.text("q").to_owned(),
                moving: query.text("state") == "moving",
                names: Vec::new(),
            },
            after: query.read("after"),
            class: query.text("type").to_owned(),
        }
    }

    fn team(&self) -> &str {
        self.wanted.team.as_ref().map_or("", TeamName::as_str)
    }

    fn pairs(&self) -> [(&str, &str); 4] {
        let state = if self.wanted.moving { "moving" } else { "" };
        [
            ("q", self.wanted.contains.as_str()),
            ("team", self.team()),
            ("type", self.class.as_str()),
            ("state", state),
        ]
    }

    fn is_plain(&self) -> bool {
        self.pairs().iter().all(|(_, value)| value.is_empty()) && self.after.is_none()
    }
}

async fn read(visitor: Visitor, asked: Query) -> Result<Markup, Failed> {
    let asked = Asked::of(&asked);
    let desk = &visitor.desk;
    let columns = desk.columns().await?;
    let mut rows = desk
        .overview(&columns, &asked.wanted, asked.after.as_ref(), ROWS)
        .await?;
    let favourites = &visitor.prefers.favourites;
    if asked.is_plain() && !favourites.is_empty() {
        let wanted = Wanted {
            names: favourites.clone(),
            ..Wanted::default()
        };
        let first = desk.overview(&columns, &wanted, None, ROWS).await?.items;
        rows.items
            .retain(|row| !favourites.contains(&row.service.name));
        rows.items.splice(..0, first);
    }
    let listed = Listed {
        unfinished: true,
        ..Listed::default()
    };
    let running = desk.deployments(&listed, None, RUNNING_MAX).await?.items;
    let now = now();
    let types: Vec<String> = types(&columns);
    let shown: Vec<&Column> = columns
        .iter()
        .filter(|it| {
            asked.class.is_empty() || it.environment.environment_type.as_str() == asked.class
        })
        .collect();
    let after = asked.after.as_ref().map(ServiceName::as_str);
    let body = html! {
        div.top { h1 { "Overview" } a.button.main-button href="/deploy" { "Deploy" } }
        div #needs { (needs(&running, &columns, now)) }
        (filters(&asked, &types))
        div #matrix {
            @if rows.items.is_empty() { (nothing(&asked)) } @else { (matrix(&shown, &rows.items, favourites, now)) }
        }
        (pager("/", &asked.pairs(), after, rows.next.as_deref()))
    };
    let head = Head {
        part: Part::Overview,
        title: &["Overview"],
        trail: &[],
        topic: Some("overview"),
    };
    Ok(page(&visitor, &head, &body))
}

fn types(columns: &[Column]) -> Vec<String> {
    let mut types: Vec<String> = Vec::new();
    for column in columns {
        let name = column.environment.environment_type.to_string();
        if !types.contains(&name) {
            types.push(name);
        }
    }
    types
}

/// What waits for people, and what holds deployments: nothing else is urgent.
fn needs(running: &[Deployment], columns: &[Column], now: UnixMs) -> Markup {
    let asking: Vec<&Deployment> = running.iter().filter(|it| asks_people(it)).collect();
    let back = |it: &&Deployment| it.progress.course == Course::RollingBack && !asks_people(it);
    let backing: Vec<&Deployment> = running.iter().filter(back).collect();
    let held: Vec<&Column> = columns
        .iter()
        .filter(|it| it.lock.is_some() || it.freeze.is_some())
        .collect();
    html! {
        @if !(asking.is_empty() && backing.is_empty() && held.is_empty()) {
            section.card.needs aria-labelledby="needs-title" {
                h2 #needs-title { "Needs you" }
                ul.faults {
                    @for deployment in asking.iter().chain(&backing) { li { (need(deployment, now)) } }
                    @for column in held { li { (hold(column, now)) } }
                }
            }
        }
    }
}

fn need(deployment: &Deployment, now: UnixMs) -> Markup {
    let place = &deployment.target.place;
    let versions = deployment.versions();
    let waiting = deployment.waiting.as_ref();
    html! {
        (Mark::of(deployment).plain()) " "
        a href=(deployment_path(deployment)) { (place.service) " " span.mono { (deployment.launch.version) } " to " (place.environment) }
        @if let Some(failure) = &deployment.failure { span.soft { " · " (failure.sentence(&versions)) } }
        @else if let Some(waiting) = waiting { span.soft { " · " (waiting.sentence(&versions)) " · " (who(waiting.who_can_act())) } }
        @if let Some(since) = deployment.waiting_since() { span.soft { " · since " (age(since, now)) } }
    }
}

fn hold(column: &Column, now: UnixMs) -> Markup {
    let name = &column.environment.name;
    html! {
        @if let Some(lock) = &column.lock {
            span.state.wait { (icon("lock")) "locked" } " "
            a href={ "/environments/" (name) } { (name) }
            span.soft { " · by " (lock.by) ", " (ago(lock.since, now)) ": " (lock.reason) }
        } @else if let Some(freeze) = &column.freeze {
            span.state.wait { (icon("freeze")) "frozen" } " "
            a href={ "/environments/" (name) } { (name) }
            span.soft { " · until " (super::parts::moment(freeze.until)) ": " (freeze.reason) }
        }
    }
}

fn filters(asked: &Asked, types: &[String]) -> Markup {
    html! {
        form.filters method="get" action="/" role="search" aria-label="Filter services" {
            label { "Service" input type="search" name="q" value=(asked.wanted.contains) placeholder="part of a name"; }
            label { "Team" input name="team" value=(asked.team()) placeholder="any"; }
            label { "Environments"
                select name="type" {
                    option value="" { "all" }
                    @for name in types { option value=(name) selected[*name == asked.class] { (name) } }
                }
            }
            label { "State"
                select name="state" {
                    option value="" { "any" }
                    option value="moving" selected[asked.wanted.moving] { "deploying now" }
                }
            }
            button type="submit" { "Filter" }
            @if !asked.is_plain() { a.button href="/" { "Show all" } }
        }
    }
}

fn nothing(asked: &Asked) -> Markup {
    if asked.is_plain() {
        let next = html! {
            p { "The catalogue is empty. Describe services, environments and server groups in a file, and apply it:" }
            pre { "pointsman apply -f catalogue.yaml" }
            p { a href="/catalogue" { "Or write the first entry here" } }
        };
        return empty("No service yet", &next);
    }
    empty(
        "No service matches",
        &html! { p { a href="/" { "Show all services" } } },
    )
}

fn matrix(columns: &[&Column], rows: &[Row], favourites: &[ServiceName], now: UnixMs) -> Markup {
    html! {
        div.scroll.matrix tabindex="0" role="region" aria-label="Services by environments" {
            table.table {
                thead {
                    tr {
                        th scope="col" { "Service" }
                        @for column in columns { th scope="col" { (heading(column)) } }
                    }
                }
                tbody {
                    @for row in rows {
                        tr {
                            th scope="row" {
                                (star(&row.service.name, favourites.contains(&row.service.name), "/"))
                                a href={ "/services/" (row.service.name) } { (row.service.name) }
                                span.small.soft { (row.service.owner) }
                            }
                            @for column in columns {
                                td { (cell(row, &column.environment.name, now)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn heading(column: &Column) -> Markup {
    let environment = &column.environment;
    html! {
        a href={ "/environments/" (environment.name) } { (environment.name) }
        @if column.lock.is_some() { " " span.state.wait { (icon("lock")) "locked" } }
        @else if column.freeze.is_some() { " " span.state.wait { (icon("freeze")) "frozen" } }
        span.small.soft { (environment.environment_type) }
    }
}

fn cell(row: &Row, environment: &EnvironmentName, now: UnixMs) -> Markup {
    let Some(cell) = row.cells.get(environment) else {
        return html! { span.none { span aria-hidden="true" { "·" } span.hide { "no server group" } } };
    };
    let place = Place {
        service: row.service.name.clone(),
        environment: environment.clone(),
    };
    html! {
        @match &cell.live {
            Some(live) => {
                a.version href=(group_path(&place)) { (live.launch.version) }
                span.small.soft { (age(live.since, now)) }
                @if let Some(before) = &cell.behind { span.small.behind { (icon("behind")) "behind " (before) } }
            }
            None if cell.deployment.is_none() => {
                a.small href=(query("/deploy", &[("service", place.service.as_str()), ("environment", environment.as_str())])) { "nothing live" }
            }
            None => {}
        }
        (moving(cell))
    }
}

/// The deployment of a cell: how far it is, and whether it asks for somebody.
fn moving(cell: &Cell) -> Markup {
    let Some(deployment) = &cell.deployment else {
        return html! {};
    };
    let mark = Mark::of(deployment);
    let (at, of) = (deployment.progress.at, deployment.progress.steps.len());
    html! {
        a.deploying href=(deployment_path(deployment)) {
            span class={ "state " (mark.colour) } { (icon(mark.shape)) span.mono { (deployment.launch.version) } }
            span.small { (mark.word) }
            progress max=(of.max(1)) value=(at) aria-label={ "step " (at.min(of)) " of " (of) } {}
        }
    }
}
