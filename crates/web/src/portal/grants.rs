//! Grants: who has which role where, who may do something, and why somebody may not.

use axum::{body::Bytes, extract::Path, response::Response};
use domain::{
    access::{Grant, GrantId, GroupName, PersonName, Right, Role, Scope, Subject},
    names::{EnvironmentTypeName, TeamName},
    time::UnixMs,
};
use maud::{Markup, html};
use operations::grants::{Granted, Wanted, place};
use std::collections::BTreeMap;

use super::{
    failed::Failed,
    forms::{chosen, end_of_day, optional, options, required, right},
    fresh,
    parts::{Query, ROWS, ago, empty, icon, moment, now, pager, query},
    people::{Tab, path_of, tabs},
    shell::{Head, Part, page},
    visitor::Visitor,
    way_in::{path_here, see},
};
use crate::rows::Pages;

pub(super) fn pages() -> Pages {
    Pages::default()
        .shows("/grants", read)
        .form("/grants", give)
        .form("/grants/{id}/remove", remove)
        .shows("/may", ask)
}

/// The words of a choice of rights.
fn rights() -> impl Iterator<Item = (&'static str, &'static str)> {
    Right::ALL
        .into_iter()
        .map(|right| (right.as_str(), right.as_str()))
}

async fn read(visitor: Visitor, asked: Query) -> Result<Markup, Failed> {
    let wanted = Wanted {
        subject: subject(asked.text("kind"), asked.text("name")).ok(),
        gives: right(&asked),
        team: asked.read::<TeamName>("team"),
        environment_type: asked.read::<EnvironmentTypeName>("type"),
    };
    let after = asked.read::<String>("after").filter(|id| !id.is_empty());
    let after = after.map(GrantId);
    let desk = &visitor.desk;
    let grants = desk.grants(&wanted, after.as_ref(), ROWS).await?;
    // Who may, is asked for by name: the members of groups too.
    let groups: Vec<GroupName> = match wanted.gives {
        Some(_) => groups(&grants.items),
        None => Vec::new(),
    };
    let members = desk.members_of_all(&groups).await?;
    let pairs = ["kind", "name", "right", "team", "type"].map(|name| (name, asked.text(name)));
    let is_plain = wanted == Wanted::default() && after.is_none();
    let after = after.as_ref().map(|id| id.0.as_str());
    let again = fresh::field(&visitor).await?;
    let body = html! {
        div.top { h1 { "Grants" } }
        (tabs(Tab::Grants))
        (filters(&asked, is_plain))
        @if let Some(right) = wanted.gives { (who_may(right, &wanted, grants.items.len())) }
        @if grants.items.is_empty() { (nothing(is_plain)) } @else { (granted(&grants.items, &members)) }
        (pager("/grants", &pairs, after, grants.next.as_deref()))
        div.two {
            section.card aria-labelledby="give-title" { h2 #give-title { "Grant a role" } (give_form(None, "/grants", &again)) }
            section.card aria-labelledby="ask-title" { h2 #ask-title { "What may somebody do?" } (ask_form("", "", "")) }
        }
    };
    let head = Head {
        part: Part::People,
        title: &["Grants", "People"],
        trail: &[("/people", "People")],
        topic: None,
    };
    Ok(page(&visitor, &head, &body))
}

fn groups(grants: &[Granted]) -> Vec<GroupName> {
    let subjects = grants.iter().map(|granted| &granted.grant.subject);
    let groups = subjects.filter_map(|subject| match subject {
        Subject::Group(name) => Some(name.clone()),
        _ => None,
    });
    groups.collect()
}

fn filters(asked: &Query, is_plain: bool) -> Markup {
    let kinds = [
        ("person", "person"),
        ("group", "group"),
        ("service_account", "service account"),
        ("everyone", "everyone"),
    ];
    html! {
        form.filters method="get" action="/grants" role="search" aria-label="Filter grants" {
            label { "Who may" select name="right" { (options("any right", rights(), asked.text("right"))) } }
            label { "Environment type" input name="type" value=(asked.text("type")) placeholder="any"; }
            label { "Team" input name="team" value=(asked.text("team")) placeholder="any"; }
            label { "Granted to" select name="kind" { (options("anybody", kinds, asked.text("kind"))) } }
            label { "Name" input name="name" value=(asked.text("name")) placeholder="any"; }
            button type="submit" { "Filter" }
            @if !is_plain { a.button href="/grants" { "Show all" } }
        }
    }
}

/// What the list below answers.
fn who_may(right: Right, wanted: &Wanted, found: usize) -> Markup {
    let scope = Scope {
        team: wanted.team.clone(),
        environment_type: wanted.environment_type.clone(),
    };
    html! {
        p.note {
            @if found == 0 { "Nobody may use " } @else { "These may use " }
            code { (right) } " " (place(&scope)) ", by the grant in the same row. "
            @if right == Right::Approve { "Service accounts never approve, whatever is granted to them." }
        }
    }
}

fn nothing(is_plain: bool) -> Markup {
    let next = html! {
        p {
            @if !is_plain { a href="/grants" { "Show all grants" } ", or grant a role below." }
            @else { "Grant somebody a role below." }
        }
    };
    empty("No such grant", &next)
}

fn granted(grants: &[Granted], members: &BTreeMap<GroupName, Vec<PersonName>>) -> Markup {
    let now = now();
    html! {
        div.scroll tabindex="0" role="region" aria-label="Grants" {
            table.table {
                thead {
                    tr {
                        th scope="col" { "Who" }
                        (headings())
                        th scope="col" { "Granted" }
                        th scope="col" { span.hide { "Remove it" } }
                    }
                }
                tbody {
                    @for Granted { grant, created_at, created_by } in grants {
                        tr {
                            th scope="row" { (who(&grant.subject)) (named(&grant.subject, members)) }
                            (cells(grant, now))
                            td { (ago(*created_at, now)) span.soft { " by " (created_by) } }
                            td { (remove_form(grant, "/grants")) }
                        }
                    }
                }
            }
        }
    }
}

/// The people of a group, where they were asked for.
fn named(subject: &Subject, members: &BTreeMap<GroupName, Vec<PersonName>>) -> Markup {
    let Subject::Group(group) = subject else {
        return html! {};
    };
    html! {
        @if let Some(people) = members.get(group) {
            span.small.soft {
                @for (number, name) in people.iter().enumerate() {
                    @if number == 0 { ": " } @else { ", " }
                    a href=(path_of(name)) { (name) }
                }
            }
        }
    }
}

fn headings() -> Markup {
    html! {
        th scope="col" { "Role" }
        th scope="col" { "Where" }
        th scope="col" { "Until" }
    }
}

fn cells(grant: &Grant, now: UnixMs) -> Markup {
    html! {
        td {
            b { (grant.role) }
            div.small.soft { (words(grant.role)) }
        }
        td { (place(&grant.scope)) }
        td {
            @match grant.until {
                None => { span.soft { "no end" } },
                Some(until) if until <= now => { span.state.off { (icon("failed")) "ended" } " " (moment(until)) },
                Some(until) => { (moment(until)) },
            }
        }
    }
}

/// The rights of a role, as people read them.
fn words(role: Role) -> String {
    let words: Vec<&str> = role.rights().iter().map(|right| right.as_str()).collect();
    words.join(", ")
}

/// Grants that concern somebody: what each gives, where, and to whom it was given. Those that can be taken
/// away lead back to `back`.
pub(super) fn table(grants: &[Grant], now: UnixMs, back: Option<&str>) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Grants" {
            table.table {
                thead {
                    tr {
                        (headings())
                        th scope="col" { "Granted to" }
                        @if back.is_some() { th scope="col" { span.hide { "Remove it" } } }
                    }
                }
                tbody {
                    @for grant in grants {
                        tr {
                            (cells(grant, now))
                            td { (who(&grant.subject)) }
                            @if let Some(back) = back { td { (remove_form(grant, back)) } }
                        }
                    }
                }
            }
        }
    }
}

