//! Errors and latency together: what a gate asks for.
//!
//! New instances are slow at first, and after users were moved fast errors come before slow answers. So
//! each share of users begins with a warm-up, in which only gross errors count.

use serde::{Deserialize, Serialize};

use super::{
    Arm, Conclusion, Evidence, Question, Tolerance,
    at_risk::AtRisk,
    boundary::Boundary,
    ceiling,
    gathered::Seen,
    instances::Instances,
    look::{CeilingLook, Culprit, Look, PercentileLook, Unit, as_guard, together},
};
use crate::traffic::{Histogram, Traffic, bucket_of_us};

/// Evidence is judged from each of these on, in milliseconds.
const MINUTE_MS: u64 = 60_000;
/// Longest stretch, in milliseconds.
const STRETCH_MS_MAX: u64 = 60_000;
/// A warm-up lasts for so many of stable's 95th percentiles, at least: a slow answer that began before the
/// share must not be missing among the first ones.
const WARM_UP_ANSWERS: u64 = 5;

/// What was counted of both sides for a while.
#[derive(Debug, Clone, Copy)]
pub struct Stretch<'a> {
    /// The new release.
    pub new: &'a Traffic,
    /// Stable.
    pub stable: &'a Traffic,
    /// For how long, in milliseconds.
    pub lasted_ms: u64,
}

/// Whether a stretch is long enough to say something: the new release had a request, and stable half of
/// what that promises at `share` percent of the users. With little traffic, shorter ones would compare
/// one request with one, or with none. None lasts longer than a minute.
#[must_use]
pub fn is_whole(stretch: &Stretch<'_>, share: u8) -> bool {
    let (new, stable) = (stretch.new.requests, stretch.stable.requests);
    let (new_part, stable_part) = (u64::from(share.min(100)), 100 - u64::from(share.min(100)));
    let promised = stable.saturating_mul(new_part * 2) >= new.saturating_mul(stable_part);
    stretch.lasted_ms >= STRETCH_MS_MAX || (new > 0 && promised)
}

/// Errors and latency of the new release against stable's, gathered over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    tolerance: Tolerance,
    /// How long each share warms up, in milliseconds.
    warm_up_ms: u64,
    /// How long the present share has warmed up, in milliseconds; `None` once it is warm.
    warming_ms: Option<u64>,
    /// How long the present share has been warm, in milliseconds.
    warm_ms: u64,
    /// Since the last minute began, in milliseconds.
    minute_ms: u64,
    /// All requests of the new release and of stable.
    requests: [u64; 2],
    /// Errors from the first look on.
    gross: Evidence,
    /// Errors while warm.
    errors: Evidence,
    client_errors: Evidence,
    latency: Vec<Boundary>,
    /// Answers at the present share: of the new release while warm, to be shown, and of stable, to be shown
    /// and to choose edges from.
    new: Histogram,
    stable: Histogram,
    /// Users at the present share who met no error yet, where users are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_risk: Option<AtRisk>,
    #[serde(default)]
    instances: Instances,
}

impl Comparison {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(tolerance: Tolerance, warm_up_seconds: u32) -> Self {
        let warm_up_ms = u64::from(warm_up_seconds) * 1000;
        Self {
            latency: tolerance.percents().map(Boundary::new).collect(),
            tolerance,
            warm_up_ms,
            warming_ms: (warm_up_ms > 0).then_some(0),
            warm_ms: 0,
            minute_ms: 0,
            requests: [0; 2],
            gross: Evidence::default(),
            errors: Evidence::default(),
            client_errors: Evidence::default(),
            new: Histogram::default(),
            stable: Histogram::default(),
            at_risk: None,
            instances: Instances::default(),
        }
    }

    /// Another share of users begins: it warms up, and is judged on its own too.
    pub fn begin_share(&mut self) {
        self.warming_ms = (self.warm_up_ms > 0).then_some(0);
        (self.warm_ms, self.minute_ms) = (0, 0);
        self.at_risk = None;
        for evidence in [&mut self.gross, &mut self.errors, &mut self.client_errors] {
            evidence.begin_share();
        }
        self.latency.iter_mut().for_each(Boundary::begin_share);
        (self.new, self.stable) = (Histogram::default(), Histogram::default());
    }

