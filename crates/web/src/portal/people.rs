//! People and service accounts: who there is, and one of them.

mod person;

use axum::{
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::access::{PersonName, Who};
use maud::{Markup, html};
use operations::people::{Invited, Person, Wanted};

use super::{
    failed::Failed,
    forms::{options, required, secret},
    fresh,
    parts::{Mark, Query, ROWS, ago, empty, now, pager},
    shell::{Head, Part, page},
    visitor::Visitor,
    way_in::{PublicUrl, see},
};
use crate::{App, rows::Pages};

pub(super) use person::session_table;

pub(super) fn pages() -> Pages {
    Pages::default()
        .shows("/people", read)
        .form("/people", create)
        .form("/service-accounts", create_account)
        .merge(person::pages())
}

/// What those who manage people go between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    People,
    Groups,
    Grants,
    Tokens,
}

/// The ways between the pages about people.
pub(super) fn tabs(here: Tab) -> Markup {
    let tabs = [
        (Tab::People, "/people", "People"),
        (Tab::Groups, "/groups", "Groups"),
        (Tab::Grants, "/grants", "Grants"),
        (Tab::Tokens, "/tokens", "Tokens"),
    ];
    html! {
        nav.tabs aria-label="People and rights" {
            @for (tab, path, name) in tabs {
                a href=(path) aria-current=[(tab == here).then_some("page")] { (name) }
            }
        }
    }
}

/// Where somebody has their page.
pub(super) fn path_of(name: &PersonName) -> String {
    format!("/people/{name}")
}

/// Whether somebody can come in, in shape, word and colour.
pub(super) fn mark(person: &Person) -> Mark {
    let is_account = matches!(person.who, Who::ServiceAccount(_));
    match (person.disabled_at, person.signed_in_at) {
        (Some(_), _) => Mark::new("stop", "failed", "disabled"),
        (None, None) if !is_account => Mark::new("wait", "waiting", "invited"),
        (None, _) => Mark::new("ok", "ok", "enabled"),
    }
}

async fn read(visitor: Visitor, query: Query) -> Result<Markup, Failed> {
    let (kind, state) = (query.text("kind"), query.text("state"));
    let contains = query.text("q").to_lowercase();
    let wanted = Wanted {
        contains: contains.clone(),
        is_account: match kind {
            "service_account" => Some(true),
            "person" => Some(false),
            _ => None,
        },
        disabled: match state {
            "disabled" => Some(true),
            "enabled" => Some(false),
            _ => None,
        },
    };
    let after: Option<PersonName> = query.read("after");
    let desk = &visitor.desk;
    let people = desk.people(&wanted, after.as_ref(), ROWS).await?;
    let pairs = [("q", contains.as_str()), ("kind", kind), ("state", state)];
    let is_plain = wanted == Wanted::default() && after.is_none();
    let again = fresh::field(&visitor).await?;
    let body = html! {
        div.top { h1 { "People" } }
        (tabs(Tab::People))
        (filters(&pairs, is_plain))
        @if people.items.is_empty() { (nothing()) } @else { (list(&people.items)) }
        (pager("/people", &pairs, after.as_ref().map(PersonName::as_str), people.next.as_deref()))
        div.two { (invite_form(&again)) (account_form(&again)) }
    };
    let head = Head {
        part: Part::People,
        title: &["People"],
        trail: &[],
        topic: None,
    };
    Ok(page(&visitor, &head, &body))
}

fn filters([(_, contains), (_, kind), (_, state)]: &[(&str, &str); 3], is_plain: bool) -> Markup {
    html! {
        form.filters method="get" action="/people" role="search" aria-label="Filter people" {
            label { "Name" input type="search" name="q" value=(contains) placeholder="part of a name"; }
            label { "Kind"
                select name="kind" { (options("all", [("person", "people"), ("service_account", "service accounts")], kind)) }
            }
            label { "State"
                select name="state" { (options("any", [("enabled", "enabled"), ("disabled", "disabled")], state)) }
            }
            button type="submit" { "Filter" }
            @if !is_plain { a.button href="/people" { "Show all" } }
        }
    }
}

fn nothing() -> Markup {
    let next = html! { p { a href="/people" { "Show everybody" } ", or invite somebody below." } };
    empty("Nobody matches", &next)
}

