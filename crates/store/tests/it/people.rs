//! Stories of sessions, codes, tokens and refused attempts.

use std::collections::BTreeSet;

use domain::{
    access::Principal,
    access::{PersonName, Reach, Resource, Right, Scope, SessionId, TokenId, Via, Who},
    time::UnixMs,
};
use store::{
    people::Code,
    refused::{ROWS_OF_AN_HOUR_MAX, Refused},
    sessions::{SESSIONS_MAX, Session},
    tokens::{Token, TokenCreated},
};

use crate::{
    access::add,
    stories,
    world::{NOW, World, audit, digest, person},
};

stories!(
    a_session_lasts_until_it_ends_and_the_one_before_ends_with_it,
    a_person_has_so_many_sessions,
    disabling_ends_sessions_and_codes,
    a_code_counts_once,
    a_new_password_ends_the_other_sessions,
    a_token_lets_its_owner_in_until_it_is_revoked_or_ends,
    an_attack_is_a_few_rows,
);

const HOUR: u64 = 3_600_000;

fn ann() -> PersonName {
    "ann".parse().unwrap()
}

fn session(id: &str, at: UnixMs) -> Session {
    Session {
        id: SessionId(id.to_owned()),
        person: ann(),
        created_at: at,
        seen_at: at,
        idle_ends_at: at.plus_ms(HOUR),
        ends_at: at.plus_ms(12 * HOUR),
        seen_from: "127.0.0.1".to_owned(),
        confirmed: None,
    }
}

async fn begin(world: &World, id: &str, old: Option<&str>, at: UnixMs) {
    let old = old.map(digest);
    let (session, new) = (session(id, at), digest(id));
    let begun = world
        .store
        .begin_session(&session, &new, old.as_ref(), "password");
    assert!(begun.await.unwrap());
}

async fn is_open(world: &World, id: &str, at: UnixMs) -> bool {
    let session = world.store.session(&digest(id), at).await.unwrap();
    session.is_some()
}

async fn a_session_lasts_until_it_ends_and_the_one_before_ends_with_it(world: World) {
    add(&world, "ann").await;
    begin(&world, "one", None, NOW).await;
    assert!(is_open(&world, "one", NOW).await);
    assert!(!is_open(&world, "one", NOW.plus_ms(HOUR)).await, "idle");
    let mut used = session("one", NOW);
    used.idle_ends_at = NOW.plus_ms(13 * HOUR);
    world.store.session_seen(&used).await.unwrap();
    assert!(is_open(&world, "one", NOW.plus_ms(11 * HOUR)).await);
    assert!(!is_open(&world, "one", NOW.plus_ms(12 * HOUR)).await);

    begin(&world, "two", Some("one"), NOW).await;
    assert!(!is_open(&world, "one", NOW).await, "it was replaced");
    let principal = Principal::authenticated(
        Who::Person(ann()),
        Via::Session(SessionId("two".to_owned())),
        Reach::Full,
    );
    let counts = async |at| {
        let facts = world.store.access(&principal, Resource::Everything, at);
        facts.await.unwrap().counts
    };
    assert!(counts(NOW).await);
    assert!(!counts(NOW.plus_ms(HOUR)).await, "a stream ends with it");
    let id = SessionId("two".to_owned());
    let bob = "bob".parse().unwrap();
    assert!(!world.store.end_session(&bob, &id, NOW).await.unwrap());
    assert!(world.store.end_session(&ann(), &id, NOW).await.unwrap());
    assert!(!is_open(&world, "two", NOW).await);
    assert!(!counts(NOW).await);
}

async fn a_person_has_so_many_sessions(world: World) {
    add(&world, "ann").await;
    let most = u64::try_from(SESSIONS_MAX).unwrap();
    for n in 0..=most {
        begin(&world, &format!("s{n}"), None, NOW.plus_ms(n)).await;
    }
    let sessions = world.store.sessions(&ann(), NOW).await.unwrap();
    assert_eq!(sessions.len(), SESSIONS_MAX as usize);
    assert!(!is_open(&world, "s0", NOW).await, "the oldest made room");
    let ended = world.store.end_own_sessions(&ann(), NOW).await.unwrap();
    assert_eq!(ended, most);
}

async fn disabling_ends_sessions_and_codes(world: World) {
    let store = &world.store;
    let admin = crate::access::somebody("admin");
    let roles = [domain::access::Role::Admin];
    assert!(
        store
            .create_first_admin(&admin, None, &roles)
            .await
            .unwrap()
    );
    add(&world, "ann").await;
    begin(&world, "one", None, NOW).await;
    let code = Code {
        hash: digest("code"),
        ends_at: NOW.plus_ms(HOUR),
    };
    assert!(store.put_code(&ann(), &code, audit("x")).await.unwrap());
    let (ann, two) = (ann(), digest("two"));
    let disable = store.set_disabled(&ann, Some(NOW), audit("person.disable"));
    assert!(disable.await.unwrap());
    assert!(!is_open(&world, "one", NOW).await);
    assert_eq!(store.take_code(&digest("code"), NOW).await.unwrap(), None);
    let again = session("two", NOW);
    let begun = store.begin_session(&again, &two, None, "password");
    assert!(!begun.await.unwrap(), "who is disabled does not sign in");
}

