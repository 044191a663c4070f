//! The API's description of itself: kept in the repository, and true.

use expect_test::expect_file;
use serde_json::{Value, json};

use crate::support::TestApp;

#[test]
fn the_description_in_the_repository_is_the_one_of_the_handlers() {
    let document = pointsman::api::description().to_pretty_json().unwrap();
    expect_file!["../../../../api/openapi.json"].assert_eq(&format!("{document}\n"));
}

/// The names of the fields that the description gives an entry of this kind.
fn described(schema: &str) -> Vec<String> {
    let document: Value = serde_json::to_value(pointsman::api::description()).unwrap();
    let properties = document["components"]["schemas"][schema]["properties"].clone();
    let mut names: Vec<String> = properties.as_object().unwrap().keys().cloned().collect();
    names.sort();
    names
}

#[tokio::test]
async fn catalogue_entries_are_described_with_all_their_fields() {
    let app = TestApp::start().await;
    let every_field = json!([
        {"kind": "Team", "name": "web", "description": "d", "contact": "c"},
        {"kind": "EnvironmentType", "name": "testing", "description": "d"},
        {"kind": "Service", "name": "shop", "owner": "web", "description": "d",
         "environment_types": ["testing"], "strategies": ["scale-up"]},
        {"kind": "Environment", "name": "staging", "environment_type": "testing",
         "description": "d", "capacity_limit": 9},
        {"kind": "ServerGroup", "service": "shop", "environment": "staging", "size": 2,
         "autoscaling": {"min": 1, "max": 3}, "size_limit": 6, "zones": ["a"], "slices": 1,
         "health": {"path": "/"}, "drain_seconds": 1, "variables": {"A": "b"}},
    ]);
    let answer = app.post("/api/v1/manifests", every_field).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    for (path, schema) in [
        ("teams/web", "Team"),
        ("environment-types/testing", "EnvironmentType"),
        ("services/shop", "Service"),
        ("environments/staging", "Environment"),
        ("server-groups/shop.staging", "ServerGroup"),
    ] {
        let entry = app.get(&format!("/api/v1/{path}")).await.json();
        let mut names: Vec<String> = entry.as_object().unwrap().keys().cloned().collect();
        names.sort();
        assert_eq!(names, described(schema), "{schema}");
    }
    let health = app.get("/api/v1/server-groups/shop.staging").await.json()["health"].clone();
    let mut names: Vec<String> = health.as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, described("HealthCheck"));
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_its_own_name() {
    let document: Value = serde_json::to_value(pointsman::api::description()).unwrap();
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for part in text.split("#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is not described");
    }
    let mut names = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str();
            names.push(
                name.unwrap_or_else(|| panic!("{method} {path} has no name"))
                    .to_owned(),
            );
        }
    }
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(
        names.len(),
        all,
        "each operation has its own name: {names:?}"
    );
}