    /// Takes one stretch into account. All of it belongs to one share of users.
    pub fn add(&mut self, stretch: &Stretch<'_>) {
        let Stretch { new, stable, .. } = *stretch;
        for (all, side) in self.requests.iter_mut().zip([new, stable]) {
            *all = all.saturating_add(side.requests);
        }
        let of_stable = [stable.requests, stable.errors.min(stable.requests)];
        let counted = self
            .instances
            .count(&new.instances, of_stable, stretch.lasted_ms);
        let [mut errors, client_errors] = self.count_errors(new, stable);
        errors.spare(counted.spared, counted.errors);
        let groups = counted.groups;
        if self.counts_gross(stretch) {
            self.gross.add_seen(&errors, 0.0);
            self.gross.add_groups(&groups);
        }
        if self.warming_ms.is_none() {
            let growth = self.tolerance.error_margin().growth();
            self.errors.add_seen(&errors, growth);
            self.errors.add_groups(&groups);
            self.client_errors.add_seen(&client_errors, 0.0);
            for boundary in &mut self.latency {
                boundary.add(&new.latency, &stable.latency);
            }
            merge(&mut self.new, &new.latency);
        }
        merge(&mut self.stable, &stable.latency);
        self.pass(stretch.lasted_ms);
        for boundary in &mut self.latency {
            boundary.choose(&self.stable, self.tolerance.latency_margin_percent);
        }
    }

    /// Whether gross errors of a stretch count. At first fast errors come before slow answers; after two of
    /// stable's 95th percentiles, or over far longer times, that is no matter.
    fn counts_gross(&self, stretch: &Stretch<'_>) -> bool {
        let Some(warming_ms) = self.warming_ms else {
            return true;
        };
        let slow_us = self.stable.percentile_us(95);
        let slow_us = slow_us.or_else(|| stretch.stable.latency.percentile_us(95));
        let lag_ms = slow_us.unwrap_or(0) * 2 / 1000;
        warming_ms >= lag_ms || stretch.lasted_ms >= 10 * lag_ms
    }

    /// The errors of one stretch, and its answers with a 4xx: of requests, or of users where they stick to
    /// a slice.
    fn count_errors(&mut self, new: &Traffic, stable: &Traffic) -> [Seen; 2] {
        let Some((new_users, stable_users)) = new.users.zip(stable.users) else {
            let of_requests = |events: fn(&Traffic) -> u64| {
                let [of_new, of_stable] = [new, stable].map(|side| Arm {
                    requests: side.requests,
                    events: events(side).min(side.requests),
                });
                Seen::of_requests(of_new, of_stable)
            };
            return [
                of_requests(|side| side.errors),
                of_requests(|side| side.client_errors),
            ];
        };
        if self.at_risk.is_none() {
            for evidence in [&mut self.gross, &mut self.errors, &mut self.client_errors] {
                evidence.begin_alone();
            }
        }
        let at_risk = self.at_risk.get_or_insert_default();
        at_risk.take([new_users, stable_users])
    }

    /// Lets time pass: a warm-up ends, a minute begins.
    fn pass(&mut self, ms: u64) {
        if let Some(warming) = &mut self.warming_ms {
            *warming = warming.saturating_add(ms);
            if self.warm_up_ms_left() == 0 {
                self.warming_ms = None;
            }
            return;
        }
        self.warm_ms = self.warm_ms.saturating_add(ms);
        self.minute_ms = self.minute_ms.saturating_add(ms);
        if self.minute_ms >= MINUTE_MS {
            self.minute_ms = 0;
            self.errors.begin_minute();
            self.client_errors.begin_minute();
            let percentiles = self.latency.iter_mut();
            percentiles.for_each(|it| it.evidence.begin_minute());
        }
    }

