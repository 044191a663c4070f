//! Bad, slow, large and malicious requests; starting and stopping.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use router::{Limits, Router, RouterConfig, Table};

use crate::support::{HOST, Instance, Wire, ask, get, router, router_with, status, until};

#[tokio::test]
async fn a_slow_header_is_cut_off_and_a_slow_answer_is_not() {
    let instance = Instance::named("instance-a", Duration::from_millis(700)).await;
    let limits = Limits {
        header_timeout: Duration::from_millis(200),
        idle_timeout: Duration::from_millis(400),
        ..Limits::default()
    };
    let router = router_with(limits, &[&instance.backend]);
    let begun = Instant::now();
    assert_eq!(ask(&router, "GET / HTTP/1.1\r\nhost: sh").await, "");
    assert_eq!(ask(&router, "").await, "", "a connection without a word");
    assert_eq!(ask(&router, "PR").await, "", "half of an HTTP/2 preface");
    let mut wire = Wire::to(&router).await;
    assert_eq!(wire.get("/").await.0, 200, "an answer may take longer");
    wire.say("GET /").await;
    assert_eq!(wire.rest().await, "", "the second header has its limit too");
    let mut idle = Wire::to(&router).await;
    assert_eq!(idle.get("/").await.0, 200);
    assert_eq!(idle.rest().await, "", "an idle connection is closed");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_header_that_trickles_is_cut_off() {
    let instance = Instance::named("instance-a", Duration::ZERO).await;
    let limits = Limits {
        header_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let router = router_with(limits, &[&instance.backend]);
    let mut wire = Wire::to(&router).await;
    let begun = Instant::now();
    wire.say("GET / HTTP/1.1\r\n").await;
    let trickle = async {
        use tokio::io::AsyncWriteExt;
        while wire.0.get_mut().write_all(b"x: y\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), trickle)
        .await
        .expect("cut off in time");
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn large_headers_are_431() {
    let instance = Instance::named("instance-a", Duration::ZERO).await;
    let limits = Limits {
        header_bytes: 16 * 1024,
        headers: 50,
        ..Limits::default()
    };
    for (limits, fits, large) in [(limits, 40, 60), (Limits::default(), 90, 120)] {
        let router = router_with(limits, &[&instance.backend]);
        let with = |fields: String| {
            format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n{fields}\r\n")
        };
        let answer = ask(&router, &with("a: b\r\n".repeat(fits))).await;
        assert_eq!(status(&answer), 200);
        let answer = ask(&router, &with("a: b\r\n".repeat(large))).await;
        assert_eq!(status(&answer), 431);
        let answer = ask(&router, &with(format!("a: {}\r\n", "b".repeat(12 * 1024)))).await;
        assert_eq!(status(&answer), 200);
        let answer = ask(
            &router,
            &with(format!("a: {}\r\n", "b".repeat(limits.header_bytes))),
        )
        .await;
        assert_eq!(status(&answer), 431);
    }
}

/// Every head that the instances saw.
async fn witness() -> (Instance, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seen_by = Arc::clone(&seen);
    let instance = Instance::scripted("instance-a", move |_, mut wire| {
        let seen = Arc::clone(&seen_by);
        async move {
            loop {
                let head = wire.head().await;
                if head.is_empty() {
                    return;
                }
                if head.contains("transfer-encoding: chunked") {
                    while wire.line().await != "\r\n" {}
                } else if let Some(len) = head.split("content-length: ").nth(1) {
                    let len = len
                        .lines()
                        .next()
                        .expect("a line")
                        .parse()
                        .expect("a number");
                    wire.exactly(len).await;
                }
                seen.lock().expect("no panic").push(head);
                wire.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    .await;
            }
        }
    })
    .await;
    (instance, seen)
}

#[tokio::test]
async fn nothing_is_smuggled() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: shop.staging.localhost\r\n\r\n";
    for fields in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: +5\r\n",
        "content-length: 5, 6\r\n",
        "content-length: 0x5\r\n",
        "content-length: -1\r\n",
        "content-length: 99999999999999999999\r\n",
        "content-length : 5\r\n",
        " content-length: 5\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        "transfer-encoding : chunked\r\n",
        "x: a\rtransfer-encoding: chunked\r\n",
        "x\0: a\r\n",
        "x: a\0b\r\n",
    ] {
        let (instance, seen) = witness().await;
        let router = router(&[&instance.backend]);
        let attack = format!("POST / HTTP/1.1\r\nhost: {HOST}\r\n{fields}\r\n0\r\n\r\n{smuggled}");
        let answer = ask(&router, &attack).await;
        assert_eq!(status(&answer), 400, "{fields:?}: {answer}");
        assert!(
            seen.lock().expect("no panic").is_empty(),
            "{fields:?} reached the instance"
        );
    }
}

/// Both lengths: RFC 9112, section 6.3, lets us go by the chunks if nothing of the length is passed
/// on and the connection ends; so what follows is never read as a request.
#[tokio::test]
async fn with_both_lengths_only_the_chunks_count_and_the_connection_ends() {
    for fields in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "transfer-encoding: Chunked\r\ncontent-length: 60\r\n",
    ] {
        let (instance, seen) = witness().await;
        let router = router(&[&instance.backend]);
        let attack = format!(
            "POST /first HTTP/1.1\r\nhost: {HOST}\r\n{fields}\r\n0\r\n\r\n\
             GET /smuggled HTTP/1.1\r\nhost: {HOST}\r\n\r\n"
        );
        let answer = ask(&router, &attack).await;
        assert_eq!(
            answer.matches("HTTP/1.1 ").count(),
            1,
            "{fields:?}: {answer}"
        );
        let seen = seen.lock().expect("no panic");
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert!(
            seen[0].contains("transfer-encoding: chunked\r\n"),
            "{seen:?}"
        );
        assert!(!seen[0].contains("content-length"), "{seen:?}");
    }
}

/// A chunked body is written in new chunks: faulty chunks do not reach the instance as a whole
/// request.
#[tokio::test]
async fn faulty_chunks_are_not_passed_on() {
    for body in [
        "5\r\nhello!\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "zz\r\n",
    ] {
        let (instance, seen) = witness().await;
        let router = router(&[&instance.backend]);
        let attack = format!(
            "POST / HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n{body}\
             GET /smuggled HTTP/1.1\r\nhost: {HOST}\r\n\r\n"
        );
        let answer = ask(&router, &attack).await;
        assert!(!answer.contains("200 OK"), "{body:?}: {answer}");
        let seen = seen.lock().expect("no panic");
        assert!(
            !seen.iter().any(|head| head.contains("/smuggled")),
            "{body:?}: {seen:?}"
        );
    }
}

#[tokio::test]
async fn a_request_names_exactly_one_host() {
    let instance = Instance::named("instance-a", Duration::ZERO).await;
    let router = router(&[&instance.backend]);
    let close = "connection: close\r\n";
    for (text, code) in [
        (format!("GET / HTTP/1.1\r\n{close}\r\n"), 400),
        (
            format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nhost: other\r\n{close}\r\n"),
            400,
        ),
        (
            format!("GET / HTTP/1.1\r\nhost: \u{e9}\r\n{close}\r\n"),
            400,
        ),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), 404),
        (format!("GET / HTTP/1.0\r\nhost: {HOST}\r\n\r\n"), 200),
        (
            format!("GET / HTTP/1.1\r\nhost: SHOP.Staging.LOCALHOST:80\r\n{close}\r\n"),
            200,
        ),
        (
            format!("GET http://{HOST}/ HTTP/1.1\r\nhost: other\r\n{close}\r\n"),
            200,
        ),
        (
            format!("CONNECT {HOST}:80 HTTP/1.1\r\nhost: {HOST}\r\n{close}\r\n"),
            501,
        ),
    ] {
        assert_eq!(status(&ask(&router, &text).await), code, "{text:?}");
    }
}

