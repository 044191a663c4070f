//! A server over a simulated fleet, filled through the API with one service of each kind, and from there by
//! copies in the database: so every row looks as the server itself writes it.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
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
use operations::{clock::SystemClock, cloud::Cloud, clouds::Clouds};
use pointsman::{config::Config, server::Server};
use serde_json::{Value, json};
use sqlx::{AnyPool, any::AnyPoolOptions};
use tempfile::TempDir;

const ENVIRONMENTS: usize = 20;
const TEAMS: usize = 50;
/// The service that all others are copies of.
const FIRST: &str = "service-00000";

/// The simulated fleet as a cloud that only the engine uses.
struct Simulated(Fleet<SystemClock>);

impl Provider for Simulated {
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

impl Cloud for Simulated {}

/// A server that is measured.
pub struct Installation {
    server: Server,
    pool: AnyPool,
    pub http: reqwest::Client,
    token: String,
    /// A deployment that ended, for pages that show one.
    pub ended: String,
    _folder: TempDir,
}

impl Installation {
    /// A server with one service in all environments.
    pub async fn start(database: Option<String>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut config = Config::new(folder.path().join("data"));
        config.listen = "127.0.0.1:0".parse()?;
        config.database = database;
        let mut clouds = Clouds::default();
        let fleet = Simulated(Fleet::new(SystemClock, QUICK));
        clouds.insert(ProviderKind::Local, Arc::new(fleet));
        let server = Server::start(&config, clouds).await?;
        let token = std::fs::read_to_string(config.data.join("token"))?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let url = config
            .database
            .clone()
            .unwrap_or_else(|| sqlite(&config.data));
        let pool = AnyPoolOptions::new().max_connections(1).connect(&url);
        let mut installation = Self {
            server,
            pool: pool.await?,
            http,
            token: token.trim().to_owned(),
            ended: String::new(),
            _folder: folder,
        };
        installation.ended = installation.fill().await?;
        Ok(installation)
    }

    /// Where the server is.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.url())
    }

    /// The host of the portal.
    pub fn host(&self) -> String {
        format!("pointsman.localhost:{}", self.server.address().port())
    }

    /// Stops the server.
    pub async fn stop(self) {
        self.pool.close().await;
        self.server.stop().await;
    }

    /// Asks the API for something.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.http.post(self.url(path)).json(body);
        self.send(request).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        let answer = request.bearer_auth(&self.token).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// The cookie of the owner, or of the one with this login code.
    pub async fn signed_in(&self, code: Option<String>) -> anyhow::Result<String> {
        let code = match code {
            Some(code) => code,
            None => {
                let link = self.post("/api/v1/me/sign-in-link", &json!({})).await?;
                link["code"].as_str().context("a code")?.to_owned()
            }
        };
        let answer = self
            .http
            .post(self.url("/sign-in/link"))
            .header("host", self.host())
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("code={code}"))
            .send()
            .await?;
        let cookie = answer.headers().get("set-cookie").context("a cookie")?;
        let (pair, _) = cookie.to_str()?.split_once(';').context("attributes")?;
        Ok(pair.to_owned())
    }

    /// The cookie of somebody who may see what the first team owns.
    pub async fn member(&self, name: &str) -> anyhow::Result<String> {
        let made = self.post("/api/v1/people", &json!({"name": name})).await?;
        let subject = json!({"kind": "person", "name": name});
        let grant = json!({"subject": subject, "role": "operator", "team": "team-00"});
        self.post("/api/v1/grants", &grant).await?;
        let code = made["code"].as_str().context("a code")?.to_owned();
        self.signed_in(Some(code)).await
    }

    /// The first service, in all environments, live in one of them; its deployment.
    async fn fill(&self) -> anyhow::Result<String> {
        let mut all = vec![json!({"kind": "EnvironmentType", "name": "staging"})];
        all.extend((0..TEAMS).map(|n| json!({"kind": "Team", "name": format!("team-{n:02}")})));
        all.push(json!({"kind": "Service", "name": FIRST, "owner": "team-00", "environment_types": ["staging"]}));
        for n in 0..ENVIRONMENTS {
            let name = format!("env-{n:02}");
            all.push(json!({"kind": "Environment", "name": name, "environment_type": "staging"}));
            all.push(
                json!({"kind": "ServerGroup", "service": FIRST, "environment": name, "size": 4}),
            );
        }
        self.post("/api/v1/manifests", &json!(all)).await?;
        let path = format!("/api/v1/services/{FIRST}/releases/1.0.0");
        let request = self.http.put(self.url(&path)).body(artifact()?);
        self.send(request).await?;
        let id = self.begin("env-00", 0).await?;
        let path = format!("/api/v1/deployments/{id}");
        loop {
            let request = self.http.get(self.url(&path));
            let deployment = self.send(request).await?;
            match deployment["status"].as_str() {
                Some("succeeded") => return Ok(id),
                Some("running") => tokio::time::sleep(Duration::from_millis(50)).await,
                other => anyhow::bail!("the first deployment ended as {other:?}: {deployment}"),
            }
        }
    }

    /// Begins a deployment of the first service.
    pub async fn begin(&self, environment: &str, bake_seconds: u32) -> anyhow::Result<String> {
        let strategy = json!({"kind": "scale-up", "bake_seconds": bake_seconds});
        let wish = json!({"service": FIRST, "environment": environment, "version": "1.0.0", "strategy": strategy});
        let begun = self.post("/api/v1/deployments", &wish).await?;
        let id = begun["deployment"]["id"].as_str();
        Ok(id.context("an id")?.to_owned())
    }

    /// Copies the first service until there are so many, and its deployment.
    pub async fn grow(&self, services: usize, deployments: usize) -> anyhow::Result<()> {
        let mut all = self.pool.begin().await?;
        for statement in PREPARE {
            sqlx::query(*statement).execute(&mut *all).await?;
        }
        let (have,): (i64,) =
            sqlx::query_as("select count(*) from catalogue where kind = 'service'")
                .fetch_one(&mut *all)
                .await?;
        for n in have as usize..services {
            let insert = sqlx::query("insert into bench_services (name, team) values ($1, $2)");
            let (name, team) = (format!("service-{n:05}"), format!("team-{:02}", n % TEAMS));
            insert.bind(name).bind(team).execute(&mut *all).await?;
        }
        let (have,): (i64,) = sqlx::query_as("select count(*) from deployments")
            .fetch_one(&mut *all)
            .await?;
        for n in have as usize..deployments {
            let insert = sqlx::query("insert into bench_deployments (id, name) values ($1, $2)");
            let id = DeploymentId(uuid::Uuid::now_v7().to_string());
            let name = format!("service-{:05}", n % services);
            insert.bind(id.0).bind(name).execute(&mut *all).await?;
        }
        for statement in COPY {
            let copied = sqlx::query(*statement).bind(FIRST).bind(&self.ended);
            let copied = copied.execute(&mut *all).await;
            copied.with_context(|| (*statement).to_owned())?;
        }
        all.commit().await?;
        sqlx::query("analyze").execute(&self.pool).await?;
        Ok(())
    }
}