    fn warm_up_ms_left(&self) -> u64 {
        let slow_ms = self.stable.percentile_us(95).unwrap_or(0) / 1000;
        let needed = self.warm_up_ms.max(slow_ms * WARM_UP_ANSWERS);
        self.warming_ms
            .map_or(0, |warming| needed.saturating_sub(warming))
    }

    /// How long it takes until a look says more than `seen`, at the rates of the present share, in
    /// milliseconds; `None` where that cannot be said.
    #[must_use]
    pub fn ms_left(&self, seen: &Look) -> Option<u64> {
        let Conclusion::NotEnough {
            more_requests: Some(more),
        } = seen.verdict
        else {
            return None;
        };
        let counted = self.errors.since_share().requests();
        let ms = u128::from(more) * u128::from(self.warm_ms);
        let ms = ms.checked_div(u128::from(counted))?;
        Some(u64::try_from(ms).unwrap_or(u64::MAX))
    }

    /// What errors are counted by.
    fn unit(&self) -> Unit {
        match self.at_risk {
            Some(_) => Unit::Users,
            None => Unit::Requests,
        }
    }

    /// The verdict of [`Self::look`] alone, where there is one: cheap enough for every look.
    #[must_use]
    pub fn settled(&self, sharing: u32) -> Option<Conclusion> {
        let open = Conclusion::NotEnough {
            more_requests: None,
        };
        let asked =
            |evidence: &Evidence, question: &Question| evidence.settled(question).unwrap_or(open);
        let (gross, errors) = (
            self.tolerance.gross(sharing),
            self.tolerance.errors(sharing),
        );
        let stops = self.errors_stop(
            asked(&self.gross, &gross) == Conclusion::Worse,
            asked(&self.errors, &errors) == Conclusion::Worse,
            sharing,
        );
        let errors = match (stops, asked(&self.errors, &errors)) {
            (true, _) => Conclusion::Worse,
            (false, Conclusion::Worse) => open,
            (false, verdict) => verdict,
        };
        let client = self.client_question(sharing);
        let client = client.map(|it| as_guard(asked(&self.client_errors, &it)));
        let latency = self.latency.iter().map(|boundary| {
            let question = self.tolerance.percentile(boundary.percent, sharing);
            weighed(boundary.percent, asked(&boundary.evidence, &question))
        });
        let [error_ceiling, latency_ceiling] = self.ceilings(sharing);
        let ceilings = error_ceiling.into_iter().chain(latency_ceiling);
        let all = std::iter::once(errors)
            .chain(client)
            .chain(latency)
            .chain(ceilings.map(|it| it.verdict));
        Some(together(all)).filter(|verdict| !matches!(verdict, Conclusion::NotEnough { .. }))
    }

    /// Judges everything that was gathered. `sharing` is among how many gates of the deployment the false
    /// stops are shared out.
    #[must_use]
    pub fn look(&self, sharing: u32) -> Look {
        let gross = self.gross.judge(&self.tolerance.gross(sharing));
        let mut errors = self.errors.judge(&self.tolerance.errors(sharing));
        let (gross_worse, errors_worse) = (
            gross.verdict == Conclusion::Worse,
            errors.verdict == Conclusion::Worse,
        );
        let stops = self.errors_stop(gross_worse, errors_worse, sharing);
        let accused = (gross_worse || errors_worse) && !stops;
        if !errors_worse && (gross_worse || self.warming_ms.is_some()) {
            errors = gross;
        }
        let open = Conclusion::NotEnough {
            more_requests: None,
        };
        if accused || (self.warming_ms.is_some() && !stops) {
            errors.verdict = open;
        }
        let client_question = self.client_question(sharing);
        let client_errors = client_question.map(|it| self.client_errors.judge(&it));
        let latency: Vec<PercentileLook> = self
            .latency
            .iter()
            .map(|boundary| self.percentile(boundary, sharing))
            .collect();
        let percentiles = latency
            .iter()
            .map(|it| weighed(it.percent, it.judged.verdict));
        let [error_ceiling, latency_ceiling] = self.ceilings(sharing);
        let ceilings = error_ceiling.iter().chain(&latency_ceiling);
        let all = std::iter::once(errors.verdict)
            .chain(client_errors.iter().map(|it| as_guard(it.verdict)))
            .chain(percentiles.clone())
            .chain(ceilings.map(|it| it.verdict));
        Look {
            verdict: together(all),
            requests_new: self.requests[0],
            requests_stable: self.requests[1],
            warm_up_ms_left: self.warm_up_ms_left(),
            unit: self.unit(),
            client_errors,
            latency_verdict: (!latency.is_empty()).then(|| together(percentiles)),
            errors,
            latency,
            error_ceiling,
            latency_ceiling,
            culprit: self.culprit(accused, stops, sharing),
        }
    }

