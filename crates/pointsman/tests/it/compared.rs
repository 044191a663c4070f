//! Gates that compare counters of a real Prometheus.

use serde_json::{Value, json};

use crate::support::{
    CATALOGUE, Prometheus, TestApp,
    stub::{Behaviour, Stub},
    wish,
};

/// Checkouts of both releases, of a hundred of which so many fail.
fn shop(new_fails: u64, stable_fails: u64) -> Behaviour {
    let sides = [("1.0.0", 9000, stable_fails), ("1.1.0", 1000, new_fails)];
    let counters = sides.into_iter().flat_map(|(version, per_second, fails)| {
        let name = |what: &str| format!("{what}{{version=\"{version}\"}}");
        [
            (name("checkouts_total"), per_second),
            (name("checkout_failures_total"), per_second * fails / 100),
        ]
    });
    Behaviour::Growing(counters.collect())
}

/// A canary to 1.1.0 through to its end, while of a hundred checkouts so many fail.
async fn canary(new_fails: u64, stable_fails: u64) -> Value {
    let app = TestApp::with_shop().await;
    app.apply(&CATALOGUE.replace("size: 2", "size: 2\nslices: 2"))
        .await;
    app.bring_up("1.0.0").await;
    let shop = Stub::start(shop(new_fails, stable_fails)).await;
    let real = Prometheus::start(&app, &shop.address.to_string()).await;
    real.until_known("checkouts_total").await;
    app.apply(&format!(
        "kind: Prometheus\nname: main\nurl: {}\n",
        real.url
    ))
    .await;
    let mut body = wish("1.1.0");
    body["strategy"] = json!({
        "kind": "canary", "stages": [{"percent": 10, "seconds": 1}], "warm_seconds": 0,
        "gates": [{
            "gate": "compare", "prometheus": "main", "interval_seconds": 1, "warm_up_seconds": 0,
            "bad": "sum(checkout_failures_total{version=\"$version\"})",
            "all": "sum(checkouts_total{version=\"$version\"})",
        }],
    });
    let begun = app.post("/api/v1/deployments", body).await;
    assert_eq!(begun.status, 202, "{}", begun.text);
    let id = begun.json()["deployment"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    app.finished(&id).await
}

#[tokio::test]
async fn five_times_the_failed_checkouts_turn_a_canary_round() {
    let ended = canary(5, 1).await;
    assert_eq!(ended["status"], "rolled_back", "{ended}");
    let why = ended["failure"]["sentence"].as_str().unwrap_or_default();
    // How many of stable's checkouts were counted by then differs, and so does the second digit of its share.
    let told = why.contains("errors 5.0 % against ") && why.contains(" % of stable (worse");
    assert!(told, "{ended}");
}

#[tokio::test]
async fn as_many_failed_checkouts_as_stables_let_it_pass() {
    let ended = canary(1, 1).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
}
