//! Two drawings of what routers counted while somebody watched: who answers the users' requests, and how
//! many go wrong; and the same numbers as a table.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use domain::{names::DeploymentId, time::UnixMs, traffic::Traffic};
use maud::{Markup, html};
use operations::slices::Slices;

use super::Seen;
use crate::portal::parts::{length, moment};

/// Samples of one deployment that are kept, a few seconds apart.
const SAMPLES_MAX: usize = 300;
/// Deployments whose samples are kept.
const DEPLOYMENTS_MAX: usize = 64;
/// Samples that one point of a drawing sums up.
const TOGETHER: usize = 15;
/// Least time between two samples, in milliseconds.
const APART_MS: u64 = 900;
/// Size of a drawing, in its own units.
const WIDE: f64 = 560.0;
const HIGH: f64 = 120.0;
/// Rows of the table.
const ROWS_MAX: usize = 20;

/// What was counted so far of one release.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    requests: u64,
    errors: u64,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.errors += other.errors;
    }

    /// The same in words.
    fn told(self) -> String {
        format!("{} of {} requests failed", self.errors, self.requests)
    }
}

/// The counters at one moment, by version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::portal) struct Sample {
    at: UnixMs,
    counts: BTreeMap<String, Count>,
}

/// The samples of the deployments that were watched lately. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(in crate::portal) struct Samples(Arc<Mutex<BTreeMap<DeploymentId, VecDeque<Sample>>>>);

impl Samples {
    pub(super) fn add(&self, id: &DeploymentId, sample: Sample) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while all.len() >= DEPLOYMENTS_MAX && !all.contains_key(id) {
            all.pop_first();
        }
        let samples = all.entry(id.clone()).or_default();
        let is_soon = |last: &Sample| sample.at.since_ms(last.at) < APART_MS;
        if samples.back().is_some_and(is_soon) {
            return;
        }
        samples.push_back(sample);
        if samples.len() > SAMPLES_MAX {
            samples.pop_front();
        }
    }

    pub(super) fn of(&self, id: &DeploymentId) -> Vec<Sample> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(id)
            .map_or_else(Vec::new, |samples| samples.iter().cloned().collect())
    }
}

impl Sample {
    /// The counters of all slices, by the version that answered.
    pub(super) fn of(slices: &Slices, at: UnixMs) -> Self {
        let mut sample = Self {
            at,
            counts: BTreeMap::new(),
        };
        for slice in &slices.slices {
            let Some(traffic) = &slice.traffic else {
                continue;
            };
            let launches = slice.seen.launches.as_ref();
            let whole = launches.map(|launch| launch.version.to_string());
            sample.count(traffic, whole, &slice.seen.instances);
        }
        sample
    }

    fn count(
        &mut self,
        traffic: &Traffic,
        whole: Option<String>,
        instances: &[domain::observation::Instance],
    ) {
        if traffic.instances.is_empty() {
            let count = self.counts.entry(whole.unwrap_or_default()).or_default();
            count.requests += traffic.requests;
            count.errors += traffic.errors;
            return;
        }
        for instance in instances {
            let Some(counted) = traffic.instances.get(&instance.id) else {
                continue;
            };
            let count = self.counts.entry(instance.version.to_string()).or_default();
            count.requests += counted.requests;
            count.errors += counted.errors;
        }
    }
}

/// What happened between two samples.
struct Stretch {
    at: UnixMs,
    seconds: f64,
    new: Count,
    old: Count,
}

impl Stretch {
    fn requests(&self) -> u64 {
        self.new.requests + self.old.requests
    }

    /// The share of the new release, in percent.
    fn share(&self) -> Option<f64> {
        (self.requests() > 0).then(|| 100.0 * self.new.requests as f64 / self.requests() as f64)
    }
}

fn rate(count: Count) -> Option<f64> {
    (count.requests > 0).then(|| 100.0 * count.errors as f64 / count.requests as f64)
}

fn stretches(seen: &Seen) -> Vec<Stretch> {
    let new = seen.deployment.launch.version.as_str();
    let pairs = seen.samples.iter().zip(seen.samples.iter().skip(1));
    let stretch = |(before, after): (&Sample, &Sample)| {
        let mut stretch = Stretch {
            at: after.at,
            seconds: after.at.since_ms(before.at) as f64 / 1000.0,
            new: Count::default(),
            old: Count::default(),
        };
        for (version, count) in &after.counts {
            // What was not there before began to be counted within the stretch.
            let earlier = before.counts.get(version).copied().unwrap_or_default();
            let side = if version == new {
                &mut stretch.new
            } else {
                &mut stretch.old
            };
            side.requests += count.requests.saturating_sub(earlier.requests);
            side.errors += count.errors.saturating_sub(earlier.errors);
        }
        stretch
    };
    let stretches: Vec<Stretch> = pairs.map(stretch).collect();
    summed(&stretches)
}

/// Each stretch with those just before it: a single request within a second would draw 0 or 100 %.
fn summed(all: &[Stretch]) -> Vec<Stretch> {
    let window = |end: usize| {
        let start = (end + 1).saturating_sub(TOGETHER);
        let mut sum = Stretch {
            at: all[end].at,
            seconds: 0.0,
            new: Count::default(),
            old: Count::default(),
        };
        for stretch in &all[start..=end] {
            sum.seconds += stretch.seconds;
            sum.new.add(stretch.new);
            sum.old.add(stretch.old);
        }
        sum
    };
    (0..all.len()).map(window).collect()
}

