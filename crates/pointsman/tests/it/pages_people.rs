//! The pages about people and rights: each form does what it says, secrets are shown once, and names are text.

mod audit;
mod fresh;

use serde_json::json;

use crate::support::{Answer, TestApp, Visitor};

/// What a field that shows a secret holds.
fn shown(page: &Answer, label: &str) -> String {
    let (_, field) = page.text.split_once(label).expect("the page shows it");
    let (_, value) = field.split_once("value=\"").unwrap();
    value.split_once('"').unwrap().0.to_owned()
}

/// An answer to a form that worked: the browser asks for `path` next.
fn leads_to(answer: &Answer, path: &str) {
    let to = (answer.status.as_u16(), answer.header("location"));
    assert_eq!(to, (303, path), "{}", answer.text);
}

#[tokio::test]
async fn a_person_is_invited_signs_in_once_and_goes() {
    let app = TestApp::with_shop().await;
    let admin = Visitor::owner(&app).await;
    let page = admin.submit("/people", &[("name", "bob")]).await;
    assert_eq!(page.status, 201, "{}", page.text);
    assert_eq!(page.header("cache-control"), "no-store");
    let code = shown(&page, "Code, for pointsman login");
    let link = shown(&page, "Link that signs them in");
    assert!(
        link.ends_with(&format!("/sign-in/link?code={code}")),
        "{link}"
    );
    for path in ["/people", "/people/bob", "/audit"] {
        assert!(!admin.open(path).await.text.contains(&code), "{path}");
    }
    let list = admin.open("/people?q=bo&kind=person&state=enabled").await;
    assert!(list.text.contains("invited"), "{}", list.text);
    assert!(!list.text.contains("/people/admin"), "the filter holds");

    let mut bob = Visitor::stranger(&app);
    let signed_in = bob.submit("/sign-in/link", &[("code", &code)]).await;
    bob.keep(&signed_in);
    assert_eq!(bob.open("/people").await.status, 403, "not yet an admin");
    let page = admin.open("/people/bob").await;
    assert!(page.text.contains("no grant concerns bob"), "{}", page.text);
    assert!(page.text.contains("127.0.0.1"), "his session is there");

    let grant = [
        ("kind", "person"),
        ("name", "bob"),
        ("role", "deployer"),
        ("team", "web"),
        ("next", "/people/bob"),
    ];
    leads_to(&admin.submit("/grants", &grant).await, "/people/bob");
    let page = admin.open("/people/bob").await;
    assert!(
        page.text.contains("for what team web owns"),
        "{}",
        page.text
    );
    let ended = admin.submit("/people/bob/end-sessions", &[]).await;
    leads_to(&ended, "/people/bob");
    assert_eq!(bob.open("/").await.status, 303, "his session has ended");

    let again = admin.submit("/people/bob/invite", &[]).await;
    assert_eq!(again.status, 201);
    assert_ne!(shown(&again, "Code, for pointsman login"), code);
    leads_to(
        &admin.submit("/people/bob/disable", &[]).await,
        "/people/bob",
    );
    let page = admin.open("/people/bob").await.text;
    assert!(page.contains("disabled") && page.contains("for what team web owns"));
    assert!(
        admin
            .open("/people?state=disabled")
            .await
            .text
            .contains("/people/bob")
    );
    leads_to(
        &admin.submit("/people/bob/enable", &[]).await,
        "/people/bob",
    );
    let last = admin.submit("/people/admin/disable", &[]).await;
    assert_eq!(last.status, 409, "somebody must be able to grant");
}

#[tokio::test]
async fn groups_and_grants_say_who_may_do_what() {
    let app = TestApp::with_shop().await;
    let admin = Visitor::owner(&app).await;
    for name in ["ann", "bob"] {
        app.invite(name).await;
    }
    leads_to(
        &admin.submit("/groups", &[("name", "ops")]).await,
        "/groups/ops",
    );
    let add = admin.submit("/groups/ops/add", &[("person", "ann")]).await;
    leads_to(&add, "/groups/ops");
    assert!(admin.open("/groups").await.text.contains("ops"));
    let grant = [
        ("kind", "group"),
        ("name", "ops"),
        ("role", "approver"),
        ("type", "testing"),
        ("until", "2999-12-31"),
        ("next", "//evil.example"),
    ];
    leads_to(&admin.submit("/grants", &grant).await, "/grants");

    let who = admin.open("/grants?right=approve&type=testing").await.text;
    assert!(who.contains("/people/ann"), "by the group: {who}");
    assert!(!who.contains("/people/bob"), "{who}");
    let nobody = admin
        .open("/grants?right=approve&type=production&team=web")
        .await;
    assert!(nobody.text.contains("/people/admin"), "operators approve");
    assert!(!nobody.text.contains("/people/ann"), "{}", nobody.text);

    let yes = admin
        .open("/may?person=ann&right=approve&place=shop.staging")
        .await;
    assert!(yes.text.contains("by the grant"), "{}", yes.text);
    let no = admin
        .open("/may?person=bob&right=deploy&place=shop.staging")
        .await;
    assert!(no.text.contains("no: "), "{}", no.text);

    let page = admin.open("/groups/ops").await.text;
    assert!(page.contains("disabled"), "what is granted keeps the group");
    assert_eq!(admin.submit("/groups/ops/delete", &[]).await.status, 409);
    let (_, id) = page.split_once("action=\"/grants/").unwrap();
    let (id, _) = id.split_once("/remove").unwrap();
    let removed = admin
        .submit(&format!("/grants/{id}/remove"), &[("next", "/groups/ops")])
        .await;
    leads_to(&removed, "/groups/ops");
    let remove = admin
        .submit("/groups/ops/remove", &[("person", "ann")])
        .await;
    leads_to(&remove, "/groups/ops");
    leads_to(&admin.submit("/groups/ops/delete", &[]).await, "/groups");
    assert_eq!(admin.open("/groups/ops").await.status, 404);
}

