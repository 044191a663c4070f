//! The rules about places on AWS: a wish that is allowed there, with one thing changed.

mod images;

use expect_test::{Expect, expect};

use super::{facts, launch, wish};
use crate::{
    catalogue::{Account, AwsGroup, AwsTraffic, ServerGroup, Stickiness, StrategyKind},
    gate::{Gate, TrafficGate},
    governance::*,
    observation::{Sizes, SliceSeen},
    plan::{
        instance_refresh::InstanceRefresh,
        scale_up::ScaleUp,
        two_slices::{Shadow, Stages, TwoSlices},
    },
    release::Digest,
    slice::Slice,
};

fn aws(facts: &mut Facts) -> &mut AwsGroup {
    group(facts).aws.as_mut().unwrap()
}

fn group(facts: &mut Facts) -> &mut ServerGroup {
    facts.group.as_mut().unwrap()
}

fn account(facts: &mut Facts) -> &mut Account {
    facts.account.as_mut().unwrap()
}

fn image(digit: char) -> ImageId {
    format!("ami-{}", digit.to_string().repeat(8))
        .parse()
        .unwrap()
}

fn is_image(facts: &mut Facts) {
    facts.release.as_mut().unwrap().content = Content::Image { image: image('1') };
}

/// A canary to a group on AWS with two slices behind a listener.
fn on_aws() -> (Wish, Facts) {
    let (mut wish, mut facts) = (wish(), facts());
    let stages: Stages = "10,100".parse().unwrap();
    wish.strategy = Strategy::Canary(TwoSlices {
        stages: stages.0,
        ..TwoSlices::default()
    });
    let canary = [StrategyKind::Canary, StrategyKind::BlueGreen];
    facts.service.as_mut().unwrap().strategies = canary.into();
    let settings = r#"{"name": "eu", "provider": "aws", "region": "eu-west-1",
        "package_bucket": "packages"}"#;
    facts.account = Some(serde_json::from_str(settings).unwrap());
    group(&mut facts).slices = 2;
    let settings = r#"{"account": "eu", "traffic": {"by": "listener", "listener": "arn"}}"#;
    group(&mut facts).aws = Some(serde_json::from_str(settings).unwrap());
    (wish, facts)
}

fn options(wish: &mut Wish) -> &mut TwoSlices {
    match &mut wish.strategy {
        Strategy::Canary(options) => options,
        _ => panic!("the wish is a canary"),
    }
}

/// What the rules say once `change` was made to facts that are allowed as they are.
fn check(change: impl FnOnce(&mut Wish, &mut Facts), expected: Expect) {
    let (mut wish, mut facts) = on_aws();
    change(&mut wish, &mut facts);
    expected.assert_eq(&told(admit(wish, facts)));
}

fn told(answer: Result<Admitted, Vec<Objection>>) -> String {
    match answer {
        Ok(admitted) => format!("admitted: {}", admitted.content()),
        Err(objections) => objections.iter().map(super::shown).collect(),
    }
}

#[test]
fn allows_what_breaks_no_rule() {
    check(
        |_, _| (),
        expect![
            "admitted: sha256 0101010101010101010101010101010101010101010101010101010101010101"
        ],
    );
    check(
        |_, facts| is_image(facts),
        expect!["admitted: image ami-11111111"],
    );
}

