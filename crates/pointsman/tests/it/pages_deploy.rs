//! Pages from which people deploy: each form does what it says, and says what it does.

use serde_json::json;

use crate::support::{TestApp, Visitor};

const PLAN: &str = "/deploy?service=shop&environment=staging&version=1.0.0";
const FIELDS: [(&str, &str); 3] = [
    ("service", "shop"),
    ("environment", "staging"),
    ("version", "1.0.0"),
];

/// The value of a hidden field.
fn hidden<'a>(page: &'a str, name: &str) -> &'a str {
    let begin = format!("name=\"{name}\" value=\"");
    let (_, rest) = page.split_once(&begin).unwrap();
    rest.split_once('"').unwrap().0
}

#[tokio::test]
async fn a_plan_is_shown_and_then_done() {
    let app = TestApp::with_shop().await;
    let owner = Visitor::owner(&app).await;
    let open = owner.open("/deploy?service=shop&environment=staging").await;
    assert_eq!(open.status, 200);
    assert!(
        !open.text.contains("name=\"plan\""),
        "nothing is planned yet"
    );
    let page = owner.open(PLAN).await;
    for part in [
        "The plan",
        "pointsman deploy shop 1.0.0 -e staging",
        "curl -sS",
    ] {
        assert!(page.text.contains(part), "{part}");
    }
    let hash = hidden(&page.text, "plan");
    let mut form = FIELDS.to_vec();
    form.extend([("plan", hash), ("reason", "SHOP-1")]);
    let begun = owner.submit("/deploy", &form).await;
    assert_eq!(begun.status, 303, "{}", begun.text);
    let path = begun.header("location");
    assert_eq!(owner.open(path).await.status, 200);
    let log = app
        .get("/api/v1/audit-events?action=deployment.request")
        .await;
    assert_eq!(log.json()["items"][0]["detail"]["reason"], "SHOP-1");
}

#[tokio::test]
async fn another_plan_than_the_one_that_was_read_is_not_begun() {
    let app = TestApp::with_shop().await;
    let owner = Visitor::owner(&app).await;
    let mut form = FIELDS.to_vec();
    form.extend([("plan", "0123"), ("reason", "it is <b>late</b>")]);
    let answer = owner.submit("/deploy", &form).await;
    assert_eq!(answer.status, 409);
    assert!(answer.text.contains("The plan changed since you read it"));
    assert!(
        answer.text.contains("it is &lt;b&gt;late&lt;/b&gt;"),
        "kept"
    );
    let all = app.get("/api/v1/deployments").await.json();
    assert_eq!(all["items"], json!([]));
}

#[tokio::test]
async fn objections_come_before_a_button_that_cannot_be_pressed() {
    let app = TestApp::with_shop().await;
    let owner = Visitor::owner(&app).await;
    let lock = json!({"reason": "<i>audit</i>"});
    app.put("/api/v1/environments/staging/lock", lock).await;
    let page = owner.open(PLAN).await.text;
    let objection = page.find("&lt;i&gt;audit&lt;/i&gt;").unwrap();
    let button = page.find("main-button").unwrap();
    assert!(objection < button);
    assert!(page[button..].starts_with("main-button\" type=\"submit\" disabled"));
    let answer = owner.submit("/deploy", &FIELDS).await;
    assert_eq!(answer.status, 409);
    assert!(answer.text.contains("is locked by"));
    assert!(!answer.text.contains("<i>"));
}

#[tokio::test]
async fn where_users_are_the_name_is_typed() {
    let app = TestApp::with_shop().await;
    let owner = Visitor::owner(&app).await;
    let guarded = json!({"approval_by_another": true});
    let put = app.put("/api/v1/environment-types/testing", guarded).await;
    assert_eq!(put.status, 200, "{}", put.text);
    for (typed, status) in [("", 422), ("chop", 422), ("shop", 303)] {
        let mut form = FIELDS.to_vec();
        form.push(("confirm", typed));
        let answer = owner.submit("/deploy", &form).await;
        assert_eq!(answer.status.as_u16(), status, "{typed}");
    }
}

#[tokio::test]
async fn what_cannot_be_understood_is_said_at_its_field() {
    let app = TestApp::with_shop().await;
    let owner = Visitor::owner(&app).await;
    let mut form = FIELDS.to_vec();
    form.extend([("strategy", "scale-up"), ("surge", "lots")]);
    let answer = owner.submit("/deploy", &form).await;
    assert_eq!(answer.status, 422);
    assert!(answer.text.contains("href=\"#f-surge\""));
    assert!(answer.text.contains("value=\"lots\""), "it is kept");
}

#[tokio::test]
async fn who_may_only_look_sees_which_right_is_missing() {
    let app = TestApp::with_shop().await;
    let token = app.invite("viewer").await;
    let subject = json!({"kind": "person", "name": "viewer"});
    app.grant(subject, "viewer", json!({})).await;
    let viewer = Visitor::with_token(&app, &token).await;
    let page = viewer.open(PLAN).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("You lack the right <code>deploy</code>"));
    assert_eq!(viewer.submit("/deploy", &FIELDS).await.status, 403);
}

