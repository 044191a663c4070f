//! The permission walk: every operation of the one table, by everybody there is.

mod pages;

use domain::{
    access::{
        PersonName, Principal, Reach, Right, Role, SECRET_BYTES, TokenId, Via, Who, token_of,
    },
    catalogue::Kind,
    release::Digest,
    time::UnixMs,
};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use store::tokens::{Token, TokenCreated};
use web::rows::{Found, Needs, Row, row_of};

use crate::support::{Answer, Persona, TestApp, release, wish};

/// Somebody who walks.
struct Walker {
    what: String,
    /// Their name.
    person: String,
    token: String,
    /// Let in at all.
    counts: bool,
    role: Option<Role>,
    team: Option<&'static str>,
    class: Option<&'static str>,
    /// The only rights that their token reaches.
    rights: Option<&'static [Right]>,
    scrapes: bool,
}

/// What must become of a request.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Unauthenticated,
    Denied,
    Hidden,
    Passes,
}

impl Walker {
    fn new(what: String, token: String) -> Self {
        Self {
            person: what.clone(),
            what,
            token,
            counts: true,
            role: None,
            team: None,
            class: None,
            rights: None,
            scrapes: false,
        }
    }

    fn has(&self, right: Right, found: Found) -> bool {
        let given = self.role.is_some_and(|role| role.rights().contains(&right));
        let reached = self.rights.is_none_or(|rights| rights.contains(&right));
        given && reached && self.is_inside(right, found)
    }

    /// Whether their scope holds for what the walk is about: the service `shop` of the team `web` in the
    /// environment `staging`, which has the type `testing` and no owner.
    fn is_inside(&self, right: Right, found: Found) -> bool {
        let team = self.team.is_none_or(|team| team == "web");
        let class = self.class.is_none_or(|class| class == "testing");
        let (any_team, any_class) = (self.team.is_none(), self.class.is_none());
        let sees = right == Right::View;
        match found {
            Found::EachRow => true,
            Found::Whole => any_team && any_class,
            Found::Entry(Kind::Prometheus | Kind::Account | Kind::Freeze) => {
                sees || any_team && any_class
            }
            Found::Entry(Kind::Team | Kind::Service)
            | Found::Service
            | Found::Described
            | Found::TeamInBody => team && (any_class || sees || right == Right::Release),
            Found::Entry(Kind::EnvironmentType | Kind::Environment) | Found::Environment => {
                class && (any_team || sees)
            }
            Found::Entry(Kind::ServerGroup)
            | Found::Place
            | Found::PlaceInBody
            | Found::Deployment => team && class,
        }
    }

    fn outcome(&self, row: &Row) -> Outcome {
        if row.needs == Needs::Nothing {
            return Outcome::Passes;
        }
        if !self.counts {
            return Outcome::Unauthenticated;
        }
        let allowed = match row.needs {
            Needs::Metrics => self.scrapes || self.has(Right::View, Found::Whole),
            Needs::Nothing | Needs::Credential => !self.scrapes,
            Needs::Right(_, Found::EachRow) => !self.scrapes,
            Needs::Right(right, found) => self.has(right, found),
        };
        let shown = match row.needs {
            Needs::Right(_, Found::Whole) => true,
            Needs::Right(_, found) => self.scrapes || self.has(Right::View, found),
            _ => true,
        };
        match (allowed, shown) {
            (true, _) => Outcome::Passes,
            (false, true) => Outcome::Denied,
            (false, false) => Outcome::Hidden,
        }
    }
}

