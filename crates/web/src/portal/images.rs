//! Machine images of the accounts, who runs on them, and moving server groups to another one.

use std::collections::BTreeMap;

use axum::{
    body::Bytes,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::{
    catalogue::{Kind, Service},
    governance::Wish,
    image::{PatchTo, Ranked},
    names::{EnvironmentName, Place, ServiceName, Version},
    release::ImageId,
};
use maud::{Markup, html};
use operations::{
    Desk, Error,
    deployments::usual_strategy,
    images::AccountImages,
    patches::{PatchGroup, PatchVerdict, PatchWish},
};

use super::{
    failed::Failed,
    parts::{Mark, Query, ago, empty, group_path, icon, length, now, objection_items, query},
    shell::{Head, Part, page},
    visitor::Visitor,
    way_in::see,
};
use crate::rows::Pages;

/// Server groups that one form begins to patch at most.
const AT_ONCE: usize = 20;
/// The newest images of a kind that are shown at once.
const IMAGES_MAX: usize = 200;

pub(super) fn pages() -> Pages {
    Pages::default()
        .shows("/images", list)
        .shows("/images/patch", plan)
        .form("/images/patch", begin)
}

fn head<'a>(title: &'a [&'a str], trail: &'a [(&'a str, &'a str)]) -> Head<'a> {
    Head {
        part: Part::Catalogue,
        title,
        trail,
        topic: None,
    }
}

async fn list(visitor: Visitor) -> Result<Markup, Failed> {
    let accounts = visitor.desk.images(None).await?;
    let body = html! {
        div.top { h1 { "Machine images" } a.button href=(query("/images/patch", &[("ami", "latest")])) { "Patch to the latest" } }
        @if accounts.is_empty() {
            (empty("No account has images", &html! {
                p { "Images belong to accounts on AWS. Describe one:" }
                p { a href="/catalogue/new?kind=accounts" { "New account" } }
            }))
        }
        @for account in &accounts { (of_account(account)) }
    };
    let head = head(&["Machine images"], &[("/catalogue", "Catalogue")]);
    Ok(page(&visitor, &head, &body))
}

fn of_account(account: &AccountImages) -> Markup {
    html! {
        section.stack aria-label={ "Images of " (account.account) } {
            div.head {
                h2 { (account.account) }
                span.small.soft { "listed " (ago(account.at, now())) @if account.truncated { ", not all of them" } }
            }
            @match &account.trouble {
                Some(trouble) => div.note.wait { p { b { "Its images are not known now: " } (trouble.sentence) } },
                None if account.images.is_empty() => p.soft { "It has no images." },
                None => (images(account)),
            }
        }
    }
}

fn images(account: &AccountImages) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label={ "Images of " (account.account) } {
            table.table {
                thead { tr {
                    th scope="col" { "Image" }
                    th scope="col" { "State" }
                    th scope="col" { "Age" }
                    th.num scope="col" { "Server groups" }
                    th scope="col" { "Patch" }
                } }
                tbody { @for image in account.images.iter().take(IMAGES_MAX) { (row(image, account.groups.get(&image.image.id))) } }
            }
        }
    }
}

fn row(ranked: &Ranked, groups: Option<&u32>) -> Markup {
    let image = &ranked.image;
    let mark = match (image.state.as_str(), ranked.is_latest_stable) {
        ("available", true) => Mark::new("ok", "ok", "latest stable"),
        ("available", false) => Mark::new("off", "ok", "available"),
        _ => Mark::new("wait", "waiting", "not available"),
    };
    html! {
        tr {
            th scope="row" { (image.name) div.small.soft.mono { (image.id) } }
            td {
                (mark.plain())
                @if image.state != "available" { div.small.soft { (image.state) } }
                @if ranked.is_stable { div.small.soft { "stable" } }
            }
            td { (ago(image.created_at, now())) @if ranked.days_behind > 0 { div.small.behind { (ranked.days_behind) " days behind" } } }
            td.num { (groups.copied().unwrap_or_default()) }
            td { a href=(query("/images/patch", &[("ami", image.id.as_str())])) aria-label={ "Patch to " (image.name) } { "plan" } }
        }
    }
}

