//! How a story's release is deployed.

use domain::{
    evidence::Tolerance,
    gate::{
        ApprovalGate, Deadline, Gate, HttpGate, OnDeadline, Patience, ShadowGate, TcpGate,
        TrafficGate,
    },
    percent::Percent,
    plan::{
        Strategy,
        instance_refresh::InstanceRefresh,
        scale_up::ScaleUp,
        two_slices::{Shadow, Stage, TwoSlices},
    },
};
use fastrand::Rng;

/// Draws a strategy with all its numbers.
pub(super) fn draw(rng: &mut Rng, first: bool) -> Strategy {
    match rng.u32(0..20) {
        0..=9 => in_place(rng),
        10 | 11 if !first => Strategy::Switch,
        10..=14 => Strategy::BlueGreen(two_slices(rng)),
        _ => Strategy::Canary(two_slices(rng)),
    }
}

/// New instances come up in the slice of the old ones.
fn in_place(rng: &mut Rng) -> Strategy {
    let scale_up = ScaleUp {
        surge_percent: *rng.choice(&[100, 100, 100, 50, 25, 1]).unwrap_or(&100),
        bake_seconds: *rng.choice(&[0, 5, 20]).unwrap_or(&5),
        health_deadline_seconds: 120,
    };
    if rng.u32(0..3) == 0 {
        Strategy::InstanceRefresh(instance_refresh(rng, &scale_up))
    } else {
        Strategy::ScaleUp(scale_up)
    }
}

fn instance_refresh(rng: &mut Rng, numbers: &ScaleUp) -> InstanceRefresh {
    let checkpoints: &[u8] = rng
        .choice(&[&[][..], &[], &[20, 50], &[1], &[99]])
        .unwrap_or(&[].as_slice());
    InstanceRefresh {
        surge_percent: numbers.surge_percent,
        bake_seconds: numbers.bake_seconds,
        health_deadline_seconds: numbers.health_deadline_seconds,
        checkpoints: checkpoints.to_vec(),
        checkpoint_delay_seconds: *rng.choice(&[0, 30, 200]).unwrap_or(&30),
        alarms: rng.bool().then(|| "alarm".to_owned()).into_iter().collect(),
    }
}

fn two_slices(rng: &mut Rng) -> TwoSlices {
    let shares: &[u8] = rng
        .choice(&[&[100][..], &[10, 50], &[1, 25], &[5, 25, 50, 100], &[50]])
        .unwrap_or(&[100].as_slice());
    let seconds = *rng.choice(&[0, 10, 30]).unwrap_or(&10);
    TwoSlices {
        stages: shares
            .iter()
            .map(|percent| Stage {
                percent: *percent,
                seconds,
            })
            .collect(),
        gates: Some(gates(rng)),
        shadow: (rng.u32(0..5) == 0).then(|| Shadow {
            percent: 10,
            seconds: 20,
            methods: Vec::new(),
            compare: rng.bool().then(Default::default),
            gate: ShadowGate {
                margin_permille: 50,
                ..ShadowGate::default()
            },
        }),
        warm_seconds: *rng.choice(&[0, 10, 60]).unwrap_or(&10),
        keep_old: rng.u32(0..5) == 0,
        health_deadline_seconds: 120,
    }
}

fn gates(rng: &mut Rng) -> Vec<Gate> {
    let mut gates = Vec::new();
    if rng.bool() {
        gates.push(Gate::Traffic(TrafficGate {
            tolerance: Tolerance {
                error_margin_points: Percent::hundredths(500),
                ..Tolerance::default()
            },
            // Stories are short, and nobody in them decides what a gate could not.
            warm_up_seconds: 0,
            on_deadline: OnDeadline::Fail,
            ..TrafficGate::default()
        }));
    }
    if rng.u32(0..6) == 0 {
        gates.push(Gate::Approval(ApprovalGate {
            by_another: true,
            deadline: Deadline(600),
            ..ApprovalGate::default()
        }));
    }
    if rng.u32(0..6) == 0 {
        gates.push(asks_outside(rng));
    }
    gates
}

fn asks_outside(rng: &mut Rng) -> Gate {
    let (at, deadline) = (Vec::new(), Deadline(300));
    let patience = Patience {
        interval_seconds: 2,
        bad_answers: 2,
    };
    if rng.bool() {
        return Gate::Http(HttpGate {
            at,
            url: "http://check".to_owned(),
            patience,
            deadline,
        });
    }
    Gate::Tcp(TcpGate {
        at,
        address: "check:80".to_owned(),
        patience,
        deadline,
    })
}
