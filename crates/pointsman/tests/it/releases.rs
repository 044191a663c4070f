//! Releases: what is taken in, what is not, and that nothing half is ever there.

use expect_test::expect;
use reqwest::Method;
use serde_json::json;
use tar::EntryType;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    Answer, CATALOGUE, PATIENCE, Persona, TestApp, release, small_limits, tarball,
};

const ROOT: &str = "/api/v1/services/shop/releases";

#[tokio::test]
async fn a_release_is_immutable() {
    let app = TestApp::start().await;
    app.apply(CATALOGUE).await;
    let created = app.upload("shop", "1.0.0", release("1.0.0")).await;
    expect![[r#"
        201
        {
          "created_at": "[created_at]",
          "created_by": "admin",
          "digest": "[digest]",
          "image": null,
          "service": "shop",
          "size_bytes": "[size_bytes]",
          "uploads": [],
          "version": "1.0.0",
          "withdrawn": null
        }
    "#]]
    .assert_eq(&created.shown());
    let again = app.upload("shop", "1.0.0", release("1.0.0")).await;
    assert_eq!((again.status.as_u16(), &again.text), (200, &created.text));
    let conflict = app.upload("shop", "1.0.0", release("other")).await;
    expect![[r#"
        409
        {
          "code": "release_conflict",
          "detail": "shop already has a release 1.0.0 with other content (sha256 [digest])",
          "remedy": "releases are immutable; create a new version for the new content",
          "status": 409,
          "title": "Conflict",
          "type": "urn:pointsman:problem:release_conflict"
        }
    "#]]
    .assert_eq(&conflict.shown());
    let digest = created.json()["digest"].as_str().unwrap().to_owned();
    assert_eq!(
        app.artifact_files(),
        [format!("sha256/{digest}")],
        "the conflict left nothing"
    );
    let read = app.get(&format!("{ROOT}/1.0.0")).await.json();
    let mut made = created.json();
    made.as_object_mut().unwrap().remove("uploads");
    assert_eq!(
        read, made,
        "only who made it is told where its package went"
    );
    let kept = app.config.data.join("artifacts/sha256").join(digest);
    assert_eq!(std::fs::read(&kept).unwrap(), release("1.0.0"));
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(kept).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn two_uploads_of_one_version_at_once_make_one_release() {
    let app = TestApp::start().await;
    app.apply(CATALOGUE).await;
    let (first, second) = tokio::join!(
        app.upload("shop", "1.0.0", release("a")),
        app.upload("shop", "1.0.0", release("b")),
    );
    let mut statuses = [first.status.as_u16(), second.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
}

/// Name, bytes, and what the refusal says.
fn unsafe_tarballs() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let plain = EntryType::Regular;
    let web: (EntryType, &str, &[u8]) = (plain, "Procfile", b"web: ./server\n");
    vec![
        ("empty", Vec::new(), "not a good gzipped tarball"),
        ("text", b"hello".to_vec(), "not a good gzipped tarball"),
        (
            "cut",
            release("1")[..60].to_vec(),
            "not a good gzipped tarball",
        ),
        (
            "traversal",
            tarball(&[web, (plain, "../../evil", b"x")]),
            "contains `..`",
        ),
        (
            "absolute",
            tarball(&[web, (plain, "/etc/evil", b"x")]),
            "is absolute",
        ),
        (
            "symlink",
            tarball(&[web, (EntryType::Symlink, "a", b"")]),
            "is a link",
        ),
        (
            "hard link",
            tarball(&[web, (EntryType::Link, "a", b"")]),
            "is a link",
        ),
        (
            "device",
            tarball(&[web, (EntryType::Char, "a", b"")]),
            "neither a file nor a folder",
        ),
        (
            "no Procfile",
            tarball(&[(plain, "server", b"x")]),
            "no Procfile",
        ),
        (
            "bomb",
            tarball(&[web, (plain, "zeros", &vec![0; 300 * 1024])]),
            "too large after decompression",
        ),
    ]
}

#[tokio::test]
async fn what_is_no_safe_tarball_is_refused_and_leaves_nothing() {
    let app = TestApp::with(|config| config.limits = small_limits()).await;
    app.apply(CATALOGUE).await;
    for (name, bytes, why) in unsafe_tarballs() {
        let answer = app.upload("shop", "1.0.0", bytes).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (422, "invalid".to_owned()),
            "{name}"
        );
        let error = answer.json()["errors"][0].clone();
        assert_eq!(error["field"], "artifact", "{name}");
        assert!(
            error["message"].as_str().unwrap().contains(why),
            "{name}: {}",
            answer.text
        );
    }
    let noise: Vec<u8> = (0..100_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    let large = app.upload("shop", "1.0.0", noise).await;
    assert_eq!(
        (large.status.as_u16(), large.code()),
        (413, "too_large".to_owned())
    );
    assert_eq!(app.artifact_files(), Vec::<String>::new());
    assert_eq!(app.get(ROOT).await.json()["items"], json!([]));
    assert_eq!(
        app.upload("nobody", "1.0.0", release("1")).await.code(),
        "not_found"
    );
}

/// Sends a head that promises more than comes, then goes away.
async fn cut_off(app: &TestApp, head: &str, body: &[u8]) {
    let mut stream = TcpStream::connect(app.address()).await.unwrap();
    let request = format!(
        "PUT {ROOT}/1.0.0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n{head}\r\n\r\n",
        app.token
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    // The server notices, and closes its side: only then is the upload over.
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    let _ = read.expect("the server gives up in time");
}

#[tokio::test]
async fn a_cut_connection_leaves_nothing() {
    let app = TestApp::start().await;
    app.apply(CATALOGUE).await;
    let bytes = release("1.0.0");
    let length = format!("Content-Length: {}", bytes.len() + 1);
    cut_off(&app, &length, &bytes).await;
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend(&bytes);
    cut_off(&app, "Transfer-Encoding: chunked", &chunk).await;
    let empty = async {
        while !app.artifact_files().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, empty)
        .await
        .expect("what came is taken away");
    assert_eq!(app.get(&format!("{ROOT}/1.0.0")).await.status, 404);
    assert_eq!(app.upload("shop", "1.0.0", bytes).await.status, 201);
}

#[tokio::test]
async fn a_crash_in_the_middle_of_an_upload_leaves_nothing() {
    let mut app = TestApp::start().await;
    app.stop().await;
    let left = app.config.data.join("artifacts/incoming/.tmpX");
    std::fs::write(&left, b"half").unwrap();
    app.restart_stopped().await;
    assert!(!left.exists());
}

#[tokio::test]
async fn a_withdrawn_release_stays_withdrawn() {
    let app = TestApp::with_shop().await;
    let path = format!("{ROOT}/1.0.0/withdraw");
    let withdrawn = app.post(&path, json!({"reason": "loses orders"})).await;
    assert_eq!(withdrawn.status, 200, "{}", withdrawn.text);
    let again = app.post(&path, json!({"reason": "another reason"})).await;
    assert_eq!(again.json()["withdrawn"]["reason"], "loses orders");
    let refused = app.deploy("1.0.0").await;
    assert_eq!(
        refused.json()["objections"][0]["reason"],
        "release_withdrawn"
    );
    let same = app.upload("shop", "1.0.0", release("1.0.0")).await;
    assert_eq!(
        same.json()["withdrawn"]["by"],
        "admin",
        "an upload does not bring it back"
    );
    let unknown = app
        .post(&format!("{ROOT}/9/withdraw"), json!({"reason": "x"}))
        .await;
    assert_eq!(unknown.code(), "not_found");
    let silent = app.post(&path, json!({"reason": ""})).await;
    assert_eq!(silent.code(), "invalid");
}

#[tokio::test]
async fn an_upload_without_the_token_is_not_read() {
    let app = TestApp::start().await;
    let request = app
        .request(Persona::Anonymous, Method::PUT, &format!("{ROOT}/1.0.0"))
        .body(release("1.0.0"));
    assert_eq!(Answer::of(request).await.status, 401);
    assert_eq!(app.artifact_files(), Vec::<String>::new());
}
