//! A Prometheus of our own: Debian's program, in a temporary folder, on a free port of loopback.
//!
//! Invariant: it ends with this value, or with this process, however that ends. A small shell waits
//! at the other end of a pipe; when the pipe closes, it ends the one that it started, by its id.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{PATIENCE, TestApp};

const MISSING: &str = "Prometheus is not installed here: `cargo xtask test` installs what the tests \
    need (or run `apt-get install prometheus`)";
/// Starts the program, waits until the pipe closes, and ends it. What it stored is thrown away.
const KEEPER: &str = r#"
    trap '' INT TERM HUP
    "$@" </dev/null &
    server=$!
    cat >/dev/null
    kill -KILL "$server"
    wait "$server"
"#;
/// How it says on which port it listens.
const LISTENS: &str = "msg=\"Listening on\" address=";

/// A Prometheus that runs.
pub struct Prometheus {
    keeper: Child,
    folder: TempDir,
    /// Where it answers.
    pub url: String,
}

impl Prometheus {
    /// One that asks `app` with a token of its own, and the server at `shop` without any.
    pub async fn start(app: &TestApp, shop: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let token = app.metrics_token().await;
        fs::write(path.join("token"), token).unwrap();
        fs::write(path.join("config.yml"), config(app, shop)).unwrap();
        let log = fs::File::create(path.join("log")).unwrap();
        let installed = Command::new("prometheus").arg("--version").output();
        assert!(installed.is_ok(), "{MISSING}");
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper", "prometheus"])
            .args(["--config.file=config.yml", "--storage.tsdb.path=data"])
            .arg("--web.listen-address=127.0.0.1:0")
            .current_dir(path)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut prometheus = Self {
            keeper,
            folder,
            url: String::new(),
        };
        prometheus.url = prometheus.listening().await;
        prometheus
    }

    /// What it answers to a query.
    pub async fn query(&self, query: &str) -> Value {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let asked = client.get(format!("{}/api/v1/query", self.url));
        let answer = asked.query(&[("query", query)]).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// Asks until there is an answer with a value.
    pub async fn until_known(&self, query: &str) {
        let look = async {
            while self.query(query).await["data"]["result"] == Value::Array(Vec::new()) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let known = tokio::time::timeout(PATIENCE, look).await;
        known.unwrap_or_else(|_| panic!("{query} is never known: {}", self.log()));
    }

    async fn listening(&self) -> String {
        let look = async {
            loop {
                let log = self.log();
                let address = log.split_once(LISTENS).map(|(_, rest)| rest);
                if let Some(address) = address.and_then(|rest| rest.split_once('\n')) {
                    let url = format!("http://{}", address.0.trim());
                    let ready = reqwest::get(format!("{url}/-/ready")).await;
                    if ready.is_ok_and(|ready| ready.status().is_success()) {
                        return url;
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let listens = tokio::time::timeout(PATIENCE, look).await;
        listens.unwrap_or_else(|_| panic!("Prometheus does not answer: {}", self.log()))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

fn config(app: &TestApp, shop: &str) -> String {
    let pointsman = app.address();
    format!(
        "
global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}
scrape_configs:
  - job_name: pointsman
    authorization: {{credentials_file: token}}
    static_configs: [{{targets: ['{pointsman}']}}]
  - job_name: shop
    static_configs: [{{targets: ['{shop}']}}]
"
    )
}
