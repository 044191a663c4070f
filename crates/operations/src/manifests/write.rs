//! Manifests as text: what an entry says, as people write it.

use std::collections::BTreeMap;

use domain::catalogue::Kind;
use serde_json::Value;

/// The manifest of an entry with these fields: the kind first, then what names it, then the rest.
#[must_use]
pub fn to_yaml(kind: Kind, body: &Value) -> String {
    let words = kind.words();
    let mut text = field("kind", &words.manifest.into());
    let Some(fields) = body.as_object() else {
        return text;
    };
    let named = words.named_by.iter().copied();
    let named = named.filter_map(|name| Some((name, fields.get(name)?)));
    let rest = fields.iter().map(|(name, value)| (name.as_str(), value));
    let rest = rest.filter(|(name, _)| !words.named_by.contains(name));
    for (name, value) in named.chain(rest) {
        if !value.is_null() {
            text.push_str(&field(name, value));
        }
    }
    text
}

fn field(name: &str, value: &Value) -> String {
    let map = BTreeMap::from([(name, value)]);
    let mut text = serde_saphyr::to_string(&map).unwrap_or_else(|_| format!("{name}: {value}"));
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifests::from_yaml;

    #[test]
    fn what_is_written_reads_back_the_same() {
        let body = json!({
            "description": "yes: [#no] 'quoted' \"twice\" \u{e9}\u{2028}",
            "name": "shop",
            "owner": "on",
            "environment_types": ["null", "y"],
            "strategies": ["scale-up"],
        });
        let text = to_yaml(Kind::Service, &body);
        assert!(text.starts_with("kind: Service\nname: shop\n"), "{text}");
        let read = from_yaml(&text).expect("a manifest");
        let again = serde_json::to_value(&read[0].manifest).expect("JSON");
        assert_eq!(again, body);
    }
}
