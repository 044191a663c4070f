//! A deployment, live: its plan as a track, what it waits for, its instances, its users, and what one can do.
//!
//! ```text
//! desk --> Seen (record, events, slices, samples) --> fragments, each with an id --> the page, and the stream
//! ```
//!
//! Invariant: page and stream show the same fragments, made by the same functions; what differs between
//! viewers is only what they may press.

mod acts;
mod charts;
mod seen;
mod story;
mod tiles;
mod track;

use axum::{
    body::Bytes,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use domain::{deployment::Command, names::DeploymentId};
use maud::{Markup, html};

use super::{
    failed::Failed,
    parts::Query,
    shell::{Head, Part, page},
    visitor::Visitor,
    way_in::see,
};
use crate::{App, rows::Pages};

pub(super) use acts::Powers;
pub(super) use charts::Samples;
pub(super) use seen::Seen;
pub(super) use tiles::panels;
pub(super) use track::{ahead, name as step_name};

pub(super) fn pages() -> Pages {
    let pages = Pages::default().shows("/deployments/{id}", read);
    COMMANDS.into_iter().fold(pages, |pages, name| {
        let path = format!("/deployments/{{id}}/{name}");
        pages.form(&path, move |visitor, id, form| {
            command(visitor, id, name, form)
        })
    })
}

/// What can be done with a deployment, as the paths of its forms name it.
const COMMANDS: [&str; 7] = [
    "pause",
    "resume",
    "promote",
    "approve",
    "reject",
    "abort",
    "roll-back",
];

/// A part of the page that changes while somebody watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fragment {
    /// The id of its element.
    pub(super) id: &'static str,
    /// The element.
    pub(super) html: String,
}

async fn read(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<DeploymentId>,
) -> Result<Response, Failed> {
    let seen = Seen::read(&visitor.desk, &id, &app.portal.hub.samples).await?;
    let powers = Powers::of(&visitor.desk, &seen.deployment).await?;
    let place = seen.deployment.target.place.clone();
    let version = seen.deployment.launch.version.to_string();
    let topic = format!("deployment:{id}");
    let (service, environment) = (
        format!("/services/{}", place.service),
        format!("/environments/{}", place.environment),
    );
    let title = format!("{} {version}", place.service);
    let head = Head {
        part: Part::Deployments,
        title: &[&title, place.environment.as_str()],
        trail: &[
            ("/deployments", "Deployments"),
            (&service, place.service.as_str()),
            (&environment, place.environment.as_str()),
        ],
        topic: seen.deployment.ending.is_none().then_some(topic.as_str()),
    };
    let body = body(&seen, powers);
    Ok(page(&visitor, &head, &body).into_response())
}

/// All parts of the page, in reading order.
fn body(seen: &Seen, powers: Powers) -> Markup {
    html! {
        (story::head(seen))
        (story::says(seen))
        (story::status(seen))
        (acts::acts(seen, powers))
        (track::track(seen))
        (tiles::tiles(seen))
        (charts::charts(seen))
        (story::end(seen))
        (story::log(seen))
        (story::facts(seen))
    }
}

/// The parts that are the same for everybody.
pub(super) fn shared(seen: &Seen) -> Vec<Fragment> {
    let parts = [
        ("d-head", story::head(seen)),
        ("d-says", story::says(seen)),
        ("d-status", story::status(seen)),
        ("d-track", track::track(seen)),
        ("d-tiles", tiles::tiles(seen)),
        ("d-charts", charts::charts(seen)),
        ("d-end", story::end(seen)),
        ("d-log", story::log(seen)),
    ];
    let fragments = parts.into_iter().map(|(id, markup)| Fragment {
        id,
        html: markup.into_string(),
    });
    fragments.collect()
}

/// What somebody with these powers can press.
pub(super) fn pressed(seen: &Seen, powers: Powers) -> Fragment {
    Fragment {
        id: "d-acts",
        html: acts::acts(seen, powers).into_string(),
    }
}

/// A button was pressed.
async fn command(
    visitor: Visitor,
    Path(id): Path<DeploymentId>,
    name: &str,
    form: Bytes,
) -> Result<Response, Failed> {
    let form = Query::of(&form);
    let reason = || match form.text("reason") {
        "" => "no reason given in the portal".to_owned(),
        reason => reason.to_owned(),
    };
    let command = match name {
        "pause" => Command::Pause,
        "resume" => Command::Resume,
        "promote" => Command::Promote,
        "approve" => Command::Approve,
        "reject" => Command::Reject { reason: reason() },
        "abort" => Command::Abort { reason: reason() },
        "roll-back" => Command::RollBack { reason: reason() },
        _ => return Err(Failed::no_page()),
    };
    // What was read is what is approved.
    let plan = Some(form.text("plan")).filter(|plan| !plan.is_empty());
    visitor.desk.command(&id, command, plan).await?;
    Ok(see(&format!("/deployments/{id}")))
}
