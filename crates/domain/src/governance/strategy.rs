//! The rules about how: numbers, gates and slices of a strategy.

use super::{Facts, Objection, Wish};
use crate::{
    evidence::Tolerance,
    gate::{ApprovalGate, CloudWatchGate, Deadline, Gate, HttpGate, Patience, PrometheusGate},
    plan::{
        Roles, Strategy,
        instance_refresh::{ALARMS_MAX, CHECKPOINT_DELAY_SECONDS_MAX, InstanceRefresh},
        scale_up::ScaleUp,
        two_slices::{Shadow, TwoSlices},
    },
};

const DAY: u32 = 86_400;
/// Most stages, gates, and names in a list.
const STAGES_MAX: u32 = 100;
const GATES_MAX: u32 = 20;
const NAMES_MAX: u32 = 50;
/// Longest address, question, or name, in bytes.
const TEXT_MAX: u32 = 4096;

/// The wish with everything filled in that the catalogue says: gates of the server group, addresses of
/// Prometheus servers, who may approve.
pub(super) fn complete(mut wish: Wish, facts: &Facts) -> Wish {
    let (Strategy::BlueGreen(options) | Strategy::Canary(options)) = &mut wish.strategy else {
        return wish;
    };
    let usual = || facts.group.as_ref().map(|group| group.gates.clone());
    let by_another = facts
        .environment_type
        .as_ref()
        .is_some_and(|class| class.approval_by_another);
    let gates = options
        .gates
        .get_or_insert_with(|| usual().unwrap_or_default());
    for gate in gates {
        match gate {
            Gate::Prometheus(gate) => {
                let known = facts.prometheuses.iter();
                let known = known.into_iter().find(|it| it.name == gate.prometheus);
                gate.url = known.map(|it| it.url.clone()).unwrap_or_default();
            }
            Gate::Approval(gate) => gate.by_another |= by_another,
            Gate::Traffic(_) | Gate::Shadow(_) | Gate::CloudWatch(_) | Gate::Http(_) => {}
        }
    }
    wish
}

/// Collects what is out of bounds.
#[derive(Default)]
struct Bounds(Vec<Objection>);

impl Bounds {
    fn within(&mut self, field: &str, value: u32, low: u32, high: u32) {
        if value < low || value > high {
            self.wrong(field, &format!("between {low} and {high}"));
        }
    }

    fn wrong(&mut self, field: &str, rule: &str) {
        self.0.push(Objection::StrategyInvalid {
            field: field.to_owned(),
            rule: rule.to_owned(),
        });
    }

    fn length(&mut self, field: &str, items: usize, high: u32) {
        let items = u32::try_from(items).unwrap_or(u32::MAX);
        self.within(&format!("the length of {field}"), items, 0, high);
    }
}

/// The numbers of the strategy make sense.
pub(super) fn numbers(strategy: &Strategy) -> Vec<Objection> {
    let mut bounds = Bounds::default();
    match strategy {
        Strategy::ScaleUp(options) => scale_up(options, &mut bounds),
        Strategy::InstanceRefresh(options) => instance_refresh(options, &mut bounds),
        Strategy::BlueGreen(options) | Strategy::Canary(options) => {
            two_slices(options, &mut bounds);
        }
        Strategy::Switch => {}
    }
    bounds.0
}

/// What is wrong with gates that stand in a manifest: each field with its rule.
#[must_use]
pub fn gate_faults(gates: &[Gate]) -> Vec<(String, String)> {
    let mut bounds = Bounds::default();
    all_gates(gates, &mut bounds);
    let faults = bounds
        .0
        .into_iter()
        .filter_map(|objection| match objection {
            Objection::StrategyInvalid { field, rule } => Some((field, rule)),
            _ => None,
        });
    faults.collect()
}

fn all_gates(gates: &[Gate], bounds: &mut Bounds) {
    bounds.length("gates", gates.len(), GATES_MAX);
    for gate in gates {
        one_gate(gate, bounds);
    }
}

fn scale_up(options: &ScaleUp, bounds: &mut Bounds) {
    bounds.within("surge_percent", options.surge_percent, 1, 100);
    bounds.within("bake_seconds", options.bake_seconds, 0, DAY);
    let deadline = options.health_deadline_seconds;
    bounds.within("health_deadline_seconds", deadline, 1, DAY);
}

