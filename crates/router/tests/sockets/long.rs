//! Long connections while users are shifted: they stay where they are until they end by themselves,
//! or until their instance does.

use std::time::Duration;

use domain::slice::Slice;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{HOST, Instance, Wire, get, router, status, table, until};

/// Switches to WebSocket and says back what it hears, or sends an event for each line on `/events`,
/// or answers with its name.
async fn talkative(name: &'static str) -> Instance {
    Instance::scripted(name, move |_, mut wire| async move {
        loop {
            let (head, _) = wire.message().await;
            match head.split(' ').nth(1) {
                None => return,
                Some("/chat") => {
                    wire.say("HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
                        .await;
                    let mut bytes = [0; 1024];
                    while let Ok(len @ 1..) = wire.0.read(&mut bytes).await {
                        let out = wire.0.get_mut().write_all(&bytes[..len]).await;
                        out.expect("the router listens");
                    }
                    return;
                }
                Some("/events") => {
                    wire.say("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
                        .await;
                    loop {
                        let event = format!("data: {name}\n\n");
                        if wire.0.get_mut().write_all(event.as_bytes()).await.is_err() {
                            return;
                        }
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
                Some(_) => {
                    let len = name.len();
                    wire.say(&format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {len}\r\n\r\n{name}"
                    ))
                    .await;
                }
            }
        }
    })
    .await
}

#[tokio::test]
async fn long_connections_outlive_a_shift_and_end_with_their_instance() {
    let (old, new) = (talkative("old").await, talkative("new").await);
    let router = router(&[]);
    let shift = |weight: u8| {
        router.publish(table(&[
            (Slice::Blue, 100 - weight, &[&old.backend]),
            (Slice::Green, weight, &[&new.backend]),
        ]));
    };
    shift(0);
    let mut chat = Wire::to(&router).await;
    chat.say(&format!(
        "GET /chat HTTP/1.1\r\nhost: {HOST}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    ))
    .await;
    assert_eq!(status(&chat.head().await), 101);
    let mut events = Wire::to(&router).await;
    events
        .say(&format!("GET /events HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
        .await;
    assert_eq!(status(&events.head().await), 200);
    let mut kept = Wire::to(&router).await;
    assert_eq!(kept.get("/").await.1, "old");

    for weight in [50, 100] {
        shift(weight);
        chat.say("ping").await;
        assert_eq!(chat.exactly(4).await, "ping", "{weight} %");
        while !events.line().await.contains("data: old") {}
        assert_eq!(old.backend.in_flight(), 2, "{weight} %");
    }
    assert_eq!(
        kept.get("/").await.1,
        "new",
        "the next request goes with the others"
    );

    // Retired: no new request, and the long ones go on until the deadline of the drain.
    old.backend.start_draining();
    router.publish(table(&[(Slice::Green, 100, &[&new.backend])]));
    chat.say("still").await;
    assert_eq!(chat.exactly(5).await, "still");
    while !events.line().await.contains("data: old") {}
    assert_eq!(old.backend.in_flight(), 2);
    let backend = std::sync::Arc::clone(&old.backend);
    old.kill().await;
    assert_eq!(chat.rest().await, "", "the deadline has passed");
    while events.line().await != "0\r\n" {}
    until("nothing is in flight", || backend.in_flight() == 0).await;
    assert_eq!(get(&router, "/").await.1, "new");
    let counts = backend.counters().read();
    assert_eq!(
        counts.errors(),
        0,
        "what ended by the deadline was answered before"
    );
}

#[tokio::test]
async fn a_long_connection_that_ends_by_itself_frees_its_instance_for_the_drain() {
    let (old, new) = (talkative("old").await, talkative("new").await);
    let router = router(&[&old.backend]);
    let mut events = Wire::to(&router).await;
    events
        .say(&format!("GET /events HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
        .await;
    events.head().await;
    old.backend.start_draining();
    router.publish(table(&[(Slice::Green, 100, &[&new.backend])]));
    while !events.line().await.contains("data: old") {}
    assert_eq!(old.backend.in_flight(), 1);
    drop(events);
    until("the user has left", || old.backend.in_flight() == 0).await;
}
