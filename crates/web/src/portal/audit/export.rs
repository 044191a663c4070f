//! All events that a filter finds, as JSON Lines: one event a line, newest first.

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use operations::{
    Desk, Error, PAGE_MAX,
    audit::{AuditEvent, Filter},
};
use serde_json::json;

use super::wanted;
use crate::{
    portal::{failed::Failed, parts::Query, visitor::Visitor},
    rows::Pages,
};

pub(super) fn pages() -> Pages {
    Pages::default().shows("/audit/export.jsonl", export)
}

/// How far an export is.
struct Export {
    desk: Desk,
    filter: Filter,
    before: Option<i64>,
}

impl Export {
    /// The next lines, and what comes after them. The right is checked again for each page.
    async fn next(self) -> Result<(Bytes, Option<Self>), Error> {
        let page = self
            .desk
            .audit_events(self.filter.clone(), self.before, PAGE_MAX - 1)
            .await?;
        let lines: String = page.items.iter().map(line).collect();
        let before = page.next.and_then(|next| next.parse().ok());
        let rest = before.map(|before| Self {
            before: Some(before),
            ..self
        });
        Ok((Bytes::from(lines), rest))
    }
}

async fn export(visitor: Visitor, asked: Query) -> Result<Response, Failed> {
    let export = Export {
        desk: visitor.desk,
        filter: wanted(&asked)?,
        before: None,
    };
    // What is wrong at the beginning is still a page.
    let (first, rest) = export.next().await?;
    let more = stream::try_unfold(rest, async |rest| match rest {
        Some(export) => export.next().await.map(Some),
        None => Ok::<_, Error>(None),
    });
    let first = stream::once(std::future::ready(Ok(first)));
    let body = Body::from_stream(futures_util::StreamExt::chain(first, more));
    let headers = [
        (header::CONTENT_TYPE, "application/jsonl; charset=utf-8"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"audit.jsonl\"",
        ),
    ];
    Ok((headers, body).into_response())
}

fn line(event: &AuditEvent) -> String {
    let at = jiff::Timestamp::from_millisecond(event.at.0).unwrap_or_default();
    let line = json!({
        "seq": event.seq,
        "at": at.to_string(),
        "actor": event.actor,
        "action": event.action,
        "subject": event.subject,
        "detail": event.detail,
        "previous_hash": event.previous_hash,
        "hash": event.hash,
    });
    format!("{line}\n")
}
