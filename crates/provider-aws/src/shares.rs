//! Weights of AWS as percent.
//!
//! Invariant: what is asked for in percent is read back as the same percent.

use domain::{observation::Slice, users::Weights};

/// Blue first.
pub const SLICES: [Slice; 2] = [Slice::Blue, Slice::Green];

/// Percent per slice from the weights of each. Slices without a share are left out.
#[must_use]
pub fn percent(weights: &[(Slice, u64)]) -> Weights {
    let sum: u64 = weights.iter().map(|(_, weight)| weight).sum();
    if sum == 0 {
        return Weights::default();
    }
    let rounded = |weight: u64| u8::try_from((weight * 200 + sum) / (2 * sum)).unwrap_or(100);
    let mut shares: Vec<(Slice, u8)> = weights
        .iter()
        .map(|(slice, weight)| (*slice, rounded(*weight)))
        .collect();
    // Two shares that are both rounded up sum to 101.
    let total: u32 = shares.iter().map(|(_, share)| u32::from(*share)).sum();
    if total > 100
        && let Some((_, share)) = shares.iter_mut().max_by_key(|(_, share)| *share)
    {
        *share -= 1;
    }
    shares.into_iter().filter(|(_, share)| *share > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_is_read_back_as_it_was_written() {
        for blue in 0..=100_u8 {
            let green = 100 - blue;
            let shares = percent(&[(Slice::Blue, blue.into()), (Slice::Green, green.into())]);
            let read = (shares.share(Slice::Blue), shares.share(Slice::Green));
            assert_eq!(read, (blue, green));
        }
    }

    #[test]
    fn any_weights_sum_to_a_hundred_or_nothing() {
        for (blue, green) in [
            (0, 0),
            (1, 0),
            (999, 1),
            (1, 1),
            (1, 2),
            (3, 5),
            (1, 199),
            (199, 1),
        ] {
            let shares = percent(&[(Slice::Blue, blue), (Slice::Green, green)]);
            let sum = shares.sum();
            assert!(
                sum == 100 || (blue, green) == (0, 0) && sum == 0,
                "{blue}:{green} {shares:?}"
            );
        }
    }
}
