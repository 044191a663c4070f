//! Asked again with the same key, the first answer is given again.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Persona, TestApp, wish};

async fn post(app: &TestApp, key: &str, path: &str, body: &Value) -> Answer {
    let request = app.request(Persona::Admin, Method::POST, path);
    Answer::of(request.header("idempotency-key", key).json(body)).await
}

#[tokio::test]
async fn a_repeated_request_is_answered_from_memory() {
    let app = TestApp::with_shop().await;
    let path = "/api/v1/deployments";
    let first = post(&app, "k1", path, &wish("1.0.0")).await;
    assert_eq!(
        (first.status.as_u16(), first.header("idempotency-replayed")),
        (202, "")
    );
    let again = post(&app, "k1", path, &wish("1.0.0")).await;
    assert_eq!(
        (again.status.as_u16(), again.header("idempotency-replayed")),
        (202, "true")
    );
    assert_eq!(again.json(), first.json());
    assert_eq!(again.header("content-type"), "application/json");
    let other = post(&app, "k1", path, &wish("1.1.0")).await;
    assert_eq!(
        (other.status.as_u16(), other.code()),
        (422, "idempotency_key_reused".to_owned())
    );
    let elsewhere = post(&app, "k1", "/api/v1/manifests", &wish("1.0.0")).await;
    assert_eq!(elsewhere.code(), "idempotency_key_reused");
    app.finished(first.json()["deployment"]["id"].as_str().unwrap())
        .await;
    let later = post(&app, "k1", path, &wish("1.0.0")).await;
    assert_eq!(
        later.json(),
        first.json(),
        "also when it would be refused by now"
    );
    assert_eq!(
        app.get(path).await.json()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn many_at_once_do_it_once() {
    let app = TestApp::with_shop().await;
    let body = wish("1.0.0");
    let ask = || post(&app, "k", "/api/v1/deployments", &body);
    let answers = tokio::join!(ask(), ask(), ask(), ask());
    for answer in [answers.0, answers.1, answers.2, answers.3] {
        let fine = answer.status == 202 || answer.code() == "idempotency_key_in_progress";
        assert!(fine, "{}", answer.text);
    }
    let all = app.get("/api/v1/deployments").await.json();
    assert_eq!(all["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_refusal_is_looked_at_anew() {
    let app = TestApp::with_shop().await;
    let lock = "/api/v1/environments/staging/lock";
    app.put(lock, json!({"reason": "x"})).await;
    let refused = post(&app, "k", "/api/v1/deployments", &wish("1.0.0")).await;
    assert_eq!(refused.code(), "refused");
    app.delete(lock).await;
    let accepted = post(&app, "k", "/api/v1/deployments", &wish("1.0.0")).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
}

#[tokio::test]
async fn keys_are_bounded() {
    let app = TestApp::with_shop().await;
    for key in ["", " ", &"k".repeat(256)] {
        let answer = post(&app, key, "/api/v1/deployments", &wish("1.0.0")).await;
        assert_eq!(answer.code(), "bad_idempotency_key", "{key:?}");
    }
    let longest = post(
        &app,
        &"k".repeat(255),
        "/api/v1/deployments",
        &wish("1.0.0"),
    )
    .await;
    assert_eq!(longest.status, 202, "{}", longest.text);
}
