//! Is the new release's rate above a fixed one, whatever stable does?
//!
//! `(p / m)^c ((1 - p) / (1 - m))^(a - c)` has a mean of at most 1 for each `p > m` as long as each of the
//! `a` requests is an event with a chance of at most `m`; so has the average over a few `p`. It is taken
//! anew at each share of users, whose parts of alpha add up to all of it.

use super::{Arm, MILLION, RATIOS, ln_mean_exp, look::CeilingLook, question::needed};
use crate::evidence::Conclusion;

/// Judges what the new release had at the `nth` share of users, from 0, against the most that it may.
pub(super) fn judge(new: Arm, max_ppm: u32, nth: u32, alpha_ppm: u32) -> CeilingLook {
    let (a, c) = (new.requests as f64, new.events as f64);
    let most = (f64::from(max_ppm) / MILLION).clamp(1e-9, 1.0 - 1e-9);
    let terms = RATIOS.map(|ratio| {
        let p = (most * ratio).min(f64::midpoint(1.0, most));
        c * (p / most).ln() + (a - c) * ((1.0 - p) / (1.0 - most)).ln()
    });
    let n = f64::from(nth);
    let needed = needed(alpha_ppm) + ((n + 1.0) * (n + 2.0)).ln();
    let rate = c / a.max(1.0);
    let verdict = if ln_mean_exp(&terms) >= needed {
        Conclusion::Worse
    } else if a > 0.0 && rate <= most {
        Conclusion::NotWorse
    } else {
        Conclusion::NotEnough {
            more_requests: None,
        }
    };
    CeilingLook {
        verdict,
        new_ppm: (rate * MILLION).round() as i64,
        max_ppm,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_above_the_most_is_found_and_one_below_is_not() {
        let verdict = |requests, events| {
            let new = Arm { requests, events };
            judge(new, 50_000, 0, 250).verdict
        };
        let open = Conclusion::NotEnough {
            more_requests: None,
        };
        for (requests, events, expected) in [
            (0, 0, open),
            (1, 1, open),
            (100, 5, Conclusion::NotWorse),
            (100, 6, open),
            (1_000, 100, Conclusion::Worse),
            (20, 20, Conclusion::Worse),
            (100_000, 5_100, open),
        ] {
            assert_eq!(
                verdict(requests, events),
                expected,
                "{events} of {requests}"
            );
        }
    }
}
