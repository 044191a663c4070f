//! Accounts, machine images, and server groups on AWS, as far as no cloud is needed for it: the
//! simulated provider plays any place.

use std::sync::Arc;

use domain::catalogue::ProviderKind;
use expect_test::expect;
use operations::clouds::Clouds;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, CATALOGUE, Persona, Simulated, TestApp, release, wish};

const ROOT: &str = "/api/v1/services/shop/releases";
const IMAGE: &str = "ami-0123456789abcdef0";
const OTHER: &str = "ami-0fedcba9876543210";

/// What makes the server group of [`CATALOGUE`] one on AWS.
const ON_AWS: &str = "aws: {account: eu}
---
kind: Account
name: eu
provider: aws
region: eu-west-1
package_bucket: example-packages
";

/// A server with the shop on AWS, release 1.0.0 as a package, and 2.0.0 as a machine image.
async fn with_aws() -> TestApp {
    with_aws_on(TestApp::start().await).await
}

async fn with_aws_on(app: TestApp) -> TestApp {
    app.apply(&format!("{CATALOGUE}{ON_AWS}")).await;
    let package = app.upload("shop", "1.0.0", release("1.0.0")).await;
    assert_eq!(package.status, 201, "{}", package.text);
    let image = release_image(&app, "2.0.0", IMAGE).await;
    assert_eq!(image.status, 201, "{}", image.text);
    app
}

async fn release_image(app: &TestApp, version: &str, image: &str) -> Answer {
    app.put(&format!("{ROOT}/{version}"), json!({ "image": image }))
        .await
}

/// Asks for a release on a machine image.
fn wish_on(version: &str, image: &str) -> Value {
    let mut wish = wish(version);
    wish["image"] = image.into();
    wish
}

async fn refused(app: &TestApp, wish: Value) -> Vec<String> {
    let answer = app.post("/api/v1/deployments", wish).await;
    assert_eq!(answer.code(), "refused", "{}", answer.text);
    let objections = answer.json()["objections"].clone();
    let objections = objections.as_array().unwrap().iter();
    objections
        .map(|objection| objection["reason"].as_str().unwrap().to_owned())
        .collect()
}

async fn brought_up(app: &TestApp, wish: Value) {
    let begun = app.post("/api/v1/deployments", wish).await;
    assert_eq!(begun.status, 202, "{}", begun.text);
    let id = begun.json()["deployment"]["id"].clone();
    let ended = app.finished(id.as_str().unwrap()).await;
    assert_eq!(ended["status"], "succeeded", "{ended:#}");
}

