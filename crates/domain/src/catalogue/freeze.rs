//! Freezes: times in which nothing is deployed to some environments.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    Environment, Kind,
    manifest::{Entry, Reference},
};
use crate::{
    bounds::{Faults, Limit, Limited},
    names::{self, EnvironmentName, EnvironmentTypeName, Name},
    time::{UnixMs, rfc3339},
};

/// The name of a freeze, such as `year-end`.
pub type FreezeName = Name<Freeze>;

impl names::Kind for Freeze {
    const NOUN: &'static str = Kind::Freeze.words().noun;
}

/// Most environments, and most types, that a freeze names.
const NAMES_MAX: u32 = 100;

/// A time in which nothing is deployed to some environments. Deployments that run when it begins go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    /// Unique name of the freeze.
    pub name: FreezeName,
    /// When it begins, RFC 3339.
    #[serde(with = "rfc3339")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub from: UnixMs,
    /// When it ends, RFC 3339.
    #[serde(with = "rfc3339")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub until: UnixMs,
    /// Environments that it covers.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub environments: BTreeSet<EnvironmentName>,
    /// Environment types that it covers, with all their environments. At least one of both is required.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub environment_types: BTreeSet<EnvironmentTypeName>,
    /// Why, for people whose deployments are refused.
    pub reason: String,
}

impl Freeze {
    /// Whether it covers `environment` at this time. It begins with its first moment and ends before
    /// its last.
    #[must_use]
    pub fn covers(&self, environment: &Environment, now: UnixMs) -> bool {
        self.names(environment) && self.from <= now && now < self.until
    }

    /// Whether it covers `environment` at any time.
    #[must_use]
    pub fn names(&self, environment: &Environment) -> bool {
        let by_type = &self.environment_types;
        self.environments.contains(&environment.name)
            || by_type.contains(&environment.environment_type)
    }
}

impl Limited for Freeze {
    const LIMITS: &'static [Limit<Self>] = &[
        Limit::items("environments", 0..=NAMES_MAX, |it| it.environments.len()),
        Limit::items("environment_types", 0..=NAMES_MAX, |it| {
            it.environment_types.len()
        }),
        Limit::text("reason", |it| &it.reason),
    ];
}

impl Entry for Freeze {
    fn name(&self) -> String {
        self.name.to_string()
    }

    fn references(&self) -> Vec<Reference> {
        let environments = self.environments.iter();
        let environments =
            environments.map(|name| Reference::of("environments", Kind::Environment, name));
        let types = self.environment_types.iter();
        let types =
            types.map(|name| Reference::of("environment_types", Kind::EnvironmentType, name));
        environments.chain(types).collect()
    }

    fn faults(&self, faults: &mut Faults) {
        faults.limits("", self);
        let somewhere = !self.environments.is_empty() || !self.environment_types.is_empty();
        let rule = "name environments here, or types in environment_types";
        faults.unless(somewhere, "environments", rule);
        faults.unless(self.from < self.until, "until", "must be later than from");
        let said = !self.reason.trim().is_empty();
        faults.unless(
            said,
            "reason",
            "say why, for people whose deployments are refused",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn freeze(text: &str) -> Freeze {
        serde_json::from_str(text).unwrap()
    }

    fn environment(name: &str, class: &str) -> Environment {
        Environment {
            owner: None,
            name: name.parse().unwrap(),
            environment_type: class.parse().unwrap(),
            description: String::new(),
            capacity_limit: None,
        }
    }

    #[test]
    fn what_it_names_is_covered_from_its_begin_until_before_its_end() {
        let freeze = freeze(
            r#"{"name": "year-end", "from": "2026-12-20T00:00:00Z", "until": "2027-01-03T00:00:00Z",
                "environments": ["demo"], "environment_types": ["production"], "reason": "holidays"}"#,
        );
        for (name, class, now, covered) in [
            ("live", "production", "2026-12-19T23:59:59Z", false),
            ("live", "production", "2026-12-20T00:00:00Z", true),
            ("live", "production", "2027-01-02T23:59:59Z", true),
            ("live", "production", "2027-01-03T00:00:00Z", false),
            ("demo", "staging", "2026-12-24T18:00:00Z", true),
            ("test", "staging", "2026-12-24T18:00:00Z", false),
        ] {
            let covers = freeze.covers(&environment(name, class), now.parse().unwrap());
            assert_eq!(covers, covered, "{name} {now}");
        }
    }

    #[test]
    fn it_is_somewhere_for_some_time_and_says_why() {
        let freeze = freeze(
            r#"{"name": "x", "from": "2026-12-20T00:00:00Z", "until": "2026-12-20T00:00:00Z",
                "reason": " "}"#,
        );
        let mut faults = Faults::default();
        freeze.faults(&mut faults);
        let fields: Vec<String> = faults.all().into_iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["environments", "until", "reason"]);
    }
}
