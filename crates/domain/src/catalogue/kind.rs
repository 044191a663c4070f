//! The kinds of catalogue entries, in one table. Whatever stores, describes, lists or compares entries
//! reads it.

use std::fmt;

use crate::access::Right;

/// A kind of catalogue entry. What is referred to comes before what refers; server groups, which refer
/// to most, are the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// [`Prometheus`](super::Prometheus).
    Prometheus,
    /// [`Account`](super::Account).
    Account,
    /// [`Team`](super::Team).
    Team,
    /// [`EnvironmentType`](super::EnvironmentType).
    EnvironmentType,
    /// [`Service`](super::Service).
    Service,
    /// [`Environment`](super::Environment).
    Environment,
    /// [`Freeze`](super::Freeze).
    Freeze,
    /// [`ServerGroup`](super::ServerGroup).
    ServerGroup,
}

/// The words of one kind.
#[derive(Debug)]
pub struct Words {
    /// In manifests, and the name of its schema: `ServerGroup`.
    pub manifest: &'static str,
    /// In the store and on the command line: `server-group`.
    pub word: &'static str,
    /// In paths of the API: `server-groups`.
    pub path: &'static str,
    /// In sentences: `server group`.
    pub noun: &'static str,
    /// Of several, in sentences: `server groups`.
    pub plural: &'static str,
    /// What it is, for help: `The capacity of a service in an environment`.
    pub sentence: &'static str,
    /// The fields that name an entry, with dots between their values.
    pub named_by: &'static [&'static str],
    /// What a person must be allowed to do who describes an entry.
    pub right: Right,
    /// Most entries of the kind; `None` where only pages of them are ever read.
    pub most: Option<u32>,
    /// The columns of a list: a heading, and the JSON pointer of what stands below it.
    pub columns: &'static [(&'static str, &'static str)],
}

const NAME: &[&str] = &["name"];

const PROMETHEUS: Words = Words {
    manifest: "Prometheus",
    word: "prometheus",
    path: "prometheuses",
    noun: "Prometheus",
    plural: "Prometheus servers",
    sentence: "Prometheus servers, which gates can query",
    named_by: NAME,
    right: Right::Operate,
    most: None,
    columns: &[
        ("NAME", "/name"),
        ("URL", "/url"),
        ("DESCRIPTION", "/description"),
    ],
};
const ACCOUNT: Words = Words {
    manifest: "Account",
    word: "account",
    path: "accounts",
    noun: "account",
    plural: "accounts",
    sentence: "Accounts, where server groups are",
    named_by: NAME,
    right: Right::Operate,
    most: None,
    columns: &[
        ("NAME", "/name"),
        ("PROVIDER", "/provider"),
        ("REGION", "/region"),
        ("ROLE", "/role_arn"),
        ("DESCRIPTION", "/description"),
    ],
};
const TEAM: Words = Words {
    manifest: "Team",
    word: "team",
    path: "teams",
    noun: "team",
    plural: "teams",
    sentence: "Teams, the owners of services",
    named_by: NAME,
    right: Right::Administer,
    most: None,
    columns: &[
        ("NAME", "/name"),
        ("CONTACT", "/contact"),
        ("DESCRIPTION", "/description"),
    ],
};
const ENVIRONMENT_TYPE: Words = Words {
    manifest: "EnvironmentType",
    word: "environment-type",
    path: "environment-types",
    noun: "environment type",
    plural: "environment types",
    sentence: "Environment types, such as staging and production",
    named_by: NAME,
    right: Right::Govern,
    most: None,
    columns: &[("NAME", "/name"), ("DESCRIPTION", "/description")],
};
const SERVICE: Words = Words {
    manifest: "Service",
    word: "service",
    path: "services",
    noun: "service",
    plural: "services",
    sentence: "Services, what can be deployed",
    named_by: NAME,
    right: Right::Describe,
    most: None,
    columns: &[
        ("NAME", "/name"),
        ("OWNER", "/owner"),
        ("ENVIRONMENT TYPES", "/environment_types"),
        ("DESCRIPTION", "/description"),
    ],
};
const ENVIRONMENT: Words = Words {
    manifest: "Environment",
    word: "environment",
    path: "environments",
    noun: "environment",
    plural: "environments",
    sentence: "Environments, where services run",
    named_by: NAME,
    right: Right::Operate,
    most: None,
    columns: &[
        ("NAME", "/name"),
        ("TYPE", "/environment_type"),
        ("CAPACITY LIMIT", "/capacity_limit"),
        ("LOCKED", "/lock/by"),
        ("DESCRIPTION", "/description"),
    ],
};
const FREEZE: Words = Words {
    manifest: "Freeze",
    word: "freeze",
    path: "freezes",
    noun: "freeze",
    plural: "freezes",
    sentence: "Freezes, times in which nothing is deployed",
    named_by: NAME,
    right: Right::Govern,
    most: Some(200),
    columns: &[
        ("NAME", "/name"),
        ("FROM", "/from"),
        ("UNTIL", "/until"),
        ("ENVIRONMENTS", "/environments"),
        ("ENVIRONMENT TYPES", "/environment_types"),
        ("REASON", "/reason"),
    ],
};
const SERVER_GROUP: Words = Words {
    manifest: "ServerGroup",
    word: "server-group",
    path: "server-groups",
    noun: "server group",
    plural: "server groups",
    sentence: "Server groups, the capacity of a service in an environment",
    named_by: &["service", "environment"],
    right: Right::Describe,
    most: None,
    columns: &[
        ("SERVICE", "/service"),
        ("ENVIRONMENT", "/environment"),
        ("SIZE", "/size"),
        ("SLICES", "/slices"),
        ("ZONES", "/zones"),
        ("HEALTH", "/health/path"),
    ],
};

impl Kind {
    /// Every kind, such that what is referred to comes before what refers. One that is missing here
    /// does not compile, because the last one is counted on.
    pub const ALL: [Self; Self::ServerGroup as usize + 1] = [
        Self::Prometheus,
        Self::Account,
        Self::Team,
        Self::EnvironmentType,
        Self::Service,
        Self::Environment,
        Self::Freeze,
        Self::ServerGroup,
    ];

    /// Its row of the table.
    #[must_use]
    pub const fn words(self) -> &'static Words {
        match self {
            Self::Prometheus => &PROMETHEUS,
            Self::Account => &ACCOUNT,
            Self::Team => &TEAM,
            Self::EnvironmentType => &ENVIRONMENT_TYPE,
            Self::Service => &SERVICE,
            Self::Environment => &ENVIRONMENT,
            Self::Freeze => &FREEZE,
            Self::ServerGroup => &SERVER_GROUP,
        }
    }

    /// The kind as it is stored and as people type it: `server-group`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.words().word
    }

    /// The kind that `has` picks by its words.
    pub fn find(has: impl Fn(&Words) -> bool) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| has(kind.words()))
    }
}

/// The noun, for sentences.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words().noun)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_kinds_share_a_word() {
        for word in [
            |words: &Words| words.manifest,
            |words: &Words| words.word,
            |words: &Words| words.path,
        ] {
            let words: BTreeSet<&str> = Kind::ALL.iter().map(|kind| word(kind.words())).collect();
            assert_eq!(words.len(), Kind::ALL.len(), "{words:?}");
        }
    }
}
