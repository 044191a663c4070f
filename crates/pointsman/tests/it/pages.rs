//! The way into the portal, and what keeps others out: each test fails when its protection is taken out.

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, TestApp, Visitor, wish};

#[tokio::test]
async fn pages_ask_strangers_to_sign_in_and_lead_back() {
    let app = TestApp::with_shop().await;
    let stranger = Visitor::stranger(&app);
    for (path, to) in [
        ("/", "/sign-in"),
        (
            "/deployments/1?a=b",
            "/sign-in?next=%2Fdeployments%2F1%3Fa%3Db",
        ),
    ] {
        let answer = stranger.open(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (303, to)
        );
    }
    let refused = stranger.submit("/deployments/1/pause", &[]).await;
    assert_eq!(refused.status, 401);
}

#[tokio::test]
async fn a_link_signs_in_once() {
    let app = TestApp::with_shop().await;
    let link = app.post("/api/v1/me/sign-in-link", json!({})).await.json();
    let url = link["url"].as_str().unwrap();
    let stranger = Visitor::stranger(&app);
    let (_, path) = url.split_once(&stranger.host()).unwrap();
    let page = stranger.open(path).await;
    assert_eq!(page.status, 200, "looking at a link does not use it up");
    let code = link["code"].as_str().unwrap();
    let first = stranger.submit("/sign-in/link", &[("code", code)]).await;
    let second = stranger.submit("/sign-in/link", &[("code", code)]).await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (303, 401));
    assert!(second.header("set-cookie").is_empty());
}

#[tokio::test]
async fn signing_in_again_ends_the_session_before() {
    let app = TestApp::with_shop().await;
    let mut visitor = Visitor::owner(&app).await;
    let before = visitor.cookie.clone();
    let link = app.post("/api/v1/me/sign-in-link", json!({})).await.json();
    let code = link["code"].as_str().unwrap().to_owned();
    let again = visitor.submit("/sign-in/link", &[("code", &code)]).await;
    visitor.keep(&again);
    assert_ne!(visitor.cookie, before);
    assert_eq!(visitor.open("/").await.status, 200);
    visitor.cookie = before;
    assert_eq!(visitor.open("/").await.status, 303);
}

#[tokio::test]
async fn signing_out_ends_the_session() {
    let app = TestApp::with_shop().await;
    let visitor = Visitor::owner(&app).await;
    assert_eq!(visitor.open("/").await.status, 200);
    let out = visitor.submit("/sign-out", &[]).await;
    assert_eq!(out.status, 303);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(visitor.open("/").await.status, 303, "the cookie is dead");
}

#[tokio::test]
async fn a_form_of_another_site_does_nothing() {
    let app = TestApp::with_shop().await;
    let visitor = Visitor::owner(&app).await;
    let id = app.begin("1.0.0").await;
    let pause = format!("/deployments/{id}/pause");
    let other = format!("http://127.0.0.1:{}", app.address().port());
    let others: [&[(&str, &str)]; 5] = [
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", &other)],
        &[("origin", "null")],
        &[],
    ];
    for headers in others {
        let mut request = visitor.bare(Method::POST, &pause);
        request = request.header("host", visitor.host());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, 403, "{headers:?}");
    }
    let seen = app.get(&format!("/api/v1/deployments/{id}")).await.json();
    assert_ne!(seen["status"], "paused");
}

#[tokio::test]
async fn the_portal_is_at_its_own_host_only() {
    let app = TestApp::with(|config| config.allow_remote = true).await;
    let visitor = Visitor::stranger(&app);
    for (host, status) in [
        ("evil.example", 421),
        ("pointsman.localhost:1", 307),
        ("127.0.0.1", 307),
        ("localhost", 307),
    ] {
        let request = visitor.bare(Method::GET, "/sign-in").header("host", host);
        let answer = Answer::of(request).await;
        assert_eq!(answer.status.as_u16(), status, "{host}");
        let home = format!("http://{}/sign-in", visitor.host());
        assert!(status != 307 || answer.header("location") == home);
    }
    // A form is never led on, and a session does not count at an address that others share.
    let request = visitor.bare(Method::POST, "/sign-in");
    let request = request
        .header("host", "127.0.0.1")
        .header("sec-fetch-site", "same-origin");
    assert_eq!(Answer::of(request).await.status, 421);
    let owner = Visitor::owner(&app).await;
    let request = owner.bare(Method::GET, "/");
    assert_eq!(Answer::of(request).await.status, 307);
    let request = owner.bare(Method::GET, "/api/v1/me");
    assert_eq!(
        Answer::of(request).await.status,
        401,
        "the API takes tokens"
    );
}

