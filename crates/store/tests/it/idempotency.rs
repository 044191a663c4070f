//! Stories of answers that are kept.

use store::{
    StoreError,
    idempotency::{ANSWER_BYTES_MAX, KEPT_MS, Kept},
};

use crate::{
    stories,
    world::{NOW, World},
};

stories!(
    an_answer_is_kept_for_a_day,
    the_first_answer_stays,
    bad_answers_are_refused,
);

fn kept(body: &str) -> Kept {
    Kept {
        request_hash: "h1".to_owned(),
        status: 202,
        body: body.to_owned(),
    }
}

async fn an_answer_is_kept_for_a_day(world: World) {
    let store = &world.store;
    assert_eq!(store.idempotent("ann", "k", NOW).await.unwrap(), None);
    let first = store.keep("ann", "k", kept("one"), NOW).await.unwrap();
    assert_eq!(first, kept("one"));
    let almost = NOW.plus_ms(KEPT_MS - 1);
    assert_eq!(
        store.idempotent("ann", "k", almost).await.unwrap(),
        Some(kept("one"))
    );
    assert_eq!(store.idempotent("bob", "k", NOW).await.unwrap(), None);
    assert_eq!(store.idempotent("ann", "other", NOW).await.unwrap(), None);
    let expired = NOW.plus_ms(KEPT_MS);
    assert_eq!(store.idempotent("ann", "k", expired).await.unwrap(), None);
    let second = store.keep("ann", "k", kept("two"), expired).await.unwrap();
    assert_eq!(second, kept("two"), "an expired key can be used anew");

    // What expired goes, bit by bit.
    for number in 0..50 {
        let key = format!("old-{number}");
        store.keep("ann", &key, kept("x"), NOW).await.unwrap();
    }
    for number in 0..3 {
        let key = format!("new-{number}");
        store.keep("ann", &key, kept("x"), expired).await.unwrap();
    }
    let left = world
        .tamper("update idempotency set status = 202")
        .await
        .unwrap();
    assert_eq!(left, 4, "k and the three new ones");
}

async fn the_first_answer_stays(world: World) {
    let second = world.second().await;
    let tasks: Vec<_> = (0..16)
        .map(|number| {
            let store = if number % 2 == 0 {
                &world.store
            } else {
                &second
            };
            let store = store.clone();
            tokio::spawn(async move {
                let answer = kept(&format!("answer {number}"));
                store.keep("ann", "k", answer, NOW).await.unwrap()
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    let stored = world
        .store
        .idempotent("ann", "k", NOW)
        .await
        .unwrap()
        .unwrap();
    assert!(
        answers.iter().all(|answer| *answer == stored),
        "{answers:?}"
    );
}

async fn bad_answers_are_refused(world: World) {
    let large = kept(&"x".repeat(ANSWER_BYTES_MAX + 1));
    let error = world.store.keep("ann", "k", large, NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
    for (key, body) in [("", "x"), ("k", "a\0b"), (&*"k".repeat(256), "x")] {
        let error = world
            .store
            .keep("ann", key, kept(body), NOW)
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
    }
}
