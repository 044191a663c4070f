//! Scale-up patching: make the new release live, double the group, keep only the new half.
//!
//! With less than 100 % surge, or too little room to double, the same happens in waves:
//!
//! ```text
//! 4 instances, surge 50 %        new  old   instances
//! fill 2 beside 4                 2    4    6
//! retire to 2 old                 2    2    4
//! fill 4 beside 2                 4    2    6
//! retire the rest                 4    0    4
//! ```
//!
//! Invariant: after each retire at least the asked count is there; never more than asked (or
//! current, if larger) plus surge, and never more than the limit.

use serde::{Deserialize, Serialize};

use super::{Bake, Capacity, Fill, Retire, Situation, Step, Until};
use crate::{
    bounds::{DAY, Faults, HEALTH_DEADLINE, Limit, Limited, PERCENT},
    release::Launch,
};

/// The numbers of a scale-up deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(default))]
#[serde(deny_unknown_fields, default)]
pub struct ScaleUp {
    /// Maximum number of extra instances at once, in percent of the size.
    pub surge_percent: u32,
    /// Time that new instances must stay healthy before old ones are stopped, in seconds.
    pub bake_seconds: u32,
    /// Time for new instances to become healthy, in seconds.
    pub health_deadline_seconds: u32,
}

impl Default for ScaleUp {
    fn default() -> Self {
        Self {
            surge_percent: 100,
            bake_seconds: 10,
            health_deadline_seconds: 300,
        }
    }
}

impl Limited for ScaleUp {
    const LIMITS: &'static [Limit<Self>] = &[
        Limit::number("surge_percent", PERCENT, |it| Some(it.surge_percent)),
        Limit::number("bake_seconds", 0..=DAY, |it| Some(it.bake_seconds)),
        Limit::number("health_deadline_seconds", HEALTH_DEADLINE, |it| {
            Some(it.health_deadline_seconds)
        }),
    ];
}

impl ScaleUp {
    /// Notes the rules that its numbers break.
    pub(crate) fn faults(&self, faults: &mut Faults) {
        faults.limits("", self);
    }
}

/// Instances beyond asked that run at the peak: the surge, rounded up, at least one.
#[must_use]
pub fn surge(options: &ScaleUp, capacity: Capacity) -> u32 {
    let wanted = u64::from(capacity.asked) * u64::from(options.surge_percent);
    u32::try_from(wanted.div_ceil(100))
        .unwrap_or(u32::MAX)
        .max(1)
}

/// Whether there is room to start one new instance beside the old ones.
#[must_use]
pub fn has_room(options: &ScaleUp, capacity: Capacity) -> bool {
    ceiling(options, capacity) > capacity.asked.max(capacity.current)
}

/// Most instances that the plan ever has at once.
#[must_use]
pub fn ceiling(options: &ScaleUp, capacity: Capacity) -> u32 {
    let base = capacity.asked.max(capacity.current);
    base.saturating_add(surge(options, capacity))
        .min(capacity.limit.max(base))
}

