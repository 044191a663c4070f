//! Whoever is connected without a token: what they get, and for how long they stay.

use std::time::{Duration, Instant};

use reqwest::Method;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{Answer, Persona, TestApp, release};

/// Sends this, and gives the first line of the answer.
async fn first_line(app: &TestApp, request: &str) -> String {
    let mut stream = TcpStream::connect(app.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 64];
    let length = stream.read(&mut answer).await.unwrap();
    let text = String::from_utf8_lossy(&answer[..length]).into_owned();
    text.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn only_requests_for_this_machine_are_answered() {
    let app = TestApp::start().await;
    let get = |hosts: &str| format!("GET /health HTTP/1.1\r\n{hosts}\r\n");
    for (hosts, status) in [
        ("Host: localhost\r\n", "200 OK"),
        ("Host: 127.0.0.1:7080\r\n", "200 OK"),
        ("Host: evil.example\r\n", "421 Misdirected Request"),
        ("Host: evil.example:7080\r\n", "421 Misdirected Request"),
        ("", "400 Bad Request"),
        ("Host: localhost\r\nHost: localhost\r\n", "400 Bad Request"),
    ] {
        let line = first_line(&app, &get(hosts)).await;
        assert_eq!(line, format!("HTTP/1.1 {status}"), "{hosts:?}");
    }
    let remote = TestApp::with(|config| config.allow_remote = true).await;
    let line = first_line(&remote, &get("Host: pointsman.example\r\n")).await;
    assert_eq!(line, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn no_other_page_shows_a_page_of_the_server() {
    let app = TestApp::start().await;
    let page = app.get("/docs/").await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_nothing_is_sent_away_and_keeps_nobody_out() {
    let app = TestApp::start().await;
    let mut idle = Vec::new();
    for _ in 0..2100 {
        idle.push(TcpStream::connect(app.address()).await.unwrap());
    }
    // Half a head each, for the first of them.
    for stream in idle.iter_mut().rev().take(10) {
        stream.write_all(b"GET /health HT").await.unwrap();
    }
    let asked = Instant::now();
    for _ in 0..20 {
        assert_eq!(app.get("/api/v1/teams").await.status, 200);
    }
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "it is not locked out"
    );
    let all_closed = async {
        for mut stream in idle {
            let mut rest = Vec::new();
            // Closed in whatever way.
            let _ = stream.read_to_end(&mut rest).await;
        }
    };
    let closed = timeout(Duration::from_secs(30), all_closed).await;
    assert!(closed.is_ok(), "idle connections stay");
}

#[tokio::test]
async fn a_package_that_is_not_the_announced_one_is_refused() {
    let app = TestApp::with_shop().await;
    let put = |version: &str, query: &str, digest: Option<&str>| {
        let path = format!("/api/v1/services/shop/releases/{version}{query}");
        let request = app
            .request(Persona::Admin, Method::PUT, &path)
            .header("content-type", "application/gzip")
            .body(release(version));
        Answer::of(match digest {
            Some(digest) => request.header("content-digest", digest),
            None => request,
        })
    };
    let other = format!("?digest={}", "0".repeat(64));
    let zeros = "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:";
    for answer in [
        put("2.0.0", &other, None).await,
        put("2.0.0", "", Some(zeros)).await,
    ] {
        assert_eq!(answer.status, 422, "{}", answer.shown());
        assert!(
            answer.shown().contains("was announced"),
            "{}",
            answer.shown()
        );
    }
    let broken = put("2.0.0", "", Some("sha-256=:???:")).await;
    assert_eq!(
        (broken.status.as_u16(), broken.code()),
        (400, "bad_digest".to_owned())
    );
    let created = put("2.0.0", "", Some("md5=:AAAA:")).await;
    assert_eq!(created.status, 201, "{}", created.shown());
    let digest = created.json()["digest"].as_str().unwrap().to_owned();
    let again = put("2.0.0", &format!("?digest={digest}"), None).await;
    assert_eq!(again.status, 200, "{}", again.shown());
}

#[tokio::test]
async fn a_kept_head_is_compared_with_the_log() {
    let app = TestApp::with_shop().await;
    let verified = async |since: &str| {
        let path = format!("/api/v1/audit-events/verification?since={since}");
        app.get(&path).await
    };
    let now = app.get("/api/v1/audit-events/verification").await.json();
    let head = now["head"].as_str().unwrap();
    let good = verified(&format!("{}:{head}", now["checked"])).await.json();
    assert_eq!(good["intact"], true);
    for forged in [format!("3:{head}"), format!("99:{head}")] {
        let found = verified(&forged).await.json();
        assert_eq!(found["intact"], false, "{forged}: {found}");
    }
    let nonsense = verified("soon").await;
    assert_eq!(
        (nonsense.status.as_u16(), nonsense.code()),
        (400, "bad_query".to_owned())
    );
}