/// Everybody there is.
async fn walkers(app: &TestApp) -> Vec<Walker> {
    let mut walkers = Vec::new();
    for role in Role::ALL {
        for (place, team, class) in [
            ("everywhere", None, None),
            ("inside", Some("web"), Some("testing")),
            ("outside", Some("other"), Some("testing")),
        ] {
            let name = format!("{role}.{place}");
            let token = app.invite(&name).await;
            let subject = json!({"kind": "person", "name": name});
            let scope = json!({"team": team, "environment_type": class});
            app.grant(subject, role.as_str(), scope).await;
            let mut walker = Walker::new(name, token);
            (walker.role, walker.team, walker.class) = (Some(role), team, class);
            walkers.push(walker);
        }
    }
    let nobody = app.invite("nobody-granted").await;
    walkers.push(Walker::new("nobody-granted".to_owned(), nobody));
    let anonymous = Walker::new("anonymous".to_owned(), String::new());
    let disabled = app.create_person("disabled").await;
    let off = app.post("/api/v1/people/disabled/disable", json!({})).await;
    assert_eq!(off.status, 200, "{}", off.text);
    let revoked = app.create_person("revoked").await;
    assert_eq!(app.revoke_tokens("revoked").await, 204);
    let ended = ended_token(app).await;
    for (what, token) in [
        ("disabled", disabled),
        ("revoked", revoked),
        ("ended", ended),
    ] {
        walkers.push(Walker::new(what.to_owned(), token));
    }
    walkers.push(anonymous);
    for walker in walkers.iter_mut().rev().take(4) {
        walker.counts = false;
    }
    let narrow = json!({"name": "narrow", "rights": ["view"]});
    let made = app.post("/api/v1/tokens", narrow).await.json();
    let token = made["token"].as_str().unwrap().to_owned();
    let mut narrow = Walker::new("a narrower token".to_owned(), token);
    narrow.person = "admin".to_owned();
    narrow.role = Some(Role::Operator);
    narrow.rights = Some(&[Right::View]);
    walkers.push(narrow);
    let mut scraper = Walker::new("a scraper".to_owned(), app.metrics_token().await);
    scraper.scrapes = true;
    walkers.push(scraper);
    walkers
}

/// A token that ended a moment ago.
async fn ended_token(app: &TestApp) -> String {
    let url = store::sqlite_url(&app.config.data.join("pointsman.db"));
    let store = store::Store::open(&url).await.unwrap();
    let who = Who::Person(PersonName::owner());
    let token = Token {
        id: TokenId("ended".to_owned()),
        who: who.clone(),
        name: "ended".to_owned(),
        reach: Reach::Full,
        created_at: UnixMs(0),
        created_by: "admin".to_owned(),
        ends_at: UnixMs(1),
        used_on: None,
        used_from: None,
    };
    let secret = token_of(&[7; SECRET_BYTES]);
    let hash = Digest::from_bytes(Sha256::digest(secret.as_bytes()).into());
    let by = Principal::authenticated(who, Via::Owner, Reach::Full);
    let created = store.create_token(&token, &hash, &by).await.unwrap();
    assert_eq!(created, TokenCreated::Created);
    store.close().await;
    secret
}

/// Every operation that the description of the API names: its method, its path and its row.
async fn operations(app: &TestApp) -> Vec<(Method, String, String, Row)> {
    let request = app.request(Persona::Anonymous, Method::GET, "/openapi.json");
    let document = Answer::of(request).await.json();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            let row = row_of(id).unwrap_or_else(|| panic!("{id} has no row"));
            let method: Method = method.to_uppercase().parse().unwrap();
            operations.push((method, path.clone(), id.to_owned(), row));
        }
    }
    operations
}

/// The path of what the walk is about.
fn filled(path: &str, deployment: &str) -> String {
    let path = match path {
        _ if path.contains("/teams/") => path.replace("{name}", "web"),
        _ if path.contains("/environment-types/") => path.replace("{name}", "testing"),
        _ if path.contains("/server-groups/") => path.replace("{name}", "shop.staging"),
        _ if path.contains("/services/") => path.replace("{name}", "shop"),
        _ if path.contains("/environments/") => path.replace("{name}", "staging"),
        _ if path.contains("/deployments/") => path.replace("{id}", deployment),
        _ => path.to_owned(),
    };
    path.replace("{service}", "shop")
        .replace("{environment}", "staging")
        .replace("{version}", "1.0.0")
        .replace("{name}", "unheard-of")
        .replace("{person}", "unheard-of")
        .replace("{id}", "unheard-of")
}

/// A body that is understood, and changes nothing that the walk needs.
fn body(operation: &str) -> Value {
    match operation {
        "create_deployment" => wish("9.9.9"),
        "put_services" => json!({"owner": "web", "environment_types": ["testing"]}),
        "put_environments" => json!({"environment_type": "testing"}),
        "put_server_groups" => json!({"size": 2, "drain_seconds": 1}),
        "put_teams" => json!({"contact": "web@example.com"}),
        "lock_environment" | "withdraw_release" => json!({"reason": "a walk"}),
        "create_service_account" => json!({"name": "walker-ci", "team": "web"}),
        "create_person" | "create_group" => json!({"name": "walker"}),
        "create_token" => json!({"name": "walker"}),
        "create_grant" => {
            let subject = json!({"kind": "person", "name": "unheard-of"});
            json!({"subject": subject, "role": "viewer"})
        }
        "log_in" => json!({"code": "unheard-of", "token_name": "walker"}),
        "approve_deployment" => json!({}),
        _ if operation.ends_with("_deployment") || operation == "roll_back_place" => {
            json!({"reason": "a walk"})
        }
        _ => json!({}),
    }
}

