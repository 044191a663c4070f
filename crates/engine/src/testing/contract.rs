//! What every provider and every journal must do, as stories that any implementation can be put
//! through: the simulation, the one-machine cloud, AWS; memory, SQLite, PostgreSQL.
//!
//! Invariant: the simulation passes the same contract as what it stands in for.

use std::future::Future;

use domain::{
    deployment::Deployment,
    effect::{Effect, Target, Token},
    event,
    names::DeploymentId,
    observation::{InstanceId, Observation, Sizes, SliceSeen},
    release::{Launch, LaunchId},
    slice::Slice,
    time::UnixMs,
    users::{Split, Weights},
};

use crate::ports::{ErrorKind, Journal, LeaseSeen, Provider, Saved};

/// What a provider is put through the contract with.
pub trait ProviderStage: Sync {
    /// An empty server group of size 2, in at least two zones, with quick health checks.
    fn target(&self) -> Target;
    /// Two launches of releases that become healthy.
    fn launches(&self) -> [Launch; 2];
    /// Lets a little time pass.
    fn moment(&self) -> impl Future<Output = ()> + Send;
    /// How many moments any effect may take until it is seen.
    fn patience(&self) -> u32;
}

/// Puts a provider through the contract.
///
/// # Panics
/// With a sentence, when the provider breaks it.
pub async fn provider_contract<P: Provider, S: ProviderStage>(provider: &P, stage: &S) {
    let story = Provided {
        provider,
        stage,
        target: stage.target(),
    };
    let [one, two] = stage.launches();
    story.starts_what_is_asked(&one).await;
    story.bounds_leave_desired_alone().await;
    story.serves_the_weights_that_were_asked().await;
    story
        .keeps_what_runs_when_the_launch_changes(&one, &two)
        .await;
    story.sheds_only_what_is_not_protected(&one, &two).await;
    story.replaces_one_instance(&two).await;
    story.refuses_or_ignores_nothing_by_asking_twice(&two).await;
    story.empties(&two).await;
}

struct Provided<'a, P, S> {
    provider: &'a P,
    stage: &'a S,
    target: Target,
}

const SLICE: Slice = Slice::Blue;

