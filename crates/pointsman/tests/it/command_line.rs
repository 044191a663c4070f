//! The command line against a real server: what it prints without a terminal, and its exit codes.

use std::process::{Output, Stdio};

use tokio::process::Command;

use crate::support::{CATALOGUE, TestApp, gates_now, release};

/// A server with release 1.0.0 live in one of two slices, and 1.1.0 to come.
async fn with_slices() -> TestApp {
    let app = TestApp::start().await;
    app.apply(&CATALOGUE.replace("size: 2", "size: 2\nslices: 2"))
        .await;
    for version in ["1.0.0", "1.1.0"] {
        app.upload("shop", version, release(version)).await;
    }
    app.bring_up("1.0.0").await;
    app
}

async fn typed(app: &TestApp, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(line.split_whitespace())
        .args(["--server", &app.url("")])
        .arg("--token-file")
        .arg(app.config.data.join("token"))
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap()
}

/// Standard output of a line that ends with `code`.
async fn says(app: &TestApp, line: &str, code: i32) -> String {
    let output = typed(app, line).await;
    let (out, err) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert_eq!(output.status.code(), Some(code), "{line}\n{out}\n{err}");
    if code == 0 { out } else { err }
}

#[tokio::test]
async fn a_canary_is_approved_promoted_and_watched() {
    let app = with_slices().await;
    let canary = "shop 1.1.0 -e staging --strategy canary --steps 10,50:1h --approve-at 10";
    let plan = says(&app, &format!("plan {canary}"), 0).await;
    assert!(plan.contains("gates: approval"), "{plan}");
    assert!(plan.contains("by canary: 10 %, then 50 % for"), "{plan}");
    let id = says(&app, &format!("deploy {canary} --warm 0 --no-wait"), 0).await;
    let id = id.lines().last().unwrap();
    app.until(id, |deployment| {
        gates_now(deployment) != serde_json::json!([])
    })
    .await;
    let early = says(&app, "promote shop -e staging", 3).await;
    assert!(early.contains("pointsman approve"), "{early}");
    let wrong = says(&app, &format!("approve {id} --plan-hash 0"), 3).await;
    assert!(wrong.contains("has changed since you read it"), "{wrong}");
    let status = says(&app, "status shop -e staging", 0).await;
    assert!(status.contains("90 % blue, 10 % green"), "{status}");
    assert!(
        status.contains("○ approval: nobody has approved"),
        "{status}"
    );
    let approved = says(&app, "approve shop -e staging", 0).await;
    assert!(approved.starts_with("approved"), "{approved}");
    app.until(id, |deployment| deployment["step"] == 4).await;
    says(&app, &format!("promote {id}"), 0).await;
    let watched = says(&app, &format!("watch {id}"), 0).await;
    assert!(watched.contains("! admin approved"), "{watched}");
    assert!(watched.contains("✔ 1.1.0 is live"), "{watched}");
    says(&app, &format!("approve {id}"), 3).await;
}

#[tokio::test]
async fn a_rejected_canary_is_what_was_asked_for() {
    let app = with_slices().await;
    let line = "deploy shop 1.1.0 -e staging --strategy blue-green --approve-at 0 --no-wait";
    let id = says(&app, line, 0).await;
    let id = id.lines().last().unwrap();
    app.until(id, |d| gates_now(d) != serde_json::json!([]))
        .await;
    let rejected = says(&app, "reject shop -e staging --reason wrong", 0).await;
    assert!(rejected.contains("rejected by admin: wrong"), "{rejected}");
}

#[tokio::test]
async fn slices_are_shown_and_switched() {
    let app = with_slices().await;
    let refused = says(&app, "switch shop -e staging", 3).await;
    assert!(refused.contains("--keep-old"), "{refused}");
    let line = "deploy shop 1.1.0 -e staging --strategy blue-green --keep-old --no-gates";
    says(&app, line, 0).await;
    let slices = says(&app, "slices shop -e staging", 0).await;
    assert!(slices.contains("green  live  100 %  1.1.0"), "{slices}");
    let switched = says(&app, "switch shop -e staging --reason compare", 0).await;
    assert!(switched.contains("1.1.0 -> 1.0.0"), "{switched}");
    let slices = says(&app, "slices shop -e staging -o json", 0).await;
    let slices: serde_json::Value = serde_json::from_str(&slices).unwrap();
    assert_eq!(slices["slices"][0]["weight"], 100);
}

#[tokio::test]
async fn a_plan_on_aws_says_where_and_on_which_image() {
    let app = TestApp::start().await;
    let account =
        "kind: Account\nname: eu\nprovider: aws\nregion: eu-west-1\npackage_bucket: packages";
    app.apply(&format!(
        "{CATALOGUE}aws: {{account: eu}}\n---\n{account}\n"
    ))
    .await;
    app.upload("shop", "1.0.0", release("1.0.0")).await;
    let image = "--image ami-0123456789abcdef0";
    let plan = says(&app, &format!("plan shop 1.0.0 -e staging {image}"), 0).await;
    assert!(plan.contains("where   account eu (eu-west-1)"), "{plan}");
    assert!(plan.contains("blue is shop-staging-blue"), "{plan}");
    assert!(plan.contains(" on ami-0123456789abcdef0"), "{plan}");
    let line = format!("deploy shop 1.0.0 -e staging --bake 0s {image}");
    let deployed = says(&app, &line, 0).await;
    assert!(deployed.contains("1.0.0 is live"), "{deployed}");
    says(&app, "plan shop 1.0.0 -e staging --image ubuntu", 2).await;
}

#[tokio::test]
async fn options_and_kinds_that_make_no_sense_are_refused() {
    let app = TestApp::start().await;
    for line in [
        "plan shop 1.1.0 -e staging --weights 5,100",
        "deploy shop 1.1.0 -e staging --strategy canary --surge 50%",
        "plan shop 1.1.0 -e staging --strategy canary --gates /nowhere/gates.yaml",
        "slices shop",
        "reject --reason x",
    ] {
        says(&app, line, 2).await;
    }
    app.apply("kind: Prometheus\nname: metrics\nurl: http://127.0.0.1:9")
        .await;
    let listed = says(&app, "prometheus list", 0).await;
    assert!(listed.contains("metrics  http://127.0.0.1:9"), "{listed}");
    let manifest = says(&app, "get prometheus metrics", 0).await;
    assert!(manifest.starts_with("kind: Prometheus\n"), "{manifest}");
    says(&app, "delete prometheus metrics", 0).await;
}
