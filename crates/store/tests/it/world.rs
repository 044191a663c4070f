//! A database of one story, and the nouns that stories are made of.

use std::sync::atomic::{AtomicU32, Ordering};

use domain::{
    access::{
        self, Allowed, Grant, GrantId, Principal, Reach, Resource, Right, Role, Scope, Subject,
        Via, Who, may,
    },
    catalogue::{
        Account, Environment, EnvironmentType, HealthCheck, Kind, ServerGroup, Service,
        StrategyKind, Team,
    },
    deployment::{Certificate, Deployment, Ending, Outcome, Request},
    effect::Target,
    event::{self, Event},
    governance::{Admitted, Artifact, Facts, Wish, admit},
    names::{DeploymentId, Place},
    observation::{Observation, Sizes, SliceSeen},
    plan::{Strategy, scale_up::ScaleUp},
    release::{Content, Digest, Launch, LaunchId, Release},
    slice::Slice,
    time::UnixMs,
};
use serde_json::{Value, json};
use sqlx::{AnyPool, AssertSqlSafe, any::AnyPoolOptions};
use store::{Audit, Store, StoreError, catalogue::Change};

use crate::postgres;

/// The moment of all stories.
pub const NOW: UnixMs = UnixMs(1_700_000_000_000);

static IDS: AtomicU32 = AtomicU32::new(1);

/// One database.
pub struct World {
    pub store: Store,
    pub url: String,
    /// Removed when the story ends; `None` on PostgreSQL.
    _folder: Option<tempfile::TempDir>,
}

impl World {
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = store::sqlite_url(&folder.path().join("story of 100 %.db"));
        Self::open(url, Some(folder)).await
    }

    pub async fn postgres() -> Self {
        Self::open(postgres::fresh_database().await, None).await
    }

    async fn open(url: String, folder: Option<tempfile::TempDir>) -> Self {
        Self {
            store: Store::open(&url).await.expect("a fresh database opens"),
            url,
            _folder: folder,
        }
    }

    pub fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    /// A second control plane on the same database.
    pub async fn second(&self) -> Store {
        Store::open(&self.url).await.expect("it opens again")
    }

    /// Does to the database what the store would never do.
    pub async fn tamper(&self, sql: &str) -> Result<u64, sqlx::Error> {
        let pool: AnyPool = AnyPoolOptions::new()
            .max_connections(1)
            .connect(&self.url)
            .await?;
        let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&pool)
            .await;
        pool.close().await;
        Ok(done?.rows_affected())
    }

    /// The catalogue of the stories: `cart` and `till` may go to `live` and `test`.
    pub async fn with_catalogue(self) -> Self {
        let (changes, apply) = (catalogue(), [audit("catalogue.apply")]);
        let put = self.store.put_and_delete(&changes, &apply);
        put.await.expect("the catalogue is good");
        self
    }

    pub async fn release(&self, service: &str, version: &str) -> Release {
        let release = release(service, version);
        let created = self.store.create_release(&release, audit("release.create"));
        created.await.expect("the release is good");
        release
    }

    /// What governance says about a wish now, with an intact artifact and `current` instances.
    pub async fn admit(&self, wish: &Wish, current: u32) -> Admitted {
        let facts = Facts {
            artifact: Artifact::Intact,
            seen: running(current),
            ..self.store.facts(wish, NOW).await.expect("facts")
        };
        admit(wish.clone(), facts).expect("governance says yes")
    }

    /// A deployment that governance admits, not yet begun.
    pub async fn planned(&self, wish: &Wish, current: u32) -> (Admitted, Deployment) {
        let admitted = self.admit(wish, current).await;
        let live = self.store.live(&wish.place).await.expect("live");
        let deployment = deployment_of(&admitted, live.map(|live| live.launch));
        (admitted, deployment)
    }

    pub async fn begin(&self, wish: &Wish, current: u32) -> Result<Deployment, StoreError> {
        let (admitted, deployment) = self.planned(wish, current).await;
        let event = event::of_request(&deployment);
        let audit = audit("deployment.request");
        self.store
            .begin(&admitted, &deployment, &event, audit)
            .await?;
        Ok(deployment)
    }

    /// Describes the group of `service` in live as one of `account`.
    pub async fn on_aws(&self, service: &str, account: &Account) {
        let Change::Put { mut body, .. } = server_group(service, "live", 4) else {
            unreachable!("a server group is put");
        };
        let name = account.name.as_str();
        body["aws"] = json!({"account": name});
        let references = [
            (Kind::Service, service),
            (Kind::Environment, "live"),
            (Kind::Account, name),
        ];
        let changes = [
            put(Kind::Account, name, json!(account), &[]),
            put(
                Kind::ServerGroup,
                &format!("{service}.live"),
                body,
                &references,
            ),
        ];
        let apply = [audit("catalogue.apply")];
        let applied = self.store.put_and_delete(&changes, &apply).await;
        applied.expect("the account and the group are good");
    }

    /// Counts rows, for what the store has no question for.
    pub async fn audits(&self) -> i64 {
        self.store.verify().await.expect("verify").checked
    }
}

