//! Instance refresh: AWS replaces the instances, and starts new ones before it stops old ones ("Use an
//! instance refresh to update instances in an Auto Scaling group", AWS, read 2026-11).
//!
//! ```text
//! 4 instances, surge 50 %
//! refresh    AWS starts 2 new beside 4, stops 2 old once they are ready, waits, and does it again
//! (fill)     only where more instances are asked for than there are
//! (retire)   only where fewer are
//! ```
//!
//! The way back is AWS's own first. What it leaves undone is done as after a scale-up:
//!
//! ```text
//! end refresh -> fill with stable -> shift -> retire the failed release
//! ```
//!
//! Invariant: never less than 100 % healthy, as AWS counts it; the group launches stable until the
//! refresh succeeded, so that AWS and Pointsman both know the way back.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Capacity, Fill, Refresh, Retire, Situation, Step};
use crate::{
    bounds::{DAY, Faults, HEALTH_DEADLINE, Limit, Limited, PERCENT},
    gate,
    release::Launch,
    time::human_ms,
};

/// Most instance-refresh alarms that AWS takes (API reference, `AlarmSpecification`, read 2026-11).
pub const ALARMS_MAX: u32 = 10;
/// Longest time at a checkpoint, in seconds (API reference, `RefreshPreferences`, read 2026-11).
pub const CHECKPOINT_DELAY_SECONDS_MAX: u32 = 172_800;

/// The numbers of an instance refresh: AWS starts new instances, waits until they are in service, and
/// stops old ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(default))]
#[serde(deny_unknown_fields, default)]
pub struct InstanceRefresh {
    /// Maximum number of extra instances at once, in percent of the instances that there are.
    pub surge_percent: u32,
    /// Time that AWS waits before old instances are stopped, once new ones are in service, in seconds.
    pub bake_seconds: u32,
    /// Time for new instances to become healthy, in seconds.
    pub health_deadline_seconds: u32,
    /// Shares of the group after which it waits, in percent, growing.
    pub checkpoints: Vec<u8>,
    /// Time that it waits at each checkpoint, in seconds.
    pub checkpoint_delay_seconds: u32,
    /// CloudWatch alarms that make AWS roll back at once.
    pub alarms: Vec<String>,
}

impl Default for InstanceRefresh {
    fn default() -> Self {
        Self {
            surge_percent: 100,
            bake_seconds: 10,
            health_deadline_seconds: 300,
            checkpoints: Vec::new(),
            checkpoint_delay_seconds: 3600,
            alarms: Vec::new(),
        }
    }
}

impl Limited for InstanceRefresh {
    const LIMITS: &'static [Limit<Self>] = &[
        Limit::number("surge_percent", PERCENT, |it| Some(it.surge_percent)),
        Limit::number("bake_seconds", 0..=DAY, |it| Some(it.bake_seconds)),
        Limit::number("health_deadline_seconds", HEALTH_DEADLINE, |it| {
            Some(it.health_deadline_seconds)
        }),
        Limit::each("checkpoints", 1..=99, |it| &it.checkpoints),
        Limit::number(
            "checkpoint_delay_seconds",
            0..=CHECKPOINT_DELAY_SECONDS_MAX,
            |it| Some(it.checkpoint_delay_seconds),
        ),
        Limit::items("alarms", 0..=ALARMS_MAX, |it| it.alarms.len()),
    ];
}

impl InstanceRefresh {
    /// Notes the rules that its numbers break.
    pub(crate) fn faults(&self, faults: &mut Faults) {
        let growing = self.checkpoints.is_sorted_by(|one, next| one < next);
        let rule = "must be growing shares of the group from 1 to 99";
        faults.unless(growing, "checkpoints", rule);
        faults.limits("", self);
        gate::alarms("alarms", &self.alarms, faults);
    }
}

/// How AWS is asked to replace instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Preferences {
    /// Instances that may run at once, in percent of the desired ones (101 to 200). At least 100 % are
    /// always healthy.
    pub max_healthy_percent: u32,
    /// How long a new instance must be in service before old ones go, and all of them in the end before
    /// the refresh counts as successful, in seconds.
    pub bake_seconds: u32,
    /// Shares of the group after which it waits, in percent, growing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checkpoints: Vec<u8>,
    /// How long it waits at each, in seconds.
    #[serde(default)]
    pub checkpoint_delay_seconds: u32,
    /// CloudWatch alarms that make AWS roll back at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<String>,
}

