//! Testers with a pass.

use std::{sync::Arc, time::Duration};

use domain::{slice::Slice, time::UnixMs};
use router::{PassCheck, Router, RouterConfig, pass::PassKey};

use crate::support::{Instance, Wire, get, status, table};

fn key() -> PassKey {
    PassKey::from_bytes([7; 32])
}

/// The router's time of day in these tests: it stands still.
const NOW: UnixMs = UnixMs(1_764_000_000_000);

fn in_seconds(seconds: u64) -> UnixMs {
    NOW.plus_ms(seconds * 1000)
}

fn pass(place: &str, slice: Slice) -> String {
    key().sign(place, slice, in_seconds(60))
}

/// Answers with its name and the head that it got.
async fn echo(name: &'static str) -> Instance {
    Instance::scripted(name, move |_, mut wire| async move {
        loop {
            let (head, _) = wire.message().await;
            if head.is_empty() {
                return;
            }
            let body = format!("{name} got {head}");
            let len = body.len();
            wire.say(&format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {len}\r\n\r\n{body}"
            ))
            .await;
        }
    })
    .await
}

fn start(key: Option<PassKey>) -> Router {
    let config = RouterConfig {
        passes: key.map(|key| PassCheck { key, clock: || NOW }),
        ..RouterConfig::default()
    };
    Router::start(config).expect("a free port")
}

#[tokio::test]
async fn a_pass_lets_into_a_slice_that_users_do_not_see() {
    let (blue, green) = (echo("blue").await, echo("green").await);
    let router = start(Some(key()));
    router.publish(table(&[
        (Slice::Blue, 100, &[&blue.backend]),
        (Slice::Green, 0, &[&green.backend]),
    ]));
    let token = pass("shop.staging", Slice::Green);
    let mut wire = Wire::to(&router).await;
    for fields in [
        format!("X-Pointsman-Pass: {token}\r\n"),
        format!("cookie: a=1; pointsman-pass={token}; b=2\r\n"),
        format!("x-pointsman-pass: {token}\r\nconnection: x-pointsman-pass\r\n"),
    ] {
        let (head, body) = wire.get_with("/", &fields).await;
        assert!(body.starts_with("green got "), "{body}");
        assert!(head.contains("x-pointsman-slice: green\r\n"), "{head}");
        assert!(
            !body.contains("pass"),
            "the instance does not see it: {body}"
        );
        assert!(
            !fields.contains("a=1") || body.contains("cookie: a=1; b=2\r\n"),
            "{body}"
        );
    }
    let counts = green.backend.counters().read();
    assert_eq!(
        (counts.by_pass, counts.requests()),
        (3, 0),
        "no traffic of users"
    );
    assert!(router.ignored_passes().values().all(|n| *n == 0));
}

#[tokio::test]
async fn a_pass_that_is_no_good_is_as_none_and_is_counted() {
    let (blue, green) = (echo("blue").await, echo("green").await);
    let slices = [
        (Slice::Blue, 100, &[&blue.backend][..]),
        (Slice::Green, 0, &[&green.backend]),
    ];
    let router = start(Some(key()));
    router.publish(table(&slices));
    let good = pass("shop.staging", Slice::Green);
    let expired = key().sign("shop.staging", Slice::Green, in_seconds(0));
    let forged = PassKey::from_bytes([8; 32]).sign("shop.staging", Slice::Green, in_seconds(60));
    let mut wire = Wire::to(&router).await;
    for token in [&expired, &forged, &pass("cart.live", Slice::Green), "x", ""] {
        let fields = format!("x-pointsman-pass: {token}\r\n");
        let (head, body) = wire.get_with("/", &fields).await;
        assert!(
            body.starts_with("blue got ") && !body.contains("pass"),
            "{body}"
        );
        assert!(!head.contains("x-pointsman-slice"), "{head}");
    }
    let ignored = router.ignored_passes();
    assert_eq!(
        (ignored["expired"], ignored["invalid"], ignored["elsewhere"]),
        (1, 3, 1)
    );
    let counts = blue.backend.counters().read();
    assert_eq!(
        (counts.by_pass, counts.requests()),
        (0, 5),
        "they are users like others"
    );

    let keyless = start(None);
    keyless.publish(table(&slices));
    let mut wire = Wire::to(&keyless).await;
    let (_, body) = wire
        .get_with("/", &format!("x-pointsman-pass: {good}\r\n"))
        .await;
    assert!(
        body.starts_with("blue got ") && !body.contains("pass"),
        "{body}"
    );
}

#[tokio::test]
async fn a_pass_for_an_empty_slice_is_as_none_and_for_a_broken_one_it_is_not() {
    let blue = Instance::named("blue", Duration::ZERO).await;
    let router = start(Some(key()));
    let fields = format!(
        "x-pointsman-pass: {}\r\n",
        pass("shop.staging", Slice::Green)
    );
    let gone = crate::support::nobody("instance-gone").await;
    for (green, code) in [(&[][..], 200), (&[&gone], 502)] {
        let green: Vec<&Arc<_>> = green.to_vec();
        router.publish(table(&[
            (Slice::Blue, 100, &[&blue.backend]),
            (Slice::Green, 0, &green),
        ]));
        let (head, _) = Wire::to(&router).await.get_with("/", &fields).await;
        assert_eq!(status(&head), code);
        assert!(!head.contains("x-pointsman-slice"), "{head}");
    }
    assert_eq!(get(&router, "/").await, (200, "blue".to_owned()));
    assert_eq!(
        gone.counters().read().requests(),
        0,
        "a tester's errors are no user's"
    );
}
