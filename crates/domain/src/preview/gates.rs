//! How long gates that compare need at the present traffic.

use serde::{Deserialize, Serialize};

use crate::{
    deployment::Deployment,
    evidence::forecast,
    gate::Gate,
    observation::Observation,
    plan::Bake,
    time::{UnixMs, human_ms},
    traffic::MINUTE_MS,
};

/// How long a gate of a step needs until a release like stable passes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateForecast {
    /// Index of the gate in its step.
    pub gate: usize,
    /// Requests of the new release that it needs; `None`: no number is enough.
    pub requests: Option<u64>,
    /// How long they take at the present traffic, with the warm-up and until they are known, in milliseconds; `None` where stable has no requests.
    pub expected_ms: Option<u64>,
    /// How long it may stay open, in milliseconds.
    pub within_ms: u64,
}

impl GateForecast {
    /// It is expected to be met before its deadline.
    #[must_use]
    pub fn is_in_time(&self) -> bool {
        self.expected_ms.is_some_and(|ms| ms <= self.within_ms)
    }

    /// The same for people, and what to do where there is too little time.
    #[must_use]
    pub fn sentence(&self) -> String {
        let needs = match (self.requests, self.expected_ms) {
            (Some(requests), Some(ms)) => {
                format!(
                    "needs about {requests} requests, {} at the present traffic",
                    human_ms(ms)
                )
            }
            (Some(requests), None) => {
                format!("needs about {requests} requests, and stable has none at present")
            }
            (None, _) => "cannot be met at stable's present errors".to_owned(),
        };
        match self.is_in_time() {
            true => needs,
            false => format!(
                "{needs}; its deadline is after {}: move more users, allow more or wait longer",
                human_ms(self.within_ms)
            ),
        }
    }
}

/// What stable's users do at present.
#[derive(Debug, Clone, Copy)]
pub(super) struct Present {
    requests: u64,
    errors: u64,
    /// For how long they were counted, in milliseconds.
    for_ms: u64,
    /// How long it takes until anything of a share of users is known, in milliseconds.
    late_ms: u64,
}

impl Present {
    /// What was counted of stable until `now`; `None` where nobody counts.
    pub(super) fn of(deployment: &Deployment, seen: &Observation, now: UnixMs) -> Option<Self> {
        let live = deployment.roles.live;
        if let Some(by_minute) = &seen.by_minute {
            let (requests, errors, for_ms) = by_minute.totals(live);
            return Some(Self {
                requests,
                errors,
                for_ms,
                // The minute in which users are moved does not count.
                late_ms: by_minute.late_ms + MINUTE_MS,
            });
        }
        let stable = seen.traffic.get(&live)?;
        let since = UnixMs(i64::try_from(stable.epoch).ok()?);
        Some(Self {
            requests: stable.requests,
            errors: stable.errors,
            for_ms: now.since_ms(since),
            late_ms: 0,
        })
    }

    /// The gates of a bake that compare users' traffic, while `share` percent of the users are on the new
    /// release.
    pub(super) fn forecasts(self, bake: &Bake, share: u8) -> Vec<GateForecast> {
        let gates = bake.until.gates.iter().enumerate();
        let traffic = gates.filter(|(_, gate)| matches!(gate, Gate::Traffic(_)));
        traffic
            .filter_map(|(index, gate)| {
                let (tolerance, warm_up_seconds) = gate.comparison()?;
                let error_rate = self.errors as f64 / (self.requests as f64).max(1.0);
                let found = forecast(&tolerance, error_rate, share);
                let requests = found.map(|it| it.requests);
                let takes = |requests| self.takes_ms(requests, share);
                let takes_ms = requests.and_then(takes);
                let before_ms = u64::from(warm_up_seconds) * 1000 + self.late_ms;
                Some(GateForecast {
                    gate: index,
                    requests,
                    expected_ms: takes_ms.map(|ms| ms.saturating_add(before_ms)),
                    within_ms: bake.until.open_ms_max(gate),
                })
            })
            .collect()
    }

    /// How long the new release takes for so many requests.
    fn takes_ms(self, requests: u64, share: u8) -> Option<u64> {
        let its_part = u128::from(self.requests) * u128::from(share);
        let ms = u128::from(requests) * u128::from(self.for_ms) * 100;
        u64::try_from(ms.checked_div(its_part)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{gate::TrafficGate, plan::Until, release::LaunchId, slice::Slice};

    /// An hour of so many requests per second, 1 % of them errors, at a share of the users.
    fn said(per_second: u64, share: u8) -> String {
        let present = Present {
            requests: per_second * 3600,
            errors: per_second * 36,
            for_ms: 3_600_000,
            late_ms: 0,
        };
        let bake = Bake {
            slice: Slice::Green,
            launch: LaunchId("l1".to_owned()),
            count: 1,
            until: Until {
                gates: vec![Gate::Traffic(TrafficGate::default())],
                ..Until::elapsed(60)
            },
        };
        present.forecasts(&bake, share)[0].sentence()
    }

    #[test]
    fn a_plan_says_how_long_a_gate_needs_and_warns_when_that_is_too_long() {
        assert_eq!(
            said(600, 10),
            "needs about 4236 requests, 1 min 40 s at the present traffic"
        );
        let little = said(10, 1);
        assert!(
            little.contains("; its deadline is after 11 min: move more users"),
            "{little}"
        );
        assert!(said(0, 10).contains("stable has none at present"));
    }
}
