//! Blue/green, canary and switches: users are moved between two slices, with gates on the way.

use serde_json::{Value, json};

use crate::support::{Answer, CATALOGUE, TestApp, gates_now, release, wish};

const PLACE: &str = "/api/v1/environments/staging/services/shop";

/// A catalogue whose server group has two slices, and `more`.
fn catalogue(more: &str) -> String {
    CATALOGUE.replace("size: 2", &format!("size: 2\nslices: 2\n{more}"))
}

/// A server with releases 1.0.0, which is live, and 1.1.0, and a group of two slices.
async fn with_slices(catalogue: &str) -> TestApp {
    let app = TestApp::start().await;
    app.apply(catalogue).await;
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        let answer = app.upload("shop", version, release(version)).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    app.bring_up("1.0.0").await;
    app
}

async fn ask(app: &TestApp, version: &str, strategy: Value) -> Answer {
    let mut body = wish(version);
    body["strategy"] = strategy;
    app.post("/api/v1/deployments", body).await
}

fn id_of(begun: &Answer) -> String {
    assert_eq!(begun.status, 202, "{}", begun.text);
    let id = begun.json()["deployment"]["id"].clone();
    id.as_str().unwrap().to_owned()
}

async fn begin(app: &TestApp, version: &str, strategy: Value) -> String {
    id_of(&ask(app, version, strategy).await)
}

async fn succeeds(app: &TestApp, id: &str) -> Value {
    let ended = app.finished(id).await;
    assert_eq!(ended["status"], "succeeded", "{ended:#}");
    assert_eq!(ended["certificate"]["clean"], true, "{ended:#}");
    ended
}

async fn give(app: &TestApp, id: &str, verb: &str, body: Value) -> Answer {
    let path = format!("/api/v1/deployments/{id}/{verb}");
    app.post(&path, body).await
}

fn codes(refused: &Answer) -> Vec<String> {
    assert_eq!(refused.code(), "refused");
    let objections = refused.json()["objections"].clone();
    let code = |objection: &Value| objection["reason"].as_str().unwrap().to_owned();
    objections.as_array().unwrap().iter().map(code).collect()
}

/// Every slice as `slice role weight version healthy`.
async fn slices(app: &TestApp) -> Vec<String> {
    let seen = app.get(&format!("{PLACE}/slices")).await;
    assert_eq!(seen.status, 200, "{}", seen.text);
    let slices = seen.json()["slices"].clone();
    let text = |slice: &Value| {
        let word = |key: &str| slice[key].as_str().unwrap_or("-").to_owned();
        let healthy = slice["instances"]["healthy"].as_u64().unwrap_or(0);
        let (slice, role, version) = (word("slice"), word("role"), word("version"));
        let weight = seen_weight(&seen.json(), &slice);
        format!("{slice} {role} {weight} % {version} {healthy}")
    };
    slices.as_array().unwrap().iter().map(text).collect()
}

fn seen_weight(seen: &Value, slice: &str) -> u64 {
    let slices = seen["slices"].as_array().unwrap();
    let found = slices.iter().find(|it| it["slice"] == slice).unwrap();
    found["weight"].as_u64().unwrap()
}

#[tokio::test]
async fn blue_green_moves_everybody_and_empties_the_old_slice() {
    let app = with_slices(&catalogue("")).await;
    assert_eq!(
        slices(&app).await,
        ["blue live 100 % 1.0.0 2", "green next 0 % - 0"]
    );
    let strategy = json!({"kind": "blue-green", "warm_seconds": 0});
    let id = begin(&app, "1.1.0", strategy).await;
    let ended = succeeds(&app, &id).await;
    assert_eq!(ended["roles"], json!({"live": "blue", "next": "green"}));
    assert_eq!(gates_now(&ended), json!([]));
    let seen = app.get(&format!("{PLACE}/slices")).await.json();
    let green = &seen["slices"][1];
    assert_eq!(
        (&green["role"], &green["weight"], &green["version"]),
        (&json!("live"), &json!(100), &json!("1.1.0"))
    );
    assert_eq!(green["sizes"]["desired"], 2);
    assert_eq!(green["instances"], json!({"healthy": 2}));
    assert!(green["traffic"]["epoch"].is_number(), "{green:#}");
    assert_eq!(seen["slices"][0]["sizes"]["desired"], 0);
    assert_eq!(seen["mirror"], Value::Null);
}

