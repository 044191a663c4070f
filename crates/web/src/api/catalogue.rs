//! The seven kinds of catalogue entries: the same four requests for each, described once.

#[expect(dead_code, reason = "only their descriptions are used")]
mod schemas;

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
    IntoParams,
    openapi::{
        Content, HttpMethod, ObjectBuilder, PathItem, Ref, RefOr, Required, ResponseBuilder,
        Schema, Type,
        path::{OperationBuilder, ParameterBuilder, ParameterIn, Paths, PathsBuilder},
        request_body::RequestBodyBuilder,
        schema::{ArrayBuilder, SchemaType},
    },
};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::{
    describe::problem,
    wire::{Paging, limit, tagged, time},
};
use crate::{
    App,
    extract::{Expected, InDesk, InJson, InPath, InQuery},
    problem::Problem,
};
use operations::{
    Desk, Page,
    catalogue::{Entry, Kind},
    manifests::Changed,
};

/// How a kind appears in the API.
#[derive(Debug, Clone, Copy)]
struct Collection {
    kind: Kind,
    path: &'static str,
    schema: &'static str,
}

const COLLECTIONS: [Collection; 7] = [
    collection(Kind::Team, "teams", "Team"),
    collection(Kind::Service, "services", "Service"),
    collection(
        Kind::EnvironmentType,
        "environment-types",
        "EnvironmentType",
    ),
    collection(Kind::Environment, "environments", "Environment"),
    collection(Kind::ServerGroup, "server-groups", "ServerGroup"),
    collection(Kind::Prometheus, "prometheuses", "Prometheus"),
    collection(Kind::Account, "accounts", "Account"),
];

const fn collection(kind: Kind, path: &'static str, schema: &'static str) -> Collection {
    Collection { kind, path, schema }
}

/// One entry.
#[derive(Debug, Deserialize)]
struct NamePath {
    name: String,
}

/// The routes of all seven kinds.
pub(super) fn routes() -> OpenApiRouter<App> {
    COLLECTIONS
        .into_iter()
        .fold(OpenApiRouter::new(), |router, collection| {
            let one: MethodRouter<App> = get(read).put(put).delete(delete);
            let all: MethodRouter<App> = get(list);
            router
                .routes(described(collection.list_docs(), all, collection))
                .routes(described(collection.entry_docs(), one, collection))
        })
}

fn described(
    paths: Paths,
    handlers: MethodRouter<App>,
    collection: Collection,
) -> UtoipaMethodRouter<App> {
    let handlers = handlers.layer(Extension(collection));
    (schemas::of(collection.kind), paths, handlers)
}

async fn list(
    InDesk(desk): InDesk,
    Extension(collection): Extension<Collection>,
    OriginalUri(uri): OriginalUri,
    InQuery(paging): InQuery<Paging>,
) -> Result<Response, Problem> {
    let limit = limit(paging.limit)?;
    let page = desk
        .entries(collection.kind, paging.cursor.as_deref(), limit)
        .await?;
    listed(&desk, &uri, page).await
}

async fn listed(desk: &Desk, uri: &Uri, page: Page<Entry>) -> Result<Response, Problem> {
    let mut items = Vec::with_capacity(page.items.len());
    for entry in page.items {
        items.push(view(desk, entry).await?);
    }
    let page = Page {
        items,
        next: page.next,
    };
    Ok(super::wire::listing(uri, page, |item| item))
}

async fn read(
    InDesk(desk): InDesk,
    Extension(collection): Extension<Collection>,
    InPath(NamePath { name }): InPath<NamePath>,
) -> Result<Response, Problem> {
    let entry = desk.entry(collection.kind, &name).await?;
    Ok(tagged(entry.version, view(&desk, entry).await?))
}

async fn put(
    Extension(collection): Extension<Collection>,
    InDesk(desk): InDesk,
    InPath(NamePath { name }): InPath<NamePath>,
    Expected(expected): Expected,
    InJson(body): InJson<Value>,
) -> Result<Response, Problem> {
    let what = (collection.kind, name.as_str());
    let change = desk.put(what, body, expected).await?;
    let status = match change.changed {
        Changed::Created => StatusCode::CREATED,
        Changed::Updated | Changed::Unchanged => StatusCode::OK,
    };
    let entry = desk.entry(collection.kind, &name).await?;
    let body = tagged(entry.version, view(&desk, entry).await?);
    Ok((status, body).into_response())
}

