//! A provider that nobody above it knows: a crate that implements `Cloud`, and one line where the clouds
//! are wired. What it does not implement is not offered there, and everybody is told so.

use std::sync::Arc;

use domain::{
    catalogue::ProviderKind,
    effect::{Effect, Target, Token},
    names::DeploymentId,
    observation::Observation,
};
use engine::{
    ports::{Provider, ProviderError},
    testing::fleet::{Fleet, QUICK},
};
use expect_test::{Expect, expect};
use futures_util::{StreamExt, stream};
use operations::{
    clock::SystemClock,
    cloud::{Answered, Calls, Cloud, LogQuery, LogText},
    clouds::Clouds,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, CATALOGUE, Persona, Simulated, TestApp, release, wish};

/// Machines in a rack. Of the people's verbs it knows three.
struct Rack(Fleet<SystemClock>);

impl Provider for Rack {
    async fn observe(&self, target: &Target) -> Result<Observation, ProviderError> {
        self.0.observe(target).await
    }

    async fn apply(
        &self,
        target: &Target,
        effect: &Effect,
        token: &Token,
    ) -> Result<(), ProviderError> {
        self.0.apply(target, effect, token).await
    }
}

impl Cloud for Rack {
    fn url(&self, target: &Target) -> Option<String> {
        Some(format!("https://{}.rack.example", target.place.service))
    }

    fn calls(&self, _: &Target, _: &DeploymentId) -> Option<Calls> {
        Some(Calls {
            changes: self.0.calls(),
            looks: 0.5,
        })
    }

    fn logs<'a>(&'a self, target: &'a Target, query: LogQuery) -> Answered<'a, LogText> {
        let text = format!("{} lines of {}\n", query.lines, target.place);
        let past = stream::iter([Ok(text.into())]);
        Box::pin(async move {
            Ok(match query.follow {
                true => past.chain(stream::pending()).boxed(),
                false => past.boxed(),
            })
        })
    }
}

/// What puts the server group of [`CATALOGUE`] into the rack.
const IN_THE_RACK: &str = "custom: {account: rack}
---
kind: Account
name: rack
provider: custom
";

/// A server with the shop in the rack, and release 1.0.0.
async fn with_rack() -> TestApp {
    let mut clouds = Clouds::default();
    clouds.insert(ProviderKind::Local, Arc::new(Simulated::default()));
    let rack = Rack(Fleet::new(SystemClock, QUICK));
    clouds.insert(ProviderKind::Custom, Arc::new(rack));
    let app = TestApp::over(clouds, |_| {}).await;
    app.apply(&format!("{CATALOGUE}{IN_THE_RACK}")).await;
    let package = app.upload("shop", "1.0.0", release("1.0.0")).await;
    assert_eq!(package.status, 201, "{}", package.text);
    app
}

const PLACE: &str = "/api/v1/environments/staging/services/shop";

#[tokio::test]
async fn it_is_deployed_to_and_its_own_verbs_answer() {
    let app = with_rack().await;
    let deployment = app.bring_up("1.0.0").await;
    let id = deployment["id"].as_str().unwrap();
    let status = app.get(PLACE).await.json();
    assert_eq!(status["live"]["version"], "1.0.0", "{status:#}");
    assert_eq!(status["url"], "https://shop.rack.example");
    let logs = app.get(&format!("{PLACE}/logs?lines=7")).await;
    assert_eq!(logs.text, "7 lines of shop.staging\n");
    let calls = app.get(&format!("/api/v1/deployments/{id}/calls")).await;
    assert_eq!(calls.json()["looks"], 0.5, "{}", calls.text);

    // On this machine, the other cloud knows nothing of it.
    app.apply(CATALOGUE).await;
    let here = app.get(PLACE).await.json();
    assert_eq!(here["url"], Value::Null, "{here:#}");
    assert_eq!(here["observation"]["instances"], json!([]), "{here:#}");
}

#[tokio::test]
async fn what_moves_away_from_it_leaves_something_behind() {
    let app = with_rack().await;
    app.bring_up("1.0.0").await;
    let told = app.manifests(CATALOGUE, true).await.json();
    let notes = told["changes"].as_array().unwrap().last().unwrap()["notes"].to_string();
    assert!(notes.contains("in the account rack stays there"), "{notes}");
}

/// Status, code and sentence of a refusal.
fn shown(answer: &Answer) -> String {
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    format!("{} {}: {detail}\n", answer.status.as_u16(), answer.code())
}

