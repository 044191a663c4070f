//! How two answers differ: in status, in chosen headers, and in the body, field by field if it is
//! JSON.
//!
//! Pure: three answers in, two lists of fields out.
//!
//! Invariant: an answer does not differ from itself, whatever its bytes are.
//! Invariant: work and memory are bounded by the size of the bodies; no path and no example grows
//! with them.

use std::{borrow::Cow, cell::OnceCell, collections::BTreeMap};

use bytes::Bytes;
use domain::traffic::Compare;
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::Value;

/// Values that lie deeper than this are compared as a whole.
const DEPTH_MAX: usize = 16;
/// Maximum number of characters of a key in a path.
const KEY_LEN_MAX: usize = 80;
/// Maximum number of characters of a value in an example.
const EXAMPLE_LEN_MAX: usize = 80;
/// Stands for a value that is missing.
const ABSENT: &str = "(absent)";

/// The parts of an answer that are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ComparedParts {
    pub(crate) status: StatusCode,
    /// At least the headers that are compared.
    pub(crate) headers: HeaderMap,
    /// It has a `Content-Encoding`: its bytes are not its text.
    pub(crate) encoded: bool,
    pub(crate) body: Bytes,
}

/// The fields that differ, each with one pair of values, cut to a readable length.
pub(crate) type Differences = BTreeMap<String, (String, String)>;

/// How three answers to the same request compare.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Compared {
    /// Between the users' answer and the copy's.
    pub(crate) copy: Differences,
    /// Between the users' answer and the second one of the same slice.
    pub(crate) control: Differences,
}

/// Compares the users' answer with the copy's, and with the second one of the users' slice.
pub(crate) fn compare(
    settings: &Compare,
    users: &ComparedParts,
    copy: &ComparedParts,
    control: &ComparedParts,
) -> Compared {
    let (users, copy, control) = (Read::new(users), Read::new(copy), Read::new(control));
    Compared {
        copy: users.differences(&copy, settings),
        control: users.differences(&control, settings),
    }
}

/// An answer whose body is parsed at most once, and only if needed.
struct Read<'a> {
    answer: &'a ComparedParts,
    json: OnceCell<Option<Value>>,
}

impl<'a> Read<'a> {
    fn new(answer: &'a ComparedParts) -> Self {
        let json = OnceCell::new();
        Self { answer, json }
    }

    /// The body, when it is JSON and nothing else.
    fn json(&self) -> Option<&Value> {
        let parse = || {
            let plain = !self.answer.encoded;
            plain
                .then(|| serde_json::from_slice(&self.answer.body).ok())
                .flatten()
        };
        self.json.get_or_init(parse).as_ref()
    }

    fn differences(&self, other: &Self, settings: &Compare) -> Differences {
        let mut walk = Walk {
            ignore: &settings.ignore,
            path: String::new(),
            found: Differences::new(),
        };
        let (mine, theirs) = (self.answer, other.answer);
        let statuses = [mine, theirs].map(|answer| answer.status.as_str().as_bytes());
        walk.plain("status", Some(statuses[0]), Some(statuses[1]));
        for name in &settings.headers {
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
                continue;
            };
            let values = [&mine.headers, &theirs.headers].map(|headers| line_of(headers, &name));
            let [one, two] = values.each_ref().map(Option::as_deref);
            walk.plain(&format!("header {name}"), one, two);
        }
        if mine.encoded == theirs.encoded && mine.body == theirs.body {
            return walk.found;
        }
        walk.path.push('$');
        match (self.json(), other.json()) {
            (Some(one), Some(two)) => walk.value(one, two, 0),
            _ if walk.is_ignored() => {}
            _ => walk.differ(text_of(&mine.body), text_of(&theirs.body)),
        }
        walk.found
    }
}

/// All values of a header in one line; `None` when it is not there.
fn line_of(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let values: Vec<&[u8]> = headers
        .get_all(name)
        .iter()
        .map(http::HeaderValue::as_bytes)
        .collect();
    (!values.is_empty()).then(|| values.join(&b", "[..]))
}

/// The beginning of some bytes as text: enough for an example, but not all of a large body.
fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(&bytes[..bytes.len().min(4 * (EXAMPLE_LEN_MAX + 1))])
}

/// A walk through two answers at once.
struct Walk<'a> {
    ignore: &'a [String],
    /// Where we are, such as `$.items[].price`.
    path: String,
    found: Differences,
}

impl Walk<'_> {
    /// Compares two values that have a name of their own, such as the status.
    fn plain(&mut self, name: &str, one: Option<&[u8]>, two: Option<&[u8]>) {
        name.clone_into(&mut self.path);
        if one != two && !self.is_ignored() {
            let text = |value: Option<_>| value.map_or(ABSENT.into(), text_of);
            self.differ(text(one), text(two));
        }
        self.path.clear();
    }

    fn value(&mut self, one: &Value, two: &Value, depth: usize) {
        if self.is_ignored() {
            return;
        }
        match (one, two) {
            (Value::Object(one), Value::Object(two)) if depth < DEPTH_MAX => {
                for (key, value) in one {
                    self.inside(".", key, |walk| walk.pair(Some(value), two.get(key), depth));
                }
                for (key, value) in two.iter().filter(|(key, _)| !one.contains_key(*key)) {
                    self.inside(".", key, |walk| walk.pair(None, Some(value), depth));
                }
            }
            (Value::Array(one), Value::Array(two)) if depth < DEPTH_MAX => {
                self.inside("[]", "", |walk| {
                    for index in 0..one.len().max(two.len()) {
                        walk.pair(one.get(index), two.get(index), depth);
                    }
                });
            }
            _ if one == two => {}
            _ => self.differ(one.to_string().into(), two.to_string().into()),
        }
    }

    fn pair(&mut self, one: Option<&Value>, two: Option<&Value>, depth: usize) {
        let text = |value: Option<&Value>| value.map_or(ABSENT.into(), |v| v.to_string().into());
        match (one, two) {
            (Some(one), Some(two)) => self.value(one, two, depth + 1),
            _ if self.is_ignored() => {}
            _ => self.differ(text(one), text(two)),
        }
    }

    /// Goes one level down, runs `then`, and goes back up.
    fn inside(&mut self, mark: &str, key: &str, then: impl FnOnce(&mut Self)) {
        let len = self.path.len();
        self.path.push_str(mark);
        self.path.extend(key.chars().take(KEY_LEN_MAX));
        then(self);
        self.path.truncate(len);
    }

    /// Whether the current field, or one that contains it, is ignored.
    fn is_ignored(&self) -> bool {
        self.ignore.iter().any(|ignored| {
            let below = self.path.strip_prefix(ignored.as_str());
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Records a difference. Of several at one path, in an array, the first is the example.
    fn differ(&mut self, one: Cow<'_, str>, two: Cow<'_, str>) {
        if !self.found.contains_key(&self.path) {
            self.found
                .insert(self.path.clone(), (example(&one), example(&two)));
        }
    }
}

/// As much of `text` as is readable.
fn example(text: &str) -> String {
    let mut chars = text.chars();
    let mut cut: String = chars.by_ref().take(EXAMPLE_LEN_MAX).collect();
    if chars.next().is_some() {
        cut.push('\u{2026}');
    }
    cut
}

#[cfg(test)]
mod tests;
