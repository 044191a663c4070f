//! Stories of the audit log.

use domain::access::Visible;
use domain::catalogue::Kind;
use serde_json::json;
use store::{
    Audit, StoreError,
    audit::{AuditEvent, DETAIL_BYTES_MAX, Filter, Verification},
};

use crate::{
    stories,
    world::{NOW, World, allowed, audit, team},
};

stories!(
    the_log_is_chained_and_listed,
    the_database_refuses_to_change_the_log,
    an_edited_event_is_found,
    a_missing_event_is_found,
    swapped_events_are_found,
    a_log_that_was_cut_short_is_found,
    an_event_that_was_slipped_in_is_found,
    a_new_event_after_tampering_does_not_hide_it,
    the_head_proves_what_a_chain_alone_cannot,
    many_at_once_make_one_chain,
    a_bad_event_undoes_its_mutation,
);

async fn write(world: &World, number: i64) {
    for index in 0..number {
        let actor = allowed(if index % 2 == 0 { "ann" } else { "bob" });
        let subject = format!("team/t{index}");
        let detail = json!({"index": index, "quoted": "\"[1,2]\" \\ \u{0} é"});
        let at = NOW.plus_ms(u64::try_from(index).unwrap());
        let event = Audit::of(&actor, "catalogue.apply", &subject, detail, at);
        let changes = [team(&format!("t{index}"))];
        world
            .store
            .put_and_delete(&changes, &[event])
            .await
            .unwrap();
    }
}

/// Takes away what protects the log, as somebody with access to the database could.
async fn unprotect(world: &World) {
    let on = if world.is_sqlite() {
        ""
    } else {
        "on audit_events"
    };
    let drop =
        ["no_update", "no_delete"].map(|name| format!("drop trigger audit_events_{name} {on};"));
    world.tamper(&drop.join("\n")).await.unwrap();
}

async fn tampered(world: &World, sql: &str) -> Verification {
    unprotect(world).await;
    world.tamper(sql).await.unwrap();
    world.store.verify().await.unwrap()
}

fn broken(checked: i64, why: &str, found: Verification) {
    assert_eq!(
        (found.checked, found.first_broken),
        (checked, Some(checked + 1))
    );
    assert_eq!(found.why.as_deref(), Some(why));
}

async fn the_log_is_chained_and_listed(world: World) {
    let empty = world.store.verify().await.unwrap();
    assert_eq!((empty.checked, empty.first_broken), (0, None));
    assert_eq!(empty.head, "0".repeat(64));

    write(&world, 5).await;
    let list = async |before, limit, filter: &Filter| -> Vec<AuditEvent> {
        world
            .store
            .audit_events(before, limit, filter)
            .await
            .unwrap()
    };
    let all = list(None, 10, &Filter::default()).await;
    let seqs = |events: &[AuditEvent]| events.iter().map(|e| e.seq).collect::<Vec<_>>();
    assert_eq!(seqs(&all), [5, 4, 3, 2, 1]);
    assert_eq!(all[0].previous_hash, all[1].hash);
    assert_eq!(all[4].actor, "ann");
    assert_eq!(all[4].detail["quoted"], "\"[1,2]\" \\ \u{0} é");
    assert_eq!(all[4].at, NOW);
    assert_eq!(seqs(&list(Some(4), 2, &Filter::default()).await), [3, 2]);
    let bobs = Filter {
        actor: Some("bob".to_owned()),
        ..Filter::default()
    };
    assert_eq!(seqs(&list(None, 10, &bobs).await), [4, 2]);
    let one = Filter {
        actor: Some("ann".to_owned()),
        action: Some("catalogue.apply".to_owned()),
        subject: Some("team/t2".to_owned()),
        ..Filter::default()
    };
    assert_eq!(seqs(&list(None, 10, &one).await), [3]);
    let good = world.store.verify().await.unwrap();
    assert_eq!((good.checked, good.first_broken), (5, None));
    assert_eq!(good.head, all[0].hash);
}

