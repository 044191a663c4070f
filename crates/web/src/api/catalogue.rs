//! The kinds of catalogue entries: the same four requests for each, described once.

use axum::{
    Extension,
    extract::OriginalUri,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        Content, HttpMethod, KnownFormat, ObjectBuilder, PathItem, Ref, RefOr, Required,
        ResponseBuilder, Schema, SchemaFormat, Type,
        path::{OperationBuilder, ParameterBuilder, ParameterIn, Paths, PathsBuilder},
        request_body::RequestBodyBuilder,
        schema::{ArrayBuilder, OneOfBuilder, SchemaType},
    },
};
use utoipa_axum::router::UtoipaMethodRouter;

use super::{
    describe::problem,
    environments::LockView,
    wire::{Paging, limit, tagged, time},
};
use crate::{
    App,
    extract::{Expected, InDesk, InJson, InPath, InQuery},
    problem::Problem,
    rows::Guarded,
};
use domain::catalogue::Kind;
use domain::{governance::Lock, schema::NAME_PATTERN};
use operations::{Desk, Page, catalogue::Entry, manifests::Changed};
use std::collections::BTreeMap;

/// One entry.
#[derive(Debug, Deserialize)]
struct NamePath {
    name: String,
}

/// The routes of every kind.
pub(super) fn routes() -> Guarded {
    Kind::ALL.into_iter().fold(Guarded::new(), |router, kind| {
        let one: MethodRouter<App> = get(read).put(put).delete(delete);
        let all: MethodRouter<App> = get(list);
        router
            .routes(described(list_docs(kind), all, kind))
            .routes(described(entry_docs(kind), one, kind))
    })
}

fn described(paths: Paths, handlers: MethodRouter<App>, kind: Kind) -> UtoipaMethodRouter<App> {
    let handlers = handlers.layer(Extension(kind));
    (schemas(kind), paths, handlers)
}

async fn list(
    InDesk(desk): InDesk,
    Extension(kind): Extension<Kind>,
    OriginalUri(uri): OriginalUri,
    InQuery(paging): InQuery<Paging>,
) -> Result<Response, Problem> {
    let limit = limit(paging.limit)?;
    let page = desk.entries(kind, paging.cursor.as_deref(), limit).await?;
    listed(&desk, &uri, page).await
}

async fn listed(desk: &Desk, uri: &Uri, page: Page<Entry>) -> Result<Response, Problem> {
    let locks = locks(desk, &page.items).await?;
    Ok(super::wire::listing(uri, page, |entry| view(entry, &locks)))
}

/// The locks of those entries that are environments, by name.
async fn locks(desk: &Desk, entries: &[Entry]) -> Result<BTreeMap<String, Lock>, Problem> {
    let environments = entries.iter().filter(|it| it.kind == Kind::Environment);
    let names: Vec<&str> = environments.map(|it| it.name.as_str()).collect();
    Ok(if names.is_empty() {
        BTreeMap::new()
    } else {
        desk.locks_of(&names).await?
    })
}

async fn shown(desk: &Desk, entry: Entry) -> Result<Response, Problem> {
    let locks = locks(desk, std::slice::from_ref(&entry)).await?;
    Ok(tagged(entry.version, view(entry, &locks)))
}

async fn read(
    InDesk(desk): InDesk,
    Extension(kind): Extension<Kind>,
    InPath(NamePath { name }): InPath<NamePath>,
) -> Result<Response, Problem> {
    let entry = desk.entry(kind, &name).await?;
    shown(&desk, entry).await
}

async fn put(
    Extension(kind): Extension<Kind>,
    InDesk(desk): InDesk,
    InPath(NamePath { name }): InPath<NamePath>,
    Expected(expected): Expected,
    InJson(body): InJson<Value>,
) -> Result<Response, Problem> {
    let what = (kind, name.as_str());
    let change = desk.put(what, body, expected).await?;
    let status = match change.changed {
        Changed::Created => StatusCode::CREATED,
        Changed::Updated | Changed::Unchanged => StatusCode::OK,
    };
    let entry = desk.entry(kind, &name).await?;
    let body = shown(&desk, entry).await?;
    Ok((status, body).into_response())
}

