//! The server as a whole: its folder, its address, how it starts and stops.

use std::{fs, os::unix::fs::PermissionsExt};

use operations::clouds::Clouds;
use pointsman::{config::Config, server::Server};
use serde_json::Value;

use crate::support::TestApp;

async fn failure(config: &Config) -> String {
    let error = Server::start(config, Clouds::default())
        .await
        .expect_err("it must not start");
    format!("{error:#}")
}

#[tokio::test]
async fn the_first_start_makes_everything_and_only_its_owner_can_read_it() {
    let app = TestApp::start().await;
    let mode = |path: &str| {
        let path = app.config.data.join(path);
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    // Where instances have users of their own, these get through it.
    let through = provider_local::users::lacking().unwrap().is_empty();
    for (path, expected) in [
        ("", if through { 0o711 } else { 0o700 }),
        ("artifacts", 0o700),
        ("token", 0o600),
        ("pointsman.db", 0o600),
        ("artifacts/sha256", 0o700),
        ("artifacts/incoming", 0o700),
    ] {
        assert_eq!(mode(path), expected, "{path:?}");
    }
    let note: Value =
        serde_json::from_str(&fs::read_to_string(app.config.data.join("server.json")).unwrap())
            .unwrap();
    assert_eq!(note["address"], format!("http://{}", app.address()));
    assert_eq!(note["pid"], std::process::id());
}

#[tokio::test]
async fn a_restart_keeps_token_and_catalogue() {
    let mut app = TestApp::with_shop().await;
    let token = app.token.clone();
    app.stop().await;
    assert!(
        !app.config.data.join("server.json").exists(),
        "nobody is led to a server that is gone"
    );
    app.restart_stopped().await;
    assert_eq!(app.token, token);
    assert_eq!(
        app.get("/api/v1/services/shop/releases/1.0.0").await.status,
        200
    );
}

#[tokio::test]
async fn one_server_per_folder() {
    let app = TestApp::start().await;
    let refused = failure(&app.config).await;
    assert!(
        refused.contains("another server uses the data folder"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_remote_address_must_be_meant() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new(folder.path().join("data"));
    for remote in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        config.listen = remote.parse().unwrap();
        let refused = failure(&config).await;
        assert!(refused.contains("--allow-remote"), "{refused}");
        assert!(!config.data.exists(), "nothing was made");
    }
    config.listen = "0.0.0.0:0".parse().unwrap();
    config.allow_remote = true;
    let server = Server::start(&config, Clouds::default()).await.unwrap();
    assert!(
        server.url().starts_with("http://127.0.0.1:"),
        "{}",
        server.url()
    );
    server.stop().await;
}

#[tokio::test]
async fn what_keeps_it_from_starting_is_told() {
    let app = TestApp::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new(folder.path().join("data"));
    config.listen = app.address();
    let taken = failure(&config).await;
    assert!(
        taken.contains("cannot listen on") && taken.contains("--listen"),
        "{taken}"
    );
    config.listen = "127.0.0.1:0".parse().unwrap();
    config.database = Some("mysql://x".to_owned());
    let database = failure(&config).await;
    assert!(database.contains("postgres://"), "{database}");
    config.database = None;
    fs::set_permissions(config.data.join("token"), fs::Permissions::from_mode(0o644)).unwrap();
    let open = failure(&config).await;
    assert!(open.contains("can be read by others"), "{open}");
    config.data = folder.path().join("file");
    fs::write(&config.data, "x").unwrap();
    let file = failure(&config).await;
    assert!(file.contains("data folder"), "{file}");
}
