//! What the description of the API says about every route alike.

mod strict;

use operations::idempotency::KEY_BYTES_MAX;
use utoipa::{
    Modify,
    openapi::{
        Content, ObjectBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder, Type,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn},
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};

/// The bearer token.
pub(super) struct TokenScheme;

impl Modify for TokenScheme {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", scheme);
    }
}

/// The description with what the layers around the handlers do: the token, problems for whatever
/// goes wrong, and idempotency keys on POST.
pub(super) fn completed(mut document: OpenApi) -> OpenApi {
    let components = document.components.get_or_insert_default();
    let closed = strict::closed(&components.schemas);
    domain::schema::complete(&mut components.schemas);
    strict::close_bodies(&mut document, &closed);
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.delete,
            &mut item.post,
        ];
        for operation in operations.into_iter().flatten() {
            complete(operation);
        }
        if let Some(post) = &mut item.post {
            post.parameters
                .get_or_insert_default()
                .push(idempotency_key().into());
        }
    }
    document
}

fn complete(operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    if operation.security.is_none() {
        let response = problem("The request has no valid token.");
        responses.insert("401".to_owned(), RefOr::T(response));
    }
    let response = problem("Any other problem; its `code` says which.");
    responses.insert("default".to_owned(), RefOr::T(response));
}

/// A response that is a problem document.
pub(super) fn problem(description: &str) -> Response {
    let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
    ResponseBuilder::new()
        .description(description)
        .content(crate::problem::MEDIA_TYPE, Content::new(Some(schema)))
        .build()
}

fn idempotency_key() -> Parameter {
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "Makes the request safe to repeat: within a day, the same key returns the first answer.",
        ))
        .schema(Some(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .pattern(Some("^[!-~]+$"))
                .max_length(Some(KEY_BYTES_MAX)),
        ))
        .build()
}
