//! Users between two groups: by the weights of a listener, by DNS, by attachment.

use aws_sdk_cloudwatch::types::StateValue;
use domain::{
    catalogue::ServerGroup,
    deployment::{Command, Course, Deployment, Outcome},
    gate::{CloudWatchGate, Gate},
    plan::{
        Strategy,
        two_slices::{Stage, TwoSlices},
    },
    release::{ImageId, Launch},
    slice::Slice,
    users::Weights,
};
use serde_json::{Value, json};

use crate::{
    drive::{Driver, launch_of},
    emulator::Emulator,
    fixture::{Fixture, Made},
};

/// Two groups of two, blue full and green empty, and a release that comes.
pub struct Pair {
    /// Where they are.
    pub emulator: Emulator,
    fixture: Fixture,
    /// Blue's and green's.
    pub target_groups: [String; 2],
    old: ImageId,
    new: ImageId,
}

const NAMES: [&str; 2] = ["shop-live-blue", "shop-live-green"];

impl Pair {
    /// A pair; `attached` to its target groups.
    pub async fn new(seed: u64, attached: bool) -> Self {
        let emulator = Emulator::start(seed);
        let fixture = Fixture::new(&emulator, 3).await;
        let target_groups = [
            fixture.target_group("blue").await,
            fixture.target_group("green").await,
        ];
        let old = fixture.image("shop-1.0.0").await;
        let new = fixture.image("shop-2.0.0").await;
        for (index, name) in NAMES.iter().enumerate() {
            let size = if index == 0 { 2 } else { 0 };
            let target_groups = std::slice::from_ref(&target_groups[index]);
            let made = Made {
                name,
                image: &old,
                subnets: &fixture.subnets,
                target_groups: if attached { target_groups } else { &[] },
                policies: &["Default"],
                sizes: [size, size, size],
            };
            fixture.group(&made).await;
        }
        Self {
            emulator,
            fixture,
            target_groups,
            old,
            new,
        }
    }

    /// Things take seconds from now on.
    pub fn slow(&self) {
        self.emulator.settings(&json!({
            "launch_ms": 5000, "launch_spread_ms": 4000, "healthy_ms": 3000, "drain_ms": 5000,
            "terminate_ms": 2000, "react_ms": 500, "insync_ms": 20_000,
        }));
    }

    fn group(&self, aws: Value) -> ServerGroup {
        let mut settings = json!({"account": "emulated", "groups": NAMES});
        settings
            .as_object_mut()
            .unwrap()
            .extend(aws.as_object().unwrap().clone());
        let group = json!({
            "service": "shop", "environment": "live", "size": 2, "slices": 2, "aws": settings,
        });
        serde_json::from_value(group).unwrap()
    }

    /// The old release and the new one.
    pub fn launches(&self) -> [Launch; 2] {
        [launch_of("1.0.0", &self.old), launch_of("2.0.0", &self.new)]
    }

