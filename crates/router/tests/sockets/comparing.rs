//! Dark traffic whose answers are compared: what differs, what is noise, and that users get the
//! same bytes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use domain::traffic::{Compare, Mirror, Mirrored};
use router::Limits;

use crate::{
    mirroring::{Dark, mirror, mirrored_table},
    support::{HOST, Instance, Wire, ask, until},
};

fn comparing(ignore: &[&str]) -> Mirror {
    let compare = Compare {
        headers: vec!["x-kind".to_owned()],
        ignore: ignore.iter().map(|field| (*field).to_owned()).collect(),
    };
    Mirror {
        compare: Some(compare),
        ..mirror(100)
    }
}

/// An instance that answers with JSON, different each time.
async fn json(name: &str, body: impl Fn() -> String + Send + Sync + 'static) -> Instance {
    let body = Arc::new(body);
    Instance::scripted(name, move |_, mut wire| {
        let body = Arc::clone(&body);
        async move {
            while !wire.message().await.0.is_empty() {
                let body = body();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                wire.say(&(head + &body)).await;
            }
        }
    })
    .await
}

/// A number that is never the same.
fn clock() -> u64 {
    static CLOCK: AtomicU64 = AtomicU64::new(0);
    CLOCK.fetch_add(1, Ordering::Relaxed)
}

/// Asks until 20 requests were compared.
async fn twenty(blue: &Instance, green: &Instance, mirror: Mirror) -> Mirrored {
    let limits = Limits::default();
    let dark = Dark::start(limits, mirror, &blue.backend, &green.backend);
    let mut wire = Wire::to(&dark.router).await;
    for compared in 1..=20 {
        assert_eq!(wire.get("/").await.0, 200);
        until("it is compared", || dark.mirrored().compared == compared).await;
    }
    until("the second copies end", || blue.backend.in_flight() == 0).await;
    let mirrored = dark.mirrored();
    let sums = (mirrored.copies, mirrored.dropped, mirrored.errors);
    assert_eq!(sums, (20, 0, 0), "second copies are no copies");
    mirrored
}

#[tokio::test]
async fn the_same_answers_differ_in_nothing() {
    let answer = || r#"{"items":[{"price":5}]}"#.to_owned();
    let (blue, green) = (json("blue", answer).await, json("green", answer).await);
    let mirrored = twenty(&blue, &green, comparing(&[])).await;
    assert_eq!((mirrored.differing, mirrored.noisy), (0, 0));
    assert!(mirrored.fields.is_empty(), "{mirrored:?}");
}

#[tokio::test]
async fn another_price_is_a_difference_and_another_time_is_noise() {
    let answer = |price| move || format!(r#"{{"items":[{{"price":{price}}}],"at":{}}}"#, clock());
    let (blue, green) = (
        json("blue", answer(5)).await,
        json("green", answer(6)).await,
    );
    let mirrored = twenty(&blue, &green, comparing(&[])).await;
    assert_eq!((mirrored.differing, mirrored.noisy), (20, 0));
    let names: Vec<_> = mirrored.fields.keys().map(String::as_str).collect();
    assert_eq!(names, ["$.at", "$.items[].price"]);
    let (at, price) = (
        &mirrored.fields["$.at"],
        &mirrored.fields["$.items[].price"],
    );
    assert_eq!((at.differed, at.noise), (20, 20));
    assert_eq!((price.differed, price.noise), (20, 0));
    let values = ("5".to_owned(), "6".to_owned());
    assert_eq!(price.example, Some(values));

    let ignoring = comparing(&["$.items[].price", "$.at"]);
    let mirrored = twenty(&blue, &green, ignoring).await;
    assert_eq!((mirrored.differing, mirrored.fields.len()), (0, 0));

    let same = json("green", answer(5)).await;
    let mirrored = twenty(&blue, &same, comparing(&[])).await;
    assert_eq!((mirrored.differing, mirrored.noisy), (0, 0), "noise alone");
    assert_eq!(mirrored.fields["$.at"].noise, 20);
}

#[tokio::test]
async fn status_and_chosen_headers_are_compared() {
    let says = |text: &'static str| {
        Instance::scripted("instance", move |_, mut wire| async move {
            while !wire.message().await.0.is_empty() {
                wire.say(text).await;
            }
        })
    };
    let blue = says("HTTP/1.1 200 OK\r\nx-kind: a\r\ncontent-length: 0\r\n\r\n").await;
    let green = says("HTTP/1.1 404 No\r\nx-kind: b\r\nx: y\r\ncontent-length: 0\r\n\r\n").await;
    let mirrored = twenty(&blue, &green, comparing(&[])).await;
    assert_eq!(mirrored.differing, 20);
    let names: Vec<_> = mirrored.fields.keys().map(String::as_str).collect();
    assert_eq!(names, ["header x-kind", "status"]);
    let values = ("200".to_owned(), "404".to_owned());
    assert_eq!(mirrored.fields["status"].example, Some(values));
}