impl Preferences {
    /// Instances that are started beside `count`, at most. AWS does not say how it rounds; up is safe
    /// for limits.
    #[must_use]
    pub fn surge(&self, count: u32) -> u32 {
        surge(count, self.max_healthy_percent.saturating_sub(100))
    }

    /// How many times new instances are waited for: each wave replaces a surge, and ends at a
    /// checkpoint at the latest.
    #[must_use]
    pub fn waves(&self, count: u32) -> u32 {
        let checkpoints = u32::try_from(self.checkpoints.len()).unwrap_or(u32::MAX);
        // Rounded down, so that a wave that AWS makes smaller is waited for too.
        let percent = u64::from(self.max_healthy_percent.saturating_sub(100));
        let wave = u32::try_from(u64::from(count) * percent / 100).unwrap_or(u32::MAX);
        let waves = count.div_ceil(wave.max(1)).max(1);
        waves.saturating_add(checkpoints)
    }

    /// Time that it spends waiting on purpose, in milliseconds: at checkpoints, and watching.
    #[must_use]
    pub fn watching_ms(&self, count: u32) -> u64 {
        let checkpoints = self.checkpoints.len() as u64;
        let watches = u64::from(self.waves(count)) + 1;
        1000 * (checkpoints * u64::from(self.checkpoint_delay_seconds)
            + watches * u64::from(self.bake_seconds))
    }
}

impl fmt::Display for Preferences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "100 to {} % at once", self.max_healthy_percent)?;
        if !self.checkpoints.is_empty() {
            let shares: Vec<String> = self.checkpoints.iter().map(u8::to_string).collect();
            let (shares, delay) = (
                shares.join(", "),
                u64::from(self.checkpoint_delay_seconds) * 1000,
            );
            write!(f, "; waits {} at {shares} %", human_ms(delay))?;
        }
        if !self.alarms.is_empty() {
            write!(f, "; rolls back on {}", self.alarms.join(", "))?;
        }
        Ok(())
    }
}

fn surge(count: u32, percent: u32) -> u32 {
    let surge = (u64::from(count) * u64::from(percent)).div_ceil(100);
    u32::try_from(surge).unwrap_or(u32::MAX)
}

/// The largest percentage that the surge and the limit allow; `None` without room for one instance more.
fn max_healthy_percent(options: &InstanceRefresh, capacity: Capacity) -> Option<u32> {
    let room = capacity.limit.saturating_sub(capacity.current);
    let fits = |percent: &u32| surge(capacity.current, *percent) <= room;
    let percent = (1..=options.surge_percent.min(100)).rev().find(fits)?;
    Some(100 + percent)
}

/// Whether there is room to start one new instance beside the old ones.
#[must_use]
pub fn has_room(options: &InstanceRefresh, capacity: Capacity) -> bool {
    max_healthy_percent(options, capacity).is_some()
}

/// Most instances that the plan ever has at once.
#[must_use]
pub fn ceiling(options: &InstanceRefresh, capacity: Capacity) -> u32 {
    let percent = max_healthy_percent(options, capacity).unwrap_or(100) - 100;
    let most = capacity
        .current
        .saturating_add(surge(capacity.current, percent));
    capacity.asked.max(most)
}

