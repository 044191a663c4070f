//! The router's metrics as text (OpenMetrics, which Prometheus reads): the values at one moment,
//! and how they are written.
//!
//! Invariant: each slice has one series per release with instances, one for the release that starts
//! next, and one for each release that went less than 15 minutes ago. The sums of a slice never go.

use std::{collections::BTreeMap, fmt};

use domain::{
    observation::InstanceState,
    slice::Slice,
    traffic::{BUCKET_LAST, Histogram, bucket_end_us},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet, text},
    metrics::MetricType,
    registry::{Registry, Unit},
};
use router::Counts;

use super::world::Daemon;
use crate::routing::wire::Reading;

/// The content type of the text.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The first bucket of latency that is shown, and how many fine buckets form each one. The first
/// ends at 0.4 ms, and each is twice as wide as the one before, up to 13 s.
const BUCKET_FIRST: u8 = 8;
const BUCKET_STEP: usize = 4;
const BUCKET_SHOWN_LAST: u8 = 68;
/// Names of the classes of status.
const CODES: [&str; router::CLASSES] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The values at one moment.
#[derive(Debug, Default)]
pub(super) struct Seen {
    releases: Vec<Release>,
    slices: Vec<(SliceLabels, Counts)>,
    weights: Vec<(SliceLabels, f64)>,
    refused: BTreeMap<u16, u64>,
    ignored_passes: BTreeMap<String, u64>,
}

/// One release in one slice.
#[derive(Debug)]
struct Release {
    labels: Labels,
    counts: Counts,
    in_flight: usize,
    healthy: usize,
}

