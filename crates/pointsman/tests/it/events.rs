//! What happened to a deployment: as pages and as a stream.

use std::sync::Arc;

use expect_test::expect;
use futures_util::StreamExt;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::{Answer, PATIENCE, Persona, TestApp, redacted, wish};

/// One event of a stream.
#[derive(Debug, Clone, PartialEq)]
struct Sent {
    id: i64,
    data: Value,
}

async fn open(app: &TestApp, id: &str, last: Option<i64>) -> Response {
    let path = format!("/api/v1/deployments/{id}/events");
    let mut request = app
        .request(Persona::Admin, Method::GET, &path)
        .header("accept", "text/event-stream");
    if let Some(last) = last {
        request = request.header("last-event-id", last.to_string());
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response
}

/// The events of a stream, until `enough` or its end.
async fn read(response: Response, enough: impl Fn(&[Sent]) -> bool) -> Vec<Sent> {
    let mut text = String::new();
    let mut sent = Vec::new();
    let mut pieces = response.bytes_stream();
    let all = async {
        while let Some(piece) = pieces.next().await {
            text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
            while let Some(end) = text.find("\n\n") {
                let block: String = text.drain(..end + 2).collect();
                sent.extend(parse(&block));
            }
            if enough(&sent) {
                break;
            }
        }
        sent
    };
    tokio::time::timeout(PATIENCE, all)
        .await
        .expect("the stream ends in time")
}

fn parse(block: &str) -> Option<Sent> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    let data = serde_json::from_str(field("data:")?.trim()).unwrap();
    let id = field("id:").unwrap().trim().parse().unwrap();
    Some(Sent { id, data })
}

