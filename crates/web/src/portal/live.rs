//! One stream per browser: fragments of the pages that it shows, as they change.
//!
//! ```text
//! page -- topic --> the browser's leading tab -- GET /live?topic=.. --> hub --> one task per topic
//!                        `<-- fragments by id, rendered once for all who watch --'
//! ```

mod hub;

use std::{collections::BTreeSet, convert::Infallible, time::Duration};

use axum::{
    Extension,
    extract::State,
    http::{HeaderName, StatusCode},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use domain::{
    access::Right,
    names::{DeploymentId, Place},
};
use futures_util::{StreamExt, stream};

use super::{parts::Query, visitor::Visitor};
use crate::{
    App,
    rows::Pages,
    streams::{Piece, Reader, Subject, Visa},
};

pub use hub::Hub;

/// Topics of one browser at once: its newest tabs.
const TOPICS_MAX: usize = 12;
/// A comment, so that nobody on the way takes the stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// After so long the browser comes again, and who it is and what they may see is looked at anew.
const LASTS: Duration = Duration::from_secs(55);
/// How soon a browser comes again after a stream ended, in milliseconds.
const AGAIN: Duration = Duration::from_millis(700);
/// Proxies must hand on what comes as it comes.
const NO_BUFFER: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

pub(super) fn pages() -> Pages {
    Pages::default().shows("/live", read)
}

/// What a page follows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Topic {
    /// The overview: which deployments run, and what they wait for.
    Overview,
    /// One deployment.
    Deployment(DeploymentId),
    /// One server group.
    Group(Place),
}

impl Topic {
    fn of(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "overview" => Some(Self::Overview),
            Some(("deployment", id)) if id.len() <= 64 => {
                Some(Self::Deployment(DeploymentId(id.to_owned())))
            }
            Some(("group", place)) => {
                let (service, environment) = place.split_once('.')?;
                Some(Self::Group(Place {
                    service: service.parse().ok()?,
                    environment: environment.parse().ok()?,
                }))
            }
            _ => None,
        }
    }
}

async fn read(
    State(app): State<App>,
    visitor: Visitor,
    Extension(visa): Extension<Visa>,
    query: Query,
) -> Response {
    let topics: BTreeSet<Topic> = query
        .all("topic")
        .filter_map(Topic::of)
        .take(TOPICS_MAX)
        .collect();
    let hub = &app.portal.hub;
    let mut parts = Vec::new();
    for topic in topics {
        parts.push(match topic {
            Topic::Overview => hub.overview(visitor.desk.clone()).boxed(),
            Topic::Group(place) => hub.group(visitor.desk.clone(), place).boxed(),
            Topic::Deployment(id) => hub.deployment(visitor.desk.clone(), id).boxed(),
        });
    }
    let events = stream::select_all(parts).take_until(tokio::time::sleep(LASTS));
    let hello = Event::default().event("hello").data("").retry(AGAIN);
    let events = stream::once(std::future::ready(hello)).chain(events);
    let reader = Reader {
        visa,
        right: Right::View,
        subject: Subject::Seen,
    };
    match app.streams.bounded(events, reader) {
        Ok(events) => {
            let events = events.map(|piece| {
                Ok::<_, Infallible>(match piece {
                    Piece::Item(event) => event,
                    Piece::Last(lost) => Event::default().event("lost").data(lost.to_string()),
                })
            });
            let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("still here");
            ([NO_BUFFER], Sse::new(events).keep_alive(keep_alive)).into_response()
        }
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
