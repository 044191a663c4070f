//! Two weeks as a strip: the days, and the freezes on them; and the same as a list.

use domain::{catalogue::Freeze, time::UnixMs};
use maud::{Markup, html};
use operations::overview::Column;

use crate::portal::parts::moment;

const DAYS: u32 = 14;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Width of a day, in the units of the drawing.
const DAY_WIDE: f64 = 60.0;

/// The next two weeks of an environment.
pub(super) fn strip(column: &Column, now: UnixMs) -> Markup {
    let end = now.plus_ms(u64::from(DAYS) * DAY_MS);
    let soon = column.coming.iter().filter(|freeze| freeze.from < end);
    let freezes: Vec<&Freeze> = column.freeze.iter().chain(soon).collect();
    let label = match freezes.len() {
        0 => "No freeze in the next two weeks".to_owned(),
        1 => "One freeze in the next two weeks".to_owned(),
        count => format!("{count} freezes in the next two weeks"),
    };
    html! {
        figure.calendar tabindex="0" role="group" aria-label="Two weeks" {
            svg viewBox={ "0 0 " (f64::from(DAYS) * DAY_WIDE) " 46" } role="img" aria-label=(label) {
                @for day in 0..DAYS { (day_at(day, now)) }
                @for freeze in &freezes { (bar(freeze, now)) }
            }
        }
        @if freezes.is_empty() { p.small.soft { "No freeze. " a href="/catalogue/freezes" { "Describe one" } } }
        @else {
            ul.faults {
                @for freeze in &freezes {
                    li.small { b { (freeze.name) } " · " (moment(freeze.from)) " to " (moment(freeze.until)) " · " (freeze.reason) }
                }
            }
        }
    }
}

/// How far from the left a moment is drawn: no further than the strip reaches.
fn left(at: UnixMs, now: UnixMs) -> f64 {
    let days = at.since_ms(now) as f64 / DAY_MS as f64;
    days.min(f64::from(DAYS)) * DAY_WIDE
}

fn day_at(day: u32, now: UnixMs) -> Markup {
    let at = now.plus_ms(u64::from(day) * DAY_MS);
    let date = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    let name = date.strftime("%a %-d").to_string();
    let x = f64::from(day) * DAY_WIDE;
    html! {
        path.grid d={ "M" (x) " 0V32" } {}
        text x=(x + 4.0) y="44" { (name) }
    }
}

fn bar(freeze: &Freeze, now: UnixMs) -> Markup {
    let (from, until) = (left(freeze.from, now), left(freeze.until, now));
    html! { rect.frozen x=(from) y="6" width=((until - from).max(3.0)) height="20" rx="3" { title { (freeze.name) ": " (freeze.reason) } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_began_before_and_what_ends_later_stays_on_the_strip() {
        let now = UnixMs(1_800_000_000_000);
        assert_eq!(left(UnixMs(0), now), 0.0);
        assert_eq!(left(now.plus_ms(DAY_MS), now), DAY_WIDE);
        let far = now.plus_ms(100 * DAY_MS);
        assert_eq!(left(far, now), f64::from(DAYS) * DAY_WIDE);
    }
}
