//! What a manifest would change, field by field, and what is wrong with one.

use maud::{Markup, html};
use operations::{
    error::Fault,
    manifests::{Change, Changed, Difference},
};

use super::told;
use crate::portal::parts::{Mark, icon};

/// Everything that would change.
pub(super) fn changes(changes: &[Change]) -> Markup {
    html! {
        @for change in changes {
            section.card.stack {
                div.head {
                    h2 { (change.kind) " " (change.name) }
                    (mark(change.changed).plain())
                }
                @if !change.differences.is_empty() { (differences(&change.differences)) }
                @for note in &change.notes { p.small { span.wait { (icon("waiting")) } " " (note) } }
            }
        }
    }
}

fn mark(changed: Changed) -> Mark {
    match changed {
        Changed::Created => Mark::new("go", "fill", "would be new"),
        Changed::Updated => Mark::new("wait", "refresh", "would change"),
        Changed::Unchanged => Mark::new("off", "ok", "stays as it is"),
    }
}

/// Field by field: what it is, and what it would be.
pub(super) fn differences(all: &[Difference]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Differences" {
            table.table.diff {
                thead { tr { th scope="col" { "Field" } th scope="col" { "Is" } th scope="col" { "Would be" } } }
                tbody { @for it in all { tr {
                    th scope="row" { (it.field) }
                    td { @if it.before.is_null() { span.soft { "not set" } } @else { del { (told(Some(&it.before))) } } }
                    td { @if it.after.is_null() { span.soft { "not set" } } @else { ins { (told(Some(&it.after))) } } }
                } } }
            }
        }
    }
}

/// In how many fields and entries something would change.
pub(super) fn counted(changes: &[Change]) -> String {
    let differing = changes.iter().filter(|it| it.changed != Changed::Unchanged);
    let new = differing
        .clone()
        .filter(|it| it.changed == Changed::Created)
        .count();
    let changed = differing.clone().count() - new;
    let fields: usize = differing
        .filter(|it| it.changed == Changed::Updated)
        .map(|it| it.differences.len())
        .sum();
    let of = |count: usize, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    };
    match (new, changed) {
        (0, 0) => String::new(),
        (new, 0) => format!("Create {}", of(new, "entry", "entries")),
        (0, 1) => format!("Change {}", of(fields, "field", "fields")),
        (0, changed) => format!("Change {changed} entries"),
        (new, changed) => format!(
            "Create {} and change {}",
            of(new, "entry", "entries"),
            of(changed, "other", "others")
        ),
    }
}

/// What is wrong with a text, each with the field that it is about.
pub(super) fn faults(faults: &[Fault]) -> Markup {
    html! {
        @if !faults.is_empty() {
            div.note.stop role="alert" {
                p { b { "Nothing was changed: " } a href="#manifest" { "the manifest" } " cannot be taken like this." }
                ul.faults {
                    @for fault in faults {
                        li { @if !fault.field.is_empty() { code { (fault.field) } ": " } (fault.sentence()) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::catalogue::Kind;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_button_counts_what_it_changes() {
        let change = |changed, fields: usize| Change {
            kind: Kind::Team,
            name: "a".to_owned(),
            changed,
            differences: vec![
                Difference {
                    field: "a".to_owned(),
                    before: json!(1),
                    after: json!(2),
                };
                fields
            ],
            notes: Vec::new(),
            version: 1,
        };
        use Changed::{Created, Unchanged, Updated};
        for (all, text) in [
            (vec![(Unchanged, 0)], ""),
            (vec![(Updated, 1), (Unchanged, 0)], "Change 1 field"),
            (vec![(Updated, 3)], "Change 3 fields"),
            (vec![(Created, 3)], "Create 1 entry"),
            (vec![(Updated, 1), (Updated, 1)], "Change 2 entries"),
            (
                vec![(Created, 3), (Created, 1), (Updated, 1)],
                "Create 2 entries and change 1 other",
            ),
        ] {
            let all: Vec<Change> = all.into_iter().map(|(is, n)| change(is, n)).collect();
            assert_eq!(counted(&all), text);
        }
    }
}