type Labels = [(&'static str, String); 4];
type SliceLabels = [(&'static str, String); 3];

impl Seen {
    /// What the daemon and the router show together.
    pub(super) fn of(daemon: &Daemon, reading: Reading) -> Self {
        let world = daemon.world();
        let groups = &world.saved.groups;
        let mut seen = Self {
            refused: reading.refused,
            ignored_passes: reading.ignored_passes,
            ..Self::default()
        };
        for counted in &reading.slices {
            let Some(group) = groups.get(&counted.place) else {
                continue;
            };
            let slice = counted.slice;
            let of_slice = slice_labels(&group.place, slice);
            seen.slices.push((of_slice, counted.sum()));
            let slot = group.slices.get(&slice);
            for (version, counts) in &counted.releases {
                let members = slot.map_or(&[][..], |slot| &slot.members);
                let members = members.iter().filter(|member| member.version == *version);
                let mut release = Release {
                    labels: labels(&group.place, slice, version.to_string()),
                    counts: counts.clone(),
                    in_flight: 0,
                    healthy: 0,
                };
                for member in members {
                    let of = reading.instances.get(&member.id);
                    release.in_flight += of.map_or(0, |of| of.in_flight);
                    release.healthy += usize::from(member.state == InstanceState::Healthy);
                }
                seen.releases.push(release);
            }
        }
        let weights = groups.values().flat_map(|group| {
            group.slices.keys().map(|slice| {
                let percent = group.weights.share(*slice);
                let labels = slice_labels(&group.place, *slice);
                (labels, f64::from(percent) / 100.0)
            })
        });
        seen.weights = weights.collect();
        seen
    }

    /// The values as text.
    pub(super) fn into_text(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        text::encode(&mut text, &registry).expect("a String takes everything");
        text
    }
}

fn labels(place: &domain::names::Place, slice: Slice, release: String) -> Labels {
    let [service, environment, slice] = slice_labels(place, slice);
    [service, environment, slice, ("release", release)]
}

fn slice_labels(place: &domain::names::Place, slice: Slice) -> SliceLabels {
    [
        ("service", place.service.to_string()),
        ("environment", place.environment.to_string()),
        ("slice", slice.to_string()),
    ]
}

impl Collector for Seen {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        self.encode_counter(
            encoder,
            "pointsman_router_requests",
            "Requests of users that were answered, failed, or were given up by their users",
            Counts::requests,
        )?;
        self.encode_counter(
            encoder,
            "pointsman_router_request_errors",
            "Requests of users that were answered with a 5xx, not at all, or only in part",
            Counts::errors,
        )?;
        self.encode_counter(
            encoder,
            "pointsman_router_abandoned_requests",
            "Requests that their users gave up before there was an answer",
            |counts| counts.abandoned,
        )?;
        self.encode_sum(
            encoder,
            "pointsman_router_slice_requests",
            "Requests of users to the slice, of all releases that it ever had",
            Counts::requests,
        )?;
        self.encode_sum(
            encoder,
            "pointsman_router_slice_request_errors",
            "Those that were answered with a 5xx, not at all, or only in part",
            Counts::errors,
        )?;
        self.encode_counter(
            encoder,
            "pointsman_router_pass_requests",
            "Requests with a tester's pass; they are in no other metric but those in flight",
            |counts| counts.by_pass,
        )?;
        self.encode_responses(encoder)?;
        self.encode_latency(encoder)?;
        self.encode_gauge(
            encoder,
            "pointsman_router_requests_in_flight",
            "Requests and tunnels that instances are answering now",
            |release| release.in_flight,
        )?;
        self.encode_gauge(
            encoder,
            "pointsman_router_healthy_instances",
            "Instances that get requests when their slice does",
            |release| release.healthy,
        )?;
        self.encode_weights(encoder)?;
        self.encode_refused(encoder)?;
        self.encode_ignored(encoder)
    }
}

impl Seen {
    fn encode_counter(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        of: fn(&Counts) -> u64,
    ) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for release in &self.releases {
            let mut one = metric.encode_family(&release.labels)?;
            one.encode_counter::<NoLabelSet, u64, u64>(&of(&release.counts), None)?;
        }
        Ok(())
    }

    fn encode_sum(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        of: fn(&Counts) -> u64,
    ) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, counts) in &self.slices {
            let mut one = metric.encode_family(labels)?;
            one.encode_counter::<NoLabelSet, u64, u64>(&of(counts), None)?;
        }
        Ok(())
    }

    fn encode_gauge(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        of: fn(&Release) -> usize,
    ) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for release in &self.releases {
            let mut one = metric.encode_family(&release.labels)?;
            one.encode_gauge(&of(release))?;
        }
        Ok(())
    }

    fn encode_responses(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(
            "pointsman_router_responses",
            "Answers to users by class of status; without an answer of the instance: 5xx",
            None,
            MetricType::Counter,
        )?;
        for release in &self.releases {
            for (code, n) in CODES.iter().zip(release.counts.classes) {
                let labels = (release.labels.as_slice(), [("code", *code)]);
                let mut one = metric.encode_family(&labels)?;
                one.encode_counter::<NoLabelSet, u64, u64>(&n, None)?;
            }
        }
        Ok(())
    }

    fn encode_latency(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(
            "pointsman_router_request_duration",
            "Time from the head of a user's request to the head of its answer",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for release in &self.releases {
            let Counts {
                latency,
                latency_us,
                ..
            } = &release.counts;
            let mut one = metric.encode_family(&release.labels)?;
            let sum = seconds(*latency_us);
            one.encode_histogram::<NoLabelSet>(sum, latency.count(), &coarse(latency), None)?;
        }
        Ok(())
    }

    fn encode_weights(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(
            "pointsman_router_weight_ratio",
            "The share of users that the slice gets, from 0 to 1",
            None,
            MetricType::Gauge,
        )?;
        for (labels, weight) in &self.weights {
            metric.encode_family(labels)?.encode_gauge(weight)?;
        }
        Ok(())
    }

    fn encode_refused(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(
            "pointsman_router_refused_requests",
            "Requests that the router answered by itself, by status",
            None,
            MetricType::Counter,
        )?;
        for (code, n) in &self.refused {
            let labels = [("code", *code)];
            let mut one = metric.encode_family(&labels)?;
            one.encode_counter::<NoLabelSet, u64, u64>(n, None)?;
        }
        Ok(())
    }

    fn encode_ignored(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(
            "pointsman_router_ignored_passes",
            "Requests with a tester's pass that was not good, by reason",
            None,
            MetricType::Counter,
        )?;
        for (reason, n) in &self.ignored_passes {
            let labels = [("reason", reason.as_str())];
            let mut one = metric.encode_family(&labels)?;
            one.encode_counter::<NoLabelSet, u64, u64>(n, None)?;
        }
        Ok(())
    }
}

