//! What catalogue entries look like in answers, for the API's description.
//!
//! Entries are answered as they are stored, with what is known about them beside. A test walks the
//! catalogue and holds these descriptions against real answers.

mod aws;

use std::collections::BTreeMap;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use operations::catalogue::Kind;

use crate::api::{environments::LockView, strategies::GateBody};

/// People who own services.
#[derive(ToSchema)]
pub struct Team {
    /// Unique name.
    pub name: String,
    /// What the team does.
    #[schema(required = false)]
    pub description: String,
    /// Where to reach them.
    #[schema(required = false)]
    pub contact: String,
    /// Changes with every put.
    #[schema(read_only)]
    pub version: i64,
    /// RFC 3339.
    #[schema(read_only)]
    pub updated_at: String,
    /// Who put it.
    #[schema(read_only)]
    pub updated_by: String,
}

/// A catalogued deployable with an owning team.
#[derive(ToSchema)]
pub struct Service {
    /// Unique name.
    pub name: String,
    /// The team that answers for it.
    pub owner: String,
    /// What it does.
    #[schema(required = false)]
    pub description: String,
    /// The environment types it may be deployed to. Empty means nowhere.
    #[schema(required = false)]
    pub environment_types: Vec<String>,
    /// The strategies it may be deployed with: `scale-up`, `instance-refresh`, `blue-green`, `canary`,
    /// `switch`.
    /// Left out: all of them.
    #[schema(required = false)]
    pub strategies: Vec<String>,
    /// Changes with every put.
    #[schema(read_only)]
    pub version: i64,
    /// RFC 3339.
    #[schema(read_only)]
    pub updated_at: String,
    /// Who put it.
    #[schema(read_only)]
    pub updated_by: String,
}

/// A class of environments that carries policy.
#[derive(ToSchema)]
pub struct EnvironmentType {
    /// Unique name.
    pub name: String,
    /// What this class is for.
    #[schema(required = false)]
    pub description: String,
    /// Whoever asks for a deployment here cannot approve it.
    #[schema(required = false)]
    pub approval_by_another: bool,
    /// Changes with every put.
    #[schema(read_only)]
    pub version: i64,
    /// RFC 3339.
    #[schema(read_only)]
    pub updated_at: String,
    /// Who put it.
    #[schema(read_only)]
    pub updated_by: String,
}

/// Where services run for a purpose.
#[derive(ToSchema)]
pub struct Environment {
    /// Unique name.
    pub name: String,
    /// Its class.
    pub environment_type: String,
    /// What it is for.
    #[schema(required = false)]
    pub description: String,
    /// Most instances that may run here at once, doubling included. Left out: no limit.
    #[schema(required = false)]
    pub capacity_limit: Option<u32>,
    /// A person's hold on it.
    #[schema(read_only)]
    pub lock: Option<LockView>,
    /// Changes with every put.
    #[schema(read_only)]
    pub version: i64,
    /// RFC 3339.
    #[schema(read_only)]
    pub updated_at: String,
    /// Who put it.
    #[schema(read_only)]
    pub updated_by: String,
}

