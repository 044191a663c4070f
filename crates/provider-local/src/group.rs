//! A server group as a value: what was asked for, what runs, and what should happen next.
//!
//! Invariant: pure. Nothing here starts or stops a process; [`Slot::next`] only says what should
//! happen, and the supervisor does it.

mod check;
mod refusal;
mod slot;

use std::collections::BTreeMap;

use domain::{
    catalogue::ServerGroup,
    effect::{Effect, Token},
    names::Place,
    observation::{InstanceId, Observation},
    slice::Slice,
    time::UnixMs,
    traffic::Mirror,
    users::Weights,
};
use serde::{Deserialize, Serialize};

pub use self::{
    refusal::Refusal,
    slot::{Member, Next, ProcessId, SLICE_SIZE_MAX, Slot},
};

/// A server group: what was asked for, and what runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The service and its environment.
    pub place: Place,
    /// The settings that came with the last request.
    pub settings: ServerGroup,
    /// The newest token that was accepted.
    pub fence: Option<Token>,
    /// How users are split.
    pub weights: Weights,
    /// The dark traffic, if any was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
    /// The user of its instances, and their group, where each server group has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<u32>,
    /// All slices that were ever used.
    pub slices: BTreeMap<Slice, Slot>,
}

impl Group {
    /// A group without instances.
    #[must_use]
    pub fn new(place: Place, settings: ServerGroup) -> Self {
        let (weights, slices) = (Weights::default(), BTreeMap::new());
        Self {
            place,
            settings,
            fence: None,
            weights,
            mirror: None,
            user: None,
            slices,
        }
    }

    /// Accepts a request; [`Slot::next`] says what follows from it. Returns the instance to stop at
    /// once, if the request names one.
    ///
    /// # Errors When the token is older than one accepted before, or the request is invalid.
    /// Nothing is changed then.
    pub fn apply(
        &mut self,
        settings: &ServerGroup,
        effect: &Effect,
        token: &Token,
    ) -> Result<Option<InstanceId>, Refusal> {
        if let Some(newest) = self.fence.as_ref().filter(|newest| token < newest) {
            return Err(Refusal::Superseded {
                newest: newest.clone(),
                token: token.clone(),
            });
        }
        check::check(effect)?;
        self.fence = Some(token.clone());
        self.settings = settings.clone();
        match effect {
            Effect::SetLaunch { slice, launch } => {
                let slot = self.slices.entry(*slice).or_default();
                if slot.launches != *launch {
                    slot.launches.clone_from(launch);
                    slot.all_is_well();
                }
            }
            Effect::SetSizes { slice, sizes } => {
                self.slices.entry(*slice).or_default().sizes = *sizes;
            }
            Effect::SetBounds { slice, min, max } => {
                let sizes = &mut self.slices.entry(*slice).or_default().sizes;
                *sizes = sizes.within(*min, *max);
            }
            Effect::SetProtection {
                slice,
                instances,
                protected,
            } => {
                let slot = self.slices.entry(*slice).or_default();
                for member in slot
                    .members
                    .iter_mut()
                    .filter(|m| instances.contains(&m.id))
                {
                    member.protected = *protected;
                }
            }
            Effect::SetRebalancing { slice, suspended } => {
                self.slices.entry(*slice).or_default().rebalancing_suspended = *suspended;
            }
            Effect::Replace { slice, instance } => {
                let slot = self.slices.entry(*slice).or_default();
                let there = slot.member(instance).is_some_and(|m| m.state.is_present());
                return Ok(there.then(|| instance.clone()));
            }
            // The check refuses to start a refresh, so none is under way.
            Effect::StartRefresh { .. }
            | Effect::RollBackRefresh { .. }
            | Effect::CancelRefresh { .. } => {}
            Effect::SetTraffic { weights, mirror } => {
                self.weights.clone_from(weights);
                self.mirror.clone_from(mirror);
            }
        }
        Ok(None)
    }

    /// The observation of the group at the time `now`, without traffic and mirror.
    #[must_use]
    pub fn look(&self, now: UnixMs) -> Observation {
        let slices = self
            .slices
            .iter()
            .map(|(slice, slot)| (*slice, slot.look()))
            .collect();
        Observation {
            at: now,
            stale_ms_max: 0,
            weights_stale_ms_max: 0,
            slices,
            weights: self.weights.clone(),
            ..Observation::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::observation::Sizes;

    use super::*;

    #[test]
    fn old_tokens_and_senseless_sizes_change_nothing() {
        let settings: ServerGroup =
            serde_json::from_str(r#"{"service":"cart","environment":"live","size":2}"#).unwrap();
        let mut group = Group::new(settings.place(), settings.clone());
        let token = |version| Token {
            deployment: domain::names::DeploymentId("d".into()),
            version,
        };
        let sizes = |min, desired, max| Effect::SetSizes {
            slice: Slice::Blue,
            sizes: Sizes { min, desired, max },
        };
        assert_eq!(group.apply(&settings, &sizes(2, 2, 2), &token(5)), Ok(None));
        let before = group.clone();
        assert!(matches!(
            group.apply(&settings, &sizes(9, 9, 9), &token(4)),
            Err(Refusal::Superseded { .. })
        ));
        assert!(matches!(
            group.apply(&settings, &sizes(3, 2, 2), &token(6)),
            Err(Refusal::Invalid(_))
        ));
        assert!(matches!(
            group.apply(&settings, &sizes(0, 501, 501), &token(6)),
            Err(Refusal::Invalid(_))
        ));
        assert_eq!(group, before);
    }
}
