//! Stories of how deployments begin.

use std::collections::BTreeSet;

use domain::{
    access::Visible,
    catalogue::Kind,
    deployment::Outcome,
    event,
    governance::{Facts, Lock, Objection, Wish},
    release::Withdrawal,
};
use engine::ports::Journal;
use store::{PAGE_MAX, StoreError, catalogue::Change};

use crate::{
    stories,
    world::{
        NOW, World, account, audit, delete, deployment_of, ended, freeze, place, server_group, wish,
    },
};

stories!(
    facts_are_what_governance_needs,
    instances_of_others_are_counted,
    one_deployment_runs_at_a_place,
    of_many_that_begin_at_once_one_does,
    governance_is_asked_again,
    freezes_are_found_by_environment_and_by_type,
    a_freeze_stops_what_was_admitted_before,
    there_is_room_for_so_many_freezes,
    what_moved_meanwhile_is_noticed,
    an_account_is_part_of_what_is_admitted,
    only_what_was_admitted_begins,
);

async fn facts_are_what_governance_needs(world: World) {
    let wish_of_cart = wish("cart", "live", "1.0.0");
    let empty = world.store.facts(&wish_of_cart, NOW).await.unwrap();
    let nothing = Facts {
        now: NOW,
        ..Facts::default()
    };
    assert_eq!(format!("{empty:?}"), format!("{nothing:?}"));

    let world = world.with_catalogue().await;
    let release = world.release("cart", "1.0.0").await;
    let facts = world.store.facts(&wish_of_cart, NOW).await.unwrap();
    assert_eq!(facts.service.unwrap().name.as_str(), "cart");
    assert_eq!(facts.environment.unwrap().name.as_str(), "live");
    assert_eq!(facts.environment_type.unwrap().name.as_str(), "production");
    assert_eq!(facts.group.unwrap().size, 4);
    assert_eq!(facts.release, Some(release));
    assert_eq!((facts.lock, facts.running, facts.live), (None, None, None));
    assert_eq!(facts.environment_instances, 3, "the three of till");

    let deployment = world.begin(&wish_of_cart, 0).await.unwrap();
    let facts = world.store.facts(&wish_of_cart, NOW).await.unwrap();
    assert_eq!(facts.running, Some(deployment.id.clone()));
    let done = ended(&deployment, Outcome::Succeeded);
    world.store.save(&done, &[]).await.unwrap();
    let facts = world.store.facts(&wish_of_cart, NOW).await.unwrap();
    assert_eq!(facts.running, None);
    assert_eq!(facts.live.unwrap().version.as_str(), "1.0.0");
    let elsewhere = world
        .store
        .facts(&wish("cart", "test", "1.0.0"), NOW)
        .await
        .unwrap();
    assert_eq!((elsewhere.running, elsewhere.live), (None, None));
}

async fn instances_of_others_are_counted(world: World) {
    let world = world.with_catalogue().await;
    world.release("till", "1.0.0").await;
    let others = async || {
        let facts = world.store.facts(&wish("cart", "live", "1.0.0"), NOW).await;
        facts.unwrap().environment_instances
    };
    assert_eq!(others().await, 3);
    let first = world
        .begin(&wish("till", "live", "1.0.0"), 0)
        .await
        .unwrap();
    assert_eq!(others().await, 3, "a first deployment has no surge");
    let done = ended(&first, Outcome::Succeeded);
    world.store.save(&done, &[]).await.unwrap();
    world.release("till", "2.0.0").await;
    let second = world
        .begin(&wish("till", "live", "2.0.0"), 3)
        .await
        .unwrap();
    assert_eq!(others().await, 6, "three more while it is doubled");
    let own = world
        .store
        .facts(&wish("till", "live", "2.0.0"), NOW)
        .await
        .unwrap();
    assert_eq!(own.environment_instances, 4, "its own do not count");
    let done = ended(&second, Outcome::RolledBack);
    world.store.save(&done, &[]).await.unwrap();
    assert_eq!(others().await, 3);
}

async fn one_deployment_runs_at_a_place(world: World) {
    let world = world.with_catalogue().await;
    world.release("cart", "1.0.0").await;
    let wish_of_cart = wish("cart", "live", "1.0.0");
    let (admitted, late) = world.planned(&wish_of_cart, 0).await;
    let first = world.begin(&wish_of_cart, 0).await.unwrap();
    let event = event::of_request(&late);
    let begin = || {
        let audit = audit("deployment.request");
        world.store.begin(&admitted, &late, &event, audit)
    };
    let before = world.audits().await;
    let error = begin().await.unwrap_err();
    assert!(
        matches!(&error, StoreError::AlreadyRunning(id) if *id == first.id),
        "{error}"
    );
    assert_eq!(world.store.deployment(&late.id).await.unwrap(), None);
    assert_eq!(world.audits().await, before);
    // The database itself would refuse as well.
    let insert = "insert into deployments (id, service, environment, version, record, finished,
        surge, events, lease_beat, attended_at)
        values ('other', 'cart', 'live', 1, '{}', 0, 0, 0, 0, 0)";
    let error = world.tamper(insert).await.unwrap_err();
    let twice = error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation());
    assert!(twice, "two run at a place: {error}");

    world
        .begin(&wish("cart", "test", "1.0.0"), 0)
        .await
        .unwrap();
    let done = ended(&first, Outcome::Aborted);
    world.store.save(&done, &[]).await.unwrap();
    begin().await.unwrap();
    let error = begin().await.unwrap_err();
    assert!(matches!(error, StoreError::AlreadyRunning(_)), "{error}");
}