/// What the address asks for.
fn wanted(asked: &Query) -> Result<Option<PatchWish>, Failed> {
    let to = match asked.text("ami") {
        "" => return Ok(None),
        "latest" => PatchTo::Latest,
        id => {
            let image = id.parse::<ImageId>();
            PatchTo::Image(image.map_err(|why| Failed::bad_field("Image", &why.to_string()))?)
        }
    };
    Ok(Some(PatchWish {
        to,
        environment: asked.read::<EnvironmentName>("environment"),
        service: asked.read::<ServiceName>("service"),
    }))
}

async fn plan(visitor: Visitor, asked: Query) -> Result<Markup, Failed> {
    let groups = match wanted(&asked)? {
        Some(wish) => Some(visitor.desk.plan_patch(&wish).await?),
        None => None,
    };
    let body = html! {
        div.top { div {
            h1 { "Patch server groups" }
            p.lead { "To another machine image, with the release that they run." }
        } }
        (filters(&asked))
        @match &groups {
            None => p.soft { "Say which image; the plan comes before anything begins." },
            Some(groups) if groups.is_empty() => (empty("No server group is in scope", &html! {
                p { a href="/images/patch?ami=latest" { "Look at all that you may patch" } }
            })),
            Some(groups) => (planned(groups)),
        }
    };
    let trail = [("/catalogue", "Catalogue"), ("/images", "Machine images")];
    let head = head(&["Patch server groups"], &trail);
    Ok(page(&visitor, &head, &body))
}

fn filters(asked: &Query) -> Markup {
    html! {
        form.filters method="get" action="/images/patch" aria-label="Which server groups, and which image" {
            label { "Image" input name="ami" value=(asked.text("ami")) placeholder="latest, or ami-…" required autocapitalize="off"; }
            label { "Environment" input name="environment" value=(asked.text("environment")) placeholder="all"; }
            label { "Service" input name="service" value=(asked.text("service")) placeholder="all"; }
            button type="submit" { "Show the plan" }
        }
    }
}

/// Every group in scope; those that would be patched can be chosen.
fn planned(groups: &[PatchGroup]) -> Markup {
    let eligible = groups
        .iter()
        .filter(|group| matches!(group.verdict, PatchVerdict::Eligible(_)))
        .count();
    html! {
        form.stack method="post" action="/images/patch" {
            div.scroll tabindex="0" role="region" aria-label="Server groups in scope" {
                table.table {
                    thead { tr {
                        th scope="col" { "Server group" }
                        th scope="col" { "Runs on" }
                        th scope="col" { "Would run on" }
                        th scope="col" { "How" }
                    } }
                    tbody { @for group in groups { (group_row(group)) } }
                }
            }
            section.card.stack {
                label { "Reason, for the audit log" input name="reason" maxlength="1000" autocomplete="off" placeholder="ticket, or a few words"; }
                div { button.main-button type="submit" disabled[eligible == 0] aria-describedby="patch-hint" { "Patch the chosen groups" } }
                p.small.soft #patch-hint {
                    @if eligible == 0 { "Nothing can be patched: each row says why." }
                    @else { "Begins a deployment for each chosen group, at most " (AT_ONCE) " at once. Their releases stay the same." }
                }
            }
        }
    }
}

