//! What is counted of the users' requests, and what is not.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use domain::{catalogue::Stickiness, observation::InstanceId, slice::Slice, traffic::UserCounts};
use http::Request;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use router::{Backend, Counters, Limits, Router, UserTally};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};

use crate::support::{
    HOST, Instance, Wire, ask, get, nobody, router, router_with, status, table, table_with, until,
};

/// An instance that answers with the status that the path names, `/slow` after 30 ms.
async fn obliging() -> Instance {
    Instance::scripted("instance-a", |_, mut wire| async move {
        loop {
            let (head, _) = wire.message().await;
            let Some(path) = head.split(' ').nth(1) else {
                return;
            };
            let status = match path.trim_start_matches('/') {
                "slow" => {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    "200"
                }
                status => status,
            };
            wire.say(&format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n"))
                .await;
        }
    })
    .await
}

#[tokio::test]
async fn paths_that_do_not_count_are_answered_and_not_counted() {
    let instance = obliging().await;
    let router = router(&[&instance.backend]);
    let mut table = table(&[(Slice::Blue, 100, &[&instance.backend])]);
    let route = table.hosts.values_mut().next().expect("there is a host");
    route.ignore_paths = vec!["/503".to_owned(), "/5*".to_owned(), "/404".to_owned()];
    router.publish(table);
    let mut wire = Wire::to(&router).await;
    for path in ["/200", "/404", "/404?x=1", "/503", "/500", "/201"] {
        wire.get(path).await;
    }
    let counts = instance.backend.counters().read();
    assert_eq!((counts.requests(), counts.errors()), (2, 0));
    assert_eq!(instance.backend.counts().requests, 2);
    assert_eq!(instance.backend.in_flight(), 0, "the drain knows of all");
}

#[tokio::test]
async fn every_answer_is_counted_once_by_status_and_time() {
    let instance = obliging().await;
    let router = router(&[&instance.backend]);
    let mut wire = Wire::to(&router).await;
    for path in ["/200", "/404", "/500", "/503", "/200", "/slow"] {
        wire.get(path).await;
    }
    let counts = instance.backend.counters().read();
    assert_eq!(counts.classes, [0, 3, 0, 1, 2]);
    assert_eq!((counts.requests(), counts.errors()), (6, 2));
    assert_eq!(counts.latency.count(), 6);
    assert!(counts.latency_us >= 30_000, "{}", counts.latency_us);
    let slowest = counts.latency.percentile_us(100).expect("there are counts");
    assert!(slowest >= 30_000, "{slowest}");
}

#[tokio::test]
async fn what_an_instance_did_not_answer_is_its_error_and_costs_nobody_else() {
    let limits = Limits {
        first_byte_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let silent = Instance::scripted("instance-silent", |_, mut wire| async move {
        wire.rest().await;
    })
    .await;
    let router = router_with(limits, &[&silent.backend]);
    assert_eq!(get(&router, "/").await.0, 504);
    assert_eq!(silent.backend.counters().read().errors(), 1);

    let gone = nobody("instance-gone").await;
    router.publish(table(&[(Slice::Blue, 100, &[&gone])]));
    assert_eq!(get(&router, "/").await.0, 502);
    assert_eq!(gone.counters().read().classes, [0, 0, 0, 0, 1]);

    let good = obliging().await;
    router.publish(table(&[(Slice::Blue, 100, &[&gone, &good.backend])]));
    for _ in 0..4 {
        assert_eq!(get(&router, "/200").await.0, 200);
    }
    let (failed, saved) = (gone.counts(), good.backend.counts());
    assert!(failed.errors > 1 && failed.errors == failed.requests);
    assert_eq!((saved.requests, saved.errors), (4, 0));

    router.publish(table(&[(Slice::Blue, 100, &[])]));
    assert_eq!(get(&router, "/").await.0, 503);
    let refused = router.refused();
    assert_eq!((refused[&502], refused[&503], refused[&504]), (1, 1, 1));
}

/// An address that answers no attempt to connect: its queue is full.
async fn deaf() -> (Vec<TcpStream>, TcpListener, Arc<Backend>) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind(([127, 0, 0, 1], 0).into())
        .expect("a free port");
    let listener = socket.listen(1).expect("it listens");
    let address = listener.local_addr().expect("it is bound");
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) =
        timeout(Duration::from_millis(200), TcpStream::connect(address)).await
    {
        queued.push(stream);
    }
    let id = InstanceId("instance-deaf".to_owned());
    (queued, listener, Backend::new(id, address))
}

