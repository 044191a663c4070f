//! Stories of the engine's journal: what `engine::ports::Journal` demands.

use std::collections::BTreeSet;

use domain::{
    catalogue::ProviderKind,
    cloud::{AwsAccount, Drives},
    deployment::{Deployment, Outcome},
    names::DeploymentId,
    time::UnixMs,
};
use engine::{
    ports::{Journal, LeaseSeen, Saved},
    testing::contract::journal_contract,
};

use crate::{
    stories,
    world::{NOW, World, account, ended, event, next_id, turned, wish},
};

stories!(
    the_contract_of_the_engine_is_kept,
    a_lease_is_held_by_one_engine,
    a_wall_clock_that_is_set_takes_no_lease,
    a_lease_that_stands_still_can_be_taken_over,
    a_lease_that_was_lost_is_not_prolonged,
    a_lease_that_is_given_back_can_be_claimed_at_once,
    leases_that_a_dead_engine_left_are_given_back,
    the_longest_unattended_come_first,
    what_ended_is_not_claimed,
    engines_that_claim_at_once_share_the_work,
    only_an_engine_that_reaches_a_cloud_claims_what_lives_there,
    of_many_saves_at_once_one_is_stored,
    an_unreadable_record_does_not_stop_the_others,
);

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

async fn claim(world: &World, engine: &str, limit: u32) -> Vec<DeploymentId> {
    claim_at(world, engine, NOW, limit).await
}

async fn claim_at(world: &World, engine: &str, now: UnixMs, limit: u32) -> Vec<DeploymentId> {
    let claims = world.store.claim(engine, &[], now, limit).await;
    ids(&claims.unwrap().taken)
}

/// The leases that are held now.
async fn held(world: &World) -> Vec<LeaseSeen> {
    world.store.claim("looks", &[], NOW, 0).await.unwrap().held
}

/// Takes over what stood still since `seen`.
async fn take_over(world: &World, engine: &str, seen: &[LeaseSeen]) -> Vec<DeploymentId> {
    let claims = world.store.claim(engine, seen, NOW, 10).await;
    ids(&claims.unwrap().taken)
}

async fn the_contract_of_the_engine_is_kept(world: World) {
    let world = world.with_catalogue().await;
    let deployment = running(&world, 1).await.remove(0);
    journal_contract(&world.store, &deployment).await;
}

async fn a_lease_is_held_by_one_engine(world: World) {
    let world = world.with_catalogue().await;
    assert!(claim(&world, "one", 10).await.is_empty());
    let all = running(&world, 2).await;
    let claims = world.store.claim("one", &[], NOW, 10).await.unwrap();
    assert_eq!(claims.taken, all, "the records come along");
    assert_eq!(claims.held, held(&world).await, "looking moves nothing");
    assert!(claim(&world, "two", 10).await.is_empty());
    assert!(
        claim(&world, "one", 10).await.is_empty(),
        "not even by itself"
    );

    // Prolonged, it does not stand still.
    let seen = held(&world).await;
    let id = &all[0].id;
    let renewed = world.store.renew("one", id, NOW).await;
    assert_eq!(renewed.unwrap(), Some(all[0].clone()));
    assert_eq!(take_over(&world, "two", &seen).await, ids(&all[1..]));
    assert!(
        take_over(&world, "three", &seen).await.is_empty(),
        "somebody was faster"
    );
}

async fn a_wall_clock_that_is_set_takes_no_lease(world: World) {
    let world = world.with_catalogue().await;
    running(&world, 1).await;
    claim(&world, "one", 10).await;
    for years in [-1, 1] {
        let off = UnixMs(NOW.0 + years * 365 * 86_400_000);
        assert!(claim_at(&world, "two", off, 10).await.is_empty());
    }
}

async fn a_lease_that_stands_still_can_be_taken_over(world: World) {
    let world = world.with_catalogue().await;
    let all = running(&world, 2).await;
    claim(&world, "one", 10).await;
    let seen = held(&world).await;
    let one_by_one = world.store.claim("two", &seen, NOW, 1).await.unwrap();
    assert_eq!(ids(&one_by_one.taken), ids(&all[..1]));
    assert_eq!(take_over(&world, "two", &seen).await, ids(&all[1..]));
    assert!(claim(&world, "one", 10).await.is_empty());
    let done = ended(&all[0], Outcome::Failed);
    world.store.save(&done, &[]).await.unwrap();
    let seen = held(&world).await;
    assert_eq!(seen.len(), 1, "what ended is held by nobody");
}

async fn a_lease_that_was_lost_is_not_prolonged(world: World) {
    let world = world.with_catalogue().await;
    let all = running(&world, 1).await;
    let id = &all[0].id;
    let renew =
        async |engine: &str, id: &DeploymentId| world.store.renew(engine, id, NOW).await.unwrap();
    assert_eq!(renew("one", id).await, None, "it never had it");
    claim(&world, "one", 10).await;
    assert_eq!(renew("two", id).await, None);
    take_over(&world, "two", &held(&world).await).await;
    assert_eq!(renew("one", id).await, None);
    assert!(renew("two", id).await.is_some());
    assert_eq!(renew("one", &next_id()).await, None);

    // A renewed record is the one of now.
    let turn = turned(&all[0]);
    world.store.save(&turn, &[]).await.unwrap();
    assert_eq!(renew("two", id).await, Some(turn));
}