impl<P: Provider, S: ProviderStage> Provided<'_, P, S> {
    async fn apply(&self, effect: Effect, version: u64) {
        let token = Token {
            deployment: DeploymentId("contract".to_owned()),
            version,
        };
        let result = self.provider.apply(&self.target, &effect, &token).await;
        result.unwrap_or_else(|error| panic!("{effect} was refused: {error}"));
    }

    async fn sizes(&self, desired: u32, max: u32, version: u64) {
        let sizes = Sizes {
            min: desired,
            desired,
            max,
        };
        self.apply(
            Effect::SetSizes {
                slice: SLICE,
                sizes,
            },
            version,
        )
        .await;
    }

    /// Looks until `right` holds, as often as the stage is patient.
    async fn until(
        &self,
        what: &str,
        right: impl Fn(&Observation, &SliceSeen) -> bool,
    ) -> SliceSeen {
        let mut last = None;
        for _ in 0..self.stage.patience() {
            match self.provider.observe(&self.target).await {
                Ok(seen) => {
                    let slice = seen.slice(SLICE);
                    if right(&seen, slice) {
                        return slice.clone();
                    }
                    last = Some(seen);
                }
                Err(error) => assert!(error.kind.is_transient(), "{what}: {error}"),
            }
            self.stage.moment().await;
        }
        panic!("{what}: not seen in time; last seen: {last:#?}");
    }

    async fn starts_what_is_asked(&self, one: &Launch) {
        self.until("a group that was never used is empty", |seen, slice| {
            slice.instances.is_empty() && seen.weights.served().next().is_none()
        })
        .await;
        self.apply(
            Effect::SetLaunch {
                slice: SLICE,
                launch: Some(one.clone()),
            },
            1,
        )
        .await;
        self.sizes(2, 2, 2).await;
        let slice = self
            .until("two healthy instances of what was launched", |_, slice| {
                slice.staying_of(&one.id) == 2 && slice.sizes.desired == 2
            })
            .await;
        assert_eq!(
            slice.launches.as_ref(),
            Some(one),
            "the launch is shown as it was set"
        );
        let zones = (&slice.instances[0].zone, &slice.instances[1].zone);
        assert_ne!(zones.0, zones.1, "instances are spread over zones");
    }

    async fn serves_the_weights_that_were_asked(&self) {
        let weights = Weights::all_on(SLICE);
        self.apply(Split::from(weights.clone()).into(), 3).await;
        self.until("routers serve the weights", |seen, _| {
            seen.weights == weights
        })
        .await;
    }

    async fn keeps_what_runs_when_the_launch_changes(&self, one: &Launch, two: &Launch) {
        self.apply(
            Effect::SetLaunch {
                slice: SLICE,
                launch: Some(two.clone()),
            },
            4,
        )
        .await;
        self.apply(
            Effect::SetRebalancing {
                slice: SLICE,
                suspended: true,
            },
            5,
        )
        .await;
        self.sizes(4, 4, 6).await;
        self.until("two of each, and rebalancing off", |_, slice| {
            slice.rebalancing_suspended
                && slice.staying_of(&one.id) == 2
                && slice.staying_of(&two.id) == 2
        })
        .await;
    }

    /// Bounds leave Desired alone, so that what the group's own scaling does meanwhile stays.
    async fn bounds_leave_desired_alone(&self) {
        let slice = SLICE;
        for (min, max) in [(1, 3), (2, 2)] {
            self.apply(Effect::SetBounds { slice, min, max }, 2).await;
            let desired = 2;
            self.until("sizes within the new bounds", |_, seen| {
                seen.sizes == Sizes { min, desired, max }
            })
            .await;
        }
    }

    async fn sheds_only_what_is_not_protected(&self, one: &Launch, two: &Launch) {
        let seen = self.until("a look", |_, slice| slice.healthy() == 4).await;
        let instances: Vec<InstanceId> = seen
            .present_of(&two.id)
            .map(|instance| instance.id.clone())
            .collect();
        let protect = Effect::SetProtection {
            slice: SLICE,
            instances,
            protected: true,
        };
        self.apply(protect, 7).await;
        self.until("the new ones are protected", |_, slice| {
            slice.present_of(&two.id).all(|instance| instance.protected)
        })
        .await;
        self.sizes(2, 4, 8).await;
        self.until("only the protected ones are left", |_, slice| {
            slice.instances.len() == 2
                && slice.staying_of(&two.id) == 2
                && slice.present_of(&one.id).next().is_none()
        })
        .await;
    }

    async fn replaces_one_instance(&self, two: &Launch) {
        let seen = self.until("a look", |_, slice| slice.healthy() == 2).await;
        let old = seen.instances[0].id.clone();
        self.apply(
            Effect::Replace {
                slice: SLICE,
                instance: old.clone(),
            },
            9,
        )
        .await;
        self.until("another instance in its place", |_, slice| {
            slice.staying_of(&two.id) == 2 && slice.instances.iter().all(|i| i.id != old)
        })
        .await;
    }

    async fn refuses_or_ignores_nothing_by_asking_twice(&self, two: &Launch) {
        let before = self.until("a look", |_, slice| slice.healthy() == 2).await;
        for _ in 0..2 {
            self.sizes(2, 4, 10).await;
            self.apply(
                Effect::SetLaunch {
                    slice: SLICE,
                    launch: Some(two.clone()),
                },
                10,
            )
            .await;
        }
        let after = self.until("a look", |_, slice| slice.healthy() == 2).await;
        assert_eq!(
            before.instances, after.instances,
            "asking twice changes nothing"
        );
        let late = Token {
            deployment: DeploymentId("contract".to_owned()),
            version: 1,
        };
        let same = Effect::SetRebalancing {
            slice: SLICE,
            suspended: true,
        };
        if let Err(error) = self.provider.apply(&self.target, &same, &late).await {
            assert_eq!(error.kind, ErrorKind::Superseded, "an old token: {error}");
        }
    }

    async fn empties(&self, two: &Launch) {
        let seen = self.until("a look", |_, slice| slice.healthy() == 2).await;
        let instances: Vec<InstanceId> = seen.instances.iter().map(|i| i.id.clone()).collect();
        self.apply(
            Effect::SetProtection {
                slice: SLICE,
                instances,
                protected: false,
            },
            11,
        )
        .await;
        self.apply(
            Effect::SetRebalancing {
                slice: SLICE,
                suspended: false,
            },
            12,
        )
        .await;
        self.apply(Split::from(Weights::default()).into(), 13).await;
        self.sizes(0, 0, 14).await;
        self.until("nothing is left", |_, slice| {
            slice.instances.is_empty()
                && slice.sizes == Sizes::default()
                && slice.launches.as_ref().map(|l| &l.id) == Some(&two.id)
        })
        .await;
        self.apply(
            Effect::SetLaunch {
                slice: SLICE,
                launch: None,
            },
            15,
        )
        .await;
        self.until("nothing is launched any more", |_, slice| {
            slice.launches.is_none()
        })
        .await;
    }
}