#[tokio::test]
async fn a_canary_waits_for_the_approval_of_its_plan() {
    let app = with_slices(&catalogue("")).await;
    let strategy = json!({
        "kind": "canary", "warm_seconds": 0, "stages": [{"percent": 10}, {"percent": 50}],
        "gates": [{"gate": "approval", "at": [10]}],
    });
    let id = begin(&app, "1.1.0", strategy).await;
    let waits = |deployment: &Value| deployment["waiting"]["reason"] == "approval";
    let waiting = app.until(&id, waits).await;
    assert_eq!(
        gates_now(&waiting),
        json!([{
            "name": "approval", "gate": "approval", "verdict": "open",
            "sentence": "nobody has approved yet", "approved_by": null,
            "until": waiting["waiting"]["until"], "who_can_act": "approver",
        }])
    );
    assert_eq!(
        waiting["waiting"],
        json!({
            "reason": "approval", "sentence": "a person must approve the deployment",
            "since": waiting["steps"][2]["since"], "until": waiting["waiting"]["until"],
            "then": "gives_up", "who_can_act": "approver", "by_another": false,
        })
    );
    assert!(waiting["waiting"]["until"].is_string() && waiting["waiting"]["since"].is_string());
    assert_eq!(
        slices(&app).await,
        ["blue live 90 % 1.0.0 2", "green next 10 % 1.1.0 2"]
    );
    let hash = waiting["plan_hash"].as_str().unwrap().to_owned();
    assert_eq!(hash.len(), 64);
    let other = json!({"plan_hash": "0".repeat(64)});
    let refused = give(&app, &id, "approve", other).await;
    assert_eq!(refused.code(), "plan_changed");
    assert!(refused.text.contains(&hash), "{}", refused.text);
    let unknown = give(&app, &id, "approve", json!({"plan": hash})).await;
    assert_eq!(unknown.code(), "invalid");
    assert_eq!(
        give(&app, &id, "promote", json!({})).await.code(),
        "approval_first"
    );
    let approved = give(&app, &id, "approve", json!({"plan_hash": hash})).await;
    assert_eq!(approved.status, 200, "{}", approved.text);
    assert_eq!(gates_now(&approved.json())[0]["approved_by"], "admin");
    assert_eq!(gates_now(&approved.json())[0]["verdict"], "met");
    let ended = succeeds(&app, &id).await;
    assert_eq!(ended["plan_hash"], hash.as_str());
    assert_eq!(
        give(&app, &id, "approve", json!({})).await.code(),
        "deployment_finished"
    );
}

#[tokio::test]
async fn a_rejected_deployment_gives_users_the_old_release_back() {
    let app = with_slices(&catalogue("")).await;
    let strategy = json!({
        "kind": "blue-green", "stages": [{"percent": 20}],
        "gates": [{"gate": "approval", "at": [20]}],
    });
    let id = begin(&app, "1.1.0", strategy).await;
    let early = give(&app, &id, "reject", json!({"reason": " "})).await;
    assert_eq!(early.code(), "invalid");
    app.until(&id, |deployment| gates_now(deployment) != json!([]))
        .await;
    let rejected = give(&app, &id, "reject", json!({"reason": "wrong colour"})).await;
    assert_eq!(rejected.status, 200, "{}", rejected.text);
    assert_eq!(gates_now(&rejected.json()), json!([]));
    let ended = app.finished(&id).await;
    assert_eq!(ended["status"], "rolled_back");
    assert_eq!(
        ended["failure"]["sentence"],
        "rejected by admin: wrong colour"
    );
    assert_eq!(
        slices(&app).await[0],
        "blue live 100 % 1.0.0 2",
        "users are back"
    );
    assert_eq!(
        give(&app, &id, "reject", json!({"reason": "late"}))
            .await
            .code(),
        "deployment_finished"
    );
}

#[tokio::test]
async fn who_asked_cannot_approve_where_the_type_says_so() {
    let text = catalogue("").replace("name: testing", "name: testing\napproval_by_another: true");
    let app = with_slices(&text).await;
    let strategy = json!({"kind": "blue-green", "gates": [{"gate": "approval", "at": [0]}]});
    let id = begin(&app, "1.1.0", strategy).await;
    let early = give(&app, &id, "promote", json!({})).await;
    assert_eq!(early.code(), "nothing_to_promote");
    app.until(&id, |deployment| gates_now(deployment) != json!([]))
        .await;
    let own = give(&app, &id, "approve", json!({})).await;
    assert_eq!(
        (own.status.as_u16(), own.code()),
        (409, "not_by_requester".into())
    );
    let aborted = give(&app, &id, "abort", json!({"reason": "nobody else is here"})).await;
    assert_eq!(aborted.status, 200, "{}", aborted.text);
    assert_eq!(app.finished(&id).await["status"], "aborted");
}

#[tokio::test]
async fn promote_cuts_a_watch_short() {
    let app = with_slices(&catalogue("")).await;
    let strategy = json!({
        "kind": "canary", "stages": [{"percent": 10, "seconds": 3600}], "warm_seconds": 3600,
    });
    let id = begin(&app, "1.1.0", strategy).await;
    for step in [2, 4] {
        let baking =
            |deployment: &Value| deployment["step"] == step && deployment["waiting"].is_object();
        app.until(&id, baking).await;
        let promoted = give(&app, &id, "promote", json!({})).await;
        assert_eq!(promoted.status, 200, "{}", promoted.text);
        assert_eq!(promoted.json()["step"], step + 1);
    }
    succeeds(&app, &id).await;
    let idle = give(&app, &id, "promote", json!({})).await;
    assert_eq!(idle.code(), "deployment_finished");
}