fn instance_refresh(options: &InstanceRefresh, bounds: &mut Bounds) {
    bounds.within("surge_percent", options.surge_percent, 1, 100);
    bounds.within("bake_seconds", options.bake_seconds, 0, DAY);
    let deadline = options.health_deadline_seconds;
    bounds.within("health_deadline_seconds", deadline, 1, DAY);
    let checkpoints = &options.checkpoints;
    let growing = checkpoints.is_sorted_by(|one, next| one < next);
    if !growing || !checkpoints.iter().all(|share| (1..100).contains(share)) {
        bounds.wrong("checkpoints", "growing shares of the group from 1 to 99");
    }
    bounds.within(
        "checkpoint_delay_seconds",
        options.checkpoint_delay_seconds,
        0,
        CHECKPOINT_DELAY_SECONDS_MAX,
    );
    bounds.length("alarms", options.alarms.len(), ALARMS_MAX);
    if !options.alarms.iter().all(|name| is_alarm_name(name)) {
        bounds.wrong("alarms", ALARM_NAMES);
    }
}

fn two_slices(options: &TwoSlices, bounds: &mut Bounds) {
    let deadline = options.health_deadline_seconds;
    bounds.within("health_deadline_seconds", deadline, 1, DAY);
    bounds.within("warm_seconds", options.warm_seconds, 0, 7 * DAY);
    bounds.length("stages", options.stages.len(), STAGES_MAX);
    for stage in &options.stages {
        bounds.within("stages.percent", u32::from(stage.percent), 1, 100);
        bounds.within("stages.seconds", stage.seconds, 0, 7 * DAY);
    }
    let growing = options
        .stages
        .is_sorted_by(|one, next| one.percent < next.percent);
    if !growing {
        bounds.wrong("stages", "growing shares, each larger than the one before");
    }
    if let Some(dark) = &options.shadow {
        shadow(dark, bounds);
    }
    all_gates(options.gates.as_deref().unwrap_or_default(), bounds);
}

fn shadow(shadow: &Shadow, bounds: &mut Bounds) {
    bounds.within("shadow.percent", u32::from(shadow.percent), 1, 100);
    bounds.within("shadow.seconds", shadow.seconds, 1, 7 * DAY);
    bounds.within(
        "shadow.gate.margin_permille",
        shadow.gate.margin_permille,
        0,
        1000,
    );
    bounds.length("shadow.methods", shadow.methods.len(), NAMES_MAX);
    let word =
        |method: &String| !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
    if !shadow.methods.iter().all(word) {
        bounds.wrong(
            "shadow.methods",
            "HTTP methods in capital letters, such as POST",
        );
    }
    if let Some(compare) = &shadow.compare {
        bounds.length("shadow.compare.headers", compare.headers.len(), NAMES_MAX);
        bounds.length("shadow.compare.ignore", compare.ignore.len(), NAMES_MAX);
        let dollar = |path: &String| path.starts_with('$');
        if !compare.ignore.iter().all(dollar) {
            bounds.wrong(
                "shadow.compare.ignore",
                "paths such as $.served_at or $.items[].id",
            );
        }
    }
}

fn one_gate(gate: &Gate, bounds: &mut Bounds) {
    let Deadline(deadline) = match gate {
        Gate::Traffic(gate) => {
            tolerance(&gate.tolerance, bounds);
            gate.deadline
        }
        Gate::Shadow(gate) => {
            bounds.wrong(
                "gates",
                "without `shadow`, which belongs to `shadow.gate` of the strategy",
            );
            gate.deadline
        }
        Gate::Prometheus(gate) => {
            prometheus(gate, bounds);
            gate.deadline
        }
        Gate::CloudWatch(gate) => {
            cloudwatch(gate, bounds);
            gate.deadline
        }
        Gate::Http(gate) => {
            http(gate, bounds);
            gate.deadline
        }
        Gate::Approval(ApprovalGate { deadline, .. }) => *deadline,
    };
    bounds.within("gates.deadline", deadline, 1, 7 * DAY);
    if gate.at().iter().any(|at| *at > 100) {
        bounds.wrong("gates.at", "shares of users from 0 to 100");
    }
}

fn cloudwatch(gate: &CloudWatchGate, bounds: &mut Bounds) {
    let measures = gate.metric.is_some() && gate.max.is_some();
    let asks_one = gate.alarm.is_some() != gate.metric.is_some();
    if !asks_one || gate.metric.is_some() != measures || gate.alarm.is_some() && gate.max.is_some()
    {
        bounds.wrong("gates.alarm", "given alone, or metric together with max");
    }
    if gate
        .max
        .is_some_and(|max| !max.0.is_finite() || max.0 < 0.0)
    {
        bounds.wrong("gates.max", "a number that is not negative");
    }
    if !gate.alarm.iter().all(|name| is_alarm_name(name)) {
        bounds.wrong("gates.alarm", ALARM_NAMES);
    }
    patience(gate.patience, bounds);
}

const ALARM_NAMES: &str = "a name of 1 to 255 characters";

/// "`AlarmName`: 1 to 255 characters" (CloudWatch API reference, `PutMetricAlarm`).
fn is_alarm_name(name: &str) -> bool {
    (1..=255).contains(&name.chars().count())
}