#[tokio::test]
async fn a_token_is_shown_once_and_revoked() {
    let app = TestApp::with_shop().await;
    let admin = Visitor::owner(&app).await;
    let account = [("name", "ci"), ("team", "web")];
    leads_to(
        &admin.submit("/service-accounts", &account).await,
        "/people/ci",
    );
    let wish = [
        ("name", "<img src=x>\"'&"),
        ("owner", "ci"),
        ("days", "7"),
        ("right", "view"),
        ("right", "release"),
        ("team", "web"),
    ];
    let page = admin.submit("/tokens", &wish).await;
    assert_eq!(page.status, 201, "{}", page.text);
    let token = shown(&page, "Token<");
    assert!(token.starts_with("pm_"), "{token}");
    for path in ["/tokens", "/people/ci"] {
        let page = admin.open(path).await.text;
        assert!(!page.contains(&token) && !page.contains("<img"), "{path}");
        assert!(page.contains("&lt;img src=x&gt;"), "{path}: {page}");
        assert!(page.contains("<code>release</code>"), "{page}");
    }
    assert!(!page.text.contains("<img"), "{}", page.text);
    let page = admin.open("/tokens").await.text;
    let (_, id) = page.split_once("action=\"/tokens/").unwrap();
    let (id, _) = id.split_once("/revoke").unwrap();
    leads_to(
        &admin.submit(&format!("/tokens/{id}/revoke"), &[]).await,
        "/tokens",
    );
    assert!(!admin.open("/tokens").await.text.contains("&lt;img"));
    let bad = admin
        .submit("/tokens", &[("name", "x"), ("days", "many")])
        .await;
    assert_eq!(bad.status, 422, "{}", bad.text);
    let bad = admin
        .submit("/tokens", &[("name", "x"), ("right", "fly")])
        .await;
    assert_eq!(bad.status, 422, "{}", bad.text);
}

#[tokio::test]
async fn what_belongs_to_others_is_for_those_who_manage_people() {
    let app = TestApp::with_shop().await;
    let token = app.invite("eve").await;
    let grant = json!({"kind": "person", "name": "eve"});
    app.grant(grant, "operator", json!({})).await;
    let eve = Visitor::with_token(&app, &token).await;
    for path in [
        "/people",
        "/people/admin",
        "/groups",
        "/groups/x",
        "/grants",
    ] {
        let page = eve.open(path).await;
        assert_eq!(page.status, 403, "{path}");
        assert!(page.text.contains("administer"), "{path}: {}", page.text);
    }
    let own = eve.open("/tokens").await;
    assert_eq!(own.status, 200);
    assert!(own.text.contains("/people/eve") && !own.text.contains("/people/admin"));
    let others = eve.open("/may?person=admin&right=deploy").await;
    assert_eq!(others.status, 403);
    let own = eve.open("/may?right=deploy&place=shop.staging").await;
    assert!(own.text.contains("yes"), "{}", own.text);
    for path in ["/people/No%3Cimg%3E", "/groups/%22%3E%3Cimg%3E"] {
        let page = eve.open(path).await;
        assert_eq!(page.status, 404);
        assert!(!page.text.contains("<img"), "{}", page.text);
    }
}

#[tokio::test]
async fn hostile_words_in_addresses_are_text() {
    let app = TestApp::with_shop().await;
    let admin = Visitor::owner(&app).await;
    let evil = "%22%3E%3Cimg%20src%3Dx%3E";
    for path in [
        "/people?q=EVIL&kind=EVIL&state=EVIL",
        "/grants?right=EVIL&name=EVIL&kind=person&team=EVIL&type=EVIL&after=EVIL",
        "/tokens?owner=EVIL&after=EVIL",
        "/may?person=ann&place=EVIL&right=EVIL",
        "/groups?after=EVIL",
    ] {
        let page = admin.open(&path.replace("EVIL", evil)).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        assert!(!page.text.contains("<img"), "{path}: {}", page.text);
    }
}

