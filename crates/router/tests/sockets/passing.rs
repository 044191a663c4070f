//! What passes through the router, and how.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Notify, mpsc},
};

use crate::support::{HOST, Instance, Wire, ask, router, status, until};

/// An instance that answers with the head it got.
async fn echo_head() -> Instance {
    Instance::scripted("instance-a", |_, mut wire| async move {
        loop {
            let (head, _) = wire.message().await;
            if head.is_empty() {
                return;
            }
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}",
                head.len()
            );
            wire.say(&answer).await;
        }
    })
    .await
}

#[tokio::test]
async fn the_instance_sees_the_request_and_where_it_came_from() {
    let instance = echo_head().await;
    let router = router(&[&instance.backend]);
    let mut wire = Wire::to(&router).await;
    wire.say(&format!(
        "DELETE /a/b?c=%20d HTTP/1.1\r\nHost: {HOST}:7000\r\nX-Own: 1\r\nX-Hop: 2\r\n\
         Connection: keep-alive, X-Hop\r\nKeep-Alive: timeout=9\r\nUpgrade: h2c\r\n\
         X-Forwarded-For: 9.9.9.9\r\n\r\n"
    ))
    .await;
    let (_, seen) = wire.message().await;
    assert_eq!(
        seen,
        format!(
            "delete /a/b?c=%20d http/1.1\r\nhost: {HOST}:7000\r\nx-own: 1\r\n\
             x-forwarded-for: 9.9.9.9, 127.0.0.1\r\nx-forwarded-proto: http\r\n\
             x-forwarded-host: {HOST}:7000\r\n\r\n"
        )
    );
}