async fn a_lease_that_is_given_back_can_be_claimed_at_once(world: World) {
    let world = world.with_catalogue().await;
    let all = running(&world, 1).await;
    let id = &all[0].id;
    claim(&world, "one", 10).await;
    Journal::release(&world.store, "two", id).await.unwrap();
    assert!(
        claim(&world, "two", 10).await.is_empty(),
        "it was not theirs to give"
    );
    Journal::release(&world.store, "one", id).await.unwrap();
    assert_eq!(claim(&world, "two", 10).await, ids(&all));
    Journal::release(&world.store, "one", id).await.unwrap();
    assert!(claim(&world, "one", 10).await.is_empty());
}

async fn leases_that_a_dead_engine_left_are_given_back(world: World) {
    let world = world.with_catalogue().await;
    let all = running(&world, 2).await;
    assert_eq!(
        world.store.release_all().await.unwrap(),
        0,
        "nobody had one"
    );
    claim(&world, "one", 10).await;
    assert_eq!(world.store.release_all().await.unwrap(), 2);
    assert_eq!(claim(&world, "two", 10).await, ids(&all));
}

async fn the_longest_unattended_come_first(world: World) {
    let world = world.with_catalogue().await;
    let all = ids(&running(&world, 4).await);
    let [a, b, c, d] = [0, 1, 2, 3].map(|index| all[index].clone());
    let at = |ms| NOW.plus_ms(ms);
    assert_eq!(
        claim_at(&world, "one", at(1), 2).await,
        [a.clone(), b.clone()]
    );
    assert_eq!(
        claim_at(&world, "one", at(2), 1).await,
        std::slice::from_ref(&c)
    );
    for id in [&a, &b, &c] {
        Journal::release(&world.store, "one", id).await.unwrap();
    }
    // Nobody looked at d yet, and c was looked at last.
    assert_eq!(claim_at(&world, "one", at(3), 1).await, [d]);
    assert_eq!(claim_at(&world, "one", at(4), 2).await, [a, b]);
    assert_eq!(claim_at(&world, "one", at(5), 2).await, [c]);
}

async fn what_ended_is_not_claimed(world: World) {
    let world = world.with_catalogue().await;
    let all = running(&world, 2).await;
    let done = ended(&all[0], Outcome::Failed);
    assert_eq!(world.store.save(&done, &[]).await.unwrap(), Saved::Stored);
    assert_eq!(claim(&world, "one", 10).await, ids(&all[1..]));
}

async fn engines_that_claim_at_once_share_the_work(world: World) {
    let world = world.with_catalogue().await;
    let all: BTreeSet<DeploymentId> = ids(&running(&world, 4).await).into_iter().collect();
    let second = world.second().await;
    for _ in 0..10 {
        let seen = held(&world).await;
        let tasks: Vec<_> = (0..8)
            .map(|number| {
                let store = if number % 2 == 0 {
                    &world.store
                } else {
                    &second
                };
                let (store, seen) = (store.clone(), seen.clone());
                tokio::spawn(async move {
                    let engine = format!("engine-{number}");
                    let claims = store.claim(&engine, &seen, NOW, 2).await;
                    claims.unwrap().taken
                })
            })
            .collect();
        let mut claimed = Vec::new();
        for task in tasks {
            claimed.extend(ids(&task.await.unwrap()));
        }
        // A claimer that loses a race may get less than there was; it asks again.
        claimed.extend(take_over(&world, "last", &seen).await);
        let different: BTreeSet<DeploymentId> = claimed.iter().cloned().collect();
        assert_eq!(different.len(), claimed.len(), "one was claimed twice");
        assert_eq!(different, all);
    }
}

async fn only_an_engine_that_reaches_a_cloud_claims_what_lives_there(world: World) {
    let world = world.with_catalogue().await;
    world.on_aws("till", &account("main", "eu-west-1")).await;
    let all = running(&world, 3).await;
    let aws = |text: &str| Drives::Only(text.parse::<AwsAccount>().unwrap().cloud());
    let local = Drives::Every(ProviderKind::Local);
    let claim = async |drives: &[Drives]| {
        let claims = world.store.claim_of(drives, "one", &[], NOW, 10).await;
        claims.unwrap()
    };
    for stranger in ["main/us-east-1", "other/eu-west-1", "mai/eu-west-1"] {
        let claims = claim(&[aws(stranger)]).await;
        assert!(claims.taken.is_empty(), "{stranger}: {:?}", claims.taken);
    }
    let mine = claim(&[aws("main/eu-west-1")]).await;
    assert_eq!(ids(&mine.taken), ids(&all[2..]));
    assert_eq!(mine.held.len(), 1);
    let others = claim(&[aws("main/us-east-1"), local]).await;
    assert_eq!(ids(&others.taken), ids(&all[..2]));
    assert_eq!(
        others.held.len(),
        2,
        "what lives elsewhere is not watched, and so never taken over"
    );
    world.store.release_all().await.unwrap();
    let every = claim(&[Drives::Every(ProviderKind::Aws)]).await;
    assert_eq!(ids(&every.taken), ids(&all[2..]), "as without any account");
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
    assert_eq!(claim(&world, "one", 10).await, ids(&all[1..]));
    let error = world.store.deployment(&all[0].id).await.unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
}
