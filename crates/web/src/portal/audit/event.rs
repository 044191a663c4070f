//! One event: its subject, and what changed, field by field.

use std::collections::BTreeMap;

use maud::{Markup, html};
use operations::audit::AuditEvent;
use serde_json::Value;

use super::{path_of, short};
use crate::portal::parts::{moment, query};

/// Most fields that are shown of one event.
const FIELDS_MAX: usize = 200;
/// Fields in a row of the list.
const FIELDS_SHORT: usize = 3;
/// Longest value in a row of the list, in characters.
const VALUE_SHORT: usize = 60;

/// The fields of a value, by their paths.
type Fields = BTreeMap<String, String>;

/// A field that differs: its path, and both values.
type Change = (String, Option<String>, Option<String>);

/// What was done to what, with the way there.
pub(super) fn subject(subject: &str) -> Markup {
    let page = subject.split_once('/').and_then(|(kind, name)| {
        let root = match kind {
            "person" => "people",
            "group" => "groups",
            "service" => "services",
            "environment" => "environments",
            "deployment" => "deployments",
            _ => return None,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        name.chars().all(plain).then(|| format!("/{root}/{name}"))
    });
    html! {
        @match page {
            Some(path) => { a href=(path) { (subject) } },
            None => { (subject) },
        }
    }
}

/// What changed, in a few words.
pub(super) fn summary(detail: &Value) -> Markup {
    let changes = changes(detail);
    let rest = rest(detail);
    let fields: Vec<(&str, String)> = changes
        .iter()
        .map(|(name, before, after)| {
            let from = before.as_deref().unwrap_or("nothing");
            let to = after.as_deref().unwrap_or("nothing");
            (name.as_str(), format!("{} → {}", cut(from), cut(to)))
        })
        .chain(rest.iter().map(|(name, value)| (name.as_str(), cut(value))))
        .collect();
    html! {
        @for (number, (name, value)) in fields.iter().take(FIELDS_SHORT).enumerate() {
            @if number > 0 { ", " }
            span.soft { (name) } " " (value)
        }
        @if fields.len() > FIELDS_SHORT { span.soft { " and " (fields.len() - FIELDS_SHORT) " more" } }
    }
}

/// The page of one event.
pub(super) fn whole(event: &AuditEvent) -> Markup {
    let found = changes(&event.detail);
    let rest = rest(&event.detail);
    html! {
        div.top {
            div {
                h1 { "Event " (event.seq) ": " (event.action) }
                p.lead { (event.actor) " · " (moment(event.at)) }
            }
        }
        section.card.stack {
            dl.facts {
                dt { "Who" } dd { a href=(query("/audit", &[("who", &event.actor)])) { (event.actor) } }
                dt { "Action" } dd { a href=(query("/audit", &[("action", &event.action)])) { code { (event.action) } } }
                dt { "Subject" } dd { (subject(&event.subject)) " · " a href=(query("/audit", &[("subject", &event.subject)])) { "its other events" } }
                @for (name, value) in rest.iter().take(FIELDS_MAX) { dt { (name) } dd { (value) } }
            }
        }
        @if !found.is_empty() { (change_table(&found)) }
        section.card.stack aria-labelledby="chain-title" {
            h2 #chain-title { "In the chain" }
            dl.facts {
                dt { "Hash" } dd { code { (event.hash) } }
                dt { "After" } dd {
                    @if event.seq > 1 { a href=(path_of(event.seq - 1)) { "event " (event.seq - 1) } " " }
                    code title=(event.previous_hash) { (short(&event.previous_hash)) }
                }
            }
        }
    }
}

fn change_table(changes: &[Change]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="What changed" {
            table.table {
                thead { tr { th scope="col" { "Field" } th scope="col" { "Before" } th scope="col" { "After" } } }
                tbody {
                    @for (name, before, after) in changes.iter().take(FIELDS_MAX) {
                        tr {
                            th scope="row" { (name) }
                            td { @match before { Some(value) => { del { (value) } }, None => { span.soft { "nothing" } } } }
                            td { @match after { Some(value) => { ins { (value) } }, None => { span.soft { "nothing" } } } }
                        }
                    }
                }
            }
        }
    }
}