    /// Errors stop the release: it is found worse and, where an instance has far more of the errors than of
    /// the requests, it is so without that instance too.
    fn errors_stop(&self, gross: bool, errors: bool, sharing: u32) -> bool {
        let stops = |evidence: &Evidence, question: &Question| {
            let ill = self.ill(evidence, question);
            ill.is_empty() || evidence.is_worse_without(&ill, question)
        };
        (gross && stops(&self.gross, &self.tolerance.gross(sharing)))
            || (errors && stops(&self.errors, &self.tolerance.errors(sharing)))
    }

    /// The groups of instances that stand out since the beginning that says most, or by their latest errors.
    fn ill(&self, evidence: &Evidence, question: &Question) -> Vec<usize> {
        let since = evidence.strongest(question);
        since.map_or_else(Vec::new, |since| self.instances.ill(since.groups()))
    }

    /// The instance that is to blame where the release is not.
    fn culprit(&self, accused: bool, stops: bool, sharing: u32) -> Option<Culprit> {
        if stops || !accused {
            let lately = || self.instances.culprit_lately();
            return (!stops).then(lately).flatten();
        }
        let errors = self.errors.strongest(&self.tolerance.errors(sharing));
        let gross = || self.gross.strongest(&self.tolerance.gross(sharing));
        let since = errors.or_else(gross)?;
        self.instances.culprit(since.groups())
    }

    fn client_question(&self, sharing: u32) -> Option<Question> {
        self.tolerance
            .client_errors
            .then(|| self.tolerance.client(sharing))
    }

    /// Errors and latency against the most that they may be.
    fn ceilings(&self, sharing: u32) -> [Option<CeilingLook>; 2] {
        let nth = self.errors.later_shares();
        let alpha = Tolerance::ceiling_ppm(sharing);
        let judge = |new: Arm, max_ppm: u32| ceiling::judge(new, max_ppm, nth, alpha);
        let tolerance = &self.tolerance;
        let errors = tolerance
            .max_error_percent
            .map(|most| judge(self.errors.since_share().new_side(), most.ppm()));
        let slow = tolerance.max_latency_ms.zip(tolerance.percents().last());
        let latency = slow.map(|(ms, percent)| {
            let new = Arm {
                requests: self.new.count(),
                events: self.new.above(bucket_of_us(u64::from(ms) * 1000)),
            };
            judge(new, u32::from(100 - percent) * 10_000)
        });
        [errors, latency]
    }

    fn percentile(&self, boundary: &Boundary, sharing: u32) -> PercentileLook {
        let percent = boundary.percent;
        let question = self.tolerance.percentile(percent, sharing);
        PercentileLook {
            percent,
            only_stops: !Tolerance::must_be_proven(percent),
            new_us: self.new.percentile_us(percent),
            stable_us: self.stable.percentile_us(percent),
            boundary_us: boundary.edge.map(|edge| edge.stable.us),
            allowed_us: boundary.edge.map(|edge| edge.new.us),
            judged: boundary.evidence.judge(&question),
        }
    }
}

/// What the verdict about a percentile counts for.
fn weighed(percent: u8, verdict: Conclusion) -> Conclusion {
    if Tolerance::must_be_proven(percent) {
        verdict
    } else {
        as_guard(verdict)
    }
}

fn merge(all: &mut Histogram, more: &Histogram) {
    for (bucket, count) in &more.buckets {
        *all.buckets.entry(*bucket).or_default() += count;
    }
}
