//! The arrows between rooms (ARCHITECTURE.md): between crates from `cargo metadata`, between parts of
//! a crate from its sources.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Which rooms a room may use. A room that is not named here may use none.
const ARROWS: [(&str, &[&str]); 13] = [
    ("domain", &[]),
    ("engine", &["domain"]),
    ("store", &["domain", "engine"]),
    ("router", &["domain"]),
    ("operations", &["domain", "engine", "store"]),
    (
        "provider-local",
        &["domain", "engine", "operations", "router"],
    ),
    ("provider-aws", &["domain", "engine", "operations"]),
    ("identity", &["operations"]),
    ("web", &["domain", "operations"]),
    ("cli", &["domain"]),
    ("demo", &["domain", "cli"]),
    (
        "pointsman",
        &[
            "domain",
            "engine",
            "store",
            "provider-local",
            "provider-aws",
            "identity",
            "operations",
            "web",
            "cli",
            "demo",
        ],
    ),
    ("xtask", &[]),
];

/// What pure rooms may use from outside: data, errors, and the calendar.
const PURE: [&str; 3] = ["jiff", "serde", "thiserror"];
/// `utoipa` describes what people write, behind the feature `schema` (docs/adr/0019).
const PURE_DESCRIBED: [&str; 1] = ["utoipa"];
/// What the engine may use beyond that: it knows time and tasks, not the world.
const ENGINE: [&str; 5] = ["futures-util", "serde", "thiserror", "tokio", "tracing"];
/// `fastrand` drives the simulation, behind the feature `testing`.
const ENGINE_TESTING: [&str; 1] = ["fastrand"];
/// Parts of tokio that reach the world.
const WORLDLY: [&str; 5] = ["fs", "full", "net", "process", "signal"];

struct Dependency {
    name: String,
    optional: bool,
    features: Vec<String>,
}

/// What each room depends on, tests aside.
fn dependencies() -> BTreeMap<String, Vec<Dependency>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let name = package["name"].as_str().unwrap().to_owned();
            let all = package["dependencies"].as_array().unwrap();
            let used = all.iter().filter(|dependency| dependency["kind"] != "dev");
            (name, used.map(dependency).collect())
        })
        .collect()
}

fn dependency(value: &Value) -> Dependency {
    let features = value["features"].as_array().unwrap();
    Dependency {
        name: value["name"].as_str().unwrap().to_owned(),
        optional: value["optional"].as_bool().unwrap(),
        features: features
            .iter()
            .map(|f| f.as_str().unwrap().to_owned())
            .collect(),
    }
}

#[test]
fn rooms_use_only_the_rooms_below_them() {
    let dependencies = dependencies();
    let rooms: BTreeSet<&str> = dependencies.keys().map(String::as_str).collect();
    assert!(
        rooms.contains("domain") && rooms.contains("pointsman"),
        "{rooms:?}"
    );
    for (room, uses) in &dependencies {
        let allowed = ARROWS.iter().find(|(name, _)| name == room);
        let allowed = allowed
            .unwrap_or_else(|| panic!("the room {room} has no arrows; ADR 2"))
            .1;
        for used in uses
            .iter()
            .filter(|used| rooms.contains(used.name.as_str()))
        {
            assert!(
                allowed.contains(&used.name.as_str()),
                "{room} must not use {}",
                used.name
            );
        }
    }
}

#[test]
fn the_centre_knows_nothing_of_the_world() {
    let dependencies = dependencies();
    for used in &dependencies["domain"] {
        let name = used.name.as_str();
        let described = PURE_DESCRIBED.contains(&name) && used.optional;
        let pure = PURE.contains(&name) || described;
        assert!(pure, "domain must not use {name}");
    }
    for used in &dependencies["engine"] {
        let name = used.name.as_str();
        let known = name == "domain" || ENGINE.contains(&name);
        let testing = ENGINE_TESTING.contains(&name) && used.optional;
        assert!(known || testing, "engine must not use {name}");
        let worldly = used.features.iter().find(|f| WORLDLY.contains(&f.as_str()));
        assert_eq!(worldly, None, "engine must not use this part of {name}");
    }
}

