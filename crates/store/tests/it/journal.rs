//! Stories of the engine's journal: what `engine::ports::Journal` demands.

use std::collections::BTreeSet;

use domain::{
    deployment::{Deployment, Outcome},
    names::DeploymentId,
    time::UnixMs,
};
use engine::{
    ports::{Journal, Saved},
    testing::contract::journal_contract,
};

use crate::{
    stories,
    world::{NOW, World, ended, event, next_id, turned, wish},
};

stories!(
    the_contract_of_the_engine_is_kept,
    a_lease_is_held_by_one_engine,
    an_expired_lease_can_be_claimed,
    a_lease_that_was_lost_is_not_prolonged,
    a_lease_that_is_given_back_can_be_claimed_at_once,
    leases_that_a_dead_engine_left_are_given_back,
    the_longest_unattended_come_first,
    what_ended_is_not_claimed,
    engines_that_claim_at_once_share_the_work,
    of_many_saves_at_once_one_is_stored,
    an_unreadable_record_does_not_stop_the_others,
);

const LEASE_MS: u64 = 30_000;

/// Deployments that run, oldest first.
async fn running(world: &World, number: usize) -> Vec<Deployment> {
    let places = [
        ("cart", "live"),
        ("cart", "test"),
        ("till", "live"),
        ("till", "test"),
    ];
    let mut deployments = Vec::new();
    for (service, environment) in &places[..number] {
        world.release(service, "1.0.0").await;
        let wish = wish(service, environment, "1.0.0");
        deployments.push(world.begin(&wish, 0).await.unwrap());
    }
    deployments
}

fn ids(deployments: &[Deployment]) -> Vec<DeploymentId> {
    deployments.iter().map(|d| d.id.clone()).collect()
}

async fn claim(world: &World, engine: &str, now: UnixMs, limit: u32) -> Vec<DeploymentId> {
    let claimed = world.store.claim(engine, now, LEASE_MS, limit).await;
    ids(&claimed.unwrap())
}

async fn the_contract_of_the_engine_is_kept(world: World) {
    let world = world.with_catalogue().await;
    let deployment = running(&world, 1).await.remove(0);
    journal_contract(&world.store, &deployment).await;
}

async fn a_lease_is_held_by_one_engine(world: World) {
    let world = world.with_catalogue().await;
    assert!(claim(&world, "one", NOW, 10).await.is_empty());
    let all = running(&world, 2).await;
    let claimed = world.store.claim("one", NOW, LEASE_MS, 10).await.unwrap();
    assert_eq!(claimed, all, "the records come along");
    assert!(claim(&world, "two", NOW, 10).await.is_empty());
    assert!(
        claim(&world, "one", NOW, 10).await.is_empty(),
        "not even by itself"
    );
    let just_before = NOW.plus_ms(LEASE_MS - 1);
    assert!(claim(&world, "two", just_before, 10).await.is_empty());

    // Prolonged, it is held for longer.
    let id = &all[0].id;
    let renewed = world.store.renew("one", id, just_before, LEASE_MS).await;
    assert_eq!(renewed.unwrap(), Some(all[0].clone()));
    let later = NOW.plus_ms(LEASE_MS);
    assert_eq!(claim(&world, "two", later, 10).await, ids(&all[1..]));
}

async fn an_expired_lease_can_be_claimed(world: World) {
    let world = world.with_catalogue().await;
    let all = running(&world, 1).await;
    claim(&world, "one", NOW, 10).await;
    let expired = NOW.plus_ms(LEASE_MS);
    assert_eq!(claim(&world, "two", expired, 10).await, ids(&all));
    assert!(claim(&world, "one", expired, 10).await.is_empty());
}

async fn a_lease_that_was_lost_is_not_prolonged(world: World) {
    let world = world.with_catalogue().await;
    let all = running(&world, 1).await;
    let id = &all[0].id;
    let renew = async |engine: &str, id: &DeploymentId, now| {
        world.store.renew(engine, id, now, LEASE_MS).await.unwrap()
    };
    assert_eq!(renew("one", id, NOW).await, None, "it never had it");
    claim(&world, "one", NOW, 10).await;
    assert_eq!(renew("two", id, NOW).await, None);
    let expired = NOW.plus_ms(LEASE_MS);
    claim(&world, "two", expired, 10).await;
    assert_eq!(renew("one", id, expired).await, None);
    assert!(renew("two", id, expired).await.is_some());
    assert_eq!(renew("one", &next_id(), expired).await, None);

    // A renewed record is the one of now.
    let turn = turned(&all[0]);
    world.store.save(&turn, &[]).await.unwrap();
    assert_eq!(renew("two", id, expired).await, Some(turn));
}

