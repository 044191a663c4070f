//! What the place of a server group can do. Rules and plans ask this table and name no provider.

use super::{Home, ProviderKind};

/// Whether a place can do something.
pub type Able = Result<(), Lack>;

/// Something that a place cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lack {
    /// What it cannot do, to be read after "cannot".
    pub what: &'static str,
    /// What to do instead.
    pub remedy: &'static str,
}

/// What the place of a server group can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// Splits users between two slices by weights.
    pub splits_users: Able,
    /// Keeps each user on one side by a cookie while users are split.
    pub keeps_users_by_cookie: Able,
    /// Keeps each user on one side by a header while users are split.
    pub keeps_users_by_header: Able,
    /// Copies requests to a slice without users (dark traffic).
    pub mirrors: Able,
    /// Counts each request and its outcome, by slice.
    pub counts_requests: Able,
    /// Counts users too, where they stick to a slice.
    pub counts_users: Able,
    /// Leaves paths out of what it counts.
    pub tells_paths: Able,
    /// Checks the health of instances as the server group says, in every kind.
    pub checks_health: Able,
    /// Replaces all instances of a group by its own rules (an instance refresh).
    pub refreshes: bool,
    /// Has machine images, and starts them.
    pub has_images: bool,
    /// Answers gates that ask the provider itself (CloudWatch).
    pub answers_gates: bool,
    /// May hold groups that run something which Pointsman did not deploy.
    pub adopts: bool,
}

impl Home<'_> {
    /// What this place can do.
    #[must_use]
    pub fn abilities(self) -> Abilities {
        match self {
            Self::Here => HERE,
            Self::Aws(aws) => aws.abilities(),
            Self::Custom(_) => CUSTOM,
        }
    }
}

/// The router of the one-machine cloud does everything that Pointsman asks of one.
const HERE: Abilities = Abilities {
    splits_users: Ok(()),
    keeps_users_by_cookie: Ok(()),
    keeps_users_by_header: Ok(()),
    mirrors: Ok(()),
    counts_requests: Ok(()),
    counts_users: Ok(()),
    tells_paths: Ok(()),
    checks_health: Ok(()),
    refreshes: false,
    has_images: ProviderKind::Local.has_images(),
    answers_gates: false,
    adopts: false,
};

/// A provider of your own does what the engine's two verbs need of every provider. One that does more
/// deserves a kind of its own.
const CUSTOM: Abilities = Abilities {
    splits_users: Ok(()),
    keeps_users_by_cookie: Err(NO_STICKINESS),
    keeps_users_by_header: Err(NO_STICKINESS),
    mirrors: Err(NO_MIRRORS),
    counts_requests: Err(Lack {
        what: "count each request, which a traffic gate needs",
        remedy: "use a Prometheus gate, or leave the gate out with --no-gates",
    }),
    counts_users: Ok(()),
    tells_paths: Err(NO_PATHS),
    checks_health: Err(OWN_CHECKS),
    refreshes: false,
    has_images: ProviderKind::Custom.has_images(),
    answers_gates: false,
    adopts: true,
};

const NO_STICKINESS: Lack = Lack {
    what: "keep users on a side",
    remedy: "take stickiness out of the manifest of the server group",
};

pub(super) const NO_PATHS: Lack = Lack {
    what: "leave paths out of what it counts: it knows sums of all of them at most",
    remedy: "take ignore_paths out of the manifest of the server group; to leave paths out, count in the service and use a compare gate",
};

pub(super) const NO_MIRRORS: Lack = Lack {
    what: "copy requests to the new release (dark traffic)",
    remedy: "leave --shadow out",
};

pub(super) const OWN_CHECKS: Lack = Lack {
    what: "check health by a kind, method, headers, accepted codes, command or start time",
    remedy: "take these fields out of `health` in the manifest of the server group, and set the provider's own health check (on AWS: that of the target group)",
};
