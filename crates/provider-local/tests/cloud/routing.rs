//! The router is a process of its own: it goes on without the daemon, crashes without a refused
//! connection, and hands over to its successor.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use domain::slice::Slice;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinSet,
};

use crate::stage::{Stage, kill, pids_alive};

/// Users who ask one request after the other, every other one on a connection that it keeps.
struct Users {
    stop: Arc<AtomicBool>,
    good: Arc<AtomicU64>,
    tasks: JoinSet<Vec<String>>,
}

impl Users {
    async fn start(stage: &Stage, many: usize) -> Self {
        let port = stage.cloud.status().await.unwrap().router_port;
        let (stop, good) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let mut tasks = JoinSet::new();
        for number in 0..many {
            let (stop, good) = (Arc::clone(&stop), Arc::clone(&good));
            tasks.spawn(async move {
                let mut failures = Vec::new();
                let mut kept = None;
                while !stop.load(Ordering::Relaxed) {
                    match request(port, number % 2 == 0, &mut kept).await {
                        Ok(()) => drop(good.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => failures.push(error.to_string()),
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                failures
            });
        }
        Self { stop, good, tasks }
    }

    /// Waits until so many more requests were answered.
    async fn answered(&self, more: u64) {
        let until = self.good.load(Ordering::Relaxed) + more;
        while self.good.load(Ordering::Relaxed) < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn failures(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.join_all().await.concat()
    }
}

/// One request. A connection is kept for the next one, unless the answer says that it ends.
async fn request(
    port: u16,
    keeps: bool,
    kept: &mut Option<BufReader<TcpStream>>,
) -> std::io::Result<()> {
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => BufReader::new(TcpStream::connect(("127.0.0.1", port)).await?),
    };
    let request = "GET / HTTP/1.1\r\nhost: cart.live.localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let (mut head, mut len, mut closes) = (String::new(), 0, false);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(std::io::Error::other(format!("cut after {head:?}")));
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            len = value.trim().parse().map_err(std::io::Error::other)?;
        }
        closes |= line.trim() == "connection: close";
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(std::io::Error::other(head));
    }
    if keeps && !closes {
        *kept = Some(stream);
    }
    Ok(())
}

#[tokio::test]
async fn no_request_is_lost_while_the_daemon_is_killed_and_replaced() {
    let mut stage = Stage::start().await;
    stage.serve_one_zero(2).await;
    let routers = stage.routers();
    let users = Users::start(&stage, 8).await;
    users.answered(50).await;
    for round in 0..3 {
        if round % 2 == 0 {
            stage.kill_daemon();
        } else {
            stage.stop_daemon().await;
        }
        users.answered(50).await;
        stage.start_daemon().await;
        users.answered(50).await;
    }
    assert_eq!(stage.routers(), routers, "the same process");
    let served = stage.observe().await.traffic[&Slice::Blue].requests;
    assert!(served >= 350, "all are counted: {served}");
    assert_eq!(users.failures().await, Vec::<String>::new());
}

#[tokio::test]
async fn no_request_is_lost_while_the_router_hands_over_to_its_successor() {
    let mut stage = Stage::start().await;
    stage.serve_one_zero(2).await;
    let old = stage.routers();
    let users = Users::start(&stage, 8).await;
    users.answered(50).await;
    let slow = stage.get("/slow");
    let upgrade = async {
        users.answered(20).await;
        stage.observe().await.traffic[&Slice::Blue].clone()
    };
    let (slow_answer, before) = tokio::join!(slow, upgrade);
    assert_eq!(slow_answer.unwrap().0, 200);
    stage.stop_daemon().await;
    stage.start_upgraded().await;
    users.answered(100).await;
    stage
        .until_seen("the router before has ended", |_| !pids_alive(&old))
        .await;
    let answered = users.good.load(Ordering::Relaxed);
    let after = stage.observe().await.traffic[&Slice::Blue].clone();
    assert_eq!(after.epoch, before.epoch, "counting goes on");
    assert!(
        after.requests >= before.requests + 100,
        "{before:?} {after:?}"
    );
    assert!(
        after.requests >= answered,
        "{} < {answered}",
        after.requests
    );
    let routers = stage.routers();
    assert!(routers.len() == 1 && routers != old, "{routers:?}");
    assert_eq!(users.failures().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_router_that_is_killed_refuses_nobody() {
    let stage = Stage::start().await;
    stage.serve_one_zero(2).await;
    let port = stage.cloud.status().await.unwrap().router_port;
    for _ in 0..3 {
        let old = stage.routers();
        old.iter().copied().for_each(kill);
        let asked = (0..20).map(|_| async {
            // New connections only: what the killed one had in flight is lost.
            request(port, false, &mut None).await
        });
        for answer in futures_util::future::join_all(asked).await {
            answer.unwrap();
        }
        stage
            .until_seen("another router", |_| {
                let new = stage.routers();
                new.len() == 1 && new != old
            })
            .await;
    }
}
