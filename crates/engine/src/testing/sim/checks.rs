//! What must be true at every tick, and at the end, whatever goes wrong.

mod expected;
mod times;
mod widening;

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    deployment::{Command, Deployment, Outcome},
    observation::{InstanceId, Sizes},
    plan::{Roles, Step, Strategy},
    reason::Failure,
    slice::Slice,
    time::UnixMs,
    users::Weights,
};

use super::{ports::SimWorld, story::Story};
use crate::testing::cloud::{Asg, Behaviour, Cloud};

/// How long a bake may take to bring users back to where the last shift put them, when nothing else
/// goes wrong: an old state is shown, a request is made again, routers follow.
const STRAYED_MS_MAX: u64 = 20_000;

/// Watches one story.
#[derive(Debug)]
pub struct Checker {
    /// What was broken so far.
    pub violations: Vec<String>,
    floor: u32,
    excuse_ms: u64,
    protected_before: BTreeSet<InstanceId>,
    roles: Roles,
    /// Slices that had users a tick ago.
    had_users: BTreeSet<Slice>,
    /// Since when slices have users without a break.
    users_since: BTreeMap<Slice, UnixMs>,
    /// The largest share of users that the new release was given on the way forward.
    share: u8,
    /// Stable had no healthy instance at some time: then all users may be moved, a while later.
    emergency: bool,
    /// When that was seen first.
    dead_since: Option<UnixMs>,
    /// When the deployment ended, whatever the wall clock showed.
    ended_at: Option<UnixMs>,
    /// A late request of a frozen engine cannot be told from a new one.
    orderly: bool,
    /// Nothing goes wrong in this story, but that somebody may meddle.
    quiet: bool,
    /// Since when users are not where the last shift put them, although nothing goes wrong.
    strayed_since: Option<UnixMs>,
    times: times::Times,
}

impl Checker {
    /// A checker for `story`.
    #[must_use]
    pub fn new(story: &Story) -> Self {
        let group = &story.deployment.target.group;
        let asked = group.autoscaling.map_or(group.size, |bounds| bounds.min);
        let cloud = story.cloud();
        let members = cloud.slices.values().flat_map(|asg| &asg.group.members);
        let protected = members
            .filter(|m| m.instance.protected)
            .map(|m| m.instance.id.clone())
            .collect();
        Self {
            violations: Vec::new(),
            floor: asked.min(story.sizes.desired),
            excuse_ms: story.excuse_ms(),
            protected_before: protected,
            roles: story.roles(),
            had_users: BTreeSet::new(),
            users_since: BTreeMap::new(),
            emergency: false,
            dead_since: None,
            ended_at: None,
            share: 0,
            orderly: true,
            quiet: story.faults.only_meddling(),
            strayed_since: None,
            times: times::Times::new(),
        }
    }

    /// A person said `command`, and it was taken.
    pub fn commanded(&mut self, command: &Command) {
        if *command == Command::Promote {
            self.times.promote();
        }
    }

    /// Safety: true at every tick.
    pub fn every_tick(&mut self, deployment: &Deployment, world: &mut SimWorld) {
        let now = world.now;
        for refused in world.refused.drain(..) {
            self.broken(
                now,
                &format!("the engine made a request that AWS refuses: {refused}"),
            );
        }
        let lost = matches!(deployment.failure, Some(Failure::StableLost { .. }));
        self.capacity(now, lost, &mut world.cloud);
        let ceiling = deployment.ceiling();
        let asked = std::mem::take(&mut world.asked_max);
        if asked > ceiling && deployment.target.group.autoscaling.is_none() {
            self.broken(
                now,
                &format!("{asked} instances were asked for, the ceiling is {ceiling}"),
            );
        }
        let weights = world.cloud.weights.sum();
        if deployment.ending.is_some() {
            self.ended_at.get_or_insert(now);
        }
        if let Some(cut_short) = self.times.every_tick(now, deployment) {
            self.broken(now, &cut_short);
        }
        self.widening(now, deployment, world);
        self.held(now, deployment, world);
        if weights != 0 && weights != 100 {
            self.broken(now, &format!("weights sum to {weights}"));
        }
        for unserved in world.unserved.drain(..) {
            self.broken(now, &unserved);
        }
    }

    /// While a bake goes on undisturbed, users are where the last shift put them.
    fn held(&mut self, now: UnixMs, deployment: &Deployment, world: &SimWorld) {
        let progress = &deployment.progress;
        let shifted = progress.steps[..progress.at]
            .iter()
            .rev()
            .find_map(|step| match step {
                Step::Shift(split) => Some(&split.weights),
                _ => None,
            });
        let baking = matches!(deployment.step(), Some(Step::Bake(_)));
        let watched = baking && self.roles.are_apart() && deployment.paused.is_none();
        let dead = world.cloud.slices.values().any(|asg| asg.healthy() == 0);
        let share = |weights: &Weights| weights.share(self.roles.next);
        let strayed = shifted.is_some_and(|shifted| share(shifted) != share(&world.cloud.weights));
        if !watched || !strayed || dead || self.emergency || !self.quiet {
            self.strayed_since = None;
            return;
        }
        // Brought back and split again within one tick, they strayed again.
        let since = *self.strayed_since.get_or_insert(now);
        let since = world.meddled.map_or(since, |at| since.max(at));
        if now.since_ms(since) > STRAYED_MS_MAX {
            let weights = world.cloud.weights.clone();
            self.broken(
                now,
                &format!("users stay split {weights:?} while the release bakes"),
            );
        }
    }

