//! What is asked for on the command line.

use crate::{Kind, RULES};

/// What is played.
pub struct Plan {
    quick: bool,
    /// Only our rule, as it is set by default.
    ours: bool,
    /// Only rows whose name contains one of these; all where there is none.
    only: Vec<String>,
    /// So many of each row.
    releases: Option<u64>,
}

impl Plan {
    /// What the command line asks for.
    pub fn of_arguments() -> Self {
        let arguments: Vec<String> = std::env::args().collect();
        let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
        let values = |flag: &'static str| {
            let pairs = arguments.iter().zip(arguments.iter().skip(1));
            pairs
                .filter(move |(name, _)| *name == flag)
                .map(|(_, value)| value)
        };
        Self {
            quick: has("--quick"),
            ours: has("--ours"),
            only: values("--only").cloned().collect(),
            releases: values("--releases").find_map(|it| it.parse().ok()),
        }
    }

    /// Every row is shown.
    pub fn is_whole(&self) -> bool {
        self.only.is_empty()
    }

    /// Whether a row is shown.
    pub fn shows(&self, kind: &Kind) -> bool {
        self.is_whole() || self.only.iter().any(|text| kind.name.contains(text))
    }

    /// How many releases of a kind are played.
    pub fn releases(&self, kind: &Kind) -> u64 {
        let part = if self.quick { 20 } else { 1 };
        self.releases
            .unwrap_or_else(|| (kind.releases / part).max(10))
    }

    /// How many of the rules judge them.
    pub fn rules(&self) -> usize {
        if self.ours { 1 } else { RULES.len() }
    }
}
