//! Groups of people, and one of them: its members, and what is granted to it.

use std::collections::BTreeMap;

use axum::{body::Bytes, response::Response};
use domain::access::{Grant, GrantId, GroupName, PersonName, Subject};
use maud::{Markup, html};
use operations::{
    grants::{Granted, Wanted},
    groups::Group,
};

use super::{
    failed::Failed,
    forms::{Named, required},
    fresh, grants,
    parts::{Query, ROWS, ago, empty, now, pager},
    people::{Tab, path_of, tabs},
    shell::{Head, Part, page},
    visitor::Visitor,
    way_in::see,
};
use crate::rows::Pages;

pub(super) fn pages() -> Pages {
    Pages::default()
        .shows("/groups", read)
        .form("/groups", create)
        .shows("/groups/{name}", read_one)
        .form("/groups/{name}/add", add)
        .form("/groups/{name}/remove", remove)
        .form("/groups/{name}/delete", delete)
}

fn path(name: &GroupName) -> String {
    format!("/groups/{name}")
}

async fn read(visitor: Visitor, query: Query) -> Result<Markup, Failed> {
    let after: Option<GroupName> = query.read("after");
    let groups = visitor.desk.groups(after.as_ref(), ROWS).await?;
    let names: Vec<GroupName> = groups
        .items
        .iter()
        .map(|group| group.name.clone())
        .collect();
    let counts = visitor.desk.member_counts(&names).await?;
    let body = html! {
        div.top { h1 { "Groups" } }
        (tabs(Tab::Groups))
        @if groups.items.is_empty() {
            (empty("No group yet", &html! { p { "A group gets a role once, and everybody in it has it. Make one below." } }))
        } @else { (list(&groups.items, &counts)) }
        (pager("/groups", &[], after.as_ref().map(GroupName::as_str), groups.next.as_deref()))
        div.two { (create_form()) }
    };
    let head = Head {
        part: Part::People,
        title: &["Groups", "People"],
        trail: &[("/people", "People")],
        topic: None,
    };
    Ok(page(&visitor, &head, &body))
}

fn list(groups: &[Group], counts: &BTreeMap<GroupName, i64>) -> Markup {
    let now = now();
    html! {
        div.scroll tabindex="0" role="region" aria-label="Groups" {
            table.table {
                thead {
                    tr {
                        th scope="col" { "Group" }
                        th.num scope="col" { "Members" }
                        th scope="col" { "Members from" }
                        th scope="col" { "Made" }
                    }
                }
                tbody {
                    @for group in groups {
                        tr {
                            th scope="row" { a href=(path(&group.name)) { (group.name) } }
                            td.num { (counts.get(&group.name).copied().unwrap_or_default()) }
                            td { @match group.provider.as_str() { "local" => { "here" }, provider => { "the directory " (provider) } } }
                            td { (ago(group.created_at, now)) span.soft { " by " (group.created_by) } }
                        }
                    }
                }
            }
        }
    }
}

fn create_form() -> Markup {
    html! {
        section.card aria-labelledby="make-title" {
            h2 #make-title { "Make a group" }
            form.stack method="post" action="/groups" {
                label { "Name" input name="name" required maxlength="64" autocomplete="off" autocapitalize="none" spellcheck="false"; }
                div.flow { button type="submit" { "Make" } }
            }
        }
    }
}

async fn create(visitor: Visitor, form: Bytes) -> Result<Response, Failed> {
    let group = visitor
        .desk
        .create_group(required(&Query::of(&form), "name")?, None);
    Ok(see(&path(&group.await?.name)))
}

async fn read_one(
    visitor: Visitor,
    Named(name): Named<GroupName>,
    query: Query,
) -> Result<Markup, Failed> {
    let members = visitor.desk.members(&name).await?;
    let wanted = Wanted {
        subject: Some(Subject::Group(name.clone())),
        ..Wanted::default()
    };
    let after: Option<String> = query.read("after").filter(|id: &String| !id.is_empty());
    let after = after.map(GrantId);
    let granted = visitor.desk.grants(&wanted, after.as_ref(), ROWS).await?;
    let again = fresh::field(&visitor).await?;
    let body = html! {
        div.top { h1 { (name) } }
        (people(&name, &members, &again))
        (given(&name, &granted.items, &again))
        (pager(&path(&name), &[], after.as_ref().map(|id| id.0.as_str()), granted.next.as_deref()))
        (delete_form(&name, !granted.items.is_empty()))
    };
    let head = Head {
        part: Part::People,
        title: &[name.as_str(), "Groups"],
        trail: &[("/people", "People"), ("/groups", "Groups")],
        topic: None,
    };
    Ok(page(&visitor, &head, &body))
}

fn people(name: &GroupName, members: &[PersonName], again: &Markup) -> Markup {
    html! {
        section.card.stack aria-labelledby="members-title" {
            div.head { h2 #members-title { "Members" } span.soft.small { (members.len()) } }
            @if members.is_empty() { p.soft { "Nobody yet." } }
            ul.people {
                @for person in members {
                    li {
                        a href=(path_of(person)) { (person) }
                        form method="post" action={ (path(name)) "/remove" } {
                            input type="hidden" name="person" value=(person);
                            button.link-button type="submit" { "Remove" span.hide { " " (person) } }
                        }
                    }
                }
            }
            form.filters method="post" action={ (path(name)) "/add" } {
                label { "Person" input name="person" required maxlength="64" autocomplete="off" autocapitalize="none" spellcheck="false"; }
                (again)
                button type="submit" { "Add" }
            }
        }
    }
}

fn given(name: &GroupName, granted: &[Granted], again: &Markup) -> Markup {
    let roles: Vec<Grant> = granted.iter().map(|it| it.grant.clone()).collect();
    let back = path(name);
    html! {
        section.card.stack aria-labelledby="grants-title" {
            h2 #grants-title { "What its members may do" }
            @if granted.is_empty() { p.soft { "Nothing by this group: no role is granted to it." } }
            @else { (grants::table(&roles, now(), Some(&back))) }
            (grants::give_form(Some(&Subject::Group(name.clone())), &back, again))
        }
    }
}

fn delete_form(name: &GroupName, in_use: bool) -> Markup {
    html! {
        section.card aria-labelledby="delete-title" {
            h2 #delete-title { "Delete the group" }
            form.act method="post" action={ (path(name)) "/delete" } {
                div.press { button.danger type="submit" disabled[in_use] aria-describedby="why-delete" { "Delete" } }
                p.small.soft #why-delete {
                    "Its members stay people."
                    @if in_use { " " b { "Something is granted to it: remove those grants first." } }
                }
            }
        }
    }
}

async fn add(
    visitor: Visitor,
    Named(name): Named<GroupName>,
    form: Bytes,
) -> Result<Response, Failed> {
    let form = Query::of(&form);
    let person = required(&form, "person")?;
    fresh::prove(&visitor, &form).await?;
    visitor.desk.add_member(&name, &person).await?;
    Ok(see(&path(&name)))
}

async fn remove(
    visitor: Visitor,
    Named(name): Named<GroupName>,
    form: Bytes,
) -> Result<Response, Failed> {
    let person = required(&Query::of(&form), "person")?;
    visitor.desk.remove_member(&name, &person).await?;
    Ok(see(&path(&name)))
}

async fn delete(visitor: Visitor, Named(name): Named<GroupName>) -> Result<Response, Failed> {
    visitor.desk.delete_group(&name).await?;
    Ok(see("/groups"))
}
