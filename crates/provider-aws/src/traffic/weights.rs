//! AWS's weights as percentages, and back.
//!
//! Invariant: a percentage that is written is read back as the same percentage.

use domain::{slice::Slice, users::Weights};

/// How users are split, as seen at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// The percentage of users that each slice has.
    pub weights: Weights,
    /// How old that may be, in milliseconds.
    pub stale_ms: u64,
    /// What is wrong with the listener or the records, one sentence each.
    pub obstacles: Vec<String>,
}

impl Split {
    /// A split in effect now, with nothing wrong.
    pub fn new(weights: Weights) -> Self {
        Self {
            weights,
            ..Self::default()
        }
    }
}

/// Percent per slice from AWS's weight of each. Slices that come to 0 % are left out.
#[must_use]
pub fn percent(weights: &[(Slice, u64)]) -> Weights {
    let sum: u64 = weights.iter().map(|(_, weight)| weight).sum();
    if sum == 0 {
        return Weights::default();
    }
    let rounded = |weight: u64| u8::try_from((weight * 200 + sum) / (2 * sum)).unwrap_or(100);
    let mut percents: Vec<(Slice, u8)> = weights
        .iter()
        .map(|(slice, weight)| (*slice, rounded(*weight)))
        .collect();
    // Two that are both rounded up sum to 101.
    let total: u32 = percents
        .iter()
        .map(|(_, percent)| u32::from(*percent))
        .sum();
    if total > 100
        && let Some((_, largest)) = percents.iter_mut().max_by_key(|(_, percent)| *percent)
    {
        *largest -= 1;
    }
    percents
        .into_iter()
        .filter(|(_, percent)| *percent > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_is_read_back_as_it_was_written() {
        for blue in 0..=100_u8 {
            let green = 100 - blue;
            let read = percent(&[(Slice::Blue, blue.into()), (Slice::Green, green.into())]);
            assert_eq!(
                (read.share(Slice::Blue), read.share(Slice::Green)),
                (blue, green)
            );
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
            let read = percent(&[(Slice::Blue, blue), (Slice::Green, green)]);
            let sum = read.sum();
            assert!(
                sum == 100 || (blue, green) == (0, 0) && sum == 0,
                "{blue}:{green} {read:?}"
            );
        }
    }
}
