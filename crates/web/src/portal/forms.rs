//! Reading the fields of forms, and choosing among words.

use std::{fmt::Display, str::FromStr};

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use domain::{access::Right, time::UnixMs};
use maud::{Markup, html};

use super::{failed::Failed, parts::Query};

/// What a field stands for; empty: nothing was chosen.
pub(super) fn optional<T: FromStr<Err: Display>>(
    form: &Query,
    name: &str,
) -> Result<Option<T>, Failed> {
    match form.text(name) {
        "" => Ok(None),
        text => {
            let read = text.parse().map(Some);
            read.map_err(|error: T::Err| Failed::bad_field(name, &error.to_string()))
        }
    }
}

/// What a field stands for that must not be empty.
pub(super) fn required<T: FromStr<Err: Display>>(form: &Query, name: &str) -> Result<T, Failed> {
    optional(form, name)?.ok_or_else(|| Failed::bad_field(name, "it is empty"))
}

/// The one of these whose word was chosen.
pub(super) fn chosen<T: Copy>(
    all: &[T],
    word: impl Fn(T) -> &'static str,
    text: &str,
) -> Option<T> {
    all.iter().copied().find(|it| word(*it) == text)
}

/// The right that was chosen, if any.
pub(super) fn right(query: &Query) -> Option<Right> {
    chosen(&Right::ALL, Right::as_str, query.text("right"))
}

/// A day of a form, as its beginning in UTC.
pub(super) fn day(form: &Query, name: &str) -> Result<Option<UnixMs>, Failed> {
    Ok(optional::<jiff::civil::Date>(form, name)?
        .and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok())
        .map(|start| UnixMs(start.timestamp().as_millisecond())))
}

/// A day of a form, as its end in UTC.
pub(super) fn end_of_day(form: &Query, name: &str) -> Result<Option<UnixMs>, Failed> {
    Ok(optional::<jiff::civil::Date>(form, name)?
        .and_then(|day| day.tomorrow().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok())
        .map(|end| UnixMs(end.timestamp().as_millisecond())))
}

/// The options of a choice: a word for each, and `any` for none.
pub(super) fn options<'a>(
    any: &str,
    words: impl IntoIterator<Item = (&'a str, &'a str)>,
    chosen: &str,
) -> Markup {
    html! {
        @if !any.is_empty() { option value="" { (any) } }
        @for (value, word) in words { option value=(value) selected[value == chosen] { (word) } }
    }
}

/// A field that shows a secret once: it can be selected and copied, and nothing keeps it.
pub(super) fn secret(label: &str, value: &str) -> Markup {
    html! {
        label.secret { (label)
            input.mono value=(value) readonly autocomplete="off" spellcheck="false" autofocus;
        }
    }
}

/// What the path of a page names. What is no name has no page.
pub(super) struct Named<T>(pub(super) T);

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for Named<T> {
    type Rejection = Failed;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failed> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let name = path.ok().and_then(|Path(text)| text.parse().ok());
        name.map(Self).ok_or_else(Failed::no_page)
    }
}
