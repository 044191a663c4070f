//! The rules about how: numbers, gates and slices of a strategy.

use super::{Facts, Objection, Wish};
use crate::{
    bounds::{Fault, Faults},
    gate::Gate,
    plan::{Roles, Strategy},
};

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
        if let Some((name, url)) = gate.prometheus() {
            let known = facts.prometheuses.iter().find(|it| it.name == *name);
            *url = known.map(|it| it.url.clone()).unwrap_or_default();
        }
        if let Gate::Approval(gate) = gate {
            gate.by_another |= by_another;
        }
    }
    wish
}

/// The numbers of the strategy make sense.
pub(super) fn numbers(strategy: &Strategy) -> Vec<Objection> {
    let mut faults = Faults::default();
    match strategy {
        Strategy::ScaleUp(options) => options.faults(&mut faults),
        Strategy::InstanceRefresh(options) => options.faults(&mut faults),
        Strategy::BlueGreen(options) | Strategy::Canary(options) => options.faults(&mut faults),
        Strategy::Switch => {}
    }
    let objection = |fault: Fault| Objection::StrategyInvalid {
        field: fault.field,
        rule: fault.message,
    };
    faults.all().into_iter().map(objection).collect()
}

/// Every gate can be asked, and has something to compare.
pub(super) fn gates(strategy: &Strategy, facts: &Facts) -> Vec<Objection> {
    let Some(options) = strategy.two_slices() else {
        return Vec::new();
    };
    let split = options.stages().any(|stage| stage.percent < 100);
    let mut objections = Vec::new();
    for gate in options.gates.iter().flatten() {
        if let Some(prometheus) = gate.prometheus_name() {
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
        if gate.compares() && !split {
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
    match other.staying_of(&launch.id) {
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
