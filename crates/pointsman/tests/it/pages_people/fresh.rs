//! What gives others a way in needs somebody who signed in lately.

use domain::{
    access::{PersonName, SessionId},
    release::Digest,
    time::UnixMs,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use store::sessions::Session;

use super::leads_to;
use crate::support::{TestApp, Visitor};

/// The owner in a session that began `minutes` ago.
async fn signed_in_before(app: &TestApp, minutes: i64) -> Visitor<'_> {
    let url = store::sqlite_url(&app.config.data.join("pointsman.db"));
    let store = store::Store::open(&url).await.unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let now = i64::try_from(now).unwrap();
    let began = UnixMs(now - minutes * 60_000);
    let session = Session {
        id: SessionId(format!("{minutes} minutes old")),
        person: PersonName::owner(),
        created_at: began,
        seen_at: UnixMs(now),
        idle_ends_at: began.plus_ms(3_600_000_000),
        ends_at: began.plus_ms(3_600_000_000),
        seen_from: "127.0.0.1".to_owned(),
        confirmed: None,
    };
    let secret = format!("secret{minutes}");
    let hash = Digest::from_bytes(Sha256::digest(secret.as_bytes()).into());
    let begun = store.begin_session(&session, &hash, None, "password");
    assert!(begun.await.unwrap());
    store.close().await;
    let mut visitor = Visitor::stranger(app);
    visitor.cookie = format!("__Host-pointsman={secret}");
    visitor
}

#[tokio::test]
async fn what_gives_others_a_way_in_needs_a_fresh_proof() {
    let app = TestApp::with_shop().await;
    app.invite("ann").await;
    let fresh = signed_in_before(&app, 29).await;
    let made = fresh.submit("/people", &[("name", "bob")]).await;
    assert_eq!(made.status, 201, "{}", made.text);

    let old = signed_in_before(&app, 31).await;
    let group = app.post("/api/v1/groups", json!({"name": "ops"})).await;
    assert_eq!(group.status, 201, "{}", group.text);
    let forms: [(&str, &[(&str, &str)]); 6] = [
        ("/people", &[("name", "eve")]),
        ("/people/ann/invite", &[]),
        ("/service-accounts", &[("name", "ci"), ("team", "web")]),
        (
            "/grants",
            &[("kind", "person"), ("name", "ann"), ("role", "admin")],
        ),
        ("/groups/ops/add", &[("person", "ann")]),
        ("/tokens", &[("name", "pipeline"), ("days", "7")]),
    ];
    for (path, fields) in forms {
        let refused = old.submit(path, fields).await;
        assert_eq!(refused.status, 403, "{path}: {}", refused.text);
        assert!(refused.text.contains("30 minutes ago"), "{}", refused.text);
    }
    let page = old.open("/tokens").await.text;
    assert!(
        page.contains("Sign in again"),
        "there is no password: {page}"
    );
    let set = [("new", "a rather long secret")];
    let set = fresh.submit("/profile/password", &set).await;
    leads_to(&set, "/profile");

    let old = signed_in_before(&app, 32).await;
    let page = old.open("/people").await.text;
    assert!(page.contains("name=\"again\""), "{page}");
    let wrong = [("name", "eve"), ("again", "another secret")];
    let wrong = old.submit("/people", &wrong).await;
    assert_eq!(wrong.status, 422, "{}", wrong.text);
    let right = [("name", "eve"), ("again", "a rather long secret")];
    let right = old.submit("/people", &right).await;
    assert_eq!(right.status, 201, "{}", right.text);
    // It counts for half an hour, and a token is not asked.
    let next = old.submit("/people/ann/invite", &[]).await;
    assert_eq!(next.status, 201, "{}", next.text);
    assert!(!old.open("/people").await.text.contains("name=\"again\""));
    let events = app.get("/api/v1/audit-events?action=session.prove").await;
    assert_eq!(events.json()["items"].as_array().unwrap().len(), 1);
}
