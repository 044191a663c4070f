//! The engine's ports in the simulation: each call takes a moment, and may go wrong.

mod journal;

pub use journal::SimJournal;

use std::{
    collections::{BTreeSet, VecDeque},
    future::{Future, pending},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use domain::{
    deployment::Deployment,
    effect::{Effect, Target, Token},
    gate::{Gate, Said},
    observation::Observation,
    slice::Slice,
    time::UnixMs,
};
use fastrand::Rng;

use super::{TICK_MS, story::Story};
use crate::{
    ports::{Clock, ErrorKind, Probe, Provider, ProviderError},
    testing::{
        cloud::Cloud,
        faults::{Faults, happens},
        journal::MemoryJournal,
    },
};

/// Longest delay of a request under way, in milliseconds. Far below lease and decision age.
pub const DELAY_MS_MAX: u64 = 3000;

/// All that engines, person and checker share.
#[derive(Debug)]
pub struct Shared {
    /// The journal, without faults: for person and checker.
    pub journal: MemoryJournal,
    world: Mutex<SimWorld>,
}

/// The world behind the ports.
#[derive(Debug)]
pub struct SimWorld {
    /// The server group.
    pub cloud: Cloud,
    /// Virtual time, which the cloud goes by.
    pub now: UnixMs,
    /// How far the wall clock of the engines is off, in milliseconds: somebody sets it.
    pub clock_off_ms: i64,
    /// How old an observation may be, in milliseconds.
    pub stale_ms: u64,
    /// Requests that AWS would have refused: the engine must never make one.
    pub refused: Vec<String>,
    /// Weights that were asked for a slice without a healthy instance.
    pub unserved: Vec<String>,
    /// When somebody else split the users last.
    pub meddled: Option<UnixMs>,
    /// What checks outside say.
    pub outside_is_good: bool,
    /// How long ago a loss may be that an engine need not know of, in milliseconds.
    pub excuse_ms: u64,
    /// The largest Desired that an engine asked for since the checker looked.
    pub asked_max: u32,
    faults: Faults,
    history: VecDeque<Observation>,
    fence: Option<Token>,
    fenced: bool,
    crashed: BTreeSet<usize>,
    calls: u64,
    rng: Rng,
}

impl Shared {
    /// The world at the beginning of a story.
    #[must_use]
    pub fn new(story: &Story, rng: Rng) -> Self {
        let world = SimWorld {
            cloud: story.cloud(),
            now: UnixMs(0),
            clock_off_ms: 0,
            stale_ms: story.stale_ms,
            refused: Vec::new(),
            unserved: Vec::new(),
            meddled: None,
            outside_is_good: story.outside_is_good,
            excuse_ms: story.excuse_ms(),
            asked_max: 0,
            faults: story.faults,
            history: VecDeque::new(),
            fence: None,
            fenced: story.fenced,
            crashed: BTreeSet::new(),
            calls: 0,
            rng,
        };
        Self {
            journal: MemoryJournal::default(),
            world: Mutex::new(world),
        }
    }

    /// Works on the world.
    pub fn with<T>(&self, work: impl FnOnce(&mut SimWorld) -> T) -> T {
        work(&mut self.world())
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.world().now.since_ms(UnixMs(0))
    }
    pub(super) fn calls(&self) -> u64 {
        self.world().calls
    }
    pub(super) fn set_faults(&self, faults: Faults) {
        self.world().faults = faults;
    }
    pub(super) fn take_crash(&self, engine: usize) -> bool {
        self.world().crashed.remove(&engine)
    }

    /// One tick later: the cloud lives on, things get lost, and a snapshot is kept for stale looks.
    pub(super) fn advance(&self, rng: &mut Rng) {
        let mut world = self.world();
        world.now = world.now.plus_ms(TICK_MS);
        let now = world.now;
        world.cloud.tick(now);
        let faults = world.faults;
        for asg in world.cloud.slices.values_mut() {
            let members = asg.group.members.len();
            if members > 0 && happens(rng, faults.instance_lost) {
                asg.lose(rng.usize(..members), now);
            } else if members > 0 && happens(rng, faults.instance_ill) {
                asg.sicken(rng.usize(..members), now);
            } else if members > 0 && happens(rng, faults.instance_leaves) {
                asg.leave(rng.usize(..members), now);
            }
            if happens(rng, faults.autoscale) {
                asg.autoscale(rng.i64(-2..=2));
            }
        }
        if happens(rng, faults.meddle) && world.cloud.meddle() {
            world.meddled = Some(now);
        }
        if happens(rng, faults.clock_set) {
            let by_ms = *rng
                .choice(&[3000, 5000, 60_000, 7_200_000])
                .unwrap_or(&5000);
            world.clock_off_ms += if rng.bool() { by_ms } else { -by_ms };
        }
        if world.stale_ms > 0 {
            let look = world.cloud.look(now);
            world.history.push_front(look);
            let keep = usize::try_from(world.stale_ms / TICK_MS).unwrap_or(1);
            world.history.truncate(keep);
        }
    }

    fn world(&self) -> MutexGuard<'_, SimWorld> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What happens to one port call.
enum Fate {
    Fine,
    DiesBefore,
    DiesAfter,
    Lost,
    ReplyLost,
    Throttled,
    Denied,
}

impl SimWorld {
    fn provider_fate(&mut self) -> Fate {
        self.calls += 1;
        let (faults, rng) = (self.faults, &mut self.rng);
        if happens(rng, faults.crash) {
            return if rng.bool() {
                Fate::DiesBefore
            } else {
                Fate::DiesAfter
            };
        }
        let fates = [
            (faults.lost_request, Fate::Lost),
            (faults.lost_reply, Fate::ReplyLost),
            (faults.throttled, Fate::Throttled),
            (faults.denied, Fate::Denied),
        ];
        fates
            .into_iter()
            .find(|(chance, _)| happens(rng, *chance))
            .map_or(Fate::Fine, |(_, f)| f)
    }

    fn journal_fate(&mut self) -> Fate {
        self.calls += 1;
        let (faults, rng) = (self.faults, &mut self.rng);
        if happens(rng, faults.crash) {
            return if rng.bool() {
                Fate::DiesBefore
            } else {
                Fate::DiesAfter
            };
        }
        if happens(rng, faults.journal) {
            return if rng.bool() {
                Fate::Lost
            } else {
                Fate::ReplyLost
            };
        }
        Fate::Fine
    }

    fn observe(&mut self) -> Observation {
        let mut seen = self.cloud.look(self.now);
        if !self.history.is_empty() {
            seen = self.history[self.rng.usize(..self.history.len())].clone();
        }
        seen.stale_ms_max = self.stale_ms;
        seen
    }

    fn apply(&mut self, effect: &Effect, token: &Token) -> Result<(), ProviderError> {
        if self.fenced && self.fence.as_ref().is_some_and(|last| token < last) {
            return Err(ProviderError::new(
                ErrorKind::Superseded,
                "a newer token was accepted",
            ));
        }
        self.fence = Some(token.clone());
        if let Effect::SetSizes { sizes, .. } = effect {
            self.asked_max = self.asked_max.max(sizes.desired);
        }
        let now = self.now;
        if let Effect::SetTraffic { weights, .. } = effect {
            let before = self.cloud.weights.clone();
            let grows = |slice: &Slice| weights.share(*slice) > before.share(*slice);
            for slice in weights.served().filter(grows) {
                let asg = self.cloud.slice(slice);
                if asg.healthy() == 0 && !asg.lost_since(now, self.excuse_ms) {
                    self.unserved.push(format!(
                        "users are sent to {slice}, which has no healthy instance"
                    ));
                }
                if asg.group.sizes.desired == 0 {
                    self.unserved.push(format!(
                        "users are sent to {slice}, which is about to be empty"
                    ));
                }
            }
        }
        self.cloud.apply(effect, now).map_err(|message| {
            self.refused.push(message.clone());
            ProviderError::new(ErrorKind::Invalid, message)
        })
    }
}

/// One port call of `engine`: a moment passes, then its fate decides.
async fn call<T>(
    shared: &Shared,
    engine: usize,
    fate: impl FnOnce(&mut SimWorld) -> Fate,
    work: impl FnOnce(&mut SimWorld) -> T,
) -> Result<T, (ErrorKind, &'static str)> {
    Moment(false).await;
    let fate = shared.with(fate);
    let result = match fate {
        Fate::Fine => return Ok(shared.with(work)),
        Fate::Lost => return Err((ErrorKind::Unavailable, "the request was lost")),
        Fate::Throttled => return Err((ErrorKind::Throttled, "asked too often")),
        Fate::Denied => return Err((ErrorKind::Denied, "access denied")),
        Fate::ReplyLost => {
            shared.with(work);
            return Err((ErrorKind::Unavailable, "the reply was lost"));
        }
        Fate::DiesBefore => None,
        Fate::DiesAfter => Some(shared.with(work)),
    };
    drop(result);
    shared.with(|world| world.crashed.insert(engine));
    pending().await
}

/// Waits until `ms` of virtual time have passed.
pub(super) async fn pause(shared: &Arc<Shared>, ms: u64) {
    let until = shared.now_ms() + ms;
    while shared.now_ms() < until {
        Moment(false).await;
    }
}

/// Pending once: lets others go first.
struct Moment(bool);

impl Future for Moment {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        Poll::Pending
    }
}

/// The cloud, as one engine reaches it.
#[derive(Debug)]
pub struct SimProvider {
    pub(super) shared: Arc<Shared>,
    pub(super) engine: usize,
}

impl Provider for SimProvider {
    async fn observe(&self, _target: &Target) -> Result<Observation, ProviderError> {
        let seen = call(
            &self.shared,
            self.engine,
            SimWorld::provider_fate,
            SimWorld::observe,
        )
        .await;
        let frozen = self.shared.with(|world| {
            let chance = world.faults.freeze;
            happens(&mut world.rng, chance)
        });
        if frozen {
            pause(&self.shared, super::LEASE_MS * 2).await;
        }
        seen.map_err(|(kind, message)| ProviderError::new(kind, message))
    }

    async fn apply(
        &self,
        _target: &Target,
        effect: &Effect,
        token: &Token,
    ) -> Result<(), ProviderError> {
        let delay = self.shared.with(|world| {
            let slow = world.faults.lost_reply > 0 && world.rng.u32(0..4) == 0;
            if slow {
                world.rng.u64(0..DELAY_MS_MAX)
            } else {
                0
            }
        });
        pause(&self.shared, delay).await;
        call(
            &self.shared,
            self.engine,
            SimWorld::provider_fate,
            |world| world.apply(effect, token),
        )
        .await
        .map_err(|(kind, message)| ProviderError::new(kind, message))?
    }
}

/// The world outside, as gates reach it: what it says follows from the story.
#[derive(Debug)]
pub struct SimProbe {
    pub(super) shared: Arc<Shared>,
    pub(super) engine: usize,
}

impl Probe for SimProbe {
    async fn ask(&self, _deployment: &Deployment, _gate: &Gate) -> Said {
        let answer = call(
            &self.shared,
            self.engine,
            SimWorld::provider_fate,
            |world| world.outside_is_good,
        );
        let (text, value) = (String::new(), None);
        match answer.await {
            Ok(true) => Said::Good { text, value },
            Ok(false) => Said::Bad { text, value },
            Err((_, message)) => Said::Nothing {
                text: message.to_owned(),
            },
        }
    }
}

/// The virtual clock.
#[derive(Debug)]
pub struct SimClock {
    pub(super) shared: Arc<Shared>,
}

impl Clock for SimClock {
    fn now(&self) -> UnixMs {
        self.shared
            .with(|world| UnixMs(world.now.0 + world.clock_off_ms))
    }
    fn steady_ms(&self) -> u64 {
        self.shared.now_ms()
    }
}
