//! What the daemon shows of what its router counted.

use domain::slice::Slice;

use crate::stage::Stage;

#[tokio::test]
async fn traffic_is_observed_and_shown_as_metrics() {
    let mut stage = Stage::start().await;
    stage.serve_one_zero(1).await;
    for _ in 0..5 {
        assert_eq!(stage.get("/").await.unwrap().0, 200);
    }
    let traffic = stage.observe().await.traffic[&Slice::Blue].clone();
    assert_eq!((traffic.requests, traffic.errors), (5, 0));
    assert_eq!(traffic.latency.count(), 5);
    assert!(traffic.epoch > 1_600_000_000_000, "{}", traffic.epoch);

    let (status, text) = stage.metrics("127.0.0.1", "/metrics").await.unwrap();
    assert_eq!(status, 200, "{text}");
    let labels = r#"{service="cart",environment="live",slice="blue",release="1.0.0"}"#;
    for line in [
        format!("pointsman_router_requests_total{labels} 5\n"),
        format!("pointsman_router_healthy_instances{labels} 1\n"),
        r#"pointsman_router_weight_ratio{service="cart",environment="live",slice="blue"} 1.0"#
            .to_owned(),
    ] {
        assert!(text.contains(&line), "{line} not in\n{text}");
    }
    assert_eq!(
        stage.metrics("evil.example", "/metrics").await.unwrap().0,
        421
    );
    assert_eq!(stage.metrics("localhost", "/").await.unwrap().0, 404);
    let (_, users) = stage.get("/metrics").await.unwrap();
    assert!(
        !users.contains("pointsman_router"),
        "users see no metrics: {users}"
    );

    let before = stage.cloud.status().await.unwrap().metrics_port;
    stage.kill_daemon();
    stage.start_daemon().await;
    assert_eq!(stage.cloud.status().await.unwrap().metrics_port, before);
    let later = stage.observe().await.traffic[&Slice::Blue].clone();
    assert_eq!(
        (later.epoch, later.requests),
        (traffic.epoch, 6),
        "the router counted on"
    );
}
