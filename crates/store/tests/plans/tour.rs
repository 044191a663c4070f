//! Everything that the store can be asked of people, sessions, tokens, groups and grants.

use domain::access::{GrantId, PersonName, Reach, Right, Role, SessionId, Subject, TokenId, Who};
use store::{Store, grants, groups, identities, people, refused, sessions, tokens};

use crate::world::{self, NOW};

pub async fn of_people(store: &Store) {
    let ann: PersonName = "ann".parse().unwrap();
    let person = people::Person {
        who: Who::Person(ann.clone()),
        team: None,
        provider: people::LOCAL.to_owned(),
        subject: "ann".to_owned(),
        has_password: false,
        created_at: NOW,
        created_by: "admin".to_owned(),
        signed_in_at: None,
        disabled_at: None,
    };
    let first = store.create_first_admin(&person, None, &[Role::Admin]);
    assert!(first.await.unwrap());
    let code = people::Code {
        hash: world::digest("code"),
        ends_at: NOW,
    };
    let event = || world::audit("person.create");
    store
        .create_person(&person, Some(&code), event())
        .await
        .unwrap();
    store.put_own_code(&ann, &code, NOW).await.unwrap();
    store.take_code(&code.hash, NOW).await.unwrap();
    store.has_admin().await.unwrap();
    store.person(&ann).await.unwrap();
    of_lists(store).await;
    let dark = serde_json::json!({"theme": "dark"});
    let nothing = serde_json::json!({});
    let set = store.set_preferences(&ann, &dark, &nothing, NOW);
    set.await.unwrap();
    let kept = store.preferences(&ann).await.unwrap();
    assert_eq!(kept.as_deref(), Some("{\"theme\":\"dark\"}"));
    store.password(&ann).await.unwrap();
    store.set_password(&ann, "hash", None, NOW).await.unwrap();
    assert!(store.set_disabled(&ann, Some(NOW), event()).await.is_err());
    store.set_disabled(&ann, None, event()).await.unwrap();
    of_sessions(store, &ann).await;
    of_identities(store, &person).await;
    of_tokens(store, &ann).await;
    of_groups(store, &ann).await;
}

async fn of_lists(store: &Store) {
    for (contains, is_account, disabled) in [
        (None, None, None),
        (Some("a"), Some(true), Some(true)),
        (Some("a_n%"), Some(false), Some(false)),
    ] {
        let filter = people::Filter {
            contains: contains.map(str::to_owned),
            is_account,
            disabled,
        };
        store.people(&filter, None, 10).await.unwrap();
    }
}

async fn of_groups(store: &Store, ann: &PersonName) {
    let event = || world::audit("group.change");
    let group = groups::Group {
        name: "people".parse().unwrap(),
        provider: people::LOCAL.to_owned(),
        provider_group: None,
        created_at: NOW,
        created_by: "admin".to_owned(),
    };
    store.create_group(&group, event()).await.unwrap();
    store.groups(None, 10).await.unwrap();
    store.add_member(&group.name, ann, event()).await.unwrap();
    store.members(&group.name).await.unwrap();
    let groups = [group.name.clone()];
    assert_eq!(store.counts(&groups).await.unwrap()[&group.name], 1);
    let members = store.members_of_all(&groups, 10).await.unwrap();
    assert_eq!(members, [(group.name.clone(), ann.clone())]);
    store.held(&Who::Person(ann.clone())).await.unwrap();
    store
        .remove_member(&group.name, ann, event())
        .await
        .unwrap();
    store.delete_group(&group.name, event()).await.unwrap();
    let subject = Subject::Person(ann.clone());
    let team = "web".parse().unwrap();
    let class = "production".parse().unwrap();
    let filters = [
        grants::Filter::default(),
        grants::Filter {
            subject: Some(subject),
            ..grants::Filter::default()
        },
        grants::Filter {
            gives: Some((Right::Approve, NOW)),
            team: Some(team),
            environment_type: Some(class),
            ..grants::Filter::default()
        },
    ];
    for filter in filters {
        store.grants(&filter, None, 10).await.unwrap();
    }
    let id = GrantId("none".to_owned());
    store.grant(&id).await.unwrap();
    store.remove_grant(&id, event()).await.unwrap();
}

async fn of_identities(store: &Store, person: &people::Person) {
    let begun = identities::Begun {
        provider: "corp".to_owned(),
        nonce: "n".to_owned(),
        verifier: "v".to_owned(),
        next: "/".to_owned(),
        ends_at: NOW.plus_ms(1),
    };
    let (state, browser) = (world::digest("state"), world::digest("browser"));
    let hashes = (&state, &browser);
    store.put_begun(hashes, &begun, NOW).await.unwrap();
    store.take_begun(hashes, NOW).await.unwrap().unwrap();
    let new = people::Person {
        provider: "corp".to_owned(),
        ..person.clone()
    };
    let (names, groups) = (["cleo".parse().unwrap()], ["staff".to_owned()]);
    let identified = store.identified(&new, &names, Some(&groups));
    identified.await.unwrap();
}

async fn of_sessions(store: &Store, ann: &PersonName) {
    let session = sessions::Session {
        id: SessionId("s".to_owned()),
        person: ann.clone(),
        created_at: NOW,
        seen_at: NOW,
        idle_ends_at: NOW.plus_ms(1),
        ends_at: NOW.plus_ms(1),
        seen_from: "127.0.0.1".to_owned(),
        confirmed: Some(sessions::Confirmed {
            provider: "corp".to_owned(),
            renewal: None,
            asked_at: NOW,
            at: NOW,
        }),
    };
    let (new, old) = (world::digest("new"), world::digest("old"));
    let begun = store.begin_session(&session, &new, Some(&old), "password");
    assert!(begun.await.unwrap());
    store.session(&new, NOW).await.unwrap();
    store.session_seen(&session).await.unwrap();
    store.prove_session(ann, &session.id, NOW).await.unwrap();
    assert!(store.proof(&session.id).await.unwrap().is_some());
    store.ask_again(&session.id, NOW, NOW).await.unwrap();
    let confirmed = session.confirmed.as_ref().unwrap();
    store.confirm_session(&session.id, confirmed).await.unwrap();
    store.sessions(ann, NOW).await.unwrap();
    store.end_session(ann, &session.id, NOW).await.unwrap();
    store.end_own_sessions(ann, NOW).await.unwrap();
}

async fn of_tokens(store: &Store, ann: &PersonName) {
    let token = tokens::Token {
        id: TokenId("t".to_owned()),
        who: Who::Person(ann.clone()),
        name: "ci".to_owned(),
        reach: Reach::Full,
        created_at: NOW,
        created_by: "ann".to_owned(),
        ends_at: NOW.plus_ms(1),
        used_on: None,
        used_from: None,
    };
    let (by, hash) = (world::person("ann"), world::digest("token"));
    store.create_token(&token, &hash, &by).await.unwrap();
    store.token_of(&hash, NOW).await.unwrap();
    store.token(&token.id).await.unwrap();
    store.token_used(&token.id, NOW, "127.0.0.1").await.unwrap();
    for owner in [None, Some(ann)] {
        store.tokens(owner, None, 10).await.unwrap();
    }
    store.revoke_token(&token.id, &by, NOW).await.unwrap();
    let attempt = refused::Refused {
        what: "sign_in".to_owned(),
        who: "ann".to_owned(),
        address: "127.0.0.1".to_owned(),
        times: 1,
        first_at: NOW,
        last_at: NOW,
    };
    store.note_refused(&[attempt]).await.unwrap();
    store.refused(None, 10).await.unwrap();
}
