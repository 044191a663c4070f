//! Catalogue entries one by one: put, get, delete, entity tags.

use std::time::SystemTime;

use domain::time::UnixMs;
use expect_test::expect;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, CATALOGUE, Persona, TestApp};

#[tokio::test]
async fn an_entry_is_created_read_changed_and_deleted() {
    let app = TestApp::start().await;
    let created = app
        .put("/api/v1/teams/web", json!({"contact": "web@example.com"}))
        .await;
    expect![[r#"
        201
        {
          "contact": "web@example.com",
          "name": "web",
          "updated_at": "[updated_at]",
          "updated_by": "admin",
          "version": 1
        }
    "#]]
    .assert_eq(&created.shown());
    let read = app.get("/api/v1/teams/web").await;
    assert_eq!(read.text, created.text);
    assert_eq!(read.header("etag"), created.header("etag"));
    let changed = app
        .put("/api/v1/teams/web", json!({"contact": "shop@example.com"}))
        .await;
    assert_eq!(
        (changed.status.as_u16(), changed.json()["contact"].clone()),
        (200, json!("shop@example.com"))
    );
    let deleted = app.delete("/api/v1/teams/web").await;
    assert_eq!((deleted.status.as_u16(), deleted.text.as_str()), (204, ""));
    expect![[r#"
        404
        {
          "code": "not_found",
          "detail": "there is no team web in the catalogue",
          "remedy": "check the name; the list of this kind shows what exists",
          "status": 404,
          "title": "Not Found",
          "type": "urn:pointsman:problem:not_found"
        }
    "#]]
    .assert_eq(&app.get("/api/v1/teams/web").await.shown());
    assert_eq!(app.delete("/api/v1/teams/web").await.code(), "not_found");
}

#[tokio::test]
async fn every_kind_has_its_collection() {
    let app = TestApp::start().await;
    app.apply(CATALOGUE).await;
    for (path, names) in [
        ("teams", ["web"]),
        ("services", ["shop"]),
        ("environment-types", ["testing"]),
        ("environments", ["staging"]),
    ] {
        let page = app.get(&format!("/api/v1/{path}")).await.json();
        let found: Vec<&str> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            (found, &page["next"]),
            (names.to_vec(), &Value::Null),
            "{path}"
        );
    }
    expect![[r#"
        200
        {
          "drain_seconds": 1,
          "environment": "staging",
          "health": {
            "healthy_threshold": 2,
            "interval_ms": 1000,
            "kind": "http",
            "timeout_ms": 1000,
            "unhealthy_threshold": 3
          },
          "service": "shop",
          "size": 2,
          "slices": 1,
          "updated_at": "[updated_at]",
          "updated_by": "admin",
          "version": 5,
          "zones": [
            "a",
            "b",
            "c"
          ]
        }
    "#]]
    .assert_eq(&app.get("/api/v1/server-groups/shop.staging").await.shown());
}

#[tokio::test]
async fn an_answer_can_be_changed_and_sent_back() {
    let app = TestApp::start().await;
    app.apply(CATALOGUE).await;
    for path in [
        "environments/staging",
        "server-groups/shop.staging",
        "services/shop",
    ] {
        let path = format!("/api/v1/{path}");
        let read = app.get(&path).await;
        let same = app.put(&path, read.json()).await;
        assert_eq!(same.status, 200, "{}", same.text);
        assert_eq!(
            same.header("etag"),
            read.header("etag"),
            "nothing differs, nothing is stored"
        );
    }
}

#[tokio::test]
async fn an_entity_tag_keeps_two_people_from_overwriting_each_other() {
    let app = TestApp::start().await;
    let team = "/api/v1/teams/web";
    let put = |header: &'static str, tag: String, contact: &'static str| {
        let request = app.request(Persona::Admin, Method::PUT, team);
        Answer::of(
            request
                .header(header, tag)
                .json(&json!({"contact": contact})),
        )
    };
    assert_eq!(put("if-none-match", "*".into(), "first").await.status, 201);
    assert_eq!(
        put("if-none-match", "*".into(), "second").await.code(),
        "changed"
    );
    let tag = app.get(team).await.header("etag").to_owned();
    assert_eq!(put("if-match", tag.clone(), "third").await.status, 200);
    let late = put("if-match", tag.clone(), "fourth").await;
    expect![[r#"
        412
        {
          "code": "changed",
          "detail": "the team web has changed since you read it",
          "remedy": "read it again, then decide",
          "status": 412,
          "title": "Precondition Failed",
          "type": "urn:pointsman:problem:changed"
        }
    "#]]
    .assert_eq(&late.shown());
    assert_eq!(app.get(team).await.json()["contact"], "third");
    let delete = app.request(Persona::Admin, Method::DELETE, team);
    assert_eq!(
        Answer::of(delete.header("if-match", tag)).await.code(),
        "changed"
    );
    for bad in ["7", "W/\"7\"", "\"x\"", "\"1\", \"2\"", "\"-1\""] {
        assert_eq!(
            put("if-match", bad.to_owned(), "x").await.code(),
            "bad_if_match",
            "{bad}"
        );
    }
}

#[tokio::test]
async fn what_is_referred_to_stays() {
    let app = TestApp::with_shop().await;
    let refused = app.delete("/api/v1/teams/web").await;
    expect![[r#"
        409
        {
          "code": "still_referenced",
          "detail": "the team web is still needed by service shop",
          "remedy": "first remove or change the entries that refer to it",
          "status": 409,
          "title": "Conflict",
          "type": "urn:pointsman:problem:still_referenced"
        }
    "#]]
    .assert_eq(&refused.shown());
    for path in [
        "services/shop",
        "environments/staging",
        "environment-types/testing",
    ] {
        let refused = app.delete(&format!("/api/v1/{path}")).await;
        assert_eq!(refused.code(), "still_referenced", "{path}");
    }
    app.bring_up("1.0.0").await;
    let refused = app.delete("/api/v1/server-groups/shop.staging").await;
    assert_eq!(
        refused.code(),
        "still_referenced",
        "a release is live there"
    );
    assert!(refused.text.contains("live"), "{}", refused.text);
}

#[tokio::test]
async fn a_body_must_fit_its_path_and_its_references() {
    let app = TestApp::start().await;
    let answer = app.put("/api/v1/teams/web", json!({"name": "other"})).await;
    expect![[r#"
        422
        {
          "code": "invalid",
          "detail": "the body cannot be accepted: name: the body describes \"other\", the path says \"web\"",
          "errors": [
            {
              "field": "name",
              "message": "the body describes \"other\", the path says \"web\""
            }
          ],
          "remedy": "correct the listed fields and retry; nothing was stored",
          "status": 422,
          "title": "Unprocessable Entity",
          "type": "urn:pointsman:problem:invalid"
        }
    "#]]
    .assert_eq(&answer.shown());
    let answer = app
        .put("/api/v1/services/shop", json!({"owner": "nobody"}))
        .await;
    assert_eq!(answer.code(), "invalid");
    assert_eq!(answer.json()["errors"][0]["field"], "owner");
    assert_eq!(app.get("/api/v1/services/shop").await.status, 404);
}

#[tokio::test]
async fn an_environment_tells_its_lock() {
    let app = TestApp::start().await;
    app.apply(CATALOGUE).await;
    let lock = "/api/v1/environments/staging/lock";
    assert_eq!(
        app.get("/api/v1/environments/staging").await.json()["lock"],
        Value::Null
    );
    let locked = app.put(lock, json!({"reason": " stock-taking "})).await;
    expect![[r#"
        200
        {
          "by": "admin",
          "reason": "stock-taking",
          "since": "[since]"
        }
    "#]]
    .assert_eq(&locked.shown());
    for path in ["/api/v1/environments/staging", "/api/v1/environments"] {
        assert!(app.get(path).await.text.contains("stock-taking"), "{path}");
    }
    assert_eq!(app.delete(lock).await.status, 204);
    assert_eq!(
        app.delete(lock).await.status,
        204,
        "unlocking twice is the same as once"
    );
    assert_eq!(
        app.get("/api/v1/environments/staging").await.json()["lock"],
        Value::Null
    );
    for reason in [json!(""), json!("  "), json!("x".repeat(1001))] {
        let answer = app.put(lock, json!({"reason": reason})).await;
        assert_eq!(
            (answer.code(), &answer.json()["errors"][0]["field"]),
            ("invalid".into(), &json!("reason"))
        );
    }
    let unknown = app
        .put("/api/v1/environments/nowhere/lock", json!({"reason": "x"}))
        .await;
    assert_eq!(unknown.code(), "not_found");
    assert_eq!(
        app.delete("/api/v1/environments/nowhere/lock").await.code(),
        "not_found"
    );
}

#[tokio::test]
async fn a_freeze_refuses_deployments_until_it_ends() {
    let app = TestApp::with_shop().await;
    let now = i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let hours = |hours: i64| UnixMs(now + hours * 3_600_000).to_string();
    let freeze = |from: i64, until: i64| {
        json!({
            "from": hours(from), "until": hours(until), "environment_types": ["testing"],
            "reason": "the shop is full",
        })
    };
    let put = async |body| app.put("/api/v1/freezes/sales", body).await.status;
    assert_eq!(put(freeze(-1, 1)).await, 201);
    let refused = app.deploy("1.0.0").await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    let mut objection = refused.json()["objections"][0].take();
    assert_eq!(objection["until"].take(), hours(1));
    expect![[r#"
        {
          "environment": "staging",
          "freeze": "sales",
          "reason": "environment_frozen",
          "remedy": "wait until it ends; `pointsman freeze get sales` shows it",
          "sentence": "staging is frozen by sales: the shop is full",
          "until": null,
          "who_can_act": "time",
          "why": "the shop is full"
        }"#]]
    .assert_eq(&format!("{objection:#}"));
    assert_eq!(
        app.delete("/api/v1/environment-types/testing").await.status,
        409
    );
    assert_eq!(put(freeze(-2, -1)).await, 200);
    assert_eq!(app.deploy("1.0.0").await.status, 202);
    let bad = app
        .put("/api/v1/freezes/sales", json!({"from": "soon"}))
        .await;
    expect![[r#"
        422
        {
          "code": "invalid",
          "detail": "the body cannot be accepted: from: write a time as in RFC 3339, such as [time]",
          "errors": [
            {
              "field": "from",
              "message": "write a time as in RFC 3339, such as [time]"
            }
          ],
          "remedy": "correct the listed fields and retry; nothing was stored",
          "status": 422,
          "title": "Unprocessable Entity",
          "type": "urn:pointsman:problem:invalid"
        }
    "#]].assert_eq(&bad.shown());
}
