//! The rules that are compared. Each is shown every second and says when it would stop the release.

use std::sync::LazyLock;

use domain::{
    evidence::{Comparison, Conclusion, Stretch, Tolerance, is_whole},
    traffic::{BUCKET_LAST, Traffic, bucket_end_us},
};

/// What is counted in one second.
pub struct Second<'a> {
    /// Since the release began.
    pub t: u32,
    /// The new release's share of the requests, 0 to 1.
    pub share: f64,
    pub new: &'a Traffic,
    pub stable: &'a Traffic,
}

/// One way to judge a release.
pub trait Rule {
    /// Takes one second into account; `true` stops the release.
    fn second(&mut self, second: &Second<'_>) -> bool;
}

/// What this repository does.
pub struct Ours {
    comparison: Comparison,
    share: f64,
    /// What is not a whole stretch yet, and for how long it was gathered.
    gathered: Option<([Traffic; 2], u64)>,
    requests: u64,
    /// When the first share was passed, and after how many requests of the new release.
    pub passed: Option<(u32, u64)>,
}

impl Ours {
    pub fn new(tolerance: Tolerance, warm_up_seconds: u32) -> Self {
        Self {
            comparison: Comparison::new(tolerance, warm_up_seconds),
            share: 0.0,
            gathered: None,
            requests: 0,
            passed: None,
        }
    }
}

impl Rule for Ours {
    fn second(&mut self, second: &Second<'_>) -> bool {
        if second.share != self.share {
            self.share = second.share;
            self.gathered = None;
            self.comparison.begin_share();
        }
        self.requests += second.new.requests;
        let (mut sides, ms) = match self.gathered.take() {
            Some((sides, ms)) => (sides, ms + 1000),
            None => ([second.new.clone(), second.stable.clone()], 1000),
        };
        if ms > 1000 {
            add(&mut sides[0], second.new);
            add(&mut sides[1], second.stable);
        }
        let stretch = Stretch {
            new: &sides[0],
            stable: &sides[1],
            lasted_ms: ms,
        };
        if !is_whole(&stretch, (second.share * 100.0).round() as u8) {
            self.gathered = Some((sides, ms));
            return false;
        }
        self.comparison.add(&stretch);
        match self.comparison.settled(1) {
            Some(Conclusion::Worse) => true,
            Some(_) => {
                self.passed.get_or_insert((second.t + 1, self.requests));
                false
            }
            None => false,
        }
    }
}

fn add(all: &mut Traffic, more: &Traffic) {
    all.requests += more.requests;
    all.errors += more.errors;
    all.client_errors += more.client_errors;
    for (bucket, count) in &more.latency.buckets {
        *all.latency.buckets.entry(*bucket).or_default() += count;
    }
    if let Some((all, more)) = all.users.as_mut().zip(more.users) {
        all.add(more);
    }
    for (id, more) in &more.instances {
        let all = all.instances.entry(id.clone()).or_default();
        all.requests += more.requests;
        all.errors += more.errors;
    }
}

/// Fixed thresholds over the last minute, asked for every minute, as Argo Rollouts and Flagger do.
pub struct Threshold {
    errors_max: f64,
    p99_ms_max: f64,
    /// Failed measurements that are forgiven.
    failure_limit: u32,
    failures: u32,
    minute: Minute,
}

impl Threshold {
    pub fn new(errors_max: f64, p99_ms_max: f64, failure_limit: u32) -> Self {
        Self {
            errors_max,
            p99_ms_max,
            failure_limit,
            failures: 0,
            minute: Minute::default(),
        }
    }
}

impl Rule for Threshold {
    fn second(&mut self, second: &Second<'_>) -> bool {
        let t = second.t;
        self.minute.add(second.new);
        if !(t + 1).is_multiple_of(60) {
            return false;
        }
        let minute = std::mem::take(&mut self.minute);
        let slow = minute
            .quantile_ms(0.99)
            .is_some_and(|ms| ms > self.p99_ms_max);
        self.failures += u32::from(slow || minute.error_rate() > self.errors_max);
        self.failures > self.failure_limit
    }
}

/// Mann and Whitney's test on one point per minute, over all minutes so far, every five minutes, with
/// the confidence and the tolerance of Kayenta's judge. Any metric that is high stops.
#[derive(Default)]
pub struct MannWhitney {
    minute: [Minute; 2],
    /// Per metric, the points of the new release and of stable.
    points: [[Vec<f64>; 2]; 3],
}

impl Rule for MannWhitney {
    fn second(&mut self, second: &Second<'_>) -> bool {
        let t = second.t;
        self.minute[0].add(second.new);
        self.minute[1].add(second.stable);
        if !(t + 1).is_multiple_of(60) {
            return false;
        }
        for (side, minute) in std::mem::take(&mut self.minute).into_iter().enumerate() {
            if minute.requests == 0 {
                continue;
            }
            let quantile = |q| minute.quantile_ms(q).unwrap_or(0.0);
            let metrics = [minute.error_rate(), quantile(0.5), quantile(0.95)];
            for (points, value) in self.points.iter_mut().zip(metrics) {
                points[side].push(value);
            }
        }
        (t + 1).is_multiple_of(300)
            && self
                .points
                .iter()
                .any(|[new, stable]| is_high(new, stable, 0.25))
    }
}

/// Whether the lower end of the confidence interval of the shift from stable to new, which lies at one
/// of the pairwise differences, is above `tolerance` times their median.
///
/// Two-sided at 98 %.
fn is_high(new: &[f64], stable: &[f64], tolerance: f64) -> bool {
    let mut differences: Vec<f64> = new
        .iter()
        .flat_map(|x| stable.iter().map(move |y| x - y))
        .collect();
    differences.sort_by(f64::total_cmp);
    let Some(last) = differences.len().checked_sub(1) else {
        return false;
    };
    let median = f64::midpoint(differences[last / 2], differences[last.div_ceil(2)]);
    // Both sides have a point each minute, and are looked at every five: few sizes occur.
    static RANKS: LazyLock<Vec<usize>> = LazyLock::new(|| {
        let sizes = (0..=20).map(|n| n * 5);
        sizes.map(|n| critical(n, n, 0.01).max(1)).collect()
    });
    let rank = RANKS[new.len().min(stable.len()) / 5];
    differences[rank - 1] > tolerance * median.abs()
}

/// The smallest `u` with `P(U <= u) >= alpha` for samples of `m` and `n`: exact, by counting.
fn critical(m: usize, n: usize, alpha: f64) -> usize {
    // ways[j][u]: choices of j of the ranks so far, with statistic u.
    let mut ways = vec![vec![0.0_f64; m * n + 1]; m + 1];
    ways[0][0] = 1.0;
    for rank in 0..m + n {
        for j in (0..m.min(rank + 1)).rev() {
            let below = rank - j;
            for u in (below..=m * n).rev() {
                let more = ways[j][u - below];
                ways[j + 1][u] += more;
            }
        }
    }
    let total: f64 = ways[m].iter().sum();
    let mut sum = 0.0;
    ways[m]
        .iter()
        .position(|count| {
            sum += count / total;
            sum >= alpha
        })
        .unwrap_or(m * n)
}

/// An ordinary one-sided test of two proportions at 1 %, on all requests so far, looked at every
/// second.
#[derive(Default)]
pub struct PValue {
    /// Requests and errors.
    new: (u64, u64),
    stable: (u64, u64),
}

impl Rule for PValue {
    fn second(&mut self, second: &Second<'_>) -> bool {
        const Z: f64 = 2.326;
        for (sum, more) in [
            (&mut self.new, second.new),
            (&mut self.stable, second.stable),
        ] {
            *sum = (sum.0 + more.requests, sum.1 + more.errors);
        }
        let (a, b) = (self.new.0 as f64, self.stable.0 as f64);
        let (c, d) = (self.new.1 as f64, self.stable.1 as f64);
        let pooled = (c + d) / (a + b);
        let spread = (pooled * (1.0 - pooled) * (1.0 / a + 1.0 / b)).sqrt();
        // As taught: not before five errors are to be expected.
        pooled * a >= 5.0 && c / a - d / b > Z * spread
    }
}

/// What was counted in a minute: cheaper to add up than [`Traffic`].
struct Minute {
    requests: u64,
    errors: u64,
    buckets: [u64; BUCKET_LAST as usize + 1],
}

impl Default for Minute {
    fn default() -> Self {
        Self {
            requests: 0,
            errors: 0,
            buckets: [0; BUCKET_LAST as usize + 1],
        }
    }
}

impl Minute {
    fn add(&mut self, second: &Traffic) {
        self.requests += second.requests;
        self.errors += second.errors;
        for (bucket, count) in &second.latency.buckets {
            self.buckets[usize::from(*bucket)] += count;
        }
    }

    fn error_rate(&self) -> f64 {
        self.errors as f64 / self.requests.max(1) as f64
    }

    /// A quantile in milliseconds, interpolated within its bucket as Prometheus does.
    fn quantile_ms(&self, q: f64) -> Option<f64> {
        let mut left = q * self.requests as f64;
        let end = |bucket: u8| bucket_end_us(bucket).unwrap_or(u64::MAX) as f64 / 1000.0;
        (0_u8..).zip(self.buckets).find_map(|(bucket, count)| {
            let count = count as f64;
            if count > 0.0 && left <= count {
                let start = bucket.checked_sub(1).map_or(0.0, end);
                return Some(start + (end(bucket) - start) * left / count);
            }
            left -= count;
            None
        })
    }
}
