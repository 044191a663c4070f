//! The audit log: who did what, when and why; what was refused; and whether the log is as it was written.

mod event;
mod export;

use axum::extract::Path;
use domain::time::UnixMs;
use maud::{Markup, html};
use operations::{
    audit::{AuditEvent, Filter, Verification},
    refusals::Refused,
};

use super::{
    failed::Failed,
    forms::{day, end_of_day},
    parts::{Mark, Query, ROWS, ago, empty, icon, moment, now, pager, query},
    shell::{Head, Part, page},
    visitor::Visitor,
};
use crate::rows::Pages;

/// Characters of a hash that tell it from others at a glance.
const SHORT: usize = 12;

pub(super) fn pages() -> Pages {
    Pages::default()
        .shows("/audit", read)
        .shows("/audit/events/{seq}", read_one)
        .shows("/audit/refused", refused)
}

/// Pages that read a whole log, and take the time that it takes.
pub(super) fn slow_pages() -> Pages {
    Pages::default()
        .shows("/audit/chain", chain)
        .merge(export::pages())
}

/// What the address of a page asks for.
fn wanted(asked: &Query) -> Result<Filter, Failed> {
    let text = |name| Some(asked.text(name).to_owned()).filter(|text: &String| !text.is_empty());
    Ok(Filter {
        actor: text("who"),
        action: text("action"),
        subject: text("subject"),
        from: day(asked, "from")?,
        until: end_of_day(asked, "until")?,
    })
}

/// What the address of a page asks for, as it stands there.
fn pairs(asked: &Query) -> [(&'static str, &str); 5] {
    ["who", "action", "subject", "from", "until"].map(|name| (name, asked.text(name)))
}

async fn read(visitor: Visitor, asked: Query) -> Result<Markup, Failed> {
    let filter = wanted(&asked)?;
    let before: Option<i64> = asked.read("after");
    let is_plain = filter == Filter::default() && before.is_none();
    let events = visitor.desk.audit_events(filter, before, ROWS).await?;
    let pairs = pairs(&asked);
    let after = before.map(|seq| seq.to_string());
    let body = html! {
        div.top {
            div {
                h1 { "Audit" }
                p.lead { "Who did what, newest first. The log only grows, and each event holds the hash of the one before." }
            }
            div.flow {
                a.button href="/audit/refused" { "Refused attempts" }
                a.button href="/audit/chain" { "Check the chain" }
                a.button href=(query("/audit/export.jsonl", &pairs)) { "Export as JSON Lines" }
            }
        }
        @if let Some(head) = events.items.first().filter(|_| is_plain) {
            p.soft.small { "Head: event " (head.seq) ", " code title=(head.hash) { (short(&head.hash)) } }
        }
        (filters(&asked, is_plain))
        @if events.items.is_empty() {
            (empty("No such event", &html! { p { a href="/audit" { "Show all events" } } }))
        } @else { (list(&events.items)) }
        (pager("/audit", &pairs, after.as_deref(), events.next.as_deref()))
    };
    let head = Head {
        part: Part::Audit,
        title: &["Audit"],
        trail: &[],
        topic: None,
    };
    Ok(page(&visitor, &head, &body))
}

fn filters(asked: &Query, is_plain: bool) -> Markup {
    let text = |name| asked.text(name);
    html! {
        form.filters method="get" action="/audit" role="search" aria-label="Filter events" {
            label { "Who" input name="who" value=(text("who")) placeholder="anybody" maxlength="512"; }
            label { "Action" input name="action" value=(text("action")) placeholder="any, such as grant.create" maxlength="512"; }
            label { "Subject" input name="subject" value=(text("subject")) placeholder="any, such as service/shop" maxlength="512"; }
            label { "From (UTC)" input name="from" type="date" value=(text("from")); }
            label { "Until (UTC)" input name="until" type="date" value=(text("until")); }
            button type="submit" { "Filter" }
            @if !is_plain { a.button href="/audit" { "Show all" } }
        }
    }
}

fn list(events: &[AuditEvent]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Events" {
            table.table.tight {
                thead {
                    tr {
                        th.num scope="col" { "Event" }
                        th scope="col" { "When" }
                        th scope="col" { "Who" }
                        th scope="col" { "Action" }
                        th.words scope="col" { "Subject, and what changed" }
                    }
                }
                tbody {
                    @for it in events {
                        tr {
                            th.num scope="row" { a href=(path_of(it.seq)) { (it.seq) } }
                            td { (moment(it.at)) }
                            td { a href=(query("/audit", &[("who", &it.actor)])) { (it.actor) } }
                            td { code { (it.action) } }
                            td.words { (event::subject(&it.subject)) div.small.soft { (event::summary(&it.detail)) } }
                        }
                    }
                }
            }
        }
    }
}

