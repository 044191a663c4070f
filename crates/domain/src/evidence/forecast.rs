//! How many requests a comparison needs before it can find a good release not worse.

use super::{ALPHA_PPM, STRENGTHS, Tolerance, ln_mean_exp, question::needed};

/// Requests beyond which nobody waits.
const REQUESTS_MAX: f64 = 1e12;

/// What a comparison needs of a release that is like stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// Requests of the new release after the warm-up.
    pub requests: u64,
}

/// How many requests of the new release it takes until one like stable is found not worse by its errors,
/// at `share` percent of the users, where `error_rate` of stable's requests fail (0 to 1). Latency seldom
/// needs more. `None` where no number of requests is enough.
#[must_use]
pub fn forecast(tolerance: &Tolerance, error_rate: f64, share: u8) -> Option<Forecast> {
    let new = f64::from(share.clamp(1, 99)) / 100.0;
    let odds = new / (1.0 - new);
    let margin = tolerance.error_margin();
    let growth = STRENGTHS.map(|h| {
        let gained = (h * (1.0 + margin.growth()) * odds).ln_1p() / odds;
        error_rate * ((-h).ln_1p() + gained) + h * margin.points_share()
    });
    let enough = |requests: f64| {
        let terms = growth.map(|growth| growth * requests);
        ln_mean_exp(&terms) >= needed(ALPHA_PPM)
    };
    let mut most = 100.0;
    while !enough(most) {
        most *= 2.0;
        if most > REQUESTS_MAX {
            return None;
        }
    }
    let mut least = if most > 100.0 { most / 2.0 } else { 0.0 };
    for _ in 0..20 {
        let middle = f64::midpoint(least, most);
        if enough(middle) {
            most = middle;
        } else {
            least = middle;
        }
    }
    let requests = (most.ceil() as u64).max(100);
    Some(Forecast { requests })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::percent::Percent;

    #[test]
    fn a_margin_that_grows_with_stables_rate_needs_about_the_same_of_every_service() {
        let needed = |error_rate: f64| {
            let found = forecast(&Tolerance::default(), error_rate, 10);
            found.expect("there is an end").requests
        };
        for error_rate in [0.0, 0.0001, 0.001, 0.01, 0.02] {
            let requests = needed(error_rate);
            assert!(
                (2_000..6_000).contains(&requests),
                "{error_rate}: {requests}"
            );
        }
        let points = Tolerance {
            error_margin_points: Percent::hundredths(100),
            error_margin_percent_of_stable: 0,
            ..Tolerance::default()
        };
        let by_points = |error_rate| forecast(&points, error_rate, 10).map(|it| it.requests);
        let (clean, usual) = (by_points(0.0).unwrap(), by_points(0.01).unwrap());
        assert!((600..800).contains(&clean), "{clean}");
        assert!((1_500..2_500).contains(&usual), "{usual}");
    }
}
