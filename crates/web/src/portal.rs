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

mod api_page;
mod assets;
mod audit;
mod catalogue;
mod deploy;
mod deployment;
mod deployments;
mod environment;
mod failed;
mod forms;
mod fresh;
mod grants;
mod group;
mod groups;
mod images;
mod live;
mod overview;
mod parts;
mod people;
mod plan;
mod profile;
mod releases;
mod search;
mod service;
mod shell;
mod sign_in;
mod times;
mod tokens;
mod visitor;
mod way_in;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};

use crate::{App, layers, rows::Pages};

pub(crate) use failed::Failed;
use live::Hub;
pub(crate) use visitor::{Visitor, wants_page};
pub use way_in::{PublicUrl, PublicUrls};

/// Largest form, in bytes: a manifest that somebody edits.
const FORM_LEN_MAX: usize = 512 * 1024;

/// What the portal works with. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Portal {
    /// Where it is reached.
    pub(crate) urls: PublicUrls,
    /// What is watched now.
    pub(crate) hub: Hub,
}

/// What somebody with a browser is told who looks for a page that does not exist.
pub(crate) fn no_page() -> Response {
    way_in::guarded(Failed::no_page().into_response())
}

/// The routes of the portal.
pub(crate) fn routes(app: &App) -> Router<App> {
    let for_people = Pages::default()
        .merge(overview::pages())
        .merge(environment::pages())
        .merge(group::pages())
        .merge(catalogue::pages())
        .merge(images::pages())
        .merge(search::pages())
        .merge(deploy::pages())
        .merge(deployment::pages())
        .merge(deployments::pages())
        .merge(service::pages())
        .merge(releases::pages())
        .merge(people::pages())
        .merge(groups::pages())
        .merge(grants::pages())
        .merge(tokens::pages())
        .merge(profile::pages())
        .merge(audit::pages())
        .merge(api_page::pages())
        .merge(sign_in::inside())
        .around(|pages| pages.layer(from_fn(layers::in_time)))
        .merge(live::pages())
        .merge(audit::slow_pages())
        .around(|pages| pages.route_layer(from_fn_with_state(app.clone(), visitor::signed_in)));
    for_people
        .merge(sign_in::outside())
        .around(|pages| {
            pages
                .layer(DefaultBodyLimit::max(FORM_LEN_MAX))
                .layer(from_fn_with_state(app.clone(), way_in::same_origin))
                .layer(from_fn_with_state(app.clone(), way_in::own_host))
        })
        .merge(assets::pages())
        .all()
        .layer(from_fn_with_state(app.clone(), way_in::headers))
}
