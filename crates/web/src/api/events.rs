//! What happened to a deployment: as a page, or as it happens (server-sent events).

mod views;

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{OriginalUri, State},
    http::{HeaderMap, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{self, KeepAlive, Sse},
    },
};
use domain::{access::Right, deployment::Deployment, event::What, names::DeploymentId};
use futures_util::{Stream, StreamExt};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;
use utoipa_axum::routes;

use super::wire::{Listing, Paging, cursor, limit, listing};
use crate::{
    App,
    extract::{InDesk, InPath, InQuery, InVisa},
    problem::{Problem, ProblemDocument},
    rows::Guarded,
    streams::{Lost, Piece, Reader, Subject, Visa},
};
use operations::{Desk, Error, events::Numbered};
use views::{EventView, LookView};

/// The routes of this noun.
pub(super) fn routes() -> Guarded {
    Guarded::new()
        .routes(routes!(events))
        .routes(routes!(looks))
}

/// A comment is sent when nothing else was for so long, so that dead connections are found.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// One deployment.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct EventsPath {
    /// Id of the deployment.
    #[param(value_type = String)]
    id: DeploymentId,
}

/// Returns the events of a deployment: a JSON page or, with `Accept: text/event-stream`, a stream that
/// resumes after `Last-Event-ID` and ends with the deployment. It ends with an event `ended` when the reader
/// may no longer read it.
#[utoipa::path(
    get,
    operation_id = "list_deployment_events",
    path = "/api/v1/deployments/{id}/events",
    tag = "deployments",
    params(
        EventsPath,
        Paging,
        ("Last-Event-ID" = Option<u32>, Header, description = "The stream starts after this event."),
    ),
    responses(
        (status = 200, description = "A page of events, or the stream.", content(
            (Listing<EventView> = "application/json"),
            (String = "text/event-stream"),
        )),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such deployment."),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "Too many open streams."),
    )
)]
pub(super) async fn events(
    State(app): State<App>,
    InDesk(desk): InDesk,
    InVisa(visa): InVisa,
    OriginalUri(uri): OriginalUri,
    InPath(path): InPath<EventsPath>,
    InQuery(paging): InQuery<Paging>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = cursor(paging.cursor.as_deref())?.unwrap_or(0);
    if wants_stream(&headers) {
        let after = last_event_id(&headers)?.unwrap_or(after);
        return stream(&app, (desk, visa), path.id, after).await;
    }
    let limit = limit(paging.limit)?;
    let page = desk.events(&path.id, after, limit).await?;
    let deployment = desk.deployment(&path.id).await?;
    Ok(listing(&uri, page, |event| {
        EventView::of(event, &deployment)
    }))
}

/// Lists the looks at the gates of a deployment, oldest first.
#[utoipa::path(
    get,
    operation_id = "list_deployment_looks",
    path = "/api/v1/deployments/{id}/looks",
    tag = "deployments",
    params(EventsPath, Paging),
    responses(
        (status = 200, body = Listing<LookView>, description = "A page of looks."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such deployment."),
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

async fn stream(
    app: &App,
    (desk, visa): (Desk, Visa),
    id: DeploymentId,
    after: i64,
) -> Result<Response, Problem> {
    let opened = Arc::new(desk.deployment(&id).await?);
    let events = desk.follow(&id, after).await?;
    let views = events.then(move |event| shown(desk.clone(), Arc::clone(&opened), event));
    let reader = Reader {
        visa,
        right: Right::View,
        subject: Subject::Deployment(id),
    };
    let events = app.streams.bounded(sent(views), reader)?;
    let events = events.map(|piece| match piece {
        Piece::Item(event) => event,
        Piece::Last(lost) => Ok(last(lost)),
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("still here");
    Ok(Sse::new(events).keep_alive(keep_alive).into_response())
}

/// An event as people and programs read it. Why a deployment went back is read again: it was not known
/// when the stream was `opened`.
async fn shown(
    desk: Desk,
    opened: Arc<Deployment>,
    event: Result<Numbered, Error>,
) -> Result<EventView, Error> {
    let event = event?;
    match event.1.what {
        What::RollingBack | What::Finished { .. } => {
            let now = desk.deployment(&opened.id).await?;
            Ok(EventView::of(event, &now))
        }
        _ => Ok(EventView::of(event, &opened)),
    }
}

/// Events as they are sent. After an error the stream ends; clients come back with the last id.
fn sent(
    views: impl Stream<Item = Result<EventView, Error>> + Send + 'static,
) -> impl Stream<Item = Result<sse::Event, Infallible>> + Send + 'static {
    views
        .take_while(|view| {
            if let Err(error) = view {
                tracing::warn!(%error, "an event stream ends early");
            }
            std::future::ready(view.is_ok())
        })
        .filter_map(|view| std::future::ready(view.ok()))
        .map(|view| Ok(sse_event(&view)))
}

fn sse_event(view: &EventView) -> sse::Event {
    let data = serde_json::to_string(view).expect("events have text keys and no failing parts");
    let event = sse::Event::default().id(view.seq.to_string());
    event.data(data)
}

/// What clients that know it tell people; others find out when they come back.
fn last(lost: Lost) -> sse::Event {
    let data = json!({"reason": lost, "sentence": lost.to_string()});
    sse::Event::default().event("ended").data(data.to_string())
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT);
    accepted
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|media_type| media_type.trim().starts_with("text/event-stream"))
}

/// The event after which a stream goes on.
fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(sent) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let number = sent.to_str().ok().and_then(|it| it.trim().parse().ok());
    match number {
        Some(id) if id >= 0 => Ok(Some(id)),
        _ => {
            let detail = "Last-Event-ID is not the id of an event of this deployment";
            Err(
                Problem::new(StatusCode::BAD_REQUEST, "bad_event_id", detail)
                    .remedy("send the `id` of the last event that you read, or leave it out"),
            )
        }
    }
}
