//! What happened to a deployment: as a page, or as it happens (server-sent events).

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{OriginalUri, State},
    http::{HeaderMap, header},
    response::{
        IntoResponse, Response,
        sse::{self, KeepAlive, Sse},
    },
};
use domain::{event::Event, evidence::Look, names::DeploymentId};
use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::wire::{Listing, Paging, cursor, limit, listing, time, word};
use crate::{
    App,
    extract::{InDesk, InPath, InQuery},
    problem::{Problem, ProblemDocument},
};
use operations::{
    Error,
    events::{Looked, Numbered},
};

/// The routes of this noun.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(events))
        .routes(routes!(looks))
}

/// A comment is sent when nothing else was for so long, so that dead connections are found.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// One deployment.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct EventsPath {
    /// Its id.
    #[param(value_type = String)]
    id: DeploymentId,
}

/// One thing that happened to a deployment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventView {
    /// Its place in the deployment's list, counted from 1.
    pub seq: i64,
    /// When, RFC 3339.
    pub at: String,
    /// What: `requested`, `recorded`, `step_started`, `applied`, `waiting`, `looked`,
    /// `commanded`, `rolling_back` or `finished`.
    pub event: String,
    /// The same as a sentence.
    pub message: String,
    /// The rest, by the kind of event: `step`, `effect`, `waiting`, `look`, `command` and `by`,
    /// `outcome`.
    #[serde(flatten)]
    #[schema(additional_properties)]
    pub rest: Map<String, Value>,
}

impl From<Numbered> for EventView {
    fn from((seq, event): Numbered) -> Self {
        let Event { at, what, message } = event;
        let mut rest = match serde_json::to_value(what) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        let event = match rest.remove("event") {
            Some(Value::String(word)) => word,
            _ => String::new(),
        };
        Self {
            seq,
            at: time(at),
            event,
            message,
            rest,
        }
    }
}

/// The events of a deployment: a JSON page, or a stream with `Accept: text/event-stream`, which goes
/// on from `Last-Event-ID` and ends with the deployment.
#[utoipa::path(
    get,
    operation_id = "list_deployment_events",
    path = "/api/v1/deployments/{id}/events",
    tag = "deployments",
    params(
        EventsPath,
        Paging,
        ("Last-Event-ID" = Option<i64>, Header, description = "The stream goes on after this event."),
    ),
    responses(
        (status = 200, description = "One page, or the stream.", content(
            (Listing<EventView> = "application/json"),
            (String = "text/event-stream"),
        )),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such deployment."),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "Too many streams at once."),
    )
)]
pub(super) async fn events(
    State(app): State<App>,
    InDesk(desk): InDesk,
    OriginalUri(uri): OriginalUri,
    InPath(path): InPath<EventsPath>,
    InQuery(paging): InQuery<Paging>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = cursor(paging.cursor.as_deref())?.unwrap_or(0);
    if wants_stream(&headers) {
        let after = last_event_id(&headers).unwrap_or(after);
        let events = desk.follow(&path.id, after).await?;
        return stream(&app, events);
    }
    let limit = limit(paging.limit)?;
    let page = desk.events(&path.id, after, limit).await?;
    Ok(listing(&uri, page, EventView::from))
}

/// One look at one gate.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GateLook)]
pub struct LookView {
    /// The place of its event in the deployment's list, counted from 1.
    pub seq: i64,
    /// When, RFC 3339.
    pub at: String,
    /// At which step of the way forward, counted from 0.
    pub step: usize,
    /// Users that were meant to be on the new release then, in percent.
    pub percent: u8,
    /// Index of the gate in its step.
    pub gate: usize,
    /// Which gate, in words.
    pub name: String,
    /// `open` (not enough is known yet), `met` or `failed`.
    pub verdict: String,
    /// The same with its numbers, as a sentence.
    pub text: String,
    /// The numbers, where users' traffic was compared.
    pub traffic: Option<Look>,
    /// The value, where something outside was asked.
    pub value: Option<f64>,
}

impl From<Looked> for LookView {
    fn from(looked: Looked) -> Self {
        let look = looked.look;
        Self {
            seq: looked.seq,
            at: time(looked.at),
            step: looked.step,
            percent: looked.percent,
            gate: look.gate,
            name: look.name,
            verdict: word(&look.verdict),
            text: look.text,
            traffic: look.traffic,
            value: look.value.map(|number| number.0),
        }
    }
}

/// The looks at the gates of a deployment, oldest first, to be drawn.
#[utoipa::path(
    get,
    operation_id = "list_deployment_looks",
    path = "/api/v1/deployments/{id}/looks",
    tag = "deployments",
    params(EventsPath, Paging),
    responses(
        (status = 200, body = Listing<LookView>, description = "One page."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such deployment."),
    )
)]
pub(super) async fn looks(
    InDesk(desk): InDesk,
    OriginalUri(uri): OriginalUri,
    InPath(path): InPath<EventsPath>,
    InQuery(paging): InQuery<Paging>,
) -> Result<Response, Problem> {
    let after = cursor(paging.cursor.as_deref())?.unwrap_or(0);
    let limit = limit(paging.limit)?;
    let page = desk.looks(&path.id, after, limit).await?;
    Ok(listing(&uri, page, LookView::from))
}

fn stream(
    app: &App,
    events: impl Stream<Item = Result<Numbered, Error>> + Send + 'static,
) -> Result<Response, Problem> {
    let events = app.streams.bounded(told(events))?;
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("still here");
    Ok(Sse::new(events).keep_alive(keep_alive).into_response())
}

/// Events as they are sent. After an error the stream ends; clients come back with the last id.
fn told(
    events: impl Stream<Item = Result<Numbered, Error>> + Send + 'static,
) -> impl Stream<Item = Result<sse::Event, Infallible>> + Send + 'static {
    events
        .take_while(|event| {
            if let Err(error) = event {
                tracing::warn!(%error, "an event stream ends early");
            }
            std::future::ready(event.is_ok())
        })
        .filter_map(|event| std::future::ready(event.ok()))
        .map(|numbered| Ok(sse_event(numbered)))
}

fn sse_event(numbered: Numbered) -> sse::Event {
    let event = sse::Event::default().id(numbered.0.to_string());
    let data = serde_json::to_string(&EventView::from(numbered));
    event.data(data.expect("events have text keys and no failing parts"))
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT);
    accepted
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|media_type| media_type.trim().starts_with("text/event-stream"))
}

fn last_event_id(headers: &HeaderMap) -> Option<i64> {
    let text = headers.get("last-event-id")?.to_str().ok()?;
    text.trim().parse().ok().filter(|id| *id >= 0)
}