#[tokio::test]
async fn the_time_that_one_instance_wasted_is_not_the_next_ones() {
    let limits = Limits {
        connect_timeout: Duration::from_millis(400),
        ..Limits::default()
    };
    let (_queued, _listener, deaf) = deaf().await;
    let good = obliging().await;
    let router = router_with(limits, &[&deaf, &good.backend]);
    for _ in 0..2 {
        assert_eq!(get(&router, "/200").await.0, 200);
    }
    let wasted = deaf.counters().read();
    assert!(wasted.errors() >= 1, "{wasted:?}");
    assert_eq!(wasted.requests(), wasted.errors());
    assert!(wasted.latency_us >= 400_000 * wasted.errors(), "{wasted:?}");
    let counts = good.backend.counters().read();
    assert_eq!((counts.requests(), counts.errors()), (2, 0));
    assert!(counts.latency_us < 400_000, "{}", counts.latency_us);
}

/// An instance that never answers, and a router in front of it.
async fn waiting() -> (Instance, Router) {
    let waits = Instance::scripted("instance-a", |_, mut wire| async move {
        wire.rest().await;
    })
    .await;
    let limits = Limits {
        first_byte_timeout: Duration::from_millis(800),
        ..Limits::default()
    };
    let router = router_with(limits, &[&waits.backend]);
    (waits, router)
}

/// A user can leave by closing, by closing one direction, by resetting the connection, in the middle
/// of an upload, and by resetting one stream of HTTP/2.
#[tokio::test]
async fn users_who_give_up_are_counted_with_the_time_they_waited() {
    let get = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    let put = format!("PUT / HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 9\r\n\r\nab");
    let chunked =
        format!("PUT / HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n");
    for (request, reset) in [(&get, false), (&get, true), (&put, false), (&chunked, true)] {
        let (waits, router) = waiting().await;
        let mut wire = Wire::to(&router).await;
        wire.say(request).await;
        until("it is in flight", || waits.backend.in_flight() == 1).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        if reset {
            wire.0.get_ref().set_zero_linger().expect("a TCP option");
        }
        drop(wire);
        until("it is dropped", || waits.backend.in_flight() == 0).await;
        let counts = waits.backend.counters().read();
        assert_eq!((counts.requests(), counts.abandoned), (1, 1), "{request:?}");
        assert_eq!(counts.errors(), 0, "{request:?}");
        assert_eq!(counts.latency.count(), 1);
        let waited = 100_000..800_000;
        assert!(waited.contains(&counts.latency_us), "{counts:?}");
        assert_eq!(waits.backend.counts().requests, 1);
    }

    let (waits, router) = waiting().await;
    let mut wire = Wire::to(&router).await;
    wire.say(&get).await;
    until("it is in flight", || waits.backend.in_flight() == 1).await;
    wire.0.get_mut().shutdown().await.expect("half is closed");
    until("it is dropped", || waits.backend.in_flight() == 0).await;
    assert_eq!(waits.backend.counters().read().abandoned, 1);

    let (waits, router) = waiting().await;
    let stream = TcpStream::connect(router.local_addr())
        .await
        .expect("it accepts");
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .expect("HTTP/2");
    let driver = tokio::spawn(connection);
    let request = Request::get(format!("http://{HOST}/"));
    let request = request.body(Empty::<Bytes>::new()).expect("a request");
    let answer = tokio::spawn(sender.send_request(request));
    until("it is in flight", || waits.backend.in_flight() == 1).await;
    answer.abort();
    until("it is dropped", || waits.backend.in_flight() == 0).await;
    assert_eq!(waits.backend.counters().read().abandoned, 1);
    driver.abort();
}

