//! What must be true in every story, by what the emulator knows, not by what it shows.

use std::collections::BTreeSet;

use domain::{
    deployment::{Deployment, Outcome},
    reason::Failure,
    release::ImageId,
};
use serde_json::Value;

use super::Story;

/// Collects what is broken.
pub struct Checker {
    /// One sentence each.
    pub violations: Vec<String>,
    size: u32,
    max: Option<u32>,
}

/// What a story should come to.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// How the deployment ends.
    pub outcome: Outcome,
    /// What every instance runs in the end.
    pub survivors: &'a ImageId,
}

/// A lost instance excuses missing capacity for so long, in milliseconds: until another one was
/// started and got healthy.
const EXCUSED_MS: i64 = 180_000;

impl Checker {
    /// Nothing is broken yet.
    pub fn new(story: &Story) -> Self {
        Self {
            violations: Vec::new(),
            size: story.size,
            max: story.max,
        }
    }

    /// Adds a sentence.
    pub fn broken(&mut self, what: String) {
        self.violations.push(what);
    }

    /// Whenever the group stopped an instance because it was asked to shrink, enough healthy ones were
    /// left: as many as were asked for, unless some were lost by themselves a moment ago.
    pub fn capacity(&mut self, log: &[Value]) {
        let (mut lost_at, mut healthy_before) = (i64::MIN / 2, u64::MAX);
        for entry in log {
            let at = entry["at_ms"].as_i64().unwrap_or_default();
            let (kind, cause) = (&entry["kind"], &entry["cause"]);
            let by_itself = cause == "spot" || cause == "health";
            if kind == "lost" || kind == "unhealthy" || (kind == "terminate" && by_itself) {
                lost_at = at;
            }
            let asked = cause == "scale-in" || cause == "user" || cause == "refresh";
            let asked_for = kind == "terminate" && asked;
            let healthy = entry["healthy_after"].as_u64().unwrap_or(u64::MAX);
            let was_healthy = healthy < healthy_before;
            healthy_before = healthy;
            if asked_for
                && was_healthy
                && healthy < u64::from(self.size)
                && at - lost_at > EXCUSED_MS
            {
                let instance = &entry["instance"];
                self.broken(format!(
                    "{at}: {healthy} healthy instances of {} are left after {instance} was stopped",
                    self.size
                ));
            }
        }
    }

    /// Spot took most instances of the release while it was watched, or filled: that it was turned
    /// round is right by the rules.
    pub fn excused(&self, deployment: &Deployment, release: &ImageId, log: &[Value]) -> bool {
        let failed = matches!(
            deployment.failure,
            Some(Failure::NotStable { .. } | Failure::Unhealthy { .. })
        );
        let lost = log.iter().filter(|entry| {
            entry["kind"] == "lost"
                && entry["cause"] == "spot"
                && entry["image_id"] == release.as_str()
        });
        failed && lost.count() >= self.size.div_ceil(2) as usize
    }

    /// Only the right instances survive, and every setting is what it was.
    pub fn at_the_end(
        &mut self,
        deployment: &Deployment,
        Expected { outcome, survivors }: Expected<'_>,
        before: &Value,
        after: &Value,
    ) {
        let Some(ending) = &deployment.ending else {
            return;
        };
        if ending.outcome != outcome {
            let why = &deployment.failure;
            self.broken(format!("it {:?}, not {outcome:?}: {why:?}", ending.outcome));
        }
        for line in ending
            .certificate
            .lines
            .iter()
            .filter(|it| it.intended != it.seen)
        {
            self.broken(format!(
                "the certificate says {} is {}, not {}",
                line.field, line.seen, line.intended
            ));
        }
        let instances = after["instances"].as_array().cloned().unwrap_or_default();
        let present: Vec<&Value> = instances
            .iter()
            .filter(|it| {
                !it["state"]
                    .as_str()
                    .unwrap_or_default()
                    .starts_with("Terminating")
            })
            .collect();
        let images: BTreeSet<&str> = present
            .iter()
            .map(|it| it["image_id"].as_str().unwrap_or_default())
            .collect();
        if images != BTreeSet::from([survivors.as_str()]) {
            self.broken(format!("{images:?} survived, not {survivors}"));
        }
        let desired = after["sizes"]["desired"].as_u64().unwrap_or_default();
        if present.len() as u64 != desired {
            self.broken(format!(
                "{} instances are there, {desired} are asked for",
                present.len()
            ));
        }
        self.sizes(before, after, desired);
        for setting in ["suspended", "policies"] {
            if before[setting] != after[setting] {
                self.broken(format!(
                    "{setting} was {}, is {}",
                    before[setting], after[setting]
                ));
            }
        }
        let there: BTreeSet<&str> = present.iter().filter_map(|it| it["id"].as_str()).collect();
        let protected = |truth: &Value| -> BTreeSet<String> {
            let ids = truth["protected"].as_array().cloned().unwrap_or_default();
            let ids = ids
                .iter()
                .filter_map(Value::as_str)
                .filter(|id| there.contains(id));
            ids.map(str::to_owned).collect()
        };
        if protected(before) != protected(after) {
            let (was, is) = (protected(before), protected(after));
            self.broken(format!(
                "protected were {was:?} of those that survived, are {is:?}"
            ));
        }
    }

    fn sizes(&mut self, before: &Value, after: &Value, desired: u64) {
        for bound in ["min", "max"] {
            let (was, is) = (&before["sizes"][bound], &after["sizes"][bound]);
            if was != is {
                self.broken(format!("{bound} was {was}, is {is}"));
            }
        }
        let range = u64::from(self.size)..=u64::from(self.max.unwrap_or(self.size));
        if !range.contains(&desired) {
            self.broken(format!(
                "{desired} instances are asked for, out of {range:?}"
            ));
        }
    }
}