/// The fields that differ between `before` and `after`.
fn changes(detail: &Value) -> Vec<Change> {
    let fields = |half: &str| {
        let mut fields = Fields::new();
        collect(&mut fields, "", &detail[half]);
        fields
    };
    let (before, after) = (fields("before"), fields("after"));
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    let both = names.into_iter().map(|name| {
        let (before, after) = (before.get(name).cloned(), after.get(name).cloned());
        (name.clone(), before, after)
    });
    let both = both.filter(|(_, before, after)| before != after);
    both.chain(listed(detail)).collect()
}

/// The differences that manifests made, which are listed by field already.
fn listed(detail: &Value) -> Vec<Change> {
    let listed = detail["differences"].as_array().into_iter().flatten();
    let change = |difference: &Value| {
        let one = |half: &str| {
            let mut fields = Fields::new();
            collect(&mut fields, "", &difference[half]);
            let texts: Vec<String> = fields.into_values().collect();
            (!texts.is_empty()).then(|| texts.join(", "))
        };
        let name = difference["field"].as_str().unwrap_or_default();
        (name.to_owned(), one("before"), one("after"))
    };
    listed.map(change).collect()
}

/// What else the event says.
fn rest(detail: &Value) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in detail.as_object().into_iter().flatten() {
        if !["before", "after", "differences"].contains(&name.as_str()) {
            collect(&mut fields, name, value);
        }
    }
    fields
}

/// Adds the fields of `value` below `path`. Lists of plain values are one field.
fn collect(fields: &mut Fields, path: &str, value: &Value) {
    if fields.len() > FIELDS_MAX {
        return;
    }
    let below = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    let plain = |value: &Value| !value.is_object() && !value.is_array();
    let mut add = |text: String| {
        fields.insert(path.to_owned(), text);
    };
    match value {
        Value::Null => {}
        Value::String(text) => add(text.clone()),
        Value::Bool(_) | Value::Number(_) => add(value.to_string()),
        Value::Array(items) if items.iter().all(plain) => {
            let texts = items.iter().map(|item| match item {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            add(texts.collect::<Vec<_>>().join(", "));
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                collect(fields, &below(&number.to_string()), item);
            }
        }
        Value::Object(map) => {
            for (name, item) in map {
                collect(fields, &below(name), item);
            }
        }
    }
}

fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(VALUE_SHORT).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_manifests_changed_is_told_by_field() {
        let detail = json!({"differences": [
            {"field": "size", "before": 2, "after": 4},
            {"field": "zones", "before": null, "after": ["a", "b"]},
        ]});
        let text = |text: &str| Some(text.to_owned());
        let wanted = vec![
            ("size".to_owned(), text("2"), text("4")),
            ("zones".to_owned(), None, text("a, b")),
        ];
        assert_eq!(changes(&detail), wanted);
        assert_eq!(rest(&detail), Fields::new());
    }

    #[test]
    fn only_what_differs_is_a_change() {
        let detail = json!({
            "before": {"size": 2, "health": {"path": "/a"}, "tags": ["x"]},
            "after": {"size": 3, "health": {"path": "/a"}, "tags": ["x", "y"], "new": true},
            "reason": "more users",
        });
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            changes(&detail),
            [
                ("new".to_owned(), None, text("true")),
                ("size".to_owned(), text("2"), text("3")),
                ("tags".to_owned(), text("x"), text("x, y")),
            ]
        );
        let rest: Vec<_> = rest(&detail).into_iter().collect();
        assert_eq!(rest, [("reason".to_owned(), "more users".to_owned())]);
    }

    #[test]
    fn subjects_lead_to_their_pages() {
        assert!(
            subject("service/shop")
                .into_string()
                .contains("/services/shop")
        );
        for other in ["token/1", "person/a b", "service/../x", "nothing"] {
            assert!(!subject(other).into_string().contains("href"), "{other}");
        }
    }
}
