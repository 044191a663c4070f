//! Takes out of answers what differs from run to run.

use serde_json::Value;

/// Fields whose value differs from run to run.
const FIELDS: [&str; 18] = [
    "at",
    "created_at",
    "digest",
    "finished_at",
    "hash",
    "head",
    "launch",
    "previous_hash",
    "requested_at",
    "started_at",
    "updated_at",
    "since",
    "size_bytes",
    "expected_ms",
    "way_back_ms",
    "at_ms",
    "extra_instance_ms",
    "version_number",
];

/// The same, with what differs from run to run replaced by a word for it.
pub fn redacted(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(redacted).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| {
                let differs = FIELDS.contains(&name.as_str()) && !value.is_null();
                let value = match differs {
                    true => format!("[{name}]").into(),
                    false => redacted(value),
                };
                (name, value)
            })
            .collect(),
        Value::String(text) => words(&text).into(),
        value => value,
    }
}

/// Ids, launches, digests and times inside of sentences.
fn words(text: &str) -> String {
    text.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && !"-.:_".contains(c))
        .map(|piece| {
            let end = piece.find(|c: char| !c.is_ascii_alphanumeric() && !"-.:_".contains(c));
            let (word, rest) = piece.split_at(end.unwrap_or(piece.len()));
            format!("{}{rest}", replaced(word))
        })
        .collect()
}

fn replaced(word: &str) -> &str {
    let bare = word.trim_end_matches([':', '.']);
    let hex = |text: &str| text.chars().all(|c| c.is_ascii_hexdigit());
    let is_launch = || {
        let (version, end) = bare.rsplit_once('-')?;
        (end.len() == 8 && hex(end) && !version.is_empty()).then_some(())
    };
    if bare.len() == 36 && bare.chars().filter(|c| *c == '-').count() == 4 {
        "[id]"
    } else if bare.len() == 64 && hex(bare) {
        "[digest]"
    } else if bare.len() >= 20 && bare.ends_with('Z') && bare.contains('T') {
        "[time]"
    } else if is_launch().is_some() {
        "[launch]"
    } else {
        word
    }
}