/// Answers without a body leave both connections usable.
#[tokio::test]
async fn head_204_304_and_empty_answers_keep_the_connections() {
    let (opened, mut connections) = mpsc::unbounded_channel();
    let instance = Instance::scripted("instance-a", move |number, mut wire| {
        opened.send(number).expect("the test waits");
        async move {
            loop {
                let answer = match wire.head().await.split(' ').nth(1) {
                    None => return,
                    Some("/head") => "HTTP/1.1 200 OK\r\ncontent-length: 77\r\n\r\n",
                    Some("/204") => "HTTP/1.1 204 No Content\r\n\r\n",
                    Some("/304") => "HTTP/1.1 304 Not Modified\r\ncontent-length: 77\r\n\r\n",
                    Some(_) => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
                };
                wire.say(answer).await;
            }
        }
    })
    .await;
    let router = router(&[&instance.backend]);
    let mut wire = Wire::to(&router).await;
    for _ in 0..3 {
        wire.say(&format!("HEAD /head HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
            .await;
        let head = wire.head().await;
        assert_eq!(status(&head), 200);
        assert!(head.contains("content-length: 77\r\n"), "{head}");
        for (path, code) in [("/204", 204), ("/304", 304)] {
            wire.say(&format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
                .await;
            let head = wire.head().await;
            assert_eq!(status(&head), code);
            assert!(!head.contains("transfer-encoding"), "{head}");
        }
        assert_eq!(wire.get("/").await, (200, "ok".to_owned()));
    }
    assert_eq!(connections.recv().await, Some(0));
    assert!(
        connections.is_empty(),
        "one connection to the instance was enough"
    );
}

#[tokio::test]
async fn chunks_and_trailers_pass_both_ways() {
    let (seen, mut sent) = mpsc::unbounded_channel();
    let instance = Instance::scripted("instance-a", move |_, mut wire| {
        let seen = seen.clone();
        async move {
            let mut text = wire.head().await;
            while !text.ends_with("\r\n0\r\nx-end: 1\r\n\r\n") {
                text.push_str(&wire.line().await);
            }
            seen.send(text).expect("the test waits");
            wire.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n")
                .await;
            wire.say("5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nx-sum: 11\r\n\r\n")
                .await;
            wire.head().await;
        }
    })
    .await;
    let router = router(&[&instance.backend]);
    let answer = ask(
        &router,
        &format!(
            "POST / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close, te\r\nte: trailers\r\n\
             transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\nx-end: 1\r\n\r\n"
        ),
    )
    .await;
    assert!(
        answer.contains("transfer-encoding: chunked\r\n"),
        "{answer}"
    );
    let body = answer.split_once("\r\n\r\n").expect("a head").1;
    assert!(body.ends_with("0\r\nx-sum: 11\r\n\r\n"), "{body:?}");
    assert!(
        body.contains("hello") && body.contains(" world"),
        "{body:?}"
    );
    let sent = sent.recv().await.expect("the instance got a request");
    let body = sent.split_once("\r\n\r\n").expect("a head").1;
    assert_eq!(
        body.replace("3\r\nabc\r\n1\r\nd\r\n", "4\r\nabcd\r\n"),
        "4\r\nabcd\r\n0\r\nx-end: 1\r\n\r\n"
    );
}

#[tokio::test]
async fn an_old_client_gets_no_chunks() {
    let instance = Instance::scripted("instance-a", |_, mut wire| async move {
        wire.head().await;
        wire.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
            .await;
    })
    .await;
    let router = router(&[&instance.backend]);
    let answer = ask(&router, &format!("GET / HTTP/1.0\r\nhost: {HOST}\r\n\r\n")).await;
    assert!(!answer.contains("chunked"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
}

#[tokio::test]
async fn the_body_waits_for_100_continue() {
    let instance = Instance::scripted("instance-a", |_, mut wire| async move {
        loop {
            let head = wire.head().await;
            if head.starts_with("put /refused") {
                wire.say("HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n")
                    .await;
                return;
            } else if head.is_empty() {
                return;
            }
            assert!(head.contains("expect: 100-continue\r\n"), "{head}");
            wire.say("HTTP/1.1 100 Continue\r\n\r\n").await;
            assert_eq!(wire.exactly(4).await, "body");
            wire.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await;
        }
    })
    .await;
    let router = router(&[&instance.backend]);
    let fields = format!("host: {HOST}\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n");
    let mut wire = Wire::to(&router).await;
    for _ in 0..2 {
        wire.say(&format!("PUT / HTTP/1.1\r\n{fields}")).await;
        assert_eq!(status(&wire.head().await), 100);
        wire.say("body").await;
        assert_eq!(wire.message().await.1, "ok");
    }
    wire.say(&format!("PUT /refused HTTP/1.1\r\n{fields}"))
        .await;
    assert_eq!(
        status(&wire.head().await),
        417,
        "the final answer comes without a 100"
    );
    until("nothing is in flight", || instance.backend.in_flight() == 0).await;
}

#[tokio::test]
async fn an_instance_that_never_says_100_gets_the_body_all_the_same() {
    let instance = Instance::named("instance-a", Duration::ZERO).await;
    let router = router(&[&instance.backend]);
    let mut wire = Wire::to(&router).await;
    let fields = format!("host: {HOST}\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n");
    wire.say(&format!("PUT / HTTP/1.1\r\n{fields}")).await;
    assert_eq!(status(&wire.head().await), 100);
    wire.say("body").await;
    assert_eq!(wire.message().await.1, "instance-a");
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    let (said, next) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let go_on = Arc::clone(&next);
    let instance = Instance::scripted("instance-a", move |_, mut wire| {
        let next = Arc::clone(&go_on);
        async move {
            wire.head().await;
            wire.say("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
                .await;
            for number in 0..3 {
                wire.say(&format!("data: {number}\n\n")).await;
                next.notified().await;
            }
        }
    })
    .await;
    let router = router(&[&instance.backend]);
    let mut wire = Wire::to(&router).await;
    wire.say(&format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
        .await;
    assert!(wire.head().await.contains("text/event-stream"));
    for number in 0..3 {
        wire.line().await;
        assert_eq!(wire.line().await, format!("data: {number}\n"));
        assert_eq!(
            (wire.line().await, wire.line().await),
            ("\n".into(), "\r\n".into())
        );
        assert_eq!(instance.backend.in_flight(), 1, "a stream is in flight");
        next.notify_one();
    }
    assert_eq!(wire.line().await, "0\r\n");
    until("the stream ended", || instance.backend.in_flight() == 0).await;
    drop(said);
}

#[tokio::test]
async fn a_user_who_leaves_frees_the_instance() {
    let instance = Instance::scripted("instance-a", |_, mut wire| async move {
        wire.head().await;
        wire.say("HTTP/1.1 200 OK\r\n\r\ndata: 0\n\n").await;
        wire.rest().await;
    })
    .await;
    let router = router(&[&instance.backend]);
    let mut wire = Wire::to(&router).await;
    wire.say(&format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
        .await;
    wire.head().await;
    assert_eq!(instance.backend.in_flight(), 1);
    drop(wire);
    until("the stream ended", || instance.backend.in_flight() == 0).await;
}

#[tokio::test]
async fn a_websocket_passes_and_counts() {
    let instance = Instance::scripted("instance-a", |_, mut wire| async move {
        let head = wire.head().await;
        assert!(
            head.contains("connection: upgrade\r\nupgrade: websocket\r\n"),
            "{head}"
        );
        assert!(head.contains("sec-websocket-key: abc\r\n"), "{head}");
        // The first words come in one piece with the head.
        wire.say(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\
             Sec-WebSocket-Accept: xyz\r\n\r\nwelcome",
        )
        .await;
        let mut bytes = [0; 1024];
        while let Ok(len @ 1..) = wire.0.read(&mut bytes).await {
            wire.0
                .get_mut()
                .write_all(&bytes[..len])
                .await
                .expect("the router listens");
        }
    })
    .await;
    let router = router(&[&instance.backend]);
    let mut wire = Wire::to(&router).await;
    wire.say(&format!(
        "GET /chat HTTP/1.1\r\nhost: {HOST}\r\nconnection: keep-alive, Upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-key: abc\r\n\r\n"
    ))
    .await;
    let head = wire.head().await;
    assert_eq!(status(&head), 101);
    assert!(
        head.contains("upgrade: websocket\r\n") && head.contains("accept: xyz\r\n"),
        "{head}"
    );
    assert_eq!(wire.exactly(7).await, "welcome");
    for word in ["ping", "pong", &"x".repeat(100_000)] {
        wire.say(word).await;
        assert_eq!(wire.exactly(word.len()).await, word);
    }
    assert_eq!(instance.backend.in_flight(), 1);
    drop(wire);
    until("the tunnel ended", || instance.backend.in_flight() == 0).await;
}