#[tokio::test]
async fn a_release_can_be_a_machine_image() {
    let app = TestApp::start().await;
    app.apply(CATALOGUE).await;
    let created = release_image(&app, "2.0.0", IMAGE).await;
    expect![[r#"
        201
        {
          "created_at": "[created_at]",
          "created_by": "admin",
          "digest": null,
          "image": "ami-0123456789abcdef0",
          "service": "shop",
          "size_bytes": "[size_bytes]",
          "uploads": [],
          "version": "2.0.0",
          "withdrawn": null
        }
    "#]]
    .assert_eq(&created.shown());
    assert_eq!(created.json()["size_bytes"], 0);
    let again = release_image(&app, "2.0.0", IMAGE).await;
    assert_eq!((again.status.as_u16(), &again.text), (200, &created.text));
    let mut kept = created.json();
    kept.as_object_mut().unwrap().remove("uploads");
    assert_eq!(app.get(&format!("{ROOT}/2.0.0")).await.json(), kept);
    let listed = app.get(ROOT).await.json();
    assert_eq!(listed["items"], json!([kept]));

    let conflict = release_image(&app, "2.0.0", OTHER).await;
    expect![[r#"
        409
        {
          "code": "release_conflict",
          "detail": "shop already has a release 2.0.0 with other content (image ami-0123456789abcdef0)",
          "remedy": "releases are immutable; create a new version for the new content",
          "status": 409,
          "title": "Conflict",
          "type": "urn:pointsman:problem:release_conflict"
        }
    "#]]
    .assert_eq(&conflict.shown());
    let package = app.upload("shop", "2.0.0", release("2.0.0")).await;
    assert_eq!(package.code(), "release_conflict");
    app.upload("shop", "1.0.0", release("1.0.0")).await;
    let image = release_image(&app, "1.0.0", IMAGE).await;
    assert_eq!(image.code(), "release_conflict");

    let audit = app.get("/api/v1/audit-events").await.json();
    let events = audit["items"].as_array().unwrap().iter();
    let of_images: Vec<&Value> = events
        .filter(|event| event["subject"] == "release/shop/2.0.0")
        .collect();
    assert_eq!(of_images.len(), 1, "only the first changed anything");
    assert_eq!(of_images[0]["detail"]["content"]["image"], IMAGE);
}

#[tokio::test]
async fn what_is_no_image_makes_no_release() {
    let app = TestApp::start().await;
    app.apply(CATALOGUE).await;
    for (body, code) in [
        (json!({"image": "ubuntu"}).to_string(), "invalid"),
        (json!({"image": "ami-0123"}).to_string(), "invalid"),
        (
            json!({"image": IMAGE, "digest": "x"}).to_string(),
            "invalid",
        ),
        (json!({}).to_string(), "invalid"),
        ("{".to_owned(), "bad_json"),
        (json!({"image": "x".repeat(5000)}).to_string(), "too_large"),
    ] {
        let path = format!("{ROOT}/2.0.0");
        let request = app.request(Persona::Admin, Method::PUT, &path);
        let request = request.header("content-type", "application/json; charset=utf-8");
        let answer = Answer::of(request.body(body.clone())).await;
        assert_eq!(answer.code(), code, "{body:.80}: {}", answer.text);
    }
    assert_eq!(app.get(&format!("{ROOT}/2.0.0")).await.status, 404);
    let nowhere = json!({ "image": IMAGE });
    let nowhere = app.put("/api/v1/services/x/releases/1.0.0", nowhere).await;
    assert_eq!(nowhere.code(), "not_found");
}

#[tokio::test]
async fn images_go_to_aws_only() {
    let app = TestApp::with_shop().await;
    release_image(&app, "2.0.0", IMAGE).await;
    assert_eq!(refused(&app, wish("2.0.0")).await, ["image_not_offered"]);
    let patched = wish_on("1.0.0", IMAGE);
    assert_eq!(refused(&app, patched).await, ["image_not_offered"]);
    let nonsense = app
        .post("/api/v1/deployments", wish_on("1.0.0", "ubuntu"))
        .await;
    assert_eq!(nonsense.code(), "invalid");
    assert_eq!(nonsense.json()["errors"][0]["field"], "image");
}

#[tokio::test]
async fn packages_and_images_are_deployed_to_aws() {
    let app = with_aws().await;
    brought_up(&app, wish("1.0.0")).await;
    assert_eq!(refused(&app, wish("1.0.0")).await, ["already_live"]);
    // The same release on another machine is a patch, and it stays.
    brought_up(&app, wish_on("1.0.0", IMAGE)).await;
    let again = wish_on("1.0.0", IMAGE);
    assert_eq!(refused(&app, again).await, ["already_live"]);
    brought_up(&app, wish_on("1.0.0", OTHER)).await;
    brought_up(&app, wish("2.0.0")).await;
    let other = wish_on("2.0.0", OTHER);
    assert_eq!(refused(&app, other).await, ["image_is_the_release"]);
    let audit = app.get("/api/v1/audit-events").await.json();
    let images: Vec<&Value> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["action"] == "deployment.request")
        .map(|event| &event["detail"]["image"])
        .collect();
    let (other, image) = (json!(OTHER), json!(IMAGE));
    assert_eq!(images, [&Value::Null, &other, &image, &Value::Null]);
}

#[tokio::test]
async fn a_patch_is_rolled_back_to_the_image_before() {
    let app = with_aws().await;
    brought_up(&app, wish_on("1.0.0", IMAGE)).await;
    brought_up(&app, wish_on("1.0.0", OTHER)).await;
    let path = "/api/v1/environments/staging/services/shop/roll-back";
    let begun = app
        .post(path, json!({ "reason": "it does not boot" }))
        .await;
    assert_eq!(begun.status, 202, "{}", begun.text);
    let id = begun.json()["deployment"]["id"].clone();
    let ended = app.finished(id.as_str().unwrap()).await;
    assert_eq!(ended["status"], "succeeded", "{ended:#}");
    let again = wish_on("1.0.0", IMAGE);
    assert_eq!(refused(&app, again).await, ["already_live"]);
}

#[tokio::test]
async fn packages_are_brought_to_the_accounts_of_their_service() {
    let app = TestApp::start().await;
    app.apply(&format!("{CATALOGUE}{ON_AWS}")).await;
    for status in [201, 200] {
        let package = app.upload("shop", "1.0.0", release("1.0.0")).await;
        assert_eq!(package.status, status, "{}", package.text);
        let there = json!([{"account": "eu", "bucket": "example-packages", "arrival": "there",
                            "trouble": null}]);
        assert_eq!(package.json()["uploads"], there, "told each time");
    }
    let image = release_image(&app, "2.0.0", IMAGE).await;
    assert_eq!(image.json()["uploads"], json!([]));
    let local = TestApp::with_shop().await;
    let package = local.upload("shop", "9.0.0", release("9.0.0")).await;
    assert_eq!(package.json()["uploads"], json!([]), "it is here already");
}

#[tokio::test]
async fn a_refresh_is_deployed_on_aws_and_cannot_be_paused() {
    let app = with_aws().await;
    brought_up(&app, wish("1.0.0")).await;
    let mut refresh = wish("2.0.0");
    refresh["strategy"] = json!({"kind": "instance-refresh", "bake_seconds": 1});
    let begun = app.post("/api/v1/deployments", refresh.clone()).await;
    assert_eq!(begun.status, 202, "{}", begun.text);
    let steps = begun.json()["deployment"]["steps"].clone();
    assert_eq!(steps[0]["condition"]["step"], "refresh", "{steps:#}");
    let id = begun.json()["deployment"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let pause = format!("/api/v1/deployments/{id}/pause");
    let paused = loop {
        let paused = app.post(&pause, json!({})).await;
        // Before AWS was asked for anything, it can be held.
        if paused.status != 200 {
            break paused;
        }
        let resume = format!("/api/v1/deployments/{id}/resume");
        app.post(&resume, json!({})).await;
    };
    assert_eq!(paused.code(), "not_pausable", "{}", paused.text);
    let ended = app.finished(&id).await;
    assert_eq!(ended["status"], "succeeded", "{ended:#}");

    let local = TestApp::with_shop().await;
    local.upload("shop", "2.0.0", release("2.0.0")).await;
    assert_eq!(refused(&local, refresh).await, ["refresh_not_offered"]);
}

#[tokio::test]
async fn the_plan_says_where_and_what() {
    let app = with_aws().await;
    let mut wish = wish_on("1.0.0", IMAGE);
    wish["dry_run"] = true.into();
    let plan = app.post("/api/v1/deployments", wish).await.json();
    let aws = &plan["preview"]["aws"];
    assert_eq!(
        (&aws["account"], &aws["region"]),
        (&json!("eu"), &json!("eu-west-1"))
    );
    assert_eq!(aws["groups"], json!({"blue": "shop-staging-blue"}));
    assert_eq!(aws["image"], IMAGE);
    assert_eq!(aws["digest"].as_str().unwrap().len(), 64);
    assert_eq!(aws["notes"], json!([]));
    let local = TestApp::with_shop().await;
    let mut wish = crate::support::wish("1.0.0");
    wish["dry_run"] = true.into();
    let plan = local.post("/api/v1/deployments", wish).await.json();
    assert_eq!(plan["preview"]["aws"], Value::Null);
}

#[tokio::test]
async fn accounts_must_fit_what_is_deployed_there() {
    let app = with_aws().await;
    let account = "/api/v1/accounts/eu";
    app.put(account, json!({"provider": "aws", "region": "eu-west-1"}))
        .await;
    assert_eq!(refused(&app, wish("1.0.0")).await, ["no_package_bucket"]);
    app.put(account, json!({"provider": "local"})).await;
    assert_eq!(refused(&app, wish("2.0.0")).await, ["account_elsewhere"]);
    let nonsense = app.put(account, json!({"provider": "aws"})).await;
    assert_eq!(nonsense.code(), "invalid");
    assert_eq!(nonsense.json()["errors"][0]["field"], "region");
}

#[tokio::test]
async fn an_account_in_use_stays() {
    let app = with_aws().await;
    let refused = app.delete("/api/v1/accounts/eu").await;
    assert_eq!(refused.code(), "still_referenced");
    assert!(
        refused.text.contains("server group shop.staging"),
        "{}",
        refused.text
    );
    let elsewhere = CATALOGUE.to_owned() + "aws: {account: us}\n";
    let dangling = app.manifests(&elsewhere, false).await;
    assert_eq!(dangling.code(), "invalid");
    assert_eq!(dangling.json()["errors"][0]["field"], "aws.account");
    app.apply(CATALOGUE).await;
    assert_eq!(app.delete("/api/v1/accounts/eu").await.status, 204);
}

#[tokio::test]
async fn an_account_that_goes_to_another_region_leaves_something_behind() {
    let app = with_aws().await;
    let all = format!("{CATALOGUE}{ON_AWS}");
    let notes = |answer: &Answer| answer.json()["changes"][5]["notes"].clone();
    let moved = all.replace("eu-west-1", "eu-west-2");
    assert_eq!(notes(&app.manifests(&moved, true).await), Value::Null);
    brought_up(&app, wish("1.0.0")).await;
    let told = notes(&app.manifests(&moved, true).await);
    expect![[r#"
        [
          "shop.staging in eu-west-1 has something live. It stays there with the users it has, but Pointsman will no longer look after it: describe the other region as an account of its own"
        ]"#]].assert_eq(&format!("{told:#}"));
    let described = format!("{all}description: ours\n");
    assert_eq!(notes(&app.manifests(&described, true).await), Value::Null);
    // Whoever moved it and comes back leaves nothing there.
    app.apply(&moved).await;
    assert_eq!(notes(&app.manifests(&all, true).await), Value::Null);
}

#[tokio::test]
async fn start_up_scripts_stay_out_of_the_audit_log() {
    let app = TestApp::start().await;
    let script = "aws: {account: eu, user_data: 'export KEY=hunter2'}";
    let manifests = format!("{CATALOGUE}{ON_AWS}").replace("aws: {account: eu}", script);
    app.apply(&manifests).await;
    let group = app.get("/api/v1/server-groups/shop.staging").await;
    assert!(group.text.contains("hunter2"), "{}", group.text);
    let audit = app.get("/api/v1/audit-events").await;
    assert!(audit.text.contains("aws.user_data"), "{}", audit.text);
    assert!(!audit.text.contains("hunter2"), "{}", audit.text);
}

#[tokio::test]
async fn a_build_without_aws_says_so_of_images_and_patches() {
    let mut clouds = Clouds::default();
    clouds.insert(ProviderKind::Local, Arc::new(Simulated::default()));
    let app = with_aws_on(TestApp::over(clouds, |_| {}).await).await;
    let images = app.get("/api/v1/images").await;
    assert_eq!(images.status, 200, "{}", images.text);
    let accounts = images.json()["accounts"].clone();
    assert_eq!(accounts[0]["account"], "eu");
    let trouble = &accounts[0]["trouble"];
    assert_eq!(trouble["who_can_act"], "provider_administrator");
    let sentence = trouble["sentence"].as_str().unwrap();
    assert!(
        sentence.contains("this build of pointsman knows no AWS"),
        "{trouble}"
    );
    let one = app.get("/api/v1/images?account=eu").await;
    assert_ne!(one.status, 200);
    assert!(one.text.contains("knows no AWS"), "{}", one.text);

    let plan = app
        .post("/api/v1/patches/plan", json!({ "ami": "latest" }))
        .await;
    assert_eq!(plan.status, 200, "{}", plan.text);
    let group = plan.json()["groups"][0].clone();
    assert_eq!(group["eligible"], false);
    let reasons = json!(["nothing was deployed there yet"]);
    assert_eq!(group["reasons"], reasons);
}

#[tokio::test]
async fn a_patch_names_an_image_and_places_that_are_there() {
    let app = TestApp::start().await;
    app.apply(CATALOGUE).await;
    let url = "/api/v1/patches/plan";
    let answer = app.post(url, json!({ "ami": "newest" })).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    let nowhere = json!({ "ami": "latest", "environment": "nowhere" });
    assert_eq!(app.post(url, nowhere).await.status, 404);
    let plan = app.post(url, json!({ "ami": IMAGE })).await;
    let reasons = plan.json()["groups"][0]["reasons"].clone();
    assert_eq!(reasons, json!(["it is not on AWS"]));
    let nobody = app.get("/api/v1/images?account=nobody").await;
    assert_eq!(nobody.status, 404, "{}", nobody.text);
}
