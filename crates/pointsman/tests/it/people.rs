//! Several people: each comes in with a credential of their own, and is known by their name.

use std::process::Output;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::support::{Answer, Persona, TestApp, wish};

/// Runs `pointsman ...` as the one who started `app`.
pub async fn pointsman(app: &TestApp, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(arguments)
        .env("POINTSMAN_DATA", &app.config.data)
        .output()
        .await
        .unwrap()
}

pub fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

async fn as_one(app: &TestApp, token: &str, method: Method, path: &str, body: Value) -> Answer {
    let request = app.request(Persona::Anonymous, method, path);
    Answer::of(request.bearer_auth(token).json(&body)).await
}

async fn teams(app: &TestApp, token: &str) -> StatusCode {
    let request = app.request(Persona::Anonymous, Method::GET, "/api/v1/teams");
    Answer::of(request.bearer_auth(token)).await.status
}

#[tokio::test]
async fn people_come_and_go_without_a_restart_and_the_audit_log_names_them() {
    let app = TestApp::with_shop().await;
    let alice = app.create_person("alice").await;
    let bob = app.create_person("bob").await;
    assert_ne!(alice, bob);
    assert_eq!(teams(&app, &alice).await, 200);
    assert_eq!(teams(&app, &bob).await, 200);
    let path = "/api/v1/deployments";
    let begun = as_one(&app, &alice, Method::POST, path, wish("1.0.0")).await;
    let begun = begun.json();
    assert_eq!(begun["deployment"]["requested_by"], "alice", "{begun:#}");
    let id = begun["deployment"]["id"].as_str().unwrap();
    let path = format!("/api/v1/deployments/{id}/abort");
    let reason = json!({"reason": "not today"});
    let aborted = as_one(&app, &bob, Method::POST, &path, reason).await;
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

    assert_eq!(app.revoke_tokens("alice").await, 204);
    assert_eq!(teams(&app, &alice).await, 401);
    assert_eq!(teams(&app, &bob).await, 200, "nobody else is shut out");
    assert_eq!(teams(&app, &app.token).await, 200);
    let disabled = app.post("/api/v1/people/bob/disable", json!({})).await;
    assert_eq!(disabled.status, 200, "{}", disabled.text);
    assert_eq!(teams(&app, &bob).await, 401, "a disabled person's token");
    let enabled = app.post("/api/v1/people/bob/enable", json!({})).await;
    assert_eq!(enabled.status, 200, "{}", enabled.text);
    assert_eq!(teams(&app, &bob).await, 200);
}

#[tokio::test]
async fn a_token_is_printed_once_and_kept_as_a_hash() {
    let app = TestApp::start().await;
    let (ci, _) = said(&pointsman(&app, &["token", "create", "ci"]).await);
    let ci = ci.trim();
    assert!(ci.starts_with("pm_") && ci.len() == 52, "{ci}");
    assert_eq!(teams(&app, ci).await, 200);
    // No file of the data folder holds it, and what is kept lets nobody in.
    let hash: [u8; 32] = Sha256::digest(ci.as_bytes()).into();
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
            assert!(!holds(ci), "{} holds the token", path.display());
            (files, with_hash) = (files + 1, with_hash + usize::from(holds(&kept)));
        }
    }
    assert!(files >= 3 && with_hash >= 1, "{files} files, {with_hash}");
    assert_eq!(teams(&app, &kept).await, 401);

    let listed = pointsman(&app, &["token", "list", "--output", "json"]).await;
    let listed: Value = serde_json::from_str(&said(&listed).0).unwrap();
    assert_eq!(listed[0]["name"], "ci");
    assert_eq!(listed[0]["owner"], "admin");
    assert!(listed[0]["used_on"].is_string(), "{listed:#}");
    assert!(!listed.to_string().contains(&kept));

    for (arguments, exit, complaint) in [
        (["token", "create", "ci"], 3, "has a token named ci already"),
        (["token", "create", " "], 2, "say what it is for"),
        (
            ["token", "revoke", "nothing"],
            1,
            "there is no token nothing",
        ),
    ] {
        let output = pointsman(&app, &arguments).await;
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
            .json(&json!({"name": "ci"}));
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

#[tokio::test]
async fn a_token_reaches_no_further_than_it_says() {
    let app = TestApp::with_shop().await;
    let token = async |by: &str, wish: Value| {
        let made = as_one(&app, by, Method::POST, "/api/v1/tokens", wish).await;
        let token = made.json()["token"].as_str().map(str::to_owned);
        (made.status.as_u16(), token.unwrap_or_default())
    };
    let narrow = json!({"name": "ci", "rights": ["view", "release"], "team": "web"});
    let (_, narrow) = token(&app.token, narrow).await;
    let body = wish("1.0.0");
    let refused = as_one(&app, &narrow, Method::POST, "/api/v1/deployments", body).await;
    assert_eq!(refused.code(), "denied", "{}", refused.text);
    assert!(refused.text.contains("does not reach"), "{}", refused.text);
    assert_eq!(teams(&app, &narrow).await, 200);
    // Nor does what it makes.
    let all = token(&narrow, json!({"name": "two", "rights": ["deploy"]})).await;
    assert_eq!(all.0, 422);
    let (status, same) = token(&narrow, json!({"name": "three"})).await;
    assert_eq!(status, 201);
    let body = wish("1.0.0");
    let refused = as_one(&app, &same, Method::POST, "/api/v1/deployments", body).await;
    assert_eq!(refused.code(), "denied");
    let link = "/api/v1/me/sign-in-link";
    let refused = as_one(&app, &narrow, Method::POST, link, json!({})).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
}

#[tokio::test]
async fn where_others_reach_the_server_the_first_token_makes_the_first_admin_only() {
    let app = TestApp::with_first_start_token().await;
    let first = app.token.clone();
    assert_eq!(teams(&app, &first).await, 401);
    let owner = app.config.data.join("token");
    assert!(!owner.exists(), "nobody owns this server");
}