/// The stable address of an event.
fn path_of(seq: i64) -> String {
    format!("/audit/events/{seq}")
}

fn short(hash: &str) -> &str {
    hash.get(..SHORT).unwrap_or(hash)
}

async fn read_one(visitor: Visitor, Path(seq): Path<String>) -> Result<Markup, Failed> {
    // Whether there is such an event, is for those to know who may read it.
    let seq: i64 = seq.parse().unwrap_or_default();
    let (filter, before) = (Filter::default(), seq.saturating_add(1));
    let found = visitor.desk.audit_events(filter, Some(before), 1).await?;
    let found = found.items.into_iter().find(|event| event.seq == seq);
    let event = found.ok_or_else(Failed::no_page)?;
    let title = format!("Event {seq}");
    let head = Head {
        part: Part::Audit,
        title: &[&title, &event.action],
        trail: &[("/audit", "Audit")],
        topic: None,
    };
    Ok(page(&visitor, &head, &event::whole(&event)))
}

async fn refused(visitor: Visitor, asked: Query) -> Result<Markup, Failed> {
    let before: Option<i64> = asked.read("after");
    let desk = &visitor.desk;
    let attempts = desk.refused_attempts(before.map(UnixMs), ROWS).await?;
    let after = before.map(|at| at.to_string());
    let body = html! {
        div.top {
            div {
                h1 { "Refused attempts" }
                p.lead { "Counted by the hour, so that many are one row: wrong passwords, missing rights, unknown tokens." }
            }
        }
        @if attempts.items.is_empty() {
            (empty("Nothing was refused", &html! { p { a href="/audit" { "See what was done" } } }))
        } @else { (attempts_table(&attempts.items)) }
        (pager("/audit/refused", &[], after.as_deref(), attempts.next.as_deref()))
    };
    let head = Head {
        part: Part::Audit,
        title: &["Refused attempts", "Audit"],
        trail: &[("/audit", "Audit")],
        topic: None,
    };
    Ok(page(&visitor, &head, &body))
}

fn attempts_table(attempts: &[Refused]) -> Markup {
    let now = now();
    html! {
        div.scroll tabindex="0" role="region" aria-label="Refused attempts" {
            table.table {
                thead {
                    tr {
                        th scope="col" { "Attempt" }
                        th scope="col" { "By, as they said" }
                        th scope="col" { "Address" }
                        th.num scope="col" { "Times" }
                        th scope="col" { "First" }
                        th scope="col" { "Last" }
                    }
                }
                tbody {
                    @for it in attempts {
                        tr {
                            th scope="row" { code { (it.what) } }
                            td { @if it.who.is_empty() { span.soft { "nobody" } } @else { (it.who) } }
                            td.mono { (it.address) }
                            td.num { (it.times) }
                            td { (moment(it.first_at)) }
                            td { (ago(it.last_at, now)) }
                        }
                    }
                }
            }
        }
    }
}

async fn chain(visitor: Visitor) -> Result<Markup, Failed> {
    let found = visitor.desk.verify_audit(None).await?;
    let body = html! {
        div.top { h1 { "Chain of the audit log" } (state(&found).badge()) }
        section.card.stack {
            @match found.first_broken {
                None => { p { "All " (found.checked) " events are as they were written, and none is missing." } },
                Some(seq) => {
                    p.note.stop { "Event " (seq) " is not as it was written: " (found.why.as_deref().unwrap_or("it is missing")) ". The " (found.checked) " events before it are." }
                    p { a href=(path_of(seq)) { (icon("failed")) " See event " (seq) } }
                }
            }
            dl.facts { dt { "Head" } dd { code { (found.head) } } }
            p.hint { "Keep the head elsewhere. " code { "pointsman audit verify --since " (found.checked) ":" (short(&found.head)) "…" } " then shows that nothing before it was written again." }
            p { a.button href="/audit" { "Audit" } }
        }
    };
    let head = Head {
        part: Part::Audit,
        title: &["Chain", "Audit"],
        trail: &[("/audit", "Audit")],
        topic: None,
    };
    Ok(page(&visitor, &head, &body))
}

fn state(found: &Verification) -> Mark {
    match found.first_broken {
        None => Mark::new("ok", "ok", "unbroken"),
        Some(_) => Mark::new("stop", "failed", "broken"),
    }
}
