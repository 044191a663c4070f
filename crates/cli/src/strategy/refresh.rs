//! Who replaces the instances of a scale-up: `--engine` and the options that go with it.

use std::str::FromStr;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::Shares;
use crate::{amounts::Seconds, failure::Failure};

/// The engines of `--engine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Engine {
    /// Pointsman doubles the group and keeps the new half
    Pointsman,
    /// AWS does it, by an instance refresh of the Auto Scaling group
    InstanceRefresh,
}

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

/// Who replaces the instances, and how.
#[derive(Debug, Default, Args)]
pub(super) struct EngineArgs {
    /// scale-up: who replaces the instances [default: pointsman]
    #[arg(long, value_enum, value_name = "ENGINE")]
    engine: Option<Engine>,
    /// With --engine instance-refresh: wait at these shares of the group, such as 20,50
    #[arg(long, value_name = "SHARES")]
    checkpoints: Option<Checkpoints>,
    /// With --checkpoints: how long to wait at each, such as 10m [default: 1h]
    #[arg(long, value_name = "TIME")]
    checkpoint_delay: Option<Seconds>,
    /// With --engine instance-refresh: roll back when this CloudWatch alarm rings; may be repeated
    #[arg(long, value_name = "NAME")]
    alarm: Vec<String>,
}

impl EngineArgs {
    /// Every option, and whether it is given.
    pub(super) fn options(&self) -> [(&'static str, bool); 4] {
        [
            ("--engine", self.engine.is_some()),
            ("--checkpoints", self.checkpoints.is_some()),
            ("--checkpoint-delay", self.checkpoint_delay.is_some()),
            ("--alarm", !self.alarm.is_empty()),
        ]
    }

    /// The options make sense together.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let refreshes = self.engine == Some(Engine::InstanceRefresh);
        let stray = self.options().into_iter().skip(1).find(|(_, given)| *given);
        if let Some((option, _)) = stray.filter(|_| !refreshes) {
            return Err(Failure::usage(format!(
                "{option} is for AWS, and Pointsman is the engine"
            ))
            .next("leave it out, or add --engine instance-refresh"));
        }
        if self.checkpoint_delay.is_some() && self.checkpoints.is_none() {
            return Err(
                Failure::usage("--checkpoint-delay has no checkpoint to wait at")
                    .next("add --checkpoints 50 to wait at half of the group"),
            );
        }
        Ok(())
    }

    /// What is sent of it; `None` where Pointsman is the engine.
    pub(super) fn body(&self) -> Option<Value> {
        self.engine.filter(|it| *it == Engine::InstanceRefresh)?;
        let mut body = json!({});
        if let Some(Checkpoints(shares)) = &self.checkpoints {
            // AWS always replaces all of the group in the end.
            let shares = shares.iter().filter(|share| **share < 100);
            body["checkpoints"] = shares.copied().collect();
        }
        if let Some(Seconds(seconds)) = self.checkpoint_delay {
            body["checkpoint_delay_seconds"] = seconds.into();
        }
        if !self.alarm.is_empty() {
            body["alarms"] = json!(self.alarm);
        }
        Some(body)
    }
}
