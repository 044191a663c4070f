//! Bad input of many kinds: always a problem that names the field, never a crash, never half done.

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Persona, TestApp, wish};

async fn deployment(app: &TestApp, body: Value) -> Answer {
    app.post("/api/v1/deployments", body).await
}

#[tokio::test]
async fn a_faulty_field_is_named() {
    let app = TestApp::with_shop().await;
    let change = |field: &str, value: Value| {
        let mut body = wish("1.0.0");
        body[field] = value;
        body
    };
    for (body, field) in [
        (change("service", json!(7)), "service"),
        (change("service", json!("Shop")), "service"),
        (change("service", json!("../etc")), "service"),
        (change("environment", json!("")), "environment"),
        (change("version", json!("../1")), "version"),
        (change("version", json!("1".repeat(65))), "version"),
        (change("force", json!("yes")), "force"),
        (change("forse", json!(true)), "forse"),
        (change("strategy", json!({"kind": "hope"})), "strategy"),
        (
            change("strategy", json!({"kind": "scale-up", "bake_seconds": -1})),
            "strategy",
        ),
        (
            change("strategy", json!({"kind": "scale-up", "bake": 1})),
            "strategy",
        ),
        (change("strategy", json!("scale-up")), "strategy"),
        (json!({}), ""),
        (json!([]), ""),
        (json!(null), ""),
        (json!("x"), ""),
    ] {
        let answer = deployment(&app, body.clone()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (422, "invalid".to_owned()),
            "{body}"
        );
        let error = answer.json()["errors"][0].clone();
        assert!(
            error["field"].as_str().unwrap().starts_with(field),
            "{body}: {error}"
        );
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
    assert_eq!(
        app.get("/api/v1/deployments").await.json()["items"],
        json!([])
    );
}

#[tokio::test]
async fn a_body_must_be_json_and_say_so() {
    let app = TestApp::start().await;
    let send = |media_type: Option<&'static str>, body: Vec<u8>| {
        let mut request = app.request(Persona::Admin, Method::POST, "/api/v1/deployments");
        if let Some(media_type) = media_type {
            request = request.header("content-type", media_type);
        }
        Answer::of(request.body(body))
    };
    let json = Some("application/json");
    for bad in ["", "{", "{]", "nul", "{} {}", "\u{0}", "{\"a\": 1e999}"] {
        let answer = send(json, bad.into()).await;
        assert!(
            [400, 422].contains(&answer.status.as_u16()),
            "{bad:?}: {}",
            answer.text
        );
        answer.code();
    }
    assert_eq!(send(json, vec![0xff, 0xfe]).await.code(), "bad_json");
    let deep = "[".repeat(100_000);
    assert_eq!(send(json, deep.into_bytes()).await.status, 422);
    for media_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
    ] {
        let answer = send(media_type, b"{}".to_vec()).await;
        assert_eq!(answer.code(), "unsupported_media_type", "{media_type:?}");
    }
    let large = format!("{{\"service\": \"{}\"}}", "x".repeat(2 * 1024 * 1024));
    let answer = send(json, large.into_bytes()).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (413, "too_large".to_owned())
    );
    let charset = send(Some("application/json; charset=utf-8"), b"{}".to_vec()).await;
    assert_eq!(
        charset.code(),
        "invalid",
        "parameters of the media type do no harm"
    );
}

#[tokio::test]
async fn a_faulty_path_is_named() {
    let app = TestApp::start().await;
    for (path, field) in [
        ("services/Shop/releases", "service"),
        ("services/shop/releases/..1", "version"),
        ("services/shop/releases/a..b", "version"),
        ("services/shop/releases/a%2Fb", "version"),
        ("services/%ff/releases", ""),
        ("environments/Staging/services/shop", "environment"),
        ("environments/staging/services/-", "service"),
    ] {
        let answer = app.get(&format!("/api/v1/{path}")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (400, "bad_path".to_owned()),
            "{path}"
        );
        assert_eq!(
            answer.json()["errors"][0]["field"],
            field,
            "{path}: {}",
            answer.text
        );
    }
    for path in [
        "teams/%00",
        "teams/Web",
        "deployments/nonsense",
        "server-groups/shop",
    ] {
        assert_eq!(
            app.get(&format!("/api/v1/{path}")).await.code(),
            "not_found",
            "{path}"
        );
    }
}

/// Values of every shape, small.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "shop",
            "staging",
            "1.0.0",
            "scale-up",
            "web",
            "Team",
            "ServerGroup"
        ])
        .prop_map(Value::from),
    ];
    let key = prop_oneof![
        prop::sample::select(vec![
            "kind",
            "name",
            "service",
            "environment",
            "version",
            "strategy",
            "size",
            "zones",
            "health",
            "variables",
            "reason",
            "force",
            "dry_run",
            "owner",
            "apiVersion",
            "metadata",
        ])
        .prop_map(str::to_owned),
        "[a-z]{0,6}",
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

#[tokio::test]
async fn no_value_makes_the_server_stumble() {
    let app = TestApp::with_shop().await;
    let mut runner = TestRunner::new(Config::default());
    let routes = [
        (Method::POST, "/api/v1/deployments"),
        (Method::POST, "/api/v1/manifests"),
        (Method::PUT, "/api/v1/teams/web"),
        (Method::PUT, "/api/v1/server-groups/shop.staging"),
        (Method::PUT, "/api/v1/environments/staging/lock"),
        (
            Method::POST,
            "/api/v1/services/shop/releases/1.0.0/withdraw",
        ),
        (
            Method::POST,
            "/api/v1/environments/staging/services/shop/roll-back",
        ),
        (Method::POST, "/api/v1/deployments/none/abort"),
    ];
    for round in 0..300 {
        let body = anything().new_tree(&mut runner).unwrap().current();
        let (method, path) = &routes[round % routes.len()];
        let request = app
            .request(Persona::Admin, method.clone(), path)
            .json(&body);
        let answer = Answer::of(request).await;
        assert!(
            answer.status.as_u16() < 500,
            "{method} {path} {body}: {}",
            answer.text
        );
        if answer.status.is_client_error() {
            answer.code();
        }
    }
    assert_eq!(app.get("/health").await.status, 200);
}
