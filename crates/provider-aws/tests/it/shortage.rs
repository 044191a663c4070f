//! What keeps a group from growing: said before, said while it happens, and no longer than it lasts.

use std::sync::Arc;

use aws_sdk_autoscaling::types::{
    DesiredConfiguration, LaunchTemplateSpecification, RefreshPreferences,
};
use domain::{
    catalogue::ServerGroup,
    effect::{Effect, Purpose, Target, Token},
    names::DeploymentId,
    observation::{Sizes, SliceSeen},
    slice::Slice,
};
use engine::ports::Provider;
use provider_aws::Aws;
use serde_json::json;

use crate::{
    emulator::{Emulator, settings},
    fixture::{Fixture, Made},
};

/// A group of three `t3.small`, with two vCPUs each.
struct Stage {
    emulator: Emulator,
    fixture: Fixture,
    aws: Aws,
    target: Target,
}

impl Stage {
    async fn new() -> Self {
        let emulator = Emulator::start(1);
        let fixture = Fixture::new(&emulator, 2).await;
        Self::with(emulator, fixture, &[]).await
    }

    /// Behind a load balancer, from an image that never gets healthy.
    async fn broken() -> Self {
        let emulator = Emulator::start(1);
        let fixture = Fixture::new(&emulator, 2).await;
        let target_group = fixture.target_group("shop").await;
        fixture.listener("shop", &[(&target_group, 1)]).await;
        Self::with(emulator, fixture, &[target_group]).await
    }

    async fn with(emulator: Emulator, fixture: Fixture, target_groups: &[String]) -> Self {
        let image = fixture.image("shop-1.0.0").await;
        if !target_groups.is_empty() {
            let broken = json!({"image_id": image, "behaviour": "broken"});
            emulator.control("behaviour", &broken);
        }
        fixture
            .group(&Made {
                name: "shop",
                image: &image,
                subnets: &fixture.subnets,
                target_groups,
                policies: &["Default"],
                sizes: [1, 3, 6],
            })
            .await;
        emulator.advance(5000);
        let group: ServerGroup = serde_json::from_value(json!({
            "service": "shop", "environment": "live", "size": 3,
            "aws": {"account": "emulated", "groups": ["shop"]},
        }))
        .unwrap();
        let target = Target::new(group.place(), group, Some(emulator.account()));
        let aws = Aws::new(Arc::new(emulator.clock()), settings(), std::env::temp_dir());
        Self {
            emulator,
            fixture,
            aws,
            target,
        }
    }

    async fn look(&self, purpose: Purpose) -> SliceSeen {
        let target = Target {
            purpose,
            ..self.target.clone()
        };
        let seen = self.aws.observe(&target).await.unwrap();
        seen.slice(Slice::Blue).clone()
    }

    fn asked(&self, operation: &str) -> u64 {
        let calls = self.aws.calls(&self.emulator.account().name);
        calls.get(operation).copied().unwrap_or(0)
    }
}

#[tokio::test]
async fn a_quota_without_room_is_a_warning_and_a_launch_that_fails_is_explained() {
    let stage = Stage::new().await;
    assert_eq!(
        stage.look(Purpose::Admission).await.warnings,
        [""; 0],
        "nothing is known, nothing is said"
    );
    stage.emulator.settings(&json!({"vcpu_quota": 8}));
    stage.emulator.advance(61_000);
    let seen = stage.look(Purpose::Admission).await;
    assert_eq!(
        seen.warnings,
        [
            "a second shop needs 6 vCPUs of Standard/OnDemand, and 6 of EC2's quota of 8 were in use a few \
             minutes ago: AWS may not start all instances"
        ]
    );
    assert!(seen.obstacles.is_empty() && seen.room > Some(100));

    let sizes = Sizes {
        min: 6,
        desired: 6,
        max: 6,
    };
    let effect = Effect::SetSizes {
        slice: Slice::Blue,
        sizes,
    };
    let token = Token {
        deployment: DeploymentId("d1".to_owned()),
        version: 1,
    };
    stage
        .aws
        .apply(&stage.target, &effect, &token)
        .await
        .unwrap();
    stage.emulator.advance(1000);
    let seen = stage.look(Purpose::Deployment).await;
    assert_eq!((seen.healthy(), seen.trouble), (4, None), "all may be well");
    assert_eq!(stage.asked("autoscaling:DescribeScalingActivities"), 0);
    for _ in 0..12 {
        stage.emulator.advance(1000);
        stage.look(Purpose::Deployment).await;
    }
    let said = stage.look(Purpose::Deployment).await.trouble.unwrap();
    assert!(said.contains("vCPU limit of 8"), "{said}");
    assert_eq!(stage.asked("autoscaling:DescribeScalingActivities"), 1);

    stage.emulator.settings(&json!({"vcpu_quota": 100}));
    stage.emulator.advance(11_000);
    let seen = stage.look(Purpose::Deployment).await;
    assert_eq!((seen.healthy(), seen.trouble), (6, None));
}

