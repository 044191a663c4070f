//! A server under test, who asks it, and what is asked.

mod artifact;
mod prometheus;
mod redact;
mod simulated;
pub mod stub;
mod visitor;

use std::{sync::Arc, time::Duration};

use domain::catalogue::ProviderKind;
use operations::{artifacts::Limits, clouds::Clouds};
use pointsman::{config::Config, server::Server};
use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use tempfile::TempDir;

pub use artifact::{release, tarball};
pub use prometheus::Prometheus;
pub use redact::redacted;
pub use simulated::Simulated;
pub use visitor::Visitor;

/// The gates of the current step of a deployment.
pub fn gates_now(deployment: &Value) -> Value {
    let step = deployment["step"].as_u64().unwrap_or_default() as usize;
    match &deployment["steps"][step]["gates"] {
        Value::Null => json!([]),
        gates => gates.clone(),
    }
}

/// How long a test waits for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persona {
    /// Shows the token.
    Admin,
    /// Shows nothing.
    Anonymous,
}

/// A server under test. Dropping it removes its folder.
pub struct TestApp {
    _folder: TempDir,
    pub config: Config,
    pub token: String,
    server: Option<Server>,
    http: reqwest::Client,
    clouds: Clouds,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl TestApp {
    /// A server with the usual settings.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A server with a catalogue, and releases 1.0.0 and 1.1.0 of the service `shop`.
    pub async fn with_shop() -> Self {
        let app = Self::start().await;
        app.apply(CATALOGUE).await;
        for version in ["1.0.0", "1.1.0"] {
            let answer = app.upload("shop", version, release(version)).await;
            assert_eq!(answer.status, 201, "{}", answer.text);
        }
        app
    }

    /// A server that nobody owns: the token makes the first admin.
    pub async fn with_first_start_token() -> Self {
        Self::with(|config| config.owner = false).await
    }

    /// A server with changed settings.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let everywhere = Arc::new(Simulated::default());
        let mut clouds = Clouds::default();
        clouds.insert(ProviderKind::Local, everywhere.clone());
        clouds.insert(ProviderKind::Aws, everywhere);
        Self::over(clouds, change).await
    }

    /// A server over these clouds, with changed settings.
    pub async fn over(clouds: Clouds, change: impl FnOnce(&mut Config)) -> Self {
        // An error means that another test was faster.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::new(folder.path().join("data"));
        config.listen = "127.0.0.1:0".parse().unwrap();
        change(&mut config);
        let mut app = Self {
            _folder: folder,
            config,
            token: String::new(),
            server: None,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            clouds,
        };
        app.restart_stopped().await;
        app
    }

