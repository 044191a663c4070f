//! One table: each operation, the right that it needs, and where what it is about is found.
//!
//! ```text
//! ROWS (and the kinds of the catalogue) --> Guarded: routes, each behind its row --> the router
//!                                  `--> Pages: what the portal shows, each behind its row --'
//! ```
//!
//! Invariant: the router is made of `Guarded` routes and `Pages` alone, and a route without a row is none:
//! the server does not start with one. What a handler asks for beyond its row is refused at the desk.

mod pages;

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    http::Method,
    middleware::{Next, from_fn},
    response::Response,
};
use domain::{access::Right, catalogue::Kind};
use operations::{Desk, Error};
use utoipa::openapi::{OpenApi, path::PathItem};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::{App, extract::unauthenticated, problem::Problem};

pub(crate) use pages::Pages;
pub use pages::{PAGES, Page};

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The operation, as the description of the API names it.
    pub operation: &'static str,
    /// What it needs.
    pub needs: Needs,
}

/// What an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it says nothing about anybody, or gives a credential.
    Nothing,
    /// A credential that counts: it is about what is one's own.
    Credential,
    /// A token for metrics, or the right to view everything.
    Metrics,
    /// This right, on what is found there.
    Right(Right, Found),
}

/// Where what an operation is about is found. Whose it is, is read from the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nowhere: it is about the whole installation.
    Whole,
    /// In each row of the answer: others are left out.
    EachRow,
    /// An entry of the catalogue, in the path.
    Entry(Kind),
    /// A service, in the path.
    Service,
    /// An environment, in the path.
    Environment,
    /// A service in an environment, in the path.
    Place,
    /// A service in an environment, in the body.
    PlaceInBody,
    /// A deployment, in the path.
    Deployment,
    /// Each entry that the body describes, with the right of its kind.
    Described,
    /// The team, in the body.
    TeamInBody,
}

const fn right(operation: &'static str, right: Right, found: Found) -> Row {
    let needs = Needs::Right(right, found);
    Row { operation, needs }
}

const fn own(operation: &'static str) -> Row {
    let needs = Needs::Credential;
    Row { operation, needs }
}

/// Every operation but those that each kind of the catalogue has.
pub const ROWS: [Row; 66] = {
    use Found as F;
    use Right as R;
    [
        Row {
            operation: "get_health",
            needs: Needs::Nothing,
        },
        Row {
            operation: "log_in",
            needs: Needs::Nothing,
        },
        Row {
            operation: "get_metrics",
            needs: Needs::Metrics,
        },
        right("apply_manifests", R::Describe, F::Described),
        right("check_account", R::Operate, F::Whole),
        right("import_groups", R::Operate, F::Whole),
        right("get_account_policy", R::Operate, F::Whole),
        right("list_audit_events", R::ViewAudit, F::Whole),
        right("verify_audit_events", R::ViewAudit, F::Whole),
        right("list_refused_attempts", R::ViewAudit, F::Whole),
        right("list_deployments", R::View, F::EachRow),
        right("create_deployment", R::Deploy, F::PlaceInBody),
        right("get_deployment", R::View, F::Deployment),
        right("get_deployment_calls", R::View, F::Deployment),
        right("list_deployment_events", R::View, F::Deployment),
        right("list_deployment_looks", R::View, F::Deployment),
        right("pause_deployment", R::Drive, F::Deployment),
        right("resume_deployment", R::Drive, F::Deployment),
        right("promote_deployment", R::Drive, F::Deployment),
        right("abort_deployment", R::Drive, F::Deployment),
        right("approve_deployment", R::Approve, F::Deployment),
        right("reject_deployment", R::Approve, F::Deployment),
        right("roll_back_deployment", R::RollBack, F::Deployment),
        right("roll_back_place", R::RollBack, F::Place),
        right("switch_place", R::Deploy, F::Place),
        right("create_pass", R::Deploy, F::Place),
        right("get_status", R::View, F::Place),
        right("get_slices", R::View, F::Place),
        right("get_logs", R::ViewLogs, F::Place),
        right("get_environment_status", R::View, F::Environment),
        right("lock_environment", R::Lock, F::Environment),
        right("unlock_environment", R::Lock, F::Environment),
        right("list_images", R::View, F::EachRow),
        right("plan_patch", R::Operate, F::EachRow),
        right("list_releases", R::View, F::Service),
        right("get_release", R::View, F::Service),
        right("create_release", R::Release, F::Service),
        right("withdraw_release", R::Release, F::Service),
        right("list_people", R::Administer, F::Whole),
        right("create_person", R::Administer, F::Whole),
        right("get_person", R::Administer, F::Whole),
        right("invite_person", R::Administer, F::Whole),
        right("disable_person", R::Administer, F::Whole),
        right("enable_person", R::Administer, F::Whole),
        right("end_sessions_of_person", R::Administer, F::Whole),
        right("create_service_account", R::Administer, F::TeamInBody),
        right("list_groups", R::Administer, F::Whole),
        right("create_group", R::Administer, F::Whole),
        right("delete_group", R::Administer, F::Whole),
        right("list_members", R::Administer, F::Whole),
        right("add_member", R::Administer, F::Whole),
        right("remove_member", R::Administer, F::Whole),
        right("list_grants", R::Administer, F::Whole),
        right("create_grant", R::Administer, F::Whole),
        right("remove_grant", R::Administer, F::Whole),
        own("list_tokens"),
        own("create_token"),
        own("revoke_token"),
        own("get_me"),
        own("list_my_sessions"),
        own("end_my_sessions"),
        own("end_my_session"),
        own("get_my_preferences"),
        own("put_my_preferences"),
        own("create_sign_in_link"),
        own("may"),
    ]
};

