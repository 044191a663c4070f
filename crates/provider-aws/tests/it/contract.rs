//! The engine's contract for providers, on the emulated AWS.

use std::sync::Arc;

use domain::{
    catalogue::ServerGroup,
    effect::Target,
    release::{Content, Launch, LaunchId},
};
use engine::testing::contract::{ProviderStage, provider_contract};
use provider_aws::Aws;
use serde_json::json;

use crate::{
    emulator::{Emulator, settings},
    fixture::Fixture,
};

struct Stage {
    emulator: Emulator,
    target: Target,
    launches: [Launch; 2],
}

impl ProviderStage for Stage {
    fn target(&self) -> Target {
        self.target.clone()
    }
    fn launches(&self) -> [Launch; 2] {
        self.launches.clone()
    }
    async fn moment(&self) {
        self.emulator.advance(1000);
    }
    fn patience(&self) -> u32 {
        120
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_keeps_the_contract() {
    let emulator = Emulator::start(1);
    emulator.settings(&json!({
        "launch_ms": 3000, "launch_spread_ms": 2000, "healthy_ms": 2000, "drain_ms": 3000,
        "terminate_ms": 2000, "react_ms": 500,
    }));
    let fixture = Fixture::new(&emulator, 3).await;
    let target_group = fixture.target_group("cart-live").await;
    fixture.listener("cart-live", &[(&target_group, 1)]).await;
    let image = fixture.image("machine-1.0.0").await;
    let mut launches = Vec::new();
    for (id, version) in [("1.0.0-00000001", "1.0.0"), ("2.0.0-00000002", "2.0.0")] {
        launches.push(Launch {
            id: LaunchId(id.to_owned()),
            version: version.parse().unwrap(),
            content: Content::Image {
                image: fixture.image(&format!("cart-{version}")).await,
            },
        });
    }
    let group: ServerGroup = serde_json::from_value(json!({
        "service": "cart", "environment": "live", "size": 2,
        "aws": {
            "account": "emulated",
            "target_groups": [target_group],
            "create": {
                "image": image, "instance_type": "t3.small", "subnets": fixture.subnets,
            },
        },
    }))
    .unwrap();
    let aws = Aws::new(Arc::new(emulator.clock()), settings(), std::env::temp_dir());
    let target = Target::new(group.place(), group, Some(emulator.account()));
    let stage = Stage {
        emulator,
        target,
        launches: launches.try_into().unwrap(),
    };
    provider_contract(&aws, &stage).await;
}
