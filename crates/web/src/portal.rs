//! The portal: pages for people in a browser, rendered on the server.
//!
//! ```text
//! way_in (host, origin, headers, session) --> page handler --> desk --> maud --> HTML
//!                                        `--> live: one stream per browser, fragments of the same pages
//! ```
//!
//! Invariant: every page works without its script, and every button is a form.
//! Invariant: nothing is changed by a GET.
//! Invariant: what people wrote reaches a page through maud alone, which escapes it.

//mod api_page;
mod assets;
//mod audit;
//mod catalogue;
//mod deploy;
mod deployment;
//mod deployments;
//mod environment;
mod failed;
//mod group;
mod live;
mod overview;
mod parts;
//mod releases;
//mod search;
//mod service;
mod shell;
mod sign_in;
mod visitor;
mod way_in;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::{from_fn, from_fn_with_state},
};

use crate::{App, layers};

use live::Hub;
pub use way_in::PublicUrl;

/// Largest form, in bytes: a manifest that somebody edits.
const FORM_LEN_MAX: usize = 512 * 1024;

/// What the portal works with. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Portal {
    /// Where it is reached.
    pub(crate) url: PublicUrl,
    /// What is watched now.
    pub(crate) hub: Hub,
}

/// The routes of the portal.
pub(crate) fn routes(app: &App) -> Router<App> {
    let pages = Router::new()
        .merge(overview::routes())
        //.merge(environment::routes())
        //.merge(service::routes())
        //.merge(group::routes())
        //.merge(releases::routes())
        //.merge(deploy::routes())
        //.merge(deployments::routes())
        .merge(deployment::routes())
        //.merge(catalogue::routes())
        //.merge(audit::routes())
        //.merge(api_page::routes())
        //.merge(search::routes())
        .merge(sign_in::inside())
        .layer(from_fn(layers::in_time))
        .merge(live::routes())
        .route_layer(from_fn_with_state(app.clone(), visitor::signed_in))
        .merge(sign_in::outside());
    pages
        .layer(DefaultBodyLimit::max(FORM_LEN_MAX))
        .layer(from_fn_with_state(app.clone(), way_in::same_origin))
        .layer(from_fn_with_state(app.clone(), way_in::own_host))
        .merge(assets::routes())
        .layer(from_fn_with_state(app.clone(), way_in::headers))
}
