//! Writing what is not there yet: one manifest, or a whole file of them.

use axum::{
    body::Bytes,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::catalogue::Kind;
use maud::{Markup, html};
use operations::{
    Error,
    error::Fault,
    manifests::{Change, Mode, from_yaml},
};

use super::{compared, entry_path, lines, new_path, templates::template};
use crate::{
    portal::{
        failed::Failed,
        parts::Query,
        shell::{Head, Part, page},
        visitor::Visitor,
        way_in::see,
    },
    rows::Pages,
};

pub(super) fn pages() -> Pages {
    Pages::default()
        .shows("/catalogue/new", write)
        .form("/catalogue/new", apply)
}

/// The form, and what was found about what is in it.
#[derive(Default)]
struct Draft {
    text: String,
    changes: Vec<Change>,
    faults: Vec<Fault>,
}

async fn write(visitor: Visitor, asked: Query) -> Markup {
    let kind = Kind::find(|words| words.path == asked.text("kind"));
    let draft = Draft {
        text: kind.map_or("", template).to_owned(),
        ..Draft::default()
    };
    shown(&visitor, &draft, kind)
}

/// Says what would change; with the second button, changes it.
async fn apply(visitor: Visitor, form: Bytes) -> Result<Response, Failed> {
    let form = Query::of(&form);
    let mut draft = Draft {
        text: form.text("manifest").to_owned(),
        ..Draft::default()
    };
    let mode = match form.text("step") {
        "apply" => Mode::Apply,
        _ => Mode::DryRun,
    };
    let read = from_yaml(&draft.text);
    let done = match read {
        Ok(documents) => visitor.desk.apply(documents, mode).await,
        Err(error) => Err(error),
    };
    let status = match done {
        Ok(changes) if mode == Mode::Apply => return Ok(see(&after(&changes))),
        Ok(changes) => {
            draft.changes = changes;
            StatusCode::OK
        }
        Err(Error::Invalid { faults, .. }) => {
            draft.faults = faults;
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Err(error) => return Err(error.into()),
    };
    Ok((status, shown(&visitor, &draft, None)).into_response())
}

/// Where one goes once something was stored.
fn after(changes: &[Change]) -> String {
    match changes {
        [change] => entry_path(change.kind, &change.name),
        _ => "/catalogue".to_owned(),
    }
}

fn shown(visitor: &Visitor, draft: &Draft, kind: Option<Kind>) -> Markup {
    let title = match kind {
        Some(kind) => format!("New {kind}"),
        None => "Write a manifest".to_owned(),
    };
    let counted = compared::counted(&draft.changes);
    let body = html! {
        div.top { div {
            h1 { (title) }
            p.lead { "One manifest or several, divided by lines of three hyphens: all of them are taken, or none." }
        } }
        (compared::faults(&draft.faults))
        (compared::changes(&draft.changes))
        @if !counted.is_empty() {
            form.card.stack method="post" action="/catalogue/new" aria-label="Apply" {
                input type="hidden" name="manifest" value=(draft.text);
                input type="hidden" name="step" value="apply";
                div { button.main-button type="submit" aria-describedby="apply-hint" { (counted) } }
                p.small.soft #apply-hint { "Stores what is shown above. What runs changes with the next deployment only." }
            }
        }
        form.card.stack method="post" action="/catalogue/new" {
            label for="manifest" { "Manifest, as YAML" }
            textarea #manifest name="manifest" rows=(lines(&draft.text)) required spellcheck="false" autocapitalize="off" { (draft.text) }
            div.flow {
                button type="submit" aria-describedby="compare-hint" { "Show the difference" }
                span.small.soft #compare-hint { "Nothing is changed yet." }
            }
        }
        nav.small.soft aria-label="Templates" {
            "Begin with: "
            @for (number, kind) in Kind::ALL.into_iter().enumerate() {
                @if number > 0 { " · " }
                a href=(new_path(kind)) { (kind) }
            }
        }
    };
    let head = Head {
        part: Part::Catalogue,
        title: &[&title, "catalogue"],
        trail: &[("/catalogue", "Catalogue")],
        topic: None,
    };
    page(visitor, &head, &body)
}
