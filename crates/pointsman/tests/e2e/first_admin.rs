//! The first start of a server that others reach: its token makes the first admin, in the portal, and
//! opens nothing else.

use std::{fs, path::Path, process::Stdio, time::Duration};

use reqwest::{Client, RequestBuilder, Response, redirect};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::world::WAIT_MAX;

const PASSWORD: &str = "signal box at dawn";
const PORTAL: &str = "https://deploy.example.com";

async fn start(data: &Path) -> (Child, String) {
    let server = Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(["server", "--listen", "127.0.0.1:0", "--allow-remote"])
        .args(["--no-local-cloud", "--public-url", PORTAL, "--data"])
        .arg(data)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .env_remove("POINTSMAN_DATABASE")
        .kill_on_drop(true)
        .spawn()
        .expect("it can be started");
    let noted = async {
        loop {
            let note = fs::read_to_string(data.join("server.json")).unwrap_or_default();
            let note: Value = serde_json::from_str(&note).unwrap_or_default();
            if let Some(address) = note["address"].as_str() {
                return address.to_owned();
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let address = timeout(WAIT_MAX, noted).await.expect("it starts in time");
    (server, address)
}

async fn stop(mut server: Child) {
    let pid = server.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    kill_process(pid.expect("it runs"), Signal::TERM).expect("it can be asked to stop");
    let ended = timeout(WAIT_MAX, server.wait()).await;
    assert!(ended.expect("in time").expect("waited for").success());
}

/// A request as the proxy in front passes it on.
fn as_browser(request: RequestBuilder) -> RequestBuilder {
    request
        .header("host", "deploy.example.com")
        .header("sec-fetch-site", "same-origin")
}

fn cookie(response: &Response) -> String {
    let cookie = response.headers()["set-cookie"].to_str().expect("text");
    cookie.split(';').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_token_of_the_first_start_makes_the_first_admin_and_nothing_else() {
    // An error means that another test was faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let (server, address) = start(&data).await;
    let http = Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none());
    let http = http.build().expect("a client");
    let token = fs::read_to_string(data.join("first-start-token")).expect("the token");
    let token = token.trim();
    assert!(!data.join("token").exists(), "nobody owns the server");

    let me = http.get(format!("{address}/api/v1/me")).bearer_auth(token);
    assert_eq!(me.send().await.expect("answered").status(), 401);
    let page = as_browser(http.get(format!("{address}/sign-in")));
    let page = page.send().await.expect("answered").text().await;
    assert!(page.expect("text").contains("Make the first admin"));

    let first = async |token: &str, name: &str| {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs([("token", token), ("name", name), ("password", PASSWORD)]);
        let request = as_browser(http.post(format!("{address}/sign-in/first")))
            .header("content-type", "application/x-www-form-urlencoded");
        request.body(form.finish()).send().await.expect("answered")
    };
    assert_eq!(first(&"x".repeat(64), "ann").await.status(), 401);
    let made = first(token, "ann").await;
    assert_eq!(made.status(), 303);
    let people = as_browser(http.get(format!("{address}/")))
        .header("accept", "text/html")
        .header("cookie", cookie(&made));
    assert_eq!(people.send().await.expect("answered").status(), 200);
    assert_eq!(first(token, "bob").await.status(), 409, "there is one");

    // The API knows her by her password, and lets her do what an admin does.
    let login = json!({"name": "ann", "password": PASSWORD, "token_name": "laptop"});
    let login = http.post(format!("{address}/api/v1/logins")).json(&login);
    let given: Value = login
        .send()
        .await
        .expect("answered")
        .json()
        .await
        .expect("JSON");
    let own = given["token"].as_str().expect("a token");
    let created = http
        .post(format!("{address}/api/v1/people"))
        .bearer_auth(own)
        .json(&json!({"name": "bob"}));
    assert_eq!(created.send().await.expect("answered").status(), 201);
    stop(server).await;

    let (server, _) = start(&data).await;
    assert!(!data.join("first-start-token").exists(), "it is of no use");
    stop(server).await;
}