fn group_row(group: &PatchGroup) -> Markup {
    let place = &group.place;
    html! {
        tr {
            th scope="row" {
                @match (&group.verdict, &group.version) {
                    (PatchVerdict::Eligible(eligible), Some(version)) => {
                        label.check {
                            input type="checkbox" name="group" value={ (place.service) "/" (place.environment) "/" (version) "/" (eligible.to) };
                            (place.service) " in " (place.environment)
                        }
                    }
                    _ => a href=(group_path(place)) { (place.service) " in " (place.environment) },
                }
            }
            td {
                @if let Some(from) = &group.from { span.mono.small { (from) } }
                @if let Some(name) = &group.from_name { div.small { (name) } }
                @if let Some(days) = group.days_behind.filter(|days| *days > 0) { div.small.behind { (days) " days behind" } }
            }
            @match &group.verdict {
                PatchVerdict::Eligible(eligible) => {
                    td { span.mono.small { (eligible.to) } div.small { (eligible.to_name) } @if let Some(warning) = &eligible.warning { div.small { span.wait { (icon("waiting")) } " " (warning) } } }
                    td { (eligible.strategy.kind()) div.small.soft { "about " (length(eligible.preview.expected_ms)) ", at most " (eligible.preview.peak_instances) " instances" } }
                }
                PatchVerdict::Ignored(reasons) => td colspan="2" {
                    (Mark::new("off", "retire", "stays as it is").plain())
                    @for reason in reasons { div.small.soft { (reason) } }
                },
            }
        }
    }
}

/// A group that was chosen, as the form has it.
fn chosen(text: &str) -> Option<(Place, Version, ImageId)> {
    let mut parts = text.split('/');
    let place = Place {
        service: parts.next()?.parse().ok()?,
        environment: parts.next()?.parse().ok()?,
    };
    Some((
        place,
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
    ))
}

/// Begins to patch the groups that were chosen.
async fn begin(visitor: Visitor, form: Bytes) -> Result<Response, Failed> {
    let form = Query::of(&form);
    let groups: Vec<_> = form.all("group").filter_map(chosen).collect();
    if groups.is_empty() || groups.len() > AT_ONCE {
        let message = format!("choose between 1 and {AT_ONCE} server groups");
        return Err(Failed::bad_field("Server groups", &message));
    }
    let reason = Some(form.text("reason")).filter(|reason| !reason.is_empty());
    let mut refused = BTreeMap::new();
    for (place, version, image) in groups {
        if let Err(error) = patch(&visitor.desk, place.clone(), version, image, reason).await {
            refused.insert(place, error);
        }
    }
    if refused.is_empty() {
        return Ok(see("/deployments?state=running"));
    }
    let body = html! {
        div.top { h1 { "Not all of them are patched" } }
        @for (place, error) in &refused {
            section.card.stack {
                h2 { (place.service) " in " (place.environment) }
                @match error {
                    Error::Refused(objections) => (objection_items(objections)),
                    error => p { (error) "." },
                }
            }
        }
        p { a href="/deployments?state=running" { "Deployments that run" } }
    };
    let head = head(&["Patch server groups"], &[("/images", "Machine images")]);
    let page = page(&visitor, &head, &body);
    Ok((StatusCode::CONFLICT, page).into_response())
}

async fn patch(
    desk: &Desk,
    place: Place,
    version: Version,
    image: ImageId,
    reason: Option<&str>,
) -> Result<(), Error> {
    let entry = desk.entry(Kind::Service, place.service.as_str()).await?;
    let service = serde_json::from_value::<Service>(entry.body);
    let service = service.map_err(|_| Error::Internal {
        doing: "reading a service of the catalogue",
    })?;
    let wish = Wish {
        place,
        version,
        strategy: usual_strategy(&service),
        force: false,
        image: Some(image),
    };
    desk.request(wish, reason, None).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_group_is_read_whole_or_not_at_all() {
        assert!(chosen("shop/live/1.0.0/ami-12345678").is_some());
        for text in [
            "",
            "shop/live/1.0.0",
            "shop/live/1.0.0/disk",
            "S/live/1/ami-12345678",
        ] {
            assert!(chosen(text).is_none(), "{text}");
        }
    }
}