#[tokio::test]
async fn a_server_answers_at_the_addresses_it_was_given() {
    let urls = ["https://deploy.example.com", "https://other.example.com"];
    let app = TestApp::with(|config| {
        config.public_urls = urls.map(|url| url.parse().unwrap()).to_vec();
    })
    .await;
    let visitor = Visitor::stranger(&app);
    for host in ["deploy.example.com", "other.example.com:443"] {
        let request = visitor.bare(Method::GET, "/sign-in").header("host", host);
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, 200, "{host}");
        let hsts = answer.header("strict-transport-security");
        assert_eq!(hsts, "max-age=31536000");
    }
    let link = app.post("/api/v1/me/sign-in-link", json!({})).await.json();
    let url = link["url"].as_str().unwrap();
    assert!(url.starts_with("https://deploy.example.com/sign-in/link?code="));
}

#[tokio::test]
async fn every_page_says_what_it_may_load() {
    let app = TestApp::with_shop().await;
    let owner = Visitor::owner(&app).await;
    let style = owner.open("/sign-in").await.text;
    let (_, style) = style.split_once("stylesheet\" href=\"").unwrap();
    let (style, _) = style.split_once('"').unwrap();
    for path in ["/", "/sign-in", "/deployments/none", style] {
        let answer = owner.open(path).await;
        let policy = answer.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "same-origin");
        assert!(
            !answer.text.contains(" style="),
            "{path} has a style attribute"
        );
        let kept = answer.header("cache-control");
        assert_eq!(kept.contains("no-store"), path != style, "{path}: {kept}");
    }
}

#[tokio::test]
async fn what_people_wrote_is_text_on_every_page() {
    let app = TestApp::with_shop().await;
    let owner = Visitor::owner(&app).await;
    app.bring_up("1.0.0").await;
    let mut wish = wish("1.1.0");
    wish["strategy"]["bake_seconds"] = json!(30);
    let begun = app.post("/api/v1/deployments", wish).await.json();
    let id = begun["deployment"]["id"].as_str().unwrap();
    let evil = "<img src=x onerror=alert(1)>\"'&";
    let body = json!({"reason": evil});
    let aborted = app
        .post(&format!("/api/v1/deployments/{id}/abort"), body)
        .await;
    assert_eq!(aborted.status, 200, "{}", aborted.text);
    let page = owner.open(&format!("/deployments/{id}")).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("&lt;img src=x onerror=alert(1)&gt;"));
    assert!(!page.text.contains("<img"), "{}", page.text);
    let page = owner.open("/?q=%3Cimg%20src=x%3E&team=%22%3E%3Cimg").await;
    assert!(!page.text.contains("<img"));
    let page = owner.open("/sign-in?next=%2F%22%3E%3Cimg%3E").await;
    assert!(!page.text.contains("<img"));
}

#[tokio::test]
async fn a_form_has_a_bounded_size() {
    let app = TestApp::with_shop().await;
    let owner = Visitor::owner(&app).await;
    let id = app.begin("1.0.0").await;
    let reason = "x".repeat(600 * 1024);
    let path = format!("/deployments/{id}/abort");
    let answer = owner.submit(&path, &[("reason", &reason)]).await;
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn signing_in_leads_to_pages_of_the_portal_only() {
    let app = TestApp::with_shop().await;
    let visitor = Visitor::stranger(&app);
    let code = app.post("/api/v1/people", json!({"name": "ada"})).await;
    assert_eq!(code.status, 201, "{}", code.text);
    for next in ["//evil.example", "https://evil.example", "/\\evil.example"] {
        let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let page = visitor.open(&format!("/sign-in?next={next}")).await;
        assert!(!page.text.contains("evil.example"), "{next}");
    }
}
