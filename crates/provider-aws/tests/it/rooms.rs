//! The rooms of this crate: which may name which, how many files each has, and how long they are.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// From the bottom up. A room names only rooms further down, and none of its own floor.
const FLOORS: [&[&str]; 11] = [
    &["settings"],
    &["calls"],
    &["server_group"],
    &["resources"],
    &["metrics"],
    &["traffic"],
    &["account"],
    &["observe", "apply"],
    &["people"],
    &["provider"],
    &["cloud"],
];
const FILES_MAX: usize = 10;
const LINES_MAX: usize = 450;

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every source file of a room, its parent included.
fn files(room: &str) -> Vec<PathBuf> {
    let mut files = vec![source().join(format!("{room}.rs"))];
    let mut folders = vec![source().join(room)];
    while let Some(folder) = folders.pop().filter(|it| it.is_dir()) {
        let entries = fs::read_dir(&folder).unwrap();
        let (inner, here): (Vec<_>, Vec<_>) = entries
            .map(|it| it.unwrap().path())
            .partition(|it| it.is_dir());
        folders.extend(inner);
        files.extend(
            here.into_iter()
                .filter(|it| it.extension().is_some_and(|it| it == "rs")),
        );
    }
    files
}

/// The rooms that a source names: the heads of its paths that begin with `crate`.
fn named(source: &str) -> Vec<String> {
    let code: Vec<&str> = source
        .lines()
        .map(|line| line.split("//").next().unwrap())
        .collect();
    let code = code.join("\n");
    let head = |text: &str| {
        let end = text.find(|it: char| !it.is_ascii_alphanumeric() && it != '_');
        text[..end.unwrap_or(text.len())].to_owned()
    };
    let mut names = Vec::new();
    for (_, after) in code
        .match_indices("crate::")
        .map(|(at, it)| (at, &code[at + it.len()..]))
    {
        let Some(list) = after.strip_prefix('{') else {
            names.push(head(after));
            continue;
        };
        let mut depth = 0;
        let mut entry = true;
        for (at, letter) in list.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => entry = true,
                _ if entry && !letter.is_whitespace() => {
                    names.push(head(&list[at..]));
                    entry = false;
                }
                _ => {}
            }
        }
    }
    names
}

#[test]
fn rooms_name_only_rooms_further_down() {
    for (floor, rooms) in FLOORS.iter().enumerate() {
        for room in *rooms {
            let mut below: Vec<&str> = FLOORS[..floor].concat();
            below.push(room);
            for file in files(room) {
                for name in named(&fs::read_to_string(&file).unwrap()) {
                    let place = file.display();
                    assert!(below.contains(&name.as_str()), "{place} names {name}");
                }
            }
        }
    }
}

#[test]
fn every_file_is_in_a_room_and_rooms_stay_small() {
    for entry in fs::read_dir(source()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let known = name == "lib" || FLOORS.concat().contains(&name.as_str());
        assert!(known, "{name} is on no floor");
        if path.is_dir() {
            let here = fs::read_dir(&path).unwrap().map(|it| it.unwrap().path());
            let here = here.filter(|it| it.extension().is_some_and(|it| it == "rs"));
            assert!(here.count() <= FILES_MAX, "{name} has too many files");
        }
    }
    for file in FLOORS.concat().into_iter().flat_map(files) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines", file.display());
    }
}

#[test]
fn the_scan_sees_what_it_should_see() {
    let source = "
        use crate::calls::clients::Clients;
        // use crate::provider::Aws;
        use crate::{
            account::AwsAccount,
            observe::{observer::Observer, obstacles},
            traffic::dns,
        };
        fn f() -> crate::people::Answer {}
    ";
    let seen = ["calls", "account", "observe", "traffic", "people"];
    assert_eq!(named(source), seen);
}
