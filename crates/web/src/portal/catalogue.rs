//! The catalogue: entries by kind, one entry with its manifest and its history, and changing it.
//!
//! ```text
//! manifest in a form --> compare (nothing is changed) --> the difference, and a button --> apply
//!                                                              with the version that was read
//! ```

mod compared;
mod entry;
mod fresh;
mod templates;

use domain::{catalogue::Kind, names::Place};
use maud::{Markup, html};
use operations::catalogue::Entry;
use serde_json::Value;

use super::{
    failed::Failed,
    parts::{Query, ROWS, ago, capital, empty, now, pager},
    shell::{Head, Part, page},
    visitor::Visitor,
};
use crate::rows::Pages;

/// The kinds as the page shows them: what people come for most stands first.
const ORDER: [Kind; Kind::ALL.len()] = [
    Kind::Service,
    Kind::ServerGroup,
    Kind::Environment,
    Kind::EnvironmentType,
    Kind::Team,
    Kind::Freeze,
    Kind::Account,
    Kind::Prometheus,
];

pub(super) fn pages() -> Pages {
    let pages = Pages::default().shows("/catalogue", kinds);
    let pages = Kind::ALL.into_iter().fold(pages, |pages, kind| {
        let all = path(kind);
        let one = format!("{all}/{{name}}");
        pages
            .shows(&all, move |visitor, query| list(kind, visitor, query))
            .shows(&one, move |visitor, name, query| {
                entry::read(kind, visitor, name, query)
            })
            .form(&one, move |visitor, name, form| {
                entry::change(kind, visitor, name, form)
            })
            .form(&format!("{one}/delete"), move |visitor, name, form| {
                entry::delete(kind, visitor, name, form)
            })
    });
    pages.merge(fresh::pages())
}

/// Where the entries of a kind are listed.
fn path(kind: Kind) -> String {
    format!("/catalogue/{}", kind.words().path)
}

/// Where an entry has its page.
fn entry_path(kind: Kind, name: &str) -> String {
    format!("{}/{name}", path(kind))
}

/// Where a new entry of a kind is written.
fn new_path(kind: Kind) -> String {
    format!("/catalogue/new?kind={}", kind.words().path)
}

/// The page that shows what an entry describes, where there is one.
fn shown_at(kind: Kind, name: &str) -> Option<String> {
    match kind {
        Kind::Service => Some(format!("/services/{name}")),
        Kind::Environment => Some(format!("/environments/{name}")),
        Kind::ServerGroup => {
            let (service, environment) = name.split_once('.')?;
            let place = Place {
                service: service.parse().ok()?,
                environment: environment.parse().ok()?,
            };
            Some(super::parts::group_path(&place))
        }
        _ => None,
    }
}

/// What a kind is, without its name, which stands beside it.
fn about(sentence: &str) -> String {
    let (_, rest) = sentence.split_once(", ").unwrap_or(("", sentence));
    capital(rest)
}

async fn kinds(visitor: Visitor) -> Markup {
    let body = html! {
        div.top {
            div {
                h1 { "Catalogue" }
                p.lead { "What there is, who owns it, and the rules: all of it as manifests, each change with its difference." }
            }
            a.button.main-button href="/catalogue/new" { "Write a manifest" }
        }
        section.card aria-label="Kinds of entries" {
            ul.rows {
                @for kind in ORDER {
                    @let words = kind.words();
                    li {
                        span { a href=(path(kind)) { b { (capital(words.plural)) } } div.small.soft { (about(words.sentence)) } }
                        a.small href=(new_path(kind)) aria-label={ "New " (words.noun) } { "new" }
                    }
                }
                li { span { a href="/images" { b { "Machine images" } } div.small.soft { "Images of AWS accounts, who runs on them, and patching" } } }
            }
        }
        p.small.soft { "In a terminal: " code { "pointsman apply -f FILE" } ", " code { "pointsman get service NAME" } }
    };
    let head = Head {
        part: Part::Catalogue,
        title: &["Catalogue"],
        trail: &[],
        topic: None,
    };
    page(&visitor, &head, &body)
}

async fn list(kind: Kind, visitor: Visitor, asked: Query) -> Result<Markup, Failed> {
    let after = Some(asked.text("after")).filter(|after| !after.is_empty());
    let entries = visitor.desk.entries(kind, after, ROWS).await?;
    let words = kind.words();
    let plural = capital(words.plural);
    let body = html! {
        div.top {
            div { h1 { (plural) } p.lead { (about(words.sentence)) } }
            a.button.main-button href=(new_path(kind)) { "New " (words.noun) }
        }
        @if entries.items.is_empty() {
            (empty(&format!("No {} here", words.noun), &html! {
                p { a href=(new_path(kind)) { "Write the first one" } ", or apply a file: " code { "pointsman apply -f FILE" } }
            }))
        } @else { (table(kind, &entries.items)) }
        (pager(&path(kind), &[], after, entries.next.as_deref()))
    };
    let head = Head {
        part: Part::Catalogue,
        title: &[&plural, "catalogue"],
        trail: &[("/catalogue", "Catalogue")],
        topic: None,
    };
    Ok(page(&visitor, &head, &body))
}

fn table(kind: Kind, entries: &[Entry]) -> Markup {
    let words = kind.words();
    // A lock is not part of an entry: its environment shows it.
    let columns = words.columns.iter();
    let columns: Vec<_> = columns.filter(|(_, at)| !at.starts_with("/lock")).collect();
    let now = now();
    html! {
        div.scroll tabindex="0" role="region" aria-label=(capital(words.plural)) {
            table.table {
                thead { tr {
                    @for (heading, _) in &columns { th scope="col" { (capital(&heading.to_lowercase())) } }
                    th scope="col" { "Changed" }
                } }
                tbody { @for entry in entries { tr {
                    @for (number, (_, at)) in columns.iter().enumerate() {
                        @let text = told(entry.body.pointer(at));
                        @if number == 0 { th scope="row" { a href=(entry_path(kind, &entry.name)) { (text) } } }
                        @else { td { (text) } }
                    }
                    td.small.soft { (ago(entry.updated_at, now)) " by " (entry.updated_by) }
                } } }
            }
        }
    }
}

/// So many lines of a manifest are seen at once.
fn lines(text: &str) -> usize {
    text.lines().count().clamp(12, 40) + 1
}

/// A value as a cell or a difference has it.
fn told(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if items.iter().all(|item| !item.is_object()) => {
            let items: Vec<String> = items.iter().map(|item| told(Some(item))).collect();
            items.join(", ")
        }
        Some(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_told_as_people_write_them() {
        for (value, text) in [
            (json!(null), ""),
            (json!("a"), "a"),
            (json!(4), "4"),
            (json!(["a", "b"]), "a, b"),
            (json!([{"a": 1}]), "[{\"a\":1}]"),
        ] {
            assert_eq!(told(Some(&value)), text);
        }
    }

    #[test]
    fn every_kind_has_its_place() {
        for kind in Kind::ALL {
            assert!(ORDER.contains(&kind), "{kind}");
        }
    }

    #[test]
    fn an_entry_leads_to_what_it_describes() {
        let at = |kind, name| shown_at(kind, name).unwrap_or_default();
        assert_eq!(at(Kind::ServerGroup, "shop.live"), "/services/shop/live");
        assert_eq!(at(Kind::ServerGroup, "no-dot"), "");
        assert_eq!(at(Kind::Team, "a"), "");
    }
}