/// What only pages have: the way in, and what shows many things at once.
const PAGE_ROWS: [Row; 12] = [
    Row {
        operation: "get_asset",
        needs: Needs::Nothing,
    },
    Row {
        operation: "sign_in",
        needs: Needs::Nothing,
    },
    own("sign_out"),
    own("change_password"),
    own("get_api_page"),
    right("get_overview", Right::View, Found::EachRow),
    right("watch_pages", Right::View, Found::EachRow),
    right("plan_deployment", Right::Deploy, Found::EachRow),
    right("get_catalogue", Right::View, Found::EachRow),
    right("draft_manifests", Right::View, Found::EachRow),
    right("start_patching", Right::Deploy, Found::EachRow),
    right("search", Right::Administer, Found::EachRow),
];

/// The row of an operation; `None`: there is none.
#[must_use]
pub fn row_of(operation: &str) -> Option<Row> {
    let mut rows = ROWS.into_iter().chain(PAGE_ROWS);
    rows.find(|row| row.operation == operation)
        .or_else(|| row_of_kind(operation))
}

/// What each kind of the catalogue has: its list, and reading, putting and deleting one.
fn row_of_kind(operation: &str) -> Option<Row> {
    let (verb, noun) = operation.split_once('_')?;
    let kind = Kind::find(|words| words.path.replace('-', "_") == noun)?;
    let entry = Found::Entry(kind);
    match verb {
        "list" => Some(right("list", Right::View, Found::EachRow)),
        "get" => Some(right("get", Right::View, entry)),
        "put" => Some(right("put", kind.words().right, entry)),
        "delete" => Some(right("delete", kind.words().right, entry)),
        _ => None,
    }
}

/// Routes that each have a row.
pub(crate) struct Guarded(OpenApiRouter<App>);

impl Guarded {
    /// No routes yet.
    pub(crate) fn new() -> Self {
        Self(OpenApiRouter::new())
    }

    /// No routes yet, in a description that begins with `document`.
    pub(crate) fn with_openapi(document: OpenApi) -> Self {
        Self(OpenApiRouter::with_openapi(document))
    }

    /// Adds routes, each behind the row of its operation.
    ///
    /// # Panics
    /// When an operation has no row: such a server must not start.
    pub(crate) fn routes(self, (schemas, paths, handlers): UtoipaMethodRouter<App>) -> Self {
        let rows: Vec<(Method, Row)> = paths.paths.values().flat_map(rows_of).collect();
        let rows: Arc<[(Method, Row)]> = rows.into();
        let handlers = handlers.layer(from_fn(move |request, next| {
            guarded(Arc::clone(&rows), request, next)
        }));
        Self(self.0.routes((schemas, paths, handlers)))
    }

    /// All of both.
    pub(crate) fn merge(self, other: Self) -> Self {
        Self(self.0.merge(other.0))
    }

