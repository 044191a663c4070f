//! Several people: each comes in with a token of their own, and is known by their name.

use std::process::Output;

use reqwest::{Method, StatusCode};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::support::{Answer, Persona, TestApp, wish};

/// Runs `pointsman token ...` as the one who started `app`.
async fn token(app: &TestApp, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .arg("token")
        .args(arguments)
        .env("POINTSMAN_DATA", &app.config.data)
        .output()
        .await
        .unwrap()
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

async fn created(app: &TestApp, name: &str) -> String {
    let output = token(app, &["create", name]).await;
    let (shown, complaint) = said(&output);
    assert!(output.status.success(), "{complaint}");
    shown.trim().to_owned()
}

async fn teams(app: &TestApp, token: &str) -> StatusCode {
    let request = app.request(Persona::Anonymous, Method::GET, "/api/v1/teams");
    Answer::of(request.bearer_auth(token)).await.status
}

#[tokio::test]
async fn people_come_and_go_without_a_restart_and_the_audit_log_names_them() {
    let app = TestApp::with_shop().await;
    let (alice, bob) = (created(&app, "alice").await, created(&app, "bob").await);
    assert_ne!(alice, bob);
    assert_eq!(teams(&app, &alice).await, 200);
    assert_eq!(teams(&app, &bob).await, 200);
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

    assert!(token(&app, &["revoke", "alice"]).await.status.success());
    assert_eq!(teams(&app, &alice).await, 401);
    assert_eq!(teams(&app, &bob).await, 200, "nobody else is shut out");
    assert_eq!(teams(&app, &app.token).await, 200);
}

#[tokio::test]
async fn a_token_is_printed_once_and_kept_as_a_hash() {
    let app = TestApp::start().await;
    let alice = created(&app, "alice").await;
    assert_eq!(alice.len(), 64);
    assert_eq!(teams(&app, &alice).await, 200);
    // No file of the data folder holds it, and what is kept lets nobody in.
    let hash: [u8; 32] = Sha256::digest(alice.as_bytes()).into();
    let kept: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let (mut files, mut with_hash) = (0, 0);
    for file in std::fs::read_dir(&app.config.data).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let holds = |text: &str| {
                bytes
                    .windows(text.len())
                    .any(|part| part == text.as_bytes())
            };
            assert!(!holds(&alice), "{} holds the token", path.display());
            (files, with_hash) = (files + 1, with_hash + usize::from(holds(&kept)));
        }
    }
    assert!(files >= 3 && with_hash >= 1, "{files} files, {with_hash}");
    assert_eq!(teams(&app, &kept).await, 401);

    let (listed, _) = said(&token(&app, &["list", "--output", "json"]).await);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["name"], "alice");
    assert_eq!(listed[0]["created_by"], "admin");
    assert!(!listed.to_string().contains(&kept));

    for (arguments, exit, complaint) in [
        (["create", "alice"], 3, "has a token already"),
        (["create", "admin"], 2, "choose another name"),
        (["create", "../x"], 2, "is not a name"),
        (["revoke", "bob"], 1, "there is no token of bob"),
    ] {
        let output = token(&app, &arguments).await;
        let (shown, said) = said(&output);
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {said}");
        assert!(said.contains(complaint) && shown.is_empty(), "{said}");
    }
}

#[tokio::test]
async fn a_repeated_request_does_not_show_a_token_again() {
    let app = TestApp::start().await;
    let create = async || {
        let request = app
            .request(Persona::Admin, Method::POST, "/api/v1/tokens")
            .header("idempotency-key", "one")
            .json(&serde_json::json!({"name": "carol"}));
        Answer::of(request).await
    };
    let first = create().await;
    assert_eq!(first.status, 201, "{}", first.text);
    let again = create().await;
    assert_eq!(
        (again.status.as_u16(), again.code()),
        (409, "exists".to_owned())
    );
    let token = first.json()["token"].as_str().unwrap().to_owned();
    assert!(!again.text.contains(&token), "{}", again.text);
}
