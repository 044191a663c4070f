//! What is going on at a place.

use expect_test::expect;
use serde_json::{Value, json};

use crate::support::{TestApp, redacted};

const PLACE: &str = "/api/v1/environments/staging/services/shop";

#[tokio::test]
async fn the_status_shows_what_is_live_and_what_runs() {
    let app = TestApp::with_shop().await;
    let empty = app.get(PLACE).await.json();
    assert_eq!(
        (&empty["live"], &empty["deployment"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(empty["observation"]["instances"], json!([]));
    app.bring_up("1.0.0").await;
    let mut status = app.get(PLACE).await.json();
    let instances = status["observation"]["instances"].take();
    for instance in instances.as_array().unwrap() {
        assert_eq!(
            (&instance["state"], &instance["version"]),
            (&json!("healthy"), &json!("1.0.0"))
        );
        assert_eq!(
            (&instance["slice"], &instance["protected"]),
            (&json!("blue"), &json!(false))
        );
    }
    assert_eq!(instances.as_array().unwrap().len(), 2);
    status["live"]["deployment"] = "[id]".into();
    expect![[r#"
        {
          "deployment": null,
          "environment": "staging",
          "live": {
            "deployment": "[id]",
            "previous_version": null,
            "since": "[since]",
            "version": "1.0.0"
          },
          "lock": null,
          "observation": {
            "at": "[at]",
            "instances": null,
            "provider_says": {},
            "sizes": {
              "blue": {
                "desired": 2,
                "max": 2,
                "min": 2
              }
            },
            "weights": {
              "blue": 100
            }
          },
          "service": "shop",
          "trouble": null,
          "url": null
        }
    "#]]
    .assert_eq(&format!("{:#}\n", redacted(status)));
    let lock = json!({"reason": "stock-taking"});
    app.put("/api/v1/environments/staging/lock", lock).await;
    assert_eq!(
        app.get(PLACE).await.json()["lock"]["reason"],
        "stock-taking"
    );
}

#[tokio::test]
async fn a_service_without_a_server_group_has_a_status_too() {
    let app = TestApp::with_shop().await;
    app.apply("kind: Environment\nname: bare\nenvironment_type: testing")
        .await;
    let status = app.get("/api/v1/environments/bare/services/shop").await;
    assert_eq!(status.status, 200, "{}", status.text);
    assert_eq!(status.json()["observation"], Value::Null);
    for unknown in [
        "environments/nowhere/services/shop",
        "environments/staging/services/nobody",
    ] {
        assert_eq!(
            app.get(&format!("/api/v1/{unknown}")).await.code(),
            "not_found",
            "{unknown}"
        );
    }
}

#[tokio::test]
async fn a_provider_without_logs_says_so() {
    let app = TestApp::with_shop().await;
    let logs = app.get(&format!("{PLACE}/logs")).await;
    assert_eq!(
        (logs.status.as_u16(), logs.code()),
        (404, "no_logs".to_owned())
    );
    let many = app.get(&format!("{PLACE}/logs?lines=100001")).await;
    assert_eq!(many.json()["errors"][0]["field"], "lines");
    assert_eq!(
        app.get("/api/v1/environments/x/services/y/logs")
            .await
            .code(),
        "not_found"
    );
}

#[tokio::test]
async fn an_environment_is_one_question_however_many_services_it_has() {
    let app = TestApp::with_shop().await;
    app.bring_up("1.0.0").await;
    let service = |number: u32| {
        format!(
            "kind: Service\nname: s{number:04}\nowner: web\nenvironment_types: [testing]\n---\n\
             kind: ServerGroup\nservice: s{number:04}\nenvironment: staging\nsize: 1\n"
        )
    };
    let many: Vec<String> = (0..600).map(service).collect();
    app.apply(&many.join("---\n")).await;

    let path = "/api/v1/environments/staging/status";
    let first = app.get(&format!("{path}?limit=500")).await.json();
    let rows = first["items"].as_array().unwrap();
    assert_eq!(rows.len(), 500);
    let next = first["next"].as_str().unwrap();
    let rest = app.get(&format!("{path}?limit=500&cursor={next}")).await;
    let rest = rest.json();
    let rest = rest["items"].as_array().unwrap();
    assert_eq!(rest.len(), 101);
    let names: Vec<&Value> = rows.iter().chain(rest).map(|it| &it["service"]).collect();
    assert!(names.is_sorted_by_key(|name| name.as_str().unwrap()));

    let mut all = rows.iter().chain(rest);
    let shop = all.find(|it| it["service"] == "shop").unwrap();
    assert_eq!(shop["live"]["version"], "1.0.0");
    assert_eq!(
        (&shop["healthy"], &shop["instances"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(shop["weights"], json!({"blue": 100}));
    assert_eq!(shop["deployment"], Value::Null);
    assert_eq!(rows[0]["live"], Value::Null);
    assert_eq!(
        app.get("/api/v1/environments/nowhere/status").await.status,
        404
    );
}
