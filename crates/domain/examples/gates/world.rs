//! A service under load whose rates drift, and what its router counts in each second.
//!
//! Requests, more or less; errors and a median of 40 ms, both of which swing over some minutes; in one release of five, everything has an outage of ten seconds with 20 % errors.
//! Durations are log-logistic: the 95th percentile is at 2.1, the 99th at 3.2 medians.

use std::f64::consts::TAU;

use domain::traffic::{BUCKET_LAST, Histogram, Traffic, bucket_end_us};

/// What is wrong with the new release.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// Its error rate, as a multiple of stable's.
    pub errors: f64,
    /// Its durations, as a multiple of stable's.
    pub latency: f64,
}

/// What a service is like.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// Requests per second.
    pub requests: f64,
    /// The part of them that fails.
    pub errors: f64,
    /// How much of the swings and outages there is, 0 to 1.
    pub drift: f64,
}

/// One service during one release.
pub struct World {
    random: fastrand::Rng,
    service: Service,
    fault: Fault,
    phase: f64,
    swing_seconds: f64,
    outage: Option<u32>,
    new: Vec<f64>,
    stable: Vec<f64>,
}

const MEDIAN_US: f64 = 40_000.0;
/// Scale of the logistic distribution of the durations' logarithms.
const SCALE: f64 = 0.25;

impl World {
    /// The same seed is the same world.
    pub fn new(seed: u64, service: Service, fault: Fault) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let outage = random.f64() < 0.2 * service.drift;
        Self {
            phase: random.f64() * TAU,
            swing_seconds: 300.0 + 900.0 * random.f64(),
            outage: outage.then(|| random.u32(..1200)),
            random,
            service,
            fault,
            new: Vec::new(),
            stable: Vec::new(),
        }
    }

    fn swing(&self, t: u32) -> f64 {
        let angle = f64::from(t) / self.swing_seconds * TAU + self.phase;
        self.service.drift * angle.sin()
    }

    /// The median of stable's durations, and its error rate without outages, in second `t`.
    pub fn stable_at(&self, t: u32) -> (f64, f64) {
        let median = MEDIAN_US * (1.0 + 0.3 * self.swing(t - t % 10));
        (median, self.service.errors * (1.0 + 0.5 * self.swing(t)))
    }

    /// What is counted in second `t` of the new release, which gets `share` of the requests, and of
    /// stable.
    pub fn second(&mut self, t: u32, share: f64) -> (Traffic, Traffic) {
        let swing = self.swing(t);
        let (median, errors) = self.stable_at(t);
        if t.is_multiple_of(10) || self.new.is_empty() {
            self.new = buckets(median * self.fault.latency);
            self.stable = buckets(median);
        }
        let down = self
            .outage
            .is_some_and(|start| (start..start + 10).contains(&t));
        let errors = if down { 0.2 } else { errors };
        let wanted = self.service.requests * (1.0 + 0.2 * swing);
        // Few requests come by chance.
        let requests = if wanted < 50.0 {
            binomial(&mut self.random, (wanted * 20.0) as u64, 0.05)
        } else {
            wanted as u64
        };
        let to_new = binomial(&mut self.random, requests, share);
        let random = &mut self.random;
        (
            traffic(random, to_new, errors * self.fault.errors, &self.new),
            traffic(random, requests - to_new, errors, &self.stable),
        )
    }
}

pub fn traffic(random: &mut fastrand::Rng, requests: u64, errors: f64, buckets: &[f64]) -> Traffic {
    let mut latency = Histogram::default();
    let mut left = requests;
    for (bucket, chance) in (0..).zip(buckets) {
        let count = binomial(random, left, *chance);
        if count > 0 {
            latency.buckets.insert(bucket, count);
        }
        left -= count;
        if left == 0 {
            break;
        }
    }
    Traffic {
        epoch: 1,
        requests,
        errors: binomial(random, requests, errors.min(1.0)),
        latency,
        ..Traffic::default()
    }
}

/// Per bucket, the chance that a duration is in it if it is in none before.
pub fn buckets(median_us: f64) -> Vec<f64> {
    let below = |us: u64| 1.0 / (1.0 + (us as f64 / median_us).powf(-1.0 / SCALE));
    let mut before = 0.0;
    (0..=BUCKET_LAST)
        .map(|bucket| {
            let until = bucket_end_us(bucket).map_or(1.0, below);
            let chance = ((until - before) / (1.0 - before)).clamp(0.0, 1.0);
            before = until;
            // Nearly nobody is there: not worth a draw.
            if chance < 1e-7 { 0.0 } else { chance }
        })
        .collect()
}

/// `1 / (k + 1)`: divisions took most of the time.
const INVERSES: [f64; 1000] = {
    let mut inverses = [1.0; 1000];
    let mut k = 0;
    while k < inverses.len() {
        inverses[k] = 1.0 / (k + 1) as f64;
        k += 1;
    }
    inverses
};

/// One draw, by inversion: exact as long as `(1 - p)^n` is a number, thus for up to 1,000 requests.
pub fn binomial(random: &mut fastrand::Rng, n: u64, p: f64) -> u64 {
    if p <= 0.0 || n == 0 {
        return 0;
    }
    if p > 0.5 {
        return n - binomial(random, n, 1.0 - p);
    }
    let odds = p / (1.0 - p);
    let mut chance = (1.0 - p).powi(i32::try_from(n).unwrap_or(i32::MAX));
    let (mut k, mut u) = (0, random.f64());
    while u > chance && k < n {
        u -= chance;
        chance *= odds * (n - k) as f64 * INVERSES[k as usize];
        k += 1;
    }
    k
}
