//! How results are written: tables for people, JSON and YAML for programs.
//!
//! Invariant: results go to standard output, everything else to standard error.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use serde_json::Value;

use super::{
    failure::{Exit, Failure},
    harmless::harmless,
    style,
};

/// The formats of `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for people
    Table,
    /// One JSON value
    Json,
    /// One YAML document
    Yaml,
}

/// Writes `text` and a line end to standard output.
///
/// # Errors
/// When standard output is gone (a closed pipe).
pub fn line(text: &str) -> Result<(), Failure> {
    writeln!(io::stdout().lock(), "{}", harmless(text)).map_err(|error| {
        Failure::new(Exit::NotReached, "cannot write to standard output").because(error)
    })
}

/// Writes `value` as `format` says; `table` renders it for people.
///
/// # Errors
/// When standard output is gone.
pub fn value(
    format: Format,
    value: &Value,
    table: impl FnOnce(&Value) -> String,
) -> Result<(), Failure> {
    match format {
        Format::Table => line(&table(value)),
        // Escapes of JSON and of YAML are the same, and both hold text of others.
        Format::Json => line(&json(value)),
        Format::Yaml => line(yaml(value).trim_end()),
    }
}

fn json(value: &Value) -> String {
    format!("{value:#}")
}

/// `value` as a YAML document.
#[must_use]
pub fn yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).unwrap_or_else(|_| json(value))
}

/// A table with a heading and two spaces between its columns.
#[must_use]
pub fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    use comfy_table::{ContentArrangement, Table, presets};
    if rows.is_empty() {
        return "nothing to show".to_owned();
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(heading.iter().copied());
    for row in rows {
        table.add_row(row);
    }
    if io::stdout().is_terminal() {
        let width = u16::try_from(style::columns()).unwrap_or(u16::MAX);
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// The text at `key` of a JSON object; empty when there is none.
#[must_use]
pub fn text_at(value: &Value, key: &str) -> String {
    text_of(value.get(key))
}

/// A JSON value as a cell of a table; empty when there is none.
#[must_use]
pub fn text_of(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => {
            let parts: Vec<String> = items.iter().map(plain).collect();
            parts.join(", ")
        }
        Some(other) => plain(other),
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// A time of the API (RFC 3339, or milliseconds since 1970) as `3 min ago`.
#[must_use]
pub fn ago(time: &str) -> String {
    let Some(then) = timestamp(time) else {
        return time.to_owned();
    };
    let seconds = (jiff::Timestamp::now().as_second() - then.as_second()).max(0);
    match seconds {
        0..=1 => "now".to_owned(),
        2..=119 => format!("{seconds} s ago"),
        120..=7199 => format!("{} min ago", seconds / 60),
        7200..=172_799 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// Reads a time of the API.
#[must_use]
pub fn timestamp(time: &str) -> Option<jiff::Timestamp> {
    let ms = || jiff::Timestamp::from_millisecond(time.parse().ok()?).ok();
    time.parse().ok().or_else(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_two_spaces_between_columns() {
        let rows = vec![
            vec!["shop".to_owned(), "web".to_owned()],
            vec!["cart".to_owned(), "web team".to_owned()],
        ];
        assert_eq!(
            table(&["NAME", "OWNER"], &rows),
            "NAME  OWNER\nshop  web\ncart  web team"
        );
    }

    #[test]
    fn yaml_can_be_applied_again() {
        let value =
            serde_json::json!({"kind": "Service", "name": "shop", "strategies": ["scale-up"]});
        let read: Value = serde_saphyr::from_str(&yaml(&value)).expect("YAML");
        assert_eq!(read, value);
    }
}
