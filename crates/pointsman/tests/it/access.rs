//! Who may do what: everything with the token, nothing without, but for three open doors.

use reqwest::Method;
use serde_json::Value;

use crate::support::{Answer, Persona, TestApp};

/// What needs no token.
const OPEN: [(&str, &str); 2] = [("get", "/health"), ("post", "/api/v1/logins")];

/// Every (method, path) that the API's description names.
pub fn endpoints(document: &Value) -> Vec<(String, String)> {
    let mut endpoints = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            endpoints.push((method.clone(), path.clone()));
        }
    }
    endpoints
}

fn filled(path: &str) -> String {
    let path = path.replace("server-groups/{name}", "server-groups/shop.staging");
    let filled = [
        "{name}",
        "{service}",
        "{environment}",
        "{id}",
        "{version}",
        "{person}",
    ]
    .into_iter()
    .fold(path, |path, parameter| path.replace(parameter, "shop"));
    assert!(
        !filled.contains('{'),
        "{filled} has a parameter that this test does not know"
    );
    filled
}

#[tokio::test]
async fn every_endpoint_needs_the_token() {
    let app = TestApp::start().await;
    let document = Answer::of(app.request(Persona::Anonymous, Method::GET, "/openapi.json")).await;
    let endpoints = endpoints(&document.json());
    assert!(
        endpoints.len() >= 30,
        "the description names {} endpoints",
        endpoints.len()
    );
    for (method, path) in endpoints {
        let is_open = OPEN.contains(&(method.as_str(), path.as_str()));
        let verb: Method = method.to_uppercase().parse().unwrap();
        let wrong = [
            "",
            "Bearer",
            "Bearer ",
            "Bearer wrong",
            "Basic YWRtaW46",
            &app.token,
        ];
        for shown in wrong {
            let request = app
                .request(Persona::Anonymous, verb.clone(), &filled(&path))
                .header("authorization", shown);
            let answer = Answer::of(request).await;
            if is_open {
                assert_ne!(answer.status, 401, "{method} {path}");
                continue;
            }
            assert_eq!(answer.status, 401, "{method} {path} with {shown:?}");
            assert_eq!(answer.code(), "unauthenticated");
            assert_eq!(
                answer.header("www-authenticate"),
                "Bearer realm=\"pointsman\""
            );
        }
        let known = Answer::of(app.request(Persona::Admin, verb, &filled(&path))).await;
        assert_ne!(known.status, 401, "{method} {path} with the token");
        assert!(
            known.status.as_u16() < 500,
            "{method} {path}: {}",
            known.text
        );
    }
}

#[tokio::test]
async fn the_open_doors_are_open() {
    let app = TestApp::start().await;
    for path in ["/health", "/openapi.json", "/docs/", "/docs/concepts.md"] {
        let answer = Answer::of(app.request(Persona::Anonymous, Method::GET, path)).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    let page = Answer::of(app.request(Persona::Anonymous, Method::GET, "/docs/")).await;
    assert!(page.text.contains("swagger-ui"), "{}", page.text);
}

#[tokio::test]
async fn the_scheme_is_read_in_any_case() {
    let app = TestApp::start().await;
    let request = app
        .request(Persona::Anonymous, Method::GET, "/api/v1/teams")
        .header("authorization", format!("bEARER {}", app.token));
    assert_eq!(Answer::of(request).await.status, 200);
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let app = TestApp::start().await;
    let answer = app.get("/api/v1/nonsense").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (404, "no_such_route".to_owned())
    );
    let answer = app.delete("/api/v1/deployments").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (405, "method_not_allowed".to_owned())
    );
    assert!(
        answer.header("allow").contains("POST"),
        "{:?}",
        answer.headers
    );
}

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let app = TestApp::start().await;
    let made = app.get("/api/v1/teams").await;
    assert_eq!(made.header("x-request-id").len(), 36);
    for (given, kept) in [
        ("abc-1.2_3", true),
        ("with space", false),
        (&"x".repeat(65), false),
    ] {
        let request = app
            .request(Persona::Admin, Method::GET, "/health")
            .header("x-request-id", given);
        let answer = Answer::of(request).await;
        assert_eq!(answer.header("x-request-id") == given, kept, "{given:?}");
    }
}
