//! A deployment through to its end in virtual time: the real provider, the real turn.

use std::sync::Arc;

use domain::{
    catalogue::ServerGroup,
    deployment::{Command, Deployment, Request},
    effect::Target,
    event,
    gate::{Gate, Said},
    names::DeploymentId,
    observation::Observation,
    plan::Strategy,
    release::{Content, ImageId, Launch, LaunchId},
};
use engine::{
    ports::{Claims, Clock, Journal, JournalError, LeaseSeen, Probe, Provider, Saved},
    stopwatch::Stopwatch,
    testing::journal::MemoryJournal,
    turn::{Turned, World, turn},
};
use provider_aws::Aws;

use crate::emulator::{EmulatedClock, Emulator, settings};

/// A journal that is looked into from outside.
#[derive(Debug, Default)]
pub struct Kept(Arc<MemoryJournal>);

impl Journal for Kept {
    async fn claim(
        &self,
        engine: &str,
        abandoned: &[LeaseSeen],
        now: domain::time::UnixMs,
        limit: u32,
    ) -> Result<Claims, JournalError> {
        self.0.claim(engine, abandoned, now, limit).await
    }
    async fn renew(
        &self,
        engine: &str,
        id: &DeploymentId,
        now: domain::time::UnixMs,
    ) -> Result<Option<Deployment>, JournalError> {
        self.0.renew(engine, id, now).await
    }
    async fn release(&self, engine: &str, id: &DeploymentId) -> Result<(), JournalError> {
        self.0.release(engine, id).await
    }
    async fn save(
        &self,
        deployment: &Deployment,
        events: &[event::Event],
    ) -> Result<Saved, JournalError> {
        self.0.save(deployment, events).await
    }
}

/// CloudWatch is asked, nobody else.
#[derive(Debug)]
pub struct CloudWatch(Aws);

impl Probe for CloudWatch {
    async fn ask(&self, deployment: &Deployment, gate: &Gate) -> Said {
        match gate {
            Gate::CloudWatch(gate) => {
                let slice = deployment.roles.next;
                self.0.cloudwatch(&deployment.target, slice, gate).await
            }
            _ => Said::Nothing {
                text: "nobody is asked".to_owned(),
            },
        }
    }
}

/// One server group and its deployments.
pub struct Driver<'a> {
    emulator: &'a Emulator,
    /// The group.
    pub target: Target,
    world: World<Aws, CloudWatch, Kept, EmulatedClock>,
    deployments: u32,
}

/// Between two looks while nothing moves, in milliseconds.
const PAUSE_MS: u64 = 2000;
/// A deployment that takes more turns than this is broken.
const TURNS_MAX: u32 = 3000;

impl<'a> Driver<'a> {
    /// Nothing was deployed yet.
    pub fn new(emulator: &'a Emulator, group: ServerGroup) -> Self {
        let clock = Arc::new(emulator.clock());
        let aws = Aws::new(clock, settings(), std::env::temp_dir());
        Self {
            target: Target::new(group.place(), group, Some(emulator.account())),
            world: World {
                provider: aws.clone(),
                probe: CloudWatch(aws),
                journal: Kept::default(),
                clock: emulator.clock(),
            },
            emulator,
            deployments: 0,
        }
    }

    /// A look.
    pub async fn look(&self) -> Observation {
        self.world.provider.observe(&self.target).await.unwrap()
    }

    /// A deployment that has not begun, and what was seen before it.
    pub async fn plan(
        &self,
        strategy: Strategy,
        launch: &Launch,
        stable: &Launch,
    ) -> (Deployment, Observation) {
        let target = self.target.clone().for_strategy(&strategy);
        let seen = self.world.provider.observe(&target).await.unwrap();
        let request = Request {
            id: DeploymentId(format!("deployment-{}", self.deployments)),
            target,
            strategy,
            launch: launch.clone(),
            stable: Some(stable.clone()),
            requested_by: "ada".to_owned(),
            requested_at: self.world.clock.now(),
        };
        (Deployment::new(request, &seen), seen)
    }

    /// Deploys, and calls `each` after every turn; it may give a command.
    pub async fn deploy(
        &mut self,
        strategy: Strategy,
        launch: &Launch,
        stable: &Launch,
        mut each: impl FnMut(&Deployment) -> Option<Command>,
    ) -> Deployment {
        self.deployments += 1;
        let (deployment, seen) = self.plan(strategy, launch, stable).await;
        for (slice, it) in &seen.slices {
            assert!(it.obstacles.is_empty(), "{slice}: {:?}", it.obstacles);
        }
        let id = deployment.id.clone();
        self.world.journal.0.begin(deployment);
        let mut watch = Stopwatch::default();
        for _ in 0..TURNS_MAX {
            let deployment = self.world.journal.0.deployment(&id).unwrap();
            if deployment.ending.is_some() {
                return deployment;
            }
            if let Some(command) = each(&deployment) {
                let now = self.world.clock.now();
                let after = deployment
                    .clone()
                    .command(command.clone(), "ada", now)
                    .unwrap();
                let events = event::of_command(&command, "ada", &after, now);
                self.world.journal.save(&after, &events).await.unwrap();
                continue;
            }
            let pause_ms = match turn(&self.world, deployment, &mut watch).await.unwrap() {
                Turned::Moved(_) => 200,
                _ => PAUSE_MS,
            };
            self.emulator.advance(pause_ms);
        }
        let row = self.world.journal.0.row(&id).unwrap();
        let events: Vec<&str> = row.events.iter().map(|it| it.message.as_str()).collect();
        panic!("it never ended: {events:#?}");
    }
}

/// A release that is an image, as a launch.
pub fn launch_of(version: &str, image: &ImageId) -> Launch {
    Launch {
        id: LaunchId(format!("{version}-{}", &image.as_str()[4..12])),
        version: version.parse().unwrap(),
        content: Content::Image {
            image: image.clone(),
        },
    }
}
