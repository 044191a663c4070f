//! What is read of the API's answers.
//!
//! Invariant: unknown fields are ignored and missing ones are empty, so that a newer or older server
//! can still be watched and steered.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// One attempt to make a release the live one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Deployment {
    /// Its id.
    pub id: String,
    /// The service.
    pub service: String,
    /// The environment.
    pub environment: String,
    /// The release that shall become live.
    pub version: String,
    /// What was live before.
    pub stable_version: Option<String>,
    /// How, with numbers.
    pub strategy: Value,
    /// Which slice has which role.
    pub roles: Roles,
    /// `running`, `paused`, `rolling_back`, `succeeded`, `rolled_back`, `aborted` or `failed`.
    pub status: String,
    /// The steps of the present course.
    pub steps: Vec<Step>,
    /// Index of the current step; equal to their number while the baseline is being restored.
    pub step: usize,
    /// What it waits for.
    pub waiting: Option<Waiting>,
    /// Why it does not go forward any more.
    pub failure: Option<Reason>,
    /// Who asked for it.
    #[serde(deserialize_with = "text")]
    pub requested_by: String,
    /// When.
    #[serde(deserialize_with = "text")]
    pub requested_at: String,
    /// When it ended.
    #[serde(deserialize_with = "optional_text")]
    pub finished_at: Option<String>,
    /// What was restored.
    pub certificate: Option<Certificate>,
}

/// Which slice has which role; both the same where they share one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Roles {
    /// Where stable is.
    pub live: String,
    /// Where the new release comes up.
    pub next: String,
}

/// One condition to reach.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Step {
    /// The condition, for people.
    pub sentence: String,
    /// What must be met before it is reached.
    pub gates: Vec<Gate>,
}

/// A gate of a step, and where it stands while the step is the current one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Gate {
    /// What people call it.
    pub name: String,
    /// `open`, `met` or `failed`, once it matters.
    pub verdict: Option<String>,
    /// What was measured last, for people.
    pub sentence: Option<String>,
}

/// What a deployment waits for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// Which wait it is.
    pub reason: String,
    /// The same for people.
    pub sentence: String,
    /// When it ends at the latest.
    pub until: Option<String>,
    /// What follows then: `goes_on` or `gives_up`.
    pub then: Option<String>,
    /// The name of the gate that is waited for.
    pub gate: Option<String>,
}

/// Why something does not go on, or does not begin.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Reason {
    /// The reason, for people.
    pub sentence: String,
    /// What would remove it.
    pub remedy: String,
    /// When it ends by itself, RFC 3339, where that is known.
    pub until: Option<String>,
}

impl Reason {
    /// The reason with its end, for people.
    #[must_use]
    pub fn told(&self) -> String {
        match &self.until {
            None => self.sentence.clone(),
            Some(until) => format!("{} (until {until})", self.sentence),
        }
    }
}

/// What a deployment left behind, compared with what was intended.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Certificate {
    /// All as intended.
    pub clean: bool,
    /// One line per field.
    pub lines: Vec<CertificateLine>,
}

/// One field of a certificate.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct CertificateLine {
    /// Which field.
    pub field: String,
    /// What it was meant to be.
    pub intended: String,
    /// What it is.
    pub seen: String,
}

impl Deployment {
    /// It ended, well or not.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished_at.is_some()
    }

    /// The gates of the current step.
    #[must_use]
    pub fn gates(&self) -> &[Gate] {
        self.steps.get(self.step).map_or(&[], |step| &step.gates)
    }

    /// The new release is live.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.status == "succeeded"
    }

    /// `storefront 1.0.0 -> 1.1.0 in staging`.
    #[must_use]
    pub fn title(&self) -> String {
        let from = self
            .stable_version
            .as_ref()
            .map_or(String::new(), |v| format!("{v} -> "));
        format!(
            "{} {from}{} in {}",
            self.service, self.version, self.environment
        )
    }
}

/// What runs of a service in an environment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The service.
    pub service: String,
    /// The environment.
    pub environment: String,
    /// The live release.
    pub live: Option<Live>,
    /// The deployment that runs there now.
    pub deployment: Option<Deployment>,
    /// A person's hold on the environment.
    pub lock: Option<Value>,
    /// What the provider sees.
    pub observation: Option<Observation>,
    /// Why nothing is seen, when the provider cannot answer.
    pub trouble: Option<Reason>,
    /// Where users find it.
    pub url: Option<String>,
}

