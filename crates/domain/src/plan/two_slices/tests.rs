use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::{
    gate::{ApprovalGate, HttpGate, TrafficGate},
    plan::{Capacity, Roles, Strategy, plan, roll_back},
    release::{Content, Digest, LaunchId},
};

fn launch(version: &str) -> Launch {
    Launch {
        id: LaunchId(version.to_owned()),
        version: version.parse().unwrap(),
        content: Content::package(Digest::from_bytes([7; 32])),
    }
}

fn situation(asked: u32) -> Situation {
    Situation {
        capacity: Capacity {
            asked,
            current: asked,
            limit: u32::MAX,
        },
        roles: Roles {
            next: Slice::Green,
            live: Slice::Blue,
        },
        leftovers: Vec::new(),
        users_on_next: false,
    }
}

fn stages(text: &str) -> TwoSlices {
    TwoSlices {
        stages: text.parse::<Stages>().unwrap().0,
        ..TwoSlices::default()
    }
}

fn check(options: TwoSlices, situation: &Situation, expected: Expect) {
    let strategy = Strategy::Canary(options);
    let plan = plan(&strategy, situation, &launch("v2"), Some(&launch("v1")));
    expected.assert_eq(&crate::plan::golden(&plan));
}

#[test]
fn all_at_once_is_one_shift() {
    check(
        stages("AllAtOnce"),
        &situation(4),
        expect![[r#"
            1. fill green: 4 healthy of v2
            2. shift users: 100 % green
            3. bake green: 4 of v2 stay healthy for 600 s while blue stays ready for the way back
            4. retire blue: none of v1 left, 0 stay
        "#]],
    );
}

#[test]
fn a_canary_is_watched_at_each_share() {
    let options = TwoSlices {
        gates: Some(vec![Gate::Traffic(TrafficGate::default())]),
        warm_seconds: 0,
        ..stages("1%:2m,10%:5m,50%:10m")
    };
    check(
        options,
        &situation(4),
        expect![[r#"
            1. fill green: 4 healthy of v2
            2. shift users: 99 % blue, 1 % green
            3. bake green: 4 of v2 stay healthy for 120 s; gates: errors and latency against stable
            4. shift users: 90 % blue, 10 % green
            5. bake green: 4 of v2 stay healthy for 300 s; gates: errors and latency against stable
            6. shift users: 50 % blue, 50 % green
            7. bake green: 4 of v2 stay healthy for 600 s; gates: errors and latency against stable
            8. shift users: 100 % green
            9. retire blue: none of v1 left, 0 stay
        "#]],
    );
}

#[test]
fn gates_are_asked_where_they_say_or_where_both_have_users() {
    let check_at = |at: &[u8]| {
        Gate::Http(HttpGate {
            at: at.to_vec(),
            url: "http://smoke".to_owned(),
            patience: Default::default(),
            deadline: Default::default(),
        })
    };
    let approval = Gate::Approval(ApprovalGate {
        at: vec![10],
        ..ApprovalGate::default()
    });
    check(
        TwoSlices {
            gates: Some(vec![check_at(&[0, 100]), approval]),
            keep_old: true,
            ..stages("10,100")
        },
        &situation(2),
        expect![[r#"
            1. fill green: 2 healthy of v2
            2. bake green: 2 of v2 stay healthy; gates: check at http://smoke
            3. shift users: 90 % blue, 10 % green
            4. bake green: 2 of v2 stay healthy; gates: approval
            5. shift users: 100 % green
            6. bake green: 2 of v2 stay healthy; gates: check at http://smoke
        "#]],
    );
    check(
        TwoSlices {
            gates: Some(vec![check_at(&[])]),
            keep_old: true,
            ..stages("AllAtOnce")
        },
        &situation(2),
        expect![[r#"
            1. fill green: 2 healthy of v2
            2. bake green: 2 of v2 stay healthy; gates: check at http://smoke
            3. shift users: 100 % green
        "#]],
    );
}

#[test]
fn dark_traffic_comes_before_any_user() {
    let shadow = Shadow {
        percent: 5,
        seconds: 30,
        methods: Vec::new(),
        compare: Some(Compare::default()),
        gate: ShadowGate::default(),
    };
    check(
        TwoSlices {
            shadow: Some(shadow),
            keep_old: true,
            ..stages("AllAtOnce")
        },
        &situation(2),
        expect![[r#"
            1. fill green: 2 healthy of v2
            2. shift users: 100 % blue; copies of 5 % of blue's requests to green, answers compared
            3. bake green: 2 of v2 stay healthy for 30 s; gates: answers to dark traffic
            4. shift users: 100 % green
        "#]],
    );
}

#[test]
fn what_is_left_in_the_next_slice_goes_first() {
    check(
        TwoSlices {
            keep_old: true,
            ..stages("AllAtOnce")
        },
        &Situation {
            leftovers: vec![LaunchId("v0".to_owned())],
            users_on_next: true,
            ..situation(2)
        },
        expect![[r#"
            1. shift users: 100 % blue
            2. retire green: none of v0 left, 0 stay
            3. fill green: 2 healthy of v2
            4. shift users: 100 % green
        "#]],
    );
}

#[test]
fn the_way_back_moves_users_before_it_waits_for_anything() {
    let baseline = crate::plan::Baseline {
        roles: situation(4).roles,
        slices: [(
            Slice::Blue,
            crate::plan::SliceBaseline {
                sizes: crate::observation::Sizes {
                    min: 4,
                    desired: 4,
                    max: 4,
                },
                ..Default::default()
            },
        )]
        .into(),
        weights: [(Slice::Blue, 100)].into(),
    };
    let back = |strategy| {
        crate::plan::golden(&roll_back(
            &strategy,
            &baseline,
            Some(&launch("v1")),
            &launch("v2"),
        ))
    };
    expect![[r#"
        1. fill blue: 2 healthy of v1
        2. shift users: 100 % blue
        3. fill blue: 4 healthy of v1
        4. retire green: none of v2 left, 0 stay
    "#]]
    .assert_eq(&back(Strategy::Canary(stages("10,100"))));
    expect![[r#"
        1. fill blue: 2 healthy of v1
        2. shift users: 100 % blue
        3. fill blue: 4 healthy of v1
    "#]]
    .assert_eq(&back(Strategy::Switch));
}

proptest! {
    #[test]
    fn shares_only_grow_and_nothing_is_retired_while_it_has_users(
        shares in proptest::collection::btree_set(1_u8..=100, 0..6),
        asked in 1_u32..20, warm_seconds in 0_u32..2, keep_old: bool, leftover: bool,
    ) {
        let stages = shares.iter().map(|percent| Stage { percent: *percent, seconds: 1 }).collect();
        let options = TwoSlices { stages, warm_seconds, keep_old, ..TwoSlices::default() };
        let leftovers = if leftover { vec![LaunchId("v0".to_owned())] } else { Vec::new() };
        let situation = Situation { leftovers, ..situation(asked) };
        let steps = steps(&options, &situation, &launch("v2"), &launch("v1"));
        let (mut share, mut filled) = (0, false);
        for step in steps {
            match step {
                Step::Fill(Fill { slice, count, .. }) => {
                    prop_assert_eq!((slice, count, share), (Slice::Green, asked, 0));
                    filled = true;
                }
                Step::Shift(Split { weights, .. }) => {
                    let next = weights.share(Slice::Green);
                    prop_assert!(next >= share && (next == 0 || filled), "users only move forward, to what is filled");
                    prop_assert_eq!(weights.sum(), 100);
                    share = next;
                }
                Step::Bake(Bake { slice, count, .. }) => {
                    prop_assert_eq!((slice, count), (Slice::Green, asked));
                }
                Step::Retire(Retire { slice: Slice::Green, .. }) => prop_assert!(!filled && share == 0),
                Step::Retire(Retire { slice: Slice::Blue, .. }) => prop_assert!(share == 100 && !keep_old),
                Step::Refresh(_) | Step::EndRefresh(_) => {
                    prop_assert!(false, "AWS replaces nothing where there are two slices");
                }
            }
        }
        prop_assert_eq!(share, 100, "in the end everybody is moved");
    }
}