#[tokio::test]
async fn the_verbs_that_it_lacks_are_not_offered() {
    let app = with_rack().await;
    let check = |answer: &Answer, expected: Expect| expected.assert_eq(&shown(answer));
    let pass = app
        .post(
            &format!("{PLACE}/passes"),
            json!({"slice": "blue", "seconds": 60}),
        )
        .await;
    check(
        &pass,
        expect![[r#"
        404 no_passes: no pass can be given: passes are not offered there: the account rack is with a custom provider
    "#]],
    );
    let policy = app.get("/api/v1/accounts/rack/policy").await;
    check(
        &policy,
        expect![[r#"
            409 not_offered: a policy of permissions is not offered there: the account rack is with a custom provider
        "#]],
    );
    let import = "import?service=shop&environment=staging&groups=web";
    let import = app.get(&format!("/api/v1/accounts/rack/{import}")).await;
    check(
        &import,
        expect![[r#"
        409 not_offered: an import of groups is not offered there: the account rack is with a custom provider
    "#]],
    );
    let images = app.get("/api/v1/images?account=rack").await;
    check(
        &images,
        expect![[r#"
            409 not_offered: machine images are not offered there: the account rack is with a custom provider
        "#]],
    );
    let checkup = app.get("/api/v1/accounts/rack/checkup").await;
    expect![[r#"
        [
          {
            "found": "a check-up is not offered there: the account rack is with a custom provider",
            "name": "account",
            "remedy": null,
            "status": "unchecked"
          }
        ]"#]]
    .assert_eq(&format!("{:#}", checkup.json()["checks"]));
    let metrics = app.get("/metrics").await.text;
    let counted = "pointsman_provider_errors_total{kind=\"not_offered\"} 5";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn what_it_cannot_do_is_refused_before_anything_is_changed() {
    let app = with_rack().await;
    let mut refresh = wish("1.0.0");
    refresh["strategy"] = json!({"kind": "instance-refresh"});
    let refused = app.post("/api/v1/deployments", refresh).await;
    assert_eq!(
        refused.json()["objections"][0]["reason"],
        "refresh_not_offered"
    );
    let both = format!("{CATALOGUE}aws: {{account: rack}}\n{IN_THE_RACK}");
    let both = app.manifests(&both, true).await;
    assert_eq!(both.json()["errors"][0]["field"], "custom", "{}", both.text);
}

#[tokio::test]
async fn a_build_without_it_says_so() {
    let app = TestApp::start().await;
    app.apply(&format!("{CATALOGUE}{IN_THE_RACK}")).await;
    app.upload("shop", "1.0.0", release("1.0.0")).await;
    let refused = app.deploy("1.0.0").await;
    expect![[r#"
        409 provider_refused: the provider refuses: this build of pointsman brings no provider of its own; use one that does, or another account
    "#]].assert_eq(&shown(&refused));
}

#[tokio::test]
async fn open_streams_end_with_a_reason_once_the_token_is_revoked() {
    let app = with_rack().await;
    let mut body = wish("1.0.0");
    body["strategy"]["bake_seconds"] = 3600.into();
    let begun = app.post("/api/v1/deployments", body).await.json();
    let id = begun["deployment"]["id"].as_str().unwrap();
    let alice = app.create_person("alice").await;
    let open = |path: &str| {
        let request = app.request(Persona::Anonymous, Method::GET, path);
        let request = request.bearer_auth(&alice);
        request.header("accept", "text/event-stream").send()
    };
    let logs = open(&format!("{PLACE}/logs?lines=7&follow=true"));
    let (logs, events) = tokio::join!(logs, open(&format!("/api/v1/deployments/{id}/events")));
    let (logs, events) = (logs.unwrap(), events.unwrap());
    assert_eq!([logs.status(), events.status()], [200, 200]);
    assert_eq!(app.revoke_tokens("alice").await, 204);
    let (logs, events) = tokio::join!(logs.text(), events.text());
    let why = "the token was revoked or has expired";
    assert_eq!(
        logs.unwrap(),
        format!("7 lines of shop.staging\npointsman: these logs end here: {why}\n")
    );
    let last = format!(
        "event: ended\ndata: {{\"reason\":\"unauthenticated\",\"sentence\":\"{why}\"}}\n\n"
    );
    let events = events.unwrap();
    assert!(events.ends_with(&last), "{events}");
}
