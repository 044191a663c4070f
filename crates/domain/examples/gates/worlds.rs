//! Worlds that are hard on a comparison: users who stick, ill instances, cold starts, late faults, slow
//! answers.

use std::collections::VecDeque;

use domain::{
    observation::InstanceId,
    traffic::{InstanceCounts, Traffic, UserCounts, bucket_of_us},
};

use crate::world::{self, Fault, Service, World, binomial};

/// What is hard about a world.
#[derive(Debug, Clone, Copy)]
pub enum Hard {
    /// Nothing.
    Not,
    /// So many active users stick to their slice; 1 % of them fail 9 of 10 times, and 1 % get a 4xx as
    /// often, whatever serves them.
    Sticky(usize),
    /// Each side has so many instances, each with its own 10 s of 30 % errors every 20 minutes.
    Instances(usize),
    /// The new release is so many times slower at first, and has so many points more errors; both fade
    /// with 10 s.
    Cold(f64, f64),
    /// The fault begins so many seconds late.
    Late(u32),
    /// Good answers are counted so many seconds after the request, errors at once.
    Slow(usize),
}

/// One user who sticks, and what the user met at this share.
#[derive(Default)]
struct User {
    point: f64,
    seen: bool,
    failed: bool,
    client_failed: bool,
}

/// One release in one world.
pub struct Hardship {
    hard: Hard,
    world: World,
    /// The same without the fault.
    before: World,
    service: Service,
    fault: Fault,
    random: fastrand::Rng,
    share: f64,
    users: Vec<User>,
    /// Until when each instance of both sides is ill.
    ill: [Vec<u32>; 2],
    /// Good answers that are under way, by side.
    under_way: VecDeque<[Traffic; 2]>,
    /// Buckets of stable's latency.
    buckets: Vec<f64>,
}

/// The median of all latencies, in microseconds.
const MEDIAN_US: f64 = 40_000.0;

impl Hardship {
    pub fn new(seed: u64, service: Service, fault: Fault, hard: Hard) -> Self {
        let mut random = fastrand::Rng::with_seed(seed ^ 0x5eed);
        let users = match hard {
            Hard::Sticky(users) => users,
            _ => 0,
        };
        let instances = match hard {
            Hard::Instances(instances) => instances,
            _ => 0,
        };
        let good = Fault {
            errors: 1.0,
            latency: 1.0,
        };
        Self {
            hard,
            world: World::new(seed, service, fault),
            before: World::new(seed, service, good),
            service,
            fault,
            share: 0.0,
            users: (0..users)
                .map(|_| User {
                    point: random.f64(),
                    ..User::default()
                })
                .collect(),
            ill: [vec![0; instances], vec![0; instances]],
            under_way: VecDeque::new(),
            buckets: world::buckets(MEDIAN_US),
            random,
        }
    }

    /// What is counted in second `t` of the new release, which gets `share` of the requests, and of
    /// stable.
    pub fn second(&mut self, t: u32, share: f64) -> (Traffic, Traffic) {
        if share != self.share {
            self.share = share;
            for user in &mut self.users {
                let point = user.point;
                *user = User {
                    point,
                    ..User::default()
                };
            }
        }
        match self.hard {
            Hard::Not => self.world.second(t, share),
            Hard::Late(after) if t < after => self.before.second(t, share),
            Hard::Late(_) => self.world.second(t, share),
            Hard::Sticky(_) => self.sticky(),
            Hard::Instances(_) => self.by_instance(t),
            Hard::Cold(slower, errors) => self.cold(t, slower, errors),
            Hard::Slow(seconds) => self.slow(t, seconds),
        }
    }

