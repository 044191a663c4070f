//! Plans and their steps as people read them.

use std::fmt;

use super::{Bake, EndRefresh, Fill, Plan, Refresh, Retire, Step, Until};

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fill(fill) => write!(f, "{fill}"),
            Self::Shift(split) => write!(f, "shift users: {split}"),
            Self::Bake(bake) => write!(f, "{bake}"),
            Self::Refresh(refresh) => write!(f, "{refresh}"),
            Self::EndRefresh(end) => write!(f, "{end}"),
            Self::Retire(retire) => write!(f, "{retire}"),
        }
    }
}

impl fmt::Display for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            slice,
            launch,
            count,
            beside,
        } = self;
        write!(f, "fill {slice}: {count} healthy of {launch}")?;
        if *beside > 0 {
            write!(f, ", beside {beside} others")?;
        }
        Ok(())
    }
}

impl fmt::Display for Bake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            slice,
            launch,
            count,
            until,
        } = self;
        write!(f, "bake {slice}: {count} of {launch} stay healthy{until}")
    }
}

impl fmt::Display for Refresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            slice,
            launch,
            count,
            preferences,
        } = self;
        write!(
            f,
            "refresh {slice}: AWS replaces {count} instances by {launch}, {preferences}"
        )
    }
}

impl fmt::Display for EndRefresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slice = self.slice;
        write!(
            f,
            "end refresh {slice}: no instance refresh of this deployment is under way"
        )
    }
}

impl fmt::Display for Retire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            slice,
            launch,
            keep,
            leaving,
        } = self;
        match keep {
            0 => write!(f, "retire {slice}: none of {launch} left, {leaving} stay"),
            _ => write!(f, "retire {slice}: {keep} of {launch} left, {leaving} stay"),
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
