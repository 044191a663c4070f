//! Several people: each comes in with a token of their own, and is known by their name.

use std::{
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
    time::Duration,
};

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::support::{Answer, PATIENCE, Persona, TestApp, wish};

/// Runs `pointsman token ...` in the data folder of `app`.
fn token(app: &TestApp, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .arg("token")
        .args(arguments)
        .env("POINTSMAN_DATA", &app.config.data)
        .output()
        .unwrap()
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

fn created(app: &TestApp, name: &str) -> String {
    let output = token(app, &["create", name]);
    let (shown, complaint) = said(&output);
    assert!(output.status.success(), "{complaint}");
    shown.trim().to_owned()
}

async fn teams(app: &TestApp, token: &str) -> StatusCode {
    let request = app.request(Persona::Anonymous, Method::GET, "/api/v1/teams");
    Answer::of(request.bearer_auth(token)).await.status
}

/// Asks until the answer has this status.
async fn until(app: &TestApp, token: &str, status: u16) {
    let look = async {
        while teams(app, token).await != status {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look)
        .await
        .unwrap_or_else(|_| panic!("never answered {status}"));
}

#[tokio::test]
async fn people_come_and_go_without_a_restart_and_the_audit_log_names_them() {
    let app = TestApp::with_shop().await;
    let (alice, bob) = (created(&app, "alice"), created(&app, "bob"));
    assert_ne!(alice, bob);
    until(&app, &alice, 200).await;
    until(&app, &bob, 200).await;
    let request = app
        .request(Persona::Anonymous, Method::POST, "/api/v1/deployments")
        .bearer_auth(&alice)
        .json(&wish("1.0.0"));
    let begun = Answer::of(request).await.json();
    assert_eq!(begun["deployment"]["requested_by"], "alice", "{begun:#}");
    let id = begun["deployment"]["id"].as_str().unwrap();
    let path = format!("/api/v1/deployments/{id}/abort");
    let request = app
        .request(Persona::Anonymous, Method::POST, &path)
        .bearer_auth(&bob)
        .json(&serde_json::json!({"reason": "not today"}));
    let aborted = Answer::of(request).await;
    assert_eq!(aborted.status, 200, "{}", aborted.text);
    let events = app.get("/api/v1/audit-events").await.json();
    let who = |action: &str| {
        let events = events["items"].as_array().unwrap();
        let event = events.iter().find(|event| event["action"] == action);
        event.map(|event| event["actor"].clone()).unwrap()
    };
    assert_eq!(who("deployment.request"), "alice");
    assert_eq!(who("deployment.abort"), "bob");
    assert_eq!(who("release.create"), "admin");

    assert!(token(&app, &["revoke", "alice"]).status.success());
    until(&app, &alice, 401).await;
    assert_eq!(teams(&app, &bob).await, 200, "nobody else is shut out");
    assert_eq!(teams(&app, &app.token).await, 200);
}

#[tokio::test]
async fn a_token_is_printed_once_and_kept_as_a_hash() {
    let app = TestApp::start().await;
    let alice = created(&app, "alice");
    assert_eq!(alice.len(), 64);
    let path = app.config.data.join("tokens/alice");
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(!kept.contains(&alice));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // What is kept lets nobody in.
    until(&app, &alice, 200).await;
    assert_eq!(teams(&app, kept.trim()).await, 401);

    let (listed, _) = said(&token(&app, &["list", "--output", "json"]));
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["name"], "alice");
    assert!(!listed.to_string().contains(kept.trim()));

    for (arguments, exit, complaint) in [
        (["create", "alice"], 3, "has a token already"),
        (["create", "admin"], 2, "choose another name"),
        (["create", "../x"], 2, "is not a name"),
        (["revoke", "bob"], 1, "bob has no token"),
    ] {
        let output = token(&app, &arguments);
        let (shown, said) = said(&output);
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {said}");
        assert!(said.contains(complaint) && shown.is_empty(), "{said}");
    }
}