    /// Each request is of a user chosen by chance; the users of the lowest points are on the new release.
    fn sticky(&mut self) -> (Traffic, Traffic) {
        const CHRONIC: usize = 100;
        let rest = (self.service.errors - 0.009).max(0.0);
        let mut counts = [(0, 0, 0); 2];
        let mut users = [UserCounts::default(); 2];
        for _ in 0..self.service.requests as u64 {
            let index = self.random.usize(..self.users.len());
            let user = &mut self.users[index];
            let side = usize::from(user.point >= self.share);
            let times = if side == 0 { self.fault.errors } else { 1.0 };
            let chance = if index.is_multiple_of(CHRONIC) {
                0.9
            } else {
                rest + (times - 1.0) * self.service.errors
            };
            let fails = self.random.f64() < chance;
            let asks_in_vain = index % CHRONIC == CHRONIC / 2;
            let client_fails = asks_in_vain && !fails && self.random.f64() < 0.9;
            counts[side].0 += 1;
            counts[side].1 += u64::from(fails);
            counts[side].2 += u64::from(client_fails);
            users[side].seen += u64::from(!user.seen);
            users[side].failed += u64::from(fails && !user.failed);
            users[side].client_failed += u64::from(client_fails && !user.client_failed);
            user.seen = true;
            user.failed |= fails;
            user.client_failed |= client_fails;
        }
        let [new, stable] = [0, 1].map(|side: usize| Traffic {
            errors: counts[side].1,
            client_errors: counts[side].2,
            users: Some(users[side]),
            ..world::traffic(&mut self.random, counts[side].0, 0.0, &self.buckets)
        });
        (new, stable)
    }

    fn by_instance(&mut self, t: u32) -> (Traffic, Traffic) {
        let requests = self.service.requests as u64;
        let to_new = binomial(&mut self.random, requests, self.share);
        let sides = [to_new, requests - to_new];
        let [new, stable] = [0, 1].map(|side: usize| {
            let times = if side == 0 { self.fault.errors } else { 1.0 };
            let mut all = world::traffic(&mut self.random, sides[side], 0.0, &self.buckets);
            let (mut left, count) = (sides[side], self.ill[side].len());
            for (index, until) in self.ill[side].iter_mut().enumerate() {
                if t >= *until && self.random.f64() < 1.0 / 1200.0 {
                    *until = t + 10;
                }
                let rate = if t < *until {
                    0.3
                } else {
                    self.service.errors * times
                };
                let mine = binomial(&mut self.random, left, 1.0 / (count - index) as f64);
                let errors = binomial(&mut self.random, mine, rate);
                left -= mine;
                all.errors += errors;
                let counts = InstanceCounts {
                    requests: mine,
                    errors,
                };
                all.instances
                    .insert(InstanceId(format!("i-{index}")), counts);
            }
            all
        });
        (new, stable)
    }

    fn cold(&mut self, t: u32, slower: f64, errors: f64) -> (Traffic, Traffic) {
        let cold = (-f64::from(t) / 10.0).exp();
        let (new, stable) = self.world.second(t, self.share);
        if cold < 0.001 {
            return (new, stable);
        }
        let (median, stable_rate) = self.world.stable_at(t);
        let buckets = world::buckets(median * (1.0 + (slower - 1.0) * cold));
        let rate = stable_rate + errors / 100.0 * cold;
        let new = world::traffic(&mut self.random, new.requests, rate, &buckets);
        (new, stable)
    }

    fn slow(&mut self, t: u32, seconds: usize) -> (Traffic, Traffic) {
        let (new, stable) = self.world.second(t, self.share);
        let counted = [new, stable].map(|mut side| {
            // All take about as long.
            let bucket = bucket_of_us(seconds as u64 * 1_000_000);
            side.latency.buckets = [(bucket, side.requests)].into();
            let errors = side.errors;
            let good = Traffic {
                requests: side.requests - errors,
                errors: 0,
                ..side
            };
            (errors, good)
        });
        let [(new_errors, new_good), (stable_errors, stable_good)] = counted;
        self.under_way.push_back([new_good, stable_good]);
        // Before the first shift all users were stable's.
        let none = || {
            let stable = Traffic {
                epoch: 1,
                ..Traffic::default()
            };
            [stable.clone(), stable]
        };
        let [new, stable] = match self.under_way.len() > seconds {
            true => self.under_way.pop_front().unwrap_or_else(none),
            false => {
                let [new, mut stable] = none();
                stable.requests = self.service.requests as u64;
                let bucket = bucket_of_us(seconds as u64 * 1_000_000);
                stable.latency.buckets = [(bucket, stable.requests)].into();
                [new, stable]
            }
        };
        let with = |side: Traffic, errors| Traffic {
            requests: side.requests + errors,
            errors,
            ..side
        };
        (with(new, new_errors), with(stable, stable_errors))
    }
}