/// Who has a grant, with the way there.
pub(super) fn who(subject: &Subject) -> Markup {
    html! {
        @match subject {
            Subject::SignedIn => { "everyone who is signed in" },
            Subject::Person(name) => { a href=(path_of(name)) { (name) } },
            Subject::ServiceAccount(name) => { a href=(path_of(name)) { (name) } span.small.soft { " service account" } },
            Subject::Group(name) => { "group " a href={ "/groups/" (name) } { (name) } },
        }
    }
}

/// Takes a grant away, and comes back to `next`.
pub(super) fn remove_form(grant: &Grant, next: &str) -> Markup {
    html! {
        form method="post" action={ "/grants/" (grant.id.0) "/remove" } {
            input type="hidden" name="next" value=(next);
            button.link-button type="submit" { "Remove" span.hide { " " (grant.role) " " (place(&grant.scope)) } }
        }
    }
}

/// Grants a role: to `to`, or to who is named. It leads back to `back`.
pub(super) fn give_form(to: Option<&Subject>, back: &str, again: &Markup) -> Markup {
    let to = to.map(|subject| match subject {
        Subject::Person(name) => ("person", name.as_str()),
        Subject::ServiceAccount(name) => ("service_account", name.as_str()),
        Subject::Group(name) => ("group", name.as_str()),
        Subject::SignedIn => ("everyone", ""),
    });
    let roles = Role::ALL.map(|role| (role.as_str(), format!("{role}: {}", words(role))));
    let roles = roles.iter().map(|(value, text)| (*value, text.as_str()));
    html! {
        form.stack method="post" action="/grants" {
            input type="hidden" name="next" value=(back);
            @if let Some((kind, name)) = to {
                input type="hidden" name="kind" value=(kind);
                input type="hidden" name="name" value=(name);
            } @else { (subject_fields()) }
            label { "Role" select name="role" required { (options("", roles, "viewer")) } }
            div.filters {
                label { "Team" input name="team" placeholder="any" maxlength="63" autocomplete="off"; }
                label { "Environment type" input name="type" placeholder="any" maxlength="63" autocomplete="off"; }
                label { "Last day (UTC)" input name="until" type="date"; }
            }
            (again)
            div.flow { button.main-button type="submit" { "Grant" } }
        }
    }
}

