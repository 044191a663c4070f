//! Stories of who may do what: grants, groups, what is visible, and what a resource belongs to.

use domain::{
    access::{
        Grant, GrantId, Principal, Resource, Right, Role, Scope, Subject, Target, Visible, Who,
    },
    catalogue::Kind,
    names::{DeploymentId, Place},
};
use store::{
    StoreError,
    catalogue::Filter,
    deployments,
    grants::{GrantCreated, Granted},
    groups::{Group, GroupChanged},
    people::{LOCAL, Person, PersonCreated},
};

use crate::{
    stories,
    world::{NOW, World, audit, person, place, wish},
};

stories!(
    the_target_of_a_resource_is_what_is_stored,
    without_grants_nobody_has_any,
    grants_come_by_person_and_by_group_and_go,
    whom_nobody_knows_nothing_is_granted_to,
    who_is_disabled_counts_no_more,
    the_last_admin_stays,
    lists_show_what_is_visible,
);

pub fn somebody(name: &str) -> Person {
    Person {
        who: Who::Person(name.parse().unwrap()),
        team: None,
        provider: LOCAL.to_owned(),
        subject: name.to_owned(),
        has_password: false,
        created_at: NOW,
        created_by: "admin".to_owned(),
        signed_in_at: None,
        disabled_at: None,
    }
}

pub async fn add(world: &World, name: &str) {
    let person = somebody(name);
    let created = world
        .store
        .create_person(&person, None, audit("person.create"));
    assert_eq!(created.await.unwrap(), PersonCreated::Created);
}

fn granted(id: &str, subject: Subject, role: Role, scope: Scope) -> Granted {
    Granted {
        grant: Grant {
            id: GrantId(id.to_owned()),
            subject,
            role,
            scope,
            until: None,
        },
        created_at: NOW,
        created_by: "admin".to_owned(),
    }
}

async fn grant(world: &World, granted: &Granted) -> GrantCreated {
    let created = world.store.create_grant(granted, audit("grant.create"));
    created.await.unwrap()
}

async fn ids_of_grants(world: &World, principal: &Principal) -> String {
    let facts = world.store.access(principal, Resource::Everything, NOW);
    let grants = facts.await.unwrap().grants;
    let mut ids: Vec<String> = grants.into_iter().map(|grant| grant.id.0).collect();
    ids.sort();
    ids.join(" ")
}

