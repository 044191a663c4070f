//! Tarballs that must be refused, each with its reason, and those that must not.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

use super::*;

const BYTES_MAX: u64 = 1024 * 1024;

/// One entry; the name is written raw, because `tar` itself would refuse to write a bad one.
fn raw(builder: &mut Builder<Vec<u8>>, kind: EntryType, name: &str, body: &[u8]) {
    let mut header = Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(body.len() as u64);
    header.set_mode(0o644);
    if matches!(kind, EntryType::Symlink | EntryType::Link) {
        header.set_link_name("/etc/passwd").unwrap();
    }
    header.set_cksum();
    builder.append(&header, body).unwrap();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn tarball(entries: &[(EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, name, body) in entries {
        raw(&mut builder, *kind, name, body);
    }
    gzip(&builder.into_inner().unwrap())
}

const PLAIN: EntryType = EntryType::Regular;
const WEB: &[u8] = b"web: ./server --port $PORT\n";

fn check(bytes: &[u8], expected: &str) {
    let verdict = inspect(bytes, BYTES_MAX).map_err(|fault| fault.message);
    match (expected, verdict) {
        ("", verdict) => assert_eq!(verdict, Ok(())),
        (part, Err(message)) if message.contains(part) => {}
        (part, verdict) => panic!("expected {part:?}, got {verdict:?}"),
    }
}

#[test]
fn good_tarballs_are_accepted() {
    check(&tarball(&[(PLAIN, "Procfile", WEB)]), "");
    check(
        &tarball(&[
            (EntryType::Directory, "./", b""),
            (PLAIN, "./Procfile", b"release: x\nweb: ./server"),
            (EntryType::Directory, "bin/", b""),
            (PLAIN, "bin/server", &[7; 4000]),
            (
                PLAIN,
                "..data",
                b"two dots at the start of a name are no parent",
            ),
        ]),
        "",
    );
}

#[test]
fn whatever_could_leave_the_folder_is_refused() {
    let with = |kind, name| tarball(&[(PLAIN, "Procfile", WEB), (kind, name, b"")]);
    check(&with(PLAIN, "../evil"), "contains `..`");
    check(&with(PLAIN, "a/../../evil"), "contains `..`");
    check(&with(PLAIN, "/etc/evil"), "is absolute");
    check(&with(EntryType::Directory, "/tmp/evil"), "is absolute");
    check(&with(EntryType::Directory, ".."), "contains `..`");
    check(&with(EntryType::Symlink, "link"), "is a link");
    check(&with(EntryType::Link, "link"), "is a link");
    check(
        &with(EntryType::Char, "null"),
        "neither a file nor a folder",
    );
    check(
        &with(EntryType::Block, "disk"),
        "neither a file nor a folder",
    );
    check(
        &with(EntryType::Fifo, "pipe"),
        "neither a file nor a folder",
    );
    check(&with(PLAIN, "a\nb"), "control characters");
}

#[test]
fn confusing_tarballs_are_refused() {
    let web = (PLAIN, "Procfile", WEB);
    check(
        &tarball(&[web, (PLAIN, "a", b"1"), (PLAIN, "./a", b"2")]),
        "twice",
    );
    check(
        &tarball(&[web, (PLAIN, "a", b"1"), (PLAIN, "a/b", b"2")]),
        "lies in something",
    );
    check(
        &tarball(&[web, (PLAIN, "a/b", b"1"), (PLAIN, "a", b"2")]),
        "a file and a folder",
    );
    check(
        &tarball(&[web, (PLAIN, "a", b"1"), (EntryType::Directory, "a/", b"")]),
        "a file and a folder",
    );
    check(
        &tarball(&[web, (EntryType::Directory, "a", b""), (PLAIN, "a", b"1")]),
        "a file and a folder",
    );
    check(&tarball(&[web, (PLAIN, ".", b"1")]), "without a name");
    let two: &[u8] = b"  web: evil\nweb: good\n";
    check(&tarball(&[(PLAIN, "Procfile", two)]), "two `web` lines");
    check(
        &tarball(&[(PLAIN, "Procfile", b"web: a\0b")]),
        "control characters in its `web` line",
    );
    check(&tarball(&[(PLAIN, "server", b"")]), "no Procfile");
    check(&tarball(&[(PLAIN, "sub/Procfile", WEB)]), "no Procfile");
    check(
        &tarball(&[(PLAIN, "Procfile", b"worker: x\nweb:  \n")]),
        "without a line `web: COMMAND`",
    );
    check(&tarball(&[(PLAIN, "Procfile", &[0xff, 0xfe])]), "not UTF-8");
    check(
        &tarball(&[(PLAIN, "Procfile", &vec![b'#'; 70_000])]),
        "Procfile larger than",
    );
    check(&gzip(b""), "no Procfile");
}

#[test]
fn what_is_no_tarball_is_refused() {
    check(b"", "not a good gzipped tarball");
    check(b"hello", "not a good gzipped tarball");
    check(&gzip(&[1; 2000]), "not a good gzipped tarball");
    let good = tarball(&[(PLAIN, "Procfile", WEB)]);
    check(&good[..good.len() - 4], "not a good gzipped tarball");
    let mut flipped = good.clone();
    let crc = flipped.len() - 6;
    flipped[crc] ^= 1;
    check(&flipped, "not a good gzipped tarball");
    check(&[good.as_slice(), b"more"].concat(), "data after the end");
}

#[test]
fn bombs_are_refused() {
    check(
        &tarball(&[
            (PLAIN, "Procfile", WEB),
            (PLAIN, "zeros", &vec![0; 2 * 1024 * 1024]),
        ]),
        "too large after decompression",
    );
    let trailing = [
        Builder::new(Vec::new()).into_inner().unwrap(),
        vec![0; 2 * 1024 * 1024],
    ];
    check(&gzip(&trailing.concat()), "too large after decompression");
}

/// A tarball in which an extended header of this kind comes before `Procfile`.
fn extended(kind: EntryType, body: &[u8]) -> Vec<u8> {
    tarball(&[(kind, "././@LongLink", body), (PLAIN, "Procfile", WEB)])
}

fn pax(key: &str, value: &str) -> Vec<u8> {
    let text = format!(" {key}={value}\n");
    let length = (1..).find(|n| n.to_string().len() + text.len() == *n);
    format!("{}{text}", length.unwrap()).into_bytes()
}

#[test]
fn extended_headers_are_bounded_and_understood() {
    use EntryType::{GNULongLink, GNULongName, XGlobalHeader, XHeader};
    let long = vec![b'a'; 10_000];
    for kind in [GNULongLink, GNULongName] {
        check(&extended(kind, &long), "an extended header of 10000 bytes");
    }
    let comment = pax("comment", &"x".repeat(10_000));
    check(&extended(XHeader, &comment), "an extended header of 10");
    check(&extended(XGlobalHeader, &pax("comment", "x")), "");
    check(&extended(XHeader, &pax("mtime", "1.5")), "");
    check(&extended(XHeader, &pax("path", "../evil")), "contains `..`");
    check(&extended(GNULongName, b"/etc/evil\0"), "is absolute");
    check(
        &extended(XHeader, &pax("path", "sub/Procfile")),
        "no Procfile",
    );
    check(
        &extended(XHeader, &pax("path", &"a".repeat(256))),
        "a part of more than 255",
    );
    check(
        &extended(XHeader, &pax("size", "99999999999")),
        "has two sizes",
    );
    check(
        &extended(XHeader, &pax("GNU.sparse.name", "x")),
        "pack without --sparse",
    );
    let twice = [pax("path", "a"), pax("path", "b")].concat();
    check(&extended(XHeader, &twice), "two names");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn damaged_tarballs_never_panic(at in 0_usize..400, bit in 0_u8..8, cut in 0_usize..400) {
        let mut bytes = tarball(&[(PLAIN, "Procfile", WEB), (PLAIN, "server", &[7; 300])]);
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        bytes.truncate(bytes.len().saturating_sub(cut));
        let _ = inspect(bytes.as_slice(), BYTES_MAX);
    }
}
