//! Plans and their steps as people read them.

use std::fmt;

use super::{Plan, Step, Until};
use crate::observation::WeightsText;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fill {
                slice,
                launch,
                count,
                beside: 0,
            } => {
                write!(f, "fill {slice}: {count} healthy of {launch}")
            }
            Self::Fill {
                slice,
                launch,
                count,
                beside,
            } => {
                write!(
                    f,
                    "fill {slice}: {count} healthy of {launch}, beside {beside} others"
                )
            }
            Self::Shift { weights, mirror } => {
                write!(f, "shift users: {}", WeightsText(weights))?;
                match mirror {
                    Some(mirror) => write!(f, "; {mirror}"),
                    None => Ok(()),
                }
            }
            Self::Bake {
                slice,
                launch,
                count,
                until,
            } => write!(f, "bake {slice}: {count} of {launch} stay healthy{until}"),
            Self::Refresh {
                slice,
                launch,
                count,
                preferences,
            } => write!(
                f,
                "refresh {slice}: AWS replaces {count} instances by {launch}, {preferences}"
            ),
            Self::EndRefresh { slice } => {
                write!(
                    f,
                    "end refresh {slice}: no instance refresh of this deployment is under way"
                )
            }
            Self::Retire {
                slice,
                launch,
                keep: 0,
                leaving,
            } => {
                write!(f, "retire {slice}: none of {launch} left, {leaving} stay")
            }
            Self::Retire {
                slice,
                launch,
                keep,
                leaving,
            } => {
                write!(f, "retire {slice}: {keep} of {launch} left, {leaving} stay")
            }
        }
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.seconds > 0 {
            write!(f, " for {} s", self.seconds)?;
        }
        if let Some(warm) = self.warm {
            write!(f, " while {warm} stays ready for the way back")?;
        }
        let mut before = "; gates: ";
        for gate in &self.gates {
            write!(f, "{before}{gate}")?;
            before = ", ";
        }
        Ok(())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            writeln!(f, "{}. {step}", index + 1)?;
        }
        Ok(())
    }
}
