//! Which minutes of CloudWatch are settled. Pure.
//!
//! A load balancer's nodes report one after the other, so a minute arrives late and grows. "CloudWatch
//! metrics for your Application Load Balancer" (read 2026-11) names an interval of 60 seconds and no bound
//! for how late a minute may be. So a minute is settled once it said the same twice, and some time passed.

use std::collections::BTreeMap;

use domain::{
    slice::Slice,
    time::UnixMs,
    traffic::{ByMinute, MINUTE_MS, Minute, Traffic},
};

/// A minute that said the same twice is settled so long after its end, at the soonest, in milliseconds.
const SETTLED_MS: u64 = 120_000;
/// It is settled after this whatever it said before, in milliseconds.
const SURE_MS: u64 = 300_000;
/// A minute without requests has no data, like one that is on its way. It is taken for empty when a later
/// one has data, or after this, in milliseconds.
const EMPTY_MS: u64 = 600_000;
/// How long minutes are kept, in milliseconds. CloudWatch has those of fifteen days; a plan needs an hour.
pub const KEPT_MS: u64 = 3_600_000;
/// How late a minute usually is: two minutes, and up to one until the next look.
const LATE_MS: u64 = SETTLED_MS + MINUTE_MS;

/// The requests to each slice in one minute.
pub type Sides = BTreeMap<Slice, Traffic>;

/// The minutes of one server group, by when they began.
#[derive(Debug, Default)]
pub struct Minutes(BTreeMap<UnixMs, Known>);

#[derive(Debug)]
struct Known {
    sides: Sides,
    settled: bool,
}

impl Minutes {
    /// The first minute that is worth a question at `now`; all that ended before are.
    pub fn open_from(&self, now: UnixMs) -> UnixMs {
        let oldest = whole_minute(UnixMs(now.0.saturating_sub(signed(KEPT_MS))));
        let mut known = self.0.range(oldest..);
        let next = known.next_back().map(|(at, _)| at.plus_ms(MINUTE_MS));
        let open = self.0.range(oldest..).find(|(_, known)| !known.settled);
        open.map(|(at, _)| *at).or(next).unwrap_or(oldest)
    }

    /// Takes an answer of `now` about all minutes from `from` on. Those that it leaves out had no data.
    pub fn learn(&mut self, from: UnixMs, mut answer: BTreeMap<UnixMs, Sides>, now: UnixMs) {
        let latest = answer.keys().next_back().copied();
        let mut at = whole_minute(from);
        while at.plus_ms(MINUTE_MS) <= now {
            let sides = answer.remove(&at).unwrap_or_default();
            let age_ms = now.since_ms(at.plus_ms(MINUTE_MS));
            let before = self.0.get(&at);
            if before.is_none_or(|before| !before.settled) {
                let same = before.is_some_and(|before| before.sides == sides);
                let sure_ms = match sides.is_empty() && latest.is_none_or(|latest| latest <= at) {
                    true => EMPTY_MS,
                    false => SURE_MS,
                };
                let seen_twice = same && sure_ms == SURE_MS && age_ms >= SETTLED_MS;
                let settled = seen_twice || age_ms >= sure_ms;
                self.0.insert(at, Known { sides, settled });
            }
            at = at.plus_ms(MINUTE_MS);
        }
        self.0
            .retain(|at, _| now.since_ms(*at) <= KEPT_MS + MINUTE_MS);
    }

    /// The settled minutes up to the first one that is not.
    pub fn settled(&self, trouble: Option<String>) -> ByMinute {
        let settled = self.0.iter().take_while(|(_, known)| known.settled);
        ByMinute {
            minutes: settled
                .map(|(at, known)| Minute {
                    at: *at,
                    slices: known.sides.clone(),
                })
                .collect(),
            late_ms: LATE_MS,
            trouble,
        }
    }
}