    /// What the routes say about themselves.
    pub(crate) fn description(mut self) -> OpenApi {
        self.0.to_openapi()
    }
}

impl From<Guarded> for Router<App> {
    fn from(guarded: Guarded) -> Self {
        guarded.0.into()
    }
}

/// The rows of the operations of one path.
fn rows_of(item: &PathItem) -> Vec<(Method, Row)> {
    let operations = [
        (Method::GET, &item.get),
        (Method::PUT, &item.put),
        (Method::POST, &item.post),
        (Method::DELETE, &item.delete),
    ];
    let rows = operations.into_iter().filter_map(|(method, operation)| {
        let id = operation.as_ref()?.operation_id.as_deref();
        let id = id.unwrap_or_default();
        let row = row_of(id);
        Some((
            method,
            row.unwrap_or_else(|| panic!("`{id}` has no row in web::rows")),
        ))
    });
    rows.collect()
}

/// Lets a request to its handler when its row allows it; the desk that the handler gets goes no further than
/// the row.
async fn guarded(
    rows: Arc<[(Method, Row)]>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let method = match *request.method() {
        Method::HEAD => Method::GET,
        ref method => method.clone(),
    };
    let row = rows.iter().find(|(of, _)| *of == method);
    let Some((_, row)) = row.filter(|(_, row)| row.needs != Needs::Nothing) else {
        // Open, or a method that no handler has.
        return Ok(next.run(request).await);
    };
    let desk = request.extensions().get::<Desk>().cloned();
    let desk = desk.ok_or_else(unauthenticated)?;
    request
        .extensions_mut()
        .insert(within(desk, row.needs).await?);
    Ok(next.run(request).await)
}

/// The same desk, which goes no further than what an operation needs.
async fn within(desk: Desk, needs: Needs) -> Result<Desk, Error> {
    match needs {
        Needs::Nothing => Ok(desk),
        Needs::Metrics => {
            desk.may_scrape().await?;
            Ok(desk)
        }
        Needs::Credential => desk.for_what_is_own().await,
        Needs::Right(_, Found::Described) => desk.for_rights(&DESCRIBING).await,
        Needs::Right(right, _) => desk.for_rights(&[right]).await,
    }
}

/// The rights that kinds of the catalogue need.
const DESCRIBING: [Right; 4] = [
    Right::Describe,
    Right::Operate,
    Right::Govern,
    Right::Administer,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The operations that the description of the API names.
    fn described() -> BTreeSet<String> {
        let document = crate::api::description();
        let items = document.paths.paths.values();
        let operations = items.flat_map(|item| {
            let all = [&item.get, &item.put, &item.post, &item.delete];
            all.into_iter()
                .flatten()
                .filter_map(|it| it.operation_id.clone())
        });
        operations.collect()
    }

    #[test]
    fn the_table_and_the_description_name_the_same_operations() {
        let described = described();
        for operation in &described {
            assert!(row_of(operation).is_some(), "{operation} has no row");
        }
        for row in ROWS {
            let is_there = described.contains(row.operation);
            assert!(is_there, "there is no operation {}", row.operation);
        }
        assert!(described.len() > 80, "{}", described.len());
    }

    #[test]
    fn no_operation_has_two_rows() {
        let rows = ROWS.into_iter();
        let names: BTreeSet<&str> = rows.map(|row| row.operation).collect();
        assert_eq!(names.len(), ROWS.len());
    }

    #[test]
    fn what_kinds_need_can_be_described() {
        for kind in Kind::ALL {
            let right = kind.words().right;
            assert!(DESCRIBING.contains(&right), "{kind}: {right}");
        }
    }

    #[test]
    #[should_panic(expected = "`secret_door` has no row")]
    fn a_route_without_a_row_is_none() {
        use utoipa::openapi::{
            HttpMethod,
            path::{OperationBuilder, PathsBuilder},
        };
        let operation = OperationBuilder::new().operation_id(Some("secret_door"));
        let item = PathItem::new(HttpMethod::Get, operation.build());
        let paths = PathsBuilder::new().path("/api/v1/secret", item).build();
        let handlers = axum::routing::get(async || "come in");
        let _ = Guarded::new().routes((Vec::new(), paths, handlers));
    }
}
