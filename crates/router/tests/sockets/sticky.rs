//! Users who stay on their side while the weights shift.

use std::{collections::BTreeMap, time::Duration};

use domain::{catalogue::Stickiness, slice::Slice};
use router::Router;

use crate::support::{Instance, Wire, get, router, table, table_with};

const COOKIE: Stickiness = Stickiness::Cookie { seconds: 600 };

/// Answers with its name, and with a cookie of its own.
async fn with_cookie(name: &'static str) -> Instance {
    Instance::scripted(name, move |_, mut wire| async move {
        while !wire.message().await.0.is_empty() {
            wire.say(&format!(
                "HTTP/1.1 200 OK\r\nset-cookie: own=1; Path=/\r\nset-cookie: more=2\r\n\
                 content-length: {}\r\n\r\n{name}",
                name.len()
            ))
            .await;
        }
    })
    .await
}

/// The cookies that an answer sets.
fn set_cookies(head: &str) -> Vec<&str> {
    head.lines()
        .filter_map(|line| line.strip_prefix("set-cookie: "))
        .collect()
}

struct Sides {
    router: Router,
    blue: Instance,
    green: Instance,
}

impl Sides {
    async fn new() -> Self {
        let (blue, green) = (with_cookie("blue").await, with_cookie("green").await);
        let router = router(&[]);
        Self {
            router,
            blue,
            green,
        }
    }

    fn shift(&self, sticky: &Stickiness, green: u8) {
        self.router.publish(table_with(
            Some(sticky.clone()),
            &[
                (Slice::Blue, 100 - green, &[&self.blue.backend]),
                (Slice::Green, green, &[&self.green.backend]),
            ],
        ));
    }
}

/// Widens step by step: users on the new side stay there, and shares are as asked.
async fn widen(sides: &Sides, sticky: &Stickiness, users: &[String]) {
    let mut wire = Wire::to(&sides.router).await;
    let mut side_of: BTreeMap<&String, String> = BTreeMap::new();
    for percent in [0, 5, 25, 50, 100] {
        sides.shift(sticky, percent);
        let mut greens = 0;
        for user in users {
            let (head, side) = wire.get_with("/", user).await;
            assert_eq!(set_cookies(&head).len(), 2, "nothing is added: {head}");
            let (_, again) = wire.get_with("/", user).await;
            assert_eq!(side, again, "{percent} %");
            let before = side_of.insert(user, side.clone());
            assert!(
                before.as_deref() != Some("green") || side == "green",
                "moved back"
            );
            greens += usize::from(side == "green");
        }
        let expected = users.len() * usize::from(percent) / 100;
        // Of headers, which are hashed, five standard deviations; of points given by us, far less.
        let tolerance = if percent % 100 == 0 { 0 } else { 40 };
        assert!(
            greens.abs_diff(expected) <= tolerance,
            "{percent} %: {greens}"
        );
    }
}

#[tokio::test]
async fn a_cookie_keeps_a_user_on_its_side() {
    let sides = Sides::new().await;
    sides.shift(&COOKIE, 0);
    let mut wire = Wire::to(&sides.router).await;
    let mut users = Vec::new();
    for _ in 0..200 {
        let (head, _) = wire.get_with("/", "cookie: theme=dark\r\n").await;
        let cookies = set_cookies(&head);
        assert_eq!(
            cookies[..2],
            ["own=1; path=/", "more=2"],
            "the instance's come first"
        );
        let (pair, attributes) = cookies[2].split_once("; ").expect("attributes");
        assert_eq!(attributes, "path=/; httponly; samesite=lax; max-age=600");
        users.push(format!("cookie: theme=dark; {pair}\r\n"));
    }
    widen(&sides, &COOKIE, &users).await;
}

#[tokio::test]
async fn a_header_keeps_a_user_on_its_side() {
    let sides = Sides::new().await;
    let sticky = Stickiness::Header {
        name: "X-User".to_owned(),
    };
    let users: Vec<_> = (0..200).map(|user| format!("x-user: {user}\r\n")).collect();
    widen(&sides, &sticky, &users).await;
    sides.shift(&sticky, 50);
    let mut seen = BTreeMap::new();
    let mut wire = Wire::to(&sides.router).await;
    for _ in 0..20 {
        *seen.entry(wire.get("/").await.1).or_insert(0) += 1;
    }
    assert_eq!(
        seen.len(),
        2,
        "who is not recognised is sent by chance: {seen:?}"
    );
}

#[tokio::test]
async fn a_cookie_that_is_no_good_is_replaced_and_none_is_given_without_stickiness() {
    let sides = Sides::new().await;
    sides.shift(&COOKIE, 50);
    let mut wire = Wire::to(&sides.router).await;
    let elsewhere = "cookie: pointsman=0123456789abcdef\r\n";
    for cookie in [
        elsewhere,
        "cookie: pointsman=x\r\n",
        "cookie: pointsman\r\n",
    ] {
        let (head, _) = wire.get_with("/", cookie).await;
        assert_eq!(set_cookies(&head).len(), 3, "{cookie}");
    }
    sides
        .router
        .publish(table(&[(Slice::Blue, 100, &[&sides.blue.backend])]));
    let (head, _) = wire.get_with("/", "").await;
    assert_eq!(set_cookies(&head).len(), 2, "{head}");
    sides.router.publish(table_with(Some(COOKIE), &[]));
    assert_eq!(get(&sides.router, "/").await.0, 503);
}

#[tokio::test]
async fn users_of_a_slice_without_instances_go_to_the_other() {
    let green = Instance::named("green", Duration::ZERO).await;
    let router = router(&[]);
    let drains = Instance::named("drains", Duration::ZERO).await;
    drains.backend.start_draining();
    for blue in [&[][..], &[&drains.backend]] {
        router.publish(table_with(
            Some(COOKIE),
            &[
                (Slice::Blue, 90, blue),
                (Slice::Green, 10, &[&green.backend]),
            ],
        ));
        let mut wire = Wire::to(&router).await;
        for _ in 0..20 {
            assert_eq!(wire.get("/").await, (200, "green".to_owned()));
        }
    }
}