async fn of_many_that_begin_at_once_one_does(world: World) {
    let world = world.with_catalogue().await;
    world.release("cart", "1.0.0").await;
    let second = world.second().await;
    let wish_of_cart = wish("cart", "live", "1.0.0");
    let admitted = world.admit(&wish_of_cart, 0).await;
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let store = if number % 2 == 0 {
                &world.store
            } else {
                &second
            };
            let (store, admitted) = (store.clone(), admitted.clone());
            tokio::spawn(async move {
                let deployment = deployment_of(&admitted, None);
                let event = event::of_request(&deployment);
                let audit = audit("deployment.request");
                let begun = store.begin(&admitted, &deployment, &event, audit).await;
                begun.map(|()| deployment.id)
            })
        })
        .collect();
    let (mut begun, mut told) = (Vec::new(), BTreeSet::new());
    for task in tasks {
        match task.await.unwrap() {
            Ok(id) => begun.push(id),
            Err(StoreError::AlreadyRunning(id)) => {
                told.insert(id);
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(begun.len(), 1, "one of twenty begins");
    assert_eq!(
        told.into_iter().collect::<Vec<_>>(),
        begun,
        "the others hear which"
    );
}

async fn freezes_are_found_by_environment_and_by_type(world: World) {
    let world = world.with_catalogue().await;
    let freezes = [
        freeze("both", &["live", "test"], &["production"]),
        freeze("elsewhere", &["test"], &[]),
        freeze("of-its-type", &[], &["production"]),
    ];
    let audits = [audit("freeze.create")];
    let put = world.store.put_and_delete(&freezes, &audits);
    put.await.unwrap();
    let found = async |place: Wish| {
        let facts = world.store.facts(&place, NOW).await.unwrap();
        assert_eq!(facts.now, NOW);
        let names = facts.freezes.into_iter().map(|it| it.name.to_string());
        names.collect::<Vec<_>>()
    };
    let live = found(wish("cart", "live", "1.0.0")).await;
    assert_eq!(live, ["both", "of-its-type"]);
    assert_eq!(found(wish("cart", "none", "1.0.0")).await, [""; 0]);
}

async fn a_freeze_stops_what_was_admitted_before(world: World) {
    let world = world.with_catalogue().await;
    world.release("cart", "1.0.0").await;
    let wish_of_cart = wish("cart", "live", "1.0.0");
    let (admitted, deployment) = world.planned(&wish_of_cart, 0).await;
    let sales = [freeze("sales", &["live"], &[])];
    let audits = [audit("freeze.create")];
    let put = world.store.put_and_delete(&sales, &audits);
    put.await.unwrap();
    let event = event::of_request(&deployment);
    let begin = world
        .store
        .begin(&admitted, &deployment, &event, audit("deployment.request"));
    let Err(StoreError::Refused(objections)) = begin.await else {
        panic!("it began although live is frozen");
    };
    let [Objection::EnvironmentFrozen { freeze, until, .. }] = &objections[..] else {
        panic!("{objections:?}");
    };
    assert_eq!(freeze.as_str(), "sales");
    assert_eq!(*until, NOW.plus_ms(86_400_000));
}

/// What is read whole must stay readable.
async fn there_is_room_for_so_many_freezes(world: World) {
    let world = world.with_catalogue().await;
    let most = Kind::Freeze.words().most.unwrap();
    assert!(most <= PAGE_MAX, "they are read at once");
    let all: Vec<Change> = (0..most)
        .map(|number| freeze(&format!("f{number}"), &["live"], &[]))
        .collect();
    let put = async |changes: &[Change]| {
        let audit = [audit("freeze.create")];
        world.store.put_and_delete(changes, &audit).await
    };
    put(&all).await.unwrap();
    let facts = world.store.facts(&wish("cart", "live", "1.0.0"), NOW).await;
    assert_eq!(facts.unwrap().freezes.len(), all.len());
    put(&all[..1]).await.unwrap();
    let more = put(&[freeze("more", &["live"], &[])]).await.unwrap_err();
    assert_eq!(
        more.to_string(),
        "the catalogue has room for 200 freezes; delete some"
    );
    let instead = [delete(Kind::Freeze, "f0"), freeze("more", &["live"], &[])];
    put(&instead).await.unwrap();
}

async fn governance_is_asked_again(world: World) {
    let world = world.with_catalogue().await;
    let release = world.release("cart", "1.0.0").await;
    let wish_of_cart = wish("cart", "live", "1.0.0");
    let (admitted, deployment) = world.planned(&wish_of_cart, 0).await;
    let lock = Lock {
        by: "bob".to_owned(),
        since: NOW,
        reason: "sales".to_owned(),
    };
    let environment = &wish_of_cart.place.environment;
    world
        .store
        .lock(environment, &lock, audit("environment.lock"))
        .await
        .unwrap();
    let withdrawal = Withdrawal {
        at: NOW,
        by: "bob".to_owned(),
        reason: "it loses orders".to_owned(),
    };
    let withdraw = world.store.withdraw(
        &release.service,
        &release.version,
        &withdrawal,
        audit("release.withdraw"),
    );
    withdraw.await.unwrap();
    let event = event::of_request(&deployment);
    let begin = world
        .store
        .begin(&admitted, &deployment, &event, audit("deployment.request"));
    let Err(StoreError::Refused(objections)) = begin.await else {
        panic!("it began although it is locked and withdrawn");
    };
    assert!(
        matches!(
            objections[..],
            [
                Objection::ReleaseWithdrawn { .. },
                Objection::EnvironmentLocked { .. }
            ]
        ),
        "{objections:?}"
    );
    assert_eq!(world.store.deployment(&deployment.id).await.unwrap(), None);
}

async fn what_moved_meanwhile_is_noticed(world: World) {
    let world = world.with_catalogue().await;
    world.release("cart", "1.0.0").await;
    world.release("cart", "2.0.0").await;
    let second = wish("cart", "live", "2.0.0");
    let (admitted, planned) = world.planned(&second, 0).await;
    let begin = || {
        let event = event::of_request(&planned);
        let audit = audit("deployment.request");
        let (admitted, planned) = (admitted.clone(), planned.clone());
        let store = world.store.clone();
        async move { store.begin(&admitted, &planned, &event, audit).await }
    };
    let resize = async |size| {
        let apply = [audit("catalogue.apply")];
        let changes = [server_group("cart", "live", size)];
        world.store.put_and_delete(&changes, &apply).await.unwrap();
    };
    resize(5).await;
    let error = begin().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the server group cart.live changed meanwhile; look again"
    );
    resize(4).await;

    let first = world
        .begin(&wish("cart", "live", "1.0.0"), 0)
        .await
        .unwrap();
    let done = ended(&first, Outcome::Succeeded);
    world.store.save(&done, &[]).await.unwrap();
    let error = begin().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "what is live in cart.live changed meanwhile; look again"
    );
    let found = world
        .store
        .deployments(&Default::default(), &Visible::everything(), None, 10)
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
}

