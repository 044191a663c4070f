//! Dark traffic: what is copied, and that no user notices.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use domain::{
    slice::Slice,
    time::UnixMs,
    traffic::{Mirror, Mirrored},
};
use router::{Backend, Limits, Mirroring, Router, SHADOW, Table};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::support::{HOST, Instance, LONG, Wire, ask, nobody, router_with, status, table, until};

/// Copies of `percent` % of blue's requests go to green.
pub fn mirror(percent: u8) -> Mirror {
    Mirror {
        from: Slice::Blue,
        to: Slice::Green,
        percent,
        methods: Vec::new(),
        compare: None,
    }
}

/// Users go to `blue`, copies to `green`.
pub fn mirrored_table(
    blue: &Arc<Backend>,
    green: &Arc<Backend>,
    mirroring: Option<&Arc<Mirroring>>,
) -> Table {
    let mut table = table(&[(Slice::Blue, 100, &[blue]), (Slice::Green, 0, &[green])]);
    for route in table.hosts.values_mut() {
        route.mirror = mirroring.cloned();
    }
    table
}

/// A router that works by `mirror`.
pub struct Dark {
    pub router: Router,
    pub mirroring: Arc<Mirroring>,
}

impl Dark {
    pub fn start(
        limits: Limits,
        mirror: Mirror,
        blue: &Arc<Backend>,
        green: &Arc<Backend>,
    ) -> Self {
        let router = router_with(limits, &[]);
        let mirroring = Mirroring::new(mirror, UnixMs(1));
        router.publish(mirrored_table(blue, green, Some(&mirroring)));
        Self { router, mirroring }
    }

    pub fn mirrored(&self) -> Mirrored {
        self.mirroring.mirrored()
    }
}

/// An instance that shows the heads and bodies it gets, and answers with the head.
pub async fn showing(name: &str) -> (Instance, UnboundedReceiver<(String, String)>) {
    let (seen, shown) = unbounded_channel();
    let instance = Instance::scripted(name, move |_, mut wire| {
        let seen = seen.clone();
        async move {
            loop {
                let head = wire.head().await;
                if head.is_empty() {
                    return;
                }
                if head.contains("expect: 100-continue\r\n") {
                    wire.say("HTTP/1.1 100 Continue\r\n\r\n").await;
                }
                let len = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "));
                let len = len.map_or(0, |len| len.parse().expect("a number"));
                let body = wire.exactly(len).await;
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", head.len());
                let answer = match head.starts_with("head ") {
                    true => answer,
                    false => answer + &head,
                };
                let _ = seen.send((head, body));
                wire.say(&answer).await;
            }
        }
    })
    .await;
    (instance, shown)
}

async fn next(shown: &mut UnboundedReceiver<(String, String)>) -> (String, String) {
    let copy = tokio::time::timeout(LONG, shown.recv()).await;
    copy.expect("a copy in time").expect("an instance")
}