async fn the_database_refuses_to_change_the_log(world: World) {
    write(&world, 2).await;
    for sql in [
        "update audit_events set actor = 'eve' where seq = 1",
        "delete from audit_events where seq = 2",
    ] {
        let error = world.tamper(sql).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
    assert_eq!(world.store.verify().await.unwrap().first_broken, None);
}

async fn an_edited_event_is_found(world: World) {
    write(&world, 4).await;
    let found = tampered(
        &world,
        "update audit_events set actor = 'eve' where seq = 3",
    )
    .await;
    broken(2, "the event is not as it was written", found);
}

async fn a_missing_event_is_found(world: World) {
    write(&world, 4).await;
    let found = tampered(&world, "delete from audit_events where seq = 2").await;
    broken(
        1,
        "the event is missing, and another one stands in its place",
        found,
    );
    let found = tampered_again(&world, "delete from audit_events where seq = 1").await;
    broken(
        0,
        "the event is missing, and another one stands in its place",
        found,
    );
}

async fn tampered_again(world: &World, sql: &str) -> Verification {
    world.tamper(sql).await.unwrap();
    world.store.verify().await.unwrap()
}

async fn swapped_events_are_found(world: World) {
    write(&world, 4).await;
    let swap = "update audit_events set seq = 99 where seq = 2;
        update audit_events set seq = 2 where seq = 3;
        update audit_events set seq = 3 where seq = 99;";
    let found = tampered(&world, swap).await;
    broken(1, "the event does not follow the one before it", found);
}

async fn a_log_that_was_cut_short_is_found(world: World) {
    write(&world, 4).await;
    let found = tampered(&world, "delete from audit_events where seq > 2").await;
    broken(2, "the log was cut short here", found);
    let found = tampered_again(&world, "delete from audit_events").await;
    broken(0, "the log was cut short here", found);
}

async fn an_event_that_was_slipped_in_is_found(world: World) {
    write(&world, 2).await;
    let insert = |seq: i64| {
        format!(
            "insert into audit_events select {seq}, at, actor, action, subject, detail,
            previous_hash, hash from audit_events where seq = 2"
        )
    };
    let found = tampered(&world, &insert(-1)).await;
    broken(
        0,
        "the event is missing, and another one stands in its place",
        found,
    );
    tampered_again(&world, "delete from audit_events where seq = -1").await;
    let found = tampered_again(&world, &insert(3)).await;
    broken(2, "the event does not follow the one before it", found);
}

async fn a_new_event_after_tampering_does_not_hide_it(world: World) {
    write(&world, 3).await;
    tampered(&world, "delete from audit_events where seq = 3").await;
    write(&world, 1).await;
    let found = world.store.verify().await.unwrap();
    broken(
        2,
        "the event is missing, and another one stands in its place",
        found,
    );
}

/// Somebody who cuts the log *and* sets the noted end is not found by the chain; a head that was
/// kept elsewhere tells.
async fn the_head_proves_what_a_chain_alone_cannot(world: World) {
    write(&world, 3).await;
    let kept = world.store.verify().await.unwrap();
    let forged = "delete from audit_events where seq = 3;
        update audit_tail set seq = 2,
            hash = (select hash from audit_events where seq = 2) where id = 1;";
    let found = tampered(&world, forged).await;
    assert_eq!((found.checked, found.first_broken), (2, None));
    assert!(found.checked < kept.checked && found.head != kept.head);
    let kept = (kept.checked, kept.head);
    let found = world.store.verify_since(Some(&kept)).await.unwrap();
    assert_eq!(found.first_broken, Some(3), "it was cut short: {found:?}");
    write(&world, 2).await;
    let found = world.store.verify_since(Some(&kept)).await.unwrap();
    assert_eq!(found.first_broken, Some(3), "another event took its place");
    let head = world.store.verify().await.unwrap();
    let now = (head.checked, head.head);
    let found = world.store.verify_since(Some(&now)).await.unwrap();
    assert_eq!(found.first_broken, None);
}

async fn many_at_once_make_one_chain(world: World) {
    let second = world.second().await;
    let tasks: Vec<_> = (0..40)
        .map(|number| {
            let store = if number % 2 == 0 {
                &world.store
            } else {
                &second
            };
            let store = store.clone();
            tokio::spawn(async move {
                let (changes, apply) = ([team(&format!("t{number}"))], [audit("catalogue.apply")]);
                store.put_and_delete(&changes, &apply).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let good = world.store.verify().await.unwrap();
    assert_eq!((good.checked, good.first_broken), (40, None));
}

async fn a_bad_event_undoes_its_mutation(world: World) {
    let large = json!("x".repeat(DETAIL_BYTES_MAX));
    let large = Audit::of(&allowed("ann"), "catalogue.apply", "story/1", large, NOW);
    let nothing = Audit::of(&allowed("ann"), "", "story/1", json!({}), NOW);
    for event in [large, nothing] {
        let error = world
            .store
            .put_and_delete(&[team("shop")], &[event])
            .await
            .unwrap_err();
        let expected = matches!(
            error,
            StoreError::TooLarge { .. } | StoreError::Invalid { .. }
        );
        assert!(expected, "{error}");
    }
    let error = world
        .store
        .put_and_delete(&[team("shop")], &[])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("say who"), "{error}");
    let filter = Default::default();
    let teams = world
        .store
        .entries((Kind::Team, &filter), &Visible::everything(), None, 9)
        .await
        .unwrap();
    assert!(teams.is_empty());
}