async fn a_code_counts_once(world: World) {
    let store = &world.store;
    add(&world, "ann").await;
    let code = |name| Code {
        hash: digest(name),
        ends_at: NOW.plus_ms(HOUR),
    };
    for name in ["one", "two"] {
        let put = store.put_own_code(&ann(), &code(name), NOW).await;
        assert!(put.unwrap());
    }
    let take = async |name, at| store.take_code(&digest(name), at).await.unwrap();
    assert_eq!(take("one", NOW).await, None, "a newer one took its place");
    assert_eq!(take("two", NOW).await, Some(ann()));
    assert_eq!(take("two", NOW).await, None);
    store
        .put_own_code(&ann(), &code("three"), NOW)
        .await
        .unwrap();
    assert_eq!(take("three", NOW.plus_ms(HOUR)).await, None, "too late");
}

async fn a_new_password_ends_the_other_sessions(world: World) {
    let store = &world.store;
    add(&world, "ann").await;
    assert_eq!(store.password(&ann()).await.unwrap(), None);
    for id in ["one", "two"] {
        begin(&world, id, None, NOW).await;
    }
    let set = store.set_password(&ann(), "hash", Some("two"), NOW).await;
    assert!(set.unwrap());
    assert_eq!(store.password(&ann()).await.unwrap().unwrap(), "hash");
    assert!(!is_open(&world, "one", NOW).await);
    assert!(is_open(&world, "two", NOW).await);
    let nobody = "nobody".parse().unwrap();
    assert!(!store.set_password(&nobody, "x", None, NOW).await.unwrap());
}

fn token(id: &str, name: &str, reach: Reach) -> Token {
    Token {
        id: TokenId(id.to_owned()),
        who: Who::Person(ann()),
        name: name.to_owned(),
        reach,
        created_at: NOW,
        created_by: "ann".to_owned(),
        ends_at: NOW.plus_ms(HOUR),
        used_on: None,
        used_from: None,
    }
}

async fn a_token_lets_its_owner_in_until_it_is_revoked_or_ends(world: World) {
    let store = &world.store;
    let by = person("ann");
    let create = async |token: &Token| {
        let hash = digest(&token.id.0);
        store.create_token(token, &hash, &by).await.unwrap()
    };
    let full = token("one", "ci", Reach::Full);
    assert_eq!(create(&full).await, TokenCreated::Unknown);
    add(&world, "ann").await;
    let before = world.audits().await;
    assert_eq!(create(&full).await, TokenCreated::Created);
    let same = token("two", "ci", Reach::Full);
    assert_eq!(create(&same).await, TokenCreated::AlreadyThere);
    assert_eq!(world.audits().await, before + 1, "only what was done");
    let narrow = Reach::Narrow {
        rights: BTreeSet::from([Right::View, Right::Deploy]),
        scope: Scope {
            team: "shop".parse().ok(),
            environment_type: None,
        },
    };
    for (id, reach) in [("three", narrow), ("four", Reach::Scrape)] {
        let token = token(id, id, reach);
        assert_eq!(create(&token).await, TokenCreated::Created);
        assert_eq!(store.token(&token.id).await.unwrap(), Some(token));
    }
    let of = async |id: &str, at| store.token_of(&digest(id), at).await.unwrap();
    assert_eq!(of("one", NOW).await, Some(full.clone()));
    assert_eq!(of("one", NOW.plus_ms(HOUR)).await, None, "it ended");
    store.token_used(&full.id, NOW, "10.0.0.1").await.unwrap();
    let used = of("one", NOW).await.unwrap();
    assert_eq!(used.used_from.as_deref(), Some("10.0.0.1"));
    assert_eq!(store.tokens(None, None, 10).await.unwrap().len(), 3);
    let bob = "bob".parse().unwrap();
    assert_eq!(store.tokens(Some(&bob), None, 10).await.unwrap(), []);
    assert!(store.revoke_token(&full.id, &by, NOW).await.unwrap());
    assert!(!store.revoke_token(&full.id, &by, NOW).await.unwrap());
    assert_eq!(of("one", NOW).await, None);
}

async fn an_attack_is_a_few_rows(world: World) {
    let attempt = |n: i64| Refused {
        what: "sign_in".to_owned(),
        who: format!("guess{n}\u{1b}[31m"),
        address: "10.0.0.1".to_owned(),
        times: 1,
        first_at: NOW,
        last_at: NOW,
    };
    let attempts: Vec<Refused> = (0..1000).map(attempt).collect();
    for attempts in attempts.chunks(100) {
        world.store.note_refused(attempts).await.unwrap();
    }
    let rows = world.store.refused(None, 500).await.unwrap();
    assert_eq!(rows.len(), ROWS_OF_AN_HOUR_MAX as usize + 1);
    assert_eq!(rows.iter().map(|row| row.times).sum::<i64>(), 1000);
    assert!(rows.iter().all(|row| !row.who.contains('\u{1b}')));
    let before = Some(UnixMs(NOW.0 - 3_600_000));
    assert_eq!(world.store.refused(before, 10).await.unwrap(), []);
}
