//! The sources of all crates: no file is too long to read at once, and none is left behind that the
//! compiler never sees.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must panic")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The longest a Rust file may be, in lines.
const LINES_MAX: usize = 450;

#[test]
fn no_file_is_too_long_to_read_at_once() {
    let long: Vec<String> = all_files()
        .iter()
        .map(|file| (file, fs::read_to_string(file).unwrap().lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(file, lines)| format!("{}: {lines} lines", shown(file)))
        .collect();
    assert!(
        long.is_empty(),
        "at most {LINES_MAX} lines per file; move what has a name of its own into a file of its own \
         (`name.rs` for `mod name;`), tests into `name/tests.rs`:\n{}",
        long.join("\n")
    );
}

#[test]
fn every_file_is_compiled() {
    let reached = reached();
    let dead: Vec<String> = all_files()
        .iter()
        .filter(|file| !reached.contains(*file))
        .map(|file| shown(file))
        .collect();
    assert!(
        dead.is_empty(),
        "no `mod` declares these files, so they are never compiled; declare or delete them:\n{}",
        dead.join("\n")
    );
}

/// Every Rust file of the crates and of `xtask`.
fn all_files() -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    for folder in ["crates", "xtask"] {
        collect(&repository().join(folder), &mut files);
    }
    let this = repository().join("crates/pointsman/tests/sizes.rs");
    assert!(files.contains(&this), "the scan misses {}", this.display());
    files
}

fn collect(folder: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.insert(path);
        }
    }
}

/// The files that `mod` declarations lead to from the roots of all targets.
fn reached() -> BTreeSet<PathBuf> {
    let mut reached = BTreeSet::new();
    let mut pending = roots();
    let roots: BTreeSet<PathBuf> = pending.iter().cloned().collect();
    while let Some(file) = pending.pop() {
        if reached.contains(&file) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let beside = file.parent().unwrap();
        let below = match roots.contains(&file) {
            true => beside.to_owned(),
            false => file.with_extension(""),
        };
        let named = declared(&text).map(|name| below.join(format!("{name}.rs")));
        let placed = placed(&text).map(|path| beside.join(path));
        let modules = named.chain(placed).filter(|module| module.is_file());
        pending.extend(modules.map(|module| module.canonicalize().unwrap()));
        reached.insert(file);
    }
    reached
}

/// The root file of every target (library, binary, test, example) of every crate.
fn roots() -> Vec<PathBuf> {
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version=1"];
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(repository())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .flat_map(|package| package["targets"].as_array().unwrap())
        .map(|target| PathBuf::from(target["src_path"].as_str().unwrap()))
        .collect()
}

/// The modules that a text says have files of their own: `mod name;`, whatever its visibility. A
/// module inside of an inline module is not followed; there are none.
fn declared(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let (before, name) = line.trim().strip_suffix(';')?.rsplit_once("mod ")?;
        let visible = before.is_empty() || (before.starts_with("pub") && before.ends_with(' '));
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        (visible && is_name).then_some(name)
    })
}

/// The paths that a text gives to modules: `#[path = "folder/name.rs"]`.
fn placed(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let rest = line.trim().strip_prefix("#[path = \"")?;
        rest.strip_suffix("\"]")
    })
}

fn repository() -> &'static Path {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    crates.parent().unwrap()
}

fn shown(file: &Path) -> String {
    let inside = file.strip_prefix(repository()).unwrap();
    inside.display().to_string()
}

#[test]
fn the_scan_sees_what_it_should_see() {
    let text = "\
        mod one;\n\
        pub mod two;\n\
        pub(crate) mod three;\n\
        \tmod four;\n\
        // mod five;\n\
        mod six {\n\
        use mod_seven;\n\
        let text = \"mod eight;\";\n";
    let names: Vec<&str> = declared(text).collect();
    assert_eq!(names, ["one", "two", "three", "four"]);
    let text = "#[path = \"a/b.rs\"]\nmod b;\n// #[path = \"c.rs\"]\n";
    assert_eq!(placed(text).collect::<Vec<_>>(), ["a/b.rs"]);
}
