//! Drives all unfinished deployments: claims them, and takes turns with each until it ends.
//!
//! Invariants:
//! - a wake-up carries no data, it only says "look now"; losing one costs a little time, nothing else;
//! - a deployment is driven only while its lease is held. It is prolonged beside turns that take long,
//!   and nothing is changed at a provider unless it was confirmed a moment ago (`lease`), so that
//!   another engine can take over soon after this one died or froze;
//! - what a poll costs does not grow with history: one observation, and a save only for a change.

use std::{convert::Infallible, fmt, future::Future, sync::Arc, time::Duration};

use domain::{
    deployment::Deployment, effect::Target, names::DeploymentId, observation::Observation,
};
use tokio::{sync::watch, task::JoinSet, time::Instant};

use crate::{
    lease::{Held, Hold, Leases, Sightings},
    ports::{Clock, Journal, JournalError, Probe, Provider, ProviderError},
    stopwatch::Stopwatch,
    turn::{Turned, World, turn},
};

/// How the runner goes about its work.
#[derive(Debug, Clone)]
pub struct RunnerConfig {
    /// Name of this engine, unique among all that share the journal.
    pub engine: String,
    /// How long a lease must stand still, by the clock of another engine, before that one takes it over;
    /// in milliseconds.
    pub lease_ms: u64,
    /// How often a lease is prolonged, and with it the record read again, in milliseconds.
    pub renew_ms: u64,
    /// Time between two looks at a deployment that waits, in milliseconds.
    pub poll_ms: u64,
    /// Longest time between two looks while the provider is in trouble, in milliseconds.
    pub backoff_ms_max: u64,
    /// Time between two looks for new deployments, in milliseconds.
    pub idle_ms: u64,
    /// Most deployments driven at once; others wait for a free place.
    pub concurrent_max: u32,
}

impl RunnerConfig {
    /// Settings for an engine of this name.
    #[must_use]
    pub fn named(engine: impl Into<String>) -> Self {
        Self {
            engine: engine.into(),
            lease_ms: 8000,
            renew_ms: 2000,
            poll_ms: 100,
            backoff_ms_max: 30_000,
            idle_ms: 1000,
            concurrent_max: 500,
        }
    }
}

/// Hears how each turn went, for those who count them. The next turn waits for it.
pub trait TurnMeter: fmt::Debug + Send + Sync {
    /// A turn came to `turned`, and took so long: the provider's answers and the save included.
    fn turned(&self, turned: &Result<Turned, JournalError>, took: Duration);
}

/// Nobody counts.
impl TurnMeter for () {
    fn turned(&self, _: &Result<Turned, JournalError>, _: Duration) {}
}

/// The running engine.
#[derive(Debug)]
pub struct Runner<P, Q, J, C> {
    world: Arc<World<Held<P>, Q, J, C>>,
    config: Arc<RunnerConfig>,
    leases: Leases,
    meter: Arc<dyn TurnMeter>,
    wake: Arc<watch::Sender<u64>>,
}

/// Lets others wake the engine.
#[derive(Debug, Clone)]
pub struct Waker(Arc<watch::Sender<u64>>);