#[test]
fn sql_is_in_the_store_and_what_is_large_in_its_own_room() {
    for (room, uses) in &dependencies() {
        for used in uses {
            let name = used.name.as_str();
            let sql =
                name.starts_with("sqlx") || name.contains("sqlite") || name.contains("postgres");
            assert!(!sql || room == "store", "{room} must not use {name}");
            let aws = name.starts_with("aws-");
            assert!(!aws || room == "provider-aws", "{room} must not use {name}");
            let signed = name == "openidconnect";
            assert!(!signed || room == "identity", "{room} must not use {name}");
        }
    }
}

#[test]
fn http_is_for_the_faces_and_the_providers() {
    let dependencies = dependencies();
    for room in ["domain", "engine", "store", "operations"] {
        for used in &dependencies[room] {
            let http = ["axum", "hyper", "reqwest", "utoipa"];
            let described = PURE_DESCRIBED.contains(&used.name.as_str()) && used.optional;
            let named = http.iter().find(|it| used.name.starts_with(**it));
            let allowed = named.is_none() || room == "domain" && described;
            assert!(allowed, "{room} must not use {}", used.name);
        }
    }
}

/// A part of a crate, as its name and its path in `crates/`; which names it must not use; and why.
type Part = (&'static str, &'static [&'static str], &'static str);

const PARTS: [Part; 3] = [
    (
        "web/src/api",
        &["portal", "ofrep", "em"],
        "faces never name each other",
    ),
    (
        "web/src/problem",
        &["api", "portal", "ofrep", "em"],
        "what all faces share names none of them",
    ),
    (
        "pointsman/src/commands",
        &["operations", "store", "engine", "web", "provider_local"],
        "commands talk to a server, or start one; only `server` wires it",
    ),
];

#[test]
fn parts_of_a_crate_keep_to_their_arrows() {
    for (part, forbidden, why) in PARTS {
        let files = files_of(part);
        assert!(!files.is_empty(), "the part {part} has no file");
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            for (number, line) in text.lines().enumerate() {
                let named = forbidden.iter().find(|name| names(line, name));
                let place = format!("{}:{}", file.display(), number + 1);
                assert_eq!(named, None, "{place}: {why}");
            }
        }
    }
}

#[test]
fn only_the_door_makes_a_principal() {
    let makes = |text: &str| text.contains("Principal::authenticated(");
    let mut doors = Vec::new();
    for room in ["operations", "web", "cli", "demo", "pointsman"] {
        let files = files_of(&format!("{room}/src"));
        let files = files.into_iter();
        doors.extend(files.filter(|file| makes(&fs::read_to_string(file).unwrap())));
    }
    let doors: Vec<String> = doors
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    assert_eq!(doors.len(), 1, "{doors:?}");
    assert!(doors[0].ends_with("web/src/door.rs"), "{doors:?}");
}

/// What a desk does without a permission: it says who sits there, asks, and keeps the principal's own
/// answers.
const UNCHECKED: [&str; 5] = ["principal", "can", "missing", "kept_answer", "keep_answer"];
/// What can be done without a desk: before anybody is known, and for the server itself.
const WITHOUT_DESK: [&str; 17] = [
    "new",
    "desk",
    "health",
    "whose",
    "watch_writing",
    "needs_first_admin",
    "make_owner",
    "attempt_first_admin",
    "make_first_admin",
    "sign_in",
    "sign_in_by_link",
    "identity_providers",
    "leave_for",
    "come_back",
    "session_of",
    "log_in",
    "log_in_by_code",
];

#[test]
fn every_use_case_begins_with_its_permission_check() {
    let mut checked = 0;
    for file in files_of("operations/src") {
        let text = fs::read_to_string(&file).unwrap();
        for (owner, name, first) in public_methods(&text) {
            let place = format!("{}: {owner}::{name}", file.display());
            match owner.as_str() {
                "Desk" if UNCHECKED.contains(&name.as_str()) => {}
                "Desk" => {
                    assert!(first.contains("self.may"), "{place} begins with {first}");
                    checked += 1;
                }
                "Operations" => assert!(WITHOUT_DESK.contains(&name.as_str()), "{place}"),
                _ => {}
            }
        }
    }
    assert!(checked >= 40, "only {checked} use cases were found");
}

