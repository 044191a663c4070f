//! What every face says about an error: its class, its stable code, and what to do next.
//!
//! Invariant: a code, once published, keeps its meaning; programs depend on it.

use domain::{access::Missing, deployment::CommandRefused};
use engine::ports::ErrorKind;

use super::{Error, Failing};
use crate::sign_in::SignInRefused;

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
    /// Nobody is known who asks.
    Unauthenticated,
    /// Too many attempts.
    TooOften,
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
            "check the name; the list of this kind shows what exists",
        ),
        Error::Denied(denied) => not_allowed(denied.missing),
        Error::SignIn(refused) => not_signed_in(*refused),
        Error::NotRecent => (
            C::Denied,
            "not_recent",
            "open the form again, which asks for your password; without one, sign in again",
        ),
        Error::LastAdmin(_) => (
            C::Conflict,
            "last_admin",
            "grant the role `admin` to somebody else first",
        ),
        Error::Exists { .. } => (
            C::Conflict,
            "exists",
            "remove the existing one first, or choose another name",
        ),
        Error::Invalid { .. } => (
            C::Invalid,
            "invalid",
            "correct the listed fields and retry; nothing was stored",
        ),
        Error::TooLarge { .. } => (C::TooLarge, "too_large", "send a smaller request"),
        Error::BrokenOff { .. } => (C::Malformed, "upload_broken_off", "retry the upload"),
        Error::Refused(_) => (C::Conflict, "refused", ""),
        Error::Command(refused) => (C::Conflict, command_code(refused), ""),
        Error::PlanChanged { .. } => (
            C::Conflict,
            "plan_changed",
            "read the deployment again, then approve its current plan",
        ),
        Error::NothingBefore { .. } => (
            C::Conflict,
            "nothing_to_roll_back_to",
            "deploy the release that you want, by its version",
        ),
        Error::ReleaseConflict(_) => (
            C::Conflict,
            "release_conflict",
            "releases are immutable; create a new version for the new content",
        ),
        Error::Changed { .. } => (C::Changed, "changed", "read it again, then decide"),
        Error::Referenced { .. } => (
            C::Conflict,
            "still_referenced",
            "first remove or change the entries that refer to it",
        ),
        Error::Busy { .. } => (C::Unavailable, "busy", "retry a little later"),
        Error::NoLogs { .. } => (
            C::Unknown,
            "no_logs",
            "logs are available for services on this machine; instances on AWS send theirs with an agent of their own",
        ),
        Error::NoPasses { .. } => (
            C::Unknown,
            "no_passes",
            "passes work for slices on this machine that run something; see `pointsman slices`",
        ),
        Error::Provider(error) => by_provider(error.kind),
        Error::Store(_) | Error::Disk { .. } | Error::Internal { .. } => failing(error.failing()),
    }
}

fn not_allowed(missing: Missing) -> (Class, &'static str, &'static str) {
    match missing {
        Missing::Credential => (Class::Unauthenticated, "unauthenticated", "sign in again"),
        Missing::Grant | Missing::Reach => (Class::Denied, "denied", ""),
    }
}

fn not_signed_in(refused: SignInRefused) -> (Class, &'static str, &'static str) {
    match refused {
        SignInRefused::Wrong => (Class::Unauthenticated, "sign_in_refused", ""),
        SignInRefused::TooOften { .. } => {
            (Class::TooOften, "too_many_attempts", "wait, then retry")
        }
        SignInRefused::Busy => (Class::Unavailable, "busy", "retry a little later"),
        SignInRefused::ByProvider(refused) => (Class::Unauthenticated, refused.code(), ""),
    }
}

fn by_provider(kind: ErrorKind) -> (Class, &'static str, &'static str) {
    match kind {
        ErrorKind::Throttled => (
            Class::Unavailable,
            "provider_throttled",
            "retry a little later; the provider's request limit is used up",
        ),
        ErrorKind::Denied => (
            Class::Unavailable,
            "provider_denied",
            "grant the rights that `pointsman doctor ACCOUNT` lists, then retry",
        ),
        ErrorKind::Missing | ErrorKind::Invalid => (
            Class::Conflict,
            "provider_refused",
            "correct the manifest or the resource at the provider, then retry",
        ),
        ErrorKind::NotOffered => (
            Class::Conflict,
            "not_offered",
            "use what the provider of that account offers, or another account",
        ),
        ErrorKind::Unavailable | ErrorKind::Superseded => (
            Class::Unavailable,
            "provider_unavailable",
            "retry; if it persists, run `pointsman doctor ACCOUNT` for a group on AWS, or see `local.log` in the state folder of the one-machine cloud",
        ),
    }
}

fn failing(failing: Failing) -> (Class, &'static str, &'static str) {
    match failing {
        Failing::ForNow => (
            Class::Unavailable,
            "store_unavailable",
            "retry; if it persists, see the server log",
        ),
        Failing::ForGood => (
            Class::Internal,
            "internal",
            "see the server log; no partial change was made",
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