impl Waker {
    /// Says that something may have changed. Carries no data.
    pub fn wake(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl<P, Q, J, C> Clone for Runner<P, Q, J, C> {
    fn clone(&self) -> Self {
        Self {
            world: Arc::clone(&self.world),
            config: Arc::clone(&self.config),
            leases: self.leases.clone(),
            meter: Arc::clone(&self.meter),
            wake: Arc::clone(&self.wake),
        }
    }
}

impl<P, Q, J, C> Runner<P, Q, J, C>
where
    P: Provider + 'static,
    Q: Probe + 'static,
    J: Journal + 'static,
    C: Clock + 'static,
{
    /// An engine over this world. Nothing happens before [`Runner::run`].
    #[must_use]
    pub fn new(provider: P, probe: Q, journal: J, clock: C, config: RunnerConfig) -> Self {
        let leases = Leases::default();
        let provider = Held {
            provider,
            leases: leases.clone(),
            certain: Duration::from_millis(config.lease_ms / 2),
        };
        Self {
            world: Arc::new(World {
                provider,
                probe,
                journal,
                clock,
            }),
            config: Arc::new(config),
            leases,
            meter: Arc::new(()),
            wake: Arc::new(watch::Sender::new(0)),
        }
    }

    /// The same engine, whose turns `meter` hears of.
    #[must_use]
    pub fn metered(self, meter: impl TurnMeter + 'static) -> Self {
        Self {
            meter: Arc::new(meter),
            ..self
        }
    }

    /// A handle that wakes this engine.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.wake))
    }

    /// Looks at a server group, for those who only want to show it.
    ///
    /// # Errors
    /// When the provider cannot answer.
    pub async fn observe(&self, target: &Target) -> Result<Observation, ProviderError> {
        self.world.provider.observe(target).await
    }

    /// Drives deployments until `shutdown` is ready; then finishes the turns under way and gives the
    /// leases back, so that another engine can go on at once.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) {
        let (stop, stopped) = watch::channel(false);
        let (mut drivers, mut sightings) = (JoinSet::new(), Sightings::default());
        tokio::pin!(shutdown);
        loop {
            let mut woken = self.wake.subscribe();
            self.claim(&mut drivers, &mut sightings, &stopped).await;
            tokio::select! {
                () = &mut shutdown => break,
                _ = woken.changed() => {}
                Some(_) = drivers.join_next() => {}
                () = tokio::time::sleep(Duration::from_millis(self.config.idle_ms)) => {}
            }
        }
        let _ = stop.send(true);
        while drivers.join_next().await.is_some() {}
    }

    /// Claims as many deployments as there are free places, and starts to drive them.
    async fn claim(
        &self,
        drivers: &mut JoinSet<()>,
        sightings: &mut Sightings,
        stopped: &watch::Receiver<bool>,
    ) {
        while drivers.try_join_next().is_some() {}
        let driven = u32::try_from(drivers.len()).unwrap_or(u32::MAX);
        let free = self.config.concurrent_max.saturating_sub(driven);
        if free == 0 {
            return;
        }
        let RunnerConfig {
            engine, lease_ms, ..
        } = &*self.config;
        let (clock, asked_at) = (&self.world.clock, Instant::now());
        let abandoned = sightings.abandoned(clock.steady_ms(), *lease_ms);
        let journal = &self.world.journal;
        match journal.claim(engine, &abandoned, clock.now(), free).await {
            Ok(claims) => {
                sightings.note(claims.held, clock.steady_ms());
                for deployment in claims.taken {
                    // One that is driven already, and whose lease stood still while the journal was away.
                    let Some(held) = self.leases.hold(&deployment.id, asked_at) else {
                        continue;
                    };
                    let (runner, stopped) = (self.clone(), stopped.clone());
                    drivers.spawn(async move { runner.drive(deployment, held, stopped).await });
                }
            }
            Err(error) => tracing::error!(%error, "cannot claim deployments; trying again"),
        }
    }

    /// Takes turns with one deployment until it ends, the lease is lost, or the engine stops.
    async fn drive(self, deployment: Deployment, held: Hold, stopped: watch::Receiver<bool>) {
        let id = deployment.id.clone();
        let left = self.take_turns(deployment, stopped).await;
        drop(held);
        if left == Left::Held
            && let Err(error) = self.world.journal.release(&self.config.engine, &id).await
        {
            tracing::warn!(deployment.id = %id, %error, "cannot give the lease back; it will expire");
        }
    }

    async fn take_turns(&self, deployment: Deployment, mut stopped: watch::Receiver<bool>) -> Left {
        let id = deployment.id.clone();
        let mut drive = Drive {
            deployment,
            watch: Stopwatch::default(),
            backoff_ms: self.config.poll_ms,
        };
        let mut lease = Lease::default();
        let mut woken = self.wake.subscribe();
        while !*stopped.borrow() {
            let stepped = tokio::select! {
                stepped = self.step(&mut drive) => stepped,
                never = self.beat(&id, &mut lease) => match never {},
            };
            let pause = match stepped {
                Ok(Pace::End) => return Left::Ended,
                Ok(pace) => pace,
                Err(error) => {
                    tracing::error!(deployment.id = %id, %error, "a turn was lost; trying again");
                    Pace::ReadAgain(Duration::from_millis(self.config.idle_ms))
                }
            };
            let mut read_again = matches!(pause, Pace::ReadAgain(_));
            if let Pace::Wait(time) | Pace::ReadAgain(time) = pause {
                tokio::select! {
                    () = tokio::time::sleep(time) => {}
                    _ = woken.changed() => read_again = true,
                    _ = stopped.changed() => break,
                    never = self.beat(&id, &mut lease) => match never {},
                }
            }
            let due = lease.renewed_at.elapsed() > self.renew_after();
            if !lease.lost && (read_again || due) {
                self.renew_lease(&id, &mut lease).await;
            }
            if lease.lost {
                return Left::Lost;
            }
            let newer = lease.newer.take();
            if let Some(newer) = newer.filter(|it| it.version >= drive.deployment.version) {
                drive.deployment = newer;
            }
        }
        Left::Held
    }

