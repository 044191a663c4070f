//! What all pages are made of: states, times, icons, notices, pages of lists.

use axum::extract::FromRequestParts;
use domain::{
    access::Denied,
    deployment::{Deployment, Outcome, Status},
    governance::Objection,
    names::Place,
    time::{UnixMs, human_ms},
    who::WhoCanAct,
};
use maud::{Markup, html};

use super::{assets::ICONS, times::written};

/// Rows of one page of a list.
pub(super) const ROWS: u32 = 50;

/// A state in the three ways that everybody can tell apart: shape, word, colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// The class that carries the colour: `ok`, `go`, `wait`, `stop` or `off`.
    pub(super) colour: &'static str,
    /// The icon.
    pub(super) shape: &'static str,
    /// The word.
    pub(super) word: &'static str,
}

impl Mark {
    pub(super) const fn new(colour: &'static str, shape: &'static str, word: &'static str) -> Self {
        Self {
            colour,
            shape,
            word,
        }
    }

    /// Where a deployment stands.
    pub(super) fn of(deployment: &Deployment) -> Self {
        match deployment.status() {
            Status::Running if asks_people(deployment) => {
                Self::new("wait", "waiting", "waits for people")
            }
            Status::Running => Self::new("go", "moving", "running"),
            Status::Paused => Self::new("wait", "paused", "paused"),
            Status::RollingBack => Self::new("wait", "back", "rolling back"),
            Status::Ended(Outcome::Succeeded) => Self::new("ok", "ok", "succeeded"),
            Status::Ended(Outcome::RolledBack) => Self::new("stop", "back", "rolled back"),
            Status::Ended(Outcome::Aborted) => Self::new("off", "back", "aborted"),
            Status::Ended(Outcome::Failed) => Self::new("stop", "failed", "failed"),
        }
    }

    /// As a word with its shape.
    pub(super) fn plain(self) -> Markup {
        html! { span class={ "state " (self.colour) } { (icon(self.shape)) (self.word) } }
    }

    /// The same in a frame.
    pub(super) fn badge(self) -> Markup {
        html! { span class={ "state badge " (self.colour) } { (icon(self.shape)) (self.word) } }
    }
}

/// A person can end what it waits for.
pub(super) fn asks_people(deployment: &Deployment) -> bool {
    let waiting = deployment.waiting.as_ref();
    let who = waiting.map(|waiting| waiting.who_can_act());
    deployment.ending.is_none()
        && matches!(
            who,
            Some(WhoCanAct::Approver | WhoCanAct::Operator | WhoCanAct::ProviderAdministrator)
        )
}

/// Who can act, for people.
pub(super) fn who(who: WhoCanAct) -> &'static str {
    match who {
        WhoCanAct::Time => "nobody has to act: time alone ends it",
        WhoCanAct::Engine => "nobody has to act: Pointsman is working on it",
        WhoCanAct::Approver => "an approver can act",
        WhoCanAct::Operator => "someone who drives deployments can act",
        WhoCanAct::Owner => "the owner of the service can act",
        WhoCanAct::ProviderAdministrator => "an administrator of the provider can act",
    }
}

/// What somebody lacks to press a button, and who can help; nothing when they may.
pub(super) fn missing(denied: Option<&Denied>) -> Markup {
    html! {
        @if let Some(denied) = denied { " " b { (capital(&denied.to_string())) "." } }
    }
}

/// A text of ours as a sentence begins.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => format!("{}{}", first.to_uppercase(), letters.as_str()),
        None => String::new(),
    }
}

/// A drawing of the sprite that only repeats what a word says.
pub(super) fn icon(name: &str) -> Markup {
    html! {
        svg.i aria-hidden="true" { use href={ (ICONS.path) "#" (name) } {} }
    }
}

/// The present time.
pub(super) fn now() -> UnixMs {
    UnixMs(jiff::Timestamp::now().as_millisecond())
}

/// A moment, in the zone that the reader chose, or UTC; the script shows it in the way of their browser.
pub(super) fn moment(at: UnixMs) -> Markup {
    let time = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    html! { time datetime=(time) { (written(at)) } }
}

/// How long ago a moment was, with the moment itself for those who ask.
pub(super) fn ago(at: UnixMs, now: UnixMs) -> Markup {
    let time = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    html! { time datetime=(time) data-ago title=(written(at)) { (age(at, now)) " ago" } }
}

/// How much time passed, roughly: one number and its unit.
pub(super) fn age(at: UnixMs, now: UnixMs) -> String {
    let ms = now.since_ms(at);
    match ms / 1000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// A length of time.
pub(super) fn length(ms: u64) -> String {
    human_ms(ms)
}

/// Where a server group has its page.
pub(super) fn group_path(place: &Place) -> String {
    format!("/services/{}/{}", place.service, place.environment)
}

/// Where a deployment has its page.
pub(super) fn deployment_path(deployment: &Deployment) -> String {
    format!("/deployments/{}", deployment.id)
}

/// What governance says against a deployment: each with what would lift it, and who can.
pub(super) fn objection_items(objections: &[Objection]) -> Markup {
    html! {
        ul.faults {
            @for objection in objections {
                li.note.stop {
                    p { b { (objection) } }
                    p.soft { (objection.remedy()) " · " (who(objection.who_can_act())) }
                }
            }
        }
    }
}

/// The ways to the next page of a list and to its beginning; nothing where all is shown.
pub(super) fn pager(
    path: &str,
    others: &[(&str, &str)],
    here: Option<&str>,
    next: Option<&str>,
) -> Markup {
    html! {
        @if here.is_some() || next.is_some() {
            nav.pager aria-label="Pages" {
                @match here { Some(_) => { a href=(query(path, others)) { "First page" } }, None => { span {} } }
                @if let Some(next) = next {
                    @let pairs: Vec<(&str, &str)> = others.iter().copied().chain([("after", next)]).collect();
                    a rel="next" href=(query(path, &pairs)) { "Next page" }
                }
            }
        }
    }
}

/// A path with a query of these pairs; empty values are left out.
pub(super) fn query(path: &str, pairs: &[(&str, &str)]) -> String {
    let given = pairs.iter().filter(|(_, value)| !value.is_empty());
    let text: String = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(given)
        .finish();
    match text.as_str() {
        "" => path.to_owned(),
        text => format!("{path}?{text}"),
    }
}

/// Nothing is here, and what to do about it.
pub(super) fn empty(title: &str, next: &Markup) -> Markup {
    html! { div.empty { strong { (title) } (next) } }
}

/// The query of a page. What cannot be read is as if it had been left out: links grow old.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// The value of a name; empty when it is not there.
    pub(super) fn text(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.trim())
    }

    /// The value of a name exactly as it was typed: for passwords.
    pub(super) fn raw(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// All values of a name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.0.iter().filter(move |(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The value of a name, as what it stands for.
    pub(super) fn read<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name).parse().ok()
    }

    /// The pairs of a form or a query.
    pub(super) fn of(text: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(text).into_owned();
        Self(pairs.take(100).collect())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _: &S,
    ) -> Result<Self, Self::Rejection> {
        Ok(Self::of(parts.uri.query().unwrap_or_default().as_bytes()))
    }
}