#[tokio::test]
async fn users_are_switched_there_and_back() {
    let app = with_slices(&catalogue("")).await;
    let id = begin(
        &app,
        "1.1.0",
        json!({"kind": "blue-green", "keep_old": true}),
    )
    .await;
    succeeds(&app, &id).await;
    assert_eq!(
        slices(&app).await,
        ["blue next 0 % 1.0.0 2", "green live 100 % 1.1.0 2"]
    );
    let wrong = ask(&app, "1.2.0", json!({"kind": "switch"})).await;
    assert_eq!(codes(&wrong), ["other_slice_runs"]);
    let switch = format!("{PLACE}/switch");
    for version in ["1.0.0", "1.1.0"] {
        let begun = app.post(&switch, json!({"reason": "to compare"})).await;
        let id = id_of(&begun);
        let deployment = begun.json()["deployment"].clone();
        assert_eq!(deployment["version"], version);
        assert_eq!(deployment["strategy"], json!({"kind": "switch"}));
        assert_eq!(begun.json()["preview"]["peak_instances"], 4);
        succeeds(&app, &id).await;
        let status = app.get(PLACE).await.json();
        assert_eq!(status["live"]["version"], version);
    }
    let audit = app
        .get("/api/v1/audit-events?action=deployment.request")
        .await;
    assert!(audit.text.contains("to compare"), "{}", audit.text);
}

#[tokio::test]
async fn a_switch_says_why_not() {
    let app = TestApp::with_shop().await;
    let switch = format!("{PLACE}/switch");
    let nothing = app.post(&switch, json!({})).await;
    assert_eq!(codes(&nothing), ["other_slice_empty"]);
    app.bring_up("1.0.0").await;
    assert_eq!(
        codes(&app.post(&switch, json!({})).await),
        ["needs_two_slices"]
    );
    let app = with_slices(&catalogue("")).await;
    let empty = app.post(&switch, json!({})).await;
    assert_eq!(codes(&empty), ["other_slice_empty"]);
    assert!(
        empty.text.contains("pointsman slices shop -e staging"),
        "{}",
        empty.text
    );
    let lock = json!({"reason": "stock-taking"});
    app.put("/api/v1/environments/staging/lock", lock).await;
    let locked = app.post(&switch, json!({})).await;
    assert_eq!(codes(&locked), ["environment_locked", "other_slice_empty"]);
    for path in ["switch", "slices"] {
        let path = format!("/api/v1/environments/staging/services/nobody/{path}");
        let unknown = match path.ends_with("switch") {
            true => app.post(&path, json!({})).await,
            false => app.get(&path).await,
        };
        assert_eq!(unknown.code(), "not_found", "{path}");
    }
}

#[tokio::test]
async fn rolling_back_takes_the_quickest_way() {
    let app = with_slices(&catalogue("")).await;
    let id = begin(
        &app,
        "1.1.0",
        json!({"kind": "blue-green", "warm_seconds": 0}),
    )
    .await;
    succeeds(&app, &id).await;
    let path = format!("{PLACE}/roll-back");
    let back = app.post(&path, json!({"reason": "loses orders"})).await;
    let strategy = back.json()["deployment"]["strategy"].clone();
    assert_eq!(
        (
            &strategy["kind"],
            &strategy["warm_seconds"],
            &strategy["gates"]
        ),
        (&json!("blue-green"), &json!(0), &json!([])),
        "the other slice is empty"
    );
    succeeds(&app, &id_of(&back)).await;
    let keeping = json!({"kind": "blue-green", "keep_old": true});
    let id = begin(&app, "1.1.0", keeping).await;
    succeeds(&app, &id).await;
    let back = app.post(&path, json!({})).await;
    assert_eq!(back.json()["deployment"]["strategy"]["kind"], "switch");
    assert_eq!(back.json()["deployment"]["version"], "1.0.0");
    succeeds(&app, &id_of(&back)).await;
    let only = "environment_types: [testing]";
    let only = catalogue("").replace(only, &format!("{only}\nstrategies: [scale-up]"));
    app.apply(&only).await;
    let back = app.post(&path, json!({})).await;
    assert_eq!(back.json()["deployment"]["strategy"]["kind"], "scale-up");
    assert_eq!(back.json()["deployment"]["version"], "1.1.0");
    succeeds(&app, &id_of(&back)).await;
}

#[tokio::test]
async fn rolling_back_during_a_canary_turns_it_round() {
    let app = with_slices(&catalogue("")).await;
    let stages = json!([{"percent": 10, "seconds": 3600}]);
    let id = begin(&app, "1.1.0", json!({"kind": "canary", "stages": stages})).await;
    app.until(&id, |deployment| deployment["step"] == 2).await;
    let back = app.post(&format!("{PLACE}/roll-back"), json!({})).await;
    assert_eq!(id_of(&back), id);
    assert_eq!(app.finished(&id).await["status"], "rolled_back");
    assert_eq!(
        slices(&app).await,
        ["blue live 100 % 1.0.0 2", "green next 0 % - 0"]
    );
}
