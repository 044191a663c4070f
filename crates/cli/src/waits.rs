//! A wait as one line: what is waited for, how long it may still last, and what to type.

use domain::time::human_ms;
use jiff::Timestamp;

use super::wire::{Gate, Waiting};

/// The line for `waiting`, as seen at `now`.
#[must_use]
pub fn line(waiting: &Waiting, now: Timestamp) -> String {
    about(&waiting.sentence, waiting, now)
}

/// The same below the lines of `gates`, which say already what each gate measured.
#[must_use]
pub fn line_below(gates: &[Gate], waiting: &Waiting, now: Timestamp) -> String {
    let name = waiting.gate.as_ref();
    let named = name.filter(|name| gates.iter().any(|gate| gate.name == **name));
    match named {
        Some(name) => about(name, waiting, now),
        None => line(waiting, now),
    }
}

fn about(what: &str, waiting: &Waiting, now: Timestamp) -> String {
    let parts = [
        Some(what.to_owned()),
        until(waiting, now),
        commands(&waiting.reason).map(str::to_owned),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join("; ")
}

/// How long it lasts at most, and what follows.
fn until(waiting: &Waiting, now: Timestamp) -> Option<String> {
    let until: Timestamp = waiting.until.as_deref()?.parse().ok()?;
    let follows = match waiting.then.as_deref()? {
        "goes_on" => "goes on",
        "gives_up" => "gives up",
        _ => return None,
    };
    let seconds = until.as_second() - now.as_second();
    Some(match u64::try_from(seconds) {
        Ok(1..) => format!("{follows} in {}", human_ms(seconds.unsigned_abs() * 1000)),
        _ => format!("{follows} now"),
    })
}

/// What a person can type to end the wait.
fn commands(reason: &str) -> Option<&'static str> {
    match reason {
        "approval" => Some("`pointsman approve` or `pointsman reject`"),
        "warm" => Some("`pointsman promote` ends the wait, `pointsman rollback` goes back"),
        "paused" => Some("`pointsman resume` or `pointsman abort`"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn told(waiting: serde_json::Value) -> String {
        let waiting = serde_json::from_value(waiting).expect("a wait");
        line(&waiting, at("2026-11-22T23:04:00Z"))
    }

    #[test]
    fn a_wait_says_how_long_it_may_still_last() {
        let waits = |until: &str, then: &str| {
            told(json!({"sentence": "2 of 4 are healthy", "until": until, "then": then}))
        };
        assert_eq!(
            waits("2026-11-22T23:04:08Z", "gives_up"),
            "2 of 4 are healthy; gives up in 8 s"
        );
        assert_eq!(
            waits("2026-11-22T23:05:00Z", "goes_on"),
            "2 of 4 are healthy; goes on in 1 min"
        );
        assert_eq!(
            waits("2026-11-22T23:03:59Z", "gives_up"),
            "2 of 4 are healthy; gives up now"
        );
        assert_eq!(waits("soon", "gives_up"), "2 of 4 are healthy");
        assert_eq!(waits("2026-11-22T23:04:08Z", "sings"), "2 of 4 are healthy");
        assert_eq!(
            told(json!({"sentence": "nothing at all"})),
            "nothing at all"
        );
    }

    #[test]
    fn a_person_is_told_what_to_type() {
        assert_eq!(
            told(json!({"reason": "paused", "sentence": "paused by ada"})),
            "paused by ada; `pointsman resume` or `pointsman abort`"
        );
    }
}
