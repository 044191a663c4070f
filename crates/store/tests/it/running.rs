//! Stories of deployments that run: commands, events, what becomes live, and listing them.

use domain::{
    access::Visible,
    deployment::{Command, Deployment, Outcome},
    event::{self, Event, What},
    names::DeploymentId,
};
use engine::ports::{Journal, Saved};
use store::{
    StoreError,
    deployments::{Filter, RECORD_BYTES_MAX},
};

use crate::{
    stories,
    world::{NOW, World, audit, ended, event, next_id, place, turned, wish},
};

stories!(
    a_command_and_a_turn_do_not_overwrite_each_other,
    events_are_counted_per_deployment,
    success_makes_a_release_live,
    the_places_of_an_environment_are_listed,
    deployments_are_listed_newest_first,
    what_is_too_large_is_refused,
    the_first_fill_is_measured,
);

async fn a_command_and_a_turn_do_not_overwrite_each_other(world: World) {
    let world = world.with_catalogue().await;
    world.release("cart", "1.0.0").await;
    let read = world
        .begin(&wish("cart", "live", "1.0.0"), 0)
        .await
        .unwrap();
    let paused = read.clone().command(Command::Pause, "ann", NOW).unwrap();
    let events = event::of_command(&Command::Pause, "ann", &paused, NOW);
    let pause = |deployment: Deployment| {
        let (store, events) = (world.store.clone(), events.clone());
        async move {
            store
                .command(&deployment, &events, audit("deployment.pause"))
                .await
        }
    };
    // The engine was faster.
    let turn = turned(&read);
    assert_eq!(world.store.save(&turn, &[]).await.unwrap(), Saved::Stored);
    let before = world.audits().await;
    let error = pause(paused.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::Superseded { .. }), "{error}");
    assert_eq!(world.audits().await, before);
    // The person looks again, and is faster now.
    let paused = turn.clone().command(Command::Pause, "ann", NOW).unwrap();
    pause(paused.clone()).await.unwrap();
    assert_eq!(world.audits().await, before + 1);
    let late = world
        .store
        .save(&turned(&turn), &[event("late")])
        .await
        .unwrap();
    assert_eq!(late, Saved::Superseded);
    let stored = world.store.deployment(&read.id).await.unwrap();
    assert_eq!(stored, Some(paused));
    let events = world.store.events(&read.id, 0, 10).await.unwrap();
    assert_eq!(
        events.len(),
        2,
        "nothing of what was superseded: {events:?}"
    );

    let nothing = Deployment {
        id: next_id(),
        ..turned(&read)
    };
    let error = pause(nothing.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::Superseded { .. }), "{error}");
    let saved = world.store.save(&nothing, &[]).await.unwrap();
    assert_eq!(saved, Saved::Superseded);
}

async fn events_are_counted_per_deployment(world: World) {
    let world = world.with_catalogue().await;
    world.release("cart", "1.0.0").await;
    let mut carts = world
        .begin(&wish("cart", "live", "1.0.0"), 0)
        .await
        .unwrap();
    let other = world
        .begin(&wish("cart", "test", "1.0.0"), 0)
        .await
        .unwrap();
    for turn in ["a", "b", "c"] {
        carts = turned(&carts);
        let events = [event(turn), event(&turn.to_uppercase())];
        world.store.save(&carts, &events).await.unwrap();
    }
    let read = async |id: &DeploymentId, after, limit| {
        let events = world.store.events(id, after, limit).await.unwrap();
        let short = |(seq, event): (i64, Event)| format!("{seq} {}", event.message);
        events.into_iter().map(short).collect::<Vec<_>>()
    };
    let all = read(&carts.id, 0, 100).await;
    assert_eq!(
        all[0],
        "1 ann asked to deploy cart 1.0.0 to live by scale-up"
    );
    assert_eq!(all[1..], ["2 a", "3 A", "4 b", "5 B", "6 c", "7 C"]);
    assert_eq!(read(&carts.id, 3, 2).await, ["4 b", "5 B"]);
    assert!(read(&carts.id, 7, 2).await.is_empty());
    assert_eq!(read(&other.id, 0, 100).await.len(), 1);
    assert!(read(&next_id(), 0, 100).await.is_empty());
}

