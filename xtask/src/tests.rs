//! `cargo xtask test`: every check and every test, with all their set-up, and one line at the end that
//! counts the tests. CI runs this and nothing else.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Instant,
};

use crate::{checks, deps, packages};

/// Debian packages that the tests start themselves.
const NEEDED: &[&str] = &["postgresql", "prometheus", "chromium"];

/// What the test runs counted.
#[derive(Default)]
struct Count {
    passed: u64,
    failed: u64,
}

/// Runs all checks and all tests; with arguments for `cargo test`, such as a test's name, only those
/// tests.
pub fn all(arguments: &[String]) -> Result<(), String> {
    packages::ensure(NEEDED)?;
    packages::ensure_python()?;
    packages::ensure_node()?;
    if arguments.is_empty() {
        timed("check", || checks::check(&[]))?;
        timed("dependencies", || deps::check(&[]))?;
        timed("default features", checks::defaults)?;
        timed("reference", || checks::docs(&[]))?;
    }
    let mut count = Count::default();
    let all = ["test", "--workspace", "--all-features", "--no-fail-fast"];
    let result = timed("tests", || {
        test(&[&all[..], &strs(arguments)].concat(), &mut count)
    });
    println!("\n{} passed, {} failed", count.passed, count.failed);
    result
}

/// Says how long a part took, so that a slow one is seen.
fn timed(name: &str, part: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let begun = Instant::now();
    let result = part();
    println!("-- {name}: {} s", begun.elapsed().as_secs());
    result
}

fn strs(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// Runs one `cargo test`, shows its output, and adds up its result lines.
fn test(arguments: &[&str], count: &mut Count) -> Result<(), String> {
    let mut child = Command::new(env!("CARGO"))
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    let output = child.stdout.take().ok_or("cargo has no output")?;
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        println!("{line}");
        count.add(&line);
    }
    let status = child
        .wait()
        .map_err(|error| format!("cargo cannot be waited for: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err("tests failed".to_owned())
    }
}

impl Count {
    /// Adds a line such as `test result: ok. 3 passed; 0 failed; 0 ignored; ...`.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        let number = |word: &str| {
            let words: Vec<&str> = result.split([' ', ';']).collect();
            let at = words.iter().position(|w| *w == word)?;
            words.get(at.checked_sub(1)?)?.parse::<u64>().ok()
        };
        self.passed += number("passed").unwrap_or(0);
        self.failed += number("failed").unwrap_or(0);
    }
}
