//! A PostgreSQL cluster of our own: made in a temporary folder, reached through a socket in it.
//!
//! Invariant: the cluster ends with this process, however it ends. A small shell waits at the other
//! end of a pipe; when the pipe closes, it stops the server and removes the folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use sqlx::{AnyConnection, AssertSqlSafe, Connection};
use tokio::sync::OnceCell;

/// How long the server may take to answer.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const MISSING: &str = "PostgreSQL is not installed here: `cargo xtask test` installs what the \
    tests need (or run `apt-get install postgresql`)";
/// Starts the server, waits until the pipe closes, ends the server and cleans up.
const KEEPER: &str = r#"
    trap '' INT TERM HUP
    "$@" </dev/null &
    server=$!
    cat >/dev/null
    kill -QUIT "$server"
    wait "$server"
    rm -rf "$FOLDER"
"#;

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

struct Cluster {
    folder: PathBuf,
    /// Language rules for text, where the server has them: the store must not depend on them.
    language: &'static str,
}

/// The URL of a fresh database.
pub async fn fresh_database() -> String {
    let cluster = CLUSTER.get_or_init(Cluster::start).await;
    let name = format!("story_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    let create = format!("create database {name} {}", cluster.language);
    let mut connection = cluster.connect().await.expect("the server answers");
    sqlx::raw_sql(AssertSqlSafe(create))
        .execute(&mut connection)
        .await
        .expect("a database can be made");
    cluster.url(&name)
}

impl Cluster {
    async fn start() -> Self {
        let binaries = binaries().expect(MISSING);
        let folder = tempfile::Builder::new()
            .prefix("pointsman-pg-")
            .tempdir_in("/tmp")
            .expect("a temporary folder")
            .keep();
        let user = give_away(&folder);
        let data = folder.join("data");
        let initdb = as_user(&user, &binaries.join("initdb"))
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
            .args(["--no-sync", "--locale=C", "-D"])
            .arg(&data)
            .output()
            .expect("initdb runs");
        let said = String::from_utf8_lossy(&initdb.stderr).into_owned();
        assert!(initdb.status.success(), "initdb failed: {said}");
        keep_running(&user, &binaries, &folder);
        let language = match major_version(&binaries) {
            15.. => "template template0 locale_provider icu icu_locale 'en'",
            _ => "",
        };
        let cluster = Self { folder, language };
        cluster.wait().await;
        cluster
    }

    fn url(&self, database: &str) -> String {
        let socket = self.folder.display();
        format!("postgres:///{database}?host={socket}&user=postgres")
    }

    async fn connect(&self) -> Result<AnyConnection, sqlx::Error> {
        sqlx::any::install_default_drivers();
        AnyConnection::connect(&self.url("postgres")).await
    }

    /// Asks until the server answers.
    async fn wait(&self) {
        let started = Instant::now();
        while let Err(error) = self.connect().await {
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(
                started.elapsed() < START_TIMEOUT,
                "PostgreSQL does not answer: {error}\n{log}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The folder with `initdb` and `postgres`: where `pg_config` says, or where Debian puts it.
fn binaries() -> Option<PathBuf> {
    let said = Command::new("pg_config").arg("--bindir").output().ok();
    let said = said.map(|out| PathBuf::from(String::from_utf8_lossy(&out.stdout).trim()));
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut installed: Vec<PathBuf> = versions.flatten().map(|v| v.path().join("bin")).collect();
    installed.sort();
    let candidates = said.into_iter().chain(installed.into_iter().rev());
    let complete = |folder: &PathBuf| {
        ["initdb", "postgres"]
            .iter()
            .all(|name| folder.join(name).exists())
    };
    candidates.into_iter().find(complete)
}

/// `postgres (PostgreSQL) 15.9 (Debian ...)` has the major version 15.
fn major_version(binaries: &Path) -> u32 {
    let output = Command::new(binaries.join("postgres"))
        .arg("--version")
        .output()
        .expect("postgres runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let number = text
        .split(|c: char| !c.is_ascii_digit())
        .find(|part| !part.is_empty());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// PostgreSQL refuses to run as root: then another user gets the folder.
fn give_away(folder: &Path) -> Option<String> {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    if String::from_utf8_lossy(&id.stdout).trim() != "0" {
        return None;
    }
    let exists = |user: &&str| {
        let known = Command::new("id").arg(user).output();
        known.is_ok_and(|output| output.status.success())
    };
    let user = ["postgres", "nobody"].into_iter().find(exists);
    let user = user.expect("a user besides root");
    let chown = Command::new("chown").arg(user).arg(folder).status();
    assert!(chown.is_ok_and(|status| status.success()), "chown works");
    Some(user.to_owned())
}

fn as_user(user: &Option<String>, program: &Path) -> Command {
    let Some(user) = user else {
        return Command::new(program);
    };
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", user, "--regid"])
        .arg(group_of(user))
        .arg("--clear-groups")
        .arg("--")
        .arg(program);
    command
}

fn group_of(user: &str) -> String {
    let id = Command::new("id").args(["-g", user]).output();
    let id = id.expect("id runs");
    String::from_utf8_lossy(&id.stdout).trim().to_owned()
}

fn keep_running(user: &Option<String>, binaries: &Path, folder: &Path) {
    let server = as_user(user, &binaries.join("postgres"));
    let log = fs::File::create(folder.join("log")).expect("a log file");
    let keeper = Command::new("sh")
        .args(["-c", KEEPER, "keeper"])
        .arg(server.get_program())
        .args(server.get_args())
        .arg("-D")
        .arg(folder.join("data"))
        .arg("-k")
        .arg(folder)
        .args(["-c", "listen_addresses=", "-c", "max_connections=300"])
        .args(["-c", "fsync=off", "-c", "full_page_writes=off"])
        .args(["-c", "synchronous_commit=off"])
        .env("FOLDER", folder)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("sh runs");
    // Not dropped: the pipe stays open until the kernel closes it at the end of this process.
    std::mem::forget(keeper);
}
