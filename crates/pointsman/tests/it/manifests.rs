//! Manifests: apply, compare, and every fault with its place.

use expect_test::expect;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, CATALOGUE, Persona, TestApp};

fn words(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    let changes = body["changes"].as_array().unwrap().clone();
    let word = |change: &Value| {
        let text = |key: &str| change[key].as_str().unwrap().to_owned();
        format!("{} {} {}", text("kind"), text("name"), text("change"))
    };
    changes.iter().map(word).collect()
}

#[tokio::test]
async fn a_dry_run_tells_what_apply_does_and_changes_nothing() {
    let app = TestApp::start().await;
    let all = [
        "Team web created",
        "EnvironmentType testing created",
        "Environment staging created",
        "Service shop created",
        "ServerGroup shop.staging created",
    ];
    let rehearsed = app.manifests(CATALOGUE, true).await;
    assert_eq!(words(&rehearsed), all);
    assert_eq!(app.get("/api/v1/teams/web").await.status, 404);
    let applied = app.manifests(CATALOGUE, false).await;
    assert_eq!(applied.text, rehearsed.text);
    let again = app.manifests(CATALOGUE, false).await;
    assert_eq!(
        words(&again),
        all.map(|text| text.replace("created", "unchanged"))
    );
    let other = CATALOGUE.replace("size: 2", "size: 3\nvariables: {LEVEL: high}");
    let differing = app.manifests(&other, true).await.json()["changes"][4].clone();
    expect![[r#"
        {
          "change": "updated",
          "differences": [
            {
              "after": 3,
              "before": 2,
              "field": "size"
            },
            {
              "after": "high",
              "before": null,
              "field": "variables.LEVEL"
            }
          ],
          "kind": "ServerGroup",
          "name": "shop.staging"
        }"#]]
    .assert_eq(&format!("{differing:#}"));
}

#[tokio::test]
async fn every_fault_is_told_with_its_place_and_nothing_is_stored() {
    let app = TestApp::start().await;
    let yaml = "
kind: Team
name: good
---
kind: Team
name: Web
---
kind: ServerGroup
service: shop
environment: staging
size: 0
sise: 3
---
kind: ServerGroup
service: shop
environment: staging
size: 4
size_limit: 3
autoscaling: {min: 5, max: 4}
zones: [a, a]
slices: 3
health: {path: health, interval_ms: 1, healthy_threshold: 0}
drain_seconds: 4000
variables: {PORT: '1', 1X: y}
---
kind: Tema
name: x
---
just text
---
kind: Environment
name: staging
environment_type: 7
";
    let answer = app.manifests(yaml, false).await;
    let told: Vec<String> = answer.json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            format!(
                "{}: {}\n",
                error["field"].as_str().unwrap(),
                error["message"].as_str().unwrap()
            )
        })
        .collect();
    expect![[r#"
        name: document 2 (Team Web): "Web" is not a valid team name: use only lower-case letters, digits and hyphens
        sise: document 3 (ServerGroup shop.staging): unknown field `sise`, expected one of `service`, `environment`, `size`, `autoscaling`, `size_limit`, `zones`, `slices`, `stickiness`, `ignore_paths`, `gates`, `health`, `drain_seconds`, `variables`, `limits`, `aws`, `custom`
        slices: document 4 (ServerGroup shop.staging): must be between 1 and 2
        drain_seconds: document 4 (ServerGroup shop.staging): must be between 0 and 3600
        autoscaling: document 4 (ServerGroup shop.staging): needs 1 <= min <= max <= 10000
        size_limit: document 4 (ServerGroup shop.staging): must be at least 4: as many instances as there can be without a deployment
        zones: document 4 (ServerGroup shop.staging): name each zone once
        health.path: document 4 (ServerGroup shop.staging): must start with / and hold only visible ASCII characters without '#'
        health.interval_ms: document 4 (ServerGroup shop.staging): must be between 10 and 300000
        health.healthy_threshold: document 4 (ServerGroup shop.staging): must be between 1 and 100
        variables.1X: document 4 (ServerGroup shop.staging): a name has 1 to 128 letters, digits and underscores, and starts with no digit
        variables.PORT: document 4 (ServerGroup shop.staging): PORT is set by the provider, differently for each instance
        kind: document 5 (Tema x): write one of Prometheus, Account, Team, EnvironmentType, Service, Environment, Freeze, ServerGroup
        : document 6: a manifest is a mapping with `kind` and the fields of that kind
        environment_type: document 7 (Environment staging): invalid type: integer `7`, expected a string
    "#]].assert_eq(&told.concat());
    assert_eq!(answer.status, 422);
    assert_eq!(app.get("/api/v1/teams/good").await.status, 404);
}

#[tokio::test]
async fn references_are_checked_for_the_set_as_a_whole() {
    let app = TestApp::start().await;
    let service = "kind: Service\nname: shop\nowner: web\nenvironment_types: [testing]\n";
    let refused = app.manifests(service, true).await;
    let errors = refused.json()["errors"].clone();
    expect![[r#"
        [
          {
            "document": 1,
            "field": "owner",
            "kind": "Service",
            "message": "document 1 (Service shop): there is no team web in the catalogue, nor in this set; describe it too",
            "name": "shop"
          },
          {
            "document": 1,
            "field": "environment_types",
            "kind": "Service",
            "message": "document 1 (Service shop): there is no environment type testing in the catalogue, nor in this set; describe it too",
            "name": "shop"
          }
        ]"#]].assert_eq(&format!("{errors:#}"));
    let parts = "kind: Team\nname: web\n---\nkind: EnvironmentType\nname: testing\n";
    app.apply(&format!("{service}---\n{parts}")).await;
    let twice = app
        .manifests("kind: Team\nname: a\n---\nkind: Team\nname: a\n", false)
        .await;
    assert_eq!(twice.json()["errors"][0]["document"], 2);
    assert_eq!(app.get("/api/v1/teams/a").await.status, 404);
}

#[tokio::test]
async fn components_of_backstage_are_services() {
    let app = TestApp::start().await;
    app.apply(CATALOGUE).await;
    let component = "
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: checkout
  description: Takes the money
  annotations:
    pointsman.io/environment-types: testing
    pointsman.io/strategies: scale-up
    github.com/project-slug: example/checkout
spec:
  type: service
  lifecycle: production
  owner: group:default/web
";
    let applied = app.manifests(component, false).await;
    assert_eq!(words(&applied), ["Service checkout created"]);
    let service = app.get("/api/v1/services/checkout").await.json();
    assert_eq!(service["owner"], "web");
    assert_eq!(service["environment_types"], json!(["testing"]));
    assert_eq!(service["description"], "Takes the money");
    for (from, to, field) in [
        ("kind: Component", "kind: API", "kind"),
        ("group:default/web", "user:default/jo", "spec.owner"),
        ("  name: checkout", "  title: checkout", "metadata.name"),
        ("backstage.io/v1alpha1", "apps/v1", "apiVersion"),
        ("strategies: scale-up", "strategies: hope", "strategies[0]"),
    ] {
        let refused = app.manifests(&component.replace(from, to), true).await;
        assert_eq!(refused.code(), "invalid", "{to}");
        assert_eq!(
            refused.json()["errors"][0]["field"],
            field,
            "{}",
            refused.text
        );
    }
}

#[tokio::test]
async fn json_is_taken_as_well() {
    let app = TestApp::start().await;
    let one = app
        .post("/api/v1/manifests", json!({"kind": "Team", "name": "a"}))
        .await;
    assert_eq!(words(&one), ["Team a created"]);
    let list = json!([{"kind": "Team", "name": "a"}, {"kind": "Team", "name": "b"}]);
    let many = app.post("/api/v1/manifests", list.clone()).await;
    assert_eq!(words(&many), ["Team a unchanged", "Team b created"]);
    let in_yaml = app.manifests(&list.to_string(), true).await;
    assert_eq!(words(&in_yaml), ["Team a unchanged", "Team b unchanged"]);
}

#[tokio::test]
async fn texts_that_are_no_manifests_are_refused() {
    let app = TestApp::start().await;
    let bomb = (1..30).fold("a0: &a0 [x, x]\n".to_owned(), |text, n| {
        let m = n - 1;
        format!("{text}a{n}: &a{n} [*a{m}, *a{m}, *a{m}, *a{m}]\n")
    });
    let deep = format!("kind: {}", "[".repeat(5000));
    let twice = "kind: Team\nname: a\nname: b\n";
    for bad in [
        "",
        "---\n---\n",
        "a: [",
        "\t- x",
        "kind: !!binary x",
        &bomb,
        &deep,
        twice,
        "a: \"\\q\"",
    ] {
        let answer = app.manifests(bad, false).await;
        let start: String = bad.chars().take(40).collect();
        assert_eq!(answer.code(), "invalid", "{start:?}: {}", answer.text);
        assert!(answer.text.len() < 5000, "{start:?}: {}", answer.text);
    }
    let send = |media_type: &'static str, body: Vec<u8>| {
        let request = app.request(Persona::Admin, Method::POST, "/api/v1/manifests");
        Answer::of(request.header("content-type", media_type).body(body))
    };
    assert_eq!(
        send("application/yaml", vec![0xff, 0xfe, 0x00])
            .await
            .code(),
        "bad_yaml"
    );
    assert_eq!(
        send("application/json", b"{".to_vec()).await.code(),
        "invalid"
    );
    assert_eq!(
        send("text/html", b"kind: Team".to_vec()).await.code(),
        "unsupported_media_type"
    );
    let large = vec![b'#'; 17 * 1024 * 1024];
    assert_eq!(send("application/yaml", large).await.code(), "too_large");
    let listed = app.get("/api/v1/teams").await.json();
    assert_eq!(listed["items"], json!([]));
}

#[tokio::test]
async fn words_that_yaml_could_misread_stay_words() {
    let app = TestApp::start().await;
    let text = "kind: Team\nname: \"no\"\ndescription: \"no\"\n";
    app.apply(text).await;
    assert_eq!(
        app.get("/api/v1/teams/no").await.json()["description"],
        "no"
    );
    app.apply("kind: Team\nname: no\ndescription: off\n").await;
    assert_eq!(
        app.get("/api/v1/teams/no").await.json()["description"],
        "off"
    );
}

#[tokio::test]
async fn a_live_group_that_is_moved_leaves_something_behind_and_people_are_told() {
    let app = TestApp::with_shop().await;
    let account = "
---
kind: Account
name: main
provider: aws
region: eu-west-1
";
    let moved = CATALOGUE.replace("size: 2", "size: 2\naws: {account: main}");
    let moved = format!("{moved}{account}");
    let notes = |answer: &Answer| answer.json()["changes"][4]["notes"].clone();
    let before = app.manifests(&moved, true).await;
    assert_eq!(before.status, 200, "{}", before.text);
    assert_eq!(notes(&before), Value::Null, "nothing is live yet");
    app.bring_up("1.0.0").await;
    let told = notes(&app.manifests(&moved, true).await);
    expect![[r#"
        [
          "shop 1.0.0 is live. What runs in the one-machine cloud stays there with the users it has, but Pointsman will no longer look after it: name it again, or take it down yourself once the next deployment runs elsewhere"
        ]"#]].assert_eq(&format!("{told:#}"));
    let larger = CATALOGUE.replace("size: 2", "size: 3");
    let answer = app.manifests(&larger, true).await;
    assert_eq!(notes(&answer), Value::Null, "it stays where it is");

    app.apply(&moved).await;
    let back = app.manifests(CATALOGUE, true).await;
    assert_eq!(notes(&back), Value::Null, "nothing ever went to AWS");
}