/// The beginning of the minute that holds `at`.
pub fn whole_minute(at: UnixMs) -> UnixMs {
    UnixMs(at.0 - at.0.rem_euclid(signed(MINUTE_MS)))
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: i64 = 1_800_000_000_000;

    fn minute(n: i64) -> UnixMs {
        UnixMs(ZERO + n * 60_000)
    }

    /// What CloudWatch says: requests to the new release and to stable, by the number of the minute.
    fn answer(said: &[(i64, u64, u64)]) -> BTreeMap<UnixMs, Sides> {
        let traffic = |requests| Traffic {
            requests,
            ..Traffic::default()
        };
        let sides = |(n, new, stable): &(i64, u64, u64)| {
            let sides = [
                (Slice::Blue, traffic(*stable)),
                (Slice::Green, traffic(*new)),
            ];
            (minute(*n), sides.into())
        };
        said.iter().map(sides).collect()
    }

    /// Minutes known from the beginning of minute 0 on.
    fn fresh() -> Minutes {
        let mut minutes = Minutes::default();
        minutes.learn(minute(-60), BTreeMap::new(), minute(0));
        // An hour without requests, so long ago that it is sure.
        minutes.0.values_mut().for_each(|it| it.settled = true);
        minutes
    }

    fn look(minutes: &mut Minutes, now: UnixMs, said: &[(i64, u64, u64)]) -> Vec<(i64, u64)> {
        minutes.learn(minutes.open_from(now), answer(said), now);
        let shown = minutes.settled(None).minutes.into_iter();
        let shown = shown.filter(|it| it.at >= minute(0));
        shown
            .map(|it| {
                let new = it.slices.get(&Slice::Green);
                let n = (it.at.0 - ZERO) / 60_000;
                (n, new.map_or(0, |new| new.requests))
            })
            .collect()
    }

    #[test]
    fn a_minute_that_grows_late_is_shown_once_and_whole() {
        let mut minutes = fresh();
        assert_eq!(look(&mut minutes, minute(2), &[(0, 40, 360)]), []);
        assert_eq!(
            look(&mut minutes, minute(3), &[(0, 70, 630), (1, 50, 450)]),
            [],
            "it grew"
        );
        let said = [(0, 100, 900), (1, 100, 900), (2, 30, 300)];
        assert_eq!(look(&mut minutes, minute(4), &said), [], "and grew again");
        let said = [(0, 100, 900), (1, 100, 900), (2, 100, 900)];
        assert_eq!(look(&mut minutes, minute(5), &said), [(0, 100), (1, 100)]);
        let said = [(0, 200, 900), (1, 200, 900), (2, 100, 900)];
        let shown = look(&mut minutes, minute(6), &said);
        assert_eq!(
            shown,
            [(0, 100), (1, 100), (2, 100)],
            "what was shown stays"
        );
    }

    #[test]
    fn a_missing_minute_holds_up_the_ones_behind_it_and_is_empty_in_the_end() {
        let mut minutes = fresh();
        let late = [(1, 10, 90)];
        assert_eq!(look(&mut minutes, minute(3), &late), []);
        assert_eq!(
            look(&mut minutes, minute(4), &late),
            [(0, 0), (1, 10)],
            "later ones came, so nobody was there"
        );
        for n in 5..12 {
            let shown = look(&mut minutes, minute(n), &late);
            assert_eq!(
                shown.len(),
                2,
                "{n}: nothing came after it, so it may be late"
            );
        }
        let shown = look(&mut minutes, minute(13), &late);
        assert_eq!(shown[2..], [(2, 0)], "ten minutes are enough");
    }

    #[test]
    fn an_hour_is_known_at_the_first_look() {
        let mut minutes = Minutes::default();
        let now = minute(0);
        let said: Vec<_> = (-60..0).map(|n| (n, 0, 600)).collect();
        minutes.learn(minutes.open_from(now), answer(&said), now);
        let shown = minutes.settled(None);
        assert_eq!(shown.minutes.len(), 55, "the latest may still grow");
        assert_eq!(shown.totals(Slice::Blue), (55 * 600, 0, 55 * MINUTE_MS));
        assert_eq!(minutes.open_from(now), minute(-5));
    }
}