#[tokio::test]
async fn about_the_right_share_of_safe_requests_is_copied() {
    let blue = Instance::named("blue", Duration::ZERO).await;
    let (green, mut shown) = showing("green").await;
    let limits = Limits::default();
    let dark = Dark::start(limits, mirror(25), &blue.backend, &green.backend);
    let mut wire = Wire::to(&dark.router).await;
    for _ in 0..500 {
        assert_eq!(wire.get("/").await, (200, "blue".to_owned()));
        wire.say(&format!("HEAD / HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
            .await;
        assert_eq!(status(&wire.head().await), 200);
        // A named instance answers HEAD with a body too; the router takes it off the connection.
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            wire.say(&format!("{method} / HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
                .await;
            assert_eq!(status(&wire.message().await.0), 200);
        }
    }
    until("every copy has ended", || green.backend.in_flight() == 0).await;
    let mirrored = dark.mirrored();
    // Five standard deviations of 1,000 throws are 68.
    assert!(mirrored.copies.abs_diff(250) < 68, "{mirrored:?}");
    assert_eq!((mirrored.dropped, mirrored.errors), (0, 0));
    assert_eq!((mirrored.epoch, mirrored.compared), (1, 0));
    for _ in 0..mirrored.copies {
        let (head, _) = next(&mut shown).await;
        assert!(
            head.starts_with("get / ") || head.starts_with("head / "),
            "{head}"
        );
    }
    assert!(shown.is_empty(), "what is counted is what was sent");
}

#[tokio::test]
async fn a_copy_is_the_request_with_a_mark() {
    let (blue, mut users) = showing("blue").await;
    let (green, mut copies) = showing("green").await;
    let limits = Limits::default();
    let dark = Dark::start(limits, mirror(100), &blue.backend, &green.backend);
    let request = format!(
        "GET /a?b=c HTTP/1.1\r\nHost: {HOST}:7000\r\nCookie: a=1\r\nAccept-Encoding: gzip\r\n\
         Authorization: Bearer x\r\nX-Forwarded-For: 9.9.9.9\r\nConnection: close\r\n\r\n"
    );
    ask(&dark.router, &request).await;
    let (user, copy) = (next(&mut users).await.0, next(&mut copies).await.0);
    let marked = user.replace("\r\n\r\n", &format!("\r\n{SHADOW}: 1\r\n\r\n"));
    assert_eq!(copy, marked);
    assert!(user.contains("x-forwarded-for: 9.9.9.9, 127.0.0.1\r\n"));
}

/// The mark says to a service that it may skip what must not happen twice: no user may say that.
#[tokio::test]
async fn users_cannot_mark_their_requests_and_upgrades_are_not_copied() {
    let (blue, mut users) = showing("blue").await;
    let (green, copies) = showing("green").await;
    let limits = Limits::default();
    let dark = Dark::start(limits, mirror(100), &blue.backend, &green.backend);
    let mut wire = Wire::to(&dark.router).await;
    let upgrade = "connection: upgrade\r\nupgrade: websocket";
    for fields in [
        "x-pointsman-shadow: 1",
        "X-Pointsman-Shadow: anything",
        "X_Pointsman_Shadow: 1",
        upgrade,
    ] {
        let before = dark.mirrored().copies;
        wire.say(&format!(
            "GET / HTTP/1.1\r\nhost: {HOST}\r\n{fields}\r\n\r\n"
        ))
        .await;
        assert_eq!(status(&wire.message().await.0), 200);
        let (head, _) = next(&mut users).await;
        assert!(!head.contains("shadow"), "{head}");
        let copied = u64::from(fields != upgrade);
        until("what is no upgrade is copied", || {
            dark.mirrored().copies == before + copied
        })
        .await;
    }
    let marked = dark.mirrored().copies;
    wire.get("/copied").await;
    until("one copy", || dark.mirrored().copies == marked + 1).await;
    until("it has ended", || green.backend.in_flight() == 0).await;
    assert_eq!(copies.len(), 4, "all but the upgrade");
}

#[tokio::test]
async fn bodies_are_copied_whole_where_somebody_opted_in() {
    let (blue, _users) = showing("blue").await;
    let (green, mut copies) = showing("green").await;
    let mirror = Mirror {
        methods: vec!["POST".to_owned()],
        ..mirror(100)
    };
    let limits = Limits::default();
    let dark = Dark::start(limits, mirror, &blue.backend, &green.backend);
    let mut wire = Wire::to(&dark.router).await;
    let most = 64 * 1024;
    for (method, len, fields, copied) in [
        ("POST", 0, "", true),
        ("POST", 5, "", true),
        ("POST", 5, "expect: 100-continue\r\n", true),
        ("POST", most, "", true),
        ("POST", most + 1, "", false),
        ("PUT", 5, "", false),
        ("GET", 5, "", false),
    ] {
        let body: String = ('a'..='z').cycle().take(len).collect();
        wire.say(&format!(
            "{method} / HTTP/1.1\r\nhost: {HOST}\r\n{fields}content-length: {len}\r\n\r\n"
        ))
        .await;
        if !fields.is_empty() {
            assert_eq!(status(&wire.head().await), 100);
        }
        let (first, rest) = body.split_at(len / 3);
        wire.say(first).await;
        tokio::task::yield_now().await;
        wire.say(rest).await;
        assert_eq!(status(&wire.message().await.0), 200, "{method} {len}");
        if copied {
            let (head, seen) = next(&mut copies).await;
            assert!(head.contains("x-pointsman-shadow: 1\r\n"), "{head}");
            assert!(!head.contains("expect"), "{head}");
            assert!(seen == body, "{len}: {} bytes arrived", seen.len());
        }
    }
    wire.get("/last").await;
    let (head, _) = next(&mut copies).await;
    assert!(head.starts_with("get /last "), "nothing else was: {head}");
    assert_eq!(dark.mirrored().dropped, 0);
}

/// Users' requests until `enough` says so; gives how many there were. Every answer must be right.
async fn ask_until(router: &Router, enough: impl Fn() -> bool) -> usize {
    let mut wire = Wire::to(router).await;
    let mut asked = 0;
    let begun = Instant::now();
    while !enough() {
        assert_eq!(wire.get("/").await, (200, "blue".to_owned()));
        asked += 1;
        assert!(begun.elapsed() < LONG, "waited in vain");
    }
    asked
}

/// The heart of the matter: users get their answers as if there was no mirror, what is under way is
/// bounded, and the rest is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_shadow_costs_no_user_anything() {
    let blue = Instance::named("blue", Duration::ZERO).await;
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    let green = Instance::scripted("green", move |_, mut wire| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            wire.rest().await;
        }
    })
    .await;
    let limits = Limits {
        copies: 8,
        copy_timeout: Duration::from_secs(3600),
        ..Limits::default()
    };
    let dark = Dark::start(limits, mirror(100), &blue.backend, &green.backend);
    let begun = Instant::now();
    let asked = ask_until(&dark.router, || dark.mirrored().dropped >= 2_000).await;
    let took = begun.elapsed() / u32::try_from(asked).expect("not that many");
    assert!(took < Duration::from_millis(5), "{took:?} each");
    until("all eight have come", || opened.load(Ordering::SeqCst) == 8).await;
    let mirrored = dark.mirrored();
    assert_eq!((mirrored.copies, mirrored.errors), (8, 0));
    assert_eq!(green.backend.in_flight(), 8);
    assert_eq!(
        mirrored.dropped + 8,
        asked as u64,
        "each is copied or counted"
    );
    until("users are done", || blue.backend.in_flight() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_failing_and_missing_shadows_are_counted_and_end() {
    let blue = Instance::named("blue", Duration::ZERO).await;
    let limits = Limits {
        copies: 4,
        copy_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let slow = Instance::named("green", Duration::from_secs(60)).await;
    let says = |text: &'static str| {
        Instance::scripted("green", move |_, mut wire| async move {
            if !wire.message().await.0.is_empty() {
                wire.say(text).await;
            }
        })
    };
    let failing = says("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n").await;
    let dead = says("").await;
    let faulty = says("SSH-2.0-OpenSSH\r\n").await;
    let truncated = says("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello").await;
    let switching = says("HTTP/1.1 101 Go\r\nupgrade: websocket\r\n\r\n").await;
    let endless = Instance::scripted("green", |_, mut wire| async move {
        wire.message().await;
        wire.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        wire.rest().await;
    })
    .await;
    let refusing = nobody("green").await;
    for (what, green) in [
        ("slow", &slow.backend),
        ("failing", &failing.backend),
        ("dead", &dead.backend),
        ("faulty", &faulty.backend),
        ("truncated", &truncated.backend),
        ("switching", &switching.backend),
        ("endless", &endless.backend),
        ("refusing", &refusing),
    ] {
        let dark = Dark::start(limits, mirror(100), &blue.backend, green);
        ask_until(&dark.router, || dark.mirrored().errors >= 20).await;
        until(what, || green.in_flight() == 0).await;
        let mirrored = dark.mirrored();
        assert_eq!(mirrored.errors, mirrored.copies, "{what}: {mirrored:?}");
    }
    let (dark, nothing) = (
        Dark::start(limits, mirror(100), &blue.backend, &refusing),
        table(&[(Slice::Blue, 100, &[&blue.backend]), (Slice::Green, 0, &[])]),
    );
    let mut empty = nothing;
    for route in empty.hosts.values_mut() {
        route.mirror = Some(Arc::clone(&dark.mirroring));
    }
    dark.router.publish(empty);
    ask_until(&dark.router, || dark.mirrored().errors >= 20).await;
}

/// The copy is sent again, so that a keep-alive that ran out is no error of the release.
#[tokio::test]
async fn an_idle_connection_that_the_shadow_closed_is_no_error() {
    let blue = Instance::named("blue", Duration::ZERO).await;
    let green = Instance::scripted("green", |_, mut wire| async move {
        // One answer, then the connection is closed without a word.
        wire.message().await;
        wire.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await;
        wire.head().await;
    })
    .await;
    let limits = Limits::default();
    let dark = Dark::start(limits, mirror(100), &blue.backend, &green.backend);
    let mut wire = Wire::to(&dark.router).await;
    for sent in 1..=20 {
        assert_eq!(wire.get("/").await.0, 200);
        until("the copy has ended", || {
            dark.mirrored().copies == sent && green.backend.in_flight() == 0
        })
        .await;
    }
    assert_eq!(dark.mirrored().errors, 0);
}

#[tokio::test]
async fn a_mirror_that_is_switched_off_sends_nothing_more() {
    let blue = Instance::named("blue", Duration::ZERO).await;
    let (green, mut copies) = showing("green").await;
    let limits = Limits::default();
    let dark = Dark::start(limits, mirror(100), &blue.backend, &green.backend);
    let mut wire = Wire::to(&dark.router).await;
    wire.get("/on").await;
    assert!(next(&mut copies).await.0.starts_with("get /on "));
    dark.router
        .publish(mirrored_table(&blue.backend, &green.backend, None));
    for _ in 0..200 {
        assert_eq!(wire.get("/off").await.0, 200);
    }
    // Another mirror starts from zero; the first thing it shows is its settings.
    let again = Mirroring::new(mirror(100), UnixMs(2));
    let table = mirrored_table(&blue.backend, &green.backend, Some(&again));
    dark.router.publish(table);
    wire.get("/again").await;
    assert!(next(&mut copies).await.0.starts_with("get /again "));
    assert_eq!(dark.mirrored().copies, 1);
    assert_eq!((again.mirrored().epoch, again.mirrored().copies), (2, 1));
}

#[tokio::test]
async fn an_instance_that_drains_finishes_its_copies() {
    let blue = Instance::named("blue", Duration::ZERO).await;
    let green = Instance::named("green", Duration::from_millis(300)).await;
    let limits = Limits::default();
    let dark = Dark::start(limits, mirror(100), &blue.backend, &green.backend);
    let mut wire = Wire::to(&dark.router).await;
    wire.get("/").await;
    until("a copy is in flight", || green.backend.in_flight() == 1).await;
    green.backend.start_draining();
    dark.router
        .publish(mirrored_table(&blue.backend, &blue.backend, None));
    assert_eq!(green.backend.in_flight(), 1, "a drain cuts no copy off");
    until("the copy has ended", || green.backend.in_flight() == 0).await;
    let mirrored = dark.mirrored();
    assert_eq!((mirrored.copies, mirrored.errors), (1, 0));
}
