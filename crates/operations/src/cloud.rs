//! What operations ask of the place that a server group lives at: the engine's two verbs, and those of
//! people.
//!
//! Invariant: operations own this trait and provider crates implement it; nothing here knows a provider.
//! A verb that a provider does not have needs no code there: its default answer is "not offered there".

use std::{future::ready, io};

use bytes::Bytes;
use domain::{
    catalogue::{Account, Adopted},
    checkup::Check,
    effect::{Effect, Target, Token},
    gate::{Gate, Said},
    image::{ImageState, Listed, Running},
    names::{DeploymentId, Place},
    observation::{InstanceId, Observation},
    release::{Digest, ImageId},
    slice::Slice,
    time::UnixMs,
};
use engine::ports::{ErrorKind, Provider, ProviderError};
use futures_util::{future::BoxFuture, stream::BoxStream};
use serde_json::Value;

/// What a provider answers, boxed so that providers can be kept behind one kind of pointer.
pub type Answered<'a, T> = BoxFuture<'a, Result<T, ProviderError>>;

/// The engine's [`Provider`] behind a pointer; every provider has it.
pub trait DynProvider: Send + Sync {
    /// [`Provider::observe`].
    fn observe_boxed<'a>(&'a self, target: &'a Target) -> Answered<'a, Observation>;

    /// [`Provider::apply`].
    fn apply_boxed<'a>(
        &'a self,
        target: &'a Target,
        effect: &'a Effect,
        token: &'a Token,
    ) -> Answered<'a, ()>;
}

impl<P: Provider> DynProvider for P {
    fn observe_boxed<'a>(&'a self, target: &'a Target) -> Answered<'a, Observation> {
        Box::pin(self.observe(target))
    }

    fn apply_boxed<'a>(
        &'a self,
        target: &'a Target,
        effect: &'a Effect,
        token: &'a Token,
    ) -> Answered<'a, ()> {
        Box::pin(self.apply(target, effect, token))
    }
}

/// A place that server groups live at.
///
/// An error of kind [`ErrorKind::NotOffered`] says that the provider has no such verb, for this target or
/// at all; every other error is the provider's own.
pub trait Cloud: DynProvider {
    /// Where users reach a service, if the provider knows.
    fn url(&self, _target: &Target) -> Option<String> {
        None
    }

    /// What `deployment` cost in calls so far, where they are counted and still known.
    fn calls(&self, _target: &Target, _deployment: &DeploymentId) -> Option<Calls> {
        None
    }

    /// Logs of the instances of a place.
    fn logs<'a>(&'a self, target: &'a Target, _query: LogQuery) -> Answered<'a, LogText> {
        refuse(not_offered_for(target, "logs are"))
    }

    /// A pass that lets a tester into one slice for so many seconds.
    fn pass<'a>(&'a self, target: &'a Target, _slice: Slice, _seconds: u32) -> Answered<'a, Pass> {
        refuse(not_offered_for(target, "passes are"))
    }

    /// Asks the question of a gate about what runs in `slice`.
    fn ask<'a>(&'a self, target: &'a Target, _slice: Slice, _gate: &'a Gate) -> Answered<'a, Said> {
        refuse(not_offered_for(target, "answers to gates are"))
    }

    /// Checks everything that deployments to these groups of `account` depend on. Changes nothing.
    fn checkup<'a>(
        &'a self,
        account: &'a Account,
        _targets: &'a [Target],
    ) -> Answered<'a, Vec<Check>> {
        refuse(not_offered_in(account, "a check-up is"))
    }

    /// The least permissions that Pointsman needs in `account`, in the provider's own format.
    fn policy<'a>(&'a self, account: &'a Account) -> Answered<'a, Value> {
        refuse(not_offered_in(account, "a policy of permissions is"))
    }

    /// The manifest of a server group at `place` that adopts these groups of `account`.
    fn import<'a>(
        &'a self,
        account: &'a Account,
        _place: &'a Place,
        _groups: &'a [String],
    ) -> Answered<'a, Adopted> {
        refuse(not_offered_in(account, "an import of groups is"))
    }

    /// Brings a package to where instances of `account` will fetch it.
    fn bring<'a>(&'a self, account: &'a Account, _digest: &'a Digest) -> Answered<'a, ()> {
        refuse(not_offered_in(account, "a store for packages is"))
    }

    /// The machine images of `account`.
    fn images<'a>(&'a self, account: &'a Account) -> Answered<'a, Listed> {
        refuse(not_offered_in(account, "machine images are"))
    }

    /// Whether machines can be started from `image` in `account`.
    fn image_state<'a>(
        &'a self,
        account: &'a Account,
        _image: &'a ImageId,
    ) -> Answered<'a, ImageState> {
        refuse(not_offered_in(account, "machine images are"))
    }

    /// The images that these slices run on, in the order of the question. All are in `account`.
    fn running_images<'a>(
        &'a self,
        account: &'a Account,
        _slices: &'a [(Target, Slice)],
    ) -> Answered<'a, Vec<Running>> {
        refuse(not_offered_in(account, "machine images are"))
    }
}

/// Which lines of which instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// Only of this instance.
    pub instance: Option<InstanceId>,
    /// How many lines from the past.
    pub lines: u32,
    /// Go on with what comes.
    pub follow: bool,
}

/// Logs as they come; lines are whole.
pub type LogText = BoxStream<'static, io::Result<Bytes>>;

/// A pass for testers.
#[derive(Clone)]
pub struct Pass {
    /// To be sent as header `x-pointsman-pass` or as cookie `pointsman-pass`.
    pub token: String,
    /// Which slice it leads to.
    pub slice: Slice,
    /// When it ends.
    pub expires: UnixMs,
}

/// What a deployment cost in calls to its provider.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calls {
    /// For its own requests.
    pub changes: u64,
    /// Its share of the looks that it had in common with others.
    pub looks: f64,
}

/// Says that something is not offered where `target` lives; `what` ends with its verb, such as "logs are".
#[must_use]
pub fn not_offered_for(target: &Target, what: &str) -> ProviderError {
    match &target.account {
        Some(account) => not_offered_in(account, what),
        None => {
            let whereabouts = target.group.home().provider().whereabouts();
            not_offered(what, &format!("{} is {whereabouts}", target.place))
        }
    }
}

/// Says that something is not offered in `account`; `what` ends with its verb, such as "images are".
#[must_use]
pub fn not_offered_in(account: &Account, what: &str) -> ProviderError {
    let whereabouts = account.provider.whereabouts();
    not_offered(
        what,
        &format!("the account {} is {whereabouts}", account.name),
    )
}

fn not_offered(what: &str, why: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::NotOffered,
        format!("{what} not offered there: {why}"),
    )
}

fn refuse<'a, T: Send + 'a>(error: ProviderError) -> Answered<'a, T> {
    Box::pin(ready(Err(error)))
}
