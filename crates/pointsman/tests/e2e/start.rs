//! A server that cannot start says the true reason soon, and can be stopped meanwhile.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{process::Command, time::timeout};

use crate::world::World;

/// Nobody listens on port 1.
const REFUSED: &str = "postgres://ann:secret@127.0.0.1:1/pointsman";

fn server(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
    command
        .args(["server", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .env_remove("POINTSMAN_DATABASE")
        .env_remove("POINTSMAN_LOCAL_STATE")
        .kill_on_drop(true);
    command
}

/// Runs a server that does not start, and gives what it said.
async fn failure(mut command: Command, max: Duration) -> String {
    let output = timeout(max, command.output()).await.expect("it ends soon");
    let output = output.expect("it can be started");
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_damaged_database_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("pointsman.db"), "damaged ".repeat(1000)).expect("written");
    let said = failure(server(folder.path()), Duration::from_secs(10)).await;
    assert!(said.contains("file is not a database"), "{said}");
    assert!(!said.contains("timed out"), "{said}");
}

#[tokio::test]
async fn a_database_that_refuses_is_named_without_its_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = server(folder.path());
    command.args(["--database", REFUSED]);
    let said = failure(command, Duration::from_secs(20)).await;
    assert!(said.contains("Connection refused"), "{said}");
    assert!(!said.contains("secret"), "{said}");
}

#[tokio::test]
async fn a_server_that_is_starting_can_be_stopped() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = server(folder.path());
        let mut server = command
            .args(["--database", REFUSED])
            .spawn()
            .expect("it starts");
        let began = Instant::now();
        while !folder.path().join("lock").exists() {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "it does not begin to start"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let pid = server.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        kill_process(pid.expect("it runs"), signal).expect("sent");
        let ended = timeout(Duration::from_secs(2), server.wait()).await;
        ended.expect("it ends at once").expect("its end");
    }
}

#[tokio::test]
async fn a_data_folder_that_others_can_read_is_closed_with_a_word() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("opened");
    let mut command = server(folder.path());
    command.args(["--database", "mysql://nobody", "--instance-users", "off"]);
    let said = failure(command, Duration::from_secs(10)).await;
    assert!(
        said.contains("mode 755") && said.contains("700 now"),
        "{said}"
    );
    let mode = fs::metadata(folder.path())
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}

/// Every file below `folder`, and every folder, with its mode; but for `without`.
fn modes(folder: &Path, without: &[&str], into: &mut Vec<(PathBuf, bool, u32)>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        // What is gone by now has no mode.
        let Ok(about) = fs::symlink_metadata(&path) else {
            continue;
        };
        into.push((path.clone(), about.is_dir(), about.permissions().mode()));
        if about.is_dir() && !without.iter().any(|it| name == *it) {
            modes(&path, without, into);
        }
    }
}

/// Instances with users of their own get through the folders: what is in them has to be closed itself.
#[tokio::test(flavor = "multi_thread")]
async fn others_read_nothing_of_what_the_server_and_the_cloud_keep() {
    let world = World::with_live_shop().await;
    world.begin("1.1.0", &["--bake", "1h"]).await;
    let mut found = Vec::new();
    for folder in [world.data(), world.folder().join("cloud")] {
        // These two hold what instances have to read, and what belongs to them.
        modes(&folder, &["releases", "homes"], &mut found);
    }
    assert!(found.len() > 15, "{found:?}");
    for (path, is_folder, mode) in found {
        let open = mode & if is_folder { 0o006 } else { 0o007 };
        assert_eq!(open, 0, "{} has mode {mode:o}", path.display());
    }
}
