//! The pages and forms of the portal, each with the operation whose row it is behind.

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    http::Method,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, on},
};

use super::{Needs, Row, within};
use crate::{
    App,
    portal::{Failed, Visitor},
};

/// A page, or a form on one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The operation whose row it is behind.
    pub operation: &'static str,
    /// `GET` shows something, `POST` changes something.
    pub method: Method,
    /// Its path, with parameters in braces.
    pub path: &'static str,
}

const fn shows(operation: &'static str, path: &'static str) -> Page {
    let method = Method::GET;
    Page {
        operation,
        method,
        path,
    }
}

const fn form(operation: &'static str, path: &'static str) -> Page {
    let method = Method::POST;
    Page {
        operation,
        method,
        path,
    }
}

/// Every page and every form.
pub const PAGES: &[Page] = &[
    // The way in.
    shows("get_asset", "/assets/{file}"),
    shows("sign_in", "/sign-in"),
    form("sign_in", "/sign-in"),
    shows("sign_in", "/sign-in/link"),
    form("sign_in", "/sign-in/link"),
    form("sign_in", "/sign-in/first"),
    shows("sign_in", "/sign-in/with/{provider}"),
    shows("sign_in", "/sign-in/back/{provider}"),
    form("sign_out", "/sign-out"),
    // What is live, and what moves.
    shows("get_overview", "/"),
    shows("watch_pages", "/live"),
    shows("get_overview", "/environments"),
    shows("get_environment_status", "/environments/{environment}"),
    form("lock_environment", "/environments/{environment}/lock"),
    form("unlock_environment", "/environments/{environment}/unlock"),
    shows("get_status", "/services/{service}/{environment}"),
    shows("get_logs", "/services/{service}/{environment}/logs"),
    shows("get_logs", "/services/{service}/{environment}/logs.txt"),
    form("switch_place", "/services/{service}/{environment}/switch"),
    shows("plan_deployment", "/deploy"),
    form("create_deployment", "/deploy"),
    shows("list_deployments", "/deployments"),
    shows("get_services", "/services/{service}"),
    form(
        "roll_back_place",
        "/services/{service}/{environment}/roll-back",
    ),
    shows("list_releases", "/services/{service}/releases"),
    shows("get_release", "/services/{service}/releases/{version}"),
    form(
        "withdraw_release",
        "/services/{service}/releases/{version}/withdraw",
    ),
    shows("get_deployment", "/deployments/{id}"),
    form("pause_deployment", "/deployments/{id}/pause"),
    form("resume_deployment", "/deployments/{id}/resume"),
    form("promote_deployment", "/deployments/{id}/promote"),
    form("approve_deployment", "/deployments/{id}/approve"),
    form("reject_deployment", "/deployments/{id}/reject"),
    form("abort_deployment", "/deployments/{id}/abort"),
    form("roll_back_deployment", "/deployments/{id}/roll-back"),
    // The catalogue.
    shows("get_catalogue", "/catalogue"),
    shows("draft_manifests", "/catalogue/new"),
    form("apply_manifests", "/catalogue/new"),
    shows("list_prometheuses", "/catalogue/prometheuses"),
    shows("get_prometheuses", "/catalogue/prometheuses/{name}"),
    form("put_prometheuses", "/catalogue/prometheuses/{name}"),
    form(
        "delete_prometheuses",
        "/catalogue/prometheuses/{name}/delete",
    ),
    shows("list_accounts", "/catalogue/accounts"),
    shows("get_accounts", "/catalogue/accounts/{name}"),
    form("put_accounts", "/catalogue/accounts/{name}"),
    form("delete_accounts", "/catalogue/accounts/{name}/delete"),
    shows("list_teams", "/catalogue/teams"),
    shows("get_teams", "/catalogue/teams/{name}"),
    form("put_teams", "/catalogue/teams/{name}"),
    form("delete_teams", "/catalogue/teams/{name}/delete"),
    shows("list_environment_types", "/catalogue/environment-types"),
    shows(
        "get_environment_types",
        "/catalogue/environment-types/{name}",
    ),
    form(
        "put_environment_types",
        "/catalogue/environment-types/{name}",
    ),
    form(
        "delete_environment_types",
        "/catalogue/environment-types/{name}/delete",
    ),
    shows("list_services", "/catalogue/services"),
    shows("get_services", "/catalogue/services/{name}"),
    form("put_services", "/catalogue/services/{name}"),
    form("delete_services", "/catalogue/services/{name}/delete"),
    shows("list_environments", "/catalogue/environments"),
    shows("get_environments", "/catalogue/environments/{name}"),
    form("put_environments", "/catalogue/environments/{name}"),
    form(
        "delete_environments",
        "/catalogue/environments/{name}/delete",
    ),
    shows("list_freezes", "/catalogue/freezes"),
    shows("get_freezes", "/catalogue/freezes/{name}"),
    form("put_freezes", "/catalogue/freezes/{name}"),
    form("delete_freezes", "/catalogue/freezes/{name}/delete"),
    shows("list_server_groups", "/catalogue/server-groups"),
    shows("get_server_groups", "/catalogue/server-groups/{name}"),
    form("put_server_groups", "/catalogue/server-groups/{name}"),
    form(
        "delete_server_groups",
        "/catalogue/server-groups/{name}/delete",
    ),
    shows("list_images", "/images"),
    shows("plan_patch", "/images/patch"),
    form("start_patching", "/images/patch"),
    shows("search", "/search"),
    // People, and what they may do.
    shows("list_people", "/people"),
    form("create_person", "/people"),
    shows("get_person", "/people/{name}"),
    form("disable_person", "/people/{name}/disable"),
    form("enable_person", "/people/{name}/enable"),
    form("invite_person", "/people/{name}/invite"),
    form("end_sessions_of_person", "/people/{name}/end-sessions"),
    form("create_service_account", "/service-accounts"),
    shows("list_groups", "/groups"),
    form("create_group", "/groups"),
    shows("list_members", "/groups/{name}"),
    form("add_member", "/groups/{name}/add"),
    form("remove_member", "/groups/{name}/remove"),
    form("delete_group", "/groups/{name}/delete"),
    shows("list_grants", "/grants"),
    form("create_grant", "/grants"),
    form("remove_grant", "/grants/{id}/remove"),
    shows("may", "/may"),
    shows("list_tokens", "/tokens"),
    form("create_token", "/tokens"),
    form("revoke_token", "/tokens/{id}/revoke"),
    // What is one's own.
    shows("get_me", "/profile"),
    form("change_password", "/profile/password"),
    form("put_my_preferences", "/profile/preferences"),
    form("put_my_preferences", "/favourites"),
    form("end_my_session", "/profile/sessions/{id}/end"),
    form("end_my_sessions", "/profile/sessions/end"),
    // What was done, and how programs do it.
    shows("list_audit_events", "/audit"),
    shows("list_audit_events", "/audit/events/{seq}"),
    shows("list_audit_events", "/audit/export.jsonl"),
    shows("list_refused_attempts", "/audit/refused"),
    shows("verify_audit_events", "/audit/chain"),
    shows("get_api_page", "/api"),
];

