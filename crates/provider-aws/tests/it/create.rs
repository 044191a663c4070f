//! Groups that Pointsman makes: the machines are what the manifest says.

use std::sync::Arc;

use domain::{
    catalogue::ServerGroup,
    effect::{Effect, Target, Token},
    names::DeploymentId,
    release::{Content, ImageId, Launch, LaunchId},
    slice::Slice,
};
use engine::ports::{ErrorKind, Provider, ProviderError};
use provider_aws::Aws;
use serde_json::json;

use crate::{
    emulator::{Emulator, settings},
    fixture::Fixture,
};

/// An image with this root volume. Those of the emulator have 15 GiB.
async fn image(fixture: &Fixture, root: &str) -> ImageId {
    let request = fixture.clients.ec2.register_image().name(root);
    let answer = request.root_device_name(root).send().await.unwrap();
    answer.image_id().unwrap().parse().unwrap()
}

async fn make(
    emulator: &Emulator,
    fixture: &Fixture,
    (image, released): (&ImageId, &ImageId),
    root_gib: u32,
) -> Result<(), ProviderError> {
    let group: ServerGroup = serde_json::from_value(json!({
        "service": "cart", "environment": "live", "size": 2,
        "aws": {"account": "emulated", "create": {
            "image": image, "instance_type": "t3.small", "subnets": fixture.subnets,
            "root_gib": root_gib,
            "volumes": [{"device": "/dev/sdf", "gib": 500, "type": "st1"}],
        }},
    }))
    .unwrap();
    let target = Target::new(group.place(), group, Some(emulator.account()));
    let aws = Aws::new(Arc::new(emulator.clock()), settings(), std::env::temp_dir());
    let launch = Launch {
        id: LaunchId("1.0.0-1".to_owned()),
        version: "1.0.0".parse().unwrap(),
        content: Content::Image {
            image: released.clone(),
        },
    };
    let effect = Effect::SetLaunch {
        slice: Slice::Blue,
        launch: Some(launch),
    };
    let token = Token {
        deployment: DeploymentId("d1".to_owned()),
        version: 1,
    };
    aws.apply(&target, &effect, &token).await
}

#[tokio::test]
async fn the_root_volume_grows_by_the_images_own_name_for_it() {
    let emulator = Emulator::start(1);
    let fixture = Fixture::new(&emulator, 1).await;
    let image = image(&fixture, "/dev/sda1").await;
    let refused = make(&emulator, &fixture, (&image, &image), 14)
        .await
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Invalid);
    assert!(refused.message.contains("15 GiB already"), "{refused:?}");

    make(&emulator, &fixture, (&image, &image), 20)
        .await
        .unwrap();
    assert_eq!(
        devices(&fixture).await,
        [
            expected("/dev/sda1", 20, "gp3"),
            expected("/dev/sdf", 500, "st1"),
        ]
    );
}

#[tokio::test]
async fn a_release_whose_image_names_its_root_volume_otherwise_has_one_and_not_two() {
    let emulator = Emulator::start(1);
    let fixture = Fixture::new(&emulator, 1).await;
    let base = image(&fixture, "/dev/xvda").await;
    let image = image(&fixture, "/dev/sda1").await;
    let refused = make(&emulator, &fixture, (&base, &image), 14).await;
    assert_eq!(refused.unwrap_err().kind, ErrorKind::Invalid);
    make(&emulator, &fixture, (&base, &image), 20)
        .await
        .unwrap();
    assert_eq!(
        devices(&fixture).await,
        [
            expected("/dev/sda1", 20, "gp3"),
            expected("/dev/sdf", 500, "st1"),
        ]
    );
}

type Device = (String, i32, String, Option<bool>);

fn expected(name: &str, gib: i32, kind: &str) -> Device {
    (name.to_owned(), gib, kind.to_owned(), Some(true))
}

/// What the newest version of the launch template says.
async fn devices(fixture: &Fixture) -> Vec<Device> {
    let request = fixture.clients.ec2.describe_launch_template_versions();
    let request = request.launch_template_name("cart-live-blue").versions("2");
    let answer = request.send().await.unwrap();
    let data = answer.launch_template_versions()[0].launch_template_data();
    let devices = data.unwrap().block_device_mappings().iter().map(|device| {
        let volume = device.ebs().unwrap();
        let kind = volume.volume_type().unwrap().as_str().to_owned();
        let name = device.device_name().unwrap().to_owned();
        (
            name,
            volume.volume_size().unwrap(),
            kind,
            volume.encrypted(),
        )
    });
    devices.collect()
}
