//! Large bodies: the router holds next to nothing of them, whichever side is slow.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, mpsc},
    time::timeout,
};

use crate::support::{HOST, Instance, LONG, Wire, router, until};

/// Sends zeros until nothing moves for a while; gives how many bytes went.
async fn fill(stream: &mut TcpStream, most: usize) -> usize {
    let (zeros, mut sent) = (vec![b'0'; 64 * 1024], 0);
    while sent < most {
        let len = zeros.len().min(most - sent);
        match timeout(Duration::from_millis(500), stream.write(&zeros[..len])).await {
            Ok(len) => sent += len.expect("the peer listens"),
            Err(_) => break,
        }
    }
    sent
}

/// Neither side's kernel holds more than a few megabytes, and the router next to nothing.
const HELD_MAX: usize = 48 << 20;
const LARGE: usize = 128 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_upload_waits_for_a_slow_instance() {
    let read_on = Arc::new(Notify::new());
    let go = Arc::clone(&read_on);
    let instance = Instance::scripted("instance-a", move |_, mut wire| {
        let go = Arc::clone(&go);
        async move {
            wire.head().await;
            go.notified().await;
            let mut left = LARGE;
            let mut bytes = vec![0; 1 << 20];
            while left > 0 {
                left -= wire.0.read(&mut bytes).await.expect("the upload goes on");
            }
            wire.say("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nall")
                .await;
        }
    })
    .await;
    let router = router(&[&instance.backend]);
    let mut wire = Wire::to(&router).await;
    wire.say(&format!(
        "POST / HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: {LARGE}\r\n\r\n"
    ))
    .await;
    let sent = fill(wire.0.get_mut(), LARGE).await;
    assert!(
        sent < HELD_MAX,
        "{sent} bytes were taken though nobody reads"
    );
    read_on.notify_one();
    assert_eq!(fill(wire.0.get_mut(), LARGE - sent).await, LARGE - sent);
    assert_eq!(wire.message().await.1, "all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_answer_waits_for_a_slow_user() {
    let (seen, mut filled) = mpsc::unbounded_channel();
    let instance = Instance::scripted("instance-a", move |_, mut wire| {
        let seen = seen.clone();
        async move {
            wire.head().await;
            wire.say(&format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n"
            ))
            .await;
            let sent = fill(wire.0.get_mut(), LARGE).await;
            seen.send(sent).expect("the test waits");
            fill(wire.0.get_mut(), LARGE - sent).await;
        }
    })
    .await;
    let router = router(&[&instance.backend]);
    let mut wire = Wire::to(&router).await;
    wire.say(&format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
        .await;
    let sent = timeout(LONG, filled.recv())
        .await
        .expect("in time")
        .expect("a number");
    assert!(
        sent < HELD_MAX,
        "{sent} bytes were taken though nobody reads"
    );
    wire.head().await;
    assert_eq!(wire.exactly(LARGE).await.len(), LARGE);
    until("nothing is in flight", || instance.backend.in_flight() == 0).await;
}
