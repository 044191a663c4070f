//! The whole program against an emulated AWS: the beginning of the AWS guide, as written.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

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

fn ran(command: &mut Command) {
    let output = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