async fn delete(
    Extension(kind): Extension<Kind>,
    InDesk(desk): InDesk,
    InPath(NamePath { name }): InPath<NamePath>,
    Expected(expected): Expected,
) -> Result<StatusCode, Problem> {
    let what = (kind, name.as_str());
    desk.delete(what, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The fields of the entry, and what is known about it: version, when, who, and for environments
/// the lock.
fn view(entry: Entry, locks: &BTreeMap<String, Lock>) -> Value {
    let mut fields = match entry.body {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    if entry.kind == Kind::Environment {
        let lock = locks.get(&entry.name).cloned();
        fields.insert(
            "lock".to_owned(),
            json!(lock.map(super::environments::LockView::from)),
        );
    }
    fields.insert("version".to_owned(), entry.version.into());
    fields.insert("updated_at".to_owned(), time(entry.updated_at).into());
    fields.insert("updated_by".to_owned(), entry.updated_by.into());
    Value::Object(fields)
}

/// The entity tag of an entry.
const TAG: &str = r#"^"[1-9][0-9]*"$"#;

fn list_docs(kind: Kind) -> Paths {
    let plural = kind.words().plural;
    let rows = ArrayBuilder::new().items(reference(kind));
    let next = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some("The cursor of the next page; null at the end."));
    let page = ObjectBuilder::new()
        .property("items", rows)
        .required("items")
        .property("next", next)
        .required("next");
    let page = Schema::from(page.build()).into();
    let operation = operation(kind, "list", format!("Lists {plural} by name."))
        .parameters(Some(Paging::into_params(|| Some(ParameterIn::Query))))
        .response("200", json_response(&format!("A page of {plural}."), page));
    let item = PathItem::new(HttpMethod::Get, operation.build());
    PathsBuilder::new().path(path(kind), item).build()
}

fn entry_docs(kind: Kind) -> Paths {
    let noun = kind.words().noun;
    let the = format!("The {noun}.");
    let read = named(kind, "get", format!("Returns the {noun}, with its ETag."))
        .response("200", json_response(&the, reference(kind)));
    let body = RequestBodyBuilder::new()
        .content("application/json", Content::new(Some(reference(kind))))
        .required(Some(Required::True))
        .description(Some(
            "Fields that are in the path can be omitted; `version`, `updated_at`, `updated_by` and `lock` are ignored.",
        ));
    let put = named(kind, "put", format!("Creates or replaces the {noun}."))
        .parameters(Some([
            header("If-Match", TAG),
            header("If-None-Match", "^\\*$"),
        ]))
        .request_body(Some(body.build()))
        .response("200", json_response("Replaced.", reference(kind)))
        .response("201", json_response("Created.", reference(kind)))
        .response("412", problem("The stored version has a different ETag."))
        .response(
            "422",
            problem(&format!("The {noun} is invalid; every error is listed.")),
        );
    let delete = named(kind, "delete", format!("Deletes the {noun}."))
        .parameters(Some([header("If-Match", TAG)]))
        .response("204", ResponseBuilder::new().description("Deleted."))
        .response(
            "409",
            problem("Other entries still refer to it; each is named."),
        )
        .response("412", problem("The stored version has a different ETag."));
    let mut item = PathItem::new(HttpMethod::Get, read.build());
    item.merge_operations(PathItem::new(HttpMethod::Put, put.build()));
    item.merge_operations(PathItem::new(HttpMethod::Delete, delete.build()));
    let path = format!("{}/{{name}}", path(kind));
    PathsBuilder::new().path(path, item).build()
}

fn path(kind: Kind) -> String {
    format!("/api/v1/{}", kind.words().path)
}

fn operation(kind: Kind, verb: &str, summary: String) -> OperationBuilder {
    let noun = kind.words().path.replace('-', "_");
    OperationBuilder::new()
        .tag("catalogue")
        .operation_id(Some(format!("{verb}_{noun}")))
        .summary(Some(summary))
}

fn named(kind: Kind, verb: &str, summary: String) -> OperationBuilder {
    let words = kind.words();
    let part = NAME_PATTERN.trim_start_matches('^').trim_end_matches('$');
    let (described, pattern) = match words.named_by {
        [_] => (
            format!("Name of the {}.", words.noun),
            NAME_PATTERN.to_owned(),
        ),
        parts => (
            format!("`{}`", parts.join(".")),
            format!("^{}$", vec![part; parts.len()].join("\\.")),
        ),
    };
    let name = ParameterBuilder::new()
        .name("name")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(described))
        .schema(Some(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .pattern(Some(pattern)),
        ));
    operation(kind, verb, summary)
        .parameter(name)
        .response("404", problem(&format!("No such {}.", words.noun)))
}

fn reference(kind: Kind) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(kind.words().manifest))
}

/// The schemas that a kind needs. To the fields of a manifest an answer adds what is known of it.
fn schemas(kind: Kind) -> Vec<(String, RefOr<Schema>)> {
    let mut schemas = kind.schemas();
    if let Some((_, RefOr::T(Schema::Object(entry)))) = schemas.first_mut() {
        let mut add = |name: &str, field: Schema| {
            entry.properties.insert(name.to_owned(), field.into());
            entry.required.push(name.to_owned());
        };
        if kind == Kind::Environment {
            add("lock", lock());
        }
        add("version", version());
        add("updated_at", known("Time of the last change, RFC 3339."));
        add("updated_by", known("Who changed it last."));
    }
    if kind == Kind::Environment {
        schemas.push((LockView::name().into_owned(), LockView::schema()));
    }
    schemas
}

fn known(description: &str) -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .read_only(true)
        .build()
        .into()
}

fn version() -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .description(Some("Increases with every change."))
        .read_only(true)
        .build()
        .into()
}

fn lock() -> Schema {
    let held = RefOr::Ref(Ref::from_schema_name(LockView::name()));
    let free = ObjectBuilder::new().schema_type(Type::Null);
    let mut lock = OneOfBuilder::new().item(held).item(free).build();
    lock.description = Some("The lock of the environment; null when it is not locked.".to_owned());
    lock.read_only = Some(true);
    lock.into()
}

fn header(name: &str, pattern: &str) -> utoipa::openapi::path::Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "The expected ETag; `If-None-Match: *` expects that the entry does not exist.",
        ))
        .schema(Some(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .pattern(Some(pattern)),
        ))
        .build()
}

fn json_response(description: &str, schema: RefOr<Schema>) -> utoipa::openapi::Response {
    ResponseBuilder::new()
        .description(description)
        .content("application/json", Content::new(Some(schema)))
        .build()
}
