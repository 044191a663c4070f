//! The API's description of itself: kept in the repository, and true.

use domain::evidence::{Comparison, Tolerance};
use expect_test::expect_file;
use serde_json::{Value, json};

use crate::support::TestApp;

#[test]
fn the_description_in_the_repository_is_the_one_of_the_handlers() {
    let document = web::api::description().to_pretty_json().unwrap();
    expect_file!["../../../../api/openapi.json"].assert_eq(&format!("{document}\n"));
}

/// The names of the fields that the description gives an entry of this kind.
fn described(schema: &str) -> Vec<String> {
    let document: Value = serde_json::to_value(web::api::description()).unwrap();
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
        {"kind": "EnvironmentType", "name": "testing", "description": "d",
         "approval_by_another": true},
        {"kind": "Prometheus", "name": "metrics", "url": "http://metrics:9090", "description": "d"},
        {"kind": "Account", "name": "cloud", "provider": "aws", "description": "d",
         "region": "eu-west-1", "role_arn": "arn:aws:iam::123456789012:role/x", "external_id": "id",
         "endpoint_url": "http://aws:4566", "package_bucket": "packages"},
        {"kind": "Service", "name": "shop", "owner": "web", "description": "d",
         "environment_types": ["testing"], "strategies": ["scale-up"]},
        {"kind": "Environment", "name": "staging", "environment_type": "testing",
         "description": "d", "capacity_limit": 9},
        {"kind": "Environment", "name": "production", "environment_type": "testing"},
        {"kind": "ServerGroup", "service": "shop", "environment": "staging", "size": 2,
         "autoscaling": {"min": 1, "max": 3}, "size_limit": 6, "zones": ["a"], "slices": 2,
         "stickiness": {"by": "cookie"}, "gates": every_gate(),
         "health": {"path": "/"}, "drain_seconds": 1, "variables": {"A": "b"},
         "aws": every_field_of_aws()},
    ]);
    let answer = app.post("/api/v1/manifests", every_field).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    // A server group lives in one place.
    let elsewhere = json!({"size": 1, "custom": {"account": "cloud"}});
    let elsewhere = app.put(ELSEWHERE, elsewhere).await;
    assert_eq!(elsewhere.status, 201, "{}", elsewhere.text);
    let elsewhere = elsewhere.json();
    for (path, schema) in [
        ("teams/web", "Team"),
        ("environment-types/testing", "EnvironmentType"),
        ("services/shop", "Service"),
        ("environments/staging", "Environment"),
        ("server-groups/shop.staging", "ServerGroup"),
        ("prometheuses/metrics", "Prometheus"),
        ("accounts/cloud", "Account"),
    ] {
        let entry = app.get(&format!("/api/v1/{path}")).await.json();
        let mut names: Vec<String> = entry.as_object().unwrap().keys().cloned().collect();
        if schema == "ServerGroup" {
            names.extend(elsewhere.as_object().unwrap().keys().cloned());
        }
        names.sort();
        names.dedup();
        assert_eq!(names, described(schema), "{schema}");
    }
    let names: Vec<String> = elsewhere["custom"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(names, described("CustomGroup"));
    let group = app.get("/api/v1/server-groups/shop.staging").await.json();
    for (path, schema) in [
        ("/health", "HealthCheck"),
        ("/aws", "AwsGroup"),
        ("/aws/create", "AwsCreate"),
    ] {
        let part = group.pointer(path).and_then(Value::as_object).unwrap();
        let mut names: Vec<String> = part.keys().cloned().collect();
        names.sort();
        assert_eq!(names, described(schema), "{schema}");
    }
}

/// A server group that lives elsewhere than [`every_field_of_aws`].
const ELSEWHERE: &str = "/api/v1/server-groups/shop.production";

