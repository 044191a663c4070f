//! Steps as people read them.

use super::{Step, Until};
use crate::{gate::Gate, observation::WeightsText, versions::Versions};

impl Step {
    /// The stable code of its kind, in `snake_case`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Fill { .. } => "fill",
            Self::Shift { .. } => "shift",
            Self::Bake { .. } => "bake",
            Self::Refresh { .. } => "refresh",
            Self::EndRefresh { .. } => "end_refresh",
            Self::Retire { .. } => "retire",
        }
    }

    /// The gates that must be met before it is reached: those of a bake.
    #[must_use]
    pub fn gates(&self) -> &[Gate] {
        match self {
            Self::Bake { until, .. } => &until.gates,
            Self::Fill { .. }
            | Self::Shift { .. }
            | Self::Refresh { .. }
            | Self::EndRefresh { .. }
            | Self::Retire { .. } => &[],
        }
    }

    /// The condition as a sentence that speaks of versions. Its gates are not part of it.
    #[must_use]
    pub fn sentence(&self, versions: &Versions) -> String {
        match self {
            Self::Fill {
                slice,
                launch,
                count,
                beside,
            } => {
                let others = match beside {
                    0 => String::new(),
                    others => format!(", beside {others} others"),
                };
                format!(
                    "fill {slice}: {count} healthy of {}{others}",
                    versions.name(launch)
                )
            }
            Self::Shift { weights, mirror } => {
                let mirror = mirror.as_ref().map(|mirror| format!("; {mirror}"));
                format!(
                    "shift users: {}{}",
                    WeightsText(weights),
                    mirror.unwrap_or_default()
                )
            }
            Self::Bake {
                slice,
                launch,
                count,
                until,
            } => format!(
                "bake {slice}: {count} of {} stay healthy{}",
                versions.name(launch),
                until.time()
            ),
            Self::Refresh {
                slice,
                launch,
                count,
                preferences,
            } => format!(
                "refresh {slice}: AWS replaces {count} instances by {}, {preferences}",
                versions.name(launch)
            ),
            Self::EndRefresh { slice } => {
                format!("end refresh {slice}: no instance refresh of this deployment is under way")
            }
            Self::Retire {
                slice,
                launch,
                keep,
                leaving,
            } => {
                let keep = match keep {
                    0 => "none".to_owned(),
                    keep => keep.to_string(),
                };
                format!(
                    "retire {slice}: {keep} of {} left, {leaving} stay",
                    versions.name(launch)
                )
            }
        }
    }
}

impl Until {
    fn time(&self) -> String {
        let length = match self.seconds {
            0 => String::new(),
            seconds => format!(" for {seconds} s"),
        };
        let warm = self.warm.map_or_else(String::new, |warm| {
            format!(" while {warm} stays ready for the way back")
        });
        format!("{length}{warm}")
    }
}

/// A plan as the tables of the tests write it: numbered, with its gates.
#[cfg(test)]
pub(crate) fn golden(plan: &super::Plan) -> String {
    let line = |(index, step): (usize, &Step)| {
        let gates: Vec<String> = step.gates().iter().map(ToString::to_string).collect();
        let gates = match gates.is_empty() {
            true => String::new(),
            false => format!("; gates: {}", gates.join(", ")),
        };
        let sentence = step.sentence(&Versions::default());
        format!("{}. {sentence}{gates}\n", index + 1)
    };
    plan.steps.iter().enumerate().map(line).collect()
}
