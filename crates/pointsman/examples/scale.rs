//! A large installation on the simulated provider: 5,000 services, 20 environments, 200 deployments
//! at once, through the public API of a server in this process. Prints times and memory.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use domain::{
    catalogue::ProviderKind,
    effect::{Effect, Target, Token},
    observation::Observation,
};
use engine::{
    ports::{Provider, ProviderError},
    testing::fleet::{Fleet, QUICK},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use operations::{clock::SystemClock, cloud::Cloud, clouds::Clouds};
use pointsman::{config::Config, server::Server};
use serde_json::{Value, json};

const SERVICES: usize = 5000;
const ENVIRONMENTS: usize = 20;
/// Services that are deployed, all at once.
const DEPLOYMENTS: usize = 200;
/// Manifests in one request.
const BATCH: usize = 500;

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

/// A client of the server under measurement.
struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Client {
    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        let answer = request.bearer_auth(&self.token).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }
    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(self.http.get(format!("{}{path}", self.url)))
            .await
    }
    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(self.http.post(format!("{}{path}", self.url)).json(body))
            .await
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // An error means that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir()?;
    let mut config = Config::new(folder.path().join("data"));
    config.listen = "127.0.0.1:0".parse()?;
    let fleet = Arc::new(Simulated(Fleet::new(SystemClock, QUICK)));
    let mut clouds = Clouds::default();
    clouds.insert(ProviderKind::Local, fleet.clone());
    let server = Server::start(&config, clouds).await?;
    let token = std::fs::read_to_string(config.data.join("token"))?
        .trim()
        .to_owned();
    let http = reqwest::Client::builder().no_proxy().build()?;
    let client = Client {
        http,
        url: server.url(),
        token,
    };
    println!("empty server: {} MiB", memory_mib());

    let started = Instant::now();
    let manifests = manifests();
    for batch in manifests.chunks(BATCH) {
        client
            .post("/api/v1/manifests", &json!(batch))
            .await
            .context("manifests")?;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{} manifests applied in {seconds:.1} s, {} MiB",
        manifests.len(),
        memory_mib()
    );

    upload_all(&client, "1.0.0").await?;
    upload_all(&client, "1.1.0").await?;
    deploy_all(&client, "1.0.0", "first").await?;
    deploy_all(&client, "1.1.0", "4 -> 8 -> 4").await?;
    pages(&client).await?;
    println!(
        "{} calls to the provider, {} MiB in the end",
        fleet.0.calls(),
        memory_mib()
    );
    server.stop().await;
    Ok(())
}

fn manifests() -> Vec<Value> {
    let mut all = vec![
        json!({"kind": "Team", "name": "team"}),
        json!({"kind": "EnvironmentType", "name": "staging"}),
    ];
    all.extend((0..ENVIRONMENTS).map(|n| {
        json!({"kind": "Environment", "name": format!("env-{n}"), "environment_type": "staging"})
    }));
    all.extend((0..SERVICES).map(|n| {
        json!({"kind": "Service", "name": format!("service-{n}"), "owner": "team",
               "environment_types": ["staging"]})
    }));
    all.extend((0..SERVICES).map(|n| {
        json!({"kind": "ServerGroup", "service": format!("service-{n}"),
               "environment": environment(n), "size": 4})
    }));
    all
}

fn environment(service: usize) -> String {
    format!("env-{}", service % ENVIRONMENTS)
}

async fn upload_all(client: &Client, version: &str) -> anyhow::Result<()> {
    let artifact = artifact(version)?;
    stream::iter(0..DEPLOYMENTS)
        .map(|n| {
            let url = format!(
                "{}/api/v1/services/service-{n}/releases/{version}",
                client.url
            );
            client.send(client.http.put(url).body(artifact.clone()))
        })
        .buffer_unordered(8)
        .try_collect::<Vec<_>>()
        .await
        .map(drop)
}

fn artifact(version: &str) -> anyhow::Result<Vec<u8>> {
    let content = format!("# {version}\nweb: true\n");
    let packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut builder = tar::Builder::new(packed);
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, "Procfile", content.as_bytes())?;
    Ok(builder.into_inner()?.finish()?)
}

/// Deploys one release of every service at once, and waits for all of them.
async fn deploy_all(client: &Client, version: &str, what: &str) -> anyhow::Result<()> {
    let (started, cpu) = (Instant::now(), cpu_seconds());
    let mut requests: Vec<Duration> = stream::iter(0..DEPLOYMENTS)
        .map(|n| async move {
            let asked = Instant::now();
            let wish = json!({
                "service": format!("service-{n}"), "environment": environment(n),
                "version": version, "strategy": {"kind": "scale-up", "bake_seconds": 1},
            });
            client.post("/api/v1/deployments", &wish).await?;
            anyhow::Ok(asked.elapsed())
        })
        .buffer_unordered(16)
        .try_collect()
        .await?;
    let requested = started.elapsed();
    loop {
        let running = client
            .get("/api/v1/deployments?unfinished=true&limit=1")
            .await?;
        if running["items"].as_array().is_some_and(Vec::is_empty) {
            break;
        }
        ensure!(
            started.elapsed() < Duration::from_secs(300),
            "deployments did not end: {running}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    requests.sort_unstable();
    println!(
        "{DEPLOYMENTS} deployments at once ({what}): requested in {:.2} s (p50 {:.0} ms, p99 {:.0} ms), all ended after {:.2} s, {:.1} s of CPU, {} MiB",
        requested.as_secs_f64(),
        requests[DEPLOYMENTS / 2].as_secs_f64() * 1e3,
        requests[DEPLOYMENTS * 99 / 100].as_secs_f64() * 1e3,
        started.elapsed().as_secs_f64(),
        cpu_seconds() - cpu,
        memory_mib(),
    );
    let ended = client.get("/api/v1/deployments?limit=200").await?;
    let bad = ended["items"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|d| d["status"] != "succeeded");
    ensure!(bad.is_none(), "a deployment did not succeed: {bad:?}");
    Ok(())
}

/// What people look at, in the full installation.
async fn pages(client: &Client) -> anyhow::Result<()> {
    for path in [
        "/api/v1/services?limit=50",
        "/api/v1/deployments?limit=50",
        "/api/v1/environments/env-7/services/service-7",
        "/api/v1/audit-events?limit=50",
    ] {
        let mut times = Vec::new();
        for _ in 0..100 {
            let asked = Instant::now();
            client.get(path).await?;
            times.push(asked.elapsed());
        }
        times.sort_unstable();
        let ms = |n: usize| times[n].as_secs_f64() * 1e3;
        println!("GET {path}: p50 {:.1} ms, p99 {:.1} ms", ms(50), ms(99));
    }
    Ok(())
}

/// Resident memory of this process, server and client together.
fn memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// CPU time of this process, in seconds (`/proc/self/stat`, fields 14 and 15, 100 ticks a second).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|n| n.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}