/// Puts a journal through the contract. `deployment` was begun in it and not touched since.
///
/// # Panics
/// With a sentence, when the journal breaks it.
pub async fn journal_contract<J: Journal>(journal: &J, deployment: &Deployment) {
    let id = &deployment.id;
    let at = |ms| UnixMs(1_000_000).plus_ms(ms);
    let claim = |engine: &'static str, abandoned: Vec<LeaseSeen>| async move {
        let claims = journal.claim(engine, &abandoned, at(0), 100).await;
        let claims = claims.expect("claim works");
        let seen = claims.held.into_iter().find(|seen| seen.deployment == *id);
        let taken = claims.taken.into_iter().find(|it| it.id == *id);
        (taken, seen.expect("a lease that is held is shown"))
    };
    let renew = |engine: &'static str| async move {
        let renewed = journal.renew(engine, id, at(900)).await;
        renewed.expect("renew works")
    };

    let (first, at_first) = claim("a", vec![]).await;
    assert_eq!(
        first.as_ref(),
        Some(deployment),
        "an unfinished deployment can be claimed, and the record comes back as it was stored"
    );
    let (taken, still) = claim("b", vec![]).await;
    assert_eq!(taken, None, "a lease is held by one engine");
    assert_eq!(still, at_first, "looking at a lease does not move it");
    assert_eq!(
        renew("a").await.as_ref(),
        Some(deployment),
        "the holder can renew"
    );
    let (taken, at_second) = claim("b", vec![at_first]).await;
    assert_eq!(
        taken, None,
        "a renewed lease is not the one that stood still"
    );
    assert_eq!(renew("b").await, None, "only the holder renews");

    let next = saved_once(journal, deployment).await;
    let (taken, at_third) = claim("b", vec![at_second.clone()]).await;
    assert_eq!(
        taken,
        Some(next),
        "a lease that stood still is taken over, and the new holder sees what was saved"
    );
    assert!(at_third.beat > at_second.beat, "beats only grow");
    assert_eq!(
        renew("a").await,
        None,
        "whoever lost a lease cannot renew it"
    );
    let release = |engine: &'static str| async move {
        let released = journal.release(engine, id).await;
        released.expect("release works, also of what is not held");
    };
    release("a").await;
    assert_eq!(
        claim("c", vec![at_second]).await.0,
        None,
        "the lease is still held by b"
    );
    release("b").await;
    let (taken, at_last) = claim("c", vec![]).await;
    assert!(taken.is_some(), "a released lease can be claimed");
    assert!(at_last.beat > at_third.beat, "beats only grow");
}

/// Saves the next version of `deployment`, which is then stored, and only once.
async fn saved_once<J: Journal>(journal: &J, deployment: &Deployment) -> Deployment {
    let mut next = deployment.clone();
    next.version += 1;
    next.effects_spent += 1;
    let events = [event::of_request(deployment)];
    let saved = journal.save(&next, &events).await.expect("save works");
    assert_eq!(saved, Saved::Stored, "the next version is stored");
    let again = journal.save(&next, &events).await.expect("save works");
    assert_eq!(
        again,
        Saved::Superseded,
        "the same version is not stored twice"
    );
    next
}

/// A launch for contracts and tests: `id` and `version` as given.
#[must_use]
pub fn launch(id: &str, version: &str, digest: domain::release::Digest) -> Launch {
    let version = version.parse().expect("tests use valid versions");
    Launch {
        id: LaunchId(id.to_owned()),
        version,
        content: domain::release::Content::package(digest),
    }
}
