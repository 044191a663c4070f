//! A server group in virtual time: one or two slices, the split of users between them, and what
//! routers would count of it.
//!
//! Invariant: users come evenly, so that a story replays exactly; what they get follows from the
//! launches that answer them.

use std::collections::BTreeMap;

use domain::{
    effect::Effect,
    observation::Observation,
    release::{Launch, LaunchId},
    slice::Slice,
    time::UnixMs,
    traffic::{Mirror, Mirrored, Traffic},
    users::{Split, Weights},
};
use fastrand::Rng;

pub use super::asg::{Asg, Behaviour, Group, Lags, Member, TerminationPolicy};

/// One server group with one or two slices.
#[derive(Debug)]
pub struct Cloud {
    /// Its slices.
    pub slices: BTreeMap<Slice, Asg>,
    /// What routers serve.
    pub weights: Weights,
    /// The dark traffic that routers send.
    pub mirror: Option<Mirror>,
    /// Users' requests per second.
    pub rate: u64,
    weights_delay: u64,
    ordered: Option<(UnixMs, Split)>,
    traffic: BTreeMap<Slice, Counted>,
    mirrored: Counted,
    ticked_at: UnixMs,
}

/// Requests, in thousandths, so that a small share of a few requests is not lost.
#[derive(Debug, Clone, Default)]
struct Counted {
    requests: u64,
    errors: u64,
}

/// How long every answer takes.
const LATENCY_US: u64 = 5000;

impl Cloud {
    /// An empty group with `slices` slices.
    #[must_use]
    pub fn new(
        slices: u8,
        zones: u32,
        lags: Lags,
        policy: TerminationPolicy,
        mut rng: Rng,
    ) -> Self {
        let prefixes = [(Slice::Blue, "b"), (Slice::Green, "g")];
        let slices = prefixes
            .into_iter()
            .take(usize::from(slices))
            .map(|(slice, prefix)| (slice, Asg::new(prefix, zones, lags, policy, rng.fork())))
            .collect();
        Self {
            slices,
            weights: Weights::default(),
            mirror: None,
            rate: 200,
            weights_delay: lags.weights,
            ordered: None,
            traffic: BTreeMap::new(),
            mirrored: Counted::default(),
            ticked_at: UnixMs(0),
        }
    }

    /// One slice.
    ///
    /// # Panics
    /// When the group does not have it.
    pub fn slice(&mut self, slice: Slice) -> &mut Asg {
        self.slices
            .get_mut(&slice)
            .expect("the group has this slice")
    }

    /// How `launch` behaves, in every slice.
    pub fn behave(&mut self, launch: &LaunchId, behaviour: Behaviour) {
        for slice in self.slices.values_mut() {
            slice.behaviours.insert(launch.clone(), behaviour);
        }
    }

    /// What an honest look shows.
    #[must_use]
    pub fn look(&self, now: UnixMs) -> Observation {
        let slices = self.slices.iter().map(|(slice, asg)| (*slice, asg.look()));
        let traffic = self
            .traffic
            .iter()
            .map(|(slice, counted)| (*slice, counted.shown()));
        Observation {
            at: now,
            waited_ms: 0,
            stale_ms_max: 0,
            weights_stale_ms_max: 0,
            slices: slices.collect(),
            weights: self.weights.clone(),
            mirror: self.mirror.clone(),
            traffic: traffic.collect(),
            by_minute: None,
            mirrored: self.mirror.as_ref().map(|_| Mirrored {
                copies: self.mirrored.requests / 1000,
                errors: self.mirrored.errors / 1000,
                compared: self.mirrored.requests / 1000,
                differing: self.mirrored.errors / 1000,
                ..Mirrored::default()
            }),
        }
    }

