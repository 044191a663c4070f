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