fn tolerance(tolerance: &Tolerance, bounds: &mut Bounds) {
    bounds.within(
        "tolerance.error_margin_permille",
        tolerance.error_margin_permille,
        1,
        1000,
    );
    bounds.within(
        "tolerance.latency_margin_percent",
        tolerance.latency_margin_percent,
        1,
        1000,
    );
    bounds.length("tolerance.percentiles", tolerance.percentiles.len(), 5);
    for percentile in &tolerance.percentiles {
        bounds.within("tolerance.percentiles", u32::from(*percentile), 1, 99);
    }
}

fn prometheus(gate: &PrometheusGate, bounds: &mut Bounds) {
    bounds.length("gates.query", gate.query.len(), TEXT_MAX);
    patience(gate.patience, bounds);
    if gate.query.trim().is_empty() {
        bounds.wrong("gates.query", "a question in PromQL");
    }
    if gate.min.is_none() && gate.max.is_none() {
        bounds.wrong(
            "gates",
            "given a `min` or a `max` for each Prometheus query",
        );
    }
    let finite = [gate.min, gate.max]
        .into_iter()
        .flatten()
        .all(|n| n.0.is_finite());
    if !finite {
        bounds.wrong("gates.min and gates.max", "finite numbers");
    }
}

fn http(gate: &HttpGate, bounds: &mut Bounds) {
    bounds.length("gates.url", gate.url.len(), TEXT_MAX);
    patience(gate.patience, bounds);
    if !is_http(&gate.url) {
        bounds.wrong(
            "gates.url",
            "an address that begins with http:// or https://",
        );
    }
}

/// Whether `url` is an address that can be asked.
#[must_use]
pub fn is_http(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or(url.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty()) && !url.contains(char::is_whitespace)
}

fn patience(patience: Patience, bounds: &mut Bounds) {
    let Patience {
        interval_seconds,
        bad_answers,
    } = patience;
    bounds.within("gates.patience.interval_seconds", interval_seconds, 1, 3600);
    bounds.within("gates.patience.bad_answers", bad_answers, 1, 100);
}

/// Every gate can be asked, and has something to compare.
pub(super) fn gates(strategy: &Strategy, facts: &Facts) -> Vec<Objection> {
    let Some(options) = strategy.two_slices() else {
        return Vec::new();
    };
    let split = options.stages().any(|stage| stage.percent < 100);
    let mut objections = Vec::new();
    for gate in options.gates.iter().flatten() {
        if let Gate::Prometheus(PrometheusGate { prometheus, .. }) = gate {
            let known = facts.prometheuses.iter().any(|it| it.name == *prometheus);
            if !known {
                let prometheus = prometheus.clone();
                objections.push(Objection::PrometheusUnknown { prometheus });
            }
        }
        let group = facts.group.as_ref();
        let lacking = group
            .map(|group| group.home().abilities())
            .filter(|able| gate.asks_provider() && !able.answers_gates);
        objections.extend(lacking.map(|able| {
            let instead = "use a traffic or Prometheus gate, or leave the gate out with --no-gates";
            let remedy = able.counts_requests.err().map_or(instead, |it| it.remedy);
            Objection::GateNotOffered {
                gate: gate.to_string(),
                remedy: remedy.to_owned(),
            }
        }));
        let alone = gate.at().iter().any(|at| [0, 100].contains(at));
        if gate.compares() && (alone || !split) {
            let gate = gate.to_string();
            objections.push(Objection::NothingToCompare { gate });
        }
    }
    objections
}

/// There are two slices where two are needed, and something to switch to.
pub(super) fn slices(wish: &Wish, facts: &Facts) -> Vec<Objection> {
    let Some(group) = &facts.group else {
        return Vec::new();
    };
    let place = wish.place.clone();
    let strategy = &wish.strategy;
    if strategy.needs_two_slices() && group.slices < 2 {
        let strategy = strategy.kind();
        return vec![Objection::NeedsTwoSlices { place, strategy }];
    }
    if *strategy != Strategy::Switch {
        return Vec::new();
    }
    let slice = Roles::of(strategy, super::stable_version(facts), &facts.seen).next;
    let other = facts.seen.slice(slice);
    let Some(launch) = other.launches.as_ref().filter(|_| facts.live.is_some()) else {
        return vec![Objection::OtherSliceEmpty { place }];
    };
    if launch.version != wish.version {
        return vec![Objection::OtherSliceRuns {
            place,
            slice,
            running: launch.version.clone(),
            version: wish.version.clone(),
        }];
    }
    let needed = super::capacity(strategy, group, super::stable_version(facts), &facts.seen).asked;
    match other.healthy_of(&launch.id) {
        0 if other.sizes.desired == 0 => vec![Objection::OtherSliceEmpty { place }],
        healthy if healthy < needed => vec![Objection::OtherSliceUnhealthy {
            place,
            slice,
            healthy,
            needed,
        }],
        _ => Vec::new(),
    }
}