/// The live release.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Live {
    /// Its version.
    pub version: String,
    /// Since when.
    #[serde(deserialize_with = "text")]
    pub since: String,
}

/// What the provider sees.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Observation {
    /// How users are split between slices, in percent.
    pub weights: BTreeMap<String, u8>,
    /// The capacity settings of each slice.
    pub sizes: BTreeMap<String, Sizes>,
    /// What the provider says of instances that are not healthy, by slice.
    pub provider_says: BTreeMap<String, String>,
    /// Every instance that the provider lists.
    pub instances: Vec<Instance>,
}

/// The capacity settings of a slice.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct Sizes {
    /// How many instances the provider keeps.
    pub desired: u32,
}

/// One running copy.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// The version that it runs.
    pub version: String,
    /// Its zone.
    pub zone: String,
    /// `pending`, `healthy`, `unhealthy`, `draining` or `terminating`.
    pub state: String,
    /// When it was started.
    #[serde(deserialize_with = "text")]
    pub started_at: String,
}

/// What a deployment is expected to do.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Preview {
    /// The steps.
    pub steps: Vec<PreviewStep>,
    /// Ids of the instances that go.
    pub retires: Vec<String>,
    /// How many instances run from when on.
    pub capacity: Vec<CapacityPoint>,
    /// Most instances at once.
    pub peak_instances: u32,
    /// Instance-milliseconds above what runs anyway.
    pub extra_instance_ms: u64,
    /// Requests to the provider that change something.
    pub calls: u32,
    /// The whole deployment, in milliseconds.
    pub expected_ms: u64,
    /// Index of the first step after which the way back has to start instances again.
    pub point_of_no_return: Option<usize>,
    /// Where it takes place on AWS.
    pub aws: Option<AwsPreview>,
}

/// Where a deployment on AWS takes place, and what is started there.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct AwsPreview {
    /// The account.
    pub account: String,
    /// Its region.
    pub region: Option<String>,
    /// The Auto Scaling group of each slice, by `blue` and `green`.
    pub groups: BTreeMap<String, String>,
    /// SHA-256 of the package.
    pub digest: Option<String>,
    /// The machine image.
    pub image: Option<String>,
    /// What is different there, one sentence each.
    pub notes: Vec<String>,
}

/// One step, with what it costs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PreviewStep {
    /// The condition, for people.
    pub sentence: String,
    /// What must be met before it is reached.
    pub gates: Vec<Gate>,
    /// How long gates need at the present traffic.
    pub forecasts: Vec<GateForecast>,
    /// Expected, in milliseconds.
    pub expected_ms: u64,
    /// From the end of this step until stable serves users in full again, in milliseconds.
    pub way_back_ms: u64,
}

/// How long a gate needs at the present traffic.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct GateForecast {
    /// Index of the gate in its step.
    pub gate: usize,
    /// It is expected to be met before its deadline.
    pub in_time: bool,
    /// The same, for people.
    pub sentence: String,
}

/// A point of the capacity curve.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct CapacityPoint {
    /// Milliseconds after the start.
    pub at_ms: u64,
    /// Instances from then on.
    pub instances: u32,
}

/// One thing that happened to a deployment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Event {
    /// When.
    #[serde(deserialize_with = "text")]
    pub at: String,
    /// What, in one word.
    pub event: String,
    /// The same for people.
    pub sentence: String,
    /// At which step, where that belongs to it.
    pub step: Option<usize>,
    /// What a look at a gate came to.
    pub look: Option<Look>,
    /// What the deployment waits for since then.
    pub waiting: Option<Waiting>,
}

/// One look at one gate.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Look {
    /// Index of the gate in its step.
    pub gate: usize,
    /// `open`, `met` or `failed`.
    pub verdict: String,
}

/// A text, or a number as text.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(optional_text(deserializer)?.unwrap_or_default())
}

fn optional_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_empty_and_what_is_new_is_ignored() {
        let text = r#"{"id":"1","status":"rolling_back","requested_at":1700000000000,"new":{}}"#;
        let deployment: Deployment = serde_json::from_str(text).expect("a deployment");
        assert_eq!(deployment.requested_at, "1700000000000");
        assert!(!deployment.is_finished());
    }
}
