//! Gates: from the manifest or the request, their looks, and what is wrong with them.

use serde_json::{Value, json};

use crate::support::{Answer, CATALOGUE, TestApp, gates_now, wish};

const GATES: &str = "
slices: 2
stickiness: {by: cookie, seconds: 60}
gates:
  - {gate: approval, at: [20]}
";

async fn with_gates() -> TestApp {
    let app = TestApp::with_shop().await;
    app.apply(&CATALOGUE.replace("size: 2", &format!("size: 2{GATES}")))
        .await;
    app.bring_up("1.0.0").await;
    app
}

async fn ask(app: &TestApp, strategy: Value, dry_run: bool) -> Answer {
    let mut body = wish("1.1.0");
    body["strategy"] = strategy;
    body["dry_run"] = dry_run.into();
    app.post("/api/v1/deployments", body).await
}

/// The steps that would be taken, each with its gates.
async fn steps(app: &TestApp, strategy: Value) -> String {
    let rehearsed = ask(app, strategy, true).await;
    let steps = rehearsed.json()["preview"]["steps"].clone();
    let steps = steps
        .as_array()
        .unwrap_or_else(|| panic!("{}", rehearsed.text));
    let text = |step: &Value| format!("{}; {}", step["sentence"], names(&step["gates"]));
    let texts: Vec<String> = steps.iter().map(text).collect();
    texts.join("\n")
}

fn names(gates: &Value) -> String {
    let gates = gates.as_array().unwrap().iter();
    let names: Vec<&str> = gates.map(|gate| gate["name"].as_str().unwrap()).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("gates: {}", names.join(", ")),
    }
}

#[tokio::test]
async fn the_gates_of_the_group_hold_unless_a_request_brings_its_own() {
    let app = with_gates().await;
    let canary = |gates: Option<Value>| {
        let mut strategy = json!({"kind": "canary", "stages": [{"percent": 20, "seconds": 5}]});
        if let Some(gates) = gates {
            strategy["gates"] = gates;
        }
        strategy
    };
    let usual = steps(&app, canary(None)).await;
    assert!(usual.contains("; gates: approval"), "{usual}");
    let none = steps(&app, canary(Some(json!([])))).await;
    assert!(!none.contains("gates: "), "{none}");
    let own = json!([{"gate": "traffic"}]);
    let own = steps(&app, canary(Some(own))).await;
    assert!(
        own.contains("errors and latency") && !own.contains("approval"),
        "{own}"
    );
}

