//! Signing in by OpenID Connect, at a real provider.

mod provider;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Connection;

use crate::support::{Answer, Persona, TestApp, Visitor};
use provider::Provider;

const SETTINGS: &str = "providers:
  - name: corp
    title: Example Corp
    issuer: http://127.0.0.1:PORT
    client_id: pointsman
    client_secret_file: SECRET
    scopes: [profile, groups]
    groups_claim: groups
";

/// A server, and the provider by which people sign in.
struct Both {
    app: TestApp,
    provider: Option<Provider>,
    port: u16,
}

impl Both {
    async fn start() -> Self {
        let port = Provider::free_port();
        let app = TestApp::with(|config| {
            std::fs::create_dir_all(&config.data).unwrap();
            let secret = config.data.join("oidc-secret");
            std::fs::write(&secret, "a secret: of the tests & more\n").unwrap();
            let settings = SETTINGS
                .replace("PORT", &port.to_string())
                .replace("SECRET", &secret.display().to_string());
            let file = config.data.join("oidc.yaml");
            std::fs::write(&file, settings).unwrap();
            config.oidc = Some(file);
        });
        let mut both = Self {
            app: app.await,
            provider: None,
            port,
        };
        both.start_provider().await;
        both
    }

    async fn start_provider(&mut self) {
        let host = Visitor::stranger(&self.app).host();
        let back = format!("http://{host}/sign-in/back/corp");
        self.provider = Some(Provider::start(self.port, &back).await);
    }

    /// Goes to the provider and signs in there: the browser, and the path to which it is sent back.
    async fn away(&self, login: &str) -> (Visitor<'_>, String) {
        let mut visitor = Visitor::stranger(&self.app);
        let left = visitor.open("/sign-in/with/corp?next=/sign-in/link").await;
        assert_eq!(left.status, 303, "{}", left.text);
        let cookie = left.header("set-cookie");
        assert!(cookie.starts_with("__Host-pointsman-away="), "{cookie}");
        assert!(cookie.contains("Secure; HttpOnly; SameSite=Lax; Max-Age=600"));
        visitor.cookie = cookie.split(';').next().unwrap().to_owned();
        let provider = self.provider.as_ref().unwrap();
        let back = provider.sign_in(left.header("location"), login).await;
        let host = format!("http://{}", visitor.host());
        let path = back.strip_prefix(&host).expect("back at the portal");
        (visitor, path.to_owned())
    }

    async fn signed_in(&self, login: &str) -> Visitor<'_> {
        let (mut visitor, path) = self.away(login).await;
        let back = visitor.open(&path).await;
        assert_eq!(back.status, 303, "{}", back.text);
        assert_eq!(back.header("location"), "/sign-in/link");
        visitor.keep(&back);
        visitor
    }

    /// As if so many minutes had passed since the provider was asked, and since it said yes.
    async fn minutes_passed(&self, asked: i64, confirmed: i64) {
        sqlx::any::install_default_drivers();
        let file = self.app.config.data.join("pointsman.db");
        let url = format!("sqlite:{}", file.display());
        let mut database = sqlx::AnyConnection::connect(&url).await.unwrap();
        sqlx::query(
            "update sessions set asked_at = asked_at - $1, confirmed_at = confirmed_at - $2",
        )
        .bind(asked * 60_000)
        .bind(confirmed * 60_000)
        .execute(&mut database)
        .await
        .unwrap();
        database.close().await.unwrap();
    }

    async fn group(&self, body: Value) -> Answer {
        self.app.post("/api/v1/groups", body).await
    }

    async fn members(&self, group: &str) -> Vec<String> {
        let path = format!("/api/v1/groups/{group}/members");
        let all = self.app.get(&path).await.json();
        let names = all.as_array().unwrap().iter();
        names
            .map(|name| name.as_str().unwrap().to_owned())
            .collect()
    }
}

