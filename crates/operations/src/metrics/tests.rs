use domain::{
    deployment::{Certificate, Pause},
    gate::{ApprovalGate, Gate, GateLook, Verdict},
    names::DeploymentId,
    plan::{Bake, Step, Until},
    reason::{Failure, Waiting},
    slice::Slice,
    time::UnixMs,
};
use engine::{
    ports::{ErrorKind, Journal, Provider, ProviderError},
    testing::{journal::MemoryJournal, sim::story::Story},
};

use std::sync::Arc;

use domain::catalogue::ProviderKind;

use super::*;
use crate::{cloud::Cloud, clouds::Clouds};

/// Panics unless each line is in the text.
fn assert_lines(metrics: &Metrics, lines: &[&str]) {
    let text = metrics.text();
    for line in lines {
        assert!(
            text.lines().any(|it| it == *line),
            "{line} is not in {text}"
        );
    }
}

fn deployment(id: &str) -> Deployment {
    let mut deployment = Story::draw(&mut fastrand::Rng::with_seed(3)).deployment;
    deployment.id = DeploymentId(id.to_owned());
    deployment
}

#[test]
fn it_is_all_there_before_anything_happened() {
    let metrics = Metrics::default();
    let build = concat!(
        "pointsman_build_info{version=\"",
        env!("CARGO_PKG_VERSION"),
        "\"} 1"
    );
    assert_lines(
        &metrics,
        &[
            build,
            "pointsman_deployments_running{status=\"rolling_back\"} 0",
            "pointsman_provider_errors_total{kind=\"throttled\"} 0",
            "pointsman_turns_total{result=\"lost\"} 0",
            "pointsman_turn_duration_seconds_count 0",
        ],
    );
    assert!(metrics.text().ends_with("# EOF\n"));
}

#[test]
fn requests_are_counted_by_route() {
    let metrics = Metrics::default();
    let took = Duration::from_millis(3);
    let path = Some("/api/v1/teams/{name}");
    metrics.answered(&Method::GET, path, StatusCode::OK, took);
    metrics.answered(&Method::GET, path, StatusCode::OK, took);
    let unheard_of: Method = "BREW".parse().unwrap();
    metrics.answered(&unheard_of, None, StatusCode::NOT_FOUND, took);
    assert_lines(
        &metrics,
        &[
            "pointsman_http_requests_total{method=\"GET\",route=\"/api/v1/teams/{name}\",status=\"200\"} 2",
            "pointsman_http_requests_total{method=\"other\",route=\"none\",status=\"404\"} 1",
            "pointsman_http_request_duration_seconds_bucket{le=\"0.005\",method=\"GET\",route=\"/api/v1/teams/{name}\"} 2",
        ],
    );
}

#[test]
fn environments_are_counted_by_name_up_to_a_bound() {
    let metrics = Metrics::default();
    let label = |number: usize| {
        let name: EnvironmentName = format!("env-{number}").parse().unwrap();
        metrics.environment(&name)
    };
    for number in 0..ENVIRONMENTS_MAX {
        assert_eq!(label(number), format!("env-{number}"));
    }
    assert_eq!(label(ENVIRONMENTS_MAX), OTHER);
    assert_eq!(label(0), "env-0");
}

#[tokio::test]
async fn deployments_are_counted_as_long_as_they_are_driven() {
    let metrics = Metrics::default();
    let journal = MemoryJournal::default();
    let (mut first, mut second) = (deployment("d1"), deployment("d2"));
    for record in [&first, &second] {
        journal.begin(record.clone());
    }
    let journal = metrics.counting(journal);
    journal.claim("a", &[], UnixMs(0), 9).await.unwrap();
    assert_lines(
        &metrics,
        &["pointsman_deployments_running{status=\"running\"} 2"],
    );

    let by = "alice".to_owned();
    first.waiting = Some(Waiting::Paused { by: by.clone() });
    let since = UnixMs(0);
    first.paused = Some(Pause { since, by });
    second.waiting = Some(Waiting::Weights);
    for record in [&mut first, &mut second] {
        record.version += 1;
        journal.save(record, &[]).await.unwrap();
    }
    assert_lines(
        &metrics,
        &[
            "pointsman_deployments_running{status=\"running\"} 1",
            "pointsman_deployments_running{status=\"paused\"} 1",
            "pointsman_deployment_waiting{reason=\"paused\"} 1",
            "pointsman_deployment_waiting{reason=\"weights\"} 1",
        ],
    );
    // Stored over by somebody else: nothing happened.
    let again = journal.save(&second, &[]).await.unwrap();
    assert_eq!(again, engine::ports::Saved::Superseded);
    journal.release("a", &first.id).await.unwrap();
    assert_lines(
        &metrics,
        &[
            "pointsman_deployments_running{status=\"running\"} 1",
            "pointsman_deployments_running{status=\"paused\"} 0",
            "pointsman_deployment_waiting{reason=\"paused\"} 0",
        ],
    );
}

