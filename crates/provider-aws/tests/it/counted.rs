//! Gates on what a load balancer counts: sums of a minute that come late and in parts.

use std::collections::BTreeMap;

use domain::{
    deployment::{Command, Deployment, Outcome},
    gate::{Gate, TrafficGate},
    preview::{Estimates, preview},
    slice::Slice,
    time::UnixMs,
};
use engine::ports::Clock;
use serde_json::{Value, json};

use crate::{
    drive::Driver,
    emulator::{EmulatedClock, Emulator},
    traffic::{Pair, adopted, by_listener, canary, ended},
};

const MINUTE_MS: i64 = 60_000;

/// What users do and get, booked at the emulator when a minute is over.
struct Users<'a> {
    emulator: &'a Emulator,
    clock: EmulatedClock,
    target_groups: [String; 2],
    per_second: f64,
    /// Of blue and green, 0 to 1.
    error_rates: [f64; 2],
    until: i64,
    /// Requests to blue and green by minute, those that are over booked.
    minutes: BTreeMap<i64, [f64; 2]>,
}

impl<'a> Users<'a> {
    fn new(pair: &'a Pair, per_second: f64, error_rates: [f64; 2]) -> Self {
        let clock = pair.emulator.clock();
        Self {
            emulator: &pair.emulator,
            until: clock.now().0,
            clock,
            target_groups: pair.target_groups.clone(),
            per_second,
            error_rates,
            minutes: BTreeMap::new(),
        }
    }

    /// An hour of users on blue, long ago enough to be settled.
    fn of_an_hour(&mut self) {
        let now = self.until;
        self.until -= 60 * MINUTE_MS;
        self.go_on(now, 0.0);
    }

    /// Lets users come until now, split as a deployment asked for.
    fn come(&mut self, deployment: &Deployment) {
        let asked = deployment.progress.asked_traffic.as_ref();
        let green = asked.map_or(0, |asked| asked.weights.share(Slice::Green));
        self.go_on(self.clock.now().0, f64::from(green) / 100.0);
    }

    fn go_on(&mut self, now: i64, green: f64) {
        while self.until < now {
            let minute = self.until - self.until.rem_euclid(MINUTE_MS);
            let end = now.min(minute + MINUTE_MS);
            let requests = (end - self.until) as f64 / 1000.0 * self.per_second;
            let sides = self.minutes.entry(minute).or_default();
            sides[0] += requests * (1.0 - green);
            sides[1] += requests * green;
            self.until = end;
        }
        let open = now - now.rem_euclid(MINUTE_MS);
        let ended = self.minutes.range(..open).map(|(at, sides)| (*at, *sides));
        let parts: Vec<Value> = ended.flat_map(|it| self.parts(it)).collect();
        if !parts.is_empty() {
            self.emulator.control("requests", &json!(parts));
        }
        self.minutes.retain(|at, _| *at >= open);
    }

    /// One half of a minute is seen soon after its end, the other a minute and a half later.
    fn parts(&self, (at, sides): (i64, [f64; 2])) -> Vec<Value> {
        let mut parts = Vec::new();
        for (side, group) in self.target_groups.iter().enumerate() {
            let all = sides[side].round() as u64;
            let bad = (sides[side] * self.error_rates[side]).round() as u64;
            for (requests, errors, late_ms) in [
                (all / 2, bad / 2, 20_000),
                (all - all / 2, bad - bad / 2, 90_000),
            ] {
                if requests == 0 {
                    continue;
                }
                let slow = requests / 10;
                parts.push(json!({
                    "target_group": group, "at_ms": at, "visible_ms": at + MINUTE_MS + late_ms,
                    "requests": requests, "errors": errors,
                    "seconds": [[0.04, requests - slow], [0.4, slow]],
                }));
            }
        }
        parts
    }
}

fn gate() -> Gate {
    Gate::Traffic(TrafficGate::default())
}

/// The text of the first gate's last look.
fn said(deployment: &Deployment) -> &str {
    let gates = &deployment.progress.watch.gates;
    gates.first().map_or("", |gate| gate.text.as_str())
}

fn questions(pair: &Pair) -> u64 {
    let calls = pair.emulator.get("/control/calls");
    calls["by_action"]["cloudwatch:GetMetricData"]
        .as_u64()
        .unwrap_or(0)
}

