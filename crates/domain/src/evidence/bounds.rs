//! Bounds of a rate that hold at every moment at once: Beta-mixture confidence sequences.
//!
//! For `x` events in `n` requests, a rate `p` is ruled out once the mixture of the binomial
//! likelihood over a uniform prior is `1/alpha` times the likelihood at `p`.

use super::Arm;

/// Halvings of an interval: 2^-40 is far below a millionth.
const HALVINGS: u32 = 40;

/// The largest rate that is not ruled out.
pub(super) fn upper(arm: Arm, alpha: f64) -> f64 {
    let measured = rate(arm);
    search(measured, 1.0, |p| rules_out(arm, p, alpha)).1
}

/// The smallest rate that is not ruled out.
pub(super) fn lower(arm: Arm, alpha: f64) -> f64 {
    let measured = rate(arm);
    search(measured, 0.0, |p| rules_out(arm, p, alpha)).1
}

/// The rate is surely below `p`.
pub(super) fn is_below(arm: Arm, p: f64, alpha: f64) -> bool {
    rate(arm) < p && rules_out(arm, p, alpha)
}

/// The rate is surely above `p`.
pub(super) fn is_above(arm: Arm, p: f64, alpha: f64) -> bool {
    arm.requests > 0 && rate(arm) > p && rules_out(arm, p, alpha)
}

fn rate(arm: Arm) -> f64 {
    arm.events as f64 / arm.requests.max(1) as f64
}

/// Between a rate that stands and the end of the scale: where ruling out begins.
fn search(stands: f64, end: f64, ruled_out: impl Fn(f64) -> bool) -> (f64, f64) {
    if !ruled_out(end) {
        return (end, end);
    }
    let (mut inside, mut outside) = (stands, end);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(inside, outside);
        if ruled_out(middle) {
            outside = middle;
        } else {
            inside = middle;
        }
    }
    (inside, outside)
}

fn rules_out(arm: Arm, p: f64, alpha: f64) -> bool {
    let (n, x) = (arm.requests as f64, arm.events as f64);
    let mixture = ln_factorial(x) + ln_factorial(n - x) - ln_factorial(n + 1.0);
    let likelihood = times_ln(x, p) + times_ln(n - x, 1.0 - p);
    mixture - likelihood >= -alpha.ln()
}

/// x ln p, where nothing of nothing is nothing.
fn times_ln(x: f64, p: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x * p.ln() }
}

/// ln n!, by Stirling's series beyond small numbers (Abramowitz and Stegun, 6.1.41).
fn ln_factorial(n: f64) -> f64 {
    let mut product = 0.0;
    let mut x = n + 1.0;
    while x < 10.0 {
        product += x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / x;
    let square = inverse * inverse;
    let series = inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square / 1260.0));
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factorials_are_right() {
        let mut exact = 0.0_f64;
        for n in 1..200 {
            exact += f64::from(n).ln();
            assert!((ln_factorial(f64::from(n)) - exact).abs() < 1e-9, "{n}!");
        }
        assert!(ln_factorial(0.0).abs() < 1e-9);
    }

    #[test]
    fn bounds_hold_the_measured_rate_and_close_in() {
        let mut before = 1.0;
        for requests in [0, 10, 100, 1000, 10_000, 1_000_000] {
            let arm = Arm {
                requests,
                events: requests / 10,
            };
            let (low, high) = (lower(arm, 0.01), upper(arm, 0.01));
            let rate = rate(arm);
            assert!(
                low <= rate && rate <= high && high - low <= before,
                "{requests}: {low} {high}"
            );
            before = high - low;
        }
        assert!(
            before < 0.003,
            "a million requests bound a rate of 10 % to {before}"
        );
        let none = Arm {
            requests: 1000,
            events: 0,
        };
        assert!(lower(none, 0.01) <= 0.0 && (0.008..0.015).contains(&upper(none, 0.01)));
    }
}