async fn an_account_is_part_of_what_is_admitted(world: World) {
    let world = world.with_catalogue().await;
    world.release("cart", "1.0.0").await;
    let describe = async |region: &str| world.on_aws("cart", &account("cloud", region)).await;
    describe("eu-west-1").await;
    let wish = wish("cart", "live", "1.0.0");
    let facts = world.store.facts(&wish, NOW).await.unwrap();
    assert_eq!(facts.account, Some(account("cloud", "eu-west-1")));
    let gone = [delete(Kind::Account, "cloud")];
    let refused = world.store.put_and_delete(&gone, &[audit("x")]).await;
    assert!(matches!(refused, Err(StoreError::Referenced { .. })));

    let (admitted, planned) = world.planned(&wish, 0).await;
    describe("eu-north-1").await;
    let event = event::of_request(&planned);
    let begin = world
        .store
        .begin(&admitted, &planned, &event, audit("deployment.request"));
    assert_eq!(
        begin.await.unwrap_err().to_string(),
        "the account of cart.live changed meanwhile; look again"
    );
    world.begin(&wish, 0).await.unwrap();
}

async fn only_what_was_admitted_begins(world: World) {
    let world = world.with_catalogue().await;
    world.release("cart", "1.0.0").await;
    let (admitted, good) = world.planned(&wish("cart", "live", "1.0.0"), 0).await;
    let mut elsewhere = good.clone();
    elsewhere.target.place = place("cart", "test");
    let mut larger = good.clone();
    larger.target.group.size = 40;
    let mut other = good.clone();
    other.launch.version = "9.9.9".parse().unwrap();
    let mut foreign = good.clone();
    foreign.target.account = Some(account("cloud", "eu"));
    let mut patched = good.clone();
    let image = "ami-01234567".parse().unwrap();
    patched.launch.content = patched.launch.content.on(image);
    let done = ended(&good, Outcome::Succeeded);
    for deployment in [elsewhere, larger, other, foreign, patched, done] {
        let event = event::of_request(&deployment);
        let audit = audit("deployment.request");
        let begin = world.store.begin(&admitted, &deployment, &event, audit);
        let error = begin.await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
    }
    let found = world
        .store
        .deployments(&Default::default(), &Visible::everything(), None, 10)
        .await
        .unwrap();
    assert!(found.is_empty(), "{found:?}");
}