#[tokio::test]
async fn users_who_send_nonsense_or_fall_silent_are_not_counted() {
    let (waits, router) = waiting().await;
    let half = format!(
        "PUT / HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 9\r\nconnection: close\r\n\r\nab"
    );
    assert_eq!(status(&ask(&router, &half).await), 408);
    let nonsense =
        format!("PUT / HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n");
    assert_eq!(status(&ask(&router, &nonsense).await), 400);
    assert_eq!(waits.backend.counters().read().requests(), 0);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_one_request_and_one_error() {
    for (head, errors) in [
        ("200 OK\r\ncontent-length: 9", 1),
        ("200 OK\r\ntransfer-encoding: chunked", 1),
        ("404 X\r\ncontent-length: 9", 1),
        ("500 X\r\ncontent-length: 9", 1),
    ] {
        let instance = Instance::scripted("instance-a", move |_, mut wire| async move {
            wire.head().await;
            wire.say(&format!("HTTP/1.1 {head}\r\n\r\n")).await;
        })
        .await;
        let router = router(&[&instance.backend]);
        ask(&router, &format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
        until("it has ended", || instance.backend.in_flight() == 0).await;
        let counts = instance.backend.counters().read();
        assert_eq!((counts.requests(), counts.errors()), (1, errors), "{head}");
        assert_eq!(instance.backend.counts().errors, errors, "{head}");
    }
}

/// Whoever leaves in the middle of an answer got one: that is no error of the instance.
#[tokio::test]
async fn users_who_leave_in_the_middle_of_an_answer_got_one() {
    let instance = Instance::scripted("instance-a", |_, mut wire| async move {
        wire.head().await;
        wire.say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab")
            .await;
        wire.rest().await;
    })
    .await;
    let router = router(&[&instance.backend]);
    let mut wire = Wire::to(&router).await;
    wire.say(&format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
        .await;
    wire.head().await;
    drop(wire);
    until("it has ended", || instance.backend.in_flight() == 0).await;
    let counts = instance.backend.counters().read();
    assert_eq!(
        (counts.requests(), counts.errors(), counts.abandoned),
        (1, 0, 0)
    );
}

#[tokio::test]
async fn where_users_stick_each_is_counted_once() {
    let template = obliging().await;
    let users: Arc<UserTally> = Arc::default();
    let id = InstanceId("instance-x".to_owned());
    let address = template.backend.address();
    let backend = Backend::counted(id, address, Arc::default(), Arc::clone(&users));
    let router = router(&[&backend]);
    get(&router, "/500").await;
    assert_eq!(users.read(), UserCounts::default(), "nobody sticks");

    let by_header = Stickiness::Header {
        name: "x-user".to_owned(),
    };
    router.publish(table_with(
        Some(by_header),
        &[(Slice::Blue, 100, &[&backend])],
    ));
    let mut wire = Wire::to(&router).await;
    for _ in 0..5 {
        wire.get_with("/200", "x-user: ann\r\n").await;
        wire.get_with("/500", "x-user: bob\r\n").await;
        wire.get_with("/404", "x-user: eve\r\n").await;
    }
    let counted = UserCounts {
        seen: 3,
        failed: 1,
        client_failed: 1,
    };
    assert_eq!(users.read(), counted);
}

#[tokio::test]
async fn instances_of_one_release_count_together_from_table_to_table() {
    let (one, two) = (obliging().await, obliging().await);
    let counters: Arc<Counters> = Arc::default();
    let [one, two] = [&one, &two].map(|instance| {
        let id = InstanceId("instance-x".to_owned());
        let address = instance.backend.address();
        Backend::counted(id, address, Arc::clone(&counters), Arc::default())
    });
    let router = router(&[&one]);
    get(&router, "/200").await;
    router.publish(table(&[
        (Slice::Blue, 50, &[&one]),
        (Slice::Green, 50, &[&two]),
    ]));
    for _ in 0..9 {
        get(&router, "/200").await;
    }
    assert_eq!(counters.read().requests(), 10);
}