async fn the_target_of_a_resource_is_what_is_stored(world: World) {
    let world = world.with_catalogue().await;
    add(&world, "ann").await;
    let principal = person("ann");
    let target = async |resource: Resource<'_>| {
        let facts = world.store.access(&principal, resource, NOW).await.unwrap();
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

async fn without_grants_nobody_has_any(world: World) {
    add(&world, "ann").await;
    let facts = world
        .store
        .access(&person("ann"), Resource::Everything, NOW)
        .await
        .unwrap();
    assert!(facts.counts && facts.grants.is_empty(), "{facts:?}");
    assert!(!world.store.has_admin().await.unwrap());
    let unknown = world
        .store
        .access(&person("bob"), Resource::Everything, NOW)
        .await
        .unwrap();
    assert!(!unknown.counts, "nobody knows bob");
}

async fn grants_come_by_person_and_by_group_and_go(world: World) {
    for name in ["ann", "bob"] {
        add(&world, name).await;
    }
    let group = Group {
        name: "shop-people".parse().unwrap(),
        provider: LOCAL.to_owned(),
        provider_group: None,
        created_at: NOW,
        created_by: "admin".to_owned(),
    };
    let store = &world.store;
    let made = store.create_group(&group, audit("group.create")).await;
    assert_eq!(made.unwrap(), GroupChanged::Done(true));
    let ann = "ann".parse().unwrap();
    let added = store.add_member(&group.name, &ann, audit("group.add"));
    assert_eq!(added.await.unwrap(), GroupChanged::Done(true));
    let subjects = [
        ("a", Subject::SignedIn),
        ("b", Subject::Person("bob".parse().unwrap())),
        ("c", Subject::Group(group.name.clone())),
    ];
    for (id, subject) in subjects {
        let granted = granted(id, subject, Role::Viewer, Scope::default());
        assert_eq!(grant(&world, &granted).await, GrantCreated::Created);
    }
    assert_eq!(ids_of_grants(&world, &person("ann")).await, "a c");
    assert_eq!(ids_of_grants(&world, &person("bob")).await, "a b");
    let used = store.delete_group(&group.name, audit("group.delete")).await;
    assert_eq!(used.unwrap(), GroupChanged::InUse);
    let removed = store.remove_member(&group.name, &ann, audit("group.remove"));
    assert_eq!(removed.await.unwrap(), GroupChanged::Done(true));
    assert_eq!(ids_of_grants(&world, &person("ann")).await, "a");
}

async fn whom_nobody_knows_nothing_is_granted_to(world: World) {
    let before = world.audits().await;
    for subject in [
        Subject::Person("nobody".parse().unwrap()),
        Subject::Group("nobody".parse().unwrap()),
        Subject::ServiceAccount("nobody".parse().unwrap()),
    ] {
        let granted = granted("a", subject, Role::Viewer, Scope::default());
        assert_eq!(grant(&world, &granted).await, GrantCreated::Unknown);
    }
    assert_eq!(world.audits().await, before, "only what was done is logged");
}

async fn admins(world: &World) {
    let store = &world.store;
    let roles = [Role::Admin];
    let (ann, mallory) = (somebody("ann"), somebody("mallory"));
    let first = store.create_first_admin(&ann, None, &roles);
    assert!(first.await.unwrap());
    let again = store.create_first_admin(&mallory, None, &roles);
    assert!(!again.await.unwrap(), "there is one already");
}

async fn who_is_disabled_counts_no_more(world: World) {
    admins(&world).await;
    add(&world, "bob").await;
    let counts = async || {
        let bob = person("bob");
        let facts = world.store.access(&bob, Resource::Everything, NOW);
        facts.await.unwrap().counts
    };
    assert!(counts().await);
    let bob = "bob".parse().unwrap();
    for (disabled_at, is_let_in) in [(Some(NOW), false), (None, true)] {
        let set = world
            .store
            .set_disabled(&bob, disabled_at, audit("person.disable"));
        assert!(set.await.unwrap());
        assert_eq!(counts().await, is_let_in);
    }
}

async fn the_last_admin_stays(world: World) {
    admins(&world).await;
    let store = &world.store;
    let ann = "ann".parse().unwrap();
    let id = GrantId("first-admin".to_owned());
    let disabled = store.set_disabled(&ann, Some(NOW), audit("person.disable"));
    assert!(matches!(disabled.await, Err(StoreError::LastAdmin)));
    let removed = store.remove_grant(&id, audit("grant.remove"));
    assert!(matches!(removed.await, Err(StoreError::LastAdmin)));
    assert!(store.has_admin().await.unwrap());
    add(&world, "bob").await;
    let bob = Subject::Person("bob".parse().unwrap());
    let second = granted("second", bob, Role::Admin, Scope::default());
    assert_eq!(grant(&world, &second).await, GrantCreated::Created);
    assert!(
        store
            .remove_grant(&id, audit("grant.remove"))
            .await
            .unwrap()
    );
}

/// Where a viewer with one grant in this scope sees something.
async fn seen_by(world: &World, team: Option<&str>, class: Option<&str>) -> Visible {
    let scope = Scope {
        team: team.map(|name| name.parse().unwrap()),
        environment_type: class.map(|name| name.parse().unwrap()),
    };
    let ann = Subject::Person("ann".parse().unwrap());
    let granted = granted("view", ann, Role::Viewer, scope);
    assert_eq!(grant(world, &granted).await, GrantCreated::Created);
    let principal = person("ann");
    let facts = world.store.access(&principal, Resource::Everything, NOW);
    let visible = Visible::of(&principal, Right::View, &facts.await.unwrap(), NOW);
    let admin = granted_admin();
    if world.store.grant(&admin.grant.id).await.unwrap().is_none() {
        assert_eq!(grant(world, &admin).await, GrantCreated::Created);
    }
    let id = GrantId("view".to_owned());
    let removed = world.store.remove_grant(&id, audit("grant.remove"));
    assert!(removed.await.unwrap());
    visible
}

fn granted_admin() -> Granted {
    let ann = Subject::Person("ann".parse().unwrap());
    granted("admin", ann, Role::Admin, Scope::default())
}

async fn lists_show_what_is_visible(world: World) {
    let world = world.with_catalogue().await;
    add(&world, "ann").await;
    world.release("cart", "1.0.0").await;
    world
        .begin(&wish("cart", "test", "1.0.0"), 0)
        .await
        .unwrap();
    let listed = async |visible: &Visible| {
        let mut counts = Vec::new();
        for kind in [
            Kind::Team,
            Kind::EnvironmentType,
            Kind::Service,
            Kind::Environment,
            Kind::ServerGroup,
        ] {
            let filter = Filter::default();
            let entries = world.store.entries((kind, &filter), visible, None, 100);
            counts.push(entries.await.unwrap().len());
        }
        let filter = deployments::Filter::default();
        let deployments = world.store.deployments(&filter, visible, None, 100);
        counts.push(deployments.await.unwrap().len());
        let here = place("cart", "test").environment;
        let places = world.store.places(&here, visible, None, 100);
        counts.push(places.await.unwrap().len());
        counts
    };
    let all = listed(&Visible::everything()).await;
    assert!(all.iter().all(|count| *count > 0), "{all:?}");
    assert_eq!(listed(&seen_by(&world, None, None).await).await, all);
    let of_team = listed(&seen_by(&world, Some("shop"), None).await).await;
    assert_eq!(of_team, all, "everything is the team's");
    let of_type = listed(&seen_by(&world, None, Some("production")).await).await;
    assert_eq!(of_type, all, "everything is in production");
    let both = seen_by(&world, Some("shop"), Some("production")).await;
    assert_eq!(listed(&both).await, all);
    let [_, types, _, environments, ..] = all[..] else {
        panic!("{all:?}");
    };
    let other_team = listed(&seen_by(&world, Some("till"), None).await).await;
    assert_eq!(other_team, [0, types, 0, environments, 0, 0, 0]);
    let other_type = listed(&seen_by(&world, None, Some("staging")).await).await;
    assert_eq!(other_type[3..], [0, 0, 0, 0], "{other_type:?}");
    let nothing = Visible::of(
        &person("bob"),
        Right::View,
        &domain::access::Facts::default(),
        NOW,
    );
    assert_eq!(listed(&nothing).await, [0; 7]);
}
