//! One entry: its manifest, what was done to it, changing it and taking it out.

use axum::{
    body::Bytes,
    extract::Path,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::{access::Denied, catalogue::Kind, time::UnixMs};
use maud::{Markup, html};
use operations::{
    Desk, Error, Page,
    audit::AuditEvent,
    catalogue::Entry,
    error::Fault,
    manifests::{Change, Difference, Document, Mode, from_yaml, to_yaml},
};
use serde_json::Value;

use super::{compared, entry_path, lines, path, shown_at, told};
use crate::portal::{
    failed::Failed,
    parts::{Query, ago, capital, missing, now, pager},
    shell::{Head, Part, page},
    visitor::Visitor,
    way_in::see,
};

/// Changes that are shown at once.
const HISTORY: u32 = 20;

/// Everything that the page is made of.
struct Shown {
    entry: Entry,
    missing: Option<Denied>,
    history: Page<AuditEvent>,
    before: Option<i64>,
    /// The manifest as it was typed; else as it is stored.
    text: String,
    changes: Vec<Change>,
    faults: Vec<Fault>,
    /// Somebody else changed it since it was read.
    overtaken: bool,
}

impl Shown {
    async fn read(desk: &Desk, kind: Kind, name: &str, before: Option<i64>) -> Result<Self, Error> {
        let entry = desk.entry(kind, name).await?;
        Ok(Self {
            text: to_yaml(kind, &entry.body),
            missing: desk.missing_to_change(kind, name).await?,
            history: desk.history((kind, name), before, HISTORY).await?,
            before,
            entry,
            changes: Vec::new(),
            faults: Vec::new(),
            overtaken: false,
        })
    }

    fn page(&self, visitor: &Visitor) -> Markup {
        let (kind, name) = (self.entry.kind, self.entry.name.as_str());
        let plural = capital(kind.words().plural);
        let all = path(kind);
        let head = Head {
            part: Part::Catalogue,
            title: &[name, kind.words().noun],
            trail: &[("/catalogue", "Catalogue"), (&all, &plural)],
            topic: None,
        };
        let now = now();
        let before = self.before.map(|before| before.to_string());
        let body = html! {
            (top(&self.entry, now))
            @if self.overtaken {
                div.note.wait role="alert" {
                    p { b { "It changed since you read it." } " Nothing was stored. Below is what your manifest would change now." }
                }
            }
            (compared::faults(&self.faults))
            (compared::changes(&self.changes))
            (apply(self))
            (edit(self))
            (history(&self.history, now))
            (pager(&entry_path(kind, name), &[], before.as_deref(), self.history.next.as_deref()))
            (taking_out(self))
        };
        page(visitor, &head, &body)
    }
}

pub(super) async fn read(
    kind: Kind,
    visitor: Visitor,
    Path(name): Path<String>,
    asked: Query,
) -> Result<Markup, Failed> {
    let shown = Shown::read(&visitor.desk, kind, &name, asked.read("after")).await?;
    Ok(shown.page(&visitor))
}

fn top(entry: &Entry, now: UnixMs) -> Markup {
    html! {
        div.top {
            div {
                h1 { (entry.name) }
                p.lead { (entry.kind) " · version " (entry.version) " · changed " (ago(entry.updated_at, now)) " by " (entry.updated_by) }
            }
            @if let Some(at) = shown_at(entry.kind, &entry.name) { a.button href=(at) { "Show what it describes" } }
        }
    }
}

/// The second step: what stores the difference that is shown.
fn apply(shown: &Shown) -> Markup {
    let counted = compared::counted(&shown.changes);
    let entry = &shown.entry;
    html! {
        @if !counted.is_empty() {
            form.card.stack method="post" action=(entry_path(entry.kind, &entry.name)) aria-label="Apply" {
                input type="hidden" name="manifest" value=(shown.text);
                input type="hidden" name="version" value=(entry.version);
                input type="hidden" name="step" value="apply";
                div { button.main-button type="submit" aria-describedby="apply-hint" { (counted) } }
                p.small.soft #apply-hint { "Stores what is shown above. What runs changes with the next deployment only." }
            }
        }
    }
}

fn edit(shown: &Shown) -> Markup {
    let entry = &shown.entry;
    let may = shown.missing.is_none();
    html! {
        form.card.stack method="post" action=(entry_path(entry.kind, &entry.name)) {
            input type="hidden" name="version" value=(entry.version);
            label for="manifest" { "Manifest" }
            textarea #manifest name="manifest" rows=(lines(&shown.text)) required spellcheck="false" autocapitalize="off" readonly[!may] { (shown.text) }
            div.flow {
                button type="submit" disabled[!may] aria-describedby="compare-hint" { "Show the difference" }
                span.small.soft #compare-hint {
                    "Nothing is changed yet. In a terminal: " code { "pointsman get " (entry.kind.as_str()) " " (entry.name) }
                }
            }
            (lacking(shown))
        }
    }
}

fn lacking(shown: &Shown) -> Markup {
    html! { @if shown.missing.is_some() { p.small { (missing(shown.missing.as_ref())) } } }
}

fn history(history: &Page<AuditEvent>, now: UnixMs) -> Markup {
    html! {
        section.card aria-labelledby="history-title" {
            h2 #history-title { "What was done to it" }
            @if history.items.is_empty() { p.soft { "Nothing is on record." } }
            ul.rows {
                @for event in &history.items {
                    li {
                        div.stack {
                            span { b { (capital(done(&event.action))) } " by " (event.actor) @if let Some(reason) = event.detail.get("reason") { ": " (told(Some(reason))) } }
                            @let differences = differences(&event.detail);
                            @if !differences.is_empty() {
                                details { summary.small { (differences.len()) @if differences.len() == 1 { " field" } @else { " fields" } } (compared::differences(&differences)) }
                            }
                        }
                        span.small.soft { (ago(event.at, now)) }
                    }
                }
            }
        }
    }
}