/// An account on AWS.
pub fn account(name: &str, region: &str) -> Account {
    let account = json!({
        "name": name, "provider": "aws", "region": region, "package_bucket": "packages",
    });
    serde_json::from_value(account).expect("an account")
}

pub fn audit(action: &str) -> Audit {
    let detail = json!({"why": "a story"});
    Audit::of(&allowed("ann"), action, "story/1", detail, NOW)
}

/// A person who is signed in.
pub fn person(name: &str) -> Principal {
    let who = Who::Person(name.parse().expect("a name"));
    Principal::authenticated(who, Via::Owner, Reach::Full)
}

/// `name` may do what a story does.
pub fn allowed(name: &str) -> Allowed {
    let facts = access::Facts {
        counts: true,
        groups: Vec::new(),
        grants: vec![Grant {
            id: GrantId("story".to_owned()),
            subject: Subject::SignedIn,
            role: Role::Viewer,
            scope: Scope::default(),
            until: None,
        }],
        target: access::Target::default(),
    };
    let principal = person(name);
    may(&principal, Right::View, Resource::Everything, &facts, NOW).expect("a grant")
}

pub fn place(service: &str, environment: &str) -> Place {
    Place {
        service: service.parse().expect("a name"),
        environment: environment.parse().expect("a name"),
    }
}

pub fn wish(service: &str, environment: &str, version: &str) -> Wish {
    Wish {
        place: place(service, environment),
        version: version.parse().expect("a version"),
        strategy: Strategy::ScaleUp(ScaleUp::default()),
        force: false,
        image: None,
    }
}

/// A digest that depends on the name.
pub fn digest(of: &str) -> Digest {
    let mut bytes = [0; 32];
    for (index, byte) in of.bytes().enumerate() {
        bytes[index % 32] ^= byte;
    }
    Digest::from_bytes(bytes)
}

pub fn release(service: &str, version: &str) -> Release {
    Release {
        service: service.parse().expect("a name"),
        version: version.parse().expect("a version"),
        content: Content::package(digest(&format!("{service}{version}"))),
        size_bytes: 1024,
        created_at: NOW,
        created_by: "ann".to_owned(),
        withdrawn: None,
    }
}

pub fn next_id() -> DeploymentId {
    DeploymentId(format!("019a-{:08}", IDS.fetch_add(1, Ordering::Relaxed)))
}

pub fn deployment_of(admitted: &Admitted, stable: Option<Launch>) -> Deployment {
    let id = next_id();
    let release = admitted.release();
    let request = Request {
        target: Target::new(
            admitted.wish().place.clone(),
            admitted.group().clone(),
            admitted.account().cloned(),
        ),
        strategy: admitted.wish().strategy.clone(),
        launch: Launch {
            id: LaunchId(id.0.clone()),
            version: release.version.clone(),
            content: admitted.content(),
        },
        stable,
        requested_by: "ann".to_owned(),
        requested_at: NOW,
        id,
    };
    Deployment::new(request, admitted.seen())
}

/// The record after another turn.
pub fn turned(deployment: &Deployment) -> Deployment {
    Deployment {
        effects_spent: deployment.effects_spent + 1,
        version: deployment.version + 1,
        ..deployment.clone()
    }
}

/// The record after its last turn.
pub fn ended(deployment: &Deployment, outcome: Outcome) -> Deployment {
    let certificate = Certificate { lines: Vec::new() };
    let at = NOW.plus_ms(60_000);
    Deployment {
        ending: Some(Ending {
            outcome,
            at,
            certificate,
        }),
        ..turned(deployment)
    }
}

pub fn event(message: &str) -> Event {
    Event {
        at: NOW,
        what: event::What::Requested,
        message: message.to_owned(),
    }
}

