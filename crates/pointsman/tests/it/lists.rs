//! Lists in pages: complete, without repetition, by cursor and by `Link`.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::support::{CATALOGUE, TestApp, release};

/// Every row of a list, read in pages of two by following `Link`.
async fn walk(app: &TestApp, first: &str) -> Vec<Value> {
    let mut path = first.to_owned();
    let mut rows = Vec::new();
    for _ in 0..100 {
        let page = app.get(&path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        let body = page.json();
        let items = body["items"].as_array().unwrap().clone();
        assert!(items.len() <= 2);
        rows.extend(items);
        let link = page.header("link").to_owned();
        let Some(next) = body["next"].as_str() else {
            assert_eq!(link, "", "the last page has no link");
            return rows;
        };
        assert!(link.ends_with("; rel=\"next\""), "{link}");
        path = link[1..link.find('>').unwrap()].to_owned();
        assert!(
            path.contains("limit=2"),
            "the rest of the query is kept: {path}"
        );
        assert!(path.contains("cursor="), "{path} leads to {next}");
    }
    panic!("{first} has no end");
}

fn texts(rows: &[Value], field: &str) -> Vec<String> {
    let text = |row: &Value| match &row[field] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    rows.iter().map(text).collect()
}

#[tokio::test]
async fn catalogue_pages_are_complete() {
    let app = TestApp::start().await;
    let names: Vec<String> = (0..7).map(|n| format!("team-{n}")).collect();
    let yaml = names.iter().fold(String::new(), |mut yaml, name| {
        let _ = writeln!(yaml, "---\nkind: Team\nname: {name}");
        yaml
    });
    app.apply(&yaml).await;
    assert_eq!(
        texts(&walk(&app, "/api/v1/teams?limit=2").await, "name"),
        names
    );
}

#[tokio::test]
async fn release_pages_are_complete_and_escape_their_cursors() {
    let app = TestApp::start().await;
    app.apply(CATALOGUE).await;
    let mut versions: Vec<String> = (0..5).map(|n| format!("1.{n}.0+build_{n}")).collect();
    for version in &versions {
        assert_eq!(
            app.upload("shop", version, release(version)).await.status,
            201
        );
    }
    versions.reverse();
    let rows = walk(&app, "/api/v1/services/shop/releases?limit=2").await;
    assert_eq!(texts(&rows, "version"), versions, "newest first");
    assert_eq!(
        app.get("/api/v1/services/nobody/releases").await.code(),
        "not_found"
    );
}

#[tokio::test]
async fn deployment_pages_are_complete_and_filtered() {
    let app = TestApp::with_shop().await;
    let mut ids = Vec::new();
    for version in ["1.0.0", "1.1.0", "1.0.0"] {
        ids.push(
            app.bring_up(version).await["id"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    ids.reverse();
    let list = "/api/v1/deployments?limit=2";
    assert_eq!(texts(&walk(&app, list).await, "id"), ids, "newest first");
    for (filter, count) in [
        ("service=shop", 3),
        ("environment=staging", 3),
        ("service=other", 0),
        ("environment=other", 0),
        ("unfinished=true", 0),
        ("unfinished=false&service=shop&environment=staging", 3),
    ] {
        assert_eq!(
            walk(&app, &format!("{list}&{filter}")).await.len(),
            count,
            "{filter}"
        );
    }
}

#[tokio::test]
async fn pages_have_bounds() {
    let app = TestApp::start().await;
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=-1", "limit"),
        ("limit=many", "limit"),
        ("size=3", "size"),
    ] {
        for path in ["teams", "deployments", "audit-events"] {
            let answer = app.get(&format!("/api/v1/{path}?{query}")).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code()),
                (400, "bad_query".to_owned())
            );
            let found = answer.json()["errors"][0].clone();
            let names =
                found["field"] == field || found["message"].as_str().unwrap().contains(field);
            assert!(names, "{path}?{query}: {found}");
        }
    }
    let answer = app.get("/api/v1/audit-events?cursor=x").await;
    assert_eq!(answer.json()["errors"][0]["field"], "cursor");
    assert_eq!(
        app.get("/api/v1/teams?limit=500").await.json()["items"],
        json!([])
    );
}
