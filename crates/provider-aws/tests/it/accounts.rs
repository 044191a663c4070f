//! Check-ups of accounts, and manifests read off what is there.

use std::sync::Arc;

use domain::{
    catalogue::{Account, AwsTraffic, ServerGroup},
    checkup::{Check, CheckStatus},
    effect::{Effect, Target, Token},
    names::{DeploymentId, Place},
    observation::Sizes,
    slice::Slice,
    time::UnixMs,
};
use engine::ports::{Clock, ErrorKind, Provider};
use provider_aws::Aws;
use serde_json::json;

use crate::{
    emulator::{Emulator, settings},
    fixture::{Fixture, Made},
};

/// The clock of this machine, which the emulator's answers are dated by; or one that is wrong by so
/// many milliseconds.
#[derive(Debug)]
struct Ours(i64);

impl Clock for Ours {
    fn now(&self) -> UnixMs {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        UnixMs(i64::try_from(since.unwrap().as_millis()).unwrap() + self.0)
    }
    fn steady_ms(&self) -> u64 {
        self.now().since_ms(UnixMs(0))
    }
}

fn aws(wrong_by_ms: i64) -> Aws {
    let nowhere = std::env::temp_dir();
    Aws::new(Arc::new(Ours(wrong_by_ms)), settings(), nowhere)
}

fn place() -> Place {
    Place {
        service: "shop".parse().unwrap(),
        environment: "live".parse().unwrap(),
    }
}

fn target(account: &Account, groups: &[&str]) -> Target {
    let group: ServerGroup = serde_json::from_value(json!({
        "service": "shop", "environment": "live", "size": 2,
        "aws": {"account": "emulated", "groups": groups},
    }))
    .unwrap();
    Target::new(group.place(), group, Some(account.clone()))
}

fn status(checks: &[Check], name: &str) -> CheckStatus {
    let check = checks.iter().find(|check| check.name == name);
    check
        .unwrap_or_else(|| panic!("no check {name} in {checks:#?}"))
        .status
}

async fn two_groups(emulator: &Emulator) -> (Fixture, Vec<String>, String) {
    let fixture = Fixture::new(emulator, 2).await;
    let image = fixture.image("shop-1.0.0").await;
    let mut target_groups = Vec::new();
    for name in ["shop-blue", "shop-green"] {
        target_groups.push(fixture.target_group(name).await);
    }
    let to = [(&*target_groups[0], 100), (&*target_groups[1], 0)];
    let listener = fixture.listener("shop", &to).await;
    for (name, target_group) in ["shop-blue", "shop-green"].into_iter().zip(&target_groups) {
        fixture
            .group(&Made {
                name,
                image: &image,
                subnets: &fixture.subnets,
                target_groups: std::slice::from_ref(target_group),
                policies: &["Default"],
                sizes: if name == "shop-blue" {
                    [2, 3, 6]
                } else {
                    [0, 0, 0]
                },
            })
            .await;
    }
    emulator.advance(5000);
    (fixture, target_groups, listener)
}

#[tokio::test]
async fn a_good_account_passes_its_check_up() {
    let emulator = Emulator::start(1);
    let (fixture, ..) = two_groups(&emulator).await;
    fixture
        .clients
        .s3
        .create_bucket()
        .bucket("packages")
        .send()
        .await
        .unwrap();
    let account = emulator.account();
    let checks = aws(0)
        .checkup(&account, &[target(&account, &["shop-blue"])])
        .await;
    for name in [
        "credentials",
        "clock",
        "auto scaling",
        "ec2",
        "launch templates",
        "load balancers",
        "cloudwatch",
        "package bucket",
        "group shop.live",
    ] {
        assert_eq!(
            status(&checks, name),
            CheckStatus::Ok,
            "{name} in {checks:#?}"
        );
    }
    // What no trial exists for is never said to be well.
    assert_eq!(status(&checks, "changes"), CheckStatus::Unchecked);
    assert_eq!(status(&checks, "route 53"), CheckStatus::Unchecked);
    let group = checks
        .iter()
        .find(|check| check.name == "group shop.live")
        .unwrap();
    assert!(
        group
            .found
            .contains("shop-blue: 3 of 3 instances are healthy"),
        "{}",
        group.found
    );
}

