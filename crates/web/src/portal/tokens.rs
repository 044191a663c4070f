//! Tokens of programs: made, shown once, used when, revoked.

use std::collections::BTreeSet;

use axum::{
    body::Bytes,
    extract::Path,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::{
    access::{PersonName, Reach, Resource, Right, Scope, TokenId, Who},
    time::UnixMs,
};
use maud::{Markup, html};
use operations::{
    grants::place,
    tokens::{DAYS_MAX, DAYS_USUAL, NewToken, Token, TokenWish},
};

use super::{
    failed::Failed,
    forms::{chosen, optional, secret},
    fresh,
    parts::{Query, ROWS, ago, empty, icon, moment, now, pager, query},
    people::{Tab, path_of, tabs},
    shell::{Head, Part, page},
    visitor::Visitor,
    way_in::see,
};
use crate::rows::Pages;

/// A token that ends within this time is said to end soon, in milliseconds.
const SOON_MS: u64 = 14 * 24 * 60 * 60 * 1000;

pub(super) fn pages() -> Pages {
    Pages::default()
        .shows("/tokens", read)
        .form("/tokens", create)
        .form("/tokens/{id}/revoke", revoke)
}

/// Where a token of this service account is made.
pub(super) fn path_for(account: &PersonName) -> String {
    query("/tokens", &[("owner", account.as_str())])
}

async fn read(visitor: Visitor, asked: Query) -> Result<Markup, Failed> {
    let after = asked.read::<String>("after").filter(|id| !id.is_empty());
    let after = after.map(TokenId);
    let tokens = visitor.desk.tokens(after.as_ref(), ROWS).await?;
    let after = after.as_ref().map(|id| id.0.as_str());
    let manages = visitor.desk.can(Right::Administer, Resource::Everything);
    let manages = manages.await?;
    let again = fresh::field(&visitor).await?;
    let body = html! {
        div.top {
            div {
                h1 { "Tokens" }
                p.lead { "What programs show instead of signing in. A token reaches at most as far as its owner does now." }
            }
        }
        @if manages { (tabs(Tab::Tokens)) }
        @if tokens.items.is_empty() {
            (empty("No token", &html! { p { "Make one below for a pipeline or a script." } }))
        } @else { (table(&tokens.items, now(), true)) }
        (pager("/tokens", &[], after, tokens.next.as_deref()))
        (make_form(&visitor, asked.text("owner"), &again))
    };
    let head = Head {
        part: Part::People,
        title: &["Tokens"],
        trail: &[("/profile", "Profile")],
        topic: None,
    };
    Ok(page(&visitor, &head, &body))
}

/// Tokens, with their owners where they are several.
pub(super) fn table(tokens: &[Token], now: UnixMs, owners: bool) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Tokens" {
            table.table {
                thead {
                    tr {
                        th scope="col" { "Name" }
                        @if owners { th scope="col" { "Owner" } }
                        th scope="col" { "Reaches" }
                        th scope="col" { "Used last" }
                        th scope="col" { "Ends" }
                        th scope="col" { "Made" }
                        th scope="col" { span.hide { "Revoke it" } }
                    }
                }
                tbody {
                    @for token in tokens {
                        tr {
                            th scope="row" { (token.name) }
                            @if owners { td { (owner(token)) } }
                            td { (reach(&token.reach)) }
                            td { (used(token)) }
                            td { (ends(token, now)) }
                            td { (ago(token.created_at, now)) span.soft { " by " (token.created_by) } }
                            td {
                                form method="post" action={ "/tokens/" (token.id.0) "/revoke" } {
                                    button.link-button type="submit" { "Revoke" span.hide { " " (token.name) " of " (token.owner()) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn owner(token: &Token) -> Markup {
    html! {
        a href=(path_of(token.owner())) { (token.owner()) }
        @if matches!(token.who, Who::ServiceAccount(_)) { span.small.soft { " service account" } }
    }
}

fn reach(reach: &Reach) -> Markup {
    html! {
        @match reach {
            Reach::Full => { "all that its owner may" },
            Reach::Scrape => { "metrics only" },
            Reach::Narrow { rights, scope } => {
                @if rights.len() == Right::ALL.len() { "all rights" } @else {
                    @for (number, right) in rights.iter().enumerate() { @if number > 0 { ", " } code { (right) } }
                }
                " " (place(scope))
            },
        }
    }
}

/// The day, and the address.
fn used(token: &Token) -> Markup {
    html! {
        @match token.used_on {
            None => { span.soft { "never" } },
            Some(day) => {
                @let time = jiff::Timestamp::from_millisecond(day.0).unwrap_or_default();
                (time.strftime("%-d %b %Y"))
                @if let Some(from) = &token.used_from { span.small.soft { " from " span.mono { (from) } } }
            }
        }
    }
}

fn ends(token: &Token, now: UnixMs) -> Markup {
    html! {
        @if token.ends_at <= now { span.state.off { (icon("failed")) "ended" } " " }
        @else if token.ends_at <= now.plus_ms(SOON_MS) { span.state.wait { (icon("waiting")) "soon" } " " }
        (moment(token.ends_at))
    }
}

fn make_form(visitor: &Visitor, owner: &str, again: &Markup) -> Markup {
    let own = visitor.name();
    html! {
        section.card aria-labelledby="make-title" {
            h2 #make-title { "Make a token" }
            form.stack method="post" action="/tokens" {
                div.filters {
                    label { "What it is for" input name="name" required maxlength="64" autocomplete="off" placeholder="pipeline of shop"; }
                    label { "Owner" input name="owner" value=(owner) maxlength="64" autocomplete="off" autocapitalize="none" placeholder=(own) aria-describedby="owner-hint"; }
                    label { "Days until it ends" input name="days" type="number" min="1" max=(DAYS_MAX) value=(DAYS_USUAL) required; }
                }
                p.hint #owner-hint { "Yourself, or a service account of a team that you manage." }
                fieldset {
                    legend { "Reaches" }
                    p.hint { "Choose no right and it reaches all that its owner may." }
                    div.checks {
                        @for right in Right::ALL {
                            label.check { input type="checkbox" name="right" value=(right); (right) }
                        }
                    }
                    div.filters {
                        label { "Team" input name="team" placeholder="any" maxlength="63" autocomplete="off"; }
                        label { "Environment type" input name="type" placeholder="any" maxlength="63" autocomplete="off"; }
                    }
                    label.check { input type="checkbox" name="metrics" value="yes"; "Metrics and nothing else, for a scraper" }
                }
                (again)
                div.flow { button.main-button type="submit" { "Make the token" } }
            }
        }
    }
}

async fn create(visitor: Visitor, form: Bytes) -> Result<Response, Failed> {
    let form = Query::of(&form);
    let words = form.all("right");
    let rights = words.map(|word| chosen(&Right::ALL, Right::as_str, word));
    let rights: Option<BTreeSet<Right>> = rights.collect();
    let rights = rights.ok_or_else(|| Failed::bad_field("right", "there is no such right"))?;
    let wish = TokenWish {
        name: form.text("name").to_owned(),
        owner: optional(&form, "owner")?,
        rights: Some(rights).filter(|rights| !rights.is_empty()),
        scope: Scope {
            team: optional(&form, "team")?,
            environment_type: optional(&form, "type")?,
        },
        scrapes: form.text("metrics") == "yes",
        days: optional(&form, "days")?,
    };
    fresh::prove(&visitor, &form).await?;
    let made = visitor.desk.create_token(wish).await?;
    Ok(shown_once(&visitor, &made))
}

/// The one page that shows a token.
fn shown_once(visitor: &Visitor, made: &NewToken) -> Response {
    let token = &made.token;
    let body = html! {
        div.top { h1 { "Token " (token.name) } }
        section.card.stack {
            p { "Copy it now: it is shown once, and only its hash is kept. Whoever has it is " (token.owner()) " to this server until " (moment(token.ends_at)) "." }
            (secret("Token", made.secret.reveal()))
            p { "Reaches: " (reach(&token.reach)) "." }
            p.hint { "Keep it in a file that only the program can read, and point " code { "POINTSMAN_TOKEN_FILE" } " at it." }
            p.flow { a.button.main-button href="/tokens" { "I have it" } a.button href="/api" { "How programs use it" } }
        }
    };
    let head = Head {
        part: Part::People,
        title: &["New token", &token.name],
        trail: &[("/tokens", "Tokens")],
        topic: None,
    };
    (StatusCode::CREATED, page(visitor, &head, &body)).into_response()
}

async fn revoke(visitor: Visitor, Path(id): Path<String>) -> Result<Response, Failed> {
    visitor.desk.revoke_token(&TokenId(id)).await?;
    Ok(see("/tokens"))
}
