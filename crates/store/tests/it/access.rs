//! Stories of people, tokens and grants.

use domain::{
    access::{Grant, PersonName, Principal, Resource, Role, Subject, Target},
    names::{DeploymentId, Place},
    release::Digest,
};
use store::access::{TokenCreated, TokenHolder};

use crate::{
    stories,
    world::{NOW, World, audit, digest, place, wish},
};

stories!(
    a_token_lets_its_person_in_until_it_is_revoked,
    holders_come_in_the_order_of_their_names,
    the_target_of_a_resource_is_what_is_stored,
    everyone_who_is_signed_in_has_the_first_grants,
);

fn holder(name: &str) -> TokenHolder {
    TokenHolder {
        person: name.parse().unwrap(),
        created_at: NOW,
        created_by: "admin".to_owned(),
    }
}

async fn create(world: &World, name: &str, token: &Digest) -> TokenCreated {
    let holder = holder(name);
    let created = world
        .store
        .create_token(&holder, token, audit("token.create"));
    created.await.unwrap()
}

async fn a_token_lets_its_person_in_until_it_is_revoked(world: World) {
    let store = &world.store;
    let ann: PersonName = "ann".parse().unwrap();
    let (token, other) = (digest("a token"), digest("another"));
    assert_eq!(store.token_holder(&token).await.unwrap(), None);
    let before = world.audits().await;
    assert_eq!(create(&world, "ann", &token).await, TokenCreated::Created);
    assert_eq!(
        create(&world, "ann", &other).await,
        TokenCreated::AlreadyThere
    );
    assert_eq!(
        world.audits().await,
        before + 1,
        "only what was done is logged"
    );
    assert_eq!(store.token_holder(&token).await.unwrap(), Some(ann.clone()));
    assert_eq!(store.token_holder(&other).await.unwrap(), None);

    assert!(
        store
            .revoke_token(&ann, audit("token.revoke"))
            .await
            .unwrap()
    );
    assert_eq!(store.token_holder(&token).await.unwrap(), None);
    assert!(
        !store
            .revoke_token(&ann, audit("token.revoke"))
            .await
            .unwrap()
    );
    assert_eq!(world.audits().await, before + 2);
    assert_eq!(create(&world, "ann", &other).await, TokenCreated::Created);
}

async fn holders_come_in_the_order_of_their_names(world: World) {
    let store = &world.store;
    for name in ["carol", "ann", "bob"] {
        create(&world, name, &digest(name)).await;
    }
    let names = async |after: Option<&str>, limit| {
        let after = after.map(|name| name.parse().unwrap());
        let holders = store.token_holders(after.as_ref(), limit).await.unwrap();
        let names: Vec<String> = holders.iter().map(|h| h.person.to_string()).collect();
        names.join(" ")
    };
    assert_eq!(names(None, 10).await, "ann bob carol");
    assert_eq!(names(None, 2).await, "ann bob");
    assert_eq!(names(Some("bob"), 10).await, "carol");
}

async fn the_target_of_a_resource_is_what_is_stored(world: World) {
    let world = world.with_catalogue().await;
    let principal = Principal::authenticated("ann");
    let target = async |resource: Resource<'_>| {
        let facts = world.store.access(&principal, resource).await.unwrap();
        let Target {
            team,
            environment_type,
        } = facts.target;
        let word = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let team = word(team.map(|name| name.to_string()));
        format!(
            "{team} {}",
            word(environment_type.map(|name| name.to_string()))
        )
    };
    let here = place("cart", "test");
    assert_eq!(target(Resource::Everything).await, "- -");
    assert_eq!(target(Resource::Service(&here.service)).await, "shop -");
    assert_eq!(
        target(Resource::Environment(&here.environment)).await,
        "- production"
    );
    assert_eq!(target(Resource::Place(&here)).await, "shop production");
    let nowhere: Place = place("nothing", "nowhere");
    assert_eq!(target(Resource::Place(&nowhere)).await, "- -");
    let nothing = DeploymentId("nothing".to_owned());
    assert_eq!(target(Resource::Deployment(&nothing)).await, "- -");
    world.release("cart", "1.0.0").await;
    let begun = world
        .begin(&wish("cart", "test", "1.0.0"), 0)
        .await
        .unwrap();
    assert_eq!(
        target(Resource::Deployment(&begun.id)).await,
        "shop production"
    );
}

async fn everyone_who_is_signed_in_has_the_first_grants(world: World) {
    let principal = Principal::authenticated("ann");
    let facts = world.store.access(&principal, Resource::Everything).await;
    let grants: Vec<Grant> = facts.unwrap().grants;
    assert!(
        grants
            .iter()
            .all(|grant| grant.subject == Subject::SignedIn)
    );
    let mut roles: Vec<Role> = grants.iter().map(|grant| grant.role).collect();
    roles.sort();
    assert_eq!(roles, [Role::Operator, Role::Governor, Role::Admin]);
}