impl Page {
    /// The row that it is behind.
    ///
    /// # Panics
    /// When there is none: such a server must not start.
    #[must_use]
    pub fn row(&self) -> Row {
        let operation = self.operation;
        super::row_of(operation)
            .unwrap_or_else(|| panic!("the page `{operation}` has no row in web::rows"))
    }
}

/// Pages that each have a row.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    router: Router<App>,
    added: Vec<&'static Page>,
}

impl Pages {
    /// Adds what `path` shows, behind its row.
    ///
    /// # Panics
    /// When it is not in the table: such a server must not start.
    pub(crate) fn shows<H: Handler<T, App>, T: 'static>(self, path: &str, handler: H) -> Self {
        self.add(&Method::GET, path, on(MethodFilter::GET, handler))
    }

    /// Adds what the form of `path` does, behind its row.
    ///
    /// # Panics
    /// As [`Pages::shows`].
    pub(crate) fn form<H: Handler<T, App>, T: 'static>(self, path: &str, handler: H) -> Self {
        self.add(&Method::POST, path, on(MethodFilter::POST, handler))
    }

    fn add(mut self, method: &Method, path: &str, handler: MethodRouter<App>) -> Self {
        let page = PAGES
            .iter()
            .find(|page| page.method == *method && page.path == path)
            .unwrap_or_else(|| panic!("{method} {path} is not in the table of pages"));
        let needs = page.row().needs;
        let handler =
            handler.route_layer(from_fn(move |request, next| guarded(needs, request, next)));
        self.router = self.router.route(path, handler);
        self.added.push(page);
        self
    }

    /// All of both.
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.added.extend(other.added);
        self
    }

    /// The same pages with something around them.
    pub(crate) fn around(self, wrap: impl FnOnce(Router<App>) -> Router<App>) -> Self {
        Self {
            router: wrap(self.router),
            added: self.added,
        }
    }

    /// The routes of all of them.
    ///
    /// # Panics
    /// When a page of the table is missing.
    pub(crate) fn all(self) -> Router<App> {
        for page in PAGES {
            let (method, path) = (&page.method, page.path);
            assert!(
                self.added.contains(&page),
                "nothing answers {method} {path} of the table of pages"
            );
        }
        self.router
    }
}

/// Lets a request to its page when the row allows it; the desk of the page goes no further than the row.
async fn guarded(needs: Needs, mut request: Request, next: Next) -> Response {
    if needs == Needs::Nothing {
        return next.run(request).await;
    }
    let Some(visitor) = request.extensions().get::<Visitor>().cloned() else {
        return Failed::signed_out().into_response();
    };
    let Visitor { desk, prefers } = visitor;
    match within(desk, needs).await {
        Ok(desk) => {
            request.extensions_mut().insert(Visitor { desk, prefers });
            next.run(request).await
        }
        Err(error) => Failed::from(error).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_page_is_there_once_and_has_a_row() {
        let mut seen = BTreeSet::new();
        for page in PAGES {
            let _ = page.row();
            assert!(seen.insert((page.method.as_str(), page.path)), "{page:?}");
        }
    }

    #[test]
    fn only_the_way_in_is_open() {
        for page in PAGES
            .iter()
            .filter(|page| page.row().needs == Needs::Nothing)
        {
            let is_way_in = page.path.starts_with("/sign-in") || page.path.starts_with("/assets");
            assert!(is_way_in, "{page:?}");
        }
    }

    #[test]
    #[should_panic(expected = "POST /back-door is not in the table of pages")]
    fn a_page_outside_of_the_table_is_none() {
        let _ = Pages::default().form("/back-door", async || "come in");
    }
}
