//! What follows from gathered evidence: worse, not worse, or not enough.

use serde::{Deserialize, Serialize};

use super::{
    MILLION, STRENGTHS, beginnings::Evidence, gathered::Gathered, ln_mean_exp, ln_sum_exp,
};

/// Requests of the new release at the present share of users, at least, before it is found not worse.
const AT_SHARE_MIN: u64 = 100;
/// Most requests that an estimate of what is still needed looks ahead.
const AHEAD_MAX: f64 = 1e7;

/// By how much more the new release may have than stable: points, and a part of stable's own rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Margin {
    /// In millionths of requests.
    pub points_ppm: u32,
    /// In percent of stable's rate.
    pub percent_of_stable: u32,
}

impl Margin {
    /// Points alone.
    #[must_use]
    pub fn points(points_ppm: u32) -> Self {
        Self {
            points_ppm,
            percent_of_stable: 0,
        }
    }

    /// The part of stable's rate, 0.5 for a half.
    #[must_use]
    pub fn growth(self) -> f64 {
        f64::from(self.percent_of_stable) / 100.0
    }

    pub(super) fn points_share(self) -> f64 {
        f64::from(self.points_ppm) / MILLION
    }

    /// What is allowed where stable has this rate.
    pub(super) fn allowed(self, stable: f64) -> f64 {
        self.points_share() + self.growth() * stable
    }
}

/// What is asked of evidence.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// By how much more the new release may have.
    pub margin: Margin,
    /// How often a release that is not worse may be found worse, in millionths.
    pub stop_ppm: u32,
    /// How often one that is worse by more than the margin may be found not worse, in millionths.
    pub pass_ppm: u32,
    /// The first of [`super::RATIOS`] that is held against "no worse": all from 0, only gross ones from 3.
    pub least_ratio: usize,
    /// How sure it must be that the difference is above the margin, in nats; 0: it is measured to be.
    pub above_nats: f64,
}

impl Question {
    /// The difference is above the margin.
    fn is_above(&self, since: &Gathered) -> bool {
        let allowed = self.margin.allowed(since.stable_rate());
        let above = since.requests() > 0 && since.difference() > allowed;
        if self.above_nats <= 0.0 || !above {
            return above;
        }
        // Chernoff: the chance of so many events at the highest rate that is allowed is at most e^-nats.
        let highest = (since.stable_rate() + allowed).min(1.0);
        since.requests() as f64 * divergence(since.new_rate(), highest) >= self.above_nats
    }

    /// The e-values of all beginnings since which the difference is above the margin are large enough.
    fn says_worse(&self, beginnings: impl Iterator<Item = (f64, Gathered)> + Clone) -> bool {
        let terms = beginnings
            .filter(|(_, since)| self.is_above(since))
            .map(|(ln_weight, since)| ln_weight + since.ln_e(self.least_ratio));
        ln_sum_exp(terms) >= needed(self.stop_ppm)
    }
}

/// How far a rate `p` is from a rate `q`, in nats per request (Kullback and Leibler).
pub(super) fn divergence(p: f64, q: f64) -> f64 {
    let part = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
    part(p, q) + part(1.0 - p, 1.0 - q)
}

/// What follows from what was gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = TrafficConclusion))]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Conclusion {
    /// The new release is worse, and measured to be so by more than the margin.
    Worse,
    /// The new release is worse by no more than the margin, or not worse at all.
    NotWorse,
    /// Neither is sure.
    NotEnough {
        /// Number of further requests of the new release that would settle it at the present rates; null
        /// where that cannot be said.
        more_requests: Option<u64>,
    },
}

/// A verdict with its numbers. Rates are in millionths (ppm) of requests.
///
/// They count stretches in which both sides had requests, and weigh stable's rate of each stretch by the
/// new release's requests in it: what stable would have had with the same traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Judged {
    /// What follows.
    #[serde(flatten)]
    pub verdict: Conclusion,
    /// The new release's rate of events; where it is worse, since it shows most.
    pub new_ppm: i64,
    /// Stable's rate of events with the same traffic.
    pub stable_ppm: i64,
    /// The measured difference, new less stable.
    pub difference_ppm: i64,
    /// The true difference is at most this, as sure as was asked for.
    pub upper_ppm: i64,
    /// Most that the difference may be: the points, and the part of stable's rate as measured.
    pub margin_ppm: i64,
    /// The logarithm of the evidence that the new release is worse, in millinats.
    pub evidence_millinats: i64,
    /// Where `evidence_millinats` makes it sure: `ln(1 / alpha)`.
    pub needed_millinats: i64,
}

