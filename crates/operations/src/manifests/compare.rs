//! What differs between two entries, field by field.

use std::collections::BTreeMap;

use serde_json::Value;

/// One field that differs. `null` stands for a field that is not there.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Its path, such as `health.path`.
    pub field: String,
    /// Stored now.
    pub before: Value,
    /// Wanted.
    pub after: Value,
}

/// The fields that differ, in the order of their paths.
pub(super) fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let (old, new) = (fields(before), fields(after));
    let mut paths: Vec<&String> = old.keys().chain(new.keys()).collect();
    paths.sort();
    paths.dedup();
    let at = |side: &BTreeMap<String, Value>, path| side.get(path).cloned().unwrap_or_default();
    paths
        .into_iter()
        .map(|path| Difference {
            field: path.clone(),
            before: at(&old, path),
            after: at(&new, path),
        })
        .filter(|difference| difference.before != difference.after)
        .collect()
}

/// Objects are taken apart; lists are compared as a whole.
fn fields(value: &Value) -> BTreeMap<String, Value> {
    let mut flat = BTreeMap::new();
    let mut left = vec![(String::new(), value)];
    while let Some((path, value)) = left.pop() {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let path = match path.as_str() {
                        "" => name.clone(),
                        path => format!("{path}.{name}"),
                    };
                    left.push((path, value));
                }
            }
            Value::Null => {}
            value => {
                flat.insert(path, value.clone());
            }
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(before: Value, after: Value, expected: &[(&str, Value, Value)]) {
        let expected: Vec<Difference> = expected
            .iter()
            .map(|(field, before, after)| Difference {
                field: (*field).to_owned(),
                before: before.clone(),
                after: after.clone(),
            })
            .collect();
        assert_eq!(differences(&before, &after), expected);
    }

    #[test]
    fn fields_are_compared_by_path() {
        check(
            json!({"a": 1, "b": {"c": [1]}}),
            json!({"a": 1, "b": {"c": [1]}}),
            &[],
        );
        check(
            json!({"a": 1, "b": {"c": [1], "d": "x"}}),
            json!({"a": 2, "b": {"c": [1, 2]}, "e": true}),
            &[
                ("a", json!(1), json!(2)),
                ("b.c", json!([1]), json!([1, 2])),
                ("b.d", json!("x"), Value::Null),
                ("e", Value::Null, json!(true)),
            ],
        );
    }
}