/// What was done, without the noun, which the page is about.
fn done(action: &str) -> &str {
    match action.rsplit_once('.').map_or(action, |(_, verb)| verb) {
        "create" => "created",
        "update" => "changed",
        "delete" => "deleted",
        "lock" => "locked",
        "unlock" => "unlocked",
        other => other,
    }
}

/// The fields that an event names. What must not be kept for ever has neither before nor after.
fn differences(detail: &Value) -> Vec<Difference> {
    let all = detail.get("differences").and_then(Value::as_array);
    let all = all.into_iter().flatten().filter_map(|it| {
        Some(Difference {
            field: it.get("field")?.as_str()?.to_owned(),
            before: it.get("before").cloned().unwrap_or_default(),
            after: it.get("after").cloned().unwrap_or_default(),
        })
    });
    all.collect()
}

fn taking_out(shown: &Shown) -> Markup {
    let entry = &shown.entry;
    let may = shown.missing.is_none();
    html! {
        section.card aria-labelledby="out-title" {
            h2 #out-title { "Take it out" }
            form.act method="post" action={ (entry_path(entry.kind, &entry.name)) "/delete" } {
                input type="hidden" name="version" value=(entry.version);
                div.press { button.danger type="submit" disabled[!may] aria-describedby="out-hint" { "Delete the " (entry.kind) } }
                p.small.soft #out-hint { "It leaves the catalogue at once. What runs keeps running, and its history stays. Refused while other entries refer to it." }
                (lacking(shown))
            }
        }
    }
}

/// Says what the manifest would change; with the second button, changes it.
pub(super) async fn change(
    kind: Kind,
    visitor: Visitor,
    Path(name): Path<String>,
    form: Bytes,
) -> Result<Response, Failed> {
    let desk = &visitor.desk;
    desk.may_change(kind, &name).await?;
    let form = Query::of(&form);
    let mut shown = Shown::read(desk, kind, &name, None).await?;
    form.text("manifest").clone_into(&mut shown.text);
    shown.overtaken = form.read("version") != Some(shown.entry.version);
    let mut status = match shown.overtaken {
        true => StatusCode::PRECONDITION_FAILED,
        false => StatusCode::OK,
    };
    let compared = async {
        let document = the_one(kind, &name, from_yaml(&shown.text)?)?;
        let body = serde_json::to_value(&document.manifest).unwrap_or_default();
        if form.text("step") == "apply" && !shown.overtaken {
            let what = (kind, name.as_str());
            return Ok(Err(desk.put(what, body, Some(shown.entry.version)).await?));
        }
        let changes = desk.apply(vec![document], Mode::DryRun).await?;
        Ok::<Result<Vec<Change>, Change>, Error>(Ok(changes))
    };
    match compared.await {
        Ok(Err(_)) => return Ok(see(&entry_path(kind, &name))),
        Ok(Ok(changes)) => shown.changes = changes,
        Err(Error::Invalid { faults, .. }) => {
            status = StatusCode::UNPROCESSABLE_ENTITY;
            // The page is about one entry: only the fields have to be named.
            let of_field = |fault: Fault| Fault::of(fault.field, fault.message);
            shown.faults = faults.into_iter().map(of_field).collect();
        }
        Err(error) => return Err(error.into()),
    }
    Ok((status, shown.page(&visitor)).into_response())
}

/// The one manifest of this entry.
fn the_one(kind: Kind, name: &str, documents: Vec<Document>) -> Result<Document, Error> {
    let is_it = |it: &Document| it.manifest.kind() == kind && it.manifest.name() == name;
    let mut documents = documents.into_iter();
    match (documents.next().filter(is_it), documents.next()) {
        (Some(document), None) => Ok(document),
        _ => {
            let message = format!("describe the {kind} {name} here, and nothing else");
            Err(Error::Invalid {
                what: "the manifest",
                faults: vec![Fault::of("", message)],
            })
        }
    }
}

pub(super) async fn delete(
    kind: Kind,
    visitor: Visitor,
    Path(name): Path<String>,
    form: Bytes,
) -> Result<Response, Failed> {
    let desk = &visitor.desk;
    desk.may_change(kind, &name).await?;
    let version = Query::of(&form).read::<i64>("version");
    let version = version.ok_or_else(|| {
        Failed::bad_field("version", "open the entry again, and delete it from there")
    })?;
    desk.delete((kind, &name), Some(version)).await?;
    Ok(see(&path(kind)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_entry_itself_is_described_on_its_page() {
        let read = |text: &str| from_yaml(text).expect("manifests");
        let one = "kind: Team\nname: a\n";
        assert!(the_one(Kind::Team, "a", read(one)).is_ok());
        let two = format!("{one}---\nkind: Team\nname: b\n");
        for (kind, name, text) in [
            (Kind::Team, "b", one),
            (Kind::Service, "a", one),
            (Kind::Team, "a", two.as_str()),
        ] {
            assert!(the_one(kind, name, read(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn an_event_without_values_still_names_its_field() {
        let detail = json!({"differences": [{"field": "variables.KEY"}, {"no": 1}]});
        let fields: Vec<String> = differences(&detail)
            .into_iter()
            .map(|it| it.field)
            .collect();
        assert_eq!(fields, ["variables.KEY"]);
        assert!(differences(&json!({})).is_empty());
    }
}