    /// The plan's own doing never takes healthy capacity under the asked count. What was lost by a
    /// fault a moment ago, and may not have been seen yet, is no doing of the plan.
    /// Once stable is lost too, too few are healthy anyway, and which ones changes by the moment.
    fn capacity(&mut self, now: UnixMs, stable_lost: bool, cloud: &mut Cloud) {
        let with_users: BTreeSet<Slice> = cloud.weights.served().collect();
        self.users_since
            .retain(|slice, _| with_users.contains(slice));
        for slice in &with_users {
            self.users_since.entry(*slice).or_insert(now);
        }
        let had_users = std::mem::replace(&mut self.had_users, with_users);
        let (mut shed, mut stranded) = (0, Vec::new());
        let apart = self.roles.are_apart();
        for (slice, asg) in &mut cloud.slices {
            let here = std::mem::take(&mut asg.shed);
            let since = self.users_since.get(slice);
            let for_long = since.is_some_and(|since| now.since_ms(*since) > self.excuse_ms);
            if apart
                && here > 0
                && asg.healthy() == 0
                && !asg.lost_since(now, self.excuse_ms)
                && for_long
            {
                stranded.push(*slice);
            }
            if had_users.contains(slice) || self.had_users.contains(slice) {
                shed += here;
            }
        }
        for slice in stranded {
            self.broken(now, &format!("{slice} was emptied while it had users"));
        }
        let excused = self.recent_losses(now, cloud);
        let healthy = if self.roles.are_apart() {
            cloud.healthy_for_users()
        } else {
            cloud.slices.values().map(|asg| asg.healthy()).sum()
        };
        if shed > 0 && !stable_lost && healthy + excused < self.floor {
            let floor = self.floor;
            self.broken(
                now,
                &format!("{shed} healthy instances were stopped, which left {healthy}; {floor} are asked for, {excused} were lost by faults"),
            );
        }
    }

    fn recent_losses(&self, now: UnixMs, cloud: &Cloud) -> u32 {
        let losses = cloud.slices.values().flat_map(|asg| &asg.losses);
        domain::observation::count(losses.filter(|at| now.since_ms(**at) <= self.excuse_ms))
    }

    /// What the story came to, after the dust has settled.
    pub fn at_the_end(&mut self, story: &Story, deployment: &Deployment, world: &mut SimWorld) {
        let now = world.now;
        let Some(ending) = &deployment.ending else {
            let versions = deployment.versions();
            let waiting = deployment.waiting.as_ref();
            let waiting = waiting.map(|it| it.sentence(&versions));
            return self.broken(
                now,
                &format!("the deployment never ended; waiting: {waiting:?}"),
            );
        };
        if !ending.certificate.is_clean() {
            self.broken(
                now,
                &format!("the certificate is not clean: {:?}", ending.certificate),
            );
        }
        if deployment.baseline.is_some() {
            self.restored(story, ending.outcome, world, now);
            self.survivors(deployment, ending.outcome, &world.cloud, now);
        }
        self.outcome(story, ending.outcome, now);
    }

    /// Sizes, rebalancing, protection and weights: the baseline plus exactly the intended change.
    fn restored(&mut self, story: &Story, outcome: Outcome, world: &SimWorld, now: UnixMs) {
        let cloud = &world.cloud;
        for (slice, asg) in &cloud.slices {
            self.slice_restored(story, outcome, *slice, asg, now);
        }
        let succeeded = outcome == Outcome::Succeeded;
        let served = succeeded || story.deployment.stable.is_some();
        let sum = cloud.weights.sum();
        if sum != if served { 100 } else { 0 } {
            self.broken(now, &format!("users are split {:?}", cloud.weights));
        }
        let users = if succeeded {
            self.roles.next
        } else {
            self.roles.live
        };
        let share = cloud.weights.share(users);
        // With one slice the split is not the plan's business; and nobody sees what was done to it
        // between the last look and the end.
        let meddled = world.meddled.is_some_and(|at| {
            !self.roles.are_apart() || Some(at.plus_ms(self.excuse_ms)) >= self.ended_at
        });
        if served && outcome != Outcome::Failed && share != 100 && !meddled {
            self.broken(now, &format!("{users} has {share} % of the users"));
        }
    }

