//! What users see when instances fail, and what is tried again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use domain::slice::Slice;
use router::{Limits, Table};

use tokio::sync::{Notify, mpsc};

use crate::support::{
    HOST, Instance, Wire, ask, get, nobody, router, router_with, status, table, until,
};

const EMPTY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn every_refusal_says_why() {
    let instance = Instance::named("instance-a", Duration::ZERO).await;
    let router = router(&[&instance.backend]);
    let other = "GET / HTTP/1.1\r\nhost: cart.staging.localhost:7000\r\nconnection: close\r\n\r\n";
    let answer = ask(&router, other).await;
    assert_eq!(status(&answer), 404);
    assert!(
        answer.contains("No service is routed at \"cart.staging.localhost:7000\""),
        "{answer}"
    );
    assert!(answer.contains("server: pointsman"), "{answer}");

    router.publish(table(&[(Slice::Blue, 100, &[])]));
    let (code, body) = get(&router, "/").await;
    assert_eq!(code, 503);
    assert!(body.contains("has no healthy instance now"), "{body}");

    router.publish(Table::default());
    assert_eq!(get(&router, "/").await.0, 404);

    let gone = nobody("instance-gone").await;
    router.publish(table(&[(Slice::Blue, 100, &[&gone])]));
    let (code, body) = get(&router, "/").await;
    assert_eq!(code, 502);
    assert!(
        body.contains("could not connect to instance instance-gone"),
        "{body}"
    );
    assert_eq!(gone.in_flight(), 0);
}

#[tokio::test]
async fn bad_answers_are_502() {
    for (answer, why) in [
        ("SSH-2.0-OpenSSH_9\r\n", "not HTTP/1.1"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            "both",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "two different",
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
            "nobody asked for",
        ),
        ("HTTP/1.1 200 OK\r\nx: ", "in the middle"),
        ("", "without an answer"),
    ] {
        let instance = Instance::scripted("instance-a", move |_, mut wire| async move {
            wire.head().await;
            wire.say(answer).await;
        })
        .await;
        let router = router(&[&instance.backend]);
        let (code, body) = get(&router, "/").await;
        assert_eq!(code, 502, "{answer:?}");
        assert!(body.contains(why), "{body}");
        until("nothing is in flight", || instance.backend.in_flight() == 0).await;
    }
}

