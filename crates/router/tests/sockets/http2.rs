//! Users who speak HTTP/2 without TLS.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use router::Limits;
use tokio::{net::TcpStream, time::timeout};

use crate::support::{HOST, Instance, LONG, router, router_with, until};

#[tokio::test]
async fn http_2_passes_without_tls() {
    let instance = Instance::scripted("instance-a", |_, mut wire| async move {
        loop {
            let (head, body) = wire.message().await;
            if head.is_empty() {
                return;
            }
            let text = format!("{head}{body}");
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}",
                text.len()
            );
            wire.say(&answer).await;
        }
    })
    .await;
    let router = router(&[&instance.backend]);
    let stream = TcpStream::connect(router.local_addr())
        .await
        .expect("the router accepts");
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = handshake.await.expect("HTTP/2");
    tokio::spawn(connection);
    let request = |number: usize| {
        let mut sender = sender.clone();
        async move {
            let request = http::Request::post(format!("http://{HOST}/{number}"))
                .header("cookie", "a=1")
                .header("cookie", "b=2")
                .body(Full::new(Bytes::from(format!("body-{number}"))))
                .expect("good");
            let answer = sender.send_request(request).await.expect("an answer");
            assert_eq!(
                (answer.status().as_u16(), answer.version()),
                (200, http::Version::HTTP_2)
            );
            let body = answer
                .into_body()
                .collect()
                .await
                .expect("a body")
                .to_bytes();
            String::from_utf8(body.to_vec()).expect("text")
        }
    };
    let tasks: Vec<_> = (0..50)
        .map(|number| tokio::spawn(request(number)))
        .collect();
    for (number, task) in tasks.into_iter().enumerate() {
        let seen = task.await.expect("no panic");
        assert!(
            seen.starts_with(&format!("post /{number} http/1.1\r\nhost: {HOST}\r\n")),
            "{seen}"
        );
        assert!(seen.contains("cookie: a=1; b=2\r\n"), "{seen}");
        assert!(seen.ends_with(&format!("\r\n\r\nbody-{number}")), "{seen}");
    }
    until("nothing is in flight", || instance.backend.in_flight() == 0).await;
}

/// What an HTTP/2 peer says between requests is not the beginning of a slow header.
#[tokio::test]
async fn http_2_may_be_idle_for_longer_than_a_header_may_take() {
    let instance = Instance::named("instance-a", Duration::ZERO).await;
    let limits = Limits {
        header_timeout: Duration::from_millis(100),
        idle_timeout: Duration::from_millis(1500),
        ..Limits::default()
    };
    let router = router_with(limits, &[&instance.backend]);
    let stream = TcpStream::connect(router.local_addr())
        .await
        .expect("the router accepts");
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_millis(50));
    builder.keep_alive_while_idle(true);
    let handshake = builder.handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    for _ in 0..2 {
        let request = http::Request::get(format!("http://{HOST}/")).body(Full::<Bytes>::default());
        let answer = sender
            .send_request(request.expect("good"))
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    let end = timeout(LONG, connection)
        .await
        .expect("the idle connection ends");
    end.expect("no panic").expect("it ends in good order");
}
