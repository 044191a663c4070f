use super::*;

const DAY: i64 = 24 * 60 * 60 * 1000;

fn id(number: u32) -> ImageId {
    format!("ami-{number:08x}").parse().unwrap()
}

fn account() -> AccountName {
    "main".parse().unwrap()
}

/// An image made on the day `day`.
fn image(number: u32, name: &str, day: i64) -> Image {
    Image {
        id: id(number),
        name: name.to_owned(),
        state: "available".to_owned(),
        created_at: UnixMs(day * DAY),
        stable_tag: None,
        description: None,
        architecture: "x86_64".to_owned(),
        platform: "linux".to_owned(),
        shared: false,
    }
}

fn stable(number: u32, name: &str, day: i64) -> Image {
    Image {
        stable_tag: Some("yes".to_owned()),
        ..image(number, name, day)
    }
}

fn ranked(images: Vec<Image>, day: i64) -> Vec<Ranked> {
    rank(&account(), images, UnixMs(day * DAY))
}

#[test]
fn a_name_says_kind_and_version() {
    let v = |a, b, c| Some(ImageVersion(a, b, c));
    for (name, kind, version) in [
        ("web-1.2.3", "web", v(1, 2, 3)),
        ("web-base-1.2.3", "web-base", v(1, 2, 3)),
        ("al2023.6-0.0.10", "al2023.6", v(0, 0, 10)),
        ("1-2-3.4.5", "1-2", v(3, 4, 5)),
        ("web", "web", None),
        ("web-1.2", "web-1.2", None),
        ("web-1.2.3.4", "web-1.2.3.4", None),
        ("web-1.2.x", "web-1.2.x", None),
        ("web-1.02.3", "web-1.02.3", None),
        ("web-+1.2.3", "web-+1.2.3", None),
        ("web base-1.2.3", "web base-1.2.3", None),
        ("web_base-1.2.3", "web_base-1.2.3", None),
        ("-1.2.3", "-1.2.3", None),
        (
            "web-1.2.99999999999999999999",
            "web-1.2.99999999999999999999",
            None,
        ),
        ("", "", None),
    ] {
        assert_eq!(kind_and_version(name), (kind, version), "{name}");
    }
}

#[test]
fn an_image_is_stable_by_tag_or_by_description() {
    for (tag, description, expected) in [
        (None, None, false),
        (Some("yes"), None, true),
        (Some("false"), None, true),
        (Some(""), None, false),
        (Some("  "), None, false),
        (None, Some("stable"), true),
        (None, Some("Stable"), true),
        (None, Some("not stable"), false),
        (Some(""), Some("STABLE"), true),
    ] {
        let image = Image {
            stable_tag: tag.map(str::to_owned),
            description: description.map(str::to_owned),
            ..image(1, "web-1.0.0", 0)
        };
        assert_eq!(image.is_stable(), expected, "{tag:?} {description:?}");
    }
}

#[test]
fn an_image_was_released_when_its_tag_says_so_and_else_when_it_was_made() {
    for (tag, expected) in [
        ("1970-01-03T00:00:00Z", 2 * DAY),
        ("1970-01-03T01:00:00+01:00", 2 * DAY),
        ("yes", 5 * DAY),
    ] {
        let image = Image {
            stable_tag: Some(tag.to_owned()),
            ..image(1, "web-1.0.0", 5)
        };
        assert_eq!(image.released_at(), UnixMs(expected), "{tag}");
    }
}

#[test]
fn images_are_in_the_order_of_kinds_and_then_newest_first_by_number() {
    let images = vec![
        image(1, "web-1.9.0", 0),
        image(2, "db-1.0.0", 0),
        image(3, "web-1.10.0", 0),
        image(4, "by hand", 0),
        image(5, "web-1.9.0", 1),
    ];
    let got: Vec<_> = ranked(images, 10)
        .into_iter()
        .map(|it| (it.kind, it.image.id, it.rank, it.is_latest))
        .collect();
    let row = |kind: &str, number, rank| (kind.to_owned(), id(number), rank, rank == 1);
    assert_eq!(
        got,
        [
            row("by hand", 4, 1),
            row("db", 2, 1),
            row("web", 3, 1),
            row("web", 5, 2),
            row("web", 1, 3),
        ]
    );
}