async fn success_makes_a_release_live(world: World) {
    let world = world.with_catalogue().await;
    let mut launches = Vec::new();
    let at = place("cart", "live");
    for (version, outcome, current) in [
        ("1.0.0", Outcome::Succeeded, 0),
        ("2.0.0", Outcome::Succeeded, 4),
        ("3.0.0", Outcome::RolledBack, 4),
        ("4.0.0", Outcome::Aborted, 4),
        ("5.0.0", Outcome::Failed, 4),
    ] {
        world.release("cart", version).await;
        let deployment = world
            .begin(&wish("cart", "live", version), current)
            .await
            .unwrap();
        world.store.save(&turned(&deployment), &[]).await.unwrap();
        let done = ended(&turned(&deployment), outcome);
        assert_eq!(world.store.save(&done, &[]).await.unwrap(), Saved::Stored);
        let again = world.store.save(&turned(&done), &[]).await.unwrap();
        assert_eq!(again, Saved::Superseded, "what ended is not written again");
        launches.push((deployment.id, deployment.launch));
    }
    let live = world.store.live(&at).await.unwrap().unwrap();
    assert_eq!(live.place, at);
    assert_eq!(live.deployment, launches[1].0);
    assert_eq!(live.launch, launches[1].1);
    assert_eq!(live.previous, Some(launches[0].1.clone()));
    assert_eq!(live.since, NOW.plus_ms(60_000));
    assert_eq!(
        world.store.live(&place("cart", "test")).await.unwrap(),
        None
    );

    let audits = world.store.audit_events(None, 1, &Default::default()).await;
    let last = audits.unwrap().remove(0);
    assert_eq!(
        (last.actor.as_str(), last.action.as_str()),
        ("pointsman", "deployment.finish")
    );
    assert_eq!(last.detail["outcome"], "failed");
}

async fn the_places_of_an_environment_are_listed(world: World) {
    let world = world.with_catalogue().await;
    for service in ["till", "cart"] {
        world.release(service, "1.0.0").await;
        for environment in ["test", "live"] {
            let wish = wish(service, environment, "1.0.0");
            let deployment = world.begin(&wish, 0).await.unwrap();
            let done = ended(&deployment, Outcome::Succeeded);
            world.store.save(&done, &[]).await.unwrap();
        }
    }
    world.release("till", "1.1.0").await;
    let wish = wish("till", "live", "1.1.0");
    let running = world.begin(&wish, 3).await.unwrap();
    let list = async |environment: &str, size| {
        let environment = environment.parse().unwrap();
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let all = Visible::everything();
            let page = world.store.places(&environment, &all, after.as_ref(), size);
            let page = page.await.unwrap();
            let Some(last) = page.last() else {
                return seen;
            };
            after = Some(last.service.clone());
            seen.extend(page.into_iter().map(|at| {
                let live = at.live.map(|live| live.launch.version.to_string());
                let deployment = at.deployment.map(|deployment| deployment.id);
                (at.group.name, live.unwrap_or_default(), deployment)
            }));
        }
    };
    let row = |name: &str, deployment| (name.to_owned(), "1.0.0".to_owned(), deployment);
    for size in [1, 3, 500] {
        assert_eq!(
            list("live", size).await,
            [
                row("cart.live", None),
                row("till.live", Some(running.id.clone()))
            ]
        );
        assert_eq!(
            list("test", size).await,
            [row("cart.test", None), row("till.test", None)]
        );
        assert_eq!(list("nowhere", size).await, []);
    }
}