#[tokio::test]
async fn the_page_of_a_service_says_where_its_newest_release_may_go() {
    let app = TestApp::with_shop().await;
    let owner = Visitor::owner(&app).await;
    app.bring_up("1.0.0").await;
    let page = owner.open("/services/shop").await;
    assert_eq!(page.status, 200);
    let plan = "/deploy?service=shop&amp;environment=staging&amp;version=1.1.0";
    assert!(page.text.contains(plan), "{}", page.text);
    let lock = json!({"reason": "<i>audit</i>"});
    app.put("/api/v1/environments/staging/lock", lock).await;
    let page = owner.open("/services/shop").await.text;
    assert!(page.contains("is locked by") && page.contains("&lt;i&gt;audit&lt;/i&gt;"));
    assert!(!page.contains(plan), "a closed way has no link");
    assert_eq!(owner.open("/services/none").await.status, 404);
}

#[tokio::test]
async fn a_place_goes_back_from_the_page_of_its_service() {
    let app = TestApp::with_shop().await;
    let owner = Visitor::owner(&app).await;
    let path = "/services/shop/staging/roll-back";
    let early = owner.submit(path, &[("reason", "bad")]).await;
    assert_eq!(early.status, 409, "nothing was live before");
    app.bring_up("1.0.0").await;
    app.bring_up("1.1.0").await;
    let silent = owner.submit(path, &[]).await;
    assert_eq!(silent.status, 422, "it asks for a reason");
    let page = owner.open("/services/shop").await.text;
    assert!(page.contains("Deploys 1.0.0 again"));
    let begun = owner.submit(path, &[("reason", "bad")]).await;
    assert_eq!(begun.status, 303, "{}", begun.text);
    let all = app.get("/api/v1/deployments").await.json();
    assert_eq!(all["items"][0]["version"], "1.0.0");
}

#[tokio::test]
async fn deployments_are_found_by_what_the_address_says() {
    let app = TestApp::with_shop().await;
    let owner = Visitor::owner(&app).await;
    let empty = owner.open("/deployments").await.text;
    assert!(empty.contains("Nothing was deployed yet"));
    let deployed = app.bring_up("1.0.0").await;
    let id = deployed["id"].as_str().unwrap();
    let by = deployed["requested_by"].as_str().unwrap();
    let by = format!("by={by}");
    for (query, found) in [
        ("", true),
        ("service=shop&environment=staging", true),
        ("state=succeeded", true),
        (by.as_str(), true),
        ("state=running", false),
        ("state=failed", false),
        ("by=nobody", false),
        ("service=%3Cimg%20src%3E", false),
        ("after=0", false),
    ] {
        let page = owner.open(&format!("/deployments?{query}")).await;
        assert_eq!(page.status, 200);
        assert_eq!(page.text.contains(id), found, "{query}");
        assert!(!page.text.contains("<img"));
    }
}

#[tokio::test]
async fn a_release_is_withdrawn_on_its_page() {
    let app = TestApp::with_shop().await;
    let owner = Visitor::owner(&app).await;
    let path = "/services/shop/releases/1.0.0";
    let list = owner.open("/services/shop/releases").await.text;
    assert!(list.contains(path) && list.find("1.1.0") < list.find("1.0.0"));
    let page = owner.open(path).await.text;
    assert!(page.contains("Nobody can deploy it any more"));
    let form = format!("{path}/withdraw");
    assert_eq!(owner.submit(&form, &[]).await.status, 422);
    let done = owner.submit(&form, &[("reason", "<b>bad</b>")]).await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, path));
    let page = owner.open(path).await.text;
    assert!(page.contains("&lt;b&gt;bad&lt;/b&gt;") && !page.contains("Nobody can"));
    assert_eq!(owner.open("/services/shop/releases/9").await.status, 404);
}

const TEAM: &str = "/catalogue/teams/web";

#[tokio::test]
async fn an_entry_changes_in_two_steps_by_the_version_that_was_read() {
    let app = TestApp::with_shop().await;
    let owner = Visitor::owner(&app).await;
    let page = owner.open(TEAM).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("kind: Team\nname: web"), "{}", page.text);
    let version = hidden(&page.text, "version").to_owned();
    let manifest = "kind: Team\nname: web\ncontact: <b>us</b>";
    let form = [("manifest", manifest), ("version", &version)];
    let compared = owner.submit(TEAM, &form).await;
    assert_eq!(compared.status, 200);
    assert!(compared.text.contains("<ins>&lt;b&gt;us&lt;/b&gt;</ins>"));
    assert!(compared.text.contains("Change 1 field"));
    let contact = async || app.get("/api/v1/teams/web").await.json()["contact"].clone();
    assert_ne!(contact().await, "<b>us</b>", "it is only compared");
    let apply = [&form[..], &[("step", "apply")]].concat();
    let applied = owner.submit(TEAM, &apply).await;
    assert_eq!(
        (applied.status.as_u16(), applied.header("location")),
        (303, TEAM)
    );
    assert_eq!(contact().await, "<b>us</b>");
    let late = owner.submit(TEAM, &apply).await;
    assert_eq!(late.status, 412, "it was read before the change");
    let history = owner.open(TEAM).await.text;
    assert!(history.contains("Changed") && !history.contains("<b>us"));
}

