//! The story of a control plane that is killed while it writes: what was answered is still there.
//!
//! The process that is killed is this test binary, started again for the one test that writes.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use domain::access::Visible;
use domain::catalogue::Kind;
use store::Store;

use crate::{
    stories,
    world::{World, audit, team},
};

stories!(what_was_answered_survives_a_kill);

/// Where the killed process writes; set only for it.
const URL: &str = "POINTSMAN_STORE_TEST_CRASH_URL";

async fn what_was_answered_survives_a_kill(world: World) {
    let answered = tokio::task::block_in_place(|| write_and_kill(&world.url, 30));
    // The store that was open all the time, and one that opens after the crash.
    let reopened = world.second().await;
    for store in [&world.store, &reopened] {
        for name in &answered {
            let entry = store.entry(Kind::Team, name).await.unwrap();
            assert!(entry.is_some(), "{name} was answered and is lost");
        }
        let found = store.verify().await.unwrap();
        assert_eq!(found.first_broken, None);
        let teams = store
            .entries(
                (Kind::Team, &Default::default()),
                &Visible::everything(),
                None,
                500,
            )
            .await
            .unwrap();
        let teams = i64::try_from(teams.len()).unwrap();
        assert_eq!(
            found.checked, teams,
            "an audit event for each team, and only for them"
        );
    }
    let apply = [audit("catalogue.apply")];
    reopened
        .put_and_delete(&[team("after")], &apply)
        .await
        .unwrap();
}

/// Lets another process write, and kills it with SIGKILL after so many answers.
fn write_and_kill(url: &str, answers: usize) -> Vec<String> {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::the_writer_that_is_killed", "--nocapture"])
        .env(URL, url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(writer.stdout.take().unwrap());
    let names: Vec<String> = output
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| {
            line.split_once("answered ")
                .map(|(_, name)| name.to_owned())
        })
        .take(answers)
        .collect();
    writer.kill().unwrap();
    writer.wait().unwrap();
    assert_eq!(names.len(), answers, "the writer ended by itself");
    names
}

/// Writes until it is killed. Without the variable it is no process to be killed, and does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_writer_that_is_killed() {
    let Ok(url) = std::env::var(URL) else { return };
    let store = Store::open(&url).await.unwrap();
    for number in 0..400 {
        let name = format!("t{number}");
        let apply = [audit("catalogue.apply")];
        store.put_and_delete(&[team(&name)], &apply).await.unwrap();
        writeln!(std::io::stdout(), "answered {name}").unwrap();
    }
}
