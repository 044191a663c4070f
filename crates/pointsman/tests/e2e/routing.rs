//! Users depend on the router alone: everything else may restart, crash or be replaced, and too many
//! users cost nobody an instance.

use std::time::Duration;

use rustix::process::{Signal, kill_process};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::sleep};

use crate::world::{World, assert_unharmed, until};

/// How many requests are sent at least. `POINTSMAN_E2E_REQUESTS` asks for more.
fn requests_min() -> u64 {
    let asked = std::env::var("POINTSMAN_E2E_REQUESTS").ok();
    asked.map_or(3_000, |asked| asked.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_over_planned_restarts_of_the_cloud_and_upgrades_of_the_router() {
    let mut world = World::with_live_shop().await;
    let load = world.load().await;
    for number in 0.. {
        world.restart_cloud().await;
        world.upgrade(number).await;
        if load.counts().requests >= requests_min() {
            break;
        }
    }
    let counts = load.stop().await;
    println!("{} requests, {} failed", counts.requests, counts.failed);
    assert_unharmed(&counts);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_crashes_of_the_cloud_cost_no_request() {
    let world = World::with_live_shop().await;
    let routers = world.router_processes();
    let load = world.load().await;
    for _ in 0..20 {
        let cloud = world.cloud_process().expect("a cloud");
        kill_process(cloud, Signal::KILL).expect("it ran");
        world.until_other_cloud(cloud).await;
    }
    let counts = load.stop().await;
    println!("{} requests, {} failed", counts.requests, counts.failed);
    assert_unharmed(&counts);
    assert_eq!(world.router_processes(), routers, "the same router");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_router_costs_what_it_had_in_flight_and_refuses_nobody() {
    let world = World::with_live_shop().await;
    let load = world.load().await;
    sleep(Duration::from_secs(1)).await;
    let old = world.router_processes();
    for router in &old {
        kill_process(*router, Signal::KILL).expect("it ran");
    }
    until("another router runs", async || {
        let new = world.router_processes();
        (!new.is_empty() && new != old).then_some(())
    })
    .await;
    sleep(Duration::from_secs(1)).await;
    let after = load.counts();
    sleep(Duration::from_secs(1)).await;
    let counts = load.stop().await;
    assert_eq!(counts.failed, after.failed, "it was over at once");
    // Users at once, and none twice.
    assert!(counts.failed <= 60, "{:?}", counts.reasons);
    let refused = counts.reasons.iter().any(|why| why.starts_with("connect:"));
    assert!(!refused, "{:?}", counts.reasons);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_idle_users_than_the_usual_limit_of_descriptors_harm_nobody() {
    let mut world = World::with_live_shop().await;
    world.kill_server().await;
    world.stop_cloud().await;
    world.serve_with_soft_limit(1024).await;
    world
        .ok(&[
            "deploy",
            "storefront",
            "1.1.0",
            "-e",
            "staging",
            "--bake",
            "0s",
        ])
        .await;
    let before = world.instance_processes();
    let port = world.router_port().await;
    let mut idle = Vec::new();
    for number in 0..1_100 {
        let mut stream = TcpStream::connect(("127.0.0.1", port))
            .await
            .expect("a connection");
        if number % 2 == 0 {
            // Half of them have asked before.
            let request = "GET / HTTP/1.1\r\nhost: storefront.staging.localhost\r\n\r\n";
            stream.write_all(request.as_bytes()).await.expect("sent");
        }
        idle.push(stream);
    }
    let load = world.load().await;
    sleep(Duration::from_secs(8)).await;
    assert_unharmed(&load.stop().await);
    let states = world.instance_states().await;
    assert_eq!(states, ["healthy"; 4]);
    assert_eq!(world.instance_processes(), before, "untouched");
    drop(idle);
}
