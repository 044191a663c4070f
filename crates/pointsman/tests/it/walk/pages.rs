//! The same walk through the pages, the forms and the stream of the portal.

use reqwest::Method;
use serde_json::json;
use web::rows::{PAGES, Page};

use super::{Outcome, Walker, filled, walkers};
use crate::support::{Answer, TestApp, Visitor};

/// Everybody who can be signed in to a browser, or could be once, or never was.
async fn visitors(app: &TestApp) -> Vec<(Walker, Visitor<'_>)> {
    let mut visitors = Vec::new();
    let token = app.create_person("gone").await;
    let visitor = Visitor::with_token(app, &token).await;
    let off = app.post("/api/v1/people/gone/disable", json!({})).await;
    assert_eq!(off.status, 200, "{}", off.text);
    let mut gone = Walker::new("gone".to_owned(), token);
    gone.counts = false;
    visitors.push((gone, visitor));
    for walker in walkers(app).await {
        let signs_in = walker.counts && walker.rights.is_none() && !walker.scrapes;
        if signs_in {
            let visitor = Visitor::with_token(app, &walker.token).await;
            visitors.push((walker, visitor));
        } else if walker.what == "anonymous" {
            visitors.push((walker, Visitor::stranger(app)));
        }
    }
    visitors
}

/// What is wrong with the answer of a page, if anything is.
fn fault(page: &Page, walker: &Walker, answer: &Answer) -> Option<String> {
    let outcome = walker.outcome(&page.row());
    let status = answer.status.as_u16();
    let leads_to_sign_in = status == 303 && answer.header("location").starts_with("/sign-in");
    let is_right = match outcome {
        Outcome::Unauthenticated if page.method == Method::GET => leads_to_sign_in,
        Outcome::Unauthenticated => status == 401,
        Outcome::Denied => status == 403,
        Outcome::Hidden => status == 404,
        // Nobody signs in with what the walk shows.
        Outcome::Passes if page.operation == "sign_in" => status < 500 && status != 303,
        Outcome::Passes if LEAVING.contains(&page.operation) => leads_to_sign_in,
        Outcome::Passes => ![401, 403].contains(&status) && status < 500 && !leads_to_sign_in,
    };
    let (method, path, what) = (&page.method, page.path, &walker.what);
    (!is_right).then(|| format!("{method} {path} by {what}: {outcome:?}, got {status}"))
}

/// What nobody comes back from.
const LEAVING: [&str; 2] = ["sign_out", "end_my_sessions"];

/// What each form is sent: enough to find what it is about.
const FORM: [(&str, &str); 10] = [
    ("reason", "a walk"),
    ("service", "shop"),
    ("environment", "staging"),
    ("version", "9.9.9"),
    (
        "manifest",
        "kind: Service\nname: shop\nowner: web\nenvironment_types: [testing]\n",
    ),
    ("name", "walked"),
    ("person", "unheard-of"),
    ("kind", "person"),
    ("role", "viewer"),
    ("team", "web"),
];

#[tokio::test]
async fn every_page_shows_everybody_what_the_table_says_and_nothing_else() {
    let app = TestApp::with_shop().await;
    let deployed = app.bring_up("1.1.0").await;
    let deployment = deployed["id"].as_str().unwrap();
    let visitors = visitors(&app).await;
    assert!(visitors.len() >= 20, "{}", visitors.len());
    let mut faults = Vec::new();
    // Who signs out sees nothing more: half of them from one browser, half from everywhere.
    let (last, pages): (Vec<_>, Vec<_>) = PAGES
        .iter()
        .partition(|page| LEAVING.contains(&page.operation));
    for (number, page) in pages.iter().chain(&last).enumerate() {
        let path = filled(page.path, deployment);
        let leaves = number.checked_sub(pages.len());
        let leaving = |at: &usize| leaves.is_none_or(|leaves| at % LEAVING.len() == leaves);
        let all = visitors.iter().enumerate();
        for (_, (walker, visitor)) in all.filter(|(at, _)| leaving(at)) {
            let answer = match page.method {
                Method::GET if page.path == "/live" => stream(visitor).await,
                Method::GET => visitor.open(&path).await,
                _ => visitor.submit(&path, &FORM).await,
            };
            faults.extend(fault(page, walker, &answer));
        }
    }
    let text = faults.join("\n");
    assert!(faults.is_empty(), "{} faults:\n{text}", faults.len());
}

/// What a stream answers before it goes on.
async fn stream(visitor: &Visitor<'_>) -> Answer {
    let request = visitor.request(Method::GET, "/live?topic=overview");
    let response = request.header("accept", "text/html").send().await.unwrap();
    Answer {
        status: response.status(),
        headers: response.headers().clone(),
        text: String::new(),
    }
}
