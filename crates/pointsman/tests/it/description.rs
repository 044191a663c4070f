//! The API's description of itself: kept in the repository, and true.

use std::collections::BTreeSet;

use domain::{
    catalogue::Kind,
    evidence::Tolerance,
    gate::{Deadline, Patience, TrafficGate},
};
use expect_test::expect_file;
use serde_json::Value;

use crate::support::{CATALOGUE, TestApp};

#[test]
fn the_description_in_the_repository_is_the_one_of_the_handlers() {
    let document = web::api::description().to_pretty_json().unwrap();
    expect_file!["../../../../api/openapi.json"].assert_eq(&format!("{document}\n"));
}

fn schemas() -> Value {
    let document = serde_json::to_value(web::api::description()).unwrap();
    document["components"]["schemas"].clone()
}

/// Fields of manifests come from the types that are read, so only what answers add can be wrong.
#[tokio::test]
async fn answers_of_every_kind_have_the_fields_that_are_described() {
    let app = TestApp::start().await;
    app.apply(CATALOGUE).await;
    app.apply(OTHER_KINDS).await;
    let schemas = schemas();
    for kind in Kind::ALL {
        let words = kind.words();
        let list = app.get(&format!("/api/v1/{}", words.path)).await.json();
        let entry = list["items"][0].as_object();
        let entry = entry.unwrap_or_else(|| panic!("the test has no {kind}"));
        let schema = &schemas[words.manifest];
        let fields = schema["properties"].as_object().unwrap();
        for name in entry.keys() {
            assert!(fields.contains_key(name), "{kind}: {name} is not described");
        }
        for name in schema["required"].as_array().unwrap() {
            let name = name.as_str().unwrap();
            assert!(entry.contains_key(name), "{kind}: {name} is not answered");
        }
    }
}

/// The kinds that [`CATALOGUE`] has none of.
const OTHER_KINDS: &str = "
kind: Prometheus
name: metrics
url: http://metrics:9090
---
kind: Account
name: cloud
provider: local
---
kind: Freeze
name: year-end
from: 2026-12-20T00:00:00Z
until: 2027-01-03T00:00:00Z
environment_types: [testing]
reason: holidays
";

/// Numbers that may be as large as people like.
const UNLIMITED: [&str; 2] = ["capacity_limit", "size_limit"];

#[test]
fn every_number_that_people_write_has_limits() {
    let schemas = schemas();
    let mut ahead: Vec<String> = Kind::ALL
        .map(|kind| kind.words().manifest.to_owned())
        .to_vec();
    ahead.push("Strategy".to_owned());
    let (mut seen, mut numbers) = (BTreeSet::new(), 0);
    while let Some(name) = ahead.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let mut parts = vec![(name.clone(), &schemas[&name])];
        while let Some((at, part)) = parts.pop() {
            if let Some(target) = part["$ref"].as_str() {
                ahead.extend(target.rsplit('/').next().map(str::to_owned));
            }
            if part["type"].to_string().contains("integer") && part["readOnly"] != true {
                let limited = part["minimum"].is_number() && part["maximum"].is_number();
                let free = UNLIMITED.iter().any(|field| at.ends_with(field));
                assert!(limited || free, "{at} has no limit");
                numbers += 1;
            }
            for (field, inner) in part["properties"].as_object().into_iter().flatten() {
                parts.push((format!("{at}.{field}"), inner));
            }
            for list in ["oneOf", "allOf"] {
                let inner = part[list].as_array().into_iter().flatten();
                parts.extend(inner.map(|inner| (at.clone(), inner)));
            }
            for inner in ["items", "additionalProperties"] {
                parts.extend(part.get(inner).map(|inner| (at.clone(), inner)));
            }
        }
    }
    assert!(numbers > 30, "only {numbers} numbers were seen");
}

