//! What a program needs to talk to this server: its address, a token, and the lines to begin with.

use axum::extract::State;
use maud::{Markup, html};

use super::{
    failed::Failed,
    shell::{Head, Part, page},
    visitor::Visitor,
};
use crate::{App, rows::Pages};

pub(super) fn pages() -> Pages {
    Pages::default().shows("/api", read)
}

/// What programs usually do: what it is, the method and path, and a body.
const USUAL: [(&str, &str, &str); 8] = [
    ("Who am I, and what may I do?", "/me", ""),
    (
        "What is live, place by place",
        "/environments/production/status",
        "",
    ),
    (
        "Releases of a service, newest first",
        "/services/shop/releases",
        "",
    ),
    (
        "Send a release",
        "/services/shop/releases/1.2.3",
        "-X PUT -H 'content-type: application/gzip' --data-binary @shop.tar.gz",
    ),
    (
        "Deploy it",
        "/deployments",
        "--json '{\"service\":\"shop\",\"environment\":\"staging\",\"version\":\"1.2.3\"}'",
    ),
    (
        "Watch a deployment as it happens",
        "/deployments/ID/events",
        "-N -H 'accept: text/event-stream'",
    ),
    (
        "May I?",
        "/may?person=NAME&right=deploy&place=shop.staging",
        "",
    ),
    (
        "Roll back",
        "/environments/staging/services/shop/roll-back",
        "--json '{\"reason\":\"errors went up\"}'",
    ),
];

async fn read(State(app): State<App>, visitor: Visitor) -> Result<Markup, Failed> {
    let base = format!("{}/api/v1", app.portal.urls.first());
    let server = app.portal.urls.first().to_string();
    let body = html! {
        div.top {
            div {
                h1 { "API" }
                p.lead { "Everything that this portal does, programs can do too, with the same rights." }
            }
            div.flow { a.button href="/docs" { "All operations" } a.button href="/openapi.json" { "OpenAPI document" } }
        }
        (beginning(&base))
        section.card.stack aria-labelledby="usual-title" {
            h2 #usual-title { "What programs usually do" }
            @for (what, path, more) in USUAL {
                div.stack {
                    h3 { (what) }
                    pre { "curl -fsS -H \"authorization: Bearer $POINTSMAN_TOKEN\" " @if !more.is_empty() { (more) " " } "\"$POINTSMAN" (path) "\"" }
                }
            }
            p.hint { "Repeat a request safely with the header " code { "idempotency-key" } ". Every error is a problem document (RFC 9457) with a stable " code { "code" } " and what to do next." }
        }
        (command_line(&server))
    };
    let head = Head {
        part: Part::Api,
        title: &["API"],
        trail: &[],
        topic: None,
    };
    Ok(page(&visitor, &head, &body))
}

fn beginning(base: &str) -> Markup {
    html! {
        section.card.stack aria-labelledby="begin-title" {
            div.head { h2 #begin-title { "To begin with" } a href="/tokens" { "Make a token" } }
            dl.facts { dt { "Address" } dd { code { (base) } } }
            pre { "export POINTSMAN=" (base) "\nexport POINTSMAN_TOKEN=\"$(cat pipeline.token)\"" }
            p.hint { "A program shows a token of a service account, or of a person. Keep it in a file that only the program reads; it never belongs in an argument or in a URL." }
        }
    }
}

fn command_line(server: &str) -> Markup {
    html! {
        section.card.stack aria-labelledby="line-title" {
            h2 #line-title { "From the command line" }
            pre {
                "cargo install --locked --path crates/pointsman   # in a copy of its repository\n"
                "(umask 077 && pointsman login --server " (server) " > pointsman.token)\n"
                "export POINTSMAN_SERVER=" (server) " POINTSMAN_TOKEN_FILE=pointsman.token\n"
                "pointsman status"
            }
        }
    }
}
