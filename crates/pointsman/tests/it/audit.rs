//! The audit log: everything that anybody did, and proof that nobody changed it.

use expect_test::expect;
use serde_json::{Value, json};

use crate::support::{CATALOGUE, TestApp, release};

#[tokio::test]
async fn everything_that_changes_something_is_written_down() {
    let app = TestApp::start().await;
    app.apply(CATALOGUE).await;
    app.apply(&CATALOGUE.replace("size: 2", "size: 2\nvariables: {KEY: secret}"))
        .await;
    app.manifests(CATALOGUE, true).await;
    app.upload("shop", "1.0.0", release("1.0.0")).await;
    app.upload("shop", "1.0.0", release("1.0.0")).await;
    app.put("/api/v1/environments/staging/lock", json!({"reason": "r"}))
        .await;
    app.deploy("1.0.0").await;
    app.delete("/api/v1/environments/staging/lock").await;
    app.bring_up("1.0.0").await;
    app.post(
        "/api/v1/services/shop/releases/1.0.0/withdraw",
        json!({"reason": "old"}),
    )
    .await;
    app.apply("kind: Team\nname: gone").await;
    app.delete("/api/v1/teams/gone").await;
    let page = app.get("/api/v1/audit-events?limit=100").await;
    assert!(
        !page.text.contains("secret"),
        "what variables hold is not written down"
    );
    let mut lines: Vec<String> = page.json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| {
            let text = |key: &str| event[key].as_str().unwrap().to_owned();
            let subject = match text("subject") {
                subject if subject.starts_with("deployment/") => "deployment/...".to_owned(),
                subject => subject,
            };
            format!("{} {} {subject}\n", text("actor"), text("action"))
        })
        .collect();
    lines.reverse();
    expect![[r#"
        pointsman person.create_first_admin person/admin
        admin team.create team/web
        admin environment_type.create environment_type/testing
        admin environment.create environment/staging
        admin service.create service/shop
        admin server_group.create server_group/shop.staging
        admin server_group.update server_group/shop.staging
        admin release.create release/shop/1.0.0
        admin environment.lock environment/staging
        admin environment.unlock environment/staging
        admin deployment.request deployment/...
        pointsman deployment.finish deployment/...
        admin release.withdraw release/shop/1.0.0
        admin team.create team/gone
        admin team.delete team/gone
    "#]]
    .assert_eq(&lines.concat());
    for (query, count) in [
        ("action=environment.lock", 1),
        ("subject=server_group/shop.staging", 2),
        ("actor=admin&action=team.delete", 1),
        ("actor=nobody", 0),
    ] {
        let page = app
            .get(&format!("/api/v1/audit-events?{query}"))
            .await
            .json();
        assert_eq!(page["items"].as_array().unwrap().len(), count, "{query}");
    }
}

#[tokio::test]
async fn the_chain_is_checked() {
    let app = TestApp::with_shop().await;
    let verification = app.get("/api/v1/audit-events/verification").await.json();
    assert_eq!(
        (&verification["intact"], &verification["first_broken"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(verification["checked"], 8);
    let newest = app.get("/api/v1/audit-events?limit=1").await.json();
    assert_eq!(newest["items"][0]["hash"], verification["head"]);
    assert_eq!(newest["items"][0]["seq"], 8);
}