#[tokio::test]
async fn a_silent_instance_is_504() {
    let instance = Instance::scripted("instance-a", |_, mut wire| async move {
        wire.rest().await;
    })
    .await;
    let limits = Limits {
        first_byte_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let router = router_with(limits, &[&instance.backend]);
    let (code, body) = get(&router, "/").await;
    assert_eq!(code, 504);
    assert!(body.contains("did not begin to answer in time"), "{body}");
    until("nothing is in flight", || instance.backend.in_flight() == 0).await;
}

#[tokio::test]
async fn a_user_who_stops_in_the_middle_is_told_408() {
    let instance = Instance::scripted("instance-a", |_, mut wire| async move {
        wire.rest().await;
    })
    .await;
    let limits = Limits {
        first_byte_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let router = router_with(limits, &[&instance.backend]);
    let mut wire = Wire::to(&router).await;
    wire.say(&format!(
        "POST / HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 9\r\n\r\nabc"
    ))
    .await;
    assert_eq!(status(&wire.head().await), 408);
}

/// The end of the connection is the only way to say it, so it must not look like the end of the
/// body.
#[tokio::test]
async fn a_truncated_answer_is_seen_as_such() {
    for (framing, part) in [
        ("content-length: 10", "hello"),
        ("transfer-encoding: chunked", "5\r\nhello\r\n"),
    ] {
        let go_on = Arc::new(Notify::new());
        let go = Arc::clone(&go_on);
        let instance = Instance::scripted("instance-a", move |_, mut wire| {
            let go = Arc::clone(&go);
            async move {
                wire.head().await;
                wire.say(&format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{part}"))
                    .await;
                go.notified().await;
            }
        })
        .await;
        let router = router(&[&instance.backend]);
        let mut wire = Wire::to(&router).await;
        wire.say(&format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
            .await;
        assert!(wire.head().await.contains(framing));
        assert_eq!(wire.exactly(part.len()).await, part);
        go_on.notify_one();
        assert_eq!(wire.rest().await, "", "{framing}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_tried_elsewhere() {
    let gone = [nobody("instance-1").await, nobody("instance-2").await];
    let good = Instance::scripted("instance-3", |_, mut wire| async move {
        loop {
            let (head, body) = wire.message().await;
            if head.is_empty() {
                return;
            }
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            wire.say(&answer).await;
        }
    })
    .await;
    let router = router(&[&gone[0], &good.backend, &gone[1]]);
    let mut wire = Wire::to(&router).await;
    for _ in 0..30 {
        assert_eq!(wire.get("/").await.0, 200);
        let post = format!("POST / HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 4\r\n\r\nbody");
        wire.say(&post).await;
        assert_eq!(
            wire.message().await.1,
            "body",
            "a body that was not yet sent goes along"
        );
    }
    assert!(gone.iter().all(|backend| backend.in_flight() == 0));
}

/// An instance that answers the first request of its first connection, and hangs up on the second.
async fn hangs_up_once(requests: &Arc<AtomicUsize>) -> Instance {
    let requests = Arc::clone(requests);
    Instance::scripted("instance-a", move |number, mut wire| {
        let requests = Arc::clone(&requests);
        async move {
            for served in 0.. {
                if wire.message().await.0.is_empty() {
                    return;
                }
                requests.fetch_add(1, Ordering::SeqCst);
                if number == 0 && served == 1 {
                    return;
                }
                wire.say(EMPTY).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_get_on_a_dead_kept_connection_is_repeated_once() {
    for method in ["GET", "HEAD", "OPTIONS"] {
        let requests = Arc::new(AtomicUsize::new(0));
        let instance = hangs_up_once(&requests).await;
        let router = router(&[&instance.backend]);
        let mut wire = Wire::to(&router).await;
        assert_eq!(wire.get("/").await.0, 200);
        wire.say(&format!("{method} / HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
            .await;
        assert_eq!(status(&wire.head().await), 200, "{method}");
        assert_eq!(
            requests.load(Ordering::SeqCst),
            3,
            "{method}: one, one in vain, one again"
        );
    }
}

#[tokio::test]
async fn what_may_have_an_effect_is_never_repeated() {
    for request in [
        "POST / HTTP/1.1\r\ncontent-length: 2\r\n",
        "DELETE / HTTP/1.1\r\n",
        "POST / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\ncontent-length: 2\r\n",
    ] {
        let requests = Arc::new(AtomicUsize::new(0));
        let instance = hangs_up_once(&requests).await;
        let router = router(&[&instance.backend]);
        let mut wire = Wire::to(&router).await;
        assert_eq!(wire.get("/").await.0, 200);
        let body = if request.contains("content-length") {
            "ab"
        } else {
            ""
        };
        wire.say(&format!("{request}host: {HOST}\r\n\r\n{body}"))
            .await;
        let (head, text) = wire.message().await;
        assert_eq!(status(&head), 502, "{request:?}");
        assert!(text.contains("without an answer"), "{text}");
        assert_eq!(
            requests.load(Ordering::SeqCst),
            2,
            "{request:?} was sent once"
        );
    }
}

/// An instance that hangs up on the second request of every connection. Once that was seen, what must
/// not be repeated gets a connection of its own there.
#[tokio::test]
async fn an_instance_that_hangs_up_costs_one_repeated_get_and_no_post() {
    let instance = Instance::scripted("instance-a", |_, mut wire| async move {
        wire.message().await;
        wire.say(EMPTY).await;
        wire.message().await;
    })
    .await;
    let router = router(&[&instance.backend]);
    let mut wire = Wire::to(&router).await;
    assert_eq!(wire.get("/").await.0, 200);
    assert_eq!(wire.get("/").await.0, 200, "it is repeated");
    for _ in 0..10 {
        wire.say(&format!(
            "POST / HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 2\r\n\r\nab"
        ))
        .await;
        assert_eq!(status(&wire.message().await.0), 200);
    }
}

/// A connection that the instance closed while it was idle is not used, for whatever method.
#[tokio::test]
async fn a_closed_idle_connection_is_noticed() {
    let instance = Instance::scripted("instance-a", |_, mut wire| async move {
        wire.message().await;
        wire.say(EMPTY).await;
    })
    .await;
    let router = router(&[&instance.backend]);
    let mut wire = Wire::to(&router).await;
    for _ in 0..50 {
        wire.say(&format!(
            "POST / HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 2\r\n\r\nab"
        ))
        .await;
        assert_eq!(status(&wire.message().await.0), 200);
        // The end reaches the router's kernel before the answer to a later connection does.
        assert_eq!(get(&router, "/").await.0, 200);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A connection on which anything is left over is not used again: the next user would get it.
#[tokio::test]
async fn a_connection_with_something_left_over_is_not_reused() {
    for (request, answer) in [
        (
            "GET / HTTP/1.1\r\n",
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        ),
        (
            "GET / HTTP/1.1\r\n",
            "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        ),
        (
            "GET / HTTP/1.1\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok\
             HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        ),
        (
            "HEAD / HTTP/1.1\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        ),
        (
            "GET / HTTP/1.1\r\n",
            "HTTP/1.1 204 No Content\r\ncontent-length: 4\r\n\r\nevil",
        ),
        // An answer before the request was read.
        (
            "POST / HTTP/1.1\r\ncontent-length: 100\r\n",
            "HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno",
        ),
    ] {
        let (said, mut heads) = mpsc::unbounded_channel();
        let instance = Instance::scripted("instance-a", move |number, mut wire| {
            let said = said.clone();
            async move {
                while !wire.head().await.is_empty() {
                    said.send(number).expect("the test waits");
                    let good = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood";
                    wire.say(if number == 0 { answer } else { good }).await;
                }
            }
        })
        .await;
        let router = router(&[&instance.backend]);
        let mut first = Wire::to(&router).await;
        first.say(&format!("{request}host: {HOST}\r\n\r\n")).await;
        assert!(status(&first.head().await) < 500, "{answer:?}");
        assert_eq!(heads.recv().await, Some(0));
        for _ in 0..12 {
            assert_eq!(
                get(&router, "/").await,
                (200, "good".to_owned()),
                "{answer:?}"
            );
            assert_ne!(
                heads.recv().await,
                Some(0),
                "{answer:?}: the connection was used again"
            );
        }
    }
}
