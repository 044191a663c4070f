//! The audit log in the portal, and the page for programs.

use serde_json::json;

use crate::support::{TestApp, Visitor};

#[tokio::test]
async fn the_audit_log_is_found_read_and_checked() {
    let app = TestApp::with_shop().await;
    let admin = Visitor::owner(&app).await;
    let evil = "<img src=x>\"'&";
    let lock = json!({"reason": evil});
    let locked = app.put("/api/v1/environments/staging/lock", lock).await;
    assert!(locked.status.is_success(), "{}", locked.text);
    let name = [("name", evil), ("password", "x")];
    let wrong = Visitor::stranger(&app).submit("/sign-in", &name).await;
    assert_eq!(wrong.status, 401);

    let all = admin.open("/audit").await.text;
    assert!(all.contains("Head: event"), "{all}");
    assert!(
        all.contains("&lt;img src=x&gt;") && !all.contains("<img"),
        "{all}"
    );
    let of_one = admin
        .open("/audit?action=release.create&who=admin")
        .await
        .text;
    assert!(of_one.contains("release.create") && !of_one.contains("environment.lock"));
    let before = admin.open("/audit?until=2001-01-01").await.text;
    assert!(before.contains("No such event"), "{before}");
    let since = admin.open("/audit?from=2001-01-01&until=2999-01-01").await;
    assert!(since.text.contains("release.create"), "{}", since.text);
    let later = admin.open("/audit?from=2999-01-01").await.text;
    assert!(later.contains("No such event"), "{later}");

    let events = app.get("/api/v1/audit-events?limit=1").await.json();
    let (seq, hash) = (&events["items"][0]["seq"], &events["items"][0]["hash"]);
    let one = admin.open(&format!("/audit/events/{seq}")).await.text;
    assert!(one.contains(hash.as_str().unwrap()), "{one}");
    assert_eq!(admin.open("/audit/events/999999").await.status, 404);
    assert_eq!(admin.open("/audit/events/x").await.status, 404);
    let refused = admin.open("/audit/refused").await.text;
    assert!(
        refused.contains("sign_in") && refused.contains("&lt;img"),
        "{refused}"
    );
    assert!(!refused.contains("<img"), "{refused}");
    let chain = admin.open("/audit/chain").await.text;
    assert!(chain.contains("unbroken"), "{chain}");

    let lines = admin.open("/audit/export.jsonl").await;
    assert!(
        lines
            .header("content-disposition")
            .starts_with("attachment")
    );
    let count = lines.text.lines().count();
    assert_eq!(count, usize::try_from(seq.as_u64().unwrap()).unwrap());
    for line in lines.text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["hash"].is_string(), "{line}");
    }
    let lines = admin
        .open("/audit/export.jsonl?action=release.create")
        .await;
    assert_eq!(lines.text.lines().count(), 2, "{}", lines.text);
}

#[tokio::test]
async fn the_page_for_programs_names_operations_that_there_are() {
    let app = TestApp::with_shop().await;
    let owner = Visitor::owner(&app).await;
    let page = owner.open("/api").await;
    assert_eq!(page.status, 200);
    let address = format!("http://{}/api/v1", owner.host());
    assert!(page.text.contains(&address), "{}", page.text);
    let paths = page.text.split("&quot;$POINTSMAN/").skip(1);
    let mut seen = 0;
    for path in paths {
        let (path, _) = path.split_once("&quot;").unwrap();
        let path = path.replace("&amp;", "&").replace("NAME", "admin");
        let answer = app.get(&format!("/api/v1/{path}")).await;
        // What changes something is no GET, and what is not there is said by the operation itself.
        let no_route = answer.status == 404 && answer.code() == "no_such_route";
        assert!(!no_route, "{path}: {}", answer.text);
        seen += 1;
    }
    assert!(seen >= 8, "{seen}");
}