/// What is copied, and as what.
const PREPARE: &[&str] = &[
    "create table if not exists bench_services (name text primary key, team text not null)",
    "create table if not exists bench_deployments (id text primary key, name text not null)",
    "delete from bench_services",
    "delete from bench_deployments",
];

/// $1 is the name of the first service, $2 its deployment.
const COPY: &[&str] = &[
    "insert into catalogue (kind, name, body, version, environment, instances, updated_at, updated_by)
        select kind, replace(catalogue.name, $1, b.name),
            replace(replace(body, $1, b.name), 'team-00', b.team),
            version, environment, instances, updated_at, updated_by
        from catalogue cross join bench_services b
        where kind in ('service', 'server-group') and substr(catalogue.name, 1, 13) = $1 and $2 <> ''",
    "insert into catalogue_references (from_kind, from_name, to_kind, to_name)
        select from_kind, replace(from_name, $1, b.name), to_kind,
            replace(case when to_kind = 'team' then b.team else to_name end, $1, b.name)
        from catalogue_references cross join bench_services b
        where substr(from_name, 1, 13) = $1 and $2 <> ''",
    "insert into releases (service, version, digest, image, size_bytes, created_at, created_by)
        select b.name, version, digest, image, size_bytes, created_at, created_by
        from releases cross join bench_services b where service = $1 and $2 <> ''",
    "insert into live (environment, service, version, launch, previous, since, deployment)
        select e.name, b.name, live.version, launch, previous, since, deployment
        from live cross join bench_services b
            join catalogue e on e.kind = 'environment'
        where service = $1 and live.environment = 'env-00' and $2 <> ''",
    "insert into deployments (id, service, environment, version, record, finished, outcome, surge,
            events, attended_at)
        select b.id, b.name, environment, version,
            replace(replace(record, $2, b.id), $1, b.name), finished, outcome, surge, 0, attended_at
        from deployments cross join bench_deployments b where deployments.id = $2 and $1 <> ''",
];

fn sqlite(data: &Path) -> String {
    sqlx::any::install_default_drivers();
    store::sqlite_url(&data.join("pointsman.db"))
}

fn artifact() -> anyhow::Result<Vec<u8>> {
    let content = "web: true\n";
    let packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut builder = tar::Builder::new(packed);
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, "Procfile", content.as_bytes())?;
    Ok(builder.into_inner()?.finish()?)
}