#[tokio::test]
async fn an_ending_is_counted_with_its_time_and_was_zero_before() {
    let metrics = Metrics::default();
    let journal = MemoryJournal::default();
    let mut deployment = deployment("d1");
    journal.begin(deployment.clone());
    let journal = metrics.counting(journal);
    journal.claim("a", &[], UnixMs(0), 9).await.unwrap();
    let place = &deployment.target.place;
    let strategy = deployment.strategy.kind();
    let ended = format!(
        "pointsman_deployments_total{{environment=\"{}\",strategy=\"{strategy}\",outcome=\"aborted\"}}",
        place.environment
    );
    let bucket = |le| {
        format!(
            "pointsman_deployment_duration_seconds_bucket{{le=\"{le}\",strategy=\"{strategy}\",outcome=\"aborted\"}}"
        )
    };
    assert_lines(
        &metrics,
        &[&format!("{ended} 0"), &format!("{} 0", bucket("60.0"))],
    );
    deployment.version += 1;
    deployment.failure = Some(Failure::Aborted {
        by: "bob".to_owned(),
        reason: "late".to_owned(),
    });
    deployment.ending = Some(Ending {
        outcome: Outcome::Aborted,
        at: deployment.requested_at.plus_ms(45_000),
        certificate: Certificate { lines: Vec::new() },
    });
    journal.save(&deployment, &[]).await.unwrap();
    assert_lines(
        &metrics,
        &[
            &format!("{ended} 1"),
            &format!("{} 0", bucket("30.0")),
            &format!("{} 1", bucket("60.0")),
            "pointsman_deployments_running{status=\"running\"} 0",
        ],
    );
}

#[test]
fn looks_at_gates_are_counted_by_kind() {
    let metrics = Metrics::default();
    let mut deployment = deployment("d1");
    deployment.plan.steps = vec![Step::Bake(Bake {
        slice: Slice::Blue,
        launch: deployment.launch.id.clone(),
        count: 1,
        until: Until {
            gates: vec![Gate::Approval(ApprovalGate::default())],
            ..Until::elapsed(0)
        },
    })];
    let look = |gate, verdict| Event {
        at: UnixMs(0),
        what: What::Looked {
            step: 0,
            look: GateLook {
                gate,
                name: "whatever people wrote".to_owned(),
                verdict,
                text: String::new(),
                traffic: None,
                value: None,
            },
        },
        message: String::new(),
    };
    let events = [
        look(0, Verdict::Open),
        look(0, Verdict::Open),
        look(0, Verdict::Met),
        look(1, Verdict::Failed),
    ];
    metrics.saved(&deployment, &events);
    assert_lines(
        &metrics,
        &[
            "pointsman_gate_looks_total{gate=\"approval\",verdict=\"open\"} 2",
            "pointsman_gate_looks_total{gate=\"approval\",verdict=\"met\"} 1",
            "pointsman_gate_looks_total{gate=\"other\",verdict=\"failed\"} 1",
        ],
    );
}

/// A provider that is never of use.
struct Down;

impl Provider for Down {
    async fn observe(
        &self,
        _: &domain::effect::Target,
    ) -> Result<domain::observation::Observation, ProviderError> {
        Err(ProviderError::new(ErrorKind::Unavailable, "down"))
    }
    async fn apply(
        &self,
        _: &domain::effect::Target,
        _: &domain::effect::Effect,
        _: &domain::effect::Token,
    ) -> Result<(), ProviderError> {
        Err(ProviderError::new(ErrorKind::Denied, "no"))
    }
}

impl Cloud for Down {}

#[tokio::test]
async fn errors_of_the_provider_are_counted_and_passed_on() {
    let metrics = Metrics::default();
    let mut provider = Clouds::default().counted(metrics.clone());
    provider.insert(ProviderKind::Local, Arc::new(Down));
    let deployment = deployment("d1");
    for _ in 0..2 {
        let seen = provider.observe(&deployment.target).await;
        assert_eq!(seen.unwrap_err().kind, ErrorKind::Unavailable);
    }
    let passed = provider.call(ProviderKind::Local, |cloud| {
        cloud.pass(&deployment.target, Slice::Blue, 60)
    });
    assert_eq!(passed.await.err().unwrap().kind, ErrorKind::NotOffered);
    assert_lines(
        &metrics,
        &[
            "pointsman_provider_errors_total{kind=\"unavailable\"} 2",
            "pointsman_provider_errors_total{kind=\"denied\"} 0",
            "pointsman_provider_errors_total{kind=\"not_offered\"} 1",
        ],
    );
}
