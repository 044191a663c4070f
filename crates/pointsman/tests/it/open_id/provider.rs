//! A provider of the npm package `oidc-provider`, and somebody who signs in there with a browser.

use std::{collections::BTreeMap, fs, path::Path, process::Stdio, time::Duration};

use reqwest::{Client, Response, redirect};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::OnceCell,
    time::timeout,
};

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/open_id");
/// How long installing or starting may take.
const PATIENCE: Duration = Duration::from_secs(120);
static INSTALLED: OnceCell<()> = OnceCell::const_new();

/// A provider that answers until it is dropped.
pub struct Provider {
    _process: Child,
    /// Kept open: a process whose words nobody can hear dies of the next one.
    _lines: Lines<BufReader<ChildStdout>>,
    port: u16,
}

impl Provider {
    /// A port that is free now.
    pub fn free_port() -> u16 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    }

    /// Listens on `port`, and sends people back to `back`.
    pub async fn start(port: u16, back: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oidc-provider");
        INSTALLED.get_or_init(|| install(&folder)).await;
        let mut process = Command::new("node")
            .args(["provider.mjs", &port.to_string(), back])
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("node is installed");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line == "ready" {
                    return true;
                }
            }
            false
        };
        assert!(timeout(PATIENCE, ready).await.expect("it starts in time"));
        Self {
            _process: process,
            _lines: lines,
            port,
        }
    }

    /// Signs in as `login` after the portal sent a browser to `url`; where the provider sends it back to.
    pub async fn sign_in(&self, url: &str, login: &str) -> String {
        let origin = format!("http://127.0.0.1:{}", self.port);
        let mut browser = Browser::new(origin.clone());
        let mut at = url.to_owned();
        for _ in 0..10 {
            if !at.starts_with(&origin) {
                return at;
            }
            let response = browser.get(&at).await;
            at = match browser.location(&response) {
                Some(next) => next,
                None => {
                    let page = response.text().await.unwrap();
                    let prompt = match page.contains("name=\"login\"") {
                        true => "login",
                        false => "consent",
                    };
                    browser.answer(&at, prompt, login).await
                }
            };
        }
        panic!("the provider goes in circles at {at}");
    }
}

async fn install(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for name in ["package.json", "package-lock.json", "provider.mjs"] {
        fs::copy(Path::new(FILES).join(name), folder.join(name)).unwrap();
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
        .current_dir(folder)
        .stdin(Stdio::null());
    let output = timeout(PATIENCE, npm.output()).await.expect("in time");
    let output = output.expect("npm is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// A browser at the provider: it keeps cookies, and follows nothing by itself.
struct Browser {
    http: Client,
    origin: String,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn new(origin: String) -> Self {
        let http = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none());
        Self {
            http: http.build().unwrap(),
            origin,
            cookies: BTreeMap::new(),
        }
    }

    fn location(&self, response: &Response) -> Option<String> {
        let to = response.headers().get("location")?.to_str().unwrap();
        Some(match to.strip_prefix('/') {
            Some(path) => format!("{}/{path}", self.origin),
            None => to.to_owned(),
        })
    }

    async fn get(&mut self, url: &str) -> Response {
        let request = self.http.get(url).header("cookie", self.shown());
        let response = request.send().await.unwrap();
        self.keep(&response);
        response
    }

    /// Answers what a page asks.
    async fn answer(&mut self, url: &str, prompt: &str, login: &str) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("prompt", prompt)
            .append_pair("login", login)
            .append_pair("password", "any");
        let request = self.http.post(url).header("cookie", self.shown());
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let response = request.body(form.finish()).send().await.unwrap();
        self.keep(&response);
        self.location(&response).expect("the way goes on")
    }

    fn shown(&self) -> String {
        let pairs = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }

    fn keep(&mut self, response: &Response) {
        for cookie in response.headers().get_all("set-cookie") {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}
