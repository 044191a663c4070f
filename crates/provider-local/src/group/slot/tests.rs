//! Which instance starts or stops next.

use super::*;

fn member(id: &str, zone: &str, state: InstanceState, protected: bool) -> Member {
    Member {
        id: InstanceId(id.to_owned()),
        launch: LaunchId("l1".to_owned()),
        version: "1".parse().unwrap(),
        digest: Digest::from_bytes([0; 32]),
        zone: zone.to_owned(),
        state,
        protected,
        started_at: UnixMs(0),
        port: 1,
        process: None,
        folder: None,
        answers: false,
    }
}

fn slot(desired: u32, members: Vec<Member>) -> Slot {
    let launches = Some(Launch {
        id: LaunchId("l1".to_owned()),
        version: "1".parse().unwrap(),
        content: domain::release::Content::package(Digest::from_bytes([0; 32])),
    });
    let sizes = Sizes {
        min: desired,
        desired,
        max: desired,
    };
    Slot {
        sizes,
        launches,
        members,
        ..Slot::default()
    }
}

fn zones() -> Vec<String> {
    vec!["a".to_owned(), "b".to_owned()]
}

fn stops(slot: &Slot) -> Option<String> {
    match slot.next(&zones(), UnixMs(0)) {
        Next::Stop(id) => Some(id.0),
        _ => None,
    }
}

#[test]
fn starts_where_there_are_fewest() {
    let slot = slot(2, vec![member("i1", "a", InstanceState::Healthy, false)]);
    assert!(matches!(slot.next(&zones(), UnixMs(0)), Next::Start(_, zone) if zone == "b"));
}

#[test]
fn scale_in_spares_the_protected_and_evens_zones() {
    use InstanceState::{Healthy, Pending};
    let of = |members| stops(&slot(1, members));
    assert_eq!(
        of(vec![
            member("i1", "a", Healthy, true),
            member("i2", "b", Healthy, false)
        ]),
        Some("i2".into())
    );
    assert_eq!(
        of(vec![
            member("i1", "a", Healthy, true),
            member("i2", "a", Healthy, true)
        ]),
        None
    );
    assert_eq!(
        of(vec![
            member("i1", "a", Healthy, false),
            member("i2", "b", Pending, false)
        ]),
        Some("i2".into())
    );
    let three = vec![
        member("i1", "a", Healthy, false),
        member("i2", "b", Healthy, false),
        member("i3", "b", Healthy, false),
    ];
    assert_eq!(of(three), Some("i2".into()));
}

#[test]
fn one_that_is_ill_is_replaced_even_when_protected() {
    use InstanceState::{Draining, Healthy, Unhealthy};
    let well = member("i2", "b", Healthy, false);
    let ill = member("i1", "a", Unhealthy, true);
    assert_eq!(stops(&slot(2, vec![ill, well])), Some("i1".into()));
    let drains = member("i1", "a", Draining, false);
    assert!(matches!(
        slot(1, vec![drains]).next(&zones(), UnixMs(0)),
        Next::Start(..)
    ));
}

/// Plays what follows when all instances turn ill at once: each step that the slot asks for is
/// taken, and whoever was started becomes healthy. Returns how many served at each step.
fn serving_while_all_are_replaced(desired: u32) -> Vec<usize> {
    let ill =
        (0..desired).map(|n| member(&format!("i{n}"), "a", InstanceState::Unhealthy, n % 2 == 0));
    let mut slot = slot(desired, ill.collect());
    let (mut serving, mut number) = (Vec::new(), 100);
    loop {
        serving.push(slot.serving().count());
        assert!(serving.len() < 100, "it never rests");
        match slot.next(&zones(), UnixMs(0)) {
            Next::Start(_, zone) => {
                number += 1;
                let id = format!("i{number}");
                slot.members
                    .push(member(&id, &zone, InstanceState::Pending, false));
            }
            Next::Stop(id) => slot.members.retain(|member| member.id != id),
            Next::WaitUntil(_) => panic!("nobody died early"),
            Next::Rest => {
                let waits = |m: &&mut Member| m.state == InstanceState::Pending;
                let Some(next) = slot.members.iter_mut().find(waits) else {
                    break;
                };
                next.state = InstanceState::Healthy;
            }
        }
    }
    let healthy = |member: &Member| member.state == InstanceState::Healthy;
    assert!(slot.members.iter().all(healthy), "{slot:#?}");
    assert_eq!(slot.members.len(), desired as usize);
    serving
}

#[test]
fn when_all_turn_ill_at_once_they_serve_until_another_is_healthy() {
    assert_eq!(serving_while_all_are_replaced(1), [1; 4]);
    for desired in [2, 3, 4, 9] {
        let serving = serving_while_all_are_replaced(desired);
        assert!(
            serving.iter().all(|many| *many > 0),
            "{desired}: {serving:?}"
        );
    }
}

#[test]
fn whoever_is_started_instead_of_an_ill_one_gets_its_time() {
    use InstanceState::{Healthy, Pending, Unhealthy};
    let of = |desired, states: &[InstanceState]| {
        let members = states.iter().enumerate();
        let members = members.map(|(n, state)| member(&format!("i{n}"), "a", *state, false));
        slot(desired, members.collect()).next(&zones(), UnixMs(0))
    };
    assert_eq!(
        of(4, &[Unhealthy, Unhealthy, Unhealthy, Unhealthy, Pending]),
        Next::Rest
    );
    assert_eq!(of(4, &[Unhealthy, Healthy, Healthy, Pending]), Next::Rest);
    assert!(
        matches!(of(1, &[Unhealthy, Unhealthy]), Next::Stop(_)),
        "scaled in"
    );
    assert!(
        matches!(of(0, &[Unhealthy]), Next::Stop(_)),
        "nobody is wanted"
    );
    // They recovered by themselves: the spare one goes.
    let spare = Next::Stop(InstanceId("i1".to_owned()));
    assert_eq!(of(1, &[Healthy, Pending]), spare);
}

#[test]
fn of_those_that_are_ill_the_ones_that_answer_serve() {
    let mut slot = slot(
        2,
        vec![
            member("i1", "a", InstanceState::Unhealthy, false),
            member("i2", "b", InstanceState::Unhealthy, false),
            member("i3", "b", InstanceState::Pending, false),
        ],
    );
    let serving = |slot: &Slot| slot.serving().map(|m| m.id.0.clone()).collect::<Vec<_>>();
    assert_eq!(serving(&slot), ["i1", "i2"]);
    slot.members[1].answers = true;
    assert_eq!(serving(&slot), ["i2"]);
    slot.members[2].state = InstanceState::Healthy;
    assert_eq!(serving(&slot), ["i3"]);
}

#[test]
fn a_launch_that_keeps_dying_is_started_later_and_later() {
    let mut slot = slot(1, Vec::new());
    let waits: Vec<i64> = (0..10)
        .map(|_| {
            slot.died_early(&LaunchId("l1".into()), UnixMs(0));
            slot.start_after.0
        })
        .collect();
    assert_eq!(
        waits,
        [
            200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000
        ]
    );
    assert_eq!(
        slot.next(&zones(), UnixMs(0)),
        Next::WaitUntil(UnixMs(30_000))
    );
    slot.died_early(&LaunchId("other".into()), UnixMs(99_000));
    assert_eq!(
        slot.start_after,
        UnixMs(30_000),
        "another launch is no reason to wait"
    );
}
