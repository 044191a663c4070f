//! Stories of the catalogue.

use domain::{
    access::Visible, catalogue::Kind, deployment::Outcome, governance::Lock,
    names::EnvironmentName, release::Withdrawal,
};
use engine::ports::Journal;
use serde_json::json;
use store::{
    Referrer, StoreError,
    catalogue::{BODY_BYTES_MAX, Change, Filter},
};

use crate::{
    stories,
    world::{
        NOW, World, audit, delete, ended, environment, put, server_group, service, team, wish,
    },
};

stories!(
    entries_come_back_in_the_order_of_their_bytes,
    entries_are_found_by_what_they_refer_to,
    a_version_is_compared_and_never_comes_back,
    a_batch_is_made_in_full_or_not_at_all,
    what_is_needed_cannot_be_deleted,
    a_place_in_use_cannot_be_deleted,
    nonsense_is_refused,
);

async fn entries_come_back_in_the_order_of_their_bytes(world: World) {
    let names = ["ab", "a-c", "a1", "a", "b", "aa"];
    let changes: Vec<Change> = names.iter().map(|name| team(name)).collect();
    let store = &world.store;
    let apply = audit("catalogue.apply");
    store.put_and_delete(&changes, &[apply]).await.unwrap();

    let mut seen = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let filter = Filter::default();
        let all = Visible::everything();
        let page = store.entries((Kind::Team, &filter), &all, after.as_deref(), 2);
        let page = page.await.unwrap();
        assert!(page.len() <= 2, "a page has two entries at most");
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        seen.extend(page.into_iter().map(|entry| entry.name));
    }
    assert_eq!(seen, ["a", "a-c", "a1", "aa", "ab", "b"]);

    let entry = store.entry(Kind::Team, "a-c").await.unwrap().unwrap();
    assert_eq!(entry.body, json!({"name": "a-c"}));
    assert_eq!((entry.updated_at, entry.updated_by.as_str()), (NOW, "ann"));
    assert_eq!(store.entry(Kind::Service, "a-c").await.unwrap(), None);
}

async fn entries_are_found_by_what_they_refer_to(world: World) {
    let world = world.with_catalogue().await;
    let find = async |kind, to: (Kind, &str), after: Option<&str>| {
        let filter = Filter {
            refers_to: Some((to.0, to.1.to_owned())),
        };
        let all = Visible::everything();
        let found = world
            .store
            .entries((kind, &filter), &all, after, 10)
            .await
            .unwrap();
        found.into_iter().map(|e| e.name).collect::<Vec<_>>()
    };
    let shop = (Kind::Team, "shop");
    assert_eq!(find(Kind::Service, shop, None).await, ["cart", "till"]);
    assert_eq!(find(Kind::Service, shop, Some("cart")).await, ["till"]);
    let live = (Kind::Environment, "live");
    let groups = find(Kind::ServerGroup, live, None).await;
    assert_eq!(groups, ["cart.live", "till.live"]);
    let other = (Kind::Team, "other");
    assert!(find(Kind::Service, other, None).await.is_empty());
}

fn expecting(change: Change, version: i64) -> Change {
    let expected_version = Some(version);
    match change {
        Change::Put {
            kind,
            name,
            body,
            references,
            instances,
            ..
        } => Change::Put {
            kind,
            name,
            body,
            references,
            instances,
            expected_version,
        },
        Change::Delete { kind, name, .. } => Change::Delete {
            kind,
            name,
            expected_version,
        },
    }
}

