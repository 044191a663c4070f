//! A user of its own for each server group, and what its instances may use. Where the tests may not make
//! processes of other users, they see that this is said.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use domain::slice::Slice;
use provider_local::users::{Apart, NotApart, UserIds, lacking};

use crate::stage::Stage;

/// A stage whose instances have users of their own; `None` where the system does not allow that.
async fn apart() -> Option<Stage> {
    if !lacking().unwrap().is_empty() {
        return None;
    }
    Some(Stage::passable().await)
}

fn ids(pid: i32, line: &str) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix(line)).unwrap();
    let ids = line.split_whitespace().map(|it| it.parse().unwrap());
    ids.collect()
}

/// A soft and a hard limit of a process, as the system names it.
fn limit(pid: i32, name: &str) -> (String, String) {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find_map(|it| it.strip_prefix(name)).unwrap();
    let mut numbers = line.split_whitespace().map(str::to_owned);
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[tokio::test]
async fn where_others_cannot_pass_instances_run_as_the_user_of_the_cloud() {
    let stage = Stage::closed().await;
    let status = stage.cloud.status().await.unwrap();
    let why = match status.apart {
        Apart::No(why) => why,
        Apart::Yes(ids) => panic!("a folder for one user only is passed by {ids}"),
    };
    assert!(
        matches!(why, NotApart::Closed(_) | NotApart::MayNot(_)),
        "{why:?}"
    );
    stage.serve_one_zero(1).await;
    let own = rustix::process::getuid().as_raw();
    assert_eq!(ids(stage.pids().await[0], "Uid:"), [own; 4]);
    let mode = fs::metadata(stage.state()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn each_group_has_a_user_of_its_own_and_no_other_rights() {
    let Some(stage) = apart().await else { return };
    let given = UserIds::default();
    assert_eq!(stage.cloud.status().await.unwrap().apart, Apart::Yes(given));
    stage.serve_one_zero(2).await;
    let pids = stage.pids().await;
    let user = ids(pids[0], "Uid:")[0];
    assert!((given.first..=given.last).contains(&user), "{user}");
    for pid in pids {
        for line in ["Uid:", "Gid:"] {
            assert_eq!(ids(pid, line), [user; 4], "{line}");
        }
        assert_eq!(ids(pid, "Groups:"), [0_u32; 0]);
        assert_eq!(ids(pid, "NoNewPrivs:"), [1]);
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            let line = status.lines().find_map(|it| it.strip_prefix(set)).unwrap();
            assert_eq!(line.trim(), "0000000000000000", "{set}");
        }
    }
    assert_eq!(stage.get("/").await.unwrap().0, 200);
}

/// Writes down what it can read and write of the cloud, and of its own.
const SPY: &str = r#"
import os
home, state = os.environ["HOME"], os.environ["STATE"]
names = ["", "artifacts", "logs", "releases", "homes", "state.json", "pass.key", "local.sock", "lock"]
names += ["logs/cart.live", "homes/other.live", "../token"]
with open(home + "/seen", "w") as out:
    for name in names:
        for mode, word in ((os.R_OK, "read"), (os.W_OK, "write")):
            if os.access(os.path.join(state, name), mode):
                print(word, name, file=out)
    for own in (".", "Procfile"):
        for mode, word in ((os.R_OK, "read"), (os.W_OK, "write")):
            if os.access(own, mode):
                print(word, own, file=out)
    print(home, os.environ["TMPDIR"], os.environ["USER"], file=out)
open(os.environ["TMPDIR"] + "/mine", "w").write("x")
open("/dev/stdout", "a").write("again\n")
"#;

#[tokio::test]
async fn an_instance_reads_its_release_and_nothing_of_the_cloud_or_of_others() {
    let Some(mut stage) = apart().await else {
        return;
    };
    let state = stage.state().display().to_string();
    fs::write(stage.state().join("../token"), "secret").unwrap();
    let token = stage.state().join("../token");
    fs::set_permissions(token, fs::Permissions::from_mode(0o600)).unwrap();
    let other = stage.state().join("homes/other.live");
    fs::create_dir_all(&other).unwrap();
    fs::set_permissions(other, fs::Permissions::from_mode(0o700)).unwrap();
    let script = SPY.replace(r#"os.environ["STATE"]"#, &format!("{state:?}"));
    stage.add_script("9.0.0", &script);
    stage.fill(Slice::Blue, "9.0.0", 1).await;
    let home = stage
        .state()
        .canonicalize()
        .unwrap()
        .join("homes/cart.live");
    let seen = fs::read_to_string(home.join("seen")).unwrap();
    let expected = format!(
        "read .\nread Procfile\n{} {} cart.live\n",
        home.display(),
        home.join("tmp").display()
    );
    assert_eq!(seen, expected);
    let id = &stage.look().await.instances[0].id;
    let log = stage.state().join(format!("logs/cart.live/{id}.log"));
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("again\n"), "{log}");
}

#[tokio::test]
async fn a_group_keeps_its_user_when_the_state_is_lost() {
    let Some(mut stage) = apart().await else {
        return;
    };
    stage.serve_one_zero(1).await;
    let user = ids(stage.pids().await[0], "Uid:")[0];
    stage.sizes(0).await;
    stage
        .until("none is left", |slice| slice.instances.is_empty())
        .await;
    stage.kill_daemon();
    fs::remove_file(stage.state().join("state.json")).unwrap();
    stage.start_daemon().await;
    stage.serve_one_zero(1).await;
    assert_eq!(ids(stage.pids().await[0], "Uid:")[0], user);
}

#[tokio::test]
async fn instances_begin_with_the_usual_limits() {
    let stage = Stage::start().await;
    stage.serve_one_zero(1).await;
    let pid = stage.pids().await[0];
    let own = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let hard = own.maximum.unwrap();
    let expected = (hard.min(1024).to_string(), hard.to_string());
    assert_eq!(limit(pid, "Max open files"), expected);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("Umask:\t0022\n"), "{status}");
}

#[tokio::test]
async fn more_open_files_than_allowed_are_refused_by_the_system() {
    let mut stage = Stage::start().await;
    stage.limits = r#"{"open_files": 64, "memory_mib": 512}"#;
    stage.serve_one_zero(1).await;
    let pid = stage.pids().await[0];
    let pair = |both: &str| (both.to_owned(), both.to_owned());
    assert_eq!(limit(pid, "Max open files"), pair("64"));
    assert_eq!(limit(pid, "Max data size"), pair("536870912"));
}

#[tokio::test]
async fn an_instance_that_takes_too_much_memory_ends_alone() {
    let mut stage = Stage::start().await;
    stage.limits = r#"{"memory_mib": 256}"#;
    stage.serve_one_zero(1).await;
    stage.add_script("9.0.0", "print(len(bytearray(1 << 30)))\n");
    stage.set_launch(Slice::Green, "9.0.0").await;
    stage.sizes_of(Slice::Green, 1).await;
    stage
        .until_seen("it cannot start", |seen| {
            let trouble = seen.slice(Slice::Green).trouble.as_deref();
            trouble.is_some_and(|it| it.contains("with exit status 1"))
        })
        .await;
    let logs = stage.state().join("logs/cart.live");
    let logs = fs::read_dir(logs).unwrap().flatten();
    let said = logs.map(|it| fs::read_to_string(it.path()).unwrap());
    assert!(said.into_iter().any(|it| it.contains("MemoryError")));
    assert_eq!(stage.get("/").await.unwrap().0, 200, "the other one serves");
}

/// Starts up to 50 processes, and writes down how many that were.
const FORKS: &str = r#"
import os, time
many = 0
for _ in range(50):
    try:
        child = os.fork()
    except BlockingIOError:
        break
    if child == 0:
        time.sleep(60)
        os._exit(0)
    many += 1
with open(os.environ["HOME"] + "/many.part", "w") as out:
    out.write(str(many))
os.rename(os.environ["HOME"] + "/many.part", os.environ["HOME"] + "/many")
time.sleep(60)
"#;

#[tokio::test]
async fn a_fork_bomb_stays_within_its_limit() {
    let Some(mut stage) = apart().await else {
        return;
    };
    stage.limits = r#"{"processes": 20}"#;
    stage.add_script("9.0.0", FORKS);
    stage.set_launch(Slice::Blue, "9.0.0").await;
    stage.sizes(1).await;
    let many = stage.state().join("homes/cart.live/many");
    let read = |path: &Path| fs::read_to_string(path).ok()?.parse::<u32>().ok();
    for _ in 0..500 {
        if read(&many).is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let user = stage.user().unwrap();
    let own = stage.processes_of(user);
    // The shell, the program, and 18 more.
    assert_eq!((read(&many), own.len()), (Some(18), 20));
    stage.sizes(0).await;
    stage
        .until("none is left", |slice| slice.instances.is_empty())
        .await;
    assert_eq!(stage.processes_of(user), [0; 0]);
}

#[tokio::test]
async fn a_limit_that_cannot_be_kept_is_not_promised() {
    let mut stage = Stage::closed().await;
    stage.limits = r#"{"processes": 20}"#;
    stage.set_launch(Slice::Blue, "1.0.0").await;
    stage.sizes(1).await;
    stage
        .until("it says why", |slice| {
            let trouble = slice.trouble.as_deref().unwrap_or_default();
            trouble.contains("`limits.processes` needs a user of its own for the group")
        })
        .await;
}
