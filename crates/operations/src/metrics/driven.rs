//! The deployments that this process drives: how many there are, and what they wait for.
//!
//! Invariant: what was not heard of for [`FORGET`] is not counted, so that a lease which was lost in
//! silence leaves no trace.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use domain::{deployment::Deployment, names::DeploymentId};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{family::Family, gauge::Gauge},
};

use super::labels::{ReasonLabels, STATUS_WORDS, StatusLabels, status_word, tag};

/// Longer than a lease, and than the longest time between two looks.
const FORGET: Duration = Duration::from_secs(120);

/// What is known of the deployments that are driven.
#[derive(Debug, Default)]
pub(super) struct Driven(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    deployments: BTreeMap<DeploymentId, Stand>,
    /// Every reason that there ever was: nobody waiting is a zero, not a gap.
    reasons: BTreeSet<String>,
}

#[derive(Debug)]
struct Stand {
    status: &'static str,
    reason: Option<String>,
    heard_at: Instant,
}

impl Driven {
    /// This is how a deployment stands.
    pub(super) fn see(&self, deployment: &Deployment) {
        let stand = Stand {
            status: status_word(deployment),
            reason: deployment.waiting.as_ref().map(|it| tag(it, "reason")),
            heard_at: Instant::now(),
        };
        self.with(|known| {
            if let Some(reason) = &stand.reason
                && !known.reasons.contains(reason)
            {
                known.reasons.insert(reason.clone());
            }
            known.deployments.insert(deployment.id.clone(), stand);
        });
    }

    /// It ended, or somebody else drives it.
    pub(super) fn forget(&self, id: &DeploymentId) {
        self.with(|known| known.deployments.remove(id));
    }

    fn with<T>(&self, f: impl FnOnce(&mut Known) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn counted(&self) -> (Family<StatusLabels, Gauge>, Family<ReasonLabels, Gauge>) {
        let (statuses, reasons) = (Family::default(), Family::default());
        let status = |status| StatusLabels { status };
        for word in STATUS_WORDS {
            count(&statuses, &status(word), 0);
        }
        self.with(|known| {
            known
                .deployments
                .retain(|_, stand| stand.heard_at.elapsed() < FORGET);
            for reason in known.reasons.iter().cloned() {
                count(&reasons, &ReasonLabels { reason }, 0);
            }
            for stand in known.deployments.values() {
                count(&statuses, &status(stand.status), 1);
                if let Some(reason) = stand.reason.clone() {
                    count(&reasons, &ReasonLabels { reason }, 1);
                }
            }
        });
        (statuses, reasons)
    }
}

fn count<L: Clone + Eq + std::hash::Hash>(family: &Family<L, Gauge>, labels: &L, by: i64) {
    family.get_or_create(labels).inc_by(by);
}

/// Writes what is known at the moment of a scrape.
#[derive(Debug)]
pub(super) struct DrivenCollector(pub(super) Arc<Driven>);

impl Collector for DrivenCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let (statuses, reasons) = self.0.counted();
        write(
            &mut encoder,
            "deployments_running",
            "Deployments that this server drives, by status",
            &statuses,
        )?;
        write(
            &mut encoder,
            "deployment_waiting",
            "Deployments that this server drives, by what they wait for",
            &reasons,
        )
    }
}

fn write<L>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    family: &Family<L, Gauge>,
) -> Result<(), fmt::Error>
where
    L: Clone + Eq + std::hash::Hash + EncodeLabelSet,
{
    let encoder = encoder.encode_descriptor(name, help, None, family.metric_type())?;
    family.encode(encoder)
}
