//! All deployments, newest first, by service, environment, state and person.

use domain::{
    deployment::{Deployment, Outcome},
    names::{DeploymentId, EnvironmentName, ServiceName},
    time::UnixMs,
};
use maud::{Markup, html};
use operations::deployments::Listed;

use super::{
    failed::Failed,
    parts::{Mark, Query, ROWS, age, ago, deployment_path, empty, now, pager, query},
    shell::{Head, Part, page},
    visitor::Visitor,
};
use crate::rows::Pages;

/// The states that can be asked for: as the address has them, and as people read them.
const STATES: [(&str, &str); 5] = [
    ("running", "not ended"),
    ("succeeded", "succeeded"),
    ("rolled-back", "rolled back"),
    ("aborted", "aborted"),
    ("failed", "failed"),
];

pub(super) fn pages() -> Pages {
    Pages::default().shows("/deployments", read)
}

/// What the address of the page asks for.
struct Asked<'a> {
    query: &'a Query,
}

impl Asked<'_> {
    fn listed(&self) -> Listed {
        let state = self.query.text("state");
        Listed {
            service: self.query.read::<ServiceName>("service"),
            environment: self.query.read::<EnvironmentName>("environment"),
            unfinished: state == "running",
            outcome: outcome(state),
            requested_by: Some(self.query.text("by").to_owned()).filter(|by| !by.is_empty()),
        }
    }

    fn pairs(&self) -> [(&str, &str); 4] {
        ["service", "environment", "state", "by"].map(|field| (field, self.query.text(field)))
    }

    /// A name that cannot be one finds nothing, instead of everything.
    fn finds_nothing(&self, listed: &Listed) -> bool {
        let unread = |field, read: bool| !self.query.text(field).is_empty() && !read;
        unread("service", listed.service.is_some())
            || unread("environment", listed.environment.is_some())
    }
}

fn outcome(state: &str) -> Option<Outcome> {
    match state {
        "succeeded" => Some(Outcome::Succeeded),
        "rolled-back" => Some(Outcome::RolledBack),
        "aborted" => Some(Outcome::Aborted),
        "failed" => Some(Outcome::Failed),
        _ => None,
    }
}

/// A deployment as a row of a list.
pub(super) fn item(deployment: &Deployment, now: UnixMs) -> Markup {
    let place = &deployment.target.place;
    html! {
        li {
            span {
                a href=(deployment_path(deployment)) { span.mono { (deployment.launch.version) } " to " (place.environment) }
                " " (Mark::of(deployment).plain())
            }
            span.small.soft { (ago(deployment.requested_at, now)) " by " (deployment.requested_by) }
        }
    }
}

async fn read(visitor: Visitor, asked: Query) -> Result<Markup, Failed> {
    let desk = &visitor.desk;
    let asked = Asked { query: &asked };
    let listed = asked.listed();
    let after = asked.query.text("after");
    let before = (!after.is_empty()).then(|| DeploymentId(after.to_owned()));
    let columns = desk.columns().await?;
    let mut all = desk.deployments(&listed, before.as_ref(), ROWS).await?;
    if asked.finds_nothing(&listed) {
        all.items.clear();
        all.next = None;
    }
    let environments = columns.iter().map(|it| it.environment.name.as_str());
    let environments: Vec<&str> = environments.collect();
    let body = html! {
        div.top { h1 { "Deployments" } a.button.main-button href="/deploy" { "Deploy" } }
        (filters(&asked, &environments))
        div #deployments {
            @if all.items.is_empty() { (nothing(&asked)) } @else { (table(&all.items, now())) }
        }
        (pager("/deployments", &asked.pairs(), before.as_ref().map(|it| it.0.as_str()), all.next.as_deref()))
    };
    let head = Head {
        part: Part::Deployments,
        title: &["Deployments"],
        trail: &[],
        topic: Some("overview"),
    };
    Ok(page(&visitor, &head, &body))
}

fn filters(asked: &Asked<'_>, environments: &[&str]) -> Markup {
    let text = |field| asked.query.text(field);
    let is_plain = asked.pairs().iter().all(|(_, value)| value.is_empty());
    html! {
        form.filters method="get" action="/deployments" role="search" aria-label="Filter deployments" {
            label { "Service" input type="search" name="service" value=(text("service")) placeholder="any"; }
            label { "Environment"
                select name="environment" {
                    option value="" { "any" }
                    @for name in environments { option value=(name) selected[*name == text("environment")] { (name) } }
                }
            }
            label { "State"
                select name="state" {
                    option value="" { "any" }
                    @for (word, told) in STATES { option value=(word) selected[word == text("state")] { (told) } }
                }
            }
            label { "Asked for by" input name="by" value=(text("by")) placeholder="anybody" autocapitalize="off"; }
            button type="submit" { "Filter" }
            @if !is_plain { a.button href="/deployments" { "Show all" } }
        }
    }
}

fn nothing(asked: &Asked<'_>) -> Markup {
    let is_plain = asked.pairs().iter().all(|(_, value)| value.is_empty());
    match is_plain {
        true => empty(
            "Nothing was deployed yet",
            &html! {
                p { "Choose a service, an environment and a release; the plan comes first." }
                p { a href="/deploy" { "Deploy something" } }
            },
        ),
        false => empty(
            "No deployment matches",
            &html! { p { a href="/deployments" { "Show all deployments" } } },
        ),
    }
}

fn table(deployments: &[Deployment], now: UnixMs) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Deployments, newest first" {
            table.table {
                thead { tr {
                    th scope="col" { "Deployment" }
                    th scope="col" { "Environment" }
                    th scope="col" { "State" }
                    th scope="col" { "Strategy" }
                    th scope="col" { "Asked for" }
                    th.num scope="col" { "Took" }
                } }
                tbody { @for deployment in deployments { (row(deployment, now)) } }
            }
        }
    }
}

fn row(deployment: &Deployment, now: UnixMs) -> Markup {
    let place = &deployment.target.place;
    let versions = deployment.versions();
    let by = query("/deployments", &[("by", deployment.requested_by.as_str())]);
    let end = deployment.ending.as_ref().map(|ending| ending.at);
    html! {
        tr {
            th scope="row" {
                a href=(deployment_path(deployment)) { (place.service) " " span.mono { (deployment.launch.version) } }
                @if let Some(stable) = &deployment.stable { div.small.soft { "replaces " span.mono { (stable.version) } } }
            }
            td { a href={ "/environments/" (place.environment) } { (place.environment) } }
            td {
                (Mark::of(deployment).plain())
                @if let Some(failure) = &deployment.failure { div.small.soft { (failure.sentence(&versions)) } }
                @else if let Some(waiting) = deployment.waiting.as_ref().filter(|_| end.is_none()) { div.small.soft { (waiting.sentence(&versions)) } }
            }
            td { (deployment.strategy.kind()) }
            td { (ago(deployment.requested_at, now)) " by " a href=(by) { (deployment.requested_by) } }
            td.num { (age(deployment.requested_at, end.unwrap_or(now))) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_but_running_is_an_outcome() {
        for (word, _) in STATES {
            assert_eq!(outcome(word).is_none(), word == "running", "{word}");
        }
        assert_eq!(outcome("<b>"), None);
    }

    #[test]
    fn a_name_that_cannot_be_one_finds_nothing() {
        for (text, nothing) in [
            ("", false),
            ("service=shop", false),
            ("service=SHOP%20x", true),
        ] {
            let query = Query::of(text.as_bytes());
            let asked = Asked { query: &query };
            assert_eq!(asked.finds_nothing(&asked.listed()), nothing, "{text}");
        }
    }
}