impl Evidence {
    /// What follows: at no look wrong more often than the question allows.
    #[must_use]
    pub fn judge(&self, question: &Question) -> Judged {
        let verdict = self
            .settled(question)
            .unwrap_or_else(|| Conclusion::NotEnough {
                more_requests: self.more_requests(question),
            });
        let strongest = self.strongest(question);
        let shown = match verdict {
            Conclusion::Worse => strongest.unwrap_or_else(|| self.all().clone()),
            _ => self.all().clone(),
        };
        let ppm = |rate: f64| (rate * MILLION).round() as i64;
        let margin_ppm = ppm(question.margin.allowed(shown.stable_rate()));
        let beyond = self.upper(question) + question.margin.growth() * shown.stable_rate();
        let upper_ppm = (beyond.min(1.0) * MILLION).ceil() as i64;
        Judged {
            verdict,
            new_ppm: ppm(shown.new_rate()),
            stable_ppm: ppm(shown.stable_rate()),
            difference_ppm: ppm(shown.difference()),
            // The search for it is a little coarser than the verdict.
            upper_ppm: match verdict {
                Conclusion::NotWorse => upper_ppm.min(margin_ppm),
                _ => upper_ppm,
            },
            margin_ppm,
            evidence_millinats: (self.ln_average(question.least_ratio) * 1000.0).floor() as i64,
            needed_millinats: (needed(question.stop_ppm) * 1000.0).ceil() as i64,
        }
    }

    /// The verdict of [`Self::judge`] alone, where there is one: cheap enough for every look.
    #[must_use]
    pub fn settled(&self, question: &Question) -> Option<Conclusion> {
        if self.is_worse(question) {
            return Some(Conclusion::Worse);
        }
        let share = self.since_share();
        let fine = share.ln_e(0) <= 0.0 || !question.is_above(&share);
        let proven = share.requests() >= AT_SHARE_MIN && fine;
        let within = self.against(question.margin.points_share(), 1.0) >= needed(question.pass_ppm);
        (proven && within).then_some(Conclusion::NotWorse)
    }

    /// The average e-value of all beginnings since which the difference is above the margin is large
    /// enough. The others count as 0.
    fn is_worse(&self, question: &Question) -> bool {
        question.says_worse(self.since_beginnings())
    }

    /// The same without some groups of instances.
    pub(super) fn is_worse_without(&self, groups: &[usize], question: &Question) -> bool {
        let rest = self.since_beginnings();
        question.says_worse(rest.map(|(ln_weight, since)| (ln_weight, since.without(groups))))
    }

    /// What was gathered since the beginning that says most, of those since which the difference is above
    /// the margin.
    pub(super) fn strongest(&self, question: &Question) -> Option<Gathered> {
        let worth =
            |(ln_weight, since): &(f64, Gathered)| ln_weight + since.ln_e(question.least_ratio);
        self.since_beginnings()
            .filter(|(_, since)| question.is_above(since))
            .max_by(|one, other| worth(one).total_cmp(&worth(other)))
            .map(|(_, since)| since)
    }

    /// The logarithm of the e-value against "worse by `difference` or more beyond the part of stable's
    /// rate", if everything were `factor` times as long.
    fn against(&self, difference: f64, factor: f64) -> f64 {
        let (requests, events) = (self.all().requests() as f64, self.all().events());
        let mut terms = self.not_worse();
        for (term, strength) in terms.iter_mut().zip(STRENGTHS) {
            *term += events * (-strength).ln_1p() + strength * requests * difference;
            *term *= factor;
        }
        ln_mean_exp(&terms)
    }

    /// The smallest difference beyond the part of stable's rate that is ruled out, with all above; 1 where
    /// none is.
    fn upper(&self, question: &Question) -> f64 {
        let needed = needed(question.pass_ppm);
        let (mut possible, mut ruled_out) = (-2.0, 1.0);
        if self.against(ruled_out, 1.0) >= needed {
            for _ in 0..32 {
                let middle = f64::midpoint(possible, ruled_out);
                if self.against(middle, 1.0) >= needed {
                    ruled_out = middle;
                } else {
                    possible = middle;
                }
            }
        }
        ruled_out
    }

    /// At the present rates, `factor` times as long would be enough for one answer or the other.
    fn would_settle(&self, question: &Question, factor: f64) -> bool {
        let worse = question.is_above(self.all())
            && self.all().ln_e(question.least_ratio) * factor >= needed(question.stop_ppm);
        let points = question.margin.points_share();
        worse || self.against(points, factor) >= needed(question.pass_ppm)
    }

    fn more_requests(&self, question: &Question) -> Option<u64> {
        let requests = self.all().requests() as f64;
        if requests < 1.0 {
            return None;
        }
        let (mut less, mut enough) = (1.0, 2.0);
        while !self.would_settle(question, enough) {
            if requests * enough > AHEAD_MAX {
                return None;
            }
            (less, enough) = (enough, enough * 2.0);
        }
        for _ in 0..10 {
            let middle = f64::midpoint(less, enough);
            if self.would_settle(question, middle) {
                enough = middle;
            } else {
                less = middle;
            }
        }
        let at_share = AT_SHARE_MIN.saturating_sub(self.since_share().requests());
        Some(((requests * (enough - 1.0)).ceil() as u64).max(at_share))
    }
}

/// `ln(1 / alpha)`.
pub(super) fn needed(alpha_ppm: u32) -> f64 {
    (MILLION / f64::from(alpha_ppm.max(1))).ln()
}