/// The AWS side of a server group, with all its fields.
fn every_field_of_aws() -> Value {
    let arn = |rest: &str| format!("arn:aws:elasticloadbalancing:eu-west-1:123456789012:{rest}");
    json!({
        "account": "cloud", "groups": ["blue", "green"],
        "target_groups": [arn("targetgroup/blue/1"), arn("targetgroup/green/1")],
        "create": {
            "image": "ami-0123456789abcdef0", "instance_type": "t3.small",
            "subnets": ["subnet-01234567"], "security_groups": ["sg-01234567"],
            "instance_profile": "p", "key_name": "k", "root_gib": 8, "monitoring": true,
            "volumes": [{"device": "/dev/sdf", "gib": 1, "type": "gp3"}],
            "grace_seconds": 60, "tags": {"a": "b"},
        },
        "traffic": {"by": "listener", "listener": arn("listener/app/shop/1/2"),
                    "rule": arn("listener-rule/app/shop/1/2/3")},
        "user_data": "#!/bin/sh",
    })
}

/// One gate of every kind that can be written, with all its fields.
fn every_gate() -> Value {
    let patience = json!({"interval_seconds": 1, "bad_answers": 1});
    json!([
        {"gate": "traffic", "at": [10], "deadline": 1, "tolerance": {}},
        {"gate": "prometheus", "at": [10], "deadline": 1, "prometheus": "metrics", "url": "http://x",
         "query": "up", "min": 1, "max": 2, "patience": patience},
        {"gate": "http", "at": [10], "deadline": 1, "url": "http://x", "patience": patience},
        {"gate": "approval", "at": [10], "deadline": 1, "by_another": true},
    ])
}

#[test]
fn strategies_and_gates_are_described_with_all_their_fields() {
    let canary = json!({
        "kind": "canary", "stages": [{"percent": 10, "seconds": 1}], "gates": every_gate(),
        "shadow": {"percent": 10, "seconds": 1, "methods": ["POST"], "gate": {},
                   "compare": {"headers": ["x"], "ignore": ["$.at"]}},
        "warm_seconds": 1, "keep_old": true, "health_deadline_seconds": 1,
    });
    let written = |strategy: Value| -> Value {
        let strategy: domain::plan::Strategy = serde_json::from_value(strategy).unwrap();
        serde_json::to_value(strategy).unwrap()
    };
    let scale_up = written(json!({"kind": "scale-up"}));
    let refresh = written(json!({"kind": "instance-refresh"}));
    let canary = written(canary);
    let look = Comparison::default().look(&Tolerance::default());
    let look = serde_json::to_value(look).unwrap();
    for (value, path, tag, schema) in [
        (&look, "", "", "TrafficLook"),
        (&look, "/errors", "", "Judged"),
        (&scale_up, "", "kind", "ScaleUp"),
        (&refresh, "", "kind", "InstanceRefresh"),
        (&canary, "", "kind", "TwoSlices"),
        (&canary, "/stages/0", "", "Stage"),
        (&canary, "/shadow", "", "Shadow"),
        (&canary, "/shadow/compare", "", "Compare"),
        (&canary, "/shadow/gate", "", "ShadowGate"),
        (&canary, "/gates/0", "gate", "TrafficGate"),
        (&canary, "/gates/0/tolerance", "", "Tolerance"),
        (&canary, "/gates/1", "gate", "PrometheusGate"),
        (&canary, "/gates/1/patience", "", "Patience"),
        (&canary, "/gates/2", "gate", "HttpGate"),
        (&canary, "/gates/3", "gate", "ApprovalGate"),
    ] {
        let fields = value.pointer(path).and_then(Value::as_object).unwrap();
        let mut names: Vec<&String> = fields.keys().filter(|name| *name != tag).collect();
        names.sort();
        assert_eq!(
            names,
            described(schema).iter().collect::<Vec<_>>(),
            "{schema}"
        );
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_its_own_name() {
    let document: Value = serde_json::to_value(web::api::description()).unwrap();
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