async fn ask(
    app: &TestApp,
    walker: &Walker,
    (method, path, operation): (&Method, &str, &str),
) -> Answer {
    let path = match operation {
        "import_groups" => format!("{path}?service=shop&environment=staging&groups=g"),
        "may" => format!("{path}?person={}&right=view", walker.person),
        _ => path.to_owned(),
    };
    let request = app.request(Persona::Anonymous, method.clone(), &path);
    let request = match walker.token.as_str() {
        "" => request,
        token => request.bearer_auth(token),
    };
    let request = match (operation, method) {
        ("create_release", _) => request
            .header("content-type", "application/gzip")
            .body(release("1.0.0")),
        ("apply_manifests", _) => {
            let shop = "kind: Service\nname: shop\nowner: web\nenvironment_types: [testing]\n";
            request
                .header("content-type", "application/yaml")
                .body(shop)
        }
        // Nothing has this version: what would be changed stays as it is.
        (_, &Method::PUT | &Method::DELETE) if operation != "lock_environment" => request
            .header("if-match", "\"999999\"")
            .json(&body(operation)),
        (_, &Method::GET) => request,
        _ => request.json(&body(operation)),
    };
    Answer::of(request).await
}

#[tokio::test]
async fn everybody_can_do_what_the_table_says_and_nothing_else() {
    let app = TestApp::with_shop().await;
    let deployed = app.bring_up("1.1.0").await;
    let deployment = deployed["id"].as_str().unwrap();
    let walkers = walkers(&app).await;
    let operations = operations(&app).await;
    assert!(walkers.len() >= 20 && operations.len() >= 85);
    let mut faults = Vec::new();
    for (method, path, operation, row) in &operations {
        let path = filled(path, deployment);
        for walker in &walkers {
            let answer = ask(&app, walker, (method, &path, operation)).await;
            let code = match answer.status.is_success() {
                true => String::new(),
                false => answer.code(),
            };
            let outcome = walker.outcome(row);
            let status = answer.status.as_u16();
            let is_right = match outcome {
                Outcome::Unauthenticated => status == 401,
                // A body that is not understood is refused before.
                Outcome::Denied => status == 403 || status == 422 && *method == Method::PUT,
                Outcome::Hidden => {
                    status == 404 && code == "not_found" || status == 422 && *method == Method::PUT
                }
                Outcome::Passes => {
                    let is_let_in = status != 401 && status != 403 && status < 500;
                    is_let_in
                        || operation == "log_in" && code == "sign_in_refused"
                        || operation == "log_in" && code == "too_many_attempts"
                }
            };
            if !is_right {
                let what = &walker.what;
                faults.push(format!(
                    "{operation} by {what}: {outcome:?}, got {status} {code}"
                ));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[tokio::test]
async fn what_is_hidden_answers_like_what_is_unknown_and_is_in_no_list() {
    let app = TestApp::with_shop().await;
    let deployed = app.bring_up("1.1.0").await;
    let id = deployed["id"].as_str().unwrap();
    let token = app.invite("outsider").await;
    let subject = json!({"kind": "person", "name": "outsider"});
    app.grant(
        subject,
        "viewer",
        json!({"team": "other", "environment_type": "live"}),
    )
    .await;
    let get = async |path: &str| {
        let request = app.request(Persona::Anonymous, Method::GET, path);
        Answer::of(request.bearer_auth(&token)).await
    };
    for (path, hidden, unknown) in [
        ("services/{}", "shop", "none"),
        ("teams/{}", "web", "none"),
        ("environments/{}", "staging", "none"),
        ("environments/{}/status", "staging", "none"),
        ("services/{}/releases", "shop", "none"),
        ("server-groups/{}", "shop.staging", "none.none"),
        ("deployments/{}", id, "none"),
        ("deployments/{}/events", id, "none"),
    ] {
        let path = |name| format!("/api/v1/{}", path.replace("{}", name));
        let (one, other) = (get(&path(hidden)).await, get(&path(unknown)).await);
        assert_eq!(one.status, 404, "{}: {}", path(hidden), one.text);
        assert_eq!(one.text.replace(hidden, unknown), other.text);
    }
    for list in [
        "services",
        "teams",
        "environments",
        "environment-types",
        "server-groups",
        "deployments",
    ] {
        let path = format!("/api/v1/{list}");
        assert_ne!(app.get(&path).await.json()["items"], json!([]), "{list}");
        let page = get(&path).await.json();
        assert_eq!(
            (&page["items"], &page["next"]),
            (&json!([]), &Value::Null),
            "{list}"
        );
    }
}
