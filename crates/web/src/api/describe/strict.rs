//! Bodies of requests as strict as the server reads them. Answers may get more fields, so a schema that both
//! have gets a twin for requests, with `Input` at the end of its name.

use std::collections::BTreeSet;

use domain::{bounds::schema::Schemas, catalogue::Kind};
use utoipa::openapi::{OpenApi, Ref, RefOr, Schema, schema::AdditionalProperties};

/// The schemas that allow no other fields.
pub(super) fn closed(schemas: &Schemas) -> BTreeSet<String> {
    let closed = schemas.iter().filter(|(_, schema)| is_closed(schema));
    closed.map(|(name, _)| name.clone()).collect()
}

fn is_closed(schema: &RefOr<Schema>) -> bool {
    let RefOr::T(Schema::Object(object)) = schema else {
        return false;
    };
    object.additional_properties == Some(no_others())
}

fn no_others() -> Box<AdditionalProperties<Schema>> {
    Box::new(AdditionalProperties::FreeForm(false))
}

/// Makes the bodies of requests refuse what the server refuses.
pub(super) fn close_bodies(document: &mut OpenApi, closed: &BTreeSet<String>) {
    let mut bodies = BTreeSet::new();
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.put, &mut item.post].into_iter().flatten() {
            let Some(RefOr::T(body)) = &mut operation.request_body else {
                continue;
            };
            for content in body.content.values_mut() {
                if let RefOr::T(content) = content
                    && let Some(RefOr::Ref(reference)) = &mut content.schema
                {
                    bodies.extend(renamed(reference));
                }
            }
        }
    }
    let schemas = &mut document.components.get_or_insert_default().schemas;
    for name in bodies.intersection(closed) {
        let Some(RefOr::T(Schema::Object(object))) = schemas.get(name).cloned() else {
            continue;
        };
        let mut object = object;
        object.additional_properties = Some(no_others());
        if let Some(kind) = kind(name) {
            // What is in the path can be left out, and what the server knows is ignored.
            let from_path = |field: &String| kind.words().named_by.contains(&field.as_str());
            let known = |field: &String| object.properties.get(field).is_some_and(is_known);
            let required = object.required.iter();
            let required = required.filter(|field| !from_path(field) && !known(field));
            object.required = required.cloned().collect();
            schemas.insert(input(name), RefOr::T(Schema::Object(object)));
        } else {
            schemas.insert(name.clone(), RefOr::T(Schema::Object(object)));
        }
    }
}

/// The name of the schema that a body refers to; one of a kind is replaced by its twin.
fn renamed(reference: &mut Ref) -> Option<String> {
    let name = reference.ref_location.rsplit('/').next()?.to_owned();
    if kind(&name).is_some() {
        *reference = Ref::from_schema_name(input(&name));
    }
    Some(name)
}

fn kind(schema: &str) -> Option<Kind> {
    let mut kinds = Kind::ALL.into_iter();
    kinds.find(|kind| kind.words().manifest == schema)
}

fn input(schema: &str) -> String {
    format!("{schema}Input")
}

/// Whether a field is only in answers.
fn is_known(field: &RefOr<Schema>) -> bool {
    let RefOr::T(schema) = field else {
        return false;
    };
    let read_only = match schema {
        Schema::Object(object) => object.read_only,
        Schema::OneOf(choice) => choice.read_only,
        _ => None,
    };
    read_only == Some(true)
}