#[tokio::test]
async fn an_instance_that_fails_its_checks_is_explained() {
    let stage = Stage::broken().await;
    for _ in 0..20 {
        stage.emulator.advance(2000);
        let seen = stage.look(Purpose::Deployment).await;
        assert_eq!(seen.healthy(), 0);
        if let Some(said) = seen.trouble {
            let told = " is unhealthy: Health checks failed with these codes: [503]";
            assert!(said.starts_with("i-") && said.ends_with(told), "{said}");
            return;
        }
    }
    panic!("nobody says why none of them is healthy");
}

#[tokio::test]
async fn an_obstacle_is_gone_soon_after_somebody_removed_it() {
    let stage = Stage::new().await;
    let scaling = &stage.fixture.clients.scaling;
    let groups = scaling.describe_auto_scaling_groups().send().await.unwrap();
    let template = groups.auto_scaling_groups()[0].launch_template().unwrap();
    let specification = LaunchTemplateSpecification::builder()
        .launch_template_id(template.launch_template_id().unwrap())
        .version("1");
    let wanted = DesiredConfiguration::builder().launch_template(specification.build());
    let slow = RefreshPreferences::builder().instance_warmup(600);
    assert!(stage.look(Purpose::Admission).await.obstacles.is_empty());
    scaling
        .start_instance_refresh()
        .auto_scaling_group_name("shop")
        .desired_configuration(wanted.build())
        .preferences(slow.build())
        .send()
        .await
        .unwrap();

    // Whoever asks again and again must not be answered with what was true when he began.
    let mut obstructed = Vec::new();
    for second in 1..=40 {
        stage.emulator.advance(1000);
        if second == 15 {
            let request = scaling.cancel_instance_refresh();
            let request = request.auto_scaling_group_name("shop");
            request.send().await.unwrap();
        }
        let seen = stage.look(Purpose::Admission).await;
        if !seen.obstacles.is_empty() {
            assert!(seen.obstacles[0].contains("instance refresh"), "{seen:?}");
            obstructed.push(second);
        }
    }
    let (first, last) = (obstructed.first().unwrap(), obstructed.last().unwrap());
    assert!(*first <= 11 && *last <= 30, "from {first} s to {last} s");
}

#[tokio::test]
async fn only_who_wants_to_begin_something_pays_for_what_stands_in_the_way() {
    let stage = Stage::new().await;
    let costly = [
        "autoscaling:DescribeInstanceRefreshes",
        "ec2:DescribeSubnets",
        "ec2:DescribeInstanceTypes",
        "cloudwatch:GetMetricData",
    ];
    for purpose in [Purpose::Status, Purpose::Deployment] {
        stage.look(purpose).await;
        assert_eq!(costly.map(|it| stage.asked(it)), [0; 4], "{purpose:?}");
    }
    stage.look(Purpose::InstanceRefresh).await;
    assert_eq!(costly.map(|it| stage.asked(it)), [1, 0, 0, 0]);
    for _ in 0..3 {
        stage.look(Purpose::Admission).await;
    }
    assert_eq!(costly.map(|it| stage.asked(it)), [2, 1, 1, 1]);
}