fn subject_fields() -> Markup {
    let kinds = [
        ("person", "a person"),
        ("group", "a group"),
        ("service_account", "a service account"),
        ("everyone", "everyone who is signed in"),
    ];
    html! {
        div.filters {
            label { "To" select name="kind" { (options("", kinds, "person")) } }
            label { "Name" input name="name" maxlength="64" autocomplete="off" autocapitalize="none" spellcheck="false" placeholder="none for everyone"; }
        }
    }
}

/// Who is meant.
fn subject(kind: &str, name: &str) -> Result<Subject, Failed> {
    let bad = |error: &dyn std::fmt::Display| Failed::bad_field("name", &error.to_string());
    match kind {
        "everyone" => Ok(Subject::SignedIn),
        "person" => name
            .parse()
            .map(Subject::Person)
            .map_err(|error| bad(&error)),
        "group" => name
            .parse()
            .map(Subject::Group)
            .map_err(|error| bad(&error)),
        "service_account" => {
            let name = name.parse().map_err(|error| bad(&error))?;
            Ok(Subject::ServiceAccount(name))
        }
        _ => Err(Failed::bad_field("to", "choose who gets the role")),
    }
}

async fn give(visitor: Visitor, form: Bytes) -> Result<Response, Failed> {
    let form = Query::of(&form);
    let subject = subject(form.text("kind"), form.text("name"))?;
    let role = chosen(&Role::ALL, Role::as_str, form.text("role"))
        .ok_or_else(|| Failed::bad_field("role", "choose one"))?;
    let scope = Scope {
        team: optional(&form, "team")?,
        environment_type: optional(&form, "type")?,
    };
    let until = end_of_day(&form, "until")?;
    fresh::prove(&visitor, &form).await?;
    visitor.desk.grant(subject, role, scope, until).await?;
    Ok(see(back(&form)))
}

async fn remove(visitor: Visitor, Path(id): Path<String>, form: Bytes) -> Result<Response, Failed> {
    visitor.desk.revoke(&GrantId(id)).await?;
    Ok(see(back(&Query::of(&form))))
}

/// Where a form came from.
fn back(form: &Query) -> &str {
    match path_here(form.text("next")) {
        "/" => "/grants",
        path => path,
    }
}

/// Where one asks about somebody.
pub(super) fn question_path(name: &PersonName) -> String {
    query("/may", &[("person", name.as_str())])
}

/// Whether somebody may do something somewhere, and by which grant.
async fn ask(visitor: Visitor, asked: Query) -> Result<Markup, Failed> {
    let (person, place) = (asked.text("person"), asked.text("place"));
    let right = right(&asked);
    let answer = match right {
        Some(right) => {
            let name = match person {
                "" => visitor.desk.principal().person().clone(),
                _ => required(&asked, "person")?,
            };
            Some((
                name.clone(),
                visitor.desk.may_they(&name, right, place).await?,
            ))
        }
        None => None,
    };
    let person = match person {
        "" => visitor.name(),
        person => person,
    };
    let body = html! {
        div.top { h1 { "What may somebody do?" } }
        section.card { (ask_form(person, right.map_or("", Right::as_str), place)) }
        @if let Some((name, answer)) = &answer {
            div.note.(if answer.grant.is_some() { "ok" } else { "stop" }) role="status" {
                @if answer.grant.is_some() { p.state.ok { (icon("ok")) "yes" } } @else { p.state.stop { (icon("failed")) "no" } }
                p { b { (name) } ": " (answer.sentence) }
            }
        }
    };
    let head = Head {
        part: Part::People,
        title: &["What may somebody do?", "People"],
        trail: &[],
        topic: None,
    };
    Ok(page(&visitor, &head, &body))
}

fn ask_form(person: &str, right: &str, place: &str) -> Markup {
    html! {
        form.stack method="get" action="/may" {
            div.filters {
                label { "Who" input name="person" value=(person) maxlength="64" placeholder="yourself" autocomplete="off" autocapitalize="none"; }
                label { "Right" select name="right" { (options("", rights(), if right.is_empty() { "deploy" } else { right })) } }
                label { "Place" input name="place" value=(place) maxlength="200" placeholder="shop.production" autocomplete="off" aria-describedby="place-hint"; }
            }
            p.hint #place-hint { "SERVICE.ENVIRONMENT, service/NAME, environment/NAME, team/NAME; nothing for the whole installation." }
            div.flow { button type="submit" { "Ask" } }
        }
    }
}