    /// Prolongs the lease whenever a turn or a wait takes so long that nobody else does.
    async fn beat(&self, id: &DeploymentId, lease: &mut Lease) -> Infallible {
        while !lease.lost {
            tokio::time::sleep_until(lease.tried_at + 2 * self.renew_after()).await;
            self.renew_lease(id, lease).await;
        }
        std::future::pending().await
    }

    async fn renew_lease(&self, id: &DeploymentId, lease: &mut Lease) {
        let asked_at = Instant::now();
        lease.tried_at = asked_at;
        match self.renew(id).await {
            Ok(Some(deployment)) => {
                self.leases.confirm(id, asked_at);
                lease.renewed_at = asked_at;
                lease.newer = Some(deployment);
            }
            Ok(None) => lease.lost = true,
            Err(error) => tracing::warn!(deployment.id = %id, %error, "cannot renew yet"),
        }
    }

    fn renew_after(&self) -> Duration {
        Duration::from_millis(self.config.renew_ms)
    }

    /// One turn, and what to do after it.
    async fn step(&self, drive: &mut Drive) -> Result<Pace, JournalError> {
        let poll = Duration::from_millis(self.config.poll_ms);
        let began = Instant::now();
        let turned = turn(&self.world, drive.deployment.clone(), &mut drive.watch).await;
        self.meter.turned(&turned, began.elapsed());
        let turned = turned?;
        if !matches!(turned, Turned::Troubled(_)) {
            drive.backoff_ms = self.config.poll_ms;
        }
        Ok(match turned {
            Turned::Moved(deployment) => {
                drive.deployment = deployment;
                Pace::GoOn
            }
            Turned::Waits(deployment) => {
                drive.deployment = deployment;
                Pace::Wait(poll)
            }
            Turned::Troubled(deployment) => {
                drive.deployment = deployment;
                let pause = Duration::from_millis(drive.backoff_ms);
                drive.backoff_ms = (drive.backoff_ms * 2).min(self.config.backoff_ms_max);
                Pace::Wait(pause)
            }
            Turned::Ended(_) => Pace::End,
            Turned::Superseded => Pace::ReadAgain(poll),
        })
    }

    async fn renew(&self, id: &DeploymentId) -> Result<Option<Deployment>, JournalError> {
        let now = self.world.clock.now();
        self.world.journal.renew(&self.config.engine, id, now).await
    }
}

/// How a drive was left.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    /// The deployment ended.
    Ended,
    /// Somebody else drives it.
    Lost,
    /// The engine stops; the lease is still held, or will expire.
    Held,
}

/// The lease of one deployment being driven.
#[derive(Debug)]
struct Lease {
    renewed_at: Instant,
    tried_at: Instant,
    lost: bool,
    /// The record as the last renewal found it.
    newer: Option<Deployment>,
}

impl Default for Lease {
    fn default() -> Self {
        Self {
            renewed_at: Instant::now(),
            tried_at: Instant::now(),
            lost: false,
            newer: None,
        }
    }
}

/// One deployment being driven.
struct Drive {
    deployment: Deployment,
    watch: Stopwatch,
    backoff_ms: u64,
}

/// What follows a turn.
enum Pace {
    /// The next turn, at once.
    GoOn,
    /// The next turn, after a while or a wake-up.
    Wait(Duration),
    /// As `Wait`, and the record must be read again first.
    ReadAgain(Duration),
    /// Nothing; it ended.
    End,
}