/// The steps, wave by wave. Empty when the limit leaves no room for a single instance more;
/// governance refuses such a deployment before anybody asks for its plan.
#[must_use]
pub fn steps(options: &ScaleUp, situation: &Situation, new: &Launch, old: &Launch) -> Vec<Step> {
    let (slice, capacity) = (situation.roles.next, situation.capacity);
    let ceiling = ceiling(options, capacity);
    let (mut filled, mut beside) = (0, capacity.current);
    let mut steps = Vec::new();
    while filled < capacity.asked {
        let room = ceiling.saturating_sub(filled + beside);
        if room == 0 {
            return Vec::new();
        }
        let count = capacity.asked.min(filled + room);
        let keep = beside.min(capacity.asked - count);
        steps.push(Step::Fill(Fill {
            slice,
            launch: new.id.clone(),
            count,
            beside,
        }));
        if options.bake_seconds > 0 {
            steps.push(Step::Bake(Bake {
                slice,
                launch: new.id.clone(),
                count,
                until: Until::elapsed(options.bake_seconds),
            }));
        }
        steps.push(Step::Retire(Retire {
            slice,
            launch: old.id.clone(),
            keep,
            leaving: count + keep,
            only_if_any: false,
        }));
        (filled, beside) = (count, keep);
    }
    steps
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        names::Version,
        plan::{Plan, Roles, Strategy, plan},
        release::{Content, Digest, LaunchId},
        slice::Slice,
    };

    fn launch(version: &str) -> Launch {
        Launch {
            id: LaunchId(version.to_owned()),
            version: version.parse::<Version>().unwrap(),
            content: Content::package(Digest::from_bytes([7; 32])),
        }
    }

    fn situation(capacity: Capacity) -> Situation {
        Situation {
            capacity,
            roles: Roles {
                next: Slice::Blue,
                live: Slice::Blue,
            },
            leftovers: Vec::new(),
            users_on_next: false,
        }
    }

    fn options(surge_percent: u32, bake_seconds: u32) -> ScaleUp {
        ScaleUp {
            surge_percent,
            bake_seconds,
            ..ScaleUp::default()
        }
    }

    fn check(options: ScaleUp, (asked, current, limit): (u32, u32, u32), expected: Expect) {
        let capacity = Capacity {
            asked,
            current,
            limit,
        };
        let (new, old) = (launch("v2"), launch("v1"));
        let plan = plan(
            &Strategy::ScaleUp(options),
            &situation(capacity),
            &new,
            Some(&old),
        );
        expected.assert_eq(&crate::plan::golden(&plan));
    }

    #[test]
    fn doubles_and_keeps_the_new_half() {
        check(
            options(100, 10),
            (4, 4, u32::MAX),
            expect![[r#"
            1. fill blue: 4 healthy of v2, beside 4 others
            2. bake blue: 4 of v2 stay healthy for 10 s
            3. retire blue: none of v1 left, 4 stay
        "#]],
        );
    }

    #[test]
    fn goes_in_waves_with_less_surge() {
        check(
            options(50, 0),
            (4, 4, u32::MAX),
            expect![[r#"
            1. fill blue: 2 healthy of v2, beside 4 others
            2. retire blue: 2 of v1 left, 4 stay
            3. fill blue: 4 healthy of v2, beside 2 others
            4. retire blue: none of v1 left, 4 stay
        "#]],
        );
    }

    #[test]
    fn goes_in_waves_within_the_limit() {
        check(
            options(100, 0),
            (3, 3, 4),
            expect![[r#"
            1. fill blue: 1 healthy of v2, beside 3 others
            2. retire blue: 2 of v1 left, 3 stay
            3. fill blue: 2 healthy of v2, beside 2 others
            4. retire blue: 1 of v1 left, 3 stay
            5. fill blue: 3 healthy of v2, beside 1 others
            6. retire blue: none of v1 left, 3 stay
        "#]],
        );
    }

    #[test]
    fn resizes_on_the_way() {
        check(
            options(100, 0),
            (6, 4, u32::MAX),
            expect![[r#"
            1. fill blue: 6 healthy of v2, beside 4 others
            2. retire blue: none of v1 left, 6 stay
        "#]],
        );
        check(
            options(100, 0),
            (2, 5, u32::MAX),
            expect![[r#"
            1. fill blue: 2 healthy of v2, beside 5 others
            2. retire blue: none of v1 left, 2 stay
        "#]],
        );
    }

    #[test]
    fn has_no_plan_without_room() {
        check(options(100, 0), (4, 4, 4), expect![""]);
    }

    #[test]
    fn a_first_deployment_bakes_too() {
        let capacity = Capacity {
            asked: 4,
            current: 0,
            limit: u32::MAX,
        };
        let plan = plan(
            &Strategy::ScaleUp(options(100, 10)),
            &situation(capacity),
            &launch("v1"),
            None,
        );
        expect![[r#"
            1. fill blue: 4 healthy of v1
            2. shift users: 100 % blue
            3. bake blue: 4 of v1 stay healthy for 10 s
        "#]]
        .assert_eq(&crate::plan::golden(&plan));
    }

    proptest! {
        #[test]
        fn every_wave_keeps_its_promises(
            asked in 1u32..40, current in 0u32..40, room in 1u32..40, surge_percent in 1u32..=100,
        ) {
            let limit = asked.max(current) + room;
            let capacity = Capacity { asked, current, limit };
            let options = options(surge_percent, 0);
            let (new, old) = (launch("v2"), launch("v1"));
            let Plan { steps } =
                plan(&Strategy::ScaleUp(options.clone()), &situation(capacity), &new, Some(&old));
            let mut last = None;
            for step in steps {
                match &step {
                    Step::Fill(Fill { count, beside, .. }) => prop_assert!(
                        count + beside <= ceiling(&options, capacity) && count + beside <= limit,
                        "never more than asked plus surge instances, and never above the limit"
                    ),
                    Step::Retire(Retire { leaving, .. }) => prop_assert!(
                        *leaving >= asked, "a retire never leaves less than asked"
                    ),
                    _ => {}
                }
                last = Some(step);
            }
            prop_assert_eq!(
                last,
                Some(Step::Retire(Retire { slice: Slice::Blue, launch: old.id, keep: 0, leaving: asked, only_if_any: false })),
                "the last step leaves exactly the asked count and nothing old"
            );
        }
    }
}
