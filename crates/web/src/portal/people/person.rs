//! One person or service account: what they may do where and by which grant, and what lets them in.

use axum::{body::Bytes, extract::State, response::Response};
use domain::{
    access::{PersonName, Subject, Who},
    time::UnixMs,
};
use maud::{Markup, html};
use operations::{about::About, sessions::Session};

use super::{invitation, kind, mark, path_of};
use crate::{
    App,
    portal::{
        failed::Failed,
        forms::Named,
        fresh, grants,
        parts::{Query, ago, moment},
        shell::{Head, Part, page},
        tokens,
        visitor::Visitor,
        way_in::see,
    },
    rows::Pages,
};

pub(super) fn pages() -> Pages {
    Pages::default()
        .shows("/people/{name}", read)
        .form("/people/{name}/disable", disable)
        .form("/people/{name}/enable", enable)
        .form("/people/{name}/invite", invite)
        .form("/people/{name}/end-sessions", end_sessions)
}

async fn read(visitor: Visitor, Named(name): Named<PersonName>) -> Result<Markup, Failed> {
    let about = visitor.desk.about(&name).await?;
    let is_person = matches!(about.person.who, Who::Person(_));
    let again = fresh::field(&visitor).await?;
    let body = html! {
        (top(&about))
        (may(&about, &again))
        @if is_person { (sessions(&about)) }
        (tokens(&about))
        (acts(&about, &again))
    };
    let head = Head {
        part: Part::People,
        title: &[name.as_str(), "People"],
        trail: &[("/people", "People")],
        topic: None,
    };
    Ok(page(&visitor, &head, &body))
}

fn top(about: &About) -> Markup {
    let person = &about.person;
    html! {
        div.top {
            div {
                h1 { (person.name()) }
                p.lead { (kind(person)) " · added " (ago(person.created_at, about.at)) " by " (person.created_by) }
            }
            (mark(person).badge())
        }
        @if let Some(since) = person.disabled_at {
            p.note.stop { "Disabled " (ago(since, about.at)) ": cannot sign in, and their tokens count for nothing." }
        }
    }
}

/// What they may do where, and which grant says so.
fn may(about: &About, again: &Markup) -> Markup {
    let name = about.person.name();
    let back = path_of(name);
    let subject = match &about.person.who {
        Who::Person(name) => Subject::Person(name.clone()),
        Who::ServiceAccount(name) => Subject::ServiceAccount(name.clone()),
    };
    html! {
        section.card.stack aria-labelledby="may-title" {
            div.head {
                h2 #may-title { "What " (name) " may do" }
                a href=(grants::question_path(name)) { "Ask about a right and a place" }
            }
            @if about.grants.is_empty() {
                p { "Nothing: no grant concerns " (name) "." }
            } @else {
                (grants::table(&about.grants, about.at, Some(&back)))
            }
            @if !about.groups.is_empty() {
                p { "In the groups "
                    @for (number, group) in about.groups.iter().enumerate() {
                        @if number > 0 { ", " }
                        a href={ "/groups/" (group) } { (group) }
                    }
                    "."
                }
            }
            (grants::give_form(Some(&subject), &back, again))
        }
    }
}

fn sessions(about: &About) -> Markup {
    let name = about.person.name();
    html! {
        section.card.stack aria-labelledby="sessions-title" {
            h2 #sessions-title { "Sessions" }
            @if about.sessions.is_empty() {
                p.soft { "No browser is signed in as " (name) "." }
            } @else {
                (session_table(&about.sessions, about.at, false))
                form method="post" action={ (path_of(name)) "/end-sessions" } {
                    button.danger type="submit" { "End all sessions" }
                }
            }
        }
    }
}

/// Sessions; one's own can be ended one by one.
pub(in crate::portal) fn session_table(sessions: &[Session], now: UnixMs, own: bool) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Sessions" {
            table.table {
                thead {
                    tr {
                        th scope="col" { "Address" }
                        th scope="col" { "Signed in" }
                        th scope="col" { "Used" }
                        th scope="col" { "Ends at the latest" }
                        @if own { th scope="col" { span.hide { "End it" } } }
                    }
                }
                tbody {
                    @for session in sessions {
                        tr {
                            th scope="row" { span.mono { (session.from) } @if session.is_this { " " span.small.soft { "this browser" } } }
                            td { (ago(session.created_at, now)) }
                            td { (ago(session.seen_at, now)) }
                            td { (moment(session.ends_at)) }
                            @if own {
                                td {
                                    form method="post" action={ "/profile/sessions/" (session.id.0) "/end" } {
                                        button.link-button type="submit" { "End" span.hide { " the session from " (session.from) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn tokens(about: &About) -> Markup {
    html! {
        section.card.stack aria-labelledby="tokens-title" {
            div.head {
                h2 #tokens-title { "Tokens" }
                @if let Who::ServiceAccount(name) = &about.person.who {
                    a href=(tokens::path_for(name)) { "Make a token" }
                }
            }
            @if about.tokens.is_empty() { p.soft { "None." } } @else { (tokens::table(&about.tokens, about.at, false)) }
        }
    }
}

fn acts(about: &About, again: &Markup) -> Markup {
    let (name, path) = (about.person.name(), path_of(about.person.name()));
    let is_person = matches!(about.person.who, Who::Person(_));
    html! {
        section.card aria-labelledby="acts-title" {
            h2 #acts-title { "Letting in and out" }
            div.acts {
                @if is_person {
                    form.act method="post" action={ (path) "/invite" } {
                        (again)
                        div.press { button type="submit" aria-describedby="why-invite" { "New invitation link" } }
                        p.small.soft #why-invite { "Signs " (name) " in once, within 24 hours. A link that was made before no longer works." }
                    }
                }
                @if about.person.disabled_at.is_some() {
                    form.act method="post" action={ (path) "/enable" } {
                        div.press { button.main-button type="submit" aria-describedby="why-enable" { "Enable" } }
                        p.small.soft #why-enable { (name) " may again what the grants say, and tokens that have not ended count again." }
                    }
                } @else {
                    form.act method="post" action={ (path) "/disable" } {
                        div.press { button.danger type="submit" aria-describedby="why-disable" { "Disable" } }
                        p.small.soft #why-disable { "Ends all sessions of " (name) " and stops all tokens at once. Grants and the name stay." }
                    }
                }
            }
        }
    }
}

async fn disable(visitor: Visitor, Named(name): Named<PersonName>) -> Result<Response, Failed> {
    visitor.desk.set_disabled(&name, true).await?;
    Ok(see(&path_of(&name)))
}

async fn enable(visitor: Visitor, Named(name): Named<PersonName>) -> Result<Response, Failed> {
    visitor.desk.set_disabled(&name, false).await?;
    Ok(see(&path_of(&name)))
}

async fn end_sessions(
    visitor: Visitor,
    Named(name): Named<PersonName>,
) -> Result<Response, Failed> {
    visitor.desk.end_sessions_of(&name).await?;
    Ok(see(&path_of(&name)))
}

async fn invite(
    State(app): State<App>,
    visitor: Visitor,
    Named(name): Named<PersonName>,
    form: Bytes,
) -> Result<Response, Failed> {
    fresh::prove(&visitor, &Query::of(&form)).await?;
    let invited = visitor.desk.invite(&name).await?;
    Ok(invitation(&visitor, app.portal.urls.first(), &invited))
}
