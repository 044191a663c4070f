//! Stories of many at once: nobody hears "database is locked", and readers do not wait.

use std::{sync::Arc, time::Instant};

use domain::catalogue::Kind;
use engine::ports::{Journal, Saved};
use store::{Store, StoreError};
use tokio::sync::Barrier;

use crate::{
    stories,
    world::{NOW, World, audit, event, team, turned, wish},
};

stories!(
    many_writers_and_readers_get_along,
    many_replicas_open_a_fresh_database_at_once,
    readers_do_not_wait_for_a_writer,
    what_is_dropped_half_way_changes_nothing,
);

async fn many_writers_and_readers_get_along(world: World) {
    let world = world.with_catalogue().await;
    world.release("cart", "1.0.0").await;
    let deployment = world
        .begin(&wish("cart", "live", "1.0.0"), 0)
        .await
        .unwrap();
    let second = world.second().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..24 {
        let store = if number % 2 == 0 {
            &world.store
        } else {
            &second
        };
        let (store, id) = (store.clone(), deployment.id.clone());
        tasks.spawn(async move {
            for turn in 0..10 {
                let (changes, apply) = (
                    [team(&format!("t-{number}-{turn}"))],
                    [audit("catalogue.apply")],
                );
                store.put_and_delete(&changes, &apply).await.unwrap();
                store
                    .claim(&format!("e{number}"), &[], NOW, 1)
                    .await
                    .unwrap();
                let read = store.deployment(&id).await.unwrap().unwrap();
                store
                    .save(&turned(&read), &[event("a turn")])
                    .await
                    .unwrap();
                store
                    .facts(&wish("cart", "live", "1.0.0"), NOW)
                    .await
                    .unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    // Every save that was stored counts once, in the version and in the events.
    let read = world
        .store
        .deployment(&deployment.id)
        .await
        .unwrap()
        .unwrap();
    let events = world.store.events(&read.id, 0, 500).await.unwrap();
    assert_eq!(u64::try_from(events.len()).unwrap(), read.version);
    assert!(read.version > 10, "some got through: {}", read.version);
    let good = world.store.verify().await.unwrap();
    assert_eq!(good.first_broken, None);
    assert_eq!(good.checked, 240 + 3);
}

async fn many_replicas_open_a_fresh_database_at_once(world: World) {
    // A database beside the one of the story, which nobody has opened yet.
    let url = if world.is_sqlite() {
        world.url.replace("story", "other")
    } else {
        crate::postgres::fresh_database().await
    };
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { Store::open(&url).await.unwrap() })
        })
        .collect();
    for task in tasks {
        let store = task.await.unwrap();
        store.ping(NOW).await.unwrap();
        store.close().await;
        let error = store.verify().await.unwrap_err();
        let closed = matches!(
            &error,
            StoreError::Database {
                source: sqlx::Error::PoolClosed,
                ..
            }
        );
        assert!(closed, "it is closed: {error:?}");
    }
}

async fn readers_do_not_wait_for_a_writer(world: World) {
    let world = world.with_catalogue().await;
    // Somebody else, such as a backup or a person, holds a write transaction open.
    let pool = sqlx::any::AnyPoolOptions::new()
        .connect(&world.url)
        .await
        .unwrap();
    let begin = if world.is_sqlite() {
        "begin immediate"
    } else {
        "begin"
    };
    let mut holder = pool.begin_with(begin).await.unwrap();
    sqlx::raw_sql("update catalogue set updated_by = 'eve'")
        .execute(&mut *holder)
        .await
        .unwrap();
    let started = Instant::now();
    let facts = world
        .store
        .facts(&wish("cart", "live", "1.0.0"), NOW)
        .await
        .unwrap();
    assert!(facts.service.is_some());
    let entry = world
        .store
        .entry(Kind::Team, "shop")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(entry.updated_by, "ann", "what is not committed is not seen");
    assert!(
        started.elapsed().as_secs() < 5,
        "readers waited for the writer"
    );
    holder.rollback().await.unwrap();
}

/// A request that is given up, at whatever moment, leaves no half of it and blocks nobody.
async fn what_is_dropped_half_way_changes_nothing(world: World) {
    let world = world.with_catalogue().await;
    world.release("cart", "1.0.0").await;
    let first = world
        .begin(&wish("cart", "live", "1.0.0"), 0)
        .await
        .unwrap();
    world.store.claim("one", &[], NOW, 1).await.unwrap();
    // A commit that was on its way may still arrive. Prolonging the lease waits for it.
    let settled = async || {
        let renewed = world.store.renew("one", &first.id, NOW).await;
        renewed.unwrap().unwrap()
    };
    let start = Arc::new(Barrier::new(2));
    let mut stored = 0;
    for number in 0..40_u64 {
        let (store, barrier, read) = (world.store.clone(), Arc::clone(&start), settled().await);
        let task = tokio::spawn(async move {
            barrier.wait().await;
            let events = [event("one"), event("two"), event("three")];
            store.save(&turned(&read), &events).await.unwrap()
        });
        start.wait().await;
        for _ in 0..number * 3 {
            tokio::task::yield_now().await;
        }
        task.abort();
        stored += u64::from(task.await.is_ok_and(|saved| saved == Saved::Stored));
        let read = settled().await;
        let events = world.store.events(&first.id, 0, 500).await.unwrap();
        let expected = 1 + 3 * (read.version - 1);
        assert_eq!(
            u64::try_from(events.len()).unwrap(),
            expected,
            "all three or none"
        );
        assert!(read.version > stored, "what was answered is there");
    }
    let saved = world.store.save(&turned(&settled().await), &[]).await;
    assert_eq!(saved.unwrap(), Saved::Stored);
    let apply = [audit("catalogue.apply")];
    world
        .store
        .put_and_delete(&[team("last")], &apply)
        .await
        .unwrap();
}
