//! What a story begins with, and what goes wrong in it.

use domain::release::{Content, ImageId, Launch, LaunchId};
use serde_json::{Value, json};

use super::{Scenario, Story};
use crate::{
    emulator::Emulator,
    fixture::{Fixture, Made},
};

/// A group that runs a release, and the image of the next one.
pub struct Prepared {
    /// The group's name.
    pub name: String,
    /// What it runs.
    pub old: ImageId,
    /// What shall come.
    pub new: ImageId,
}

/// Makes what the story begins with.
pub async fn prepare(emulator: &Emulator, fixture: &Fixture, story: &Story) -> Prepared {
    let [launch, spread, healthy, drain, terminate, react] = story.lags;
    emulator.settings(&json!({
        "launch_ms": 0, "launch_spread_ms": 0, "healthy_ms": 0, "drain_ms": 0,
        "terminate_ms": 0, "react_ms": 0, "ties": story.ties, "seed": story.seed,
    }));
    let name = format!("shop-{}-{}", word(story.scenario), story.seed);
    let old = fixture.image(&format!("{name}-1.0.0")).await;
    let new = fixture.image(&format!("{name}-2.0.0")).await;
    if story.scenario.is_bad() {
        emulator.control(
            "behaviour",
            &json!({"image_id": new, "behaviour": "broken"}),
        );
    }
    set_up(emulator, fixture, story, &name, &old).await;
    emulator.settings(&json!({
        "launch_ms": launch, "launch_spread_ms": spread, "healthy_ms": healthy,
        "drain_ms": drain, "terminate_ms": terminate, "react_ms": react,
    }));
    if story.scenario.refreshes() {
        // AWS replaces at once what is not healthy; by the new lags, the old ones are not yet.
        emulator.advance(healthy + 1000);
    }
    Prepared { name, old, new }
}

/// The group as somebody made it long ago, with all the marks that people leave.
async fn set_up(
    emulator: &Emulator,
    fixture: &Fixture,
    story: &Story,
    name: &str,
    image: &ImageId,
) {
    let target_group = fixture.target_group(&tg_name(name)).await;
    fixture
        .listener(&tg_name(name), &[(&target_group, 1)])
        .await;
    let subnets = &fixture.subnets[..story.zones];
    let max = story.max.unwrap_or(story.size);
    let first = if story.skewed > 0 {
        story.skewed
    } else {
        story.size
    };
    let begins_in = if story.skewed > 0 {
        &subnets[..1]
    } else {
        subnets
    };
    fixture
        .group(&Made {
            name,
            image,
            subnets: begins_in,
            target_groups: &[target_group],
            policies: &[story.policy],
            sizes: [first, first, max.max(first)],
        })
        .await;
    emulator.advance(1000);
    let scaling = &fixture.clients.scaling;
    let mut off = Vec::new();
    if story.rebalancing_off || story.skewed > 0 {
        off.push("AZRebalance".to_owned());
    }
    if story.alarms_off {
        off.push("AlarmNotification".to_owned());
    }
    if !off.is_empty() {
        let request = scaling.suspend_processes().auto_scaling_group_name(name);
        request
            .set_scaling_processes(Some(off))
            .send()
            .await
            .unwrap();
    }
    let size = i32::try_from(story.size).unwrap();
    let request = scaling
        .update_auto_scaling_group()
        .auto_scaling_group_name(name);
    let request = request
        .vpc_zone_identifier(subnets.join(","))
        .min_size(size);
    request.desired_capacity(size).send().await.unwrap();
    emulator.advance(2000);
    protect_some(emulator, fixture, story, name).await;
    if story.skewed > 0 && !story.rebalancing_off {
        let request = scaling.resume_processes().auto_scaling_group_name(name);
        request
            .scaling_processes("AZRebalance")
            .send()
            .await
            .unwrap();
    }
}

/// Somebody protected some instances.
async fn protect_some(emulator: &Emulator, fixture: &Fixture, story: &Story, name: &str) {
    if story.protected == 0 {
        return;
    }
    let scaling = &fixture.clients.scaling;
    let truth = emulator.truth(name);
    let ids = truth["instances"].as_array().unwrap().iter();
    let ids = ids
        .map(|it| it["id"].as_str().unwrap().to_owned())
        .take(story.protected);
    let request = scaling
        .set_instance_protection()
        .auto_scaling_group_name(name);
    let request = request
        .set_instance_ids(Some(ids.collect()))
        .protected_from_scale_in(true);
    request.send().await.unwrap();
}

/// What goes wrong on the way to AWS and back.
pub fn faults(story: &Story) -> Value {
    if story.faults == 0 {
        return json!([]);
    }
    let share = f64::from(story.faults) / 100.0;
    let kinds = ["throttle", "error500", "lost", "cut"];
    let mut rules: Vec<Value> = kinds
        .iter()
        .map(
            |kind| json!({"service": "*", "action": "*", "kind": kind, "probability": share / 4.0}),
        )
        .collect();
    rules.push(json!({
        "service": "autoscaling", "action": "UpdateAutoScalingGroup", "kind": "code",
        "code": "ScalingActivityInProgress", "probability": share,
    }));
    Value::Array(rules)
}

/// Names of target groups and load balancers have at most 32 characters.
fn tg_name(name: &str) -> String {
    name.replace("shop-", "s-").chars().take(32).collect()
}

fn word(scenario: Scenario) -> String {
    let text = format!("{scenario:?}").to_lowercase();
    text.replace('(', "-").replace(')', "")
}

pub fn launch_of(version: &str, image: &ImageId) -> Launch {
    Launch {
        id: LaunchId(format!("{version}-{}", &image.as_str()[4..12])),
        version: version.parse().unwrap(),
        content: Content::Image {
            image: image.clone(),
        },
    }
}