/// An answer with whatever framing and length is asked for in the path.
async fn of_any_kind(name: &str) -> Instance {
    Instance::scripted(name, |_, mut wire| async move {
        loop {
            let head = wire.message().await.0;
            let Some(path) = head.split(' ').nth(1).map(str::to_owned) else {
                return;
            };
            let (kind, len) = path[1..].split_once('/').expect("a kind and a length");
            let body: String = ('a'..='z')
                .cycle()
                .take(len.parse().expect("a length"))
                .collect();
            let answer = match kind {
                "length" => format!("content-length: {len}\r\n\r\n{body}"),
                "close" => format!("connection: close\r\n\r\n{body}"),
                _ => {
                    let (one, two) = body.split_at(body.len() / 3);
                    let pieces = [one, two].into_iter().filter(|piece| !piece.is_empty());
                    let chunks: String = pieces
                        .map(|piece| format!("{:x}\r\n{piece}\r\n", piece.len()))
                        .collect();
                    format!(
                        "trailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\nx-sum: \
                         1\r\n\r\n"
                    )
                }
            };
            wire.say(&format!("HTTP/1.1 200 OK\r\nx-kind: {kind}\r\n{answer}"))
                .await;
            if kind == "close" {
                return;
            }
        }
    })
    .await
}

/// An answer without its date, and without the sizes of its chunks: they depend on how fast it
/// came.
fn plain(answer: &str) -> String {
    let is_size = |line: &str| {
        let digits = line.strip_suffix("\r\n");
        digits.is_some_and(|digits| {
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    };
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let fields = head.lines().filter(|line| !line.starts_with("date: "));
    let pieces = body.split_inclusive("\r\n").filter(|line| !is_size(line));
    let pieces = pieces.map(|piece| piece.trim_end_matches("\r\n"));
    fields.chain(pieces).collect()
}

#[tokio::test]
async fn users_get_the_same_bytes_and_only_whole_short_answers_are_compared() {
    let (blue, green) = (of_any_kind("blue").await, of_any_kind("green").await);
    let limits = Limits::default();
    let dark = Dark::start(limits, comparing(&[]), &blue.backend, &green.backend);
    let on = mirrored_table(&blue.backend, &green.backend, Some(&dark.mirroring));
    dark.router
        .publish(mirrored_table(&blue.backend, &green.backend, None));
    let most = 64 * 1024;
    let mut asked = Vec::new();
    for kind in ["length", "chunked", "close"] {
        for len in [0, 1, 1000, most, most + 1, 1 << 20] {
            let request = format!(
                "GET /{kind}/{len} HTTP/1.1\r\nhost: {HOST}\r\nte: trailers\r\n\
                 connection: close, te\r\n\r\n"
            );
            let answer = ask(&dark.router, &request).await;
            assert!(answer.contains("200 OK"), "{request}");
            asked.push((request, answer, len <= most));
        }
    }
    dark.router.publish(on);
    let mut compared = 0;
    for (number, (request, answer, short)) in (1..).zip(&asked) {
        let copied = ask(&dark.router, request).await;
        assert!(plain(&copied) == plain(answer), "{request}");
        compared += u64::from(*short);
        until(request, || {
            let mirrored = dark.mirrored();
            (mirrored.copies, mirrored.compared) == (number, compared)
        })
        .await;
        until("its copies have ended", || {
            (green.backend.in_flight(), blue.backend.in_flight()) == (0, 0)
        })
        .await;
    }
    let mirrored = dark.mirrored();
    assert_eq!((mirrored.differing, mirrored.errors), (0, 0));
}

#[tokio::test]
async fn an_answer_that_the_user_did_not_take_is_not_compared() {
    let blue = Instance::scripted("blue", |_, mut wire| async move {
        wire.message().await;
        wire.say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello")
            .await;
        wire.rest().await;
    })
    .await;
    let green = Instance::named("green", Duration::ZERO).await;
    let limits = Limits::default();
    let dark = Dark::start(limits, comparing(&[]), &blue.backend, &green.backend);
    let mut wire = Wire::to(&dark.router).await;
    wire.say(&format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
        .await;
    wire.head().await;
    drop(wire);
    until("it is copied all the same", || dark.mirrored().copies == 1).await;
    until("all is over", || {
        (green.backend.in_flight(), blue.backend.in_flight()) == (0, 0)
    })
    .await;
    assert_eq!(dark.mirrored().compared, 0);
}

/// A shadow that hangs while answers are compared: nothing is kept for longer than its time limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn comparing_with_a_hung_shadow_ends_in_time() {
    let blue = json("blue", || "{}".to_owned()).await;
    let green = Instance::scripted("green", |_, mut wire| async move {
        wire.rest().await;
    })
    .await;
    let limits = Limits {
        copies: 4,
        copy_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let dark = Dark::start(limits, comparing(&[]), &blue.backend, &green.backend);
    let mut wire = Wire::to(&dark.router).await;
    while dark.mirrored().errors < 20 {
        assert_eq!(wire.get("/").await, (200, "{}".to_owned()));
        assert!(green.backend.in_flight() <= 4);
    }
    until("all is over", || {
        (green.backend.in_flight(), blue.backend.in_flight()) == (0, 0)
    })
    .await;
    let mirrored = dark.mirrored();
    assert_eq!((mirrored.compared, mirrored.differing), (0, 0));
    assert!(mirrored.dropped > 0);
}
