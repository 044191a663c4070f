//! No question of a hot path grows with history: every statement that the store sends is explained
//! by SQLite, and none may scan a table or sort what it found.
//!
//! The statements are caught from sqlx's log, so that none can be forgotten here. This is a test
//! binary of its own because the log of a process has one listener.

#![expect(
    clippy::unwrap_used,
    reason = "a story that cannot go on has failed, and the line says where"
)]

#[path = "it/postgres.rs"]
mod postgres;
#[path = "plans/tour.rs"]
mod tour;
#[path = "it/world.rs"]
#[expect(dead_code, reason = "this binary needs only a part of it")]
mod world;

use std::{
    collections::BTreeSet,
    fmt::Debug,
    sync::{LazyLock, Mutex},
};

use domain::{
    access::{
        Facts, Grant, GrantId, PersonName, Principal, Reach, Resource, Right, Role, Scope,
        SessionId, Subject, TokenId, Via, Visible, Who,
    },
    catalogue::Kind,
    deployment::Outcome,
    governance::Lock,
    names::DeploymentId,
    release::Withdrawal,
};
use engine::ports::Journal;
use sqlx::{AssertSqlSafe, Row, any::AnyPoolOptions};
use store::{
    StoreError, audit, catalogue, deployments,
    idempotency::{KEPT_MS, Kept},
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use world::{NOW, World, delete, ended, event, next_id, place, turned, wish};

/// Statements that were sent.
static SENT: LazyLock<Mutex<BTreeSet<String>>> = LazyLock::new(Mutex::default);

/// Statements that read an index from one end until their limit is reached, or all that runs now.
const LIMITED: [&str; 4] = [
    "from migrations order by version",
    "where finished = 0 and lease_engine is not null and ($1 like",
    "from live where environment >= $1 order by environment, service limit",
    "from audit_events where seq",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_scans_or_sorts() {
    tracing::subscriber::set_global_default(Listener).unwrap();
    let world = World::sqlite().await.with_catalogue().await;
    grand_tour(&world).await;
    let sent = SENT.lock().unwrap().clone();
    let questions: Vec<&String> = sent.iter().filter(|sql| is_question(sql)).collect();
    assert!(questions.len() > 40, "the log was not heard: {sent:#?}");
    let pool = AnyPoolOptions::new().connect(&world.url).await.unwrap();
    let mut faults = Vec::new();
    for sql in questions {
        let explain = format!("explain query plan {sql}");
        let rows = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(&pool).await;
        for row in rows.unwrap() {
            let detail: String = row.get("detail");
            if is_fault(sql, &detail) {
                faults.push(format!("{detail}\n    {sql}"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn is_question(sql: &str) -> bool {
    let first = sql.split_whitespace().next().unwrap_or_default();
    ["select", "update", "delete", "insert"].contains(&first)
}

/// A scan, a sort, or looking for what runs now among all that ever ran.
fn is_fault(sql: &str, detail: &str) -> bool {
    let running = [
        "deployments_one_at_a_time",
        "deployments_unattended",
        "deployments_unfinished",
        "deployments_unheld",
        "autoindex_deployments_1 (id=?)",
    ];
    let asks_for_running = sql.contains("finished = 0") && detail.contains(" deployments ");
    if asks_for_running && !running.iter().any(|index| detail.contains(index)) {
        return true;
    }
    let scans = detail.starts_with("SCAN") && !detail.contains("CONSTANT ROW");
    let sorts = detail.contains("TEMP B-TREE");
    let words: Vec<&str> = sql.split_whitespace().collect();
    let sql = words.join(" ");
    (scans || sorts) && !LIMITED.iter().any(|limited| sql.contains(limited))
}

/// Everything that the store can be asked.
async fn grand_tour(world: &World) {
    tour_of_the_catalogue(world).await;
    tour_of_releases(world).await;
    tour_of_deployments(world).await;
    tour_of_lists(world).await;
    tour_of_access(world).await;
    let store = &world.store;
    for key in ["one", "two"] {
        let kept = Kept {
            request_hash: "h".to_owned(),
            status: 200,
            body: "b".to_owned(),
        };
        store.keep("ann", key, kept, NOW).await.unwrap();
        store
            .idempotent("ann", key, NOW.plus_ms(KEPT_MS))
            .await
            .unwrap();
    }
    store.verify().await.unwrap();
    store.ping(NOW).await.unwrap();
    let one = || Some("one".to_owned());
    for (actor, action, subject) in [
        (None, None, None),
        (one(), None, None),
        (None, one(), None),
        (None, None, one()),
        (one(), one(), one()),
    ] {
        let filter = audit::Filter {
            actor,
            action,
            subject,
            from: Some(NOW),
            until: Some(NOW),
        };
        store.audit_events(None, 10, &filter).await.unwrap();
    }
}

/// What a viewer sees whose grants have each kind of scope; and what nobody limits.
fn views() -> [Visible; 5] {
    let view = |scopes: &[(Option<&str>, Option<&str>)]| {
        let grants = scopes.iter().map(|(team, class)| Grant {
            id: GrantId("g".to_owned()),
            subject: Subject::SignedIn,
            role: Role::Viewer,
            scope: Scope {
                team: team.map(|name| name.parse().unwrap()),
                environment_type: class.map(|name| name.parse().unwrap()),
            },
            until: None,
        });
        let facts = Facts {
            counts: true,
            grants: grants.collect(),
            ..Facts::default()
        };
        Visible::of(&world::person("ann"), Right::View, &facts, NOW)
    };
    let (team, class) = (Some("shop"), Some("production"));
    [
        Visible::everything(),
        view(&[(team, None)]),
        view(&[(None, class)]),
        view(&[(team, class)]),
        view(&[(team, class), (Some("till"), None), (None, Some("staging"))]),
    ]
}

async fn tour_of_access(world: &World) {
    let store = &world.store;
    tour::of_people(store).await;
    let place = place("cart", "staging");
    let vias = [
        Via::Owner,
        Via::Token(TokenId("t".to_owned())),
        Via::Session(SessionId("s".to_owned())),
    ];
    let ann: PersonName = "ann".parse().unwrap();
    for who in [Who::Person(ann.clone()), Who::ServiceAccount(ann)] {
        for via in vias.clone() {
            let principal = Principal::authenticated(who.clone(), via, Reach::Full);
            for resource in [
                Resource::Everything,
                Resource::Place(&place),
                Resource::Deployment(&DeploymentId("none".to_owned())),
            ] {
                store.access(&principal, resource, NOW).await.unwrap();
            }
        }
    }
}

async fn tour_of_the_catalogue(world: &World) {
    let store = &world.store;
    store.locks_of(&["live", "test"]).await.unwrap();
    let named = store.entries_named(Kind::Service, &["cart", "till"]);
    named.await.unwrap();
    for refers_to in [None, Some((Kind::Team, "shop".to_owned()))] {
        let filter = catalogue::Filter { refers_to };
        for (after, view) in [None, Some("a")].into_iter().zip(views()) {
            let entries = store.entries((Kind::Service, &filter), &view, after, 10);
            entries.await.unwrap();
        }
    }
    for (kind, name) in [
        (Kind::Team, "shop"),
        (Kind::Service, "cart"),
        (Kind::Environment, "test"),
    ] {
        let apply = [world::audit("catalogue.delete")];
        let refused = store.put_and_delete(&[delete(kind, name)], &apply).await;
        assert!(
            matches!(&refused, Err(StoreError::Referenced { .. })),
            "{kind:?} {name}: {refused:?}"
        );
    }
    let apply = [world::audit("catalogue.delete")];
    let group = delete(Kind::ServerGroup, "till.test");
    store.put_and_delete(&[group], &apply).await.unwrap();
}

async fn tour_of_releases(world: &World) {
    let store = &world.store;
    world.release("cart", "1.0.0").await;
    let release = world.release("cart", "0.9.0").await;
    for after in [None, Some(&release.version)] {
        store.releases(&release.service, after, 10).await.unwrap();
    }
    let withdrawal = Withdrawal {
        at: NOW,
        by: "ann".to_owned(),
        reason: "why".to_owned(),
    };
    let audit = world::audit("release.withdraw");
    let withdraw = store.withdraw(&release.service, &release.version, &withdrawal, audit);
    withdraw.await.unwrap();
    let lock = Lock {
        by: "ann".to_owned(),
        since: NOW,
        reason: "why".to_owned(),
    };
    let environment = place("cart", "test").environment;
    let audit = || world::audit("environment.lock");
    store.lock(&environment, &lock, audit()).await.unwrap();
    store.unlock(&environment, audit()).await.unwrap();
}

async fn tour_of_deployments(world: &World) {
    let store = &world.store;
    let begun = world
        .begin(&wish("cart", "live", "1.0.0"), 0)
        .await
        .unwrap();
    let claims = store.claim("one", &[], NOW, 10).await.unwrap();
    store.claim("two", &claims.held, NOW, 10).await.unwrap();
    store.renew("two", &begun.id, NOW).await.unwrap();
    Journal::release(store, "two", &begun.id).await.unwrap();
    store.release_all().await.unwrap();
    let turn = turned(&begun);
    let audit = world::audit("deployment.pause");
    store
        .command(&turn, &[event("paused")], audit)
        .await
        .unwrap();
    let done = ended(&turn, Outcome::Succeeded);
    store.save(&done, &[event("done")]).await.unwrap();
    store.deployment(&begun.id).await.unwrap();
    store.events(&begun.id, 0, 10).await.unwrap();
    store.last_fill_ms(&begun.target.place).await.unwrap();
}

async fn tour_of_lists(world: &World) {
    let at = place("cart", "live");
    for view in views() {
        for after in [None, Some(&at.service)] {
            let places = world.store.places(&at.environment, &view, after, 10);
            places.await.unwrap();
        }
        for kind in Kind::ALL {
            let filter = catalogue::Filter::default();
            let entries = world.store.entries((kind, &filter), &view, None, 10);
            entries.await.unwrap();
        }
    }
    for service in [None, Some(at.service.clone())] {
        for environment in [None, Some(at.environment.clone())] {
            for (before, unfinished) in [(None, true), (None, false), (Some(next_id()), false)] {
                let filter = deployments::Filter {
                    service: service.clone(),
                    environment: environment.clone(),
                    unfinished,
                    ..deployments::Filter::default()
                };
                list_deployments(world, filter.clone(), before.as_ref()).await;
                let ended = deployments::Filter {
                    outcome: (!unfinished).then_some(Outcome::Failed),
                    requested_by: Some("ann".to_owned()),
                    ..filter
                };
                list_deployments(world, ended, before.as_ref()).await;
            }
        }
    }
}

async fn list_deployments(
    world: &World,
    filter: deployments::Filter,
    before: Option<&DeploymentId>,
) {
    for view in views() {
        let page = world.store.deployments(&filter, &view, before, 10);
        page.await.unwrap();
    }
}

/// Keeps what sqlx logs.
struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut statement = Statement::default();
        event.record(&mut statement);
        let text = match statement.full.trim() {
            "" => statement.summary,
            full => full.to_owned(),
        };
        SENT.lock().unwrap().insert(text);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Statement {
    summary: String,
    full: String,
}

impl Visit for Statement {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => self.summary = value.to_owned(),
            "db.statement" => self.full = value.to_owned(),
            _ => {}
        }
    }
    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}