pub fn put(kind: Kind, name: &str, body: Value, references: &[(Kind, &str)]) -> Change {
    Change::Put {
        kind,
        name: name.to_owned(),
        body,
        references: references
            .iter()
            .map(|(kind, name)| (*kind, (*name).to_owned()))
            .collect(),
        instances: 0,
        expected_version: None,
    }
}

pub fn delete(kind: Kind, name: &str) -> Change {
    Change::Delete {
        kind,
        name: name.to_owned(),
        expected_version: None,
    }
}

pub fn team(name: &str) -> Change {
    let team = Team {
        name: name.parse().expect("a name"),
        description: String::new(),
        contact: String::new(),
    };
    put(Kind::Team, name, json!(team), &[])
}

pub fn environment_type(name: &str) -> Change {
    let environment_type = EnvironmentType {
        approval_by_another: false,
        name: name.parse().expect("a name"),
        description: String::new(),
    };
    put(Kind::EnvironmentType, name, json!(environment_type), &[])
}

pub fn service(name: &str, owner: &str, environment_type: &str) -> Change {
    let service = Service {
        name: name.parse().expect("a name"),
        owner: owner.parse().expect("a name"),
        description: String::new(),
        environment_types: [environment_type.parse().expect("a name")].into(),
        strategies: [StrategyKind::ScaleUp].into(),
    };
    let references = [
        (Kind::Team, owner),
        (Kind::EnvironmentType, environment_type),
    ];
    put(Kind::Service, name, json!(service), &references)
}

pub fn environment(name: &str, environment_type: &str) -> Change {
    let environment = Environment {
        owner: None,
        name: name.parse().expect("a name"),
        environment_type: environment_type.parse().expect("a name"),
        description: String::new(),
        capacity_limit: Some(40),
    };
    let references = [(Kind::EnvironmentType, environment_type)];
    put(Kind::Environment, name, json!(environment), &references)
}

/// A freeze of a day from [`NOW`] on.
pub fn freeze(name: &str, environments: &[&str], environment_types: &[&str]) -> Change {
    let body = json!({
        "name": name, "from": NOW.to_string(), "until": NOW.plus_ms(86_400_000).to_string(),
        "environments": environments, "environment_types": environment_types, "reason": "sales",
    });
    let environments = environments.iter().map(|name| (Kind::Environment, *name));
    let types = environment_types.iter();
    let types = types.map(|name| (Kind::EnvironmentType, *name));
    let references: Vec<_> = environments.chain(types).collect();
    put(Kind::Freeze, name, body, &references)
}

pub fn server_group(service: &str, environment: &str, size: u32) -> Change {
    let group = ServerGroup {
        service: service.parse().expect("a name"),
        environment: environment.parse().expect("a name"),
        size,
        autoscaling: None,
        size_limit: None,
        zones: vec!["a".to_owned()],
        slices: 1,
        stickiness: None,
        ignore_paths: Vec::new(),
        gates: Vec::new(),
        health: HealthCheck::default(),
        drain_seconds: 1,
        variables: [].into(),
        limits: Default::default(),
        aws: None,
        custom: None,
    };
    Change::Put {
        kind: Kind::ServerGroup,
        name: format!("{service}.{environment}"),
        body: json!(group),
        references: vec![
            (Kind::Service, service.to_owned()),
            (Kind::Environment, environment.to_owned()),
        ],
        instances: size,
        expected_version: None,
    }
}

/// In an order in which nothing that is referred to comes first.
pub fn catalogue() -> Vec<Change> {
    let mut changes = Vec::new();
    for (service_name, size) in [("cart", 4), ("till", 3)] {
        for environment_name in ["live", "test"] {
            changes.push(server_group(service_name, environment_name, size));
        }
        changes.push(service(service_name, "shop", "production"));
    }
    changes.push(environment("live", "production"));
    changes.push(environment("test", "production"));
    changes.push(environment_type("production"));
    changes.push(team("shop"));
    changes
}

/// A group with so many instances in its one slice.
pub fn running(instances: u32) -> Observation {
    let sizes = Sizes {
        min: instances,
        desired: instances,
        max: instances,
    };
    let slice = SliceSeen {
        sizes,
        ..SliceSeen::default()
    };
    Observation {
        slices: [(Slice::Blue, slice)].into(),
        weights: [(Slice::Blue, 100)].into(),
        ..Observation::default()
    }
}