#[tokio::test]
async fn a_manifest_with_faults_is_kept_and_each_fault_is_named() {
    let app = TestApp::with_shop().await;
    let owner = Visitor::owner(&app).await;
    let manifest = "kind: Service\nname: shop\nowner: nobody-known\nnoise: 1\n";
    let form = [("manifest", manifest), ("version", "1")];
    let answer = owner.submit("/catalogue/services/shop", &form).await;
    assert_eq!(answer.status, 422);
    assert!(answer.text.contains("noise") && answer.text.contains("nobody-known"));
    let other = [("manifest", "kind: Team\nname: other\n"), ("step", "apply")];
    let answer = owner.submit(TEAM, &other).await;
    assert_eq!(answer.status, 422, "the page of one entry changes no other");
    assert_eq!(app.get("/api/v1/teams/other").await.status, 404);
}

#[tokio::test]
async fn new_entries_are_shown_and_then_stored_together() {
    let app = TestApp::with_shop().await;
    let owner = Visitor::owner(&app).await;
    for kind in ["services", "server-groups", "freezes", "none"] {
        let page = owner.open(&format!("/catalogue/new?kind={kind}")).await;
        assert_eq!(page.status, 200);
    }
    let manifest = "kind: Team\nname: a\n---\nkind: Team\nname: b\n";
    let compared = owner
        .submit("/catalogue/new", &[("manifest", manifest)])
        .await;
    assert!(
        compared.text.contains("Create 2 entries"),
        "{}",
        compared.text
    );
    assert_eq!(app.get("/api/v1/teams/a").await.status, 404);
    let form = [("manifest", manifest), ("step", "apply")];
    assert_eq!(owner.submit("/catalogue/new", &form).await.status, 303);
    assert_eq!(app.get("/api/v1/teams/b").await.status, 200);
    let list = owner.open("/catalogue/teams").await.text;
    assert!(list.contains("/catalogue/teams/a\"") && list.contains("/catalogue/teams/web\""));
}

#[tokio::test]
async fn an_entry_goes_only_when_nothing_needs_it() {
    let app = TestApp::with_shop().await;
    let owner = Visitor::owner(&app).await;
    let version = async |path: &str| hidden(&owner.open(path).await.text, "version").to_owned();
    let form = [("version", version(TEAM).await)];
    let form = form.each_ref().map(|(name, value)| (*name, value.as_str()));
    let needed = owner.submit(&format!("{TEAM}/delete"), &form).await;
    assert_eq!(needed.status, 409);
    assert!(needed.text.contains("service shop"), "{}", needed.text);
    app.apply("kind: Team\nname: lonely\n").await;
    let lonely = "/catalogue/teams/lonely";
    let delete = format!("{lonely}/delete");
    assert_eq!(owner.submit(&delete, &[]).await.status, 422);
    let form = [("version", version(lonely).await)];
    let form = form.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(owner.submit(&delete, &form).await.status, 303);
    assert_eq!(owner.open(lonely).await.status, 404);
}

#[tokio::test]
async fn search_finds_what_the_visitor_may_see() {
    let app = TestApp::with_shop().await;
    let owner = Visitor::owner(&app).await;
    let deployed = app.bring_up("1.0.0").await;
    let id = deployed["id"].as_str().unwrap();
    let token = app.invite("stranger").await;
    let stranger = Visitor::with_token(&app, &token).await;
    for (text, hit) in [
        ("sho", "/services/shop\"".to_owned()),
        ("shop stag", "/services/shop/staging\"".to_owned()),
        ("stag", "/environments/staging\"".to_owned()),
        (&id[..8], format!("/deployments/{id}\"")),
        ("stranger", "/people/stranger\"".to_owned()),
    ] {
        let text: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        for path in [
            format!("/search?q={text}"),
            format!("/search?part=1&q={text}"),
        ] {
            assert!(owner.open(&path).await.text.contains(&hit), "{path}");
            assert!(!stranger.open(&path).await.text.contains(&hit), "{path}");
        }
    }
    let page = owner.open("/search?q=%3Cimg%20src%3E").await.text;
    assert!(page.contains("Nothing has this in its name") && !page.contains("<img"));
    let part = owner.open("/search?part=1&q=audit").await.text;
    assert!(part.contains("/audit\"") && !part.contains("<html"));
}

#[tokio::test]
async fn images_without_an_account_say_what_to_do_next() {
    let app = TestApp::with_shop().await;
    let owner = Visitor::owner(&app).await;
    let page = owner.open("/images").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("/catalogue/new?kind=accounts"));
    let plan = owner.open("/images/patch?ami=latest").await.text;
    assert!(plan.contains("it is not on AWS") && plan.contains("Nothing can be patched"));
    assert_eq!(owner.open("/images/patch?ami=disk").await.status, 422);
    let none = owner.submit("/images/patch", &[("group", "shop")]).await;
    assert_eq!(none.status, 422);
}
