//! Gates that compare the new release with stable over time.
//!
//! Counters are read at each look, and taken into account once they say something: a stretch ends when
//! both sides had enough. A stretch is taken into account once by each gate, whatever the number of gates.

use std::collections::BTreeMap;

use super::Moment;
use crate::{
    deployment::Watch,
    evidence::{Comparison, Conclusion, Look, Stretch, is_whole},
    gate::{Counted, Gate, GateLook, GateState, Verdict},
    time::{DrivenMs, human_ms},
    traffic::{ByMinute, MINUTE_MS, Traffic},
};

/// The gates of the deployment that compare, as those of one step find them again.
pub(super) struct Comparing<'a> {
    /// Each different one, by its place among the gates of the deployment.
    gates: BTreeMap<usize, &'a Gate>,
}

impl<'a> Comparing<'a> {
    pub(super) fn of(moment: &Moment<'a>) -> Self {
        let options = moment.deployment.strategy.two_slices();
        let all: Vec<&Gate> = options
            .iter()
            .flat_map(|options| options.gates.iter().flatten())
            .collect();
        let first = |gate: &Gate| all.iter().position(|one| **one == *gate);
        let compares = all.iter().filter(|gate| gate.compares());
        Self {
            gates: compares
                .filter_map(|gate| Some((first(gate)?, *gate)))
                .collect(),
        }
    }

    fn place(&self, gate: &Gate) -> Option<usize> {
        let mut gates = self.gates.iter();
        gates.find_map(|(place, one)| (**one == *gate).then_some(*place))
    }

    /// Among how many the false stops are shared out: those that can stop the deployment.
    fn sharing(&self) -> u32 {
        let stops = self.gates.values().filter(|gate| !gate.only_observes());
        u32::try_from(stops.count()).unwrap_or(u32::MAX).max(1)
    }

