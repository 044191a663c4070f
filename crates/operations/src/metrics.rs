//! What this process counts of itself, for a Prometheus. `docs/guide/metrics.md` explains each.
//!
//! ```text
//! journal --Counted--> deployments, gates, what is waited for
//! provider --Clouds--> errors         engine --TurnMeter--> turns        api --layer--> requests
//! ```
//!
//! Invariant: the number of series is bounded, whatever people ask for: a label is one of our own
//! words, a route of ours, or the name of one of the first `ENVIRONMENTS_MAX` environments.
//! Invariant: nothing here decides anything; a number that is lost changes no deployment.

mod driven;
mod labels;
mod ports;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::{
    deployment::{Deployment, Ending, Outcome},
    event::{Event, What},
    names::EnvironmentName,
};
use engine::{
    ports::{ErrorKind, JournalError},
    runner::TurnMeter,
    turn::Turned,
};
use http::{Method, StatusCode};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, histogram::Histogram, info::Info},
    registry::Registry,
};

use driven::{Driven, DrivenCollector};
use labels::{
    DeploymentLabels, DurationLabels, ErrorLabels, LookLabels, RequestLabels, RouteLabels,
    TurnLabels, gate_word, method_word, turn_word,
};
pub use ports::Counted;

/// The media type of the text.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Environments that are counted by name; those of further ones are `other`.
const ENVIRONMENTS_MAX: usize = 100;
const OTHER: &str = "other";

/// From seconds to a day.
const DEPLOYMENT_SECONDS: [f64; 14] = [
    1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0, 43_200.0,
    86_400.0,
];
/// Up to the age at which a decision is dropped.
const TURN_SECONDS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0,
];
/// Up to the longest time that an ordinary answer may take.
const REQUEST_SECONDS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0,
];

/// Histograms by labels, all with the same buckets.
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// What this process counts. Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    registry: Registry,
    deployments: Family<DeploymentLabels, Counter>,
    deployment_seconds: Histograms<DurationLabels>,
    gate_looks: Family<LookLabels, Counter>,
    driven: Arc<Driven>,
    turns: Family<TurnLabels, Counter>,
    turn_seconds: Histogram,
    provider_errors: Family<ErrorLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Histograms<RouteLabels>,
    environments: Mutex<BTreeSet<EnvironmentName>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut counts = Counts {
            registry: Registry::with_prefix("pointsman"),
            deployments: Family::default(),
            deployment_seconds: Family::new_with_constructor(|| Histogram::new(DEPLOYMENT_SECONDS)),
            gate_looks: Family::default(),
            driven: Arc::default(),
            turns: Family::default(),
            turn_seconds: Histogram::new(TURN_SECONDS),
            provider_errors: Family::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(|| Histogram::new(REQUEST_SECONDS)),
            environments: Mutex::default(),
        };
        counts.register();
        counts.begin_at_zero();
        Self(Arc::new(counts))
    }
}