#[tokio::test]
async fn connections_are_limited() {
    let instance = Instance::named("instance-a", Duration::ZERO).await;
    let router = router_with(
        Limits {
            connections: 2,
            ..Limits::default()
        },
        &[&instance.backend],
    );
    // A thread takes its permit before it accepts, so one connection may wait for the other thread.
    let mut first = Wire::to(&router).await;
    assert_eq!(first.get("/").await.0, 200);
    let mut others = Vec::new();
    for _ in 0..8 {
        let mut wire = Wire::to(&router).await;
        wire.say(&format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
            .await;
        others.push(wire);
    }
    let mut waiting = 0;
    for wire in &mut others {
        let quick = tokio::time::timeout(Duration::from_millis(50), wire.head()).await;
        waiting += u32::from(quick.is_err());
    }
    assert!(waiting >= 6, "only {waiting} of 8 connections wait");
    drop((first, others));
    let free = tokio::time::timeout(Duration::from_secs(10), get(&router, "/")).await;
    assert_eq!(free.expect("a place became free").0, 200);
}

#[tokio::test]
async fn shutdown_finishes_what_is_in_flight_and_frees_the_port() {
    let instance = Instance::named("instance-a", Duration::from_millis(300)).await;
    let router = router(&[&instance.backend]);
    let address = router.local_addr();
    let mut idle = Wire::to(&router).await;
    assert_eq!(idle.get("/").await.0, 200);
    let mut wire = Wire::to(&router).await;
    wire.say(&format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
        .await;
    until("the request is in flight", || {
        instance.backend.in_flight() == 1
    })
    .await;

    let config = RouterConfig {
        address,
        ..RouterConfig::default()
    };
    let error = Router::start(config.clone()).expect_err("the port is taken");
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);

    let begun = Instant::now();
    router.shutdown(Duration::from_secs(10)).await;
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "it waits no longer than needed"
    );
    let (head, body) = wire.message().await;
    assert_eq!((status(&head), body.as_str()), (200, "instance-a"));
    assert_eq!(idle.rest().await, "");

    let again = Router::start(config).expect("the port is free again");
    assert_eq!(again.local_addr(), address);
    let mut early = Wire::to(&again).await;
    early
        .say(&format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
        .await;
    let quick = tokio::time::timeout(Duration::from_millis(100), early.line()).await;
    assert!(quick.is_err(), "nobody is answered before there is a table");
    again.publish(Table::default());
    assert_eq!(status(&early.head().await), 404);
}

#[tokio::test]
async fn shutdown_ends_at_its_deadline() {
    let instance = Instance::named("instance-a", Duration::from_secs(600)).await;
    let router = router(&[&instance.backend]);
    let mut wire = Wire::to(&router).await;
    wire.say(&format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
        .await;
    until("the request is in flight", || {
        instance.backend.in_flight() == 1
    })
    .await;
    router.shutdown(Duration::from_millis(100)).await;
    assert_eq!(wire.rest().await, "");
    assert_eq!(instance.backend.in_flight(), 0);
}

/// A byte now and then is no upload: it would keep a connection to an instance for ever.
#[tokio::test]
async fn an_upload_that_hardly_moves_ends() {
    let instance = Instance::scripted("instance-a", |_, mut wire| async move {
        wire.rest().await;
    })
    .await;
    let limits = Limits {
        first_byte_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let router = router_with(limits, &[&instance.backend]);
    let mut wire = Wire::to(&router).await;
    wire.say(&format!(
        "PUT / HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 100000\r\n\r\n"
    ))
    .await;
    let begun = Instant::now();
    let refused = async {
        loop {
            wire.say("a").await;
            let line = tokio::time::timeout(Duration::from_millis(50), wire.line()).await;
            if let Ok(line) = line {
                return line;
            }
        }
    };
    let refused = tokio::time::timeout(Duration::from_secs(5), refused).await;
    assert_eq!(status(&refused.expect("it ends")), 408);
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_coding_that_would_be_forgotten_is_refused() {
    let instance = Instance::named("instance-a", Duration::ZERO).await;
    let router = router(&[&instance.backend]);
    let request = format!(
        "PUT / HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: gzip, chunked\r\n\
         connection: close\r\n\r\n0\r\n\r\n"
    );
    assert_eq!(status(&ask(&router, &request).await), 501);
}

/// When all places are taken, connections without a request make room, long before they would end.
#[tokio::test]
async fn idle_connections_make_room() {
    let instance = Instance::named("instance-a", Duration::ZERO).await;
    let limits = Limits {
        connections: 4,
        header_timeout: Duration::from_millis(400),
        ..Limits::default()
    };
    let router = router_with(limits, &[&instance.backend]);
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut wire = Wire::to(&router).await;
        assert_eq!(wire.get("/").await.0, 200);
        kept.push(wire);
    }
    for _ in 0..6 {
        let mut wire = Wire::to(&router).await;
        let answer = tokio::time::timeout(Duration::from_secs(5), wire.get("/")).await;
        assert_eq!(answer.expect("a place in time").0, 200);
        kept.push(wire);
    }
}

/// Whoever runs as the same user, such as an instance, must not get a share of the users.
#[tokio::test]
async fn nobody_else_can_take_a_share_of_the_port() {
    let router = router(&[]);
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_reuseport(true).expect("an option");
    socket.set_reuseaddr(true).expect("an option");
    let taken = socket
        .bind(router.local_addr())
        .and_then(|()| socket.listen(1).map(drop));
    let error = taken.expect_err("the port is the router's alone");
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}