    /// The comparison of a gate, which may be new.
    fn comparison<'w>(&self, gate: &Gate, watch: &'w mut Watch) -> Option<&'w mut Comparison> {
        let (tolerance, warm_up_seconds) = gate.comparison()?;
        let new = || Comparison::new(tolerance, warm_up_seconds);
        let known = watch.comparisons.entry(self.place(gate)?);
        Some(known.or_insert_with(new))
    }

    /// Another share of users begins with this look.
    pub(super) fn begin_share(watch: &mut Watch) {
        let comparisons = watch.comparisons.values_mut();
        comparisons.for_each(Comparison::begin_share);
    }

    /// Takes what routers counted since the last stretch into account, once for each different gate of
    /// `gates`.
    pub(super) fn take_traffic(&self, moment: &Moment<'_>, gates: &[Gate], watch: &mut Watch) {
        let since = watch.counted_since.unwrap_or(moment.now);
        let roles = moment.deployment.roles;
        let counted = |slice| -> Option<Traffic> {
            let (now, before) = (moment.seen.traffic.get(&slice)?, watch.traffic.get(&slice)?);
            Some(now.since(before))
        };
        let both = counted(roles.next).zip(counted(roles.live));
        if let Some((new, stable)) = &both {
            let stretch = Stretch {
                new,
                stable,
                lasted_ms: moment.now.since_ms(since),
            };
            if !is_whole(&stretch, moment.seen.weights.share(roles.next)) {
                return;
            }
            self.add_traffic(&stretch, gates, watch);
        }
        watch.traffic.clone_from(&moment.seen.traffic);
        watch.counted_since = Some(moment.now);
    }

    /// Takes the minutes into account that began since the share of users did, each as a stretch and once.
    pub(super) fn take_minutes(&self, moment: &Moment<'_>, gates: &[Gate], watch: &mut Watch) {
        let Some(by_minute) = &moment.seen.by_minute else {
            return;
        };
        let roles = moment.deployment.roles;
        // The minute in which users were moved is of both shares, and left out.
        let from = *watch.minutes_from.get_or_insert(moment.seen.at);
        for minute in by_minute.since(from) {
            let side = |slice| minute.slices.get(&slice).cloned().unwrap_or_default();
            let stretch = Stretch {
                new: &side(roles.next),
                stable: &side(roles.live),
                lasted_ms: MINUTE_MS,
            };
            self.add_traffic(&stretch, gates, watch);
            watch.minutes_from = Some(minute.end());
        }
    }

    /// Adds a stretch of users' traffic, once for each different gate of `gates` that compares it.
    fn add_traffic(&self, stretch: &Stretch<'_>, gates: &[Gate], watch: &mut Watch) {
        let traffic = gates.iter().filter(|gate| matches!(gate, Gate::Traffic(_)));
        let places: BTreeMap<Option<usize>, &Gate> =
            traffic.map(|gate| (self.place(gate), gate)).collect();
        for gate in places.values() {
            if let Some(comparison) = self.comparison(gate, watch) {
                comparison.add(stretch);
            }
        }
    }

    /// Takes counters that were asked for into account; those that were set back begin a stretch only.
    pub(super) fn take_counters(
        &self,
        (gate, index): (&Gate, usize),
        (at, new, stable): (DrivenMs, Counted, Counted),
        moment: &Moment<'_>,
        watch: &mut Watch,
    ) {
        let now = (at, new, stable);
        let Some((since, new_before, stable_before)) = watch.gates[index].counted else {
            watch.gates[index].counted = Some(now);
            return;
        };
        let stretch = grown(new, new_before).zip(grown(stable, stable_before));
        if let Some((new, stable)) = &stretch {
            let stretch = Stretch {
                new,
                stable,
                lasted_ms: at.since_ms(since),
            };
            let share = moment.seen.weights.share(moment.deployment.roles.next);
            if !is_whole(&stretch, share) {
                return;
            }
            if let Some(comparison) = self.comparison(gate, watch) {
                comparison.add(&stretch);
            }
        }
        watch.gates[index].counted = Some(now);
    }

    /// What is known of one gate.
    pub(super) fn look(
        &self,
        (gate, index): (&Gate, usize),
        moment: &Moment<'_>,
        watch: &mut Watch,
    ) -> Option<GateLook> {
        let sharing = self.sharing();
        let began = watch.began.unwrap_or(moment.now);
        let comparison = self.comparison(gate, watch)?;
        let seen = comparison.look(sharing);
        let left_ms = comparison.ms_left(&seen);
        let verdict = Verdict::from(&seen.verdict);
        let state = &mut watch.gates[index];
        remember(
            state,
            &seen,
            verdict,
            left_ms.map(|ms| moment.now.plus_ms(ms)),
        );
        let time = left_ms.filter(|_| seen.warm_up_ms_left == 0 && moment.now > began);
        let time = time.map(|ms| format!(" ({})", human_ms(ms)));
        Some(GateLook {
            gate: index,
            name: gate.to_string(),
            verdict,
            text: format!(
                "{seen}{}{}",
                time.unwrap_or_default(),
                late(gate, &seen, moment)
            ),
            traffic: Some(Box::new(seen)),
            value: None,
        })
    }
}

/// What there is to say of a provider that counts by the minute, and late.
fn late(gate: &Gate, seen: &Look, moment: &Moment<'_>) -> String {
    let by_minute = moment.seen.by_minute.as_ref();
    let by_minute = by_minute.filter(|_| matches!(gate, Gate::Traffic(_)));
    match by_minute {
        Some(ByMinute {
            trouble: Some(trouble),
            ..
        }) => format!("; {trouble}"),
        Some(ByMinute { late_ms, .. }) if seen.requests_new == 0 => format!(
            "; a minute is known about {} after its end",
            human_ms(*late_ms)
        ),
        _ => String::new(),
    }
}

fn remember(state: &mut GateState, seen: &Look, verdict: Verdict, met_at: Option<DrivenMs>) {
    let open = matches!(seen.verdict, Conclusion::NotEnough { .. });
    let counted = seen.requests_new > 0 && seen.requests_stable > 0;
    state.sign = (open && counted).then(|| seen.sign());
    state.met_at = met_at.filter(|_| verdict == Verdict::Open);
}

/// By how much counters have grown; `None` where one was set back.
fn grown(now: Counted, before: Counted) -> Option<Traffic> {
    Some(Traffic {
        requests: now.all.checked_sub(before.all)?,
        errors: now.bad.checked_sub(before.bad)?,
        ..Traffic::default()
    })
}