async fn deployments_are_listed_newest_first(world: World) {
    let world = world.with_catalogue().await;
    let mut ids = Vec::new();
    for (service, environment, finish) in [
        ("cart", "live", true),
        ("cart", "test", false),
        ("till", "live", true),
        ("till", "live", true),
        ("till", "live", false),
        ("cart", "live", false),
    ] {
        world.release(service, "1.0.0").await;
        let wish = wish(service, environment, "1.0.0");
        let deployment = world.begin(&wish, 0).await.unwrap();
        if finish {
            let done = ended(&deployment, Outcome::Aborted);
            world.store.save(&done, &[]).await.unwrap();
        }
        ids.push(deployment.id);
    }
    let list = async |service: Option<&str>, environment: Option<&str>, unfinished, size| {
        let filter = Filter {
            service: service.map(|name| name.parse().unwrap()),
            environment: environment.map(|name| name.parse().unwrap()),
            unfinished,
            ..Filter::default()
        };
        let mut seen: Vec<usize> = Vec::new();
        loop {
            let before = seen.last().map(|index| &ids[*index]);
            let all = Visible::everything();
            let page = world
                .store
                .deployments(&filter, &all, before, size)
                .await
                .unwrap();
            if page.is_empty() {
                return seen;
            }
            let index = |d: &Deployment| ids.iter().position(|id| *id == d.id).unwrap();
            seen.extend(page.iter().map(index));
        }
    };
    assert_eq!(list(None, None, false, 4).await, [5, 4, 3, 2, 1, 0]);
    assert_eq!(list(Some("cart"), None, false, 2).await, [5, 1, 0]);
    assert_eq!(list(None, Some("live"), false, 2).await, [5, 4, 3, 2, 0]);
    assert_eq!(list(Some("till"), Some("live"), false, 9).await, [4, 3, 2]);
    assert_eq!(list(None, None, true, 2).await, [5, 4, 1]);
    assert_eq!(list(Some("cart"), Some("test"), true, 2).await, [1]);
    assert!(list(Some("till"), Some("test"), false, 2).await.is_empty());
}

async fn what_is_too_large_is_refused(world: World) {
    let world = world.with_catalogue().await;
    world.release("cart", "1.0.0").await;
    let read = world
        .begin(&wish("cart", "live", "1.0.0"), 0)
        .await
        .unwrap();
    let mut large = turned(&read);
    large.requested_by = "x".repeat(RECORD_BYTES_MAX);
    let error = world.store.save(&large, &[]).await.unwrap_err();
    assert!(
        error.to_string().contains("at most 1048576 are kept"),
        "{error}"
    );
    let long = event(&"x".repeat(300 * 1024));
    let error = world.store.save(&turned(&read), &[long]).await.unwrap_err();
    assert!(
        error.to_string().contains("at most 262144 are kept"),
        "{error}"
    );
    let many = vec![event("many"); 1001];
    let error = world.store.save(&turned(&read), &many).await.unwrap_err();
    assert!(
        error.to_string().contains("at most 1000 at once"),
        "{error}"
    );
    let stored = world.store.deployment(&read.id).await.unwrap();
    assert_eq!(stored, Some(read), "nothing was stored");
}

async fn the_first_fill_is_measured(world: World) {
    let world = world.with_catalogue().await;
    world.release("cart", "1.0.0").await;
    let at = place("cart", "live");
    assert_eq!(world.store.last_fill_ms(&at).await.unwrap(), None);
    let read = world
        .begin(&wish("cart", "live", "1.0.0"), 0)
        .await
        .unwrap();
    let entered = |step, ms| Event {
        at: NOW.plus_ms(ms),
        what: What::StepStarted { step },
        message: "a step".to_owned(),
    };
    let turn = turned(&read);
    let steps = [entered(0, 1000), entered(1, 8500), entered(2, 20_000)];
    world.store.save(&turn, &steps).await.unwrap();
    let done = ended(&turn, Outcome::Succeeded);
    world.store.save(&done, &[]).await.unwrap();
    assert_eq!(world.store.last_fill_ms(&at).await.unwrap(), Some(7500));
}
