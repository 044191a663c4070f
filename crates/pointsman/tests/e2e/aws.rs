//! The whole program against an emulated AWS: the beginning of the AWS guide, as written.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::world::{PLACE, World, shop};

/// The rest of the guide takes ten minutes: `cargo xtask guide`.
const UNTIL: &str = "Blue/green at a load balancer";

#[test]
fn the_aws_guide_works_as_written() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let emulator = repository.join("crates/provider-aws/tests/emulator");
    let environment = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("emulator");
    let mut install = Command::new("bash");
    ran(install.arg(emulator.join("install.sh")).arg(&environment));
    let mut guide = Command::new(environment.join("bin/python"));
    guide
        .arg(emulator.join("guide.py"))
        .args([
            "--pointsman",
            env!("CARGO_BIN_EXE_pointsman"),
            "--until",
            UNTIL,
        ])
        .arg("--repository")
        .arg(&repository);
    ran(&mut guide);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_this_machine_has_is_not_promised_for_aws() {
    let world = World::empty().await;
    world.ok(&["apply", "-f", &shop("")]).await;
    let account = json!({"kind": "Account", "name": "eu", "provider": "aws", "region": "eu-west-1",
        "endpoint_url": "http://127.0.0.1:1"});
    let group = json!({"kind": "ServerGroup", "service": PLACE[0], "environment": PLACE[2], "size": 2,
        "aws": {"account": "eu", "groups": ["storefront"]}});
    for manifest in [account, group] {
        world.apply(&manifest).await;
    }
    let status = world.status().await;
    assert_eq!(status["url"], Value::Null, "{status}");
    let logs = world.cli(&[&["logs"], &PLACE[..]].concat()).await;
    assert!(
        logs.stderr.contains("logs are not offered there"),
        "{logs:?}"
    );
    let pass = [&["pass"], &PLACE[..], &["--slice", "blue"]].concat();
    let pass = world.cli(&pass).await;
    assert!(
        pass.stderr.contains("passes are not offered there"),
        "{pass:?}"
    );
}

fn ran(command: &mut Command) {
    let output = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