    /// Stops the server, and starts it again on the same folder and clouds.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.restart_stopped().await;
    }

    /// Starts a server that was stopped, on the same folder and clouds.
    pub async fn restart_stopped(&mut self) {
        let clouds = self.clouds.clone();
        self.server = Some(Server::start(&self.config, clouds).await.unwrap());
        let file = match self.config.owner {
            true => "token",
            false => "first-start-token",
        };
        let token = std::fs::read_to_string(self.config.data.join(file)).unwrap();
        self.token = token.trim().to_owned();
    }

    /// Stops the server.
    pub async fn stop(&mut self) {
        self.server.take().unwrap().stop().await;
    }

    /// Adds a person who may do everything, and returns their token.
    pub async fn create_person(&self, name: &str) -> String {
        let token = self.invite(name).await;
        for role in ["operator", "governor", "admin"] {
            self.grant(json!({"kind": "person", "name": name}), role, json!({}))
                .await;
        }
        token
    }

    /// Makes a token that reads metrics and nothing else.
    pub async fn metrics_token(&self) -> String {
        let wish = json!({"name": "prometheus", "metrics": true});
        let made = self.post("/api/v1/tokens", wish).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json()["token"].as_str().unwrap().to_owned()
    }

    /// Revokes all tokens of a person; the status of the last one.
    pub async fn revoke_tokens(&self, owner: &str) -> StatusCode {
        let tokens = self.get("/api/v1/tokens").await.json();
        let tokens = tokens["items"].as_array().unwrap().clone();
        let mut status = StatusCode::NOT_FOUND;
        for token in tokens.iter().filter(|token| token["owner"] == owner) {
            let path = format!("/api/v1/tokens/{}", token["id"].as_str().unwrap());
            status = self.delete(&path).await.status;
        }
        status
    }

    /// Adds a person, who may nothing, and logs them in; returns their token.
    pub async fn invite(&self, name: &str) -> String {
        let created = self.post("/api/v1/people", json!({"name": name})).await;
        assert_eq!(created.status, 201, "{}", created.text);
        let body = json!({"code": created.json()["code"], "token_name": "test"});
        let request = self.request(Persona::Anonymous, Method::POST, "/api/v1/logins");
        let given = Answer::of(request.json(&body)).await;
        assert_eq!(given.status, 201, "{}", given.text);
        given.json()["token"].as_str().unwrap().to_owned()
    }

    /// Grants a role in a scope (`team`, `environment_type`), and returns the id of the grant.
    pub async fn grant(&self, subject: Value, role: &str, scope: Value) -> String {
        let mut body = json!({"subject": subject, "role": role});
        for (half, name) in scope.as_object().unwrap() {
            body[half] = name.clone();
        }
        let granted = self.post("/api/v1/grants", body).await;
        assert_eq!(granted.status, 201, "{}", granted.text);
        granted.json()["id"].as_str().unwrap().to_owned()
    }

    pub fn url(&self, path: &str) -> String {
        let url = self.server.as_ref().unwrap().url();
        format!("{url}{path}")
    }

    pub fn address(&self) -> std::net::SocketAddr {
        self.server.as_ref().unwrap().address()
    }

    pub fn request(&self, persona: Persona, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, self.url(path)).timeout(PATIENCE);
        match persona {
            Persona::Admin => request.bearer_auth(&self.token),
            Persona::Anonymous => request,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Persona::Admin, Method::GET, path)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request(Persona::Admin, Method::PUT, path).json(&body)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request(Persona::Admin, Method::POST, path).json(&body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.request(Persona::Admin, Method::DELETE, path)).await
    }

    /// Sends manifests as YAML.
    pub async fn manifests(&self, yaml: &str, dry_run: bool) -> Answer {
        let path = format!("/api/v1/manifests?dry_run={dry_run}");
        let request = self
            .request(Persona::Admin, Method::POST, &path)
            .header("content-type", "application/yaml")
            .body(yaml.to_owned());
        Answer::of(request).await
    }

    /// Applies manifests, which must be good.
    pub async fn apply(&self, yaml: &str) {
        let answer = self.manifests(yaml, false).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    pub async fn upload(&self, service: &str, version: &str, bytes: Vec<u8>) -> Answer {
        let path = format!("/api/v1/services/{service}/releases/{version}");
        let request = self
            .request(Persona::Admin, Method::PUT, &path)
            .header("content-type", "application/gzip")
            .body(bytes);
        Answer::of(request).await
    }

    /// Asks for a deployment of `shop` to `staging` without a bake.
    pub async fn deploy(&self, version: &str) -> Answer {
        self.post("/api/v1/deployments", wish(version)).await
    }

    /// Asks for a deployment, which must begin; its id.
    pub async fn begin(&self, version: &str) -> String {
        let answer = self.deploy(version).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        answer.json()["deployment"]["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Brings a release up, to its end.
    pub async fn bring_up(&self, version: &str) -> Value {
        let id = self.begin(version).await;
        let deployment = self.finished(&id).await;
        assert_eq!(deployment["status"], "succeeded", "{deployment:#}");
        deployment
    }

    /// The deployment once it has ended.
    pub async fn finished(&self, id: &str) -> Value {
        self.until(id, |deployment| !deployment["finished_at"].is_null())
            .await
    }

    /// The deployment once `reached`.
    pub async fn until(&self, id: &str, reached: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/api/v1/deployments/{id}");
        let look = async {
            loop {
                let deployment = self.get(&path).await.json();
                if reached(&deployment) {
                    return deployment;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, look)
            .await
            .expect("it comes to pass in time")
    }

    /// Every file below the artifact store, by its path there.
    pub fn artifact_files(&self) -> Vec<String> {
        let root = self.config.data.join("artifacts");
        let mut files = Vec::new();
        for folder in ["incoming", "sha256"] {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                let name = entry.unwrap().file_name();
                files.push(format!("{folder}/{}", name.to_string_lossy()));
            }
        }
        files.sort();
        files
    }
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        Self {
            status: response.status(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// Status and body as a text, with what differs from run to run taken out.
    pub fn shown(&self) -> String {
        let body = match self.text.as_str() {
            "" => String::new(),
            _ => format!("{:#}", redacted(self.json())),
        };
        format!("{}\n{body}\n", self.status.as_u16())
    }

    /// The code of the problem that this answer is.
    pub fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{} {}",
            self.status,
            self.text
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        problem["code"].as_str().unwrap().to_owned()
    }
}

/// The body that asks for a deployment of `shop` to `staging` without a bake.
pub fn wish(version: &str) -> Value {
    json!({
        "service": "shop", "environment": "staging", "version": version,
        "strategy": {"kind": "scale-up", "bake_seconds": 0},
    })
}

pub fn small_limits() -> Limits {
    Limits {
        packed_max: 64 * 1024,
        unpacked_max: 256 * 1024,
    }
}

/// A small catalogue.
pub const CATALOGUE: &str = "
kind: Team
name: web
contact: web@example.com
---
kind: EnvironmentType
name: testing
---
kind: Environment
name: staging
environment_type: testing
---
kind: Service
name: shop
owner: web
environment_types: [testing]
---
kind: ServerGroup
service: shop
environment: staging
size: 2
drain_seconds: 1
";