#[test]
fn refuses_accounts_that_are_unknown_or_elsewhere() {
    check(
        |_, facts| facts.account = None,
        expect![[r#"
        the account eu is not in the catalogue
          -> describe it in a manifest (kind: Account) and run `pointsman apply -f FILE`
    "#]],
    );
    check(
        |_, facts| account(facts).provider = crate::catalogue::ProviderKind::Local,
        expect![[r#"
            the account eu is not on AWS
              -> set `provider: aws` and a region in the manifest of the account eu, or choose another account
        "#]],
    );
}

#[test]
fn refuses_packages_that_instances_could_not_fetch() {
    check(
        |_, facts| account(facts).package_bucket = None,
        expect![[r#"
            the account of cart.live names no S3 bucket for packages
              -> set package_bucket in the manifest of the account, or release cart as a machine image
        "#]],
    );
    check(
        |_, facts| {
            account(facts).package_bucket = None;
            is_image(facts);
        },
        expect!["admitted: image ami-11111111"],
    );
}

#[test]
fn refuses_images_where_they_do_not_belong() {
    check(
        |wish, facts| {
            is_image(facts);
            wish.image = Some(image('2'));
        },
        expect![[r#"
            release 2.0.0 is a machine image itself: another image would be another release
              -> create a release from the new image with `pointsman release create --image`
        "#]],
    );
    let local = |change: fn(&mut Wish, &mut Facts)| {
        let (mut wish, mut facts) = (wish(), facts());
        change(&mut wish, &mut facts);
        told(admit(wish, facts))
    };
    let expected = expect![[r#"
        release 2.0.0 needs a machine image, and cart.live is not on AWS
          -> create a release from a package with --artifact, or describe the server group's place on AWS
    "#]];
    expected.assert_eq(&local(|_, facts| is_image(facts)));
    assert_eq!(
        local(|_, facts| is_image(facts)),
        local(|wish, _| wish.image = Some(image('2'))),
    );
}

#[test]
fn refuses_what_load_balancers_cannot_do() {
    check(
        |wish, facts| {
            let name = "x-user".to_owned();
            group(facts).stickiness = Some(Stickiness::Header { name });
            let shadow: Shadow = serde_json::from_str(r#"{"percent": 10}"#).unwrap();
            options(wish).shadow = Some(shadow);
            group(facts).ignore_paths = vec!["/healthz".to_owned()];
            options(wish).gates = Some(vec![Gate::Traffic(TrafficGate::default())]);
        },
        expect![[r#"
            the load balancer of cart.live cannot keep users on a side by a header
              -> set `stickiness: {by: cookie}` in the manifest of the server group
            the load balancer of cart.live cannot leave paths out of what it counts: it knows sums of all of them at most
              -> take ignore_paths out of the manifest of the server group; to leave paths out, count in the service and use a compare gate
            the load balancer of cart.live cannot copy requests to the new release (dark traffic)
              -> leave --shadow out
            the load balancer of cart.live cannot count users, which a traffic gate needs where they stick
              -> take stickiness out of the manifest of the server group, or use a CloudWatch or compare gate
        "#]],
    );
    check(
        |_, facts| {
            group(facts).stickiness = Some(Stickiness::Cookie { seconds: 60 });
            let settings = r#"{"by": "dns", "zone": "Z1", "name": "x", "identifiers": []}"#;
            aws(facts).traffic = serde_json::from_str(settings).unwrap();
        },
        expect![[r#"
            the load balancer of cart.live cannot keep users on a side where DNS splits them
              -> take stickiness out of the manifest of the server group, or set `traffic: {by: listener}`
        "#]],
    );
    let attach = |facts: &mut Facts| {
        let target_group = "arn".to_owned();
        aws(facts).traffic = AwsTraffic::Attach { target_group };
    };
    check(
        |_, facts| attach(facts),
        expect![[r#"
        the load balancer of cart.live cannot split users by weights where groups are attached and detached whole
          -> deploy with --strategy blue-green and no --weights, or set `traffic: {by: listener}`
    "#]],
    );
    check(
        |wish, facts| {
            attach(facts);
            options(wish).stages.clear();
        },
        expect![
            "admitted: sha256 0101010101010101010101010101010101010101010101010101010101010101"
        ],
    );
}

#[test]
fn refuses_what_is_in_other_hands() {
    check(
        |_, facts| {
            let blue = facts.seen.slices.get_mut(&Slice::Blue).unwrap();
            blue.obstacles = vec![
                "an instance refresh is in progress".to_owned(),
                "it has a mixed instances policy".to_owned(),
            ];
        },
        expect![[r#"
            blue of cart.live: an instance refresh is in progress
              -> resolve it in AWS, then retry; `pointsman doctor` shows more
            blue of cart.live: it has a mixed instances policy
              -> resolve it in AWS, then retry; `pointsman doctor` shows more
        "#]],
    );
}

#[test]
fn addresses_are_needed_for_what_is_started_at_once() {
    let told = |strategy: Strategy, slices, room| {
        let (mut wish, mut facts) = on_aws();
        wish.strategy = strategy;
        let all = [StrategyKind::ScaleUp, StrategyKind::Canary];
        facts.service.as_mut().unwrap().strategies = all.into();
        group(&mut facts).slices = slices;
        group(&mut facts).size = 4;
        for slice in [Slice::Blue, Slice::Green] {
            let seen = facts.seen.slices.entry(slice).or_default();
            seen.room = Some(room);
        }
        let told = told(admit(wish, facts));
        told.lines()
            .find(|it| it.contains("addresses"))
            .map(str::to_owned)
    };
    let scale_up = |surge_percent| {
        Strategy::ScaleUp(ScaleUp {
            surge_percent,
            ..ScaleUp::default()
        })
    };
    let canary = on_aws().0.strategy;
    assert!(told(scale_up(100), 1, 3).unwrap().contains("have 3 free"));
    assert_eq!(told(scale_up(50), 1, 3), None, "waves need fewer");
    assert!(told(canary.clone(), 2, 3).unwrap().starts_with("green of"));
    assert_eq!(told(canary, 2, 4), None);
    assert_eq!(told(Strategy::Switch, 2, 0), None, "nothing is started");
}

#[test]
fn another_image_is_another_deployment() {
    let live = |facts: &mut Facts, digit: Option<char>| {
        let package = Content::package(Digest::from_bytes([1; 32]));
        let content = match digit {
            Some(digit) => package.on(image(digit)),
            None => package,
        };
        let live = launch("2.0.0");
        facts.live = Some(Launch { content, ..live });
    };
    check(
        |_, facts| live(facts, None),
        expect![[r#"
            release 2.0.0 is already live in live
              -> add --force to replace its instances with new ones
        "#]],
    );
    check(
        |wish, facts| {
            live(facts, Some('2'));
            wish.image = Some(image('2'));
        },
        expect![[r#"
            release 2.0.0 is already live in live
              -> add --force to replace its instances with new ones
        "#]],
    );
    check(
        |wish, facts| {
            live(facts, Some('2'));
            wish.image = Some(image('3'));
        },
        expect![
            "admitted: sha256 0101010101010101010101010101010101010101010101010101010101010101 on ami-33333333"
        ],
    );
    // An image that was patched in stays under the next release.
    check(
        |_, facts| {
            live(facts, Some('2'));
            facts.live.as_mut().unwrap().version = "1.0.0".parse().unwrap();
        },
        expect![
            "admitted: sha256 0101010101010101010101010101010101010101010101010101010101010101 on ami-22222222"
        ],
    );
}

#[test]
fn a_machine_image_is_not_patched_by_what_was_live() {
    check(
        |_, facts| {
            let package = Content::package(Digest::from_bytes([1; 32]));
            let content = package.on(image('2'));
            facts.live = Some(Launch {
                content,
                ..launch("1.0.0")
            });
            is_image(facts);
        },
        expect!["admitted: image ami-11111111"],
    );
}

#[test]
fn what_an_adopted_group_runs_is_stable() {
    let (wish, mut facts) = on_aws();
    facts.live = None;
    let found = launch("before");
    let green = SliceSeen {
        sizes: Sizes {
            min: 2,
            desired: 2,
            max: 2,
        },
        launches: Some(found.clone()),
        ..SliceSeen::default()
    };
    facts.seen.slices.insert(Slice::Green, green);
    let admitted = admit(wish, facts).unwrap();
    assert_eq!(admitted.stable(), Some(&found));
}

/// An instance refresh with these checkpoints.
fn refresh(wish: &mut Wish, facts: &mut Facts, checkpoints: &[u8]) -> InstanceRefresh {
    let refresh = InstanceRefresh {
        checkpoints: checkpoints.to_vec(),
        ..InstanceRefresh::default()
    };
    wish.strategy = Strategy::InstanceRefresh(refresh.clone());
    facts.service.as_mut().unwrap().strategies = [StrategyKind::InstanceRefresh].into();
    refresh
}

#[test]
fn an_instance_refresh_is_for_groups_on_aws() {
    check(
        |wish, facts| drop(refresh(wish, facts, &[20, 50])),
        expect![
            "admitted: sha256 0101010101010101010101010101010101010101010101010101010101010101"
        ],
    );
    let (mut wish, mut facts) = (wish(), facts());
    refresh(&mut wish, &mut facts, &[]);
    expect![[r#"
        cart.live is not on AWS, and an instance refresh is AWS's own way to replace instances
          -> deploy with --strategy scale-up: Pointsman replaces the instances itself
    "#]]
    .assert_eq(&told(admit(wish, facts)));
}

#[test]
fn an_instance_refresh_has_bounds() {
    check(
        |wish, facts| {
            let mut wrong = refresh(wish, facts, &[50, 20]);
            wrong.checkpoint_delay_seconds = 200_000;
            wrong.alarms = vec![String::new(); 11];
            wish.strategy = Strategy::InstanceRefresh(wrong);
        },
        expect![[r#"
            checkpoints must be growing shares of the group from 1 to 99
              -> correct the value
            checkpoint_delay_seconds must be between 0 and 172800
              -> correct the value
            alarms must have 0 to 10 items
              -> correct the value
            alarms must be a name of 1 to 255 characters
              -> correct the value
        "#]],
    );
}

#[test]
fn an_instance_refresh_needs_room_for_one_more() {
    check(
        |wish, facts| {
            refresh(wish, facts, &[]);
            group(facts).size_limit = Some(4);
        },
        expect![[r#"
            the server group cart.live has size 4 and a size limit of 4: there is no room to start one new instance
              -> raise size_limit of the server group to at least 5
        "#]],
    );
}
