//! Steps as people read them.

use super::{Bake, EndRefresh, Fill, Refresh, Retire, Step, Until};
use crate::{gate::Gate, versions::Versions};

impl Step {
    /// The stable code of its kind, in `snake_case`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Fill(_) => "fill",
            Self::Shift(_) => "shift",
            Self::Bake(_) => "bake",
            Self::Refresh(_) => "refresh",
            Self::EndRefresh(_) => "end_refresh",
            Self::Retire(_) => "retire",
        }
    }

    /// The gates that must be met before it is reached: those of a bake.
    #[must_use]
    pub fn gates(&self) -> &[Gate] {
        match self {
            Self::Bake(bake) => &bake.until.gates,
            Self::Fill(_)
            | Self::Shift(_)
            | Self::Refresh(_)
            | Self::EndRefresh(_)
            | Self::Retire(_) => &[],
        }
    }

    /// The condition as a sentence that speaks of versions. Its gates are not part of it.
    #[must_use]
    pub fn sentence(&self, versions: &Versions) -> String {
        match self {
            Self::Fill(fill) => fill.sentence(versions),
            Self::Shift(split) => format!("shift users: {split}"),
            Self::Bake(bake) => bake.sentence(versions),
            Self::Refresh(refresh) => refresh.sentence(versions),
            Self::EndRefresh(EndRefresh { slice }) => {
                format!("end refresh {slice}: no instance refresh of this deployment is under way")
            }
            Self::Retire(retire) => retire.sentence(versions),
        }
    }
}

impl Fill {
    fn sentence(&self, versions: &Versions) -> String {
        let Self { slice, count, .. } = self;
        let version = versions.name(&self.launch);
        let others = match self.beside {
            0 => String::new(),
            others => format!(", beside {others} others"),
        };
        format!("fill {slice}: {count} healthy of {version}{others}")
    }
}

impl Bake {
    fn sentence(&self, versions: &Versions) -> String {
        let Self { slice, count, .. } = self;
        let (version, time) = (versions.name(&self.launch), self.until.time());
        format!("bake {slice}: {count} of {version} stay healthy{time}")
    }
}

impl Refresh {
    fn sentence(&self, versions: &Versions) -> String {
        let Self {
            slice,
            count,
            preferences,
            ..
        } = self;
        let version = versions.name(&self.launch);
        format!("refresh {slice}: AWS replaces {count} instances by {version}, {preferences}")
    }
}

impl Retire {
    fn sentence(&self, versions: &Versions) -> String {
        let Self { slice, leaving, .. } = self;
        let version = versions.name(&self.launch);
        let keep = match self.keep {
            0 => "none".to_owned(),
            keep => keep.to_string(),
        };
        format!("retire {slice}: {keep} of {version} left, {leaving} stay")
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
