//! The options that only an instance refresh has.

use std::str::FromStr;

use clap::Args;
use serde_json::{Value, json};

use super::Shares;
use crate::{amounts::Seconds, failure::Failure};

/// Shares of a group from 1 to 100, written `20,50` or `20%,50%`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Checkpoints(Vec<u8>);

impl FromStr for Checkpoints {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let shares = text.parse().ok().map(|Shares(shares)| shares);
        let shares = shares.filter(|shares| !shares.contains(&0));
        shares
            .map(Self)
            .ok_or_else(|| "write growing shares of the group, such as 20,50".to_owned())
    }
}

/// Where AWS waits, and what makes it roll back.
#[derive(Debug, Default, Args)]
pub(super) struct RefreshArgs {
    /// instance-refresh: wait at these shares of the group, such as 20,50
    #[arg(long, value_name = "SHARES")]
    checkpoints: Option<Checkpoints>,
    /// With --checkpoints: how long to wait at each, such as 10m [default: 1h]
    #[arg(long, value_name = "TIME")]
    checkpoint_delay: Option<Seconds>,
    /// instance-refresh: roll back when this CloudWatch alarm fires; can be repeated
    #[arg(long, value_name = "NAME")]
    alarm: Vec<String>,
}

impl RefreshArgs {
    /// Every option, and whether it is given.
    pub(super) fn options(&self) -> [(&'static str, bool); 3] {
        [
            ("--checkpoints", self.checkpoints.is_some()),
            ("--checkpoint-delay", self.checkpoint_delay.is_some()),
            ("--alarm", !self.alarm.is_empty()),
        ]
    }

    /// Whether the options can be used together.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.checkpoint_delay.is_some() && self.checkpoints.is_none() {
            return Err(Failure::usage(
                "--checkpoint-delay needs --checkpoints: there is no checkpoint to wait at",
            )
            .next("add --checkpoints 50 to wait at half of the group"));
        }
        Ok(())
    }

    /// The fields that are sent; `None`: left to the server.
    pub(super) fn body(&self) -> [(&'static str, Option<Value>); 3] {
        let checkpoints = self.checkpoints.as_ref().map(|Checkpoints(shares)| {
            // AWS always replaces all of the group in the end.
            let shares = shares.iter().filter(|share| **share < 100);
            shares.copied().collect()
        });
        let delay = self.checkpoint_delay.map(|Seconds(seconds)| seconds.into());
        let alarms = (!self.alarm.is_empty()).then(|| json!(self.alarm));
        [
            ("checkpoints", checkpoints),
            ("checkpoint_delay_seconds", delay),
            ("alarms", alarms),
        ]
    }
}
