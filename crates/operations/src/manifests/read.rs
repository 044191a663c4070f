//! Text to manifests. Every fault says where it is: document, kind, name, field.

use domain::catalogue::{Kind, Manifest};
use serde::de::DeserializeSeed;
use serde_json::{Map, Value};

use super::{DOCUMENTS_MAX, backstage};
use crate::{Error, error::Fault};

/// Deepest nesting of a document. Manifests need four levels.
const DEPTH_MAX: usize = 32;
/// Most nodes of one text: the most documents with as many nodes as a large one has.
const NODES_MAX: usize = 2_000_000;

/// One document of a text, with its place there.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its number, counted from 1.
    pub number: usize,
    /// What it says.
    pub manifest: Manifest,
}

/// Reads YAML with any number of documents. A document may also be a list of manifests.
///
/// # Errors
/// [`Error::Invalid`] with every fault of every document.
pub fn from_yaml(text: &str) -> Result<Vec<Document>, Error> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: DOCUMENTS_MAX,
            max_depth: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_events: 2 * NODES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
        },
        strict_booleans: true,
        with_snippet: false,
    };
    let values: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| unreadable("YAML", &error.to_string()))?;
    documents(values)
}

/// Reads one JSON manifest, or a list of them.
///
/// # Errors
/// [`Error::Invalid`] with every fault of every document.
pub fn from_json(bytes: &[u8]) -> Result<Vec<Document>, Error> {
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| unreadable("JSON", &error.to_string()))?;
    documents(vec![value])
}

/// Reads the body of one entry whose kind and name are known already.
///
/// # Errors
/// [`Error::Invalid`] with every fault.
pub fn from_body(kind: Kind, name: &str, body: Value) -> Result<Manifest, Error> {
    let Value::Object(mut fields) = body else {
        let fault = Fault::of("", "send a JSON object with the fields of the entry");
        return Err(invalid("the body", vec![fault]));
    };
    complete(kind, name, &mut fields);
    let manifest = typed(kind, fields).map_err(|faults| invalid("the body", faults))?;
    if manifest.name() != name {
        let message = format!(
            "the body describes {:?}, the path says {name:?}",
            manifest.name()
        );
        return Err(invalid("the body", vec![Fault::of("name", message)]));
    }
    Ok(manifest)
}

/// A body may leave out what the path says already, and may repeat what an answer told beside the
/// entry itself, so that an answer can be changed and sent back.
fn complete(kind: Kind, name: &str, fields: &mut Map<String, Value>) {
    for told in ["version", "updated_at", "updated_by", "lock"] {
        fields.remove(told);
    }
    let words = kind.words();
    if fields.get("kind").and_then(Value::as_str) == Some(words.manifest) {
        fields.remove("kind");
    }
    let parts: Vec<&str> = name.splitn(words.named_by.len(), '.').collect();
    if parts.len() == words.named_by.len() {
        for (field, part) in words.named_by.iter().zip(parts) {
            fields.entry(*field).or_insert_with(|| part.into());
        }
    }
}

fn documents(values: Vec<Value>) -> Result<Vec<Document>, Error> {
    let values: Vec<Value> = values.into_iter().flat_map(flat).collect();
    if values.is_empty() {
        let fault = Fault::of("", "there is no document in it");
        return Err(invalid("the manifests", vec![fault]));
    }
    if values.len() > DOCUMENTS_MAX {
        return Err(Error::TooLarge {
            what: "the set of manifests",
            limit: format!("{DOCUMENTS_MAX} documents; apply it in parts"),
        });
    }
    let (mut read, mut faults) = (Vec::new(), Vec::new());
    for (index, value) in values.into_iter().enumerate() {
        let number = index + 1;
        match document(number, value) {
            Ok(manifest) => read.push(Document { number, manifest }),
            Err(more) => faults.extend(more),
        }
    }
    if faults.is_empty() {
        Ok(read)
    } else {
        Err(invalid("the manifests", faults))
    }
}

/// A list stands for its items; an empty document (a trailing `---`) for nothing.
fn flat(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        value => vec![value],
    }
}

fn document(number: usize, value: Value) -> Result<Manifest, Vec<Fault>> {
    let (kind_read, name) = (text(&value, "kind"), name(&value));
    let located = |faults: Vec<Fault>| {
        let locate = |fault: Fault| Fault {
            document: Some(number),
            kind: kind_read.clone(),
            name: name.clone(),
            ..fault
        };
        faults.into_iter().map(locate).collect::<Vec<_>>()
    };
    let Value::Object(mut fields) = value else {
        return Err(located(vec![Fault::of(
            "",
            "a manifest is a mapping with `kind` and the fields of that kind",
        )]));
    };
    if fields.contains_key("apiVersion") {
        return backstage::service(&fields)
            .and_then(|fields| typed(Kind::Service, fields))
            .map_err(located);
    }
    let Some(kind) = kind_read.as_deref().and_then(kind_of) else {
        return Err(located(vec![Fault::of("kind", kinds())]));
    };
    fields.remove("kind");
    typed(kind, fields).map_err(located)
}

fn kinds() -> String {
    let words: Vec<&str> = Kind::ALL.map(|kind| kind.words().manifest).to_vec();
    format!("write one of {}", words.join(", "))
}

fn text(value: &Value, key: &str) -> Option<String> {
    let text = value.get(key)?.as_str()?;
    Some(text.chars().take(130).collect())
}

/// The name, as far as it can be told before the document is understood.
fn name(value: &Value) -> Option<String> {
    let pair = || {
        Some(format!(
            "{}.{}",
            text(value, "service")?,
            text(value, "environment")?
        ))
    };
    let metadata = || text(value.get("metadata")?, "name");
    text(value, "name").or_else(pair).or_else(metadata)
}

/// The kind of this word in manifests.
fn kind_of(word: &str) -> Option<Kind> {
    Kind::find(|words| words.manifest == word)
}

fn typed(kind: Kind, fields: Map<String, Value>) -> Result<Manifest, Vec<Fault>> {
    let mut track = serde_path_to_error::Track::new();
    let fields = serde_path_to_error::Deserializer::new(Value::Object(fields), &mut track);
    let manifest = kind.deserialize(fields).map_err(|error| {
        let field = match track.path().to_string() {
            root if root == "." => String::new(),
            path => path,
        };
        vec![Fault::of(field, error.to_string())]
    })?;
    let faults = manifest.faults();
    if faults.is_empty() {
        Ok(manifest)
    } else {
        Err(faults.into_iter().map(Fault::from).collect())
    }
}

fn unreadable(format: &str, why: &str) -> Error {
    invalid(
        "the manifests",
        vec![Fault::of("", format!("this is not {format}: {why}"))],
    )
}

pub(super) fn invalid(what: &'static str, faults: Vec<Fault>) -> Error {
    Error::Invalid { what, faults }
}
