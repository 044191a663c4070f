//! Lists of people, groups, grants and sessions as tables.

use serde_json::Value;

use crate::output::{self, ago, text_at};

/// A table of `items`, with a row of texts for each.
fn rows(items: &Value, heading: &[&str], row: impl Fn(&Value) -> Vec<String>) -> String {
    let items = items.as_array().map_or(&[][..], Vec::as_slice);
    let rows: Vec<_> = items.iter().map(row).collect();
    output::table(heading, &rows)
}

pub(super) fn people(items: &Value) -> String {
    let heading = ["NAME", "KIND", "TEAM", "SIGNED IN", "ADDED", "DISABLED"];
    rows(items, &heading, |item| {
        let text = |key| text_at(item, key);
        vec![
            text("name"),
            text("kind").replace('_', " "),
            text("team"),
            ago(&text("signed_in_at")),
            ago(&text("created_at")),
            ago(&text("disabled_at")),
        ]
    })
}

pub(super) fn groups(items: &Value) -> String {
    rows(items, &["NAME", "FROM", "CREATED", "BY"], |item| {
        let text = |key| text_at(item, key);
        vec![
            text("name"),
            text("provider"),
            ago(&text("created_at")),
            text("created_by"),
        ]
    })
}

pub(super) fn grants(items: &Value) -> String {
    let heading = ["ID", "WHO", "ROLE", "TEAM", "ENVIRONMENT TYPE", "UNTIL"];
    rows(items, &heading, |item| {
        let text = |key| text_at(item, key);
        let any = |key| match item[key].as_str() {
            None => "any".to_owned(),
            Some(name) => name.to_owned(),
        };
        let who = match item["subject"]["kind"].as_str() {
            Some("signed_in") => "everyone".to_owned(),
            Some("person") => text_at(&item["subject"], "name"),
            Some(kind) => {
                let name = text_at(&item["subject"], "name");
                format!("{}/{name}", kind.replace('_', "-"))
            }
            None => String::new(),
        };
        vec![
            text("id"),
            who,
            text("role"),
            any("team"),
            any("environment_type"),
            text("until"),
        ]
    })
}

pub(super) fn sessions(items: &Value) -> String {
    rows(items, &["ID", "BEGAN", "USED", "FROM", "ENDS"], |item| {
        let text = |key| text_at(item, key);
        vec![
            text("id"),
            ago(&text("created_at")),
            ago(&text("seen_at")),
            text("from"),
            text("ends_at"),
        ]
    })
}