/// The buckets that are shown: the end of each in seconds, and its own count. Each consists of
/// whole fine buckets, so no count is an estimate.
fn coarse(latency: &Histogram) -> Vec<(f64, u64)> {
    let mut from = 0;
    let ends = (BUCKET_FIRST..=BUCKET_SHOWN_LAST).step_by(BUCKET_STEP);
    let mut between = |last: u8| {
        let n = latency.buckets.range(from..=last).map(|(_, n)| n).sum();
        from = last + 1;
        n
    };
    let mut buckets: Vec<(f64, u64)> = ends
        .filter_map(|last| Some((seconds(bucket_end_us(last)?), between(last))))
        .collect();
    buckets.push((f64::INFINITY, between(BUCKET_LAST)));
    buckets
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 285 years")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> domain::names::Place {
        domain::names::Place {
            service: "cart".parse().unwrap(),
            environment: "live".parse().unwrap(),
        }
    }

    #[test]
    fn coarse_buckets_hold_every_count_once() {
        let mut latency = Histogram::default();
        for us in [1, 400, 401, 800, 13_107_200, 13_107_201, 500_000_000] {
            latency.add_us(us);
        }
        let buckets = coarse(&latency);
        assert_eq!(buckets.len(), 17);
        assert_eq!(buckets[0], (0.0004, 2));
        assert_eq!(buckets[1], (0.0008, 2));
        assert_eq!(buckets[15], (13.1072, 1));
        assert_eq!(buckets[16], (f64::INFINITY, 2));
    }

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let mut counts = Counts {
            classes: [0, 2, 0, 0, 1],
            latency_us: 1_500,
            by_pass: 4,
            abandoned: 5,
            broken: 6,
            ..Counts::default()
        };
        (0..3).for_each(|_| counts.latency.add_us(500));
        let strange = "1.0\"\\\n".to_owned();
        let of_slice = slice_labels(&place(), Slice::Green);
        let seen = Seen {
            releases: vec![Release {
                labels: labels(&place(), Slice::Green, strange),
                counts: counts.clone(),
                in_flight: 7,
                healthy: 2,
            }],
            slices: vec![(of_slice.clone(), counts)],
            weights: vec![(of_slice, 0.05)],
            refused: BTreeMap::from([(503, 9)]),
            ignored_passes: BTreeMap::from([("expired".to_owned(), 8)]),
        };
        let text = seen.into_text();
        let labels =
            "service=\"cart\",environment=\"live\",slice=\"green\",release=\"1.0\\\"\\\\\\n\"";
        let of = |first: &str, last: &str| format!("{{{first}{labels}{last}}}");
        let bucket = |le: &str| {
            let labels = of(&format!("le=\"{le}\","), "");
            format!("pointsman_router_request_duration_seconds_bucket{labels}")
        };
        for line in [
            "# TYPE pointsman_router_requests counter\n".to_owned(),
            format!("pointsman_router_requests_total{} 8\n", of("", "")),
            format!("pointsman_router_request_errors_total{} 7\n", of("", "")),
            format!("pointsman_router_abandoned_requests_total{} 5\n", of("", "")),
            "pointsman_router_slice_requests_total{service=\"cart\",environment=\"live\",slice=\"green\"} 8\n"
                .to_owned(),
            format!("pointsman_router_pass_requests_total{} 4\n", of("", "")),
            format!("pointsman_router_responses_total{} 2\n", of("", ",code=\"2xx\"")),
            "# UNIT pointsman_router_request_duration_seconds seconds\n".to_owned(),
            format!("pointsman_router_request_duration_seconds_sum{} 0.0015\n", of("", "")),
            format!("pointsman_router_request_duration_seconds_count{} 3\n", of("", "")),
            format!("{} 0\n", bucket("0.0004")),
            format!("{} 3\n", bucket("0.0008")),
            format!("{} 3\n", bucket("+Inf")),
            format!("pointsman_router_requests_in_flight{} 7\n", of("", "")),
            format!("pointsman_router_healthy_instances{} 2\n", of("", "")),
            "pointsman_router_weight_ratio{service=\"cart\",environment=\"live\",slice=\"green\"} 0.05\n"
                .to_owned(),
            "pointsman_router_refused_requests_total{code=\"503\"} 9\n".to_owned(),
            "pointsman_router_ignored_passes_total{reason=\"expired\"} 8\n".to_owned(),
        ] {
            assert!(text.contains(&line), "{line}not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
