//! Groups that Pointsman makes: the machines are what the manifest says.

use std::sync::Arc;

use domain::{
    catalogue::ServerGroup,
    effect::{Effect, Target, Token},
    names::DeploymentId,
    observation::Slice,
    release::{Content, ImageId, Launch, LaunchId},
};
use engine::ports::{ErrorKind, Provider, ProviderError};
use provider_aws::Aws;
use serde_json::json;

use crate::{
    emulator::{Emulator, settings},
    fixture::Fixture,
};

/// An image as Ubuntu makes them: the root volume is `/dev/sda1`. Those of the emulator have 15 GiB.
async fn ubuntu(fixture: &Fixture) -> ImageId {
    let request = fixture.clients.ec2.register_image().name("ubuntu");
    let answer = request.root_device_name("/dev/sda1").send().await.unwrap();
    answer.image_id().unwrap().parse().unwrap()
}

async fn make(
    emulator: &Emulator,
    fixture: &Fixture,
    image: &ImageId,
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
            image: image.clone(),
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
    let image = ubuntu(&fixture).await;
    let refused = make(&emulator, &fixture, &image, 14).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Invalid);
    assert!(refused.message.contains("15 GiB already"), "{refused:?}");

    make(&emulator, &fixture, &image, 20).await.unwrap();
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
    let devices: Vec<_> = devices.collect();
    let expected =
        |name: &str, gib, kind: &str| (name.to_owned(), gib, kind.to_owned(), Some(true));
    assert_eq!(
        devices,
        [
            expected("/dev/sda1", 20, "gp3"),
            expected("/dev/sdf", 500, "st1"),
        ]
    );
}