async fn delete(
    Extension(collection): Extension<Collection>,
    InDesk(desk): InDesk,
    InPath(NamePath { name }): InPath<NamePath>,
    Expected(expected): Expected,
) -> Result<StatusCode, Problem> {
    let what = (collection.kind, name.as_str());
    desk.delete(what, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The fields of the entry, and what is known about it: version, when, who, and for environments
/// the lock.
async fn view(desk: &Desk, entry: Entry) -> Result<Value, Problem> {
    let mut fields = match entry.body {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    if entry.kind == Kind::Environment {
        let name = entry.name.parse().ok();
        let lock = match name {
            Some(name) => desk.lock_of(&name).await?,
            None => None,
        };
        fields.insert(
            "lock".to_owned(),
            json!(lock.map(super::environments::LockView::from)),
        );
    }
    fields.insert("version".to_owned(), entry.version.into());
    fields.insert("updated_at".to_owned(), time(entry.updated_at).into());
    fields.insert("updated_by".to_owned(), entry.updated_by.into());
    Ok(Value::Object(fields))
}

impl Collection {
    fn list_docs(self) -> Paths {
        let rows = ArrayBuilder::new().items(self.reference());
        let next = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .description(Some("The cursor of the next page; null at the end."));
        let page = ObjectBuilder::new()
            .property("items", rows)
            .required("items")
            .property("next", next)
            .required("next");
        let operation = self
            .operation(
                "list",
                format!("The {}s, in the order of their names.", self.kind),
            )
            .parameters(Some(Paging::into_params(|| Some(ParameterIn::Query))))
            .response(
                "200",
                json_response("One page.", Schema::from(page.build()).into()),
            );
        let item = PathItem::new(HttpMethod::Get, operation.build());
        PathsBuilder::new()
            .path(format!("/api/v1/{}", self.path), item)
            .build()
    }

    fn entry_docs(self) -> Paths {
        let kind = self.kind;
        let read = self
            .named("get", format!("One {kind}, with its ETag."))
            .response("200", json_response("It.", self.reference()));
        let body = RequestBodyBuilder::new()
            .content("application/json", Content::new(Some(self.reference())))
            .required(Some(Required::True))
            .description(Some(
                "What the path says may be left out; `version`, `updated_at`, `updated_by` and `lock` are ignored.",
            ));
        let put = self
            .named("put", format!("Creates or replaces one {kind}."))
            .parameters(Some([header("If-Match"), header("If-None-Match")]))
            .request_body(Some(body.build()))
            .response(
                "200",
                json_response("It was there and is now so.", self.reference()),
            )
            .response("201", json_response("It is new.", self.reference()))
            .response("412", problem("It has another version."))
            .response("422", problem("It breaks rules; each is named."));
        let delete = self
            .named("delete", format!("Takes one {kind} out of the catalogue."))
            .parameters(Some([header("If-Match")]))
            .response("204", ResponseBuilder::new().description("It is gone."))
            .response("409", problem("Something still needs it; each is named."))
            .response("412", problem("It has another version."));
        let mut item = PathItem::new(HttpMethod::Get, read.build());
        item.merge_operations(PathItem::new(HttpMethod::Put, put.build()));
        item.merge_operations(PathItem::new(HttpMethod::Delete, delete.build()));
        PathsBuilder::new()
            .path(format!("/api/v1/{}/{{name}}", self.path), item)
            .build()
    }

    fn operation(self, verb: &str, summary: String) -> OperationBuilder {
        let noun = self.path.replace('-', "_");
        OperationBuilder::new()
            .tag("catalogue")
            .operation_id(Some(format!("{verb}_{noun}")))
            .summary(Some(summary))
    }

    fn named(self, verb: &str, summary: String) -> OperationBuilder {
        let description = match self.kind {
            Kind::ServerGroup => "`service.environment`",
            _ => "Its name.",
        };
        let name = ParameterBuilder::new()
            .name("name")
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some(description))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
        self.operation(verb, summary)
            .parameter(name)
            .response("404", problem("There is no such thing."))
    }

    fn reference(self) -> RefOr<Schema> {
        RefOr::Ref(Ref::from_schema_name(self.schema))
    }
}

fn header(name: &str) -> utoipa::openapi::path::Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "An ETag; `If-None-Match: *` means that there is nothing yet.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

fn json_response(description: &str, schema: RefOr<Schema>) -> utoipa::openapi::Response {
    ResponseBuilder::new()
        .description(description)
        .content("application/json", Content::new(Some(schema)))
        .build()
}
