//! The gate that asks an HTTP check.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Deadline, Patience, Settings};
use crate::bounds::{Faults, Limit, Limited, TEXT_MAX, is_http};

/// An HTTP check: a POST with the deployment in its body. 2xx means that all is well, anything else
/// that it is not, no answer that nothing is known (the convention of Flagger's webhooks).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpGate {
    /// At which shares of users it is looked at, in percent (0: before anybody is moved); empty:
    /// wherever both have users, or before anybody is moved when that is nowhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<u8>,
    /// Where.
    pub url: String,
    /// How often it is asked, and how many bad answers in a row make it fail.
    #[serde(default)]
    pub patience: Patience,
    /// How long it may stay open after the time of its stage, in seconds.
    #[serde(default)]
    pub deadline: Deadline,
}

impl Limited for HttpGate {
    const LIMITS: &'static [Limit<Self>] = &[Limit::bytes("url", 1..=TEXT_MAX, |it| it.url.len())];
}

impl Settings for HttpGate {
    fn at(&self) -> &[u8] {
        &self.at
    }

    fn deadline(&self) -> Deadline {
        self.deadline
    }

    fn patience(&self) -> Option<Patience> {
        Some(self.patience)
    }

    fn faults(&self, faults: &mut Faults) {
        faults.limits("gates", self);
        let rule = "must be an address that begins with http:// or https://";
        faults.unless(is_http(&self.url), "gates.url", rule);
    }
}

impl fmt::Display for HttpGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "check at {}", self.url)
    }
}
