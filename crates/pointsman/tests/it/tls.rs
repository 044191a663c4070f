//! TLS from files, and who is asking behind proxies.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use pointsman::server::Server;
use reqwest::{Certificate, Client, Method};
use serde_json::json;
use web::tls::TlsFiles;

use crate::support::{Answer, PATIENCE, Persona, TestApp};

const HOST: &str = "deploy.example.com";

/// Writes a new certificate for the host, and returns it.
fn certify(folder: &Path) -> Certificate {
    let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
    let key = folder.join("key.pem");
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    Certificate::from_pem(made.cert.pem().as_bytes()).unwrap()
}

fn files(folder: &Path) -> TlsFiles {
    TlsFiles {
        certificate: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    }
}

async fn protected(folder: &Path) -> TestApp {
    TestApp::with(|config| {
        config.tls = Some(files(folder));
        config.public_urls = vec![format!("https://{HOST}").parse().unwrap()];
    })
    .await
}

/// A client that trusts this certificate alone, on a connection of its own.
async fn health(app: &TestApp, trusted: &Certificate) -> Result<Answer, reqwest::Error> {
    let client = Client::builder()
        .no_proxy()
        .tls_certs_only([trusted.clone()])
        .resolve(HOST, app.address())
        .build()?;
    let url = format!("https://{HOST}:{}/health", app.address().port());
    let request = client.get(&url).header("host", HOST);
    request.try_clone().unwrap().send().await?;
    Ok(Answer::of(request).await)
}

#[tokio::test]
async fn a_certificate_is_replaced_without_a_restart_and_a_bad_one_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let first = certify(folder.path());
    let app = protected(folder.path()).await;
    let good = health(&app, &first).await.unwrap();
    assert_eq!(good.status, 200, "{}", good.text);
    assert_eq!(good.json().get("troubles"), None);

    fs::write(folder.path().join("cert.pem"), "no certificate").unwrap();
    let troubled = async {
        loop {
            let answer = health(&app, &first).await.expect("the old one counts");
            if answer.json()["troubles"][0]["reason"] == "certificate_not_replaced" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, troubled).await.unwrap();

    let second = certify(folder.path());
    let replaced = async {
        loop {
            if let Ok(answer) = health(&app, &second).await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let answer = tokio::time::timeout(PATIENCE, replaced).await.unwrap();
    assert_eq!(answer.json().get("troubles"), None);
    assert!(health(&app, &first).await.is_err(), "the old one is gone");
}

#[tokio::test]
async fn a_browser_that_was_there_once_never_comes_without_tls_again() {
    let folder = tempfile::tempdir().unwrap();
    let trusted = certify(folder.path());
    let app = protected(folder.path()).await;
    let client = Client::builder()
        .no_proxy()
        .tls_certs_only([trusted])
        .resolve(HOST, app.address());
    let url = format!("https://{HOST}:{}/sign-in", app.address().port());
    let client = client.build().unwrap();
    let page = Answer::of(client.get(url).header("host", HOST)).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert_eq!(page.header("strict-transport-security"), "max-age=31536000");
}

#[tokio::test]
async fn a_server_does_not_start_with_files_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let key = folder.path().join("key.pem");
    let start = async || {
        let mut config = pointsman::config::Config::new(folder.path().join("data"));
        config.listen = "127.0.0.1:0".parse().unwrap();
        config.tls = Some(files(folder.path()));
        config.public_urls = vec![format!("https://{HOST}").parse().unwrap()];
        let error = Server::start(&config, Default::default()).await;
        format!("{:#}", error.expect_err("it does not start"))
    };
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let open = start().await;
    assert!(
        open.contains("every user of this machine can read"),
        "{open}"
    );
    let other = tempfile::tempdir().unwrap();
    certify(other.path());
    fs::copy(other.path().join("key.pem"), &key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let unfit = start().await;
    assert!(unfit.contains("cannot be used together"), "{unfit}");
}

/// How often somebody with this header may guess, of 40 times.
async fn guesses(app: &TestApp, forwarded: impl Fn(usize) -> String) -> usize {
    let mut taken = 0;
    for n in 0..40 {
        let body = json!({"name": format!("p{n}"), "password": "wrong", "token_name": "x"});
        let request = app.request(Persona::Anonymous, Method::POST, "/api/v1/logins");
        let request = request.header("x-forwarded-for", forwarded(n));
        let answer = Answer::of(request.json(&body)).await;
        assert!(
            [401, 429].contains(&answer.status.as_u16()),
            "{}",
            answer.text
        );
        taken += usize::from(answer.status == 401);
    }
    taken
}

#[tokio::test]
async fn limits_count_who_asks_and_not_what_they_write() {
    let direct = TestApp::start().await;
    let taken = guesses(&direct, |n| format!("10.0.0.{n}")).await;
    assert!((30..36).contains(&taken), "nobody is trusted: {taken}");
    let behind = TestApp::with(|config| config.trusted_hops = 1).await;
    let taken = guesses(&behind, |n| format!("10.0.0.{n}, 192.0.2.1")).await;
    assert!(
        (30..36).contains(&taken),
        "the proxy says it is one: {taken}"
    );
    let taken = guesses(&behind, |n| format!("192.0.2.1, 10.0.1.{n}")).await;
    assert_eq!(taken, 40, "the proxy says they are many");
    let refused = behind.get("/api/v1/refused-attempts").await;
    assert!(refused.text.contains("192.0.2.1"), "{}", refused.text);
    assert!(!refused.text.contains("127.0.0.1"), "{}", refused.text);
}
