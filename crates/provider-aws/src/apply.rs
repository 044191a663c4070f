//! The engine's second verb: one idempotent request to AWS per effect.
//!
//! Invariant: no change is retried blindly. A request whose answer was lost is followed by a poll, and
//! the next turn asks again only for what is missing then.

mod change;
mod create;
mod group;
mod launch;
pub mod packages;
mod refresh;
mod script;
mod template_version;

use domain::{
    catalogue::AwsTraffic,
    effect::{Effect, Target},
    users::Weights,
};
use engine::ports::ProviderError;

use crate::{
    account::AwsAccount,
    apply::{change::Change, packages::Packages},
    calls::errors::invalid,
    traffic::{attachment, dns, listener},
};

/// Makes the request that `effect` is.
///
/// # Errors
/// When AWS refuses it or does not answer; it may have been carried out all the same.
pub async fn apply(
    account: &AwsAccount,
    packages: &Packages,
    target: &Target,
    effect: &Effect,
) -> Result<(), ProviderError> {
    let change = Change::new(account, packages, target)?;
    let clients = &*account.clients;
    let name = |slice| change.group_name(slice);
    match effect {
        Effect::SetLaunch { slice, launch } => launch::set(&change, *slice, launch.as_ref()).await,
        Effect::SetSizes { slice, sizes } => group::set_sizes(clients, &name(*slice), *sizes).await,
        Effect::SetBounds { slice, min, max } => {
            group::set_bounds(clients, &name(*slice), *min, *max).await
        }
        Effect::SetProtection {
            slice,
            instances,
            protected,
        } => group::protect(clients, &name(*slice), instances, *protected).await,
        Effect::SetRebalancing { slice, suspended } => {
            group::set_rebalancing(clients, &name(*slice), *suspended).await
        }
        Effect::Replace { instance, .. } => group::replace(clients, instance).await,
        Effect::StartRefresh {
            slice,
            launch,
            preferences,
        } => refresh::start(&change, *slice, launch, preferences).await,
        Effect::RollBackRefresh { slice } => refresh::roll_back(clients, &name(*slice)).await,
        Effect::CancelRefresh { slice } => refresh::cancel(clients, &name(*slice)).await,
        Effect::SetTraffic {
            mirror: Some(_), ..
        } => Err(invalid(
            "AWS's load balancers cannot mirror requests (dark traffic)",
        )),
        Effect::SetTraffic { weights, .. } => set_traffic(&change, weights).await,
    }
}

async fn set_traffic(change: &Change<'_>, weights: &Weights) -> Result<(), ProviderError> {
    let Change {
        account,
        target,
        aws,
        ..
    } = *change;
    let clients = &*account.clients;
    match &aws.traffic {
        // The only slice has the users of its target groups for as long as it runs something.
        AwsTraffic::Group => Ok(()),
        AwsTraffic::Listener { listener, rule } => {
            let arn = listener::arn(listener, rule.as_deref());
            listener::write(clients, target, aws, arn, weights).await
        }
        AwsTraffic::Dns {
            zone,
            name,
            identifiers,
        } => {
            let records = dns::Records::new(zone, name, identifiers);
            dns::write(
                clients,
                &account.dns_changes,
                &records,
                weights,
                account.now(),
            )
            .await
        }
        AwsTraffic::Attach { target_group } => {
            attachment::write(clients, target, aws, target_group, weights).await
        }
    }
}