async fn a_version_is_compared_and_never_comes_back(world: World) {
    let change = async |change: Change| {
        let apply = [audit("catalogue.apply")];
        world.store.put_and_delete(&[change], &apply).await
    };
    let first = change(expecting(team("shop"), 0)).await.unwrap()[0];
    let error = change(expecting(team("shop"), 0)).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::VersionMismatch { expected: 0, found: Some(v), .. } if *v == first),
        "{error}"
    );
    let second = change(expecting(team("shop"), first)).await.unwrap()[0];
    assert!(second > first);
    for stale in [
        expecting(team("shop"), first),
        expecting(delete(Kind::Team, "shop"), first),
    ] {
        let error = change(stale).await.unwrap_err();
        assert!(
            matches!(error, StoreError::VersionMismatch { .. }),
            "{error}"
        );
    }
    let gone = change(expecting(delete(Kind::Team, "shop"), second)).await;
    assert_eq!(gone.unwrap(), [0]);
    let third = change(team("shop")).await.unwrap()[0];
    assert!(third > second, "a version of a deleted entry comes back");
    let error = change(expecting(team("gone"), third)).await.unwrap_err();
    assert!(
        matches!(error, StoreError::VersionMismatch { found: None, .. }),
        "{error}"
    );
    let error = change(delete(Kind::Team, "gone")).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no team gone");
}

async fn a_batch_is_made_in_full_or_not_at_all(world: World) {
    let apply = [audit("catalogue.apply")];
    let bad = [team("shop"), service("cart", "shop", "nowhere")];
    let error = world.store.put_and_delete(&bad, &apply).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "service cart refers to the environment type nowhere, which is not in the catalogue"
    );
    assert_eq!(world.store.entry(Kind::Team, "shop").await.unwrap(), None);
    assert_eq!(
        world.audits().await,
        0,
        "nothing happened, nothing is logged"
    );

    let world = world.with_catalogue().await;
    let half = [team("extra"), delete(Kind::Team, "shop")];
    let error = world.store.put_and_delete(&half, &apply).await.unwrap_err();
    assert!(matches!(error, StoreError::Referenced { .. }), "{error}");
    assert_eq!(world.store.entry(Kind::Team, "extra").await.unwrap(), None);

    // Everything at once goes, in whatever order.
    let names = [
        (Kind::Team, "shop"),
        (Kind::Service, "cart"),
        (Kind::Service, "till"),
        (Kind::EnvironmentType, "production"),
        (Kind::Environment, "live"),
        (Kind::Environment, "test"),
        (Kind::ServerGroup, "cart.live"),
        (Kind::ServerGroup, "cart.test"),
        (Kind::ServerGroup, "till.live"),
        (Kind::ServerGroup, "till.test"),
    ];
    let all: Vec<Change> = names.map(|(kind, name)| delete(kind, name)).into();
    world.store.put_and_delete(&all, &apply).await.unwrap();
    assert_eq!(world.store.entry(Kind::Team, "shop").await.unwrap(), None);
}

async fn what_is_needed_cannot_be_deleted(world: World) {
    let world = world.with_catalogue().await;
    let try_delete = async |kind, name| {
        let apply = [audit("catalogue.delete")];
        let changes = [delete(kind, name)];
        world.store.put_and_delete(&changes, &apply).await
    };
    let error = try_delete(Kind::Team, "shop").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "team shop is still needed by service cart, service till"
    );
    let error = try_delete(Kind::EnvironmentType, "production").await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "environment type production is still needed by environment live, environment test, \
         service cart, service till"
    );

    // An entry that is replaced refers to what it refers to now.
    let apply = [audit("catalogue.apply")];
    let moved = [
        team("other"),
        service("cart", "other", "production"),
        service("till", "other", "production"),
        delete(Kind::Team, "shop"),
    ];
    world.store.put_and_delete(&moved, &apply).await.unwrap();
}

