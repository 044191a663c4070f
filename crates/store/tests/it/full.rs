//! The story of a full disk: what cannot be written is said, and it goes on by itself once there is
//! room.
//!
//! The disk is a small one of its own, in a process of its own: this test binary, started again.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use store::{Store, StoreError, sqlite_url};

use crate::world::{NOW, audit, team};

/// Where the small disk is; set only for the process that fills it.
const DISK: &str = "POINTSMAN_STORE_TEST_DISK";
const MOUNT: &str = r#"mount -t tmpfs -o size=4m tmpfs "$POINTSMAN_STORE_TEST_DISK" && exec "$@""#;

#[test]
fn a_full_disk_is_said_and_survived() {
    let folder = tempfile::tempdir().unwrap();
    let ran = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            MOUNT,
            "sh",
        ])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "full::the_process_with_a_small_disk",
            "--nocapture",
        ])
        .env(DISK, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

/// Fills its disk while it writes. Without the variable it has no disk of its own, and does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_with_a_small_disk() {
    let Some(disk) = std::env::var_os(DISK) else {
        return;
    };
    let disk = Path::new(&disk);
    let store = Store::open(&sqlite_url(&disk.join("pointsman.db")))
        .await
        .unwrap();
    put(&store, "before").await.unwrap();
    for round in 0..3 {
        fill(&disk.join("filler"));
        let error = put(&store, "during").await.unwrap_err();
        assert!(matches!(error, StoreError::Database { .. }), "{error:?}");
        let error = store.ping(NOW).await.unwrap_err().to_string();
        assert_eq!(
            error,
            "the database cannot be written: database or disk is full"
        );
        assert!(store.write_trouble().is_some());
        fs::remove_file(disk.join("filler")).unwrap();
        let freed = Instant::now();
        while store.ping(NOW.plus_ms(round)).await.is_err() {
            assert!(
                freed.elapsed() < Duration::from_secs(10),
                "it does not notice the room"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(store.write_trouble(), None);
        put(&store, &format!("after-{round}")).await.unwrap();
    }
    assert_eq!(store.verify().await.unwrap().first_broken, None);
}

async fn put(store: &Store, name: &str) -> Result<(), StoreError> {
    let apply = [audit("catalogue.apply")];
    store.put_and_delete(&[team(name)], &apply).await.map(drop)
}

/// Takes all the room that is left.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    let block = [0_u8; 4096];
    while file.write_all(&block).is_ok() {}
}