#[tokio::test]
async fn people_of_a_provider_sign_in_and_have_what_their_groups_have() {
    let both = Both::start().await;
    let page = Visitor::stranger(&both.app).open("/sign-in").await;
    assert!(
        page.text.contains("Sign in with Example Corp"),
        "{}",
        page.text
    );
    let made = both
        .group(json!({"name": "web", "provider": "corp", "provider_group": "Web People"}))
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let ann = both.signed_in("ann.lee@1").await;
    assert_eq!(ann.open("/").await.status, 200);
    assert_eq!(both.members("web").await, ["ann.lee"]);

    // Nobody is found by a name: somebody else with the same one is somebody else.
    both.signed_in("ann.lee@2").await;
    assert_eq!(both.members("web").await, ["ann.lee", "ann.lee-2"]);
    both.signed_in("ann.lee@1").await;
    let people = both.app.get("/api/v1/people").await.json();
    let names: Vec<&str> = people["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|person| person["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["admin", "ann.lee", "ann.lee-2"]);

    let by_hand = both.app.request(
        Persona::Admin,
        Method::PUT,
        "/api/v1/groups/web/members/admin",
    );
    let by_hand = Answer::of(by_hand).await;
    assert_eq!(by_hand.status, 422, "{}", by_hand.text);
    assert!(by_hand.text.contains("corp says who is in the group web"));
    let unknown = both.group(json!({"name": "x", "provider": "nobody"})).await;
    assert_eq!(unknown.status, 422, "{}", unknown.text);
    assert!(unknown.text.contains("identity providers: corp"));
}

#[tokio::test]
async fn an_answer_counts_once_and_in_the_browser_that_asked() {
    let both = Both::start().await;
    let (visitor, path) = both.away("ann@1").await;
    let elsewhere = Visitor::stranger(&both.app).open(&path).await;
    let (other, _) = both.away("bob@1").await;
    let in_another = other.open(&path).await;
    for refused in [elsewhere, in_another] {
        assert_eq!(refused.status, 401, "{}", refused.text);
        assert!(
            refused
                .text
                .contains("does not belong to a sign-in that began in this browser")
        );
        assert_eq!(refused.header("set-cookie"), "");
    }
    let no_code = path.split('?').next().unwrap();
    assert_eq!(visitor.open(no_code).await.status, 401);
    let back = visitor.open(&path).await;
    assert_eq!(back.status, 303, "{}", back.text);
    let again = visitor.open(&path).await;
    assert_eq!(again.status, 401, "used twice: {}", again.text);
}

#[tokio::test]
async fn a_session_follows_what_the_provider_says() {
    let mut both = Both::start().await;
    let cookie = both.signed_in("ann@1").await.cookie;
    let status = async |both: &Both, path: &str| {
        let mut ann = Visitor::stranger(&both.app);
        ann.cookie.clone_from(&cookie);
        ann.open(path).await.status
    };
    // It is asked again, and gives another token for the next time: twice, so the second one works too.
    for _ in 0..2 {
        both.minutes_passed(6, 6).await;
        assert_eq!(status(&both, "/").await, 200);
    }
    // While it is silent, people may look for an hour.
    both.provider = None;
    both.minutes_passed(6, 16).await;
    assert_eq!(status(&both, "/").await, 200);
    both.minutes_passed(6, 50).await;
    assert_eq!(status(&both, "/").await, 303, "after more than an hour");
    // A provider that knows nothing of the session any more ends it.
    let cookie = both.signed_in_again("ann@1").await;
    both.provider = None;
    tokio::time::sleep(Duration::from_millis(50)).await;
    both.start_provider().await;
    both.minutes_passed(6, 6).await;
    let mut ann = Visitor::stranger(&both.app);
    ann.cookie = cookie;
    assert_eq!(ann.open("/").await.status, 303);
}

impl Both {
    async fn signed_in_again(&mut self, login: &str) -> String {
        self.start_provider().await;
        self.signed_in(login).await.cookie
    }
}