    fn images(&self, slice: usize) -> Vec<String> {
        let truth = self.emulator.truth(NAMES[slice]);
        let instances = truth["instances"].as_array().cloned().unwrap_or_default();
        let there = instances.iter().filter(|it| it["state"] == "InService");
        there
            .map(|it| it["image_id"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// 10 %, then half of the users.
pub fn canary(gates: Vec<Gate>) -> Strategy {
    let stage = |percent| Stage {
        percent,
        seconds: 10,
    };
    Strategy::Canary(TwoSlices {
        stages: vec![stage(10), stage(50)],
        gates: Some(gates),
        warm_seconds: 30,
        ..TwoSlices::default()
    })
}

fn all_at_once() -> Strategy {
    Strategy::BlueGreen(TwoSlices {
        gates: Some(Vec::new()),
        warm_seconds: 20,
        ..TwoSlices::default()
    })
}

/// Each new split of users that a deployment saw, with when.
#[derive(Default)]
struct Splits(Vec<(i64, Weights)>);

impl Splits {
    fn watch(&mut self, deployment: &Deployment, now: i64) {
        let Some(asked) = &deployment.progress.asked_traffic else {
            return;
        };
        if self.0.last().map(|(_, weights)| weights) != Some(&asked.weights) {
            self.0.push((now, asked.weights.clone()));
        }
    }

    fn of_green(&self) -> Vec<u8> {
        let green = |weights: &Weights| weights.share(Slice::Green);
        self.0.iter().map(|(_, weights)| green(weights)).collect()
    }
}

/// It ended like this.
pub fn ended(deployment: &Deployment, outcome: Outcome) {
    let ending = deployment.ending.as_ref().unwrap();
    assert_eq!(ending.outcome, outcome, "{:?}", deployment.failure);
    assert!(ending.certificate.is_clean(), "{:#?}", ending.certificate);
}

/// What blue runs before anything was deployed.
/// What runs before the first deployment.
pub async fn adopted(driver: &Driver<'_>) -> Launch {
    let seen = driver.look().await;
    seen.slice(Slice::Blue).launches.clone().unwrap()
}

/// The pair behind a listener that gives blue all users.
pub async fn by_listener(pair: &Pair) -> (ServerGroup, String) {
    let [blue, green] = &pair.target_groups;
    let listener = pair
        .fixture
        .listener("shop", &[(blue, 1), (green, 0)])
        .await;
    let group = pair.group(json!({
        "target_groups": pair.target_groups,
        "traffic": {"by": "listener", "listener": listener},
    }));
    (group, listener)
}

fn served(pair: &Pair, listener: &str) -> Value {
    let [blue, green] = &pair.target_groups;
    let weights = pair
        .emulator
        .get(&format!("/control/traffic?listener={listener}"));
    json!([weights["weights"][blue], weights["weights"][green]])
}

#[tokio::test]
async fn a_canary_moves_users_at_a_listener_and_back_to_blue_with_the_next_release() {
    let pair = Pair::new(11, true).await;
    let (group, listener) = by_listener(&pair).await;
    pair.emulator.advance(1000);
    pair.slow();
    let clock = pair.emulator.clock();
    let mut driver = Driver::new(&pair.emulator, group);
    let stable = adopted(&driver).await;
    let [_, new] = pair.launches();
    let mut splits = Splits::default();
    let deployment = driver
        .deploy(canary(Vec::new()), &new, &stable, |deployment| {
            splits.watch(deployment, engine::ports::Clock::now(&clock).0);
            None
        })
        .await;
    ended(&deployment, Outcome::Succeeded);
    assert_eq!(splits.of_green(), [10, 50, 100]);
    assert_eq!(served(&pair, &listener), json!([0, 100]));
    assert_eq!(pair.images(0), Vec::<String>::new());
    assert_eq!(pair.images(1), [pair.new.to_string(), pair.new.to_string()]);

    let third = pair.fixture.image("shop-3.0.0").await;
    let third = launch_of("3.0.0", &third);
    let deployment = driver
        .deploy(canary(Vec::new()), &third, &new, |_| None)
        .await;
    ended(&deployment, Outcome::Succeeded);
    assert_eq!(served(&pair, &listener), json!([100, 0]));
}

#[tokio::test]
async fn an_abort_at_half_gives_all_users_back_and_empties_green() {
    let pair = Pair::new(12, true).await;
    let (group, listener) = by_listener(&pair).await;
    pair.emulator.advance(1000);
    pair.slow();
    let mut driver = Driver::new(&pair.emulator, group);
    let stable = adopted(&driver).await;
    let [_, new] = pair.launches();
    let deployment = driver
        .deploy(canary(Vec::new()), &new, &stable, |deployment| {
            let asked = deployment.progress.asked_traffic.as_ref();
            let half = asked.is_some_and(|it| it.weights.share(Slice::Green) == 50);
            let forward = deployment.progress.course == Course::Forward;
            (half && forward).then(|| Command::Abort {
                reason: "enough".to_owned(),
            })
        })
        .await;
    ended(&deployment, Outcome::Aborted);
    assert_eq!(served(&pair, &listener), json!([100, 0]));
    assert_eq!(pair.images(0), [pair.old.to_string(), pair.old.to_string()]);
    assert_eq!(pair.images(1), Vec::<String>::new());
}

#[tokio::test]
async fn an_alarm_of_cloudwatch_halts_a_canary() {
    let pair = Pair::new(13, true).await;
    let (group, listener) = by_listener(&pair).await;
    pair.emulator.advance(1000);
    pair.slow();
    let cloudwatch = &pair.fixture.clients.cloudwatch;
    let request = cloudwatch.put_metric_alarm().alarm_name("shop errors");
    let request = request
        .metric_name("HTTPCode_Target_5XX_Count")
        .namespace("AWS/ApplicationELB");
    let request = request
        .period(60)
        .evaluation_periods(1)
        .threshold(1.0)
        .statistic("Sum".into());
    request
        .comparison_operator("GreaterThanThreshold".into())
        .send()
        .await
        .unwrap();
    let request = cloudwatch
        .set_alarm_state()
        .alarm_name("shop errors")
        .state_reason("test");
    request.state_value(StateValue::Alarm).send().await.unwrap();
    let gate: CloudWatchGate = serde_json::from_value(json!({
        "alarm": "shop errors", "patience": {"interval_seconds": 1, "bad_answers": 3},
    }))
    .unwrap();
    let mut driver = Driver::new(&pair.emulator, group);
    let stable = adopted(&driver).await;
    let [_, new] = pair.launches();
    let mut largest = 0;
    let deployment = driver
        .deploy(
            canary(vec![Gate::CloudWatch(gate)]),
            &new,
            &stable,
            |deployment| {
                let asked = deployment.progress.asked_traffic.as_ref();
                let green = asked.map(|it| it.weights.share(Slice::Green));
                largest = largest.max(green.unwrap_or(0));
                None
            },
        )
        .await;
    ended(&deployment, Outcome::RolledBack);
    assert_eq!(largest, 10, "nobody beyond the first stage ever got it");
    let why = deployment.failure.as_ref().unwrap();
    let why = why.sentence(&deployment.versions());
    assert!(why.contains("the alarm shop errors is ALARM"), "{why}");
    assert_eq!(served(&pair, &listener), json!([100, 0]));
}

#[tokio::test]
async fn dns_moves_users_no_faster_than_answers_expire() {
    let pair = Pair::new(14, true).await;
    let [blue, green] = &pair.target_groups;
    // Each group has a load balancer of its own.
    pair.fixture.listener("blue", &[(blue, 1)]).await;
    pair.fixture.listener("green", &[(green, 1)]).await;
    let zone = pair
        .fixture
        .records("example.org", "shop.example.org", [255, 0])
        .await;
    let group = pair.group(json!({
        "target_groups": pair.target_groups,
        "traffic": {
            "by": "dns", "zone": zone, "name": "shop.example.org",
            "identifiers": ["blue", "green"],
        },
    }));
    pair.emulator.advance(1000);
    pair.slow();
    let clock = pair.emulator.clock();
    let mut driver = Driver::new(&pair.emulator, group);
    let stable = adopted(&driver).await;
    let [_, new] = pair.launches();
    let mut splits = Splits::default();
    let deployment = driver
        .deploy(canary(Vec::new()), &new, &stable, |deployment| {
            splits.watch(deployment, engine::ports::Clock::now(&clock).0);
            None
        })
        .await;
    ended(&deployment, Outcome::Succeeded);
    assert_eq!(splits.of_green(), [10, 50, 100]);
    // INSYNC after 20 s, a TTL of 30 s, and 10 s of the stage itself.
    for pair in splits.0.windows(2) {
        let apart = pair[1].0 - pair[0].0;
        assert!(apart >= 60_000, "{apart} ms between {pair:?}");
    }
    assert_eq!(pair.fixture.weights(&zone).await, [0, 100]);
    assert_eq!(pair.images(0), Vec::<String>::new());
}

#[tokio::test]
async fn dns_goes_back_before_the_failed_group_is_emptied() {
    let pair = Pair::new(15, true).await;
    let [blue, green] = &pair.target_groups;
    pair.fixture.listener("blue", &[(blue, 1)]).await;
    pair.fixture.listener("green", &[(green, 1)]).await;
    let zone = pair
        .fixture
        .records("example.org", "shop.example.org", [1, 0])
        .await;
    let group = pair.group(json!({
        "target_groups": pair.target_groups,
        "traffic": {
            "by": "dns", "zone": zone, "name": "shop.example.org",
            "identifiers": ["blue", "green"],
        },
    }));
    pair.emulator.advance(1000);
    pair.slow();
    let mut driver = Driver::new(&pair.emulator, group);
    let stable = adopted(&driver).await;
    let [_, new] = pair.launches();
    let clock = pair.emulator.clock();
    let mut aborted_at = 0;
    let deployment = driver
        .deploy(all_at_once(), &new, &stable, |deployment| {
            let forward = deployment.progress.course == Course::Forward;
            let moved = deployment.progress.asked_traffic.is_some();
            (moved && forward).then(|| {
                aborted_at = engine::ports::Clock::now(&clock).0;
                Command::RollBack {
                    reason: "enough".to_owned(),
                }
            })
        })
        .await;
    ended(&deployment, Outcome::RolledBack);
    assert_eq!(pair.fixture.weights(&zone).await, [100, 0]);
    // Whoever still had the answer "green" was served for as long as it was valid.
    let log = pair.emulator.log(NAMES[1]);
    let stopped = log.iter().find(|it| it["kind"] == "terminate").unwrap();
    let after = stopped["at_ms"].as_i64().unwrap() - aborted_at;
    assert!(
        after >= 50_000,
        "green was emptied {after} ms after users were called back"
    );
}

#[tokio::test]
async fn groups_are_attached_before_the_others_are_detached() {
    let pair = Pair::new(16, false).await;
    let target_group = &pair.target_groups[0];
    pair.fixture.listener("shop", &[(target_group, 1)]).await;
    let scaling = &pair.fixture.clients.scaling;
    let request = scaling
        .attach_load_balancer_target_groups()
        .auto_scaling_group_name(NAMES[0]);
    request
        .target_group_arns(target_group)
        .send()
        .await
        .unwrap();
    let group = pair.group(json!({"traffic": {"by": "attach", "target_group": target_group}}));
    pair.emulator.advance(1000);
    pair.slow();
    let mut driver = Driver::new(&pair.emulator, group);
    let stable = adopted(&driver).await;
    let [_, new] = pair.launches();
    let deployment = driver.deploy(all_at_once(), &new, &stable, |_| None).await;
    ended(&deployment, Outcome::Succeeded);
    let seen = driver.look().await;
    assert_eq!(seen.weights, Weights::from([(Slice::Green, 100)]));
    assert_eq!(pair.images(0), Vec::<String>::new());
    assert_eq!(pair.images(1), [pair.new.to_string(), pair.new.to_string()]);
}