/// The public methods of a file: whose, their names, and the first two lines of their bodies.
fn public_methods(text: &str) -> Vec<(String, String, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let (mut owner, mut methods) = (String::new(), Vec::new());
    for (number, line) in lines.iter().enumerate() {
        if let Some(named) = line.strip_prefix("impl ") {
            let end = named.find(|c: char| !c.is_ascii_alphanumeric());
            owner = named[..end.unwrap_or(named.len())].to_owned();
        }
        let signature = line.strip_prefix("    pub ");
        let Some((_, named)) = signature.and_then(|line| line.split_once("fn ")) else {
            continue;
        };
        let name: String = named
            .chars()
            .take_while(|c| *c == '_' || c.is_alphanumeric())
            .collect();
        let rest = lines[number..]
            .iter()
            .skip_while(|line| !line.ends_with('{'));
        let first: String = rest.skip(1).take(2).map(|line| line.trim()).collect();
        methods.push((owner.clone(), name, first));
    }
    methods
}

#[test]
fn only_the_wiring_names_a_provider() {
    let wiring = ["clouds.rs", "local.rs"];
    let is_wiring = |file: &PathBuf| wiring.iter().any(|name| file.ends_with(name));
    let files = files_of("pointsman/src");
    assert_eq!(files.iter().filter(|file| is_wiring(file)).count(), 2);
    for file in files.iter().filter(|file| !is_wiring(file)) {
        let text = fs::read_to_string(file).unwrap();
        for provider in ["provider_local", "provider_aws"] {
            let named = text.lines().any(|line| names(line, provider));
            assert!(!named, "{} names {provider}", file.display());
        }
    }
}

#[test]
fn faces_see_no_type_of_the_store() {
    for file in files_of("operations/src") {
        let text = fs::read_to_string(&file).unwrap();
        let shown = text.lines().find(|line| line.contains("pub use store"));
        assert_eq!(shown, None, "{}", file.display());
    }
}

/// Whether a line of code uses `name` as the head or a part of a path.
fn names(line: &str, name: &str) -> bool {
    let code = line.trim_start();
    if code.starts_with("//") {
        return false;
    }
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    code.match_indices(name).any(|(start, _)| {
        let (before, after) = (&code[..start], &code[start + name.len()..]);
        // A method or a field, or a longer word, is something else.
        let is_word = !before.ends_with(|c: char| word(c) || c == '.' || c == '"')
            && !after.starts_with(word);
        // `use crate::{name, ...}` is a path too.
        let is_import = before.starts_with("use ") && !after.starts_with('(');
        is_word && (after.starts_with("::") || before.ends_with("crate::") || is_import)
    })
}

/// `part.rs` and everything in `part/`.
fn files_of(part: &str) -> Vec<PathBuf> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let root = crates.join(format!("{part}.rs"));
    let mut files = all_files(&crates.join(part));
    files.extend(root.is_file().then_some(root));
    files
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        match path.is_dir() {
            true => files.extend(all_files(&path)),
            false => files.extend(path.extension().is_some_and(|e| e == "rs").then_some(path)),
        }
    }
    files
}

#[test]
fn the_scan_sees_what_it_should_see() {
    for line in [
        "use store::Store;",
        "    store::audit::Filter,",
        "let a: Vec<store::Entry> = b;",
        "use crate::{store, x};",
        "pub use crate::store;",
        "f(store::open(url))",
    ] {
        assert!(names(line, "store"), "{line}");
    }
    for line in [
        "// store::Store is elsewhere",
        "self.store().ping()",
        "let store = 1;",
        "restore::decide()",
        "datastore::open()",
        "store_all::x()",
        "\"store::x\"",
    ] {
        assert!(!names(line, "store"), "{line}");
    }
}

#[test]
fn every_type_with_limits_is_looked_for_in_the_description() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let checked = fs::read_to_string(crates.join("domain/src/schema.rs")).unwrap();
    let mut missing = Vec::new();
    for file in files_of("domain/src") {
        let text = fs::read_to_string(&file).unwrap();
        let limited = text.lines().filter_map(|line| {
            let named = line.strip_prefix("impl Limited for ")?;
            Some(named.trim_end_matches(" {").to_owned())
        });
        missing.extend(limited.filter(|it| !checked.contains(&format!("seen::<{it}>"))));
    }
    assert_eq!(
        missing, [""; 0],
        "add them to the test in domain/src/schema.rs"
    );
}
