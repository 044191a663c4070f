//! Deployments: rehearse, begin, refuse, command, roll back.

use expect_test::{expect, expect_file};
use serde_json::{Value, json};

use crate::support::{Answer, CATALOGUE, TestApp, release, wish};

fn codes(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    let objections = body["objections"].as_array().unwrap().clone();
    objections
        .iter()
        .map(|objection| {
            for field in ["sentence", "remedy", "who_can_act"] {
                assert!(
                    !objection[field].as_str().unwrap().is_empty(),
                    "{objection}"
                );
            }
            objection["reason"].as_str().unwrap().to_owned()
        })
        .collect()
}

fn with(mut body: Value, field: &str, value: impl Into<Value>) -> Value {
    body[field] = value.into();
    body
}

#[tokio::test]
async fn a_rehearsal_shows_the_plan_and_changes_nothing() {
    let app = TestApp::with_shop().await;
    app.bring_up("1.0.0").await;
    let rehearsed = app
        .post("/api/v1/deployments", with(wish("1.1.0"), "dry_run", true))
        .await;
    let retired = rehearsed.json()["preview"]["retires"].clone();
    assert_eq!(retired.as_array().unwrap().len(), 2);
    expect_file!["snapshots/rehearsal.txt"].assert_eq(&rehearsed.shown());
    let all = app.get("/api/v1/deployments").await.json();
    assert_eq!(all["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_deployment_begins_and_ends_well() {
    let app = TestApp::with_shop().await;
    let first = app.deploy("1.0.0").await;
    assert_eq!(first.status, 202, "{}", first.text);
    let first = app
        .finished(first.json()["deployment"]["id"].as_str().unwrap())
        .await;
    assert_eq!(
        (&first["status"], &first["stable_version"]),
        (&json!("succeeded"), &Value::Null)
    );
    let second = app.deploy("1.1.0").await;
    expect_file!["snapshots/begun.txt"].assert_eq(&second.shown());
    let id = second.json()["deployment"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let ended = app.finished(&id).await;
    expect_file!["snapshots/ended.txt"]
        .assert_eq(&format!("{:#}\n", crate::support::redacted(ended)));
    let read = app.get(&format!("/api/v1/deployments/{id}")).await;
    let version = read.json()["version_number"].to_string();
    assert_eq!(read.header("etag"), format!("\"{version}\""));
}

#[tokio::test]
async fn governance_names_every_reason_at_once() {
    let app = TestApp::start().await;
    let unknown = app.deploy("1.0.0").await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.code()),
        (409, "refused".to_owned())
    );
    assert_eq!(codes(&unknown), ["service_unknown", "environment_unknown"]);
    app.apply(&CATALOGUE.replace("environment_types: [testing]", "environment_types: []"))
        .await;
    let lock = json!({"reason": "stock-taking"});
    assert_eq!(
        app.put("/api/v1/environments/staging/lock", lock)
            .await
            .status,
        200
    );
    let body = with(
        wish("1.0.0"),
        "strategy",
        json!({"kind": "scale-up", "surge_percent": 0}),
    );
    let refused = app.post("/api/v1/deployments", body.clone()).await;
    expect_file!["snapshots/refused.txt"].assert_eq(&refused.shown());
    let rehearsed = app
        .post("/api/v1/deployments", with(body, "dry_run", true))
        .await;
    assert_eq!(
        rehearsed.status, 200,
        "a rehearsal that shows objections is no error"
    );
    assert_eq!(codes(&rehearsed), codes(&refused));
    assert_eq!(rehearsed.json()["preview"], Value::Null);
    assert_eq!(
        app.get("/api/v1/deployments").await.json()["items"],
        json!([])
    );
}

#[tokio::test]
async fn each_rule_refuses() {
    let app = TestApp::with_shop().await;
    app.bring_up("1.0.0").await;
    let refused = |answer: Answer| codes(&answer).join(" ");
    assert_eq!(refused(app.deploy("1.0.0").await), "already_live");
    assert_eq!(refused(app.deploy("9.9.9").await), "release_unknown");
    let artifact = |app: &TestApp, digest: &Value| {
        app.config
            .data
            .join("artifacts/sha256")
            .join(digest.as_str().unwrap())
    };
    let digest = app.get("/api/v1/services/shop/releases/1.1.0").await.json()["digest"].clone();
    std::fs::write(artifact(&app, &digest), b"evil").unwrap();
    assert_eq!(refused(app.deploy("1.1.0").await), "artifact_changed");
    std::fs::remove_file(artifact(&app, &digest)).unwrap();
    assert_eq!(refused(app.deploy("1.1.0").await), "artifact_missing");
    let again = app.upload("shop", "1.1.0", release("1.1.0")).await;
    assert_eq!(again.status, 200, "the same content repairs the artifact");
    app.apply(&CATALOGUE.replace(
        "environment_type: testing",
        "environment_type: testing\ncapacity_limit: 3",
    ))
    .await;
    assert_eq!(refused(app.deploy("1.1.0").await), "capacity_limit");
    app.apply(&CATALOGUE.replace("size: 2", "size: 2\nsize_limit: 2"))
        .await;
    assert_eq!(refused(app.deploy("1.1.0").await), "no_room");
    app.apply("kind: Environment\nname: bare\nenvironment_type: testing")
        .await;
    let elsewhere = with(wish("1.1.0"), "environment", "bare");
    assert_eq!(
        refused(app.post("/api/v1/deployments", elsewhere).await),
        "no_server_group"
    );
}

#[tokio::test]
async fn force_replaces_the_instances_of_the_live_release() {
    let app = TestApp::with_shop().await;
    app.bring_up("1.0.0").await;
    let forced = app
        .post("/api/v1/deployments", with(wish("1.0.0"), "force", true))
        .await;
    assert_eq!(forced.status, 202, "{}", forced.text);
    let ended = app
        .finished(forced.json()["deployment"]["id"].as_str().unwrap())
        .await;
    assert_eq!(ended["status"], "succeeded", "{ended:#}");
}

/// The body that asks for a deployment that bakes for an hour.
fn long(version: &str) -> Value {
    with(
        wish(version),
        "strategy",
        json!({"kind": "scale-up", "bake_seconds": 3600}),
    )
}

/// A deployment of 1.1.0 that is in the middle of its bake; its id.
async fn baking(app: &TestApp) -> String {
    app.bring_up("1.0.0").await;
    let begun = app.post("/api/v1/deployments", long("1.1.0")).await;
    assert_eq!(begun.status, 202, "{}", begun.text);
    let id = begun.json()["deployment"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    app.until(&id, |deployment| deployment["step"] == 1).await;
    id
}

#[tokio::test]
async fn one_deployment_at_a_time() {
    let app = TestApp::with_shop().await;
    let id = baking(&app).await;
    let refused = app.deploy("1.1.0").await;
    assert_eq!(codes(&refused), ["already_running"]);
    assert!(
        refused.text.contains(&id),
        "it points to the one that runs: {}",
        refused.text
    );
    let abort = format!("/api/v1/deployments/{id}/abort");
    let (first, second) = tokio::join!(
        app.post(&abort, json!({"reason": "a"})),
        app.post(&abort, json!({"reason": "b"})),
    );
    let mut statuses = [first.status.as_u16(), second.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(
        statuses,
        [200, 409],
        "one abort turns it round, the other is told so"
    );
    assert_eq!(app.finished(&id).await["status"], "aborted");
}

#[tokio::test]
async fn two_requests_at_once_begin_one_deployment() {
    let app = TestApp::with_shop().await;
    let answers = tokio::join!(
        app.deploy("1.0.0"),
        app.deploy("1.0.0"),
        app.deploy("1.1.0")
    );
    let mut statuses = [answers.0, answers.1, answers.2].map(|answer| answer.status.as_u16());
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 409, 409]);
    assert_eq!(
        app.get("/api/v1/deployments").await.json()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_person_pauses_resumes_and_aborts() {
    let app = TestApp::with_shop().await;
    let id = baking(&app).await;
    let root = format!("/api/v1/deployments/{id}");
    let command = |verb: &str, body: Value| {
        let path = format!("{root}/{verb}");
        let app = &app;
        async move { app.post(&path, body).await }
    };
    assert_eq!(command("resume", json!({})).await.code(), "not_paused");
    let paused = command("pause", json!({})).await;
    assert_eq!(
        (paused.status.as_u16(), &paused.json()["status"]),
        (200, &json!("paused"))
    );
    assert_eq!(paused.json()["paused"]["by"], "admin");
    assert_eq!(command("pause", json!({})).await.code(), "already_paused");
    let resumed = command("resume", json!({})).await;
    assert_eq!(resumed.json()["status"], "running");
    assert_eq!(
        command("abort", json!({"reason": " "})).await.code(),
        "invalid"
    );
    let aborted = command("abort", json!({"reason": "wrong one"})).await;
    assert_eq!(aborted.json()["status"], "rolling_back");
    assert_eq!(
        aborted.json()["failure"],
        json!({
            "reason": "aborted", "sentence": "aborted by admin: wrong one",
            "by": "admin", "why": "wrong one", "who_can_act": "operator",
        })
    );
    assert_eq!(
        command("roll-back", json!({})).await.code(),
        "already_rolling_back"
    );
    let ended = app.finished(&id).await;
    assert_eq!(
        (&ended["status"], &ended["certificate"]["clean"]),
        (&json!("aborted"), &json!(true))
    );
    let late = command("abort", json!({"reason": "late"})).await;
    expect![[r#"
        409
        {
          "code": "deployment_finished",
          "detail": "this deployment has ended; to return to the previous release, run `pointsman rollback`",
          "status": 409,
          "title": "Conflict",
          "type": "urn:pointsman:problem:deployment_finished"
        }
    "#]]
    .assert_eq(&late.shown());
}

#[tokio::test]
async fn a_broken_release_is_rolled_back_by_itself() {
    let app = TestApp::with_shop().await;
    app.bring_up("1.0.0").await;
    assert_eq!(
        app.upload("shop", "1.2.0-broken", release("broken"))
            .await
            .status,
        201
    );
    let body = with(
        wish("1.2.0-broken"),
        "strategy",
        json!({"kind": "scale-up", "bake_seconds": 0, "health_deadline_seconds": 1}),
    );
    let begun = app.post("/api/v1/deployments", body).await;
    let ended = app
        .finished(begun.json()["deployment"]["id"].as_str().unwrap())
        .await;
    assert_eq!(ended["status"], "rolled_back", "{ended:#}");
    let failure = &ended["failure"];
    assert_eq!(failure["reason"], "unhealthy", "{failure:#}");
    assert_eq!(
        (
            &failure["version"],
            &failure["wanted"],
            &failure["within_ms"]
        ),
        (&json!("1.2.0-broken"), &json!(2), &json!(1000))
    );
    let sentence = failure["sentence"].as_str().unwrap();
    assert!(
        sentence.contains("of 2 instances of 1.2.0-broken became healthy within 1 s"),
        "{sentence}"
    );
    let launch = failure["launch"].as_str().unwrap();
    assert!(!sentence.contains(launch), "{sentence}");
    let status = app
        .get("/api/v1/environments/staging/services/shop")
        .await
        .json();
    assert_eq!(status["live"]["version"], "1.0.0");
}

#[tokio::test]
async fn a_place_goes_back_to_the_release_before() {
    let app = TestApp::with_shop().await;
    let path = "/api/v1/environments/staging/services/shop/roll-back";
    assert_eq!(
        app.post(path, json!({})).await.code(),
        "nothing_to_roll_back_to"
    );
    app.bring_up("1.0.0").await;
    assert_eq!(
        app.post(path, json!({})).await.code(),
        "nothing_to_roll_back_to"
    );
    let forced = app
        .post("/api/v1/deployments", with(wish("1.0.0"), "force", true))
        .await;
    app.finished(forced.json()["deployment"]["id"].as_str().unwrap())
        .await;
    let same = app.post(path, json!({})).await;
    assert_eq!(
        same.code(),
        "nothing_to_roll_back_to",
        "the same version is no way back"
    );
    app.bring_up("1.1.0").await;
    let forced = app
        .post("/api/v1/deployments", with(wish("1.1.0"), "force", true))
        .await;
    app.finished(forced.json()["deployment"]["id"].as_str().unwrap())
        .await;
    let back = app.post(path, json!({"reason": "loses orders"})).await;
    assert_eq!(back.status, 202, "{}", back.text);
    assert_eq!(back.json()["deployment"]["version"], "1.0.0");
    assert!(back.json()["preview"].is_object());
    let id = back.json()["deployment"]["id"].as_str().unwrap().to_owned();
    assert_eq!(app.finished(&id).await["status"], "succeeded");
    let unknown = app
        .post(
            "/api/v1/environments/staging/services/nobody/roll-back",
            json!({}),
        )
        .await;
    assert_eq!(unknown.code(), "not_found");
}

#[tokio::test]
async fn rolling_back_a_place_turns_the_deployment_that_runs_there() {
    let app = TestApp::with_shop().await;
    let id = baking(&app).await;
    let path = "/api/v1/environments/staging/services/shop/roll-back";
    let turned = app.post(path, json!({"reason": "loses orders"})).await;
    assert_eq!(turned.status, 202, "{}", turned.text);
    assert_eq!(turned.json()["deployment"]["id"], id.as_str());
    assert_eq!(turned.json()["preview"], Value::Null);
    assert_eq!(app.finished(&id).await["status"], "rolled_back");
}

#[tokio::test]
async fn a_deployment_outlives_the_server() {
    let mut app = TestApp::with_shop().await;
    let id = baking(&app).await;
    app.restart().await;
    let read = app.get(&format!("/api/v1/deployments/{id}")).await.json();
    assert_eq!(
        (&read["status"], &read["step"]),
        (&json!("running"), &json!(1))
    );
    let aborted = app
        .post(
            &format!("/api/v1/deployments/{id}/abort"),
            json!({"reason": "x"}),
        )
        .await;
    assert_eq!(aborted.status, 200, "{}", aborted.text);
    assert_eq!(app.finished(&id).await["status"], "aborted");
}
