//! Backstage `catalog-info.yaml`: a Component is read as a service.

use serde_json::{Map, Value, json};

use crate::error::Fault;

/// The annotation that names the environment types, separated by commas.
const ENVIRONMENT_TYPES: &str = "pointsman.io/environment-types";
/// The annotation that names the strategies, separated by commas.
const STRATEGIES: &str = "pointsman.io/strategies";

/// The fields of the service that a Component describes.
pub(super) fn service(fields: &Map<String, Value>) -> Result<Map<String, Value>, Vec<Fault>> {
    let text = |path: &[&str]| {
        let mut value = fields.get(path[0])?;
        for key in &path[1..] {
            value = value.get(key)?;
        }
        value.as_str()
    };
    let version = text(&["apiVersion"]).unwrap_or_default();
    if !version.starts_with("backstage.io/") {
        let message = "only backstage.io/... has an apiVersion; manifests of Pointsman have none";
        return Err(vec![Fault::of("apiVersion", message)]);
    }
    if text(&["kind"]) != Some("Component") {
        let message =
            "of Backstage's kinds only Component is read; take the others out of this file";
        return Err(vec![Fault::of("kind", message)]);
    }
    let mut service = Map::new();
    let name = text(&["metadata", "name"])
        .ok_or_else(|| vec![Fault::of("metadata.name", "give the component a name")])?;
    service.insert("name".to_owned(), name.into());
    let owner = text(&["spec", "owner"])
        .ok_or_else(|| vec![Fault::of("spec.owner", "name the team that owns it")])?;
    service.insert("owner".to_owned(), team(owner)?.into());
    if let Some(description) = text(&["metadata", "description"]) {
        service.insert("description".to_owned(), description.into());
    }
    for (annotation, field) in [
        (ENVIRONMENT_TYPES, "environment_types"),
        (STRATEGIES, "strategies"),
    ] {
        if let Some(list) = text(&["metadata", "annotations", annotation]) {
            service.insert(field.to_owned(), words(list));
        }
    }
    Ok(service)
}

/// The name in an entity reference such as `group:default/payments`.
fn team(reference: &str) -> Result<&str, Vec<Fault>> {
    let (kind, rest) = reference.split_once(':').unwrap_or(("group", reference));
    if !kind.eq_ignore_ascii_case("group") {
        let message = format!("a service is owned by a team (group:...), not by a {kind}");
        return Err(vec![Fault::of("spec.owner", message)]);
    }
    Ok(rest.rsplit_once('/').map_or(rest, |(_, name)| name))
}

fn words(list: &str) -> Value {
    let words: Vec<&str> = list
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .collect();
    json!(words)
}
