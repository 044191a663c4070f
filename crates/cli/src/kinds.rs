//! The kinds of things in the catalogue, as people type them and as the API names them.

use clap::ValueEnum;
use serde_json::{Map, Value};

use super::output::text_at;

/// A kind of thing in the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// People who own services.
    Team,
    /// A catalogued deployable.
    Service,
    /// A class of environments.
    EnvironmentType,
    /// Where services run.
    Environment,
    /// The capacity of one service in one environment.
    ServerGroup,
    /// Where gates ask for numbers.
    Prometheus,
    /// Where server groups are.
    Account,
}

impl Kind {
    /// Its collection in the API.
    #[must_use]
    pub fn collection(self) -> &'static str {
        match self {
            Self::Team => "teams",
            Self::Service => "services",
            Self::EnvironmentType => "environment-types",
            Self::Environment => "environments",
            Self::ServerGroup => "server-groups",
            Self::Prometheus => "prometheuses",
            Self::Account => "accounts",
        }
    }

    /// The noun in sentences.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Team => "team",
            Self::Service => "service",
            Self::EnvironmentType => "environment type",
            Self::Environment => "environment",
            Self::ServerGroup => "server group",
            Self::Prometheus => "Prometheus",
            Self::Account => "account",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Team => "Team",
            Self::Service => "Service",
            Self::EnvironmentType => "EnvironmentType",
            Self::Environment => "Environment",
            Self::ServerGroup => "ServerGroup",
            Self::Prometheus => "Prometheus",
            Self::Account => "Account",
        }
    }

    /// The manifest of an entry as the API gives it: the kind first, and no record keeping.
    #[must_use]
    pub fn manifest(self, value: Value) -> Value {
        let mut manifest = Map::new();
        manifest.insert("kind".to_owned(), self.word().into());
        if let Value::Object(fields) = value {
            let kept = fields.into_iter().filter(|(name, value)| {
                let record = matches!(
                    name.as_str(),
                    "updated_at" | "updated_by" | "version" | "lock"
                );
                !record && name != "kind" && !value.is_null()
            });
            manifest.extend(kept);
        }
        Value::Object(manifest)
    }

    /// The heading of its table.
    #[must_use]
    pub fn heading(self) -> &'static [&'static str] {
        match self {
            Self::Team => &["NAME", "CONTACT", "DESCRIPTION"],
            Self::Service => &["NAME", "OWNER", "ENVIRONMENT TYPES", "DESCRIPTION"],
            Self::EnvironmentType => &["NAME", "DESCRIPTION"],
            Self::Environment => &["NAME", "TYPE", "CAPACITY LIMIT", "LOCKED", "DESCRIPTION"],
            Self::ServerGroup => &[
                "SERVICE",
                "ENVIRONMENT",
                "SIZE",
                "SLICES",
                "ZONES",
                "HEALTH",
            ],
            Self::Prometheus => &["NAME", "URL", "DESCRIPTION"],
            Self::Account => &["NAME", "PROVIDER", "REGION", "ROLE", "DESCRIPTION"],
        }
    }

    /// One row of its table.
    #[must_use]
    pub fn row(self, entry: &Value) -> Vec<String> {
        let text = |key| text_at(entry, key);
        match self {
            Self::Team => vec![text("name"), text("contact"), text("description")],
            Self::Service => vec![
                text("name"),
                text("owner"),
                text("environment_types"),
                text("description"),
            ],
            Self::EnvironmentType => vec![text("name"), text("description")],
            Self::Environment => vec![
                text("name"),
                text("environment_type"),
                text("capacity_limit"),
                entry
                    .get("lock")
                    .map(|lock| text_at(lock, "by"))
                    .unwrap_or_default(),
                text("description"),
            ],
            Self::ServerGroup => vec![
                text("service"),
                text("environment"),
                text("size"),
                text("slices"),
                text("zones"),
                entry
                    .get("health")
                    .map(|health| text_at(health, "path"))
                    .unwrap_or_default(),
            ],
            Self::Prometheus => vec![text("name"), text("url"), text("description")],
            Self::Account => vec![
                text("name"),
                text("provider"),
                text("region"),
                text("role_arn"),
                text("description"),
            ],
        }
    }
}
