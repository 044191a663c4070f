//! Stories of releases and of locks.

use domain::{
    governance::Lock,
    names::{EnvironmentName, ServiceName, Version},
    release::{Content, Release, Withdrawal},
    time::UnixMs,
};
use store::{StoreError, locks::REASON_BYTES_MAX, releases::Created};

use crate::{
    stories,
    world::{NOW, World, audit, digest, release},
};

stories!(
    a_release_is_created_once,
    a_release_can_be_a_machine_image,
    releases_come_newest_first,
    a_withdrawn_release_stays_withdrawn,
    an_environment_is_locked_and_unlocked,
);

async fn a_release_can_be_a_machine_image(world: World) {
    let world = world.with_catalogue().await;
    let image = |digit: &str| Content::Image {
        image: format!("ami-{}", digit.repeat(8)).parse().unwrap(),
    };
    let create = async |content: Content| {
        let release = Release {
            content,
            size_bytes: 0,
            ..release("cart", "1.0.0")
        };
        let created = world
            .store
            .create_release(&release, audit("release.create"));
        (created.await.unwrap(), release)
    };
    let (created, first) = create(image("1")).await;
    assert_eq!(created, Created::Created);
    let there = create(image("1")).await.0;
    assert_eq!(there, Created::AlreadyThere(first.clone()));
    let package = Content::package(digest("something else"));
    for other in [image("2"), package] {
        assert_eq!(create(other).await.0, Created::Conflict(first.clone()));
    }
    let stored = world.store.release(&first.service, &first.version).await;
    assert_eq!(stored.unwrap(), Some(first));
}

async fn a_release_is_created_once(world: World) {
    let world = world.with_catalogue().await;
    let before = world.audits().await;
    let first = release("cart", "1.0.0");
    let create = async |release: &Release| {
        let created = world.store.create_release(release, audit("release.create"));
        created.await
    };
    assert_eq!(create(&first).await.unwrap(), Created::Created);
    let again = Release {
        created_by: "bob".to_owned(),
        created_at: NOW.plus_ms(5),
        ..first.clone()
    };
    let there = Created::AlreadyThere(first.clone());
    assert_eq!(create(&again).await.unwrap(), there);
    let other = Release {
        content: Content::package(digest("something else")),
        ..first.clone()
    };
    let conflict = Created::Conflict(first.clone());
    assert_eq!(create(&other).await.unwrap(), conflict);
    assert_eq!(
        world.audits().await,
        before + 1,
        "only the first changed anything"
    );

    let stored = world.store.release(&first.service, &first.version).await;
    assert_eq!(stored.unwrap(), Some(first.clone()));
    let error = create(&release("nothing", "1.0.0")).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no service nothing");
    let huge = Release {
        size_bytes: u64::MAX,
        ..release("cart", "2.0.0")
    };
    let error = create(&huge).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
}

async fn releases_come_newest_first(world: World) {
    let world = world.with_catalogue().await;
    // Two of each moment, so that the moment alone does not order them.
    for number in 0..7_i64 {
        let release = Release {
            created_at: UnixMs(NOW.0 + number / 2),
            ..release("cart", &format!("1.{number}.0"))
        };
        let created = world
            .store
            .create_release(&release, audit("release.create"));
        created.await.unwrap();
    }
    // Of the same moment: by bytes, where most languages put `B` after `a`.
    for version in ["a", "B", "0"] {
        let release = Release {
            created_at: UnixMs(NOW.0 + 9),
            ..release("cart", version)
        };
        let created = world
            .store
            .create_release(&release, audit("release.create"));
        created.await.unwrap();
    }
    world.release("till", "9.0.0").await;
    let cart: ServiceName = "cart".parse().unwrap();
    let mut seen: Vec<Version> = Vec::new();
    loop {
        let page = world.store.releases(&cart, seen.last(), 3).await.unwrap();
        if page.is_empty() {
            break;
        }
        seen.extend(page.into_iter().map(|release| release.version));
    }
    let seen: Vec<&str> = seen.iter().map(Version::as_str).collect();
    let expected = [
        "a", "B", "0", "1.6.0", "1.5.0", "1.4.0", "1.3.0", "1.2.0", "1.1.0", "1.0.0",
    ];
    assert_eq!(seen, expected);
    let unknown: Version = "0.0.1".parse().unwrap();
    let page = world
        .store
        .releases(&cart, Some(&unknown), 3)
        .await
        .unwrap();
    assert!(page.is_empty(), "nothing is older than what never was");
}

async fn a_withdrawn_release_stays_withdrawn(world: World) {
    let world = world.with_catalogue().await;
    let release = world.release("cart", "1.0.0").await;
    let withdraw = async |by: &str, version: &str| {
        let withdrawal = Withdrawal {
            at: NOW,
            by: by.to_owned(),
            reason: "it loses orders".to_owned(),
        };
        let version = version.parse().unwrap();
        let audit = audit("release.withdraw");
        let done = world
            .store
            .withdraw(&release.service, &version, &withdrawal, audit);
        done.await
    };
    let first = withdraw("ann", "1.0.0").await.unwrap();
    assert_eq!(first.withdrawn.as_ref().unwrap().by, "ann");
    let before = world.audits().await;
    let second = withdraw("bob", "1.0.0").await.unwrap();
    assert_eq!(second, first, "the first withdrawal stays");
    assert_eq!(world.audits().await, before);
    let stored = world
        .store
        .release(&release.service, &release.version)
        .await;
    assert_eq!(stored.unwrap(), Some(first));
    let error = withdraw("ann", "2.0.0").await.unwrap_err();
    assert_eq!(error.to_string(), "there is no release cart 2.0.0");
}

async fn an_environment_is_locked_and_unlocked(world: World) {
    let world = world.with_catalogue().await;
    let live: EnvironmentName = "live".parse().unwrap();
    let lock = |by: &str, reason: &str| Lock {
        by: by.to_owned(),
        since: NOW,
        reason: reason.to_owned(),
    };
    let take = async |environment: &EnvironmentName, lock: &Lock| {
        let locked = world
            .store
            .lock(environment, lock, audit("environment.lock"));
        locked.await
    };
    let (anns, bobs) = (lock("ann", "sales"), lock("bob", "audit"));
    assert_eq!(world.store.lock_of(&live).await.unwrap(), None);
    assert_eq!(take(&live, &anns).await.unwrap(), None);
    assert_eq!(take(&live, &bobs).await.unwrap(), Some(anns));
    assert_eq!(
        world.store.lock_of(&live).await.unwrap(),
        Some(bobs.clone())
    );

    let before = world.audits().await;
    let nowhere: EnvironmentName = "nowhere".parse().unwrap();
    let error = take(&nowhere, &bobs).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no environment nowhere");
    let long = lock("ann", &"x".repeat(REASON_BYTES_MAX + 1));
    let error = take(&live, &long).await.unwrap_err();
    assert_eq!(error.to_string(), "reason is longer than 4096 bytes");
    assert_eq!(world.audits().await, before);

    let unlock = || world.store.unlock(&live, audit("environment.unlock"));
    assert_eq!(unlock().await.unwrap(), Some(bobs));
    assert_eq!(unlock().await.unwrap(), None);
    assert_eq!(
        world.audits().await,
        before + 1,
        "there was nothing to unlock twice"
    );
}
