//! Instances come and go under load, and no request is lost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use domain::slice::Slice;
use router::{Router, RouterConfig};
use tokio::{sync::mpsc, task::JoinSet};

use crate::support::{HOST, Instance, Wire, get, router, table, until};

/// Counts of a load that runs until it is stopped.
#[derive(Default)]
struct Load {
    good: AtomicUsize,
    bad: AtomicUsize,
    stop: AtomicBool,
}

impl Load {
    /// Starts `clients` clients; every other one takes a new connection for each request.
    fn start(self: &Arc<Self>, router: &Arc<Router>, clients: usize) -> JoinSet<()> {
        let mut set = JoinSet::new();
        for number in 0..clients {
            set.spawn(Arc::clone(self).run(Arc::clone(router), number % 2 == 0));
        }
        set
    }

    async fn run(self: Arc<Self>, router: Arc<Router>, keeps_alive: bool) {
        let mut wire = Wire::to(&router).await;
        while !self.stop.load(Ordering::Relaxed) {
            let (status, body) = wire.get("/").await;
            let good = status == 200 && body.starts_with("instance-");
            let counter = if good { &self.good } else { &self.bad };
            counter.fetch_add(1, Ordering::Relaxed);
            if !keeps_alive {
                wire = Wire::to(&router).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_instance_finishes_what_it_began() {
    let old = Instance::named("instance-old", Duration::from_millis(400)).await;
    let new = Instance::named("instance-new", Duration::ZERO).await;
    let router = Arc::new(router(&[&old.backend]));
    let mut slow = JoinSet::new();
    for _ in 0..20 {
        let router = Arc::clone(&router);
        slow.spawn(async move { get(&router, "/").await });
    }
    until("20 requests are in flight", || {
        old.backend.in_flight() == 20
    })
    .await;

    old.backend.start_draining();
    router.publish(table(&[(Slice::Blue, 100, &[&new.backend])]));
    assert_eq!(get(&router, "/").await, (200, "instance-new".to_owned()));
    assert_eq!(old.backend.in_flight(), 20, "a drain cuts nothing off");
    until("the old instance is done", || old.backend.in_flight() == 0).await;
    old.kill().await;

    while let Some(answer) = slow.join_next().await {
        assert_eq!(answer.expect("no panic"), (200, "instance-old".to_owned()));
    }
    until("the new instance is done", || new.backend.in_flight() == 0).await;
}

/// The heart of the matter: instances are replaced one after the other, as fast as it goes, and
/// each is killed the moment it has nothing in flight.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_swaps_under_load_lose_nothing() {
    let pause = Duration::from_millis(1);
    let mut current = Instance::named("instance-0", pause).await;
    let router = Arc::new(router(&[&current.backend]));
    let load = Arc::new(Load::default());
    let mut clients = load.start(&router, 16);
    let end = Instant::now() + Duration::from_secs(3);
    let mut swaps = 0;
    while Instant::now() < end || swaps < 50 {
        swaps += 1;
        let next = Instance::named(&format!("instance-{swaps}"), pause).await;
        let old = std::mem::replace(&mut current, next);
        if swaps % 2 == 0 {
            // The other order works too: requests wait for the table.
            old.backend.start_draining();
        }
        router.publish(table(&[(Slice::Blue, 100, &[&current.backend])]));
        old.backend.start_draining();
        until("the old instance is done", || old.backend.in_flight() == 0).await;
        old.kill().await;
    }
    load.stop.store(true, Ordering::Relaxed);
    while let Some(client) = clients.join_next().await {
        client.expect("no client panics");
    }
    let (good, bad) = (
        load.good.load(Ordering::Relaxed),
        load.bad.load(Ordering::Relaxed),
    );
    assert_eq!(
        bad,
        0,
        "{bad} of {} requests failed in {swaps} swaps",
        good + bad
    );
    assert!(good > 1_000, "only {good} requests were sent");
}

#[tokio::test]
async fn a_request_waits_for_the_table_while_all_instances_drain() {
    let old = Instance::named("instance-old", Duration::ZERO).await;
    let new = Instance::named("instance-new", Duration::ZERO).await;
    let router = Arc::new(router(&[&old.backend]));
    old.backend.start_draining();
    let asked = Arc::clone(&router);
    let answer = tokio::spawn(async move { get(&asked, "/").await });
    let mut wire = Wire::to(&router).await;
    assert_eq!(wire.get("/").await.0, 503, "no table came within a second");
    drop(answer);
    let asked = Arc::clone(&router);
    let answer = tokio::spawn(async move { get(&asked, "/").await });
    tokio::task::yield_now().await;
    router.publish(table(&[(Slice::Blue, 100, &[&new.backend])]));
    assert_eq!(
        answer.await.expect("no panic"),
        (200, "instance-new".to_owned())
    );
    assert_eq!(old.backend.in_flight(), 0);
}

#[tokio::test]
async fn users_are_split_by_weight() {
    let blue = Instance::named("instance-blue", Duration::ZERO).await;
    let green = Instance::named("instance-green", Duration::ZERO).await;
    let router = router(&[]);
    let mut wire = Wire::to(&router).await;
    for weight in [0, 10, 50, 100] {
        router.publish(table(&[
            (Slice::Blue, 100 - weight, &[&blue.backend]),
            (Slice::Green, weight, &[&green.backend]),
        ]));
        let mut greens = 0_u32;
        for _ in 0..2_000 {
            greens += u32::from(wire.get("/").await.1 == "instance-green");
        }
        let expected = u32::from(weight) * 20;
        // Chance alone would be allowed 112 (five standard deviations of a fair coin).
        let tolerance = if weight % 100 == 0 { 0 } else { 4 };
        assert!(
            greens.abs_diff(expected) <= tolerance,
            "{weight} %: {greens} of 2000"
        );
    }
}

/// Idle connections to an instance that drains, or that is listed no more, are closed at once.
#[tokio::test]
async fn idle_connections_of_a_removed_instance_are_closed() {
    for drains in [true, false] {
        let (closed, mut is_closed) = mpsc::unbounded_channel();
        let instance = Instance::scripted("instance-a", move |_, mut wire| {
            let closed = closed.clone();
            async move {
                while !wire.message().await.0.is_empty() {
                    wire.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                        .await;
                }
                closed.send(()).expect("the test waits");
            }
        })
        .await;
        let router = router(&[&instance.backend]);
        assert_eq!(get(&router, "/").await.0, 200);
        if drains {
            instance.backend.start_draining();
        }
        router.publish(table(&[]));
        let soon = tokio::time::timeout(Duration::from_secs(2), is_closed.recv());
        assert_eq!(soon.await, Ok(Some(())), "drains: {drains}");
    }
}

/// Two routers on one socket: the one that leaves answers everybody who is connected, and tells them
/// that it ends; new connections go to the other one.
#[tokio::test]
async fn a_router_that_leaves_loses_no_request() {
    let instance = Instance::named("instance-a", Duration::from_millis(50)).await;
    let listener = router::listen(([127, 0, 0, 1], 0).into()).expect("a free port");
    let start = || Router::serve(&listener, RouterConfig::default()).expect("threads");
    let table = || table(&[(Slice::Blue, 100, &[&instance.backend])]);
    let old = start();
    old.publish(table());
    let mut kept = Wire::to(&old).await;
    assert_eq!(kept.get("/").await.0, 200);
    let mut busy = Wire::to(&old).await;
    busy.say(&format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
        .await;
    until("it is in flight", || instance.backend.in_flight() == 1).await;

    old.leave();
    let mut early = Wire::to(&old).await;
    early
        .say(&format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
        .await;
    for wire in [&mut busy, &mut kept] {
        if instance.backend.in_flight() == 0 {
            wire.say(&format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
                .await;
        }
        let (head, body) = wire.message().await;
        assert_eq!(body, "instance-a", "{head}");
        assert!(head.contains("connection: close\r\n"), "{head}");
        assert_eq!(wire.rest().await, "", "and then it ends");
        until("nothing is in flight", || instance.backend.in_flight() == 0).await;
    }
    until("all have gone", || old.connections() == 0).await;
    let new = start();
    new.publish(table());
    assert_eq!(
        early.message().await.1,
        "instance-a",
        "it waited for the new one"
    );
    old.shutdown(Duration::ZERO).await;
    assert_eq!(get(&new, "/").await.0, 200);
}
