//! The rules about groups with a provider of your own, which does only what every provider does.

use expect_test::{Expect, expect};

use super::{facts, launch, wish};
use crate::{
    catalogue::{HealthKind, ProviderKind, Stickiness, StrategyKind},
    gate::{Gate, TrafficGate},
    governance::*,
    observation::SliceSeen,
    plan::{
        instance_refresh::InstanceRefresh,
        two_slices::{Shadow, Stages, TwoSlices},
    },
    slice::Slice,
};

/// A group with a provider of your own, as it is allowed to be deployed to.
fn with_custom() -> (Wish, Facts) {
    let (wish, mut facts) = (wish(), facts());
    let account = r#"{"name": "rack", "provider": "custom"}"#;
    facts.account = Some(serde_json::from_str(account).unwrap());
    let group = facts.group.as_mut().unwrap();
    group.custom = Some(serde_json::from_str(r#"{"account": "rack"}"#).unwrap());
    (wish, facts)
}

fn check(change: impl FnOnce(&mut Wish, &mut Facts), expected: Expect) {
    let (mut wish, mut facts) = with_custom();
    change(&mut wish, &mut facts);
    let told = match admit(wish, facts) {
        Ok(admitted) => format!("admitted: {}", admitted.content()),
        Err(objections) => objections
            .iter()
            .map(|o| format!("{o}\n  -> {}\n", o.remedy()))
            .collect(),
    };
    expected.assert_eq(&told);
}

#[test]
fn allows_packages_without_a_bucket() {
    check(
        |_, _| (),
        expect![
            "admitted: sha256 0101010101010101010101010101010101010101010101010101010101010101"
        ],
    );
}

#[test]
fn refuses_what_only_some_providers_do() {
    check(
        |wish, facts| {
            let group = facts.group.as_mut().unwrap();
            group.slices = 2;
            group.stickiness = Some(Stickiness::Cookie { seconds: 60 });
            group.health.kind = HealthKind::Tcp;
            let service = facts.service.as_mut().unwrap();
            service.strategies = [StrategyKind::Canary].into();
            let shadow: Shadow = serde_json::from_str(r#"{"percent": 10}"#).unwrap();
            let cloudwatch = r#"{"gate": "cloudwatch", "alarm": "too many errors"}"#;
            wish.strategy = Strategy::Canary(TwoSlices {
                stages: "10,100".parse::<Stages>().unwrap().0,
                shadow: Some(shadow),
                gates: Some(vec![
                    Gate::Traffic(TrafficGate::default()),
                    serde_json::from_str(cloudwatch).unwrap(),
                ]),
                ..TwoSlices::default()
            });
            wish.image = Some("ami-11111111".parse().unwrap());
        },
        expect![[r#"
            release 2.0.0 needs a machine image, and cart.live is not on AWS
              -> create a release from a package with --artifact, or describe the server group's place on AWS
            the load balancer of cart.live cannot keep users on a side
              -> take stickiness out of the manifest of the server group
            the load balancer of cart.live cannot check health by a kind, method, headers, accepted codes, command or start time
              -> take these fields out of `health` in the manifest of the server group, and set the provider's own health check (on AWS: that of the target group)
            the load balancer of cart.live cannot copy requests to the new release (dark traffic)
              -> leave --shadow out
            the load balancer of cart.live cannot count each request, which a traffic gate needs
              -> use a Prometheus gate, or leave the gate out with --no-gates
            the gate "CloudWatch alarm too many errors" asks AWS, and this server group is not there
              -> use a Prometheus gate, or leave the gate out with --no-gates
        "#]],
    );
    check(
        |wish, facts| {
            wish.strategy = Strategy::InstanceRefresh(InstanceRefresh::default());
            let service = facts.service.as_mut().unwrap();
            service.strategies = [StrategyKind::InstanceRefresh].into();
        },
        expect![[r#"
            cart.live is not on AWS, and an instance refresh is AWS's own way to replace instances
              -> deploy with --strategy scale-up: Pointsman replaces the instances itself
        "#]],
    );
}

#[test]
fn refuses_accounts_of_other_providers_and_slices_in_other_hands() {
    check(
        |_, facts| facts.account.as_mut().unwrap().provider = ProviderKind::Local,
        expect![[r#"
            the account rack is not with a custom provider
              -> set `provider: custom` in the manifest of the account rack, or choose another account
        "#]],
    );
    check(
        |_, facts| {
            let blue = facts.seen.slices.get_mut(&Slice::Blue).unwrap();
            blue.obstacles = vec!["it is being moved".to_owned()];
        },
        expect![[r#"
            blue of cart.live: it is being moved
              -> resolve it at the provider, then retry; `pointsman doctor` shows more
        "#]],
    );
}

#[test]
fn what_runs_there_already_is_stable() {
    let (wish, mut facts) = with_custom();
    facts.live = None;
    let blue = facts.seen.slices.get_mut(&Slice::Blue).unwrap();
    *blue = SliceSeen {
        launches: Some(launch("0.9.0")),
        ..blue.clone()
    };
    let admitted = admit(wish, facts).unwrap();
    assert_eq!(admitted.stable(), Some(&launch("0.9.0")));
}