#[tokio::test]
async fn what_people_prefer_is_the_same_in_every_browser() {
    let app = TestApp::with_shop().await;
    let one = Visitor::owner(&app).await;
    let two = Visitor::owner(&app).await;
    let page = one.open("/profile").await;
    assert!(
        page.text.contains("<html lang=\"en\">"),
        "as the browser says"
    );
    let wanted = [("zone", "Asia/Tokyo"), ("theme", "dark")];
    leads_to(
        &one.submit("/profile/preferences", &wanted).await,
        "/profile",
    );
    let favourite = [("service", "shop"), ("next", "/")];
    leads_to(&one.submit("/favourites", &favourite).await, "/");
    let page = two.open("/profile").await.text;
    assert!(page.contains("data-theme=\"dark\""), "{page}");
    assert!(
        page.contains(" JST</time>"),
        "times are in the zone: {page}"
    );
    let bad = [("zone", "<img>"), ("theme", "dark")];
    let bad = one.submit("/profile/preferences", &bad).await;
    assert_eq!(bad.status, 422);
    assert!(!bad.text.contains("<img"), "{}", bad.text);
    let kept = app.get("/api/v1/me/preferences").await.json();
    let all = json!({"zone": "Asia/Tokyo", "theme": "dark", "favourites": ["shop"]});
    assert_eq!(kept, all);
    let put = app.put("/api/v1/me/preferences", json!({})).await.json();
    assert_eq!(
        put,
        json!({"zone": null, "theme": "auto", "favourites": []})
    );
    let bad = app
        .put("/api/v1/me/preferences", json!({"zone": "a b"}))
        .await;
    assert_eq!(bad.status, 422, "{}", bad.text);
    let events = app.get("/api/v1/audit-events?action=preferences.put").await;
    assert_eq!(events.json()["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn favourites_come_first_on_the_overview() {
    let app = TestApp::with_shop().await;
    for name in ["aaa", "zzz"] {
        let body = json!({"owner": "web", "environment_types": ["testing"]});
        let put = app.put(&format!("/api/v1/services/{name}"), body).await;
        assert!(put.status.is_success(), "{}", put.text);
    }
    let owner = Visitor::owner(&app).await;
    let order = async || {
        let page = owner.open("/").await.text;
        let rows = page.split("<th scope=\"row\"").skip(1);
        let name = |row: &str| {
            row.split_once("/services/")
                .unwrap()
                .1
                .split_once('"')
                .unwrap()
                .0
                .to_owned()
        };
        rows.map(name).collect::<Vec<_>>()
    };
    assert_eq!(order().await, ["aaa", "shop", "zzz"]);
    let star = [("service", "zzz"), ("favourite", "yes"), ("next", "/")];
    leads_to(&owner.submit("/favourites", &star).await, "/");
    assert_eq!(order().await, ["zzz", "aaa", "shop"]);
    let star = [("service", "zzz"), ("favourite", "no"), ("next", "/")];
    leads_to(&owner.submit("/favourites", &star).await, "/");
    assert_eq!(order().await, ["aaa", "shop", "zzz"]);
}

#[tokio::test]
async fn sessions_end_and_passwords_change_on_the_profile() {
    let app = TestApp::with_shop().await;
    let one = Visitor::owner(&app).await;
    let two = Visitor::owner(&app).await;
    let weak = one.submit("/profile/password", &[("new", "short")]).await;
    assert_eq!(weak.status, 422);
    assert!(weak.text.contains("role=\"alert\""), "{}", weak.text);
    let first = [("new", " a rather long secret ")];
    leads_to(&one.submit("/profile/password", &first).await, "/profile");
    assert_eq!(two.open("/").await.status, 303, "other sessions have ended");
    let wrong = [
        ("current", "a rather long secret"),
        ("new", "another long secret"),
    ];
    let wrong = one.submit("/profile/password", &wrong).await;
    assert_eq!(wrong.status, 422, "exactly as it was typed");
    assert!(
        !wrong.text.contains("another long"),
        "nothing typed comes back"
    );
    let right = [
        ("current", " a rather long secret "),
        ("new", "another long secret"),
    ];
    leads_to(&one.submit("/profile/password", &right).await, "/profile");

    let two = Visitor::owner(&app).await;
    let page = one.open("/profile").await.text;
    assert_eq!(page.matches("this browser").count(), 1, "{page}");
    let ids = page
        .split("/profile/sessions/")
        .filter_map(|part| part.split_once("/end\""));
    let newest = ids.map(|(id, _)| id).find(|id| id.len() == 36).unwrap();
    let path = format!("/profile/sessions/{newest}/end");
    leads_to(&one.submit(&path, &[]).await, "/profile");
    assert_eq!(
        two.open("/").await.status,
        303,
        "the newest was the other one"
    );
    let out = one.submit("/profile/sessions/end", &[]).await;
    leads_to(&out, "/sign-in");
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(one.open("/").await.status, 303);
}