/// Both drawings, and the table.
pub(super) fn charts(seen: &Seen) -> Markup {
    let all = stretches(seen);
    let counted = all.iter().any(|stretch| stretch.requests() > 0);
    html! {
        div #d-charts {
            @if counted && all.len() > 1 { (drawn(seen, &all)) }
            @else if seen.deployment.ending.is_none() {
                section.card {
                    h2 { "Users" }
                    p.soft.small { "Nothing counted yet. The drawing begins with the first requests while somebody watches." }
                }
            }
        }
    }
}

fn drawn(seen: &Seen, all: &[Stretch]) -> Markup {
    let new = seen.deployment.launch.version.as_str();
    let stable = seen.deployment.stable.as_ref();
    let old = stable.map_or("nothing", |stable| stable.version.as_str());
    let shares: Vec<Option<f64>> = all.iter().map(Stretch::share).collect();
    let news: Vec<Option<f64>> = all.iter().map(|it| rate(it.new)).collect();
    let olds: Vec<Option<f64>> = all.iter().map(|it| rate(it.old)).collect();
    let worst = news
        .iter()
        .chain(&olds)
        .flatten()
        .fold(1.0_f64, |a, b| a.max(*b));
    let Some(last) = all.last() else {
        return html! {};
    };
    let share = last.share().unwrap_or(0.0);
    let (news_now, olds_now) = (last.new.told(), last.old.told());
    let window = length((last.seconds * 1000.0) as u64);
    html! {
        section.card {
            div.head { h2 { "Users" } span.small.soft { "as routers counted them; each point sums up " (window) } }
            div.two {
                figure.chart {
                    figcaption { b { (number(share)) " %" } " of " (last.requests()) " requests answered by " span.mono { (new) } }
                    (svg(&format!("Share of requests answered by {new}: {share:.0} % now"), 100.0, &[("new fill", &shares)]))
                }
                figure.chart {
                    figcaption {
                        b { (news_now) } " on " span.mono { (new) } ", " (olds_now) " on " span.mono { (old) }
                    }
                    (svg(&format!("Errors in percent of requests: {news_now} on {new}, {olds_now} on {old}"), worst, &[("old", &olds), ("new", &news)]))
                }
            }
            (table(all, new, old))
        }
    }
}

/// Lines over the same time, from 0 to `top`.
fn svg(label: &str, top: f64, lines: &[(&str, &[Option<f64>])]) -> Markup {
    let all = lines.first().map_or(0, |(_, values)| values.len());
    let x = |index: usize| WIDE * index as f64 / all.saturating_sub(1).max(1) as f64;
    let y = |value: f64| HIGH - HIGH * (value / top).clamp(0.0, 1.0);
    let path = |values: &[Option<f64>]| {
        let mut text = String::new();
        let mut pen = 'M';
        for (index, value) in values.iter().enumerate() {
            match value {
                Some(value) => {
                    text.push_str(&format!("{pen}{:.1} {:.1}", x(index), y(*value)));
                    pen = 'L';
                }
                None => pen = 'M',
            }
        }
        text
    };
    html! {
        svg viewBox={ "-2 -6 " (WIDE + 44.0) " " (HIGH + 12.0) } role="img" aria-label=(label) {
            @for part in [0.0, 0.5, 1.0] {
                path.grid d={ "M0 " (y(top * part)) "H" (WIDE) } {}
                text x=(WIDE + 6.0) y=(y(top * part) + 4.0) { (number(top * part)) " %" }
            }
            @for (class, values) in lines { path class={ "line " (class) } d=(path(values)) {} }
        }
    }
}

/// A number without digits that say nothing.
fn number(value: f64) -> String {
    match value {
        value if value >= 10.0 || value.fract() == 0.0 => format!("{value:.0}"),
        value => format!("{value:.1}"),
    }
}

fn table(all: &[Stretch], new: &str, old: &str) -> Markup {
    let every = all.len().div_ceil(ROWS_MAX).max(1);
    let percent =
        |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2} %"));
    html! {
        details {
            summary.small { "The same as a table" }
            div.scroll tabindex="0" role="region" aria-label="Users as a table" {
                table.table {
                    thead { tr {
                        th scope="col" { "Time" }
                        th.num scope="col" { "Requests per second" }
                        th.num scope="col" { "On " (new) }
                        th.num scope="col" { "Errors on " (new) }
                        th.num scope="col" { "Errors on " (old) }
                    } }
                    tbody { @for stretch in all.iter().rev().step_by(every) { tr {
                        th scope="row" { (moment(stretch.at)) }
                        td.num { (format!("{:.1}", stretch.requests() as f64 / stretch.seconds.max(0.1))) }
                        td.num { (stretch.share().map_or("–".to_owned(), |share| format!("{share:.0} %"))) }
                        td.num { (percent(rate(stretch.new))) }
                        td.num { (percent(rate(stretch.old))) }
                    } } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_request_is_no_hundred_percent() {
        let stretch = |requests, errors| Stretch {
            at: UnixMs(0),
            seconds: 1.0,
            new: Count { requests, errors },
            old: Count::default(),
        };
        let quiet = (0..9).map(|_| stretch(1, 0));
        let all: Vec<Stretch> = quiet.chain([stretch(1, 1)]).collect();
        let last = summed(&all).pop().unwrap();
        assert_eq!(rate(last.new), Some(10.0));
        assert_eq!(last.new.told(), "1 of 10 requests failed");
        assert_eq!(last.seconds, 10.0);
        // What is longer ago than one point sums up does not count.
        let all: Vec<Stretch> = std::iter::once(stretch(1, 1))
            .chain((0..TOGETHER).map(|_| stretch(1, 0)))
            .collect();
        assert_eq!(rate(summed(&all).pop().unwrap().new), Some(0.0));
    }
}