fn list(people: &[Person]) -> Markup {
    let now = now();
    html! {
        div.scroll tabindex="0" role="region" aria-label="People" {
            table.table {
                thead {
                    tr {
                        th scope="col" { "Name" }
                        th scope="col" { "State" }
                        th scope="col" { "Kind" }
                        th scope="col" { "Signs in by" }
                        th scope="col" { "Signed in" }
                        th scope="col" { "Added" }
                    }
                }
                tbody {
                    @for person in people {
                        tr {
                            th scope="row" { a href=(path_of(person.name())) { (person.name()) } }
                            td { (mark(person).plain()) }
                            td { (kind(person)) }
                            td { (way(person)) }
                            td { @match person.signed_in_at { Some(at) => { (ago(at, now)) }, None => { span.soft { "never" } } } }
                            td { (ago(person.created_at, now)) span.soft { " by " (person.created_by) } }
                        }
                    }
                }
            }
        }
    }
}

/// What somebody is.
pub(super) fn kind(person: &Person) -> Markup {
    html! {
        @match (&person.who, &person.team) {
            (Who::Person(_), _) => { "person" },
            (Who::ServiceAccount(_), Some(team)) => { "service account of " (team) },
            (Who::ServiceAccount(_), None) => { "service account" },
        }
    }
}

/// How somebody proves who they are.
fn way(person: &Person) -> Markup {
    html! {
        @match &person.who {
            Who::ServiceAccount(_) => { "tokens only" },
            Who::Person(_) if person.provider != "local" => { "the directory " (person.provider) },
            Who::Person(_) if person.has_password => { "password" },
            Who::Person(_) => { "invitation or link" },
        }
    }
}

fn invite_form(again: &Markup) -> Markup {
    html! {
        section.card aria-labelledby="invite-title" {
            h2 #invite-title { "Invite a person" }
            form.stack method="post" action="/people" {
                label { "Name"
                    input name="name" required maxlength="64" autocomplete="off" autocapitalize="none" spellcheck="false" aria-describedby="name-hint";
                }
                p.hint #name-hint { "Lower-case letters, digits, dots, hyphens. The audit log names them so for ever." }
                (again)
                div.flow { button.main-button type="submit" { "Invite" } }
                p.hint { "They may nothing until you grant them a role. The next page shows a link that signs them in once." }
            }
        }
    }
}

fn account_form(again: &Markup) -> Markup {
    html! {
        section.card aria-labelledby="account-title" {
            h2 #account-title { "Add a service account" }
            form.stack method="post" action="/service-accounts" {
                label { "Name"
                    input name="name" required maxlength="64" autocomplete="off" autocapitalize="none" spellcheck="false";
                }
                label { "Team"
                    input name="team" required maxlength="63" autocomplete="off" autocapitalize="none" spellcheck="false";
                }
                (again)
                div.flow { button type="submit" { "Add" } }
                p.hint { "A program of a team: it has tokens, cannot sign in, and cannot approve." }
            }
        }
    }
}

async fn create(State(app): State<App>, visitor: Visitor, form: Bytes) -> Result<Response, Failed> {
    let form = Query::of(&form);
    fresh::prove(&visitor, &form).await?;
    let invited = visitor.desk.create_person(required(&form, "name")?).await?;
    Ok(invitation(&visitor, app.portal.urls.first(), &invited))
}

async fn create_account(visitor: Visitor, form: Bytes) -> Result<Response, Failed> {
    let form = Query::of(&form);
    let (name, team) = (required(&form, "name")?, required(&form, "team")?);
    fresh::prove(&visitor, &form).await?;
    let account = visitor.desk.create_service_account(name, team).await?;
    Ok(see(&path_of(account.name())))
}

/// The one page that shows a code. Nothing keeps it, and opening it again makes another code.
fn invitation(visitor: &Visitor, url: &PublicUrl, invited: &Invited) -> Response {
    let name = invited.person.name();
    let code = invited.code.reveal();
    let path = path_of(name);
    let body = html! {
        div.top { h1 { "Invitation for " (name) } }
        section.card.stack {
            p { "Give this link to " (name) " by a way that only they read. It is shown now and never again, works once, and ends in 24 hours." }
            (secret("Link that signs them in", &format!("{url}/sign-in/link?code={code}")))
            (secret("Code, for pointsman login", code))
            p.flow {
                a.button.main-button href=(path) { "Grant " (name) " something" }
                a.button href="/people" { "People" }
            }
        }
    };
    let head = Head {
        part: Part::People,
        title: &["Invitation", name.as_str()],
        trail: &[("/people", "People"), (&path, name.as_str())],
        topic: None,
    };
    (StatusCode::CREATED, page(visitor, &head, &body)).into_response()
}
