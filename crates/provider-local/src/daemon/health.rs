//! How many checks in a row change an instance's health.

use domain::{catalogue::HealthCheck, observation::InstanceState};

use super::check::Outcome;

/// Counts passes and failures in a row.
#[derive(Debug)]
pub(super) struct Health {
    state: State,
    passes: u32,
    failures: u32,
}

/// What an instance is found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It was never healthy.
    Starting,
    Healthy,
    /// It was healthy, and is not.
    Ill,
}

/// What a check changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    None,
    Healthy,
    Ill,
}

impl Health {
    /// Of an instance that was last seen in `state`.
    pub(super) fn new(state: InstanceState) -> Self {
        let state = match state {
            InstanceState::Healthy => State::Healthy,
            InstanceState::Unhealthy => State::Ill,
            _ => State::Starting,
        };
        Self {
            state,
            passes: 0,
            failures: 0,
        }
    }

    /// Whether it was never healthy.
    pub(super) fn is_starting(&self) -> bool {
        self.state == State::Starting
    }

    /// Whether another pass would be good news: it must be sure then that the instance itself
    /// answers.
    pub(super) fn is_turning(&self, check: &HealthCheck) -> bool {
        let enough = self.passes.saturating_add(1) >= check.healthy_threshold.max(1);
        match self.state {
            State::Healthy => self.failures > 0,
            State::Starting | State::Ill => enough,
        }
    }

    /// Counts one outcome. What could not be checked counts for nothing.
    pub(super) fn see(&mut self, outcome: &Outcome, check: &HealthCheck) -> Change {
        match outcome {
            Outcome::Pass => {
                (self.passes, self.failures) = (self.passes.saturating_add(1), 0);
                let enough = self.passes >= check.healthy_threshold.max(1);
                if self.state != State::Healthy && enough {
                    self.state = State::Healthy;
                    return Change::Healthy;
                }
            }
            Outcome::Fail(_) => {
                (self.passes, self.failures) = (0, self.failures.saturating_add(1));
                let enough = self.failures >= check.unhealthy_threshold.max(1);
                if self.state == State::Healthy && enough {
                    self.state = State::Ill;
                    return Change::Ill;
                }
            }
            Outcome::Unknown(_) => {}
        }
        Change::None
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fault::Fault, *};

    fn changes(state: InstanceState, letters: &str) -> String {
        let check = HealthCheck {
            healthy_threshold: 2,
            unhealthy_threshold: 3,
            ..HealthCheck::default()
        };
        let mut health = Health::new(state);
        let change = |letter| {
            let outcome = match letter {
                '+' => Outcome::Pass,
                '-' => Outcome::Fail(Fault::Silent),
                _ => Outcome::Unknown("no descriptors".to_owned()),
            };
            match health.see(&outcome, &check) {
                Change::None => '.',
                Change::Healthy => 'H',
                Change::Ill => 'I',
            }
        };
        letters.chars().map(change).collect()
    }

    #[test]
    fn health_changes_after_as_many_checks_in_a_row_as_the_thresholds_say() {
        let starts = |letters| changes(InstanceState::Pending, letters);
        assert_eq!(starts("-+-++-+---"), "....H....I");
        assert_eq!(starts("++---+-++"), ".H..I...H", "it may recover");
        assert_eq!(changes(InstanceState::Healthy, "--+---"), ".....I");
        assert_eq!(changes(InstanceState::Unhealthy, "---++"), "....H");
    }

    #[test]
    fn what_could_not_be_checked_is_no_verdict() {
        let starts = |letters| changes(InstanceState::Pending, letters);
        assert_eq!(starts("++??????????"), ".H..........");
        assert_eq!(starts("++-?-?+"), ".H.....");
        assert_eq!(starts("+?+--?-"), "..H...I", "the others count on");
    }
}