/// The steps. Empty when the limit leaves no room for a single instance more.
#[must_use]
pub fn steps(
    options: &InstanceRefresh,
    situation: &Situation,
    new: &Launch,
    old: &Launch,
) -> Vec<Step> {
    let (slice, capacity) = (situation.roles.next, situation.capacity);
    let Some(max_healthy_percent) = max_healthy_percent(options, capacity) else {
        return Vec::new();
    };
    let mut steps = vec![Step::Refresh(Refresh {
        slice,
        launch: new.id.clone(),
        count: capacity.current,
        preferences: Preferences {
            max_healthy_percent,
            bake_seconds: options.bake_seconds,
            checkpoints: options.checkpoints.clone(),
            checkpoint_delay_seconds: options.checkpoint_delay_seconds,
            alarms: options.alarms.clone(),
        },
    })];
    if capacity.asked > capacity.current {
        steps.push(Step::Fill(Fill {
            slice,
            launch: new.id.clone(),
            count: capacity.asked,
            beside: 0,
        }));
    }
    if capacity.asked < capacity.current {
        steps.push(Step::Retire(Retire {
            slice,
            launch: old.id.clone(),
            keep: 0,
            leaving: capacity.asked,
            only_if_any: false,
        }));
    }
    steps
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        observation::Slice,
        plan::{Plan, Roles},
        release::{Content, Digest, LaunchId},
    };

    fn options(surge_percent: u32, checkpoints: &[u8]) -> InstanceRefresh {
        InstanceRefresh {
            surge_percent,
            checkpoints: checkpoints.to_vec(),
            checkpoint_delay_seconds: 600,
            alarms: vec!["too many errors".to_owned()],
            ..InstanceRefresh::default()
        }
    }

    fn launch(version: &str) -> Launch {
        Launch {
            id: LaunchId(version.to_owned()),
            version: version.parse().unwrap(),
            content: Content::package(Digest::from_bytes([7; 32])),
        }
    }

    fn planned(options: &InstanceRefresh, (asked, current, limit): (u32, u32, u32)) -> Plan {
        let situation = Situation {
            capacity: Capacity {
                asked,
                current,
                limit,
            },
            roles: Roles {
                next: Slice::Blue,
                live: Slice::Blue,
            },
            leftovers: Vec::new(),
            users_on_next: false,
        };
        let steps = steps(options, &situation, &launch("v2"), &launch("v1"));
        Plan { steps }
    }

    fn check(options: &InstanceRefresh, numbers: (u32, u32, u32), expected: Expect) {
        expected.assert_eq(&crate::plan::golden(&planned(options, numbers)));
    }

    #[test]
    fn aws_doubles_and_keeps_the_new_half() {
        check(
            &options(100, &[]),
            (4, 4, u32::MAX),
            expect![[r#"
            1. refresh blue: AWS replaces 4 instances by v2, 100 to 200 % at once; rolls back on too many errors
        "#]],
        );
        check(
            &options(50, &[20, 50]),
            (4, 4, u32::MAX),
            expect![[r#"
            1. refresh blue: AWS replaces 4 instances by v2, 100 to 150 % at once; waits 10 min at 20, 50 %; rolls back on too many errors
        "#]],
        );
    }

    #[test]
    fn the_size_is_brought_about_after_it() {
        check(
            &options(100, &[]),
            (6, 4, u32::MAX),
            expect![[r#"
            1. refresh blue: AWS replaces 4 instances by v2, 100 to 200 % at once; rolls back on too many errors
            2. fill blue: 6 healthy of v2
        "#]],
        );
        check(
            &options(100, &[]),
            (2, 4, u32::MAX),
            expect![[r#"
            1. refresh blue: AWS replaces 4 instances by v2, 100 to 200 % at once; rolls back on too many errors
            2. retire blue: none of v1 left, 2 stay
        "#]],
        );
    }

    #[test]
    fn the_limit_is_kept() {
        check(
            &options(100, &[]),
            (4, 4, 5),
            expect![[r#"
            1. refresh blue: AWS replaces 4 instances by v2, 100 to 125 % at once; rolls back on too many errors
        "#]],
        );
        check(&options(100, &[]), (4, 4, 4), expect![[""]]);
    }

    proptest! {
        #[test]
        fn never_more_than_the_limit(
            current in 1u32..400, room in 0u32..40, surge_percent in 1u32..=100,
        ) {
            let (options, limit) = (options(surge_percent, &[]), current + room);
            let capacity = Capacity { asked: current, current, limit };
            let most = ceiling(&options, capacity);
            prop_assert!(most <= limit);
            let plan = planned(&options, (current, current, limit));
            prop_assert_eq!(plan.steps.is_empty(), most == current, "no plan without room");
            for step in &plan.steps {
                if let Step::Refresh(Refresh { count, preferences, .. }) = step {
                    prop_assert_eq!(count + preferences.surge(*count), most);
                    prop_assert!((101..=200).contains(&preferences.max_healthy_percent));
                }
            }
        }
    }
}
