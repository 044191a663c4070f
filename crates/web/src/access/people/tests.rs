use super::*;

fn name(text: &str) -> PersonName {
    text.parse().unwrap()
}

fn names(people: &[Person]) -> Vec<&str> {
    let mut names: Vec<&str> = people.iter().map(|person| person.name.as_str()).collect();
    names.sort_unstable();
    names
}

#[test]
fn names_are_plain_and_short() {
    for good in ["alice", "a", "7of9", "alice.b_c-d", &"x".repeat(64)] {
        assert_eq!(name(good).as_str(), good);
    }
    let long = "x".repeat(65);
    for bad in [
        "", ".", "..", ".tmp", "-a", "_a", "Alice", "a/b", "a b", "ä", &long,
    ] {
        assert!(PersonName::from_str(bad).is_err(), "{bad:?}");
    }
    assert_eq!(PersonName::from_str("admin"), Err(NameError::Admin));
}

#[test]
fn a_token_is_shown_once_and_only_its_hash_is_kept() {
    let data = tempfile::tempdir().unwrap();
    let token = create(data.path(), &name("alice")).unwrap();
    let path = folder(data.path()).join("alice");
    let kept = fs::read_to_string(&path).unwrap();
    assert!(!kept.contains(&token));
    assert_eq!(digest(kept.trim()), Some(hash(&token)));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&folder(data.path()))), (0o600, 0o700));
    let again = create(data.path(), &name("alice"));
    assert!(matches!(again, Err(PeopleError::Exists(_))), "{again:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), kept);

    create(data.path(), &name("bob")).unwrap();
    let listed = list(data.path()).unwrap();
    let listed: Vec<&str> = listed.iter().map(|person| person.name.as_str()).collect();
    assert_eq!(listed, ["alice", "bob"]);
    revoke(data.path(), &name("alice")).unwrap();
    let again = revoke(data.path(), &name("alice"));
    assert!(matches!(again, Err(PeopleError::Unknown(_))), "{again:?}");
    assert_ne!(create(data.path(), &name("alice")).unwrap(), token);
}

#[test]
fn there_must_be_a_data_folder() {
    let data = tempfile::tempdir().unwrap();
    let elsewhere = data.path().join("elsewhere");
    let made = create(&elsewhere, &name("alice"));
    assert!(matches!(made, Err(PeopleError::NoFolder(_))), "{made:?}");
    assert!(!elsewhere.exists());
    assert_eq!(list(data.path()).unwrap(), []);
}

#[test]
fn what_is_no_token_admits_nobody() {
    let data = tempfile::tempdir().unwrap();
    create(data.path(), &name("alice")).unwrap();
    let folder = folder(data.path());
    let put = |name: &str, text: &str, mode: u32| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let digits = "a".repeat(DIGITS);
    put("bob", &digits, 0o600);
    put("open", &digits, 0o640);
    put("short", &digits[1..], 0o600);
    put("long", &"a".repeat(1_000_000), 0o600);
    put("no-digits", &"ä".repeat(DIGITS / 2), 0o600);
    put("empty", "", 0o600);
    put(".draft", &digits, 0o600);
    put("admin", &digits, 0o600);
    fs::create_dir(folder.join("folder")).unwrap();
    std::os::unix::fs::symlink("bob", folder.join("link")).unwrap();
    assert_eq!(names(&read(&folder).unwrap()), ["alice", "bob"]);
}

#[test]
fn no_more_than_so_many_are_known() {
    let data = tempfile::tempdir().unwrap();
    create(data.path(), &name("alice")).unwrap();
    for number in 0..PEOPLE_MAX {
        let path = folder(data.path()).join(format!("p{number}"));
        fs::copy(folder(data.path()).join("alice"), path).unwrap();
    }
    assert_eq!(read(&folder(data.path())).unwrap().len(), PEOPLE_MAX);
    let made = create(data.path(), &name("bob"));
    assert!(matches!(made, Err(PeopleError::Full)), "{made:?}");
}

#[test]
fn a_folder_is_read_again_only_when_it_may_have_changed() {
    let data = tempfile::tempdir().unwrap();
    let folder = folder(data.path());
    let known = Known::in_folder(folder.clone());
    let looked = || {
        known.seen.lock().unwrap().looked_at = None;
        known.now()
    };
    assert!(looked().is_empty());
    create(data.path(), &name("alice")).unwrap();
    create(data.path(), &name("bob")).unwrap();
    assert_eq!(names(&known.now()), [""; 0], "not before the next look");
    assert_eq!(names(&looked()), ["alice", "bob"]);
    // It changed just now, so it is read again although its time may be the same.
    assert_eq!(known.seen.lock().unwrap().stamp, None);
    revoke(data.path(), &name("bob")).unwrap();
    assert_eq!(names(&looked()), ["alice"]);
    // Long unchanged, it is not read again.
    let long_ago = SystemTime::now() - Duration::from_secs(60);
    let settle = || File::open(&folder).unwrap().set_modified(long_ago).unwrap();
    settle();
    let before = looked();
    assert!(Arc::ptr_eq(&before, &looked()));
    create(data.path(), &name("carol")).unwrap();
    assert_eq!(names(&looked()), ["alice", "carol"]);
    fs::remove_dir_all(&folder).unwrap();
    assert!(looked().is_empty());
}
