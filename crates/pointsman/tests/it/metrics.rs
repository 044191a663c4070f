//! What a server counts of itself, as a Prometheus would read it.

use reqwest::Method;

use crate::support::{Answer, Persona, TestApp};

/// The value of a series, written as in the text.
async fn value(app: &TestApp, series: &str) -> Option<f64> {
    let text = app.get("/metrics").await.text;
    let line = text.lines().find_map(|line| line.strip_prefix(series))?;
    Some(line.trim().parse().unwrap())
}

#[tokio::test]
async fn metrics_need_the_token_and_say_what_they_are() {
    let app = TestApp::start().await;
    let anonymous = Answer::of(app.request(Persona::Anonymous, Method::GET, "/metrics")).await;
    assert_eq!(anonymous.status, 401);
    let answer = app.get("/metrics").await;
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type");
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    assert!(answer.text.ends_with("# EOF\n"), "{}", answer.text);
}

#[tokio::test]
async fn a_deployment_leaves_its_traces() {
    let app = TestApp::with_shop().await;
    app.bring_up("1.0.0").await;
    for (series, at_least) in [
        (
            "pointsman_deployments_total{environment=\"staging\",strategy=\"scale-up\",outcome=\"succeeded\"}",
            1.0,
        ),
        (
            "pointsman_deployment_duration_seconds_count{strategy=\"scale-up\",outcome=\"succeeded\"}",
            1.0,
        ),
        ("pointsman_turns_total{result=\"ended\"}", 1.0),
        ("pointsman_turns_total{result=\"moved\"}", 2.0),
        ("pointsman_turn_duration_seconds_count", 3.0),
        (
            "pointsman_http_requests_total{method=\"PUT\",route=\"/api/v1/services/{service}/releases/{version}\",status=\"201\"}",
            2.0,
        ),
        ("pointsman_deployments_running{status=\"running\"}", 0.0),
    ] {
        let value = value(&app, series).await;
        assert!(
            value.is_some_and(|value| value >= at_least),
            "{series}: {value:?}"
        );
    }
}

#[tokio::test]
async fn what_is_waited_for_is_shown_while_it_is() {
    let app = TestApp::with_shop().await;
    app.bring_up("1.0.0").await;
    let id = app.begin("1.1.0").await;
    let pause = app
        .post(
            &format!("/api/v1/deployments/{id}/pause"),
            serde_json::json!({}),
        )
        .await;
    assert_eq!(pause.status, 200, "{}", pause.text);
    app.until(&id, |deployment| {
        deployment["waiting"]["reason"] == "paused"
    })
    .await;
    let waiting = "pointsman_deployment_waiting{reason=\"paused\"}";
    let paused = "pointsman_deployments_running{status=\"paused\"}";
    assert_eq!(value(&app, waiting).await, Some(1.0));
    assert_eq!(value(&app, paused).await, Some(1.0));
    let resume = app
        .post(
            &format!("/api/v1/deployments/{id}/resume"),
            serde_json::json!({}),
        )
        .await;
    assert_eq!(resume.status, 200, "{}", resume.text);
    app.finished(&id).await;
    assert_eq!(value(&app, waiting).await, Some(0.0));
    assert_eq!(value(&app, paused).await, Some(0.0));
}

#[tokio::test]
async fn routes_are_counted_never_paths() {
    let app = TestApp::start().await;
    for number in 0..20 {
        app.get(&format!("/nonsense/{number}")).await;
        app.get(&format!("/api/v1/teams/team-{number}")).await;
    }
    let text = app.get("/metrics").await.text;
    assert!(
        !text.contains("nonsense") && !text.contains("team-1"),
        "{text}"
    );
    for (route, status) in [("none", 404), ("/api/v1/teams/{name}", 404)] {
        let series = format!(
            "pointsman_http_requests_total{{method=\"GET\",route=\"{route}\",status=\"{status}\"}}"
        );
        assert_eq!(value(&app, &series).await, Some(20.0));
    }
    let refused = Answer::of(app.request(Persona::Anonymous, Method::GET, "/api/v1/teams")).await;
    assert_eq!(refused.status, 401);
    let series =
        "pointsman_http_requests_total{method=\"GET\",route=\"/api/v1/teams\",status=\"401\"}";
    assert_eq!(value(&app, series).await, Some(1.0));
}