impl Metrics {
    /// Everything that was counted, as text of [`MEDIA_TYPE`].
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &self.0.registry) {
            tracing::error!(%error, "metrics cannot be written");
        }
        text
    }

    /// `inner`, with what it says counted here.
    #[must_use]
    pub fn counting<T>(&self, inner: T) -> Counted<T> {
        Counted::new(inner, self.clone())
    }

    /// A provider failed to answer, or refused.
    pub(crate) fn provider_failed(&self, kind: ErrorKind) {
        let labels = ErrorLabels::from(kind);
        self.0.provider_errors.get_or_create(&labels).inc();
    }

    /// A request was answered; `route` is the one of ours that it was for.
    pub fn answered(
        &self,
        method: &Method,
        route: Option<&str>,
        status: StatusCode,
        took: Duration,
    ) {
        let labels = RouteLabels {
            method: method_word(method),
            route: route.unwrap_or("none").to_owned(),
        };
        let seconds = took.as_secs_f64();
        self.0
            .request_seconds
            .get_or_create(&labels)
            .observe(seconds);
        let labels = RequestLabels {
            method: labels.method,
            route: labels.route,
            status: status.as_u16(),
        };
        self.0.requests.get_or_create(&labels).inc();
    }

    /// A deployment is driven from now on. However it ends, that is an increase from zero: a
    /// Prometheus takes no notice of a counter that begins at one.
    fn claimed(&self, deployment: &Deployment) {
        self.0.driven.see(deployment);
        for outcome in labels::OUTCOMES {
            let (counted, timed) = self.labels(deployment, outcome);
            drop(self.0.deployments.get_or_create(&counted));
            drop(self.0.deployment_seconds.get_or_create(&timed));
        }
    }

    /// A turn was stored.
    fn saved(&self, deployment: &Deployment, events: &[Event]) {
        for event in events {
            if let What::Looked { step, look } = &event.what {
                let labels = LookLabels {
                    gate: gate_word(deployment, *step, look.gate),
                    verdict: look.verdict.as_str(),
                };
                self.0.gate_looks.get_or_create(&labels).inc();
            }
        }
        match &deployment.ending {
            None => self.0.driven.see(deployment),
            Some(ending) => {
                self.0.driven.forget(&deployment.id);
                self.ended(deployment, ending);
            }
        }
    }

    fn ended(&self, deployment: &Deployment, ending: &Ending) {
        let (counted, timed) = self.labels(deployment, ending.outcome);
        let took = Duration::from_millis(ending.at.since_ms(deployment.requested_at));
        self.0
            .deployment_seconds
            .get_or_create(&timed)
            .observe(took.as_secs_f64());
        self.0.deployments.get_or_create(&counted).inc();
    }

    fn labels(
        &self,
        deployment: &Deployment,
        outcome: Outcome,
    ) -> (DeploymentLabels, DurationLabels) {
        let timed = DurationLabels {
            strategy: deployment.strategy.kind().to_string(),
            outcome: outcome.as_str(),
        };
        let counted = DeploymentLabels {
            environment: self.environment(&deployment.target.place.environment),
            strategy: timed.strategy.clone(),
            outcome: timed.outcome,
        };
        (counted, timed)
    }

    /// The label of an environment.
    fn environment(&self, name: &EnvironmentName) -> String {
        let known = &self.0.environments;
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < ENVIRONMENTS_MAX {
            known.insert(name.clone());
        }
        if known.contains(name) {
            name.to_string()
        } else {
            OTHER.to_owned()
        }
    }
}

impl TurnMeter for Metrics {
    fn turned(&self, turned: &Result<Turned, JournalError>, took: Duration) {
        let result = turn_word(turned);
        self.0.turns.get_or_create(&TurnLabels { result }).inc();
        self.0.turn_seconds.observe(took.as_secs_f64());
    }
}

impl Counts {
    fn register(&mut self) {
        let registry = &mut self.registry;
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        registry.register(
            "build",
            "The version that runs",
            Info::new(version.to_vec()),
        );
        registry.register(
            "deployments",
            "Deployments that ended",
            self.deployments.clone(),
        );
        registry.register(
            "deployment_duration_seconds",
            "Time from the request for a deployment to its end",
            self.deployment_seconds.clone(),
        );
        registry.register_collector(Box::new(DrivenCollector(Arc::clone(&self.driven))));
        registry.register(
            "gate_looks",
            "Looks at gates, by what they came to",
            self.gate_looks.clone(),
        );
        registry.register("turns", "Turns of the engine", self.turns.clone());
        registry.register(
            "turn_duration_seconds",
            "Time that a turn takes, with the answers of the provider and the save",
            self.turn_seconds.clone(),
        );
        registry.register(
            "provider_errors",
            "Requests to the provider that failed",
            self.provider_errors.clone(),
        );
        registry.register(
            "http_requests",
            "Requests to the API that were answered",
            self.requests.clone(),
        );
        registry.register(
            "http_request_duration_seconds",
            "Time until the first byte of an answer of the API",
            self.request_seconds.clone(),
        );
    }

    /// What may happen is there before it happens, so that its first time is an increase.
    fn begin_at_zero(&self) {
        for kind in labels::ERROR_KINDS {
            let labels = ErrorLabels::from(kind);
            drop(self.provider_errors.get_or_create(&labels));
        }
        for result in labels::TURN_WORDS {
            drop(self.turns.get_or_create(&TurnLabels { result }));
        }
    }
}
