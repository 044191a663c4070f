//! The folk recipe ("double, then halve") in the same stories, so that it is known that they bite.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Scenario, Story, scene};
use crate::{emulator::Emulator, fixture::Fixture};

/// Stories that the recipe is played in. In a good half of them the group's own rules happen to agree
/// with it.
const STORIES: u64 = 20;
/// So many of them must end wrong. A simulation of AWS's documented rules says 17 to 100 % of the
/// groups that are affected, depending on zones and policy.
const WRONG_MIN: usize = 4;

#[tokio::test]
async fn the_folk_recipe_leaves_old_instances_in_the_same_stories() {
    let emulator = Emulator::start(7);
    let fixture = Fixture::new(&emulator, 4).await;
    let mut wrong = Vec::new();
    for seed in 0..STORIES {
        let story = Story {
            events: 0,
            protected: 0,
            max: Some(16),
            ..Story::draw(seed, Scenario::Release)
        };
        let prepared = scene::prepare(&emulator, &fixture, &story).await;
        emulator.script(
            "naive_recipe.py",
            &[
                "--group",
                &prepared.name,
                "--image",
                prepared.new.as_str(),
                "--advance-ms",
                "4000",
            ],
        );
        let truth = emulator.truth(&prepared.name);
        let instances = truth["instances"].as_array().cloned().unwrap_or_default();
        let there = instances.iter().filter(|it| it["state"] == "InService");
        let images: BTreeSet<&str> = there
            .filter_map(|it: &Value| it["image_id"].as_str())
            .collect();
        if images != BTreeSet::from([prepared.new.as_str()]) {
            wrong.push(format!("{story:?}: {images:?} survived"));
        }
        emulator.forget(&prepared.name);
    }
    println!(
        "the folk recipe: {} of {STORIES} stories end with old instances",
        wrong.len()
    );
    assert!(
        wrong.len() >= WRONG_MIN,
        "the stories do not bite: {wrong:#?}"
    );
}
