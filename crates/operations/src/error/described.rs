//! What every face says about an error: its class, its stable code, and what to do next.
//!
//! Invariant: a code, once published, keeps its meaning; programs depend on it.

use domain::deployment::CommandRefused;
use engine::ports::ErrorKind;

use super::{Error, Failing};

/// An error as faces describe it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Described {
    /// What kind of answer it is.
    pub class: Class,
    /// Stable, for programs.
    pub code: &'static str,
    /// What to do next; empty where the sentence says it already.
    pub remedy: &'static str,
}

/// What kind of answer an error is, whatever protocol carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The request broke off or cannot be read.
    Malformed,
    /// There is no such thing.
    Unknown,
    /// The principal lacks a right.
    Denied,
    /// Not possible in the current state.
    Conflict,
    /// The caller decided from an older state.
    Changed,
    /// Too much was sent.
    TooLarge,
    /// What was sent breaks the rules.
    Invalid,
    /// A failure of Pointsman itself.
    Internal,
    /// Something that is needed does not answer now.
    Unavailable,
}

impl Error {
    /// The error as faces describe it.
    #[must_use]
    pub fn described(&self) -> Described {
        let (class, code, remedy) = table(self);
        Described {
            class,
            code,
            remedy,
        }
    }
}

fn table(error: &Error) -> (Class, &'static str, &'static str) {
    use Class as C;
    match error {
        Error::Unknown { .. } => (
            C::Unknown,
            "not_found",
            "check the name; the list of its kind shows what exists",
        ),
        Error::Denied(_) => (C::Denied, "denied", ""),
        Error::Exists { .. } => (
            C::Conflict,
            "exists",
            "remove the existing one first, or choose another name",
        ),
        Error::Invalid { .. } => (
            C::Invalid,
            "invalid",
            "correct what is named and send it again; nothing was stored",
        ),
        Error::TooLarge { .. } => (C::TooLarge, "too_large", "send less"),
        Error::BrokenOff { .. } => (C::Malformed, "upload_broken_off", "send it again"),
        Error::Refused(_) => (C::Conflict, "refused", ""),
        Error::Command(refused) => (C::Conflict, command_code(refused), ""),
        Error::PlanChanged { .. } => (
            C::Conflict,
            "plan_changed",
            "read the deployment again, and approve its present plan",
        ),
        Error::NothingBefore { .. } => (
            C::Conflict,
            "nothing_to_roll_back_to",
            "deploy the release that you want by its version",
        ),
        Error::ReleaseConflict(_) => (
            C::Conflict,
            "release_conflict",
            "releases are immutable: give the other content a new version",
        ),
        Error::Changed { .. } => (C::Changed, "changed", "read it again, and decide anew"),
        Error::Referenced { .. } => (
            C::Conflict,
            "still_referenced",
            "remove or change what needs it first",
        ),
        Error::Busy { .. } => (C::Unavailable, "busy", "try again a little later"),
        Error::NoLogs { .. } => (
            C::Unknown,
            "no_logs",
            "logs are kept of what was deployed on this machine; machines on AWS send theirs with an agent of their own",
        ),
        Error::NoPasses { .. } => (
            C::Unknown,
            "no_passes",
            "passes are for slices on this machine in which something runs; `pointsman slices` shows them",
        ),
        Error::Provider(error) => by_provider(error.kind),
        Error::Store(_) | Error::Disk { .. } | Error::Internal { .. } => failing(error.failing()),
    }
}

fn by_provider(kind: ErrorKind) -> (Class, &'static str, &'static str) {
    match kind {
        ErrorKind::Throttled => (
            Class::Unavailable,
            "provider_throttled",
            "try again a little later; somebody uses up what the provider allows",
        ),
        ErrorKind::Denied => (
            Class::Unavailable,
            "provider_denied",
            "`pointsman doctor ACCOUNT` shows what the server needs; give it that, and try again",
        ),
        ErrorKind::Missing | ErrorKind::Invalid => (
            Class::Conflict,
            "provider_refused",
            "correct what is named, in the manifest or at the provider, and try again",
        ),
        ErrorKind::NotOffered => (
            Class::Conflict,
            "not_offered",
            "use what the provider of that account offers, or another account",
        ),
        ErrorKind::Unavailable | ErrorKind::Superseded => (
            Class::Unavailable,
            "provider_unavailable",
            "try again; if it stays, ask `pointsman doctor ACCOUNT` for a group on AWS, and `local.log` in the state folder of the one-machine cloud for others",
        ),
    }
}

fn failing(failing: Failing) -> (Class, &'static str, &'static str) {
    match failing {
        Failing::ForNow => (
            Class::Unavailable,
            "store_unavailable",
            "try again; if it stays, look into the server's log",
        ),
        Failing::ForGood => (
            Class::Internal,
            "internal",
            "look into the server's log; nothing was half done",
        ),
    }
}

fn command_code(refused: &CommandRefused) -> &'static str {
    match refused {
        CommandRefused::Finished => "deployment_finished",
        CommandRefused::AlreadyPaused => "already_paused",
        CommandRefused::NotPausable => "not_pausable",
        CommandRefused::NotPaused => "not_paused",
        CommandRefused::AlreadyRollingBack => "already_rolling_back",
        CommandRefused::NothingToApprove => "nothing_to_approve",
        CommandRefused::NotByRequester { .. } => "not_by_requester",
        CommandRefused::NothingToPromote => "nothing_to_promote",
        CommandRefused::ApprovalFirst => "approval_first",
    }
}