/// The capacity of one service in one environment.
#[derive(ToSchema)]
pub struct ServerGroup {
    /// The service that runs here.
    pub service: String,
    /// The environment it runs in.
    pub environment: String,
    /// How many instances. With `autoscaling`, how many at the very first deployment.
    pub size: u32,
    /// The group scales itself between these bounds.
    #[schema(required = false)]
    pub autoscaling: Option<Bounds>,
    /// Never more instances than this, not even during a deployment. Left out: no limit.
    #[schema(required = false)]
    pub size_limit: Option<u32>,
    /// The zones instances are spread over. On AWS those of the subnets, and this is ignored.
    #[schema(required = false)]
    pub zones: Vec<String>,
    /// One slice, or two for blue/green, canary and switches.
    #[schema(required = false, default = 1, minimum = 1, maximum = 2)]
    pub slices: u8,
    /// Keeps each user on one side while users are split between slices. Left out: each request is
    /// sent by chance.
    #[schema(required = false)]
    pub stickiness: Option<Stickiness>,
    /// What must hold on the way to more users, unless a deployment brings gates of its own.
    #[schema(required = false, max_items = 20)]
    pub gates: Vec<GateBody>,
    /// When an instance counts as healthy. On AWS the target group says so, and this is ignored.
    #[schema(required = false)]
    pub health: HealthCheck,
    /// How long requests in flight may take to finish before an instance is stopped, in seconds.
    #[schema(required = false)]
    pub drain_seconds: u32,
    /// Environment variables of the instances. `PORT` is set by the provider.
    #[schema(required = false)]
    pub variables: BTreeMap<String, String>,
    /// On AWS: where. Left out: elsewhere.
    #[schema(required = false)]
    pub aws: Option<aws::AwsGroup>,
    /// With a provider of your own: where. Left out: elsewhere; without both, on the machine of the
    /// server.
    #[schema(required = false)]
    pub custom: Option<CustomGroup>,
    /// Changes with every put.
    #[schema(read_only)]
    pub version: i64,
    /// RFC 3339.
    #[schema(read_only)]
    pub updated_at: String,
    /// Who put it.
    #[schema(read_only)]
    pub updated_by: String,
}

/// What a user is recognised by; `by` says which way.
#[derive(ToSchema)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Stickiness {
    /// A cookie that the router gives to whoever has none.
    Cookie {
        /// How long it lasts, in seconds.
        #[schema(required = false, default = 86_400, minimum = 1, maximum = 31_536_000)]
        seconds: u32,
    },
    /// The hash of a request header, such as a user id set by a gateway. Requests without it are
    /// sent by chance.
    Header {
        /// Its name.
        name: String,
    },
}

/// Bounds of a group's own autoscaling.
#[derive(ToSchema)]
pub struct Bounds {
    /// Never fewer.
    pub min: u32,
    /// Never more, outside of deployments.
    pub max: u32,
}

/// When an instance counts as healthy: an HTTP GET that answers 2xx.
#[derive(ToSchema)]
pub struct HealthCheck {
    /// The path asked for.
    #[schema(required = false)]
    pub path: String,
    /// Time between two checks, in milliseconds.
    #[schema(required = false)]
    pub interval_ms: u32,
    /// A check that takes longer has failed, in milliseconds.
    #[schema(required = false)]
    pub timeout_ms: u32,
    /// So many passes in a row make an instance healthy.
    #[schema(required = false)]
    pub healthy_threshold: u32,
    /// So many failures in a row make it unhealthy.
    #[schema(required = false)]
    pub unhealthy_threshold: u32,
}

/// A Prometheus that gates can ask.
#[derive(ToSchema)]
pub struct Prometheus {
    /// Unique name.
    pub name: String,
    /// Where it answers.
    pub url: String,
    /// What it watches.
    #[schema(required = false)]
    pub description: String,
    /// Changes with every put.
    #[schema(read_only)]
    pub version: i64,
    /// RFC 3339.
    #[schema(read_only)]
    pub updated_at: String,
    /// Who put it.
    #[schema(read_only)]
    pub updated_by: String,
}

type Named = (String, RefOr<Schema>);

/// Where a server group with a provider of your own lives.
#[derive(ToSchema)]
pub struct CustomGroup {
    /// The account it is in.
    pub account: String,
}

/// The schemas that a kind needs.
pub(super) fn of(kind: Kind) -> Vec<Named> {
    match kind {
        Kind::Team => with_parts::<Team>(),
        Kind::Service => with_parts::<Service>(),
        Kind::EnvironmentType => with_parts::<EnvironmentType>(),
        Kind::Environment => with_parts::<Environment>(),
        Kind::ServerGroup => with_parts::<ServerGroup>(),
        Kind::Prometheus => with_parts::<Prometheus>(),
        Kind::Account => with_parts::<aws::Account>(),
    }
}

fn with_parts<T: ToSchema + PartialSchema>() -> Vec<Named> {
    let mut schemas = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    schemas
}