async fn a_place_in_use_cannot_be_deleted(world: World) {
    let world = world.with_catalogue().await;
    let who_needs = async |kind, name: &str| {
        let apply = [audit("catalogue.delete")];
        let changes = [delete(kind, name)];
        match world.store.put_and_delete(&changes, &apply).await {
            Err(StoreError::Referenced { by, .. }) => by,
            other => panic!("{name} went: {other:?}"),
        }
    };
    world.release("cart", "1.0.0").await;
    let deployment = world
        .begin(&wish("cart", "live", "1.0.0"), 0)
        .await
        .unwrap();
    let running = Referrer::Deployment {
        id: deployment.id.clone(),
    };
    assert_eq!(
        who_needs(Kind::ServerGroup, "cart.live").await,
        std::slice::from_ref(&running)
    );
    assert!(
        who_needs(Kind::Environment, "live")
            .await
            .contains(&running)
    );
    assert!(who_needs(Kind::Service, "cart").await.contains(&running));

    let done = ended(&deployment, Outcome::Succeeded);
    world.store.save(&done, &[]).await.unwrap();
    let live = Referrer::Live {
        place: "cart.live".to_owned(),
    };
    assert_eq!(
        who_needs(Kind::ServerGroup, "cart.live").await,
        std::slice::from_ref(&live)
    );
    assert!(who_needs(Kind::Environment, "live").await.contains(&live));
    assert!(who_needs(Kind::Service, "cart").await.contains(&live));

    let environment: EnvironmentName = "test".parse().unwrap();
    let lock = Lock {
        by: "bob".to_owned(),
        since: NOW,
        reason: "audit".to_owned(),
    };
    world
        .store
        .lock(&environment, &lock, audit("environment.lock"))
        .await
        .unwrap();
    let locked = Referrer::Lock {
        by: "bob".to_owned(),
    };
    assert!(who_needs(Kind::Environment, "test").await.contains(&locked));
    releases_hold_their_service(&world).await;
}

/// A release in use holds its service; a withdrawn one does not.
async fn releases_hold_their_service(world: &World) {
    world.release("till", "1.0.0").await;
    let changes = ["till.live", "till.test"].map(|name| delete(Kind::ServerGroup, name));
    let apply = [audit("catalogue.delete")];
    world.store.put_and_delete(&changes, &apply).await.unwrap();
    let service = [delete(Kind::Service, "till")];
    let error = world
        .store
        .put_and_delete(&service, &apply)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "service till is still needed by release till 1.0.0"
    );
    let withdrawal = Withdrawal {
        at: NOW,
        by: "ann".to_owned(),
        reason: "the service goes".to_owned(),
    };
    let (name, version) = ("till".parse().unwrap(), "1.0.0".parse().unwrap());
    let withdraw = world
        .store
        .withdraw(&name, &version, &withdrawal, audit("release.withdraw"));
    withdraw.await.unwrap();
    world.store.put_and_delete(&service, &apply).await.unwrap();
}

async fn nonsense_is_refused(world: World) {
    let world = world.with_catalogue().await;
    let mut no_environment = server_group("cart", "live", 1);
    if let Change::Put { references, .. } = &mut no_environment {
        references.pop();
    }
    let mut instances = environment("live", "production");
    if let Change::Put { instances, .. } = &mut instances {
        *instances = 1;
    }
    let large = json!({"text": "x".repeat(BODY_BYTES_MAX)});
    let before = world.audits().await;
    for (changes, says) in [
        (
            vec![no_environment],
            "include its service and its environment",
        ),
        (vec![instances], "belong to server groups only"),
        (vec![team("a"), team("a")], "name the team a twice"),
        (
            vec![team("a"), delete(Kind::Team, "a")],
            "name the team a twice",
        ),
        (vec![put(Kind::Team, "", json!({}), &[])], "is empty"),
        (vec![put(Kind::Team, "a\0b", json!({}), &[])], "NUL"),
        (
            vec![put(Kind::Team, "big", large, &[])],
            "at most 262144 are kept",
        ),
    ] {
        let apply = [audit("catalogue.apply")];
        let error = world
            .store
            .put_and_delete(&changes, &apply)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    // JSON may hold what TEXT may not: it is escaped.
    let odd = put(Kind::Team, "odd", json!({"text": "a\0b"}), &[]);
    let apply = [audit("catalogue.apply")];
    world.store.put_and_delete(&[odd], &apply).await.unwrap();
    let odd = world.store.entry(Kind::Team, "odd").await.unwrap().unwrap();
    assert_eq!(odd.body, json!({"text": "a\0b"}));
    assert_eq!(world.audits().await, before + 1);
}
