//! The REST API: translates HTTP into operations and back, and describes itself.
//!
//! Invariant: a handler reads the request, calls one operation, and writes the answer.

mod accounts;
mod audit;
mod calls;
mod catalogue;
mod deployments;
mod describe;
mod environments;
mod events;
mod grants;
mod groups;
mod health;
mod images;
pub(crate) mod manifests;
mod me;
mod metrics;
mod people;
mod preferences;
mod releases;
mod slices;
mod status;
mod tokens;
mod wire;

use utoipa::{OpenApi, openapi::OpenApi as Document};

use crate::{problem::ProblemDocument, rows::Guarded};
use describe::TokenScheme;

/// Where a server explains the words.
pub(crate) const CONCEPTS_PATH: &str = "/docs/concepts.md";

/// What the API says about itself.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Pointsman",
        description = "Controls which release of a service its users reach. Every error is a problem document (RFC 9457) with a stable `code`.",
    ),
    external_docs(url = "/docs/concepts.md", description = "The words, and a deployment step by step"),
    components(schemas(ProblemDocument)),
    security(("token" = [])),
    modifiers(&TokenScheme),
)]
struct Description;

/// The description of the API, as `api/openapi.json` keeps it.
#[must_use]
pub fn description() -> Document {
    let routes = open().merge(usual()).merge(large()).merge(slow());
    describe::completed(routes.description())
}

/// Needs no token.
pub(crate) fn open() -> Guarded {
    Guarded::with_openapi(Description::openapi())
        .merge(health::routes())
        .merge(me::open_routes())
}

/// Small bodies, quick answers: one line for each noun.
pub(crate) fn usual() -> Guarded {
    Guarded::new()
        .merge(catalogue::routes())
        .merge(environments::routes())
        .merge(status::routes())
        .merge(releases::routes())
        .merge(deployments::routes())
        .merge(calls::routes())
        .merge(events::routes())
        .merge(accounts::routes())
        .merge(slices::routes())
        .merge(images::routes())
        .merge(people::routes())
        .merge(groups::routes())
        .merge(grants::routes())
        .merge(tokens::routes())
        .merge(me::routes())
        .merge(preferences::routes())
        .merge(audit::routes())
        .merge(metrics::routes())
}

/// Large bodies.
pub(crate) fn large() -> Guarded {
    Guarded::new().merge(manifests::routes())
}

/// Takes its time: has its own limits of size and silence, or reads a whole log.
pub(crate) fn slow() -> Guarded {
    Guarded::new()
        .merge(releases::slow_routes())
        .merge(audit::slow_routes())
}