    /// Accepts a request. What follows from it happens later, in [`Cloud::tick`].
    ///
    /// # Errors
    /// When AWS would answer with a validation error.
    pub fn apply(&mut self, effect: &Effect, now: UnixMs) -> Result<(), String> {
        let slice = match effect {
            Effect::SetTraffic { weights, mirror } => {
                let (weights, mirror) = (weights.clone(), mirror.clone());
                let split = Split { weights, mirror };
                let under_way = self.ordered.as_ref();
                if under_way.is_none_or(|(_, ordered)| *ordered != split) {
                    self.ordered = Some((now.plus_ms(self.weights_delay), split));
                }
                return Ok(());
            }
            Effect::SetLaunch { slice, .. }
            | Effect::SetSizes { slice, .. }
            | Effect::SetBounds { slice, .. }
            | Effect::SetProtection { slice, .. }
            | Effect::SetRebalancing { slice, .. }
            | Effect::Replace { slice, .. }
            | Effect::StartRefresh { slice, .. }
            | Effect::RollBackRefresh { slice }
            | Effect::CancelRefresh { slice } => slice,
        };
        match self.slices.get_mut(slice) {
            Some(asg) => asg.apply(effect, now),
            None => Err(format!("there is no slice {slice}")),
        }
    }

    /// Lets time pass until `now`.
    pub fn tick(&mut self, now: UnixMs) {
        for asg in self.slices.values_mut() {
            asg.tick(now);
        }
        if let Some((_, split)) = self.ordered.take_if(|(at, _)| *at <= now) {
            if split.mirror != self.mirror {
                self.mirrored = Counted::default();
            }
            (self.weights, self.mirror) = (split.weights, split.mirror);
        }
        self.serve(now);
    }

    /// Users' requests since the last tick, and their copies.
    fn serve(&mut self, now: UnixMs) {
        let elapsed_ms = now.since_ms(self.ticked_at);
        self.ticked_at = now;
        for (slice, weight) in self.weights.iter() {
            let Some(asg) = self.slices.get(&slice) else {
                continue;
            };
            let thousandths = self.rate * elapsed_ms * u64::from(weight) / 100;
            let counted = self.traffic.entry(slice).or_default();
            counted.requests += thousandths;
            counted.errors += thousandths * error_permille(asg) / 1000;
        }
        let copied = self.mirror.as_ref().and_then(|mirror| {
            let from = self.weights.share(mirror.from);
            let share = u64::from(from) * u64::from(mirror.percent);
            Some((share, self.slices.get(&mirror.to)?))
        });
        if let Some((share, asg)) = copied {
            let thousandths = self.rate * elapsed_ms * share / 10_000;
            self.mirrored.requests += thousandths;
            self.mirrored.errors += thousandths * error_permille(asg) / 1000;
        }
    }

    /// Somebody else splits the users evenly, if both slices can answer them and both have some or
    /// had some. Says whether they did.
    pub fn meddle(&mut self) -> bool {
        let answer = self.slices.len() == 2 && self.slices.values().all(|asg| asg.healthy() > 0);
        let served = self.weights.served().next().is_some();
        if answer && served {
            self.weights = self.slices.keys().map(|slice| (*slice, 50)).collect();
        }
        answer && served
    }

    /// Healthy instances in the slices that have users.
    #[must_use]
    pub fn healthy_for_users(&self) -> u32 {
        let users = |slice: &Slice| self.weights.share(*slice) > 0;
        let serving = self.slices.iter().filter(|(slice, _)| users(slice));
        serving.map(|(_, asg)| asg.healthy()).sum()
    }

    /// Starts a healthy instance at once: what was there before the story begins.
    pub fn found(&mut self, slice: Slice, launch: &Launch, zone: usize, protected: bool) {
        self.slice(slice).found(launch, zone, protected);
    }
}

/// How many of a thousand requests fail, by what most of the healthy instances run.
fn error_permille(asg: &Asg) -> u64 {
    let healthy = asg.group.members.iter().map(|member| &member.instance);
    let mut permille: Vec<u64> = healthy
        .filter(|i| i.state == domain::observation::InstanceState::Healthy)
        .map(|i| match asg.behaviours.get(&i.launch) {
            Some(Behaviour::Errs(permille)) => *permille,
            _ => 0,
        })
        .collect();
    permille.sort_unstable();
    permille.get(permille.len() / 2).copied().unwrap_or(1000)
}

impl Counted {
    fn shown(&self) -> Traffic {
        let mut shown = Traffic {
            epoch: 1,
            requests: self.requests / 1000,
            errors: self.errors / 1000,
            ..Traffic::default()
        };
        let bucket = domain::traffic::bucket_of_us(LATENCY_US);
        shown.latency.buckets.insert(bucket, shown.requests);
        shown
    }
}