    fn slice_restored(
        &mut self,
        story: &Story,
        outcome: Outcome,
        slice: Slice,
        asg: &Asg,
        now: UnixMs,
    ) {
        let (group, expected) = (&asg.group, expected::sizes(story, outcome, slice));
        let right = |(least, most): (Sizes, Sizes)| {
            (group.sizes.min, group.sizes.max) == (least.min, least.max)
                && (least.desired..=most.desired).contains(&group.sizes.desired)
        };
        if !expected.is_none_or(right) {
            let sizes = group.sizes;
            self.broken(
                now,
                &format!("{slice}: sizes are left at {sizes:?}, expected {expected:?}"),
            );
        }
        let suspended = slice == story.live && story.rebalancing_suspended;
        if group.rebalancing_suspended != suspended {
            self.broken(now, "rebalancing is not as it was");
        }
        let protected: BTreeSet<InstanceId> = group
            .members
            .iter()
            .filter(|m| m.instance.protected && m.instance.state.is_present())
            .map(|m| m.instance.id.clone())
            .collect();
        if !protected.is_subset(&self.protected_before) {
            self.broken(
                now,
                &format!("instances stay protected that nobody protected: {protected:?}"),
            );
        }
    }

    /// Only the right instances are left, each in its slice.
    fn survivors(&mut self, deployment: &Deployment, outcome: Outcome, cloud: &Cloud, now: UnixMs) {
        let new = Some(&deployment.launch.id);
        let stable = deployment.stable.as_ref().map(|launch| &launch.id);
        let keeps = deployment
            .strategy
            .two_slices()
            .is_some_and(|options| options.keep_old);
        let switches = deployment.strategy == Strategy::Switch && stable.is_some();
        let apart = self.roles.are_apart();
        let (slice, live, gone) = match outcome {
            Outcome::Succeeded => (self.roles.next, new, stable.filter(|_| !keeps && !switches)),
            Outcome::RolledBack | Outcome::Aborted => {
                (self.roles.live, stable, new.filter(|_| !switches))
            }
            Outcome::Failed => (self.roles.live, stable, None),
        };
        let launches = cloud.slices[&slice].group.launches.as_ref();
        let launches = launches.map(|launch| &launch.id);
        if launches != live && !(outcome == Outcome::Failed && apart) {
            self.broken(
                now,
                &format!("new instances start from {launches:?} instead of {live:?}"),
            );
        }
        let members = cloud.slices.values().flat_map(|asg| &asg.group.members);
        for wrong in members.filter(|m| gone.is_some() && Some(&m.instance.launch) == gone) {
            self.broken(
                now,
                &format!("after {outcome:?}, {:?} is still there", wrong.instance),
            );
        }
    }

    /// Where nothing goes wrong by chance, the release alone decides.
    fn outcome(&mut self, story: &Story, outcome: Outcome, now: UnixMs) {
        if outcome == Outcome::Succeeded && story.new_release == Behaviour::Broken {
            self.broken(now, "a release that never was healthy went live");
        }
        if !story.calm {
            return;
        }
        let Some(expected) = expected_outcome(story) else {
            return;
        };
        if outcome != expected {
            self.broken(
                now,
                &format!("nothing went wrong, and it ended as {outcome:?} instead of {expected:?}"),
            );
        }
    }

    fn broken(&mut self, now: UnixMs, what: &str) {
        if self.violations.len() < 10 {
            self.violations
                .push(format!("{:>7.1} s  {what}", now.0 as f64 / 1000.0));
        }
    }
}

/// What the release alone leads to, where nothing goes wrong by chance; `None` when it depends.
fn expected_outcome(story: &Story) -> Option<Outcome> {
    let strategy = &story.deployment.strategy;
    let bad = match (strategy, story.new_release) {
        (_, Behaviour::Broken) if *strategy != Strategy::Switch => true,
        (Strategy::InstanceRefresh(options), release) => match release {
            // AWS starts others in the place of what faded, over and over.
            Behaviour::Fades(_) => return None,
            Behaviour::Errs(_) => {
                let alarms = refreshes(story) && !options.alarms.is_empty();
                // Without a watch it may be over before anything rings.
                if alarms && options.bake_seconds == 0 {
                    return None;
                }
                alarms
            }
            _ => false,
        },
        (Strategy::ScaleUp(options), release) => match release {
            // In the place of dead stable ones there are more new ones than are watched.
            Behaviour::Fades(_) if !story.stable_is_good => return None,
            Behaviour::Fades(after) => {
                let baked = story.deployment.plan.steps.iter().any(
                    |step| matches!(step, Step::Bake(bake) if bake.until.seconds == options.bake_seconds),
                );
                (baked && after < u64::from(options.bake_seconds) * 1000).then_some(true)?
            }
            _ => false,
        },
        (_, Behaviour::Good) => expected::of_gates(story, false)?,
        (_, Behaviour::Errs(_)) => expected::of_gates(story, true)?,
        (_, Behaviour::Fades(_) | Behaviour::Broken) => return None,
    };
    Some(match (bad, story.deployment.stable.is_some()) {
        (false, _) => Outcome::Succeeded,
        (true, true) if !story.stable_is_good => Outcome::Failed,
        (true, _) => Outcome::RolledBack,
    })
}

/// AWS replaces the instances.
fn refreshes(story: &Story) -> bool {
    let steps = &story.deployment.plan.steps;
    steps.iter().any(|step| matches!(step, Step::Refresh(_)))
}
