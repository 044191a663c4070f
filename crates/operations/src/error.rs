//! Why an operation was not done, in sentences for people. Nothing was changed then.

mod described;

use std::io;

use domain::{
    access::Denied,
    bounds,
    deployment::CommandRefused,
    governance::Objection,
    names::{DeploymentId, Place},
    release::Release,
};
use engine::ports::{ErrorKind, ProviderError};
use store::StoreError;

use crate::sign_in::SignInRefused;
pub use described::{Class, Described};

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such thing.
    #[error("there is no {what}")]
    Unknown {
        /// What was asked for, such as `service shop`.
        what: String,
    },
    /// The principal may not do this.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Somebody was not signed in.
    #[error(transparent)]
    SignIn(#[from] SignInRefused),
    /// It needs somebody who signed in lately.
    #[error("you signed in more than 30 minutes ago, and this needs a proof that it is still you")]
    NotRecent,
    /// Nobody could manage people any more.
    #[error("{0}")]
    LastAdmin(String),
    /// It is there already.
    #[error("{what} already")]
    Exists {
        /// Who has what, such as `alice has a token`.
        what: String,
    },
    /// What was sent does not follow the rules.
    #[error("{what} cannot be accepted: {}", first(.faults))]
    Invalid {
        /// What was sent.
        what: &'static str,
        /// Every fault that was found.
        faults: Vec<Fault>,
    },
    /// Something is larger than what is accepted.
    #[error("{what} is larger than {limit}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The limit, for people.
        limit: String,
    },
    /// An upload ended before its end.
    #[error("the upload was interrupted: {why}; nothing was stored")]
    BrokenOff {
        /// What the connection said.
        why: String,
    },
    /// Governance says no.
    #[error("governance refuses the deployment: {}", sentences(.0))]
    Refused(Vec<Objection>),
    /// A command makes no sense now.
    #[error(transparent)]
    Command(#[from] CommandRefused),
    /// Somebody approves a plan that is another one by now.
    #[error("the plan has changed since you read it; the current one has the hash {hash}")]
    PlanChanged {
        /// The hash of the present plan.
        hash: String,
    },
    /// There is no release to go back to.
    #[error("{place} has no previous release to roll back to")]
    NothingBefore {
        /// Where.
        place: Place,
    },
    /// Releases are immutable.
    #[error("{} already has a release {} with other content ({})", .0.service, .0.version, .0.content)]
    ReleaseConflict(Box<Release>),
    /// It changed since it was read.
    #[error("{what} has changed since you read it")]
    Changed {
        /// What.
        what: String,
    },
    /// A catalogue entry cannot go while others need it.
    #[error("{what} is still needed by {}", .by.join(", "))]
    Referenced {
        /// What should go.
        what: String,
        /// Who needs it.
        by: Vec<String>,
    },
    /// Too much at once.
    #[error("too many {what} at once; at most {limit}")]
    Busy {
        /// What.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// Nobody wrote anything there.
    #[error("there are no logs: {why}")]
    NoLogs {
        /// What the provider said.
        why: String,
    },
    /// No pass can be given there.
    #[error("no pass can be given: {why}")]
    NoPasses {
        /// What the provider said.
        why: String,
    },
    /// The provider does not help.
    #[error("{}", by_provider(.0))]
    Provider(#[from] ProviderError),
    /// The store does not help.
    #[error(transparent)]
    Store(StoreError),
    /// The disk does not help.
    #[error("failed while {doing}")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A bug.
    #[error("internal error while {doing}")]
    Internal {
        /// What was being done.
        doing: &'static str,
    },
}

/// One fault in what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fault {
    /// Which document of several, counted from 1.
    pub document: Option<usize>,
    /// Its kind, as far as it is known.
    pub kind: Option<String>,
    /// Its name, as far as it is known.
    pub name: Option<String>,
    /// Path of the field, such as `health.path`; empty for the whole.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub message: String,
}

impl Fault {
    /// A fault of one field.
    pub fn of(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
            ..Self::default()
        }
    }

    /// The fault as a sentence that says where it is.
    #[must_use]
    pub fn sentence(&self) -> String {
        let place: Vec<&str> = [self.kind.as_deref(), self.name.as_deref()]
            .into_iter()
            .flatten()
            .collect();
        let place = place.join(" ");
        match (self.document, place.is_empty()) {
            (Some(document), false) => format!("document {document} ({place}): {}", self.message),
            (Some(document), true) => format!("document {document}: {}", self.message),
            (None, _) => self.message.clone(),
        }
    }
}

impl From<bounds::Fault> for Fault {
    fn from(fault: bounds::Fault) -> Self {
        Self::of(fault.field, fault.message)
    }
}

fn first(faults: &[Fault]) -> String {
    let Some(fault) = faults.first() else {
        return "it has faults".to_owned();
    };
    let field = match fault.field.as_str() {
        "" => String::new(),
        field => format!("{field}: "),
    };
    let more = match faults.len() {
        1 => String::new(),
        all => format!(" (and {} more)", all - 1),
    };
    format!("{field}{}{more}", fault.sentence())
}

/// What a provider that fails does, and its own sentence.
fn by_provider(error: &ProviderError) -> String {
    let message = &error.message;
    match error.kind {
        ErrorKind::NotOffered => message.clone(),
        ErrorKind::Denied | ErrorKind::Missing | ErrorKind::Invalid => {
            format!("the provider refuses: {message}")
        }
        ErrorKind::Throttled | ErrorKind::Unavailable | ErrorKind::Superseded => {
            format!("the provider cannot answer: {message}")
        }
    }
}

fn sentences(objections: &[Objection]) -> String {
    let texts: Vec<String> = objections.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unknown { what } => Self::Unknown { what },
            StoreError::Invalid { field, why } => Self::Invalid {
                what: "the request",
                faults: vec![Fault::of(field, why)],
            },
            StoreError::TooLarge { what, limit, .. } => Self::TooLarge {
                what,
                limit: format!("{limit} bytes"),
            },
            StoreError::VersionMismatch { kind, name, .. } => Self::Changed {
                what: format!("the {kind} {name}"),
            },
            StoreError::Superseded { what } => Self::Changed { what },
            StoreError::MissingReference {
                kind,
                name,
                to_kind,
                to_name,
            } => Self::Invalid {
                what: "the catalogue",
                faults: vec![Fault::of(
                    "",
                    format!(
                        "the {kind} {name} refers to the {to_kind} {to_name}, which is not in the catalogue"
                    ),
                )],
            },
            StoreError::Referenced { kind, name, by } => Self::Referenced {
                what: format!("the {kind} {name}"),
                by: by.iter().map(ToString::to_string).collect(),
            },
            StoreError::Refused(objections) => Self::Refused(objections),
            StoreError::LastAdmin => Self::LastAdmin(error.to_string()),
            other => Self::Store(other),
        }
    }
}

/// Whether asking again may help, when the fault is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failing {
    /// It may.
    ForNow,
    /// It does not.
    ForGood,
}

impl Error {
    /// Whether asking again may help, when the fault is ours.
    #[must_use]
    pub fn failing(&self) -> Failing {
        match self {
            Self::Store(StoreError::Database { .. } | StoreError::NotWritable { .. }) => {
                Failing::ForNow
            }
            _ => Failing::ForGood,
        }
    }

    /// There is no such deployment.
    #[must_use]
    pub fn no_deployment(id: &DeploymentId) -> Self {
        let id: String = id.0.chars().take(80).collect();
        Self::Unknown {
            what: format!("deployment {id}"),
        }
    }
}