#[test]
fn guides_name_the_defaults_that_the_types_have() {
    let guide = include_str!("../../../../docs/guide/gates.md");
    let Tolerance {
        error_margin_points,
        error_margin_percent_of_stable,
        percentiles,
        latency_margin_percent,
        ..
    } = Tolerance::default();
    let TrafficGate {
        warm_up_seconds, ..
    } = TrafficGate::default();
    let Patience {
        interval_seconds,
        bad_answers,
    } = Patience::default();
    let Deadline(deadline) = Deadline::default();
    for said in [
        format!("the default is {deadline})"),
        format!(
            "error_margin_points: {error_margin_points}, error_margin_percent_of_stable: {error_margin_percent_of_stable}"
        ),
        format!("percentiles: {percentiles:?}, latency_margin_percent: {latency_margin_percent}"),
        format!("warm_up_seconds: {warm_up_seconds}"),
        format!("patience: {{interval_seconds: {interval_seconds}, bad_answers: {bad_answers}}}"),
    ] {
        assert!(guide.contains(&said), "gates.md does not say {said}");
    }
    let guide = include_str!("../../../../docs/guide/freezes.md");
    let most = Kind::Freeze.words().most.unwrap();
    assert!(guide.contains(&format!("has room for {most} freezes")));
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

/// Every description of the document.
fn descriptions(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(fields) => {
            let own = ["description", "summary"].map(|name| fields.get(name));
            let own = own.into_iter().flatten().filter_map(Value::as_str);
            own.chain(fields.values().flat_map(descriptions)).collect()
        }
        Value::Array(items) => items.iter().flat_map(descriptions).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn descriptions_name_what_they_describe_in_plain_words() {
    let document: Value = serde_json::to_value(web::api::description()).unwrap();
    let all = descriptions(&document);
    assert!(all.len() > 500, "only {} were found", all.len());
    let stiff = [
        " shall ",
        "anew",
        "whoever",
        "so many",
        "for ever",
        "turn round",
        "turns round",
        "beside ",
        "no sense",
        "in words",
    ];
    for text in all {
        let bare = text == "It." || text.starts_with("It,") || text.starts_with("They,");
        let found = stiff.iter().find(|words| text.contains(**words));
        assert!(!bare && found.is_none(), "{text} ({found:?})");
    }
}

/// What people send is described as strictly as it is read, and answers may get more fields.
#[test]
fn bodies_of_requests_are_closed_and_answers_are_open() {
    let document = serde_json::to_value(web::api::description()).unwrap();
    let all = &document["components"]["schemas"];
    let mut bodies = BTreeSet::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let body = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
            bodies.extend(body.as_str().and_then(|it| it.rsplit('/').next()));
        }
    }
    assert!(bodies.len() >= 14, "{bodies:?}");
    for name in &bodies {
        let closed = &all[name]["additionalProperties"];
        assert_eq!(*closed, false, "{name} allows fields that are refused");
    }
    for kind in Kind::ALL {
        let words = kind.words();
        let body = format!("{}Input", words.manifest);
        assert!(bodies.contains(body.as_str()), "{body} is not used");
        assert_ne!(all[words.manifest]["additionalProperties"], false);
        let required = all[&body]["required"].to_string();
        for field in words.named_by.iter().chain(&["version", "updated_at"]) {
            assert!(!required.contains(&format!("{field:?}")), "{body}: {field}");
        }
    }
}

/// A parameter that is a name, a version, a tag or a key says what it looks like; a number has bounds.
#[test]
fn parameters_say_what_they_look_like() {
    const SHAPED: [&str; 6] = [
        "service",
        "environment",
        "version",
        "If-Match",
        "If-None-Match",
        "Idempotency-Key",
    ];
    let document = serde_json::to_value(web::api::description()).unwrap();
    let entries = Kind::ALL.map(|kind| format!("/api/v1/{}/{{name}}", kind.words().path));
    let mut seen = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            for parameter in parameters {
                let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
                let named = name == "name" && entries.contains(path);
                if named || SHAPED.contains(&name) {
                    let shaped = schema["pattern"].is_string() || schema["$ref"].is_string();
                    assert!(shaped, "{path}: {name} may be any text");
                    seen.insert(name.to_owned());
                }
                let number = schema["type"].to_string().contains("integer");
                let bounded = schema["minimum"].is_number();
                assert!(!number || bounded, "{path}: {name} may be any number");
            }
        }
    }
    assert_eq!(seen.len(), SHAPED.len() + 1, "{seen:?}");
}