#[tokio::test]
async fn every_look_is_kept_and_paged() {
    let app = with_gates().await;
    let strategy = json!({
        "kind": "canary", "stages": [{"percent": 50, "seconds": 3600}],
        "gates": [{"gate": "traffic"}],
    });
    let begun = ask(&app, strategy, false).await;
    assert_eq!(begun.status, 202, "{}", begun.text);
    let id = begun.json()["deployment"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/api/v1/deployments/{id}/looks");
    assert_eq!(app.get(&path).await.status, 200, "none is no error");
    let looked = |deployment: &Value| {
        let sentence = gates_now(deployment)[0]["sentence"].clone();
        sentence.is_string() && sentence != "nothing was measured yet"
    };
    let seen = app.until(&id, looked).await;
    assert_eq!(gates_now(&seen)[0]["gate"], "traffic");
    let enough = async {
        loop {
            let page = app.get(&path).await.json();
            if page["items"].as_array().unwrap().len() >= 2 {
                return page;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let all = tokio::time::timeout(crate::support::PATIENCE, enough)
        .await
        .expect("a look every second");
    let first = &all["items"][0];
    assert_eq!(
        (&first["step"], &first["percent"], &first["gate"]),
        (&json!(2), &json!(50), &json!(0))
    );
    assert_eq!(first["name"], "errors and latency against stable");
    assert!(first["traffic"].is_object() && first["value"].is_null());
    let page = app.get(&format!("{path}?limit=1")).await.json();
    assert_eq!(page["items"], json!([first]));
    let cursor = page["next"].as_str().unwrap();
    let next = app.get(&format!("{path}?limit=1&cursor={cursor}")).await;
    assert_eq!(next.json()["items"][0], all["items"][1]);
    let events = app
        .get(&format!("/api/v1/deployments/{id}/events?limit=500"))
        .await;
    let events = events.json()["items"].clone();
    let event = |event: &&Value| event["seq"] == first["seq"];
    let event = events.as_array().unwrap().iter().find(event).unwrap();
    assert_eq!(event["event"], "looked");
    assert_eq!(event["look"]["sentence"], first["sentence"]);
    let aborted = format!("/api/v1/deployments/{id}/abort");
    app.post(&aborted, json!({"reason": "seen enough"})).await;
    assert_eq!(app.finished(&id).await["status"], "aborted");
    let bad = app.get(&format!("{path}?cursor=x")).await;
    assert_eq!(bad.code(), "bad_query");
    let none = app.get("/api/v1/deployments/none/looks").await;
    assert_eq!(none.code(), "not_found");
}

#[tokio::test]
async fn a_prometheus_is_known_by_its_name() {
    let app = with_gates().await;
    let gate = json!({"gate": "prometheus", "prometheus": "metrics", "query": "up", "min": 1});
    let strategy = json!({
        "kind": "canary", "stages": [{"percent": 20, "seconds": 5}], "gates": [gate],
    });
    let unknown = ask(&app, strategy.clone(), false).await;
    assert_eq!(unknown.code(), "refused");
    assert_eq!(
        unknown.json()["objections"],
        json!([{
            "reason": "prometheus_unknown", "prometheus": "metrics", "who_can_act": "owner",
            "sentence": "a gate asks the Prometheus metrics, which is not in the catalogue",
            "remedy": "describe it in a manifest (kind: Prometheus) and run `pointsman apply -f FILE`",
        }])
    );
    let group = CATALOGUE.replace(
        "size: 2",
        "size: 2\nslices: 2\ngates: [{gate: prometheus, prometheus: metrics, query: up, max: 1}]",
    );
    let dangling = app.manifests(&group, false).await;
    assert_eq!(dangling.json()["errors"][0]["field"], "gates");
    let bad = "kind: Prometheus\nname: metrics\nurl: ftp://somewhere";
    let bad = app.manifests(bad, true).await;
    assert_eq!(bad.json()["errors"][0]["field"], "url");
    let prometheus = "kind: Prometheus\nname: metrics\nurl: http://127.0.0.1:9\n";
    app.apply(&format!("{prometheus}---{group}")).await;
    let entry = app.get("/api/v1/prometheuses/metrics").await;
    assert_eq!(entry.json()["url"], "http://127.0.0.1:9");
    let all = app.get("/api/v1/prometheuses").await.json();
    assert_eq!(all["items"].as_array().unwrap().len(), 1);
    let held = app.delete("/api/v1/prometheuses/metrics").await;
    assert_eq!(held.code(), "still_referenced");
    assert!(steps(&app, strategy).await.contains("up of metrics"));
}

#[tokio::test]
async fn bad_strategies_are_told_by_their_field() {
    let app = with_gates().await;
    let invalid = [
        (json!({"kind": "sideways"}), "sideways"),
        (json!({"kind": "canary", "steps": []}), "steps"),
        (json!({"kind": "blue-green", "warm_seconds": "long"}), "u32"),
        (
            json!({"kind": "canary", "stages": [{"seconds": 1}]}),
            "percent",
        ),
        (
            json!({"kind": "canary", "gates": [{"gate": "luck"}]}),
            "luck",
        ),
    ];
    for (strategy, named) in invalid {
        let answer = ask(&app, strategy.clone(), false).await;
        assert_eq!(answer.code(), "invalid", "{strategy}");
        let error = answer.json()["errors"][0].clone();
        assert!(
            error["field"].as_str().unwrap().starts_with("strategy"),
            "{error}"
        );
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(named), "{strategy}: {message}");
    }
    let refused = [
        (
            json!({"kind": "canary", "stages": [{"percent": 101}]}),
            "stages.percent",
        ),
        (
            json!({"kind": "canary", "stages": [{"percent": 50}, {"percent": 10}]}),
            "stages must be growing",
        ),
        (
            json!({"kind": "blue-green", "warm_seconds": 9_999_999}),
            "warm_seconds",
        ),
        (
            json!({"kind": "blue-green", "shadow": {"percent": 0}}),
            "shadow.percent",
        ),
        (
            json!({"kind": "canary", "gates": [{"gate": "http", "url": "nowhere"}]}),
            "gates.url",
        ),
        (
            json!({"kind": "blue-green", "gates": [{"gate": "traffic"}]}),
            "no stage of this deployment has users on both",
        ),
    ];
    for (strategy, named) in refused {
        let answer = ask(&app, strategy.clone(), false).await;
        assert_eq!(answer.code(), "refused", "{strategy}");
        let message = answer.json()["objections"].to_string();
        assert!(message.contains(named), "{strategy}: {message}");
    }
}