#[tokio::test]
async fn five_times_the_errors_at_a_load_balancer_turn_a_canary_round() {
    let pair = Pair::new(31, true).await;
    let (group, _) = by_listener(&pair).await;
    pair.emulator.advance(1000);
    pair.slow();
    let mut driver = Driver::new(&pair.emulator, group);
    let stable = adopted(&driver).await;
    let [_, new] = pair.launches();
    let mut users = Users::new(&pair, 600.0, [0.01, 0.05]);
    let tight = Gate::Traffic(TrafficGate {
        warm_up_seconds: 10,
        ..TrafficGate::default()
    });
    let begun = pair.emulator.clock().now();
    let mut largest = 0;
    let deployment = driver
        .deploy(canary(vec![gate(), tight]), &new, &stable, |deployment| {
            users.come(deployment);
            let asked = deployment.progress.asked_traffic.as_ref();
            let green = asked.map(|it| it.weights.share(Slice::Green));
            largest = largest.max(green.unwrap_or(0));
            None
        })
        .await;
    ended(&deployment, Outcome::RolledBack);
    assert_eq!(largest, 10, "nobody beyond the first stage ever got it");
    let why = deployment.failure.as_ref().unwrap();
    let why = why.sentence(&deployment.versions());
    assert!(
        why.contains("errors 5.0 % against 1.0 % of stable (worse"),
        "{why}"
    );
    let minutes = pair.emulator.clock().now().since_ms(begun) / 60_000;
    let asked = questions(&pair);
    assert!(
        asked <= minutes + 2,
        "two gates, {minutes} min, {asked} calls"
    );
}

#[tokio::test]
async fn a_release_like_stable_passes_though_cloudwatch_is_late_and_throttled() {
    let pair = Pair::new(32, true).await;
    let (group, _) = by_listener(&pair).await;
    pair.emulator.advance(1000);
    pair.slow();
    let mut driver = Driver::new(&pair.emulator, group);
    let stable = adopted(&driver).await;
    let [_, new] = pair.launches();
    let mut users = Users::new(&pair, 600.0, [0.01, 0.01]);
    let throttled = json!([{
        "kind": "throttle", "service": "cloudwatch", "action": "GetMetricData", "skip": 1, "times": 8,
    }]);
    pair.emulator.control("faults", &throttled);
    let (mut waited, mut troubled) = (false, false);
    let deployment = driver
        .deploy(canary(vec![gate()]), &new, &stable, |deployment| {
            users.come(deployment);
            waited |= said(deployment).contains("a minute is known about 3 min after its end");
            troubled |= said(deployment).contains("Rate exceeded");
            None
        })
        .await;
    ended(&deployment, Outcome::Succeeded);
    assert!(waited && troubled, "{waited} {troubled}");
}

#[tokio::test]
async fn with_few_requests_a_gate_waits_and_says_how_long() {
    let pair = Pair::new(33, true).await;
    let (group, _) = by_listener(&pair).await;
    pair.emulator.advance(1000);
    pair.slow();
    let mut driver = Driver::new(&pair.emulator, group);
    let stable = adopted(&driver).await;
    let [_, new] = pair.launches();
    let mut users = Users::new(&pair, 5.0, [0.0, 0.0]);
    users.of_an_hour();
    let strategy = canary(vec![gate()]);
    let begun = pair.emulator.clock().now();
    let mut text = String::new();
    let deployment = driver
        .deploy(strategy, &new, &stable, |deployment| {
            users.come(deployment);
            let state = deployment.progress.watch.gates.first()?;
            text.clone_from(&state.text);
            state.asks_people().then(|| Command::Abort {
                reason: "too few".to_owned(),
            })
        })
        .await;
    ended(&deployment, Outcome::Aborted);
    assert!(text.contains("more requests needed ("), "{text}");
    let took_ms = pair.emulator.clock().now().since_ms(begun);
    assert!(
        took_ms < 900_000,
        "it was hopeless before its deadline: {took_ms}"
    );
}

#[tokio::test]
async fn a_plan_says_how_long_a_gate_needs_at_the_last_hours_traffic() {
    for (per_second, in_time) in [(600.0, true), (5.0, false)] {
        let pair = Pair::new(34, true).await;
        let (group, _) = by_listener(&pair).await;
        pair.emulator.advance(4_000_000);
        let driver = Driver::new(&pair.emulator, group);
        let stable = adopted(&driver).await;
        Users::new(&pair, per_second, [0.0, 0.0]).of_an_hour();
        let [_, new] = pair.launches();
        let (deployment, seen) = driver.plan(canary(vec![gate()]), &new, &stable).await;
        let estimates = Estimates {
            now: UnixMs(0),
            ..Estimates::from_settings(&deployment.target.group)
        };
        let planned = preview(&deployment, &seen, estimates);
        let forecasts = planned.steps.iter().flat_map(|step| &step.forecasts);
        let forecasts: Vec<_> = forecasts.collect();
        assert_eq!(forecasts.len(), 2);
        let said = forecasts[0].sentence();
        assert_eq!(forecasts[0].is_in_time(), in_time, "{said}");
        assert!(said.contains("at the present traffic"), "{said}");
        assert_eq!(
            questions(&pair),
            2,
            "one of them is about the quota of vCPUs"
        );
    }
}