async fn a_lease_that_is_given_back_can_be_claimed_at_once(world: World) {
    let world = world.with_catalogue().await;
    let all = running(&world, 1).await;
    let id = &all[0].id;
    claim(&world, "one", NOW, 10).await;
    Journal::release(&world.store, "two", id).await.unwrap();
    assert!(
        claim(&world, "two", NOW, 10).await.is_empty(),
        "it was not theirs to give"
    );
    Journal::release(&world.store, "one", id).await.unwrap();
    assert_eq!(claim(&world, "two", NOW, 10).await, ids(&all));
    Journal::release(&world.store, "one", id).await.unwrap();
    assert!(claim(&world, "one", NOW, 10).await.is_empty());
}

async fn leases_that_a_dead_engine_left_are_given_back(world: World) {
    let world = world.with_catalogue().await;
    let all = running(&world, 2).await;
    assert_eq!(
        world.store.release_all().await.unwrap(),
        0,
        "nobody had one"
    );
    claim(&world, "one", NOW, 10).await;
    assert_eq!(world.store.release_all().await.unwrap(), 2);
    assert_eq!(claim(&world, "two", NOW, 10).await, ids(&all));
}

async fn the_longest_unattended_come_first(world: World) {
    let world = world.with_catalogue().await;
    let all = ids(&running(&world, 4).await);
    let [a, b, c, d] = [0, 1, 2, 3].map(|index| all[index].clone());
    let at = |ms| NOW.plus_ms(ms);
    assert_eq!(claim(&world, "one", at(1), 2).await, [a.clone(), b.clone()]);
    assert_eq!(
        claim(&world, "one", at(2), 1).await,
        std::slice::from_ref(&c)
    );
    for id in [&a, &b, &c] {
        Journal::release(&world.store, "one", id).await.unwrap();
    }
    // Nobody looked at d yet, and c was looked at last.
    assert_eq!(claim(&world, "one", at(3), 1).await, [d]);
    assert_eq!(claim(&world, "one", at(4), 2).await, [a, b]);
    assert_eq!(claim(&world, "one", at(5), 2).await, [c]);
}

async fn what_ended_is_not_claimed(world: World) {
    let world = world.with_catalogue().await;
    let all = running(&world, 2).await;
    let done = ended(&all[0], Outcome::Failed);
    assert_eq!(world.store.save(&done, &[]).await.unwrap(), Saved::Stored);
    assert_eq!(claim(&world, "one", NOW, 10).await, ids(&all[1..]));
}

async fn engines_that_claim_at_once_share_the_work(world: World) {
    let world = world.with_catalogue().await;
    let all: BTreeSet<DeploymentId> = ids(&running(&world, 4).await).into_iter().collect();
    let second = world.second().await;
    for round in 0..10 {
        let now = NOW.plus_ms(LEASE_MS * (round + 1));
        let tasks: Vec<_> = (0..8)
            .map(|number| {
                let store = if number % 2 == 0 {
                    &world.store
                } else {
                    &second
                };
                let store = store.clone();
                tokio::spawn(async move {
                    let engine = format!("engine-{number}");
                    store.claim(&engine, now, LEASE_MS, 2).await.unwrap()
                })
            })
            .collect();
        let mut claimed = Vec::new();
        for task in tasks {
            claimed.extend(ids(&task.await.unwrap()));
        }
        // A claimer that loses a race may get less than there was; it asks again.
        claimed.extend(claim(&world, "last", now, 10).await);
        let different: BTreeSet<DeploymentId> = claimed.iter().cloned().collect();
        assert_eq!(different.len(), claimed.len(), "one was claimed twice");
        assert_eq!(different, all);
    }
}

async fn of_many_saves_at_once_one_is_stored(world: World) {
    let world = world.with_catalogue().await;
    let first = running(&world, 1).await.remove(0);
    let second = world.second().await;
    let tasks: Vec<_> = (0..16)
        .map(|number| {
            let store = if number % 2 == 0 {
                &world.store
            } else {
                &second
            };
            let (store, turn) = (store.clone(), turned(&first));
            let message = event(&format!("by {number}"));
            tokio::spawn(async move { store.save(&turn, &[message]).await.unwrap() })
        })
        .collect();
    let mut stored = 0;
    for task in tasks {
        stored += usize::from(task.await.unwrap() == Saved::Stored);
    }
    assert_eq!(stored, 1);
    let events = world.store.events(&first.id, 0, 100).await.unwrap();
    assert_eq!(events.len(), 2, "the others left no events: {events:?}");
}

async fn an_unreadable_record_does_not_stop_the_others(world: World) {
    let world = world.with_catalogue().await;
    let all = running(&world, 2).await;
    let broken = format!(
        "update deployments set record = '{{}}' where id = '{}'",
        all[0].id
    );
    assert_eq!(world.tamper(&broken).await.unwrap(), 1);
    assert_eq!(claim(&world, "one", NOW, 10).await, ids(&all[1..]));
    let error = world.store.deployment(&all[0].id).await.unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
}
