//! What looks at gates come to: answers from outside, verdicts, and what is remembered of them.

use serde::{Deserialize, Serialize};

use super::Number;
use crate::{evidence, time::DrivenMs};

/// What the world outside answered to a gate's question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Index of the gate in its step.
    pub gate: usize,
    /// When.
    pub at: DrivenMs,
    /// What it said.
    pub said: Said,
}

/// One answer from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "snake_case")]
pub enum Said {
    /// All is well.
    Good {
        /// What was measured, for people.
        text: String,
        /// The value, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<Number>,
    },
    /// It is not.
    Bad {
        /// What was measured, for people.
        text: String,
        /// The value, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<Number>,
    },
    /// What was counted of both sides so far.
    Counted {
        /// The new release.
        new: Counted,
        /// Stable.
        stable: Counted,
    },
    /// Nothing is known.
    Nothing {
        /// Why, for people.
        text: String,
    },
}

/// Counters of one side, as they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counted {
    /// How many there were.
    pub all: u64,
    /// How many of them went wrong.
    pub bad: u64,
}

/// Where a gate of the current step stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GateState {
    /// Its last verdict.
    pub verdict: Verdict,
    /// When the world outside was last asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<DrivenMs>,
    /// Bad answers in a row.
    #[serde(default)]
    pub bad_answers: u32,
    /// When a person was first asked, because it could not be told whether the new release is worse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undecided_at: Option<DrivenMs>,
    /// Who approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// How much speaks against the release while the gate is open; `None`: nothing was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign: Option<evidence::Sign>,
    /// When it would be met at the present rates, as of the last look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub met_at: Option<DrivenMs>,
    /// The counters that it asked for as of the beginning of the present stretch, of the new release and of
    /// stable, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<(DrivenMs, Counted, Counted)>,
    /// The last look, in words.
    #[serde(default)]
    pub text: String,
}

impl GateState {
    /// A person is asked, because it could not be told whether the new release is worse.
    #[must_use]
    pub fn asks_people(&self) -> bool {
        self.undecided_at.is_some() && self.verdict == Verdict::Open && self.approved_by.is_none()
    }
}

/// What a look at a gate came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Not enough is known yet.
    #[default]
    Open,
    /// The condition holds.
    Met,
    /// It does not, and will not.
    Failed,
}

impl Verdict {
    /// The stable code, in `snake_case`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Met => "met",
            Self::Failed => "failed",
        }
    }
}

impl From<&evidence::Conclusion> for Verdict {
    fn from(verdict: &evidence::Conclusion) -> Self {
        match verdict {
            evidence::Conclusion::Worse => Self::Failed,
            evidence::Conclusion::NotWorse => Self::Met,
            evidence::Conclusion::NotEnough { .. } => Self::Open,
        }
    }
}

/// One look at one gate: stored, streamed and drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateLook {
    /// Index of the gate in its step.
    pub gate: usize,
    /// Which gate, in words.
    pub name: String,
    /// What the look came to.
    pub verdict: Verdict,
    /// The same with its numbers, as a sentence.
    pub text: String,
    /// The numbers, where users' traffic was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Box<evidence::Look>>,
    /// The value, where something outside was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Number>,
}