#[tokio::test]
async fn a_stream_tells_everything_as_it_happens_and_ends_with_the_deployment() {
    let app = TestApp::with_shop().await;
    app.bring_up("1.0.0").await;
    let id = app.begin("1.1.0").await;
    let sent = read(open(&app, &id, None).await, |_| false).await;
    let ids: Vec<i64> = sent.iter().map(|event| event.id).collect();
    assert_eq!(
        ids,
        (1..=ids.len() as i64).collect::<Vec<_>>(),
        "each once, in order"
    );
    assert_eq!(sent[0].data["event"], "requested");
    let last = &sent.last().unwrap().data;
    assert_eq!(
        (&last["event"], &last["outcome"]),
        (&json!("finished"), &json!("succeeded"))
    );
    let page = app
        .get(&format!("/api/v1/deployments/{id}/events?limit=500"))
        .await
        .json();
    let data: Vec<Value> = sent.iter().map(|event| event.data.clone()).collect();
    assert_eq!(page["items"], json!(data), "pages and stream tell the same");
    expect![[r#"
        {
          "at": "[at]",
          "event": "requested",
          "sentence": "admin asked to deploy shop 1.1.0 to staging by scale-up",
          "seq": 1
        }
        {
          "at": "[at]",
          "event": "finished",
          "outcome": "succeeded",
          "sentence": "1.1.0 is live",
          "seq": 16
        }
    "#]]
    .assert_eq(&format!(
        "{:#}\n{:#}\n",
        redacted(data[0].clone()),
        redacted(last.clone())
    ));
}

#[tokio::test]
async fn a_broken_stream_goes_on_where_it_was() {
    let app = TestApp::with_shop().await;
    let id = app.begin("1.0.0").await;
    let before = read(open(&app, &id, None).await, |sent| sent.len() >= 2).await;
    let last = before.last().unwrap().id;
    let after = read(open(&app, &id, Some(last)).await, |_| false).await;
    assert_eq!(after[0].id, last + 1);
    assert_eq!(after.last().unwrap().data["event"], "finished");
    let end = after.last().unwrap().id;
    for beyond in [end, end + 100] {
        assert_eq!(
            read(open(&app, &id, Some(beyond)).await, |_| false).await,
            []
        );
    }
    let pages = app
        .get(&format!(
            "/api/v1/deployments/{id}/events?cursor={last}&limit=1"
        ))
        .await;
    assert_eq!(pages.json()["items"][0]["seq"], last + 1);
}

#[tokio::test]
async fn a_command_is_heard_at_once_by_those_who_watch() {
    let app = TestApp::with_shop().await;
    app.bring_up("1.0.0").await;
    let mut body = wish("1.1.0");
    body["strategy"]["bake_seconds"] = 3600.into();
    let begun = app.post("/api/v1/deployments", body).await.json();
    let id = begun["deployment"]["id"].as_str().unwrap().to_owned();
    app.until(&id, |deployment| deployment["step"] == 1).await;
    let stream = open(&app, &id, None).await;
    app.post(&format!("/api/v1/deployments/{id}/pause"), json!({}))
        .await;
    let paused = |sent: &[Sent]| sent.iter().any(|event| event.data["event"] == "commanded");
    let sent = read(stream, paused).await;
    let command = sent
        .iter()
        .find(|event| event.data["event"] == "commanded")
        .unwrap();
    assert_eq!(
        (&command.data["command"], &command.data["by"]),
        (&json!("pause"), &json!("admin"))
    );
}

#[tokio::test]
async fn waits_and_failures_travel_in_events_as_objects() {
    let app = TestApp::with_shop().await;
    app.bring_up("1.0.0").await;
    let mut body = wish("1.1.0");
    body["strategy"]["bake_seconds"] = 3600.into();
    let begun = app.post("/api/v1/deployments", body).await.json();
    let id = begun["deployment"]["id"].as_str().unwrap().to_owned();
    let baking = |deployment: &Value| deployment["waiting"]["reason"] == "baking";
    let deployment = app.until(&id, baking).await;
    let stream = open(&app, &id, None).await;
    app.post(
        &format!("/api/v1/deployments/{id}/abort"),
        json!({"reason": "wrong one"}),
    )
    .await;
    let sent = read(stream, |_| false).await;
    let of = |kind: &str| -> Vec<Value> {
        let events = sent.iter().map(|event| event.data.clone());
        events.filter(|event| event["event"] == kind).collect()
    };
    let waits = of("waiting");
    let bake = waits.iter().find(|it| it["waiting"]["reason"] == "baking");
    let bake = bake.expect("it was watched");
    assert_eq!(
        bake["waiting"],
        json!({
            "reason": "baking", "sentence": "baking 1.1.0: every instance is healthy so far",
            "since": bake["at"], "until": deployment["waiting"]["until"], "then": "goes_on",
            "who_can_act": "time", "version": "1.1.0", "launch": deployment["launch"],
        })
    );
    assert_eq!(bake["sentence"], bake["waiting"]["sentence"]);
    for kind in ["rolling_back", "finished"] {
        let events = of(kind);
        assert_eq!(
            events[0]["failure"],
            json!({
                "reason": "aborted", "sentence": "aborted by admin: wrong one",
                "by": "admin", "why": "wrong one", "who_can_act": "operator",
            }),
            "{kind}"
        );
    }
    let launch = deployment["launch"].as_str().unwrap();
    let tells_the_launch =
        |event: &&Sent| event.data["sentence"].as_str().unwrap().contains(launch);
    assert_eq!(sent.iter().find(tells_the_launch), None);
}

#[tokio::test]
async fn streams_end_when_the_server_stops() {
    let mut app = TestApp::with_shop().await;
    app.bring_up("1.0.0").await;
    let mut body = wish("1.1.0");
    body["strategy"]["bake_seconds"] = 3600.into();
    let begun = app.post("/api/v1/deployments", body).await.json();
    let id = begun["deployment"]["id"].as_str().unwrap().to_owned();
    let stream = open(&app, &id, None).await;
    let first = Arc::new(Notify::new());
    let seen = Arc::clone(&first);
    let reader = tokio::spawn(read(stream, move |_| {
        seen.notify_one();
        false
    }));
    first.notified().await;
    let stopped = tokio::time::timeout(std::time::Duration::from_secs(8), app.stop());
    stopped
        .await
        .expect("an open stream does not keep the server from stopping");
    assert!(!reader.await.unwrap().is_empty());
}

#[tokio::test]
async fn streams_of_nothing_are_problems() {
    let app = TestApp::start().await;
    for accept in ["application/json", "text/event-stream"] {
        let request = app
            .request(
                Persona::Admin,
                Method::GET,
                "/api/v1/deployments/none/events",
            )
            .header("accept", accept);
        assert_eq!(Answer::of(request).await.code(), "not_found", "{accept}");
    }
}