#[test]
fn days_behind_count_from_what_superseded_an_image() {
    let images = vec![
        image(6, "web-6.0.0", 90),
        stable(5, "web-5.0.0", 80),
        image(4, "web-4.0.0", 70),
        stable(3, "web-3.0.0", 60),
        stable(2, "web-2.0.0", 50),
        image(1, "web-1.0.0", 40),
    ];
    let got: Vec<_> = ranked(images, 100)
        .into_iter()
        .map(|it| (it.rank, it.is_latest_stable, it.days_behind))
        .collect();
    assert_eq!(
        got,
        [
            (1, false, 0),
            (2, true, 0),
            (3, false, 20),
            (4, false, 20),
            (5, false, 40),
            (6, false, 50),
        ]
    );
}

#[test]
fn what_cannot_start_machines_supersedes_nothing() {
    let mut pending = stable(2, "web-2.0.0", 1);
    pending.state = "pending".to_owned();
    let got = ranked(vec![pending, stable(1, "web-1.0.0", 0)], 10);
    assert!(!got[0].is_latest_stable);
    assert!(got[1].is_latest_stable);
    assert_eq!(got[1].days_behind, 0);
}

#[test]
fn a_release_in_the_future_is_no_age() {
    let got = ranked(
        vec![stable(2, "web-2.0.0", 20), image(1, "web-1.0.0", 0)],
        10,
    );
    assert_eq!(got[1].days_behind, 0);
}

#[test]
fn a_group_goes_to_the_newest_stable_image_of_its_kind_or_says_why_not() {
    let mut arm = stable(5, "web-0.9.0", 0);
    arm.architecture = "arm64".to_owned();
    let mut failed = image(6, "web-0.8.0", 0);
    failed.state = "failed".to_owned();
    let images = ranked(
        vec![
            image(4, "web-4.0.0", 4),
            stable(3, "web-3.0.0", 3),
            image(2, "web-2.0.0", 2),
            arm,
            failed,
            stable(7, "db-1.0.0", 0),
            image(8, "by hand", 0),
        ],
        10,
    );
    let to = |number| PatchTo::Image(id(number));
    let no_newer = |kind: &str| NotPatched::NoNewer {
        kind: kind.to_owned(),
    };
    let different = |what, from: &str, to: &str| NotPatched::Different {
        what,
        from: from.to_owned(),
        to: to.to_owned(),
    };
    for (from, target, expected) in [
        (2, PatchTo::Latest, Ok((3, false))),
        (3, PatchTo::Latest, Err(NotPatched::Already(id(3)))),
        (4, PatchTo::Latest, Err(no_newer("web"))),
        (8, PatchTo::Latest, Err(no_newer("by hand"))),
        (9, PatchTo::Latest, Err(NotPatched::Unknown(id(9)))),
        (2, to(4), Ok((4, false))),
        (4, to(2), Ok((2, true))),
        (2, to(2), Err(NotPatched::Already(id(2)))),
        (
            2,
            to(9),
            Err(NotPatched::NotSeen {
                account: account(),
                image: id(9),
            }),
        ),
        (2, to(7), Err(different("kind", "web", "db"))),
        (2, to(5), Err(different("architecture", "x86_64", "arm64"))),
        (
            2,
            to(6),
            Err(NotPatched::NotAvailable {
                image: id(6),
                state: "failed".to_owned(),
            }),
        ),
    ] {
        let got = patch_step(&account(), &images, &id(from), &target);
        let got = got.map(|step| (step.to.image.id.clone(), step.is_backwards()));
        let expected = expected.map(|(number, backwards)| (id(number), backwards));
        assert_eq!(got, expected, "{from} {target:?}");
    }
}