#[tokio::test]
async fn what_is_wrong_is_said_with_what_to_do() {
    let emulator = Emulator::start(1);
    let (fixture, ..) = two_groups(&emulator).await;
    let request = fixture.clients.scaling.suspend_processes();
    let request = request.auto_scaling_group_name("shop-blue");
    request.scaling_processes("Launch").send().await.unwrap();
    emulator.control(
        "faults",
        &json!([{"service": "elbv2", "action": "DescribeTargetGroups", "kind": "code",
            "code": "AccessDenied", "status": 403, "probability": 1.0}]),
    );
    let account = emulator.account();
    let targets = [
        target(&account, &["shop-blue"]),
        target(&account, &["nowhere"]),
    ];
    let checks = aws(-690_000).checkup(&account, &targets).await;
    for name in [
        "clock",
        "load balancers",
        "package bucket",
        "group shop.live",
    ] {
        assert_eq!(
            status(&checks, name),
            CheckStatus::Failed,
            "{name} in {checks:#?}"
        );
    }
    for check in checks
        .iter()
        .filter(|check| check.status == CheckStatus::Failed)
    {
        assert!(check.remedy.is_some(), "{check:?}");
    }
    let said = format!("{checks:?}");
    for word in [
        "11 min",
        "Launch of the Auto Scaling group shop-blue is suspended",
        "no Auto Scaling group nowhere",
    ] {
        assert!(said.contains(word), "{word} in {said}");
    }
    drop(emulator);
    let checks = aws(0).checkup(&account, &[]).await;
    assert_eq!(status(&checks, "credentials"), CheckStatus::Failed);
    assert_eq!(status(&checks, "clock"), CheckStatus::Unchecked);
}

#[tokio::test]
async fn accounts_and_regions_do_not_mix() {
    let emulator = Emulator::start(1);
    let mut elsewhere = emulator.account();
    elsewhere.name = "elsewhere".parse().unwrap();
    elsewhere.region = Some("eu-west-1".to_owned());
    elsewhere.role_arn = Some("arn:aws:iam::210987654321:role/pointsman".to_owned());
    elsewhere.external_id = Some("both-know-it".to_owned());
    let accounts = [(emulator.account(), 2), (elsewhere, 3)];
    for (account, size) in &accounts {
        let fixture = Fixture::of(account, 2).await;
        let image = fixture.image("shop-1.0.0").await;
        fixture
            .group(&Made {
                name: "shop",
                image: &image,
                subnets: &fixture.subnets,
                target_groups: &[],
                policies: &["Default"],
                sizes: [0, *size, 9],
            })
            .await;
    }
    emulator.advance(5000);
    let aws = aws(0);
    let sizes = async |account: &Account| {
        let seen = aws.observe(&target(account, &["shop"])).await.unwrap();
        seen.slice(Slice::Blue).sizes
    };
    let effect = Effect::SetSizes {
        slice: Slice::Blue,
        sizes: Sizes {
            min: 1,
            desired: 4,
            max: 8,
        },
    };
    let token = Token {
        deployment: DeploymentId("d1".to_owned()),
        version: 1,
    };
    let [(here, _), (there, _)] = &accounts;
    let (before_here, before_there) = (sizes(here).await, sizes(there).await);
    assert_eq!((before_here.desired, before_there.desired), (2, 3));
    let target = target(there, &["shop"]);
    aws.apply(&target, &effect, &token).await.unwrap();
    assert_eq!(sizes(here).await, before_here);
    assert_eq!(sizes(there).await.desired, 4);
    let who = aws.checkup(there, &[]).await;
    let who = who
        .iter()
        .find(|check| check.name == "credentials")
        .unwrap();
    for word in ["210987654321", "assumed-role/pointsman", "eu-west-1"] {
        assert!(who.found.contains(word), "{word} in {}", who.found);
    }
}

#[tokio::test]
async fn groups_are_read_into_a_manifest() {
    let emulator = Emulator::start(1);
    let (_fixture, target_groups, listener) = two_groups(&emulator).await;
    let account = emulator.account();
    let names = ["shop-blue".to_owned(), "shop-green".to_owned()];
    let one = aws(0)
        .import(&account, &place(), &names[..1])
        .await
        .unwrap();
    assert_eq!((one.group.size, one.group.slices), (3, 1));
    let bounds = one.group.autoscaling.unwrap();
    assert_eq!((bounds.min, bounds.max), (2, 6));
    assert_eq!(one.group.aws.unwrap().traffic, AwsTraffic::Group);
    assert!(one.notes.is_empty(), "{:?}", one.notes);

    let two = aws(0).import(&account, &place(), &names).await.unwrap();
    assert_eq!((two.group.size, two.group.slices), (3, 2));
    let of_aws = two.group.aws.clone().unwrap();
    assert_eq!(of_aws.groups, names);
    assert_eq!(of_aws.target_groups, target_groups);
    let rule = None;
    assert_eq!(of_aws.traffic, AwsTraffic::Listener { listener, rule });
    // It is what the provider then works with.
    let target = Target::new(place(), two.group, Some(account.clone()));
    let checks = aws(0).checkup(&account, &[target]).await;
    assert_eq!(
        status(&checks, "group shop.live"),
        CheckStatus::Ok,
        "{checks:#?}"
    );

    let missing = ["shop-red".to_owned()];
    let refused = aws(0)
        .import(&account, &place(), &missing)
        .await
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Missing);
}
