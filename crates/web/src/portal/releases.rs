//! The releases of a service, and one of them: what it holds, who made it, where it is live, and taking it
//! out of use.

use axum::{body::Bytes, extract::Path, response::Response};
use domain::{
    access::{Resource, Right},
    names::{EnvironmentName, ServiceName, Version},
    release::{Content, Release},
    time::UnixMs,
};
use maud::{Markup, html};
use operations::overview::Row;

use super::{
    failed::Failed,
    parts::{Mark, Query, ROWS, ago, empty, moment, now, pager, query},
    shell::{Head, Part, page},
    visitor::Visitor,
    way_in::see,
};
use crate::rows::Pages;

pub(super) fn pages() -> Pages {
    Pages::default()
        .shows("/services/{service}/releases", list)
        .shows("/services/{service}/releases/{version}", read)
        .form("/services/{service}/releases/{version}/withdraw", withdraw)
}

/// Where a release has its page.
pub(super) fn path(service: &ServiceName, version: &Version) -> String {
    let version: String = form_urlencoded::byte_serialize(version.as_str().as_bytes()).collect();
    format!("/services/{service}/releases/{version}")
}

/// Where a version is live.
fn live<'a>(row: &'a Row, version: &Version) -> Vec<&'a EnvironmentName> {
    let live = row.cells.iter().filter(|(_, cell)| {
        let live = cell.live.as_ref();
        live.is_some_and(|live| live.launch.version == *version)
    });
    live.map(|(name, _)| name).collect()
}

/// A release as a row of a list.
pub(super) fn item(release: &Release, row: &Row, now: UnixMs) -> Markup {
    let (service, version) = (&release.service, &release.version);
    let live = live(row, version);
    html! {
        li {
            span {
                a.version href=(path(service, version)) { (version) }
                @if release.withdrawn.is_some() { " " (Mark::new("stop", "failed", "withdrawn").plain()) }
                @for environment in live { " " span.small { (Mark::new("ok", "ok", "live").plain()) " in " (environment) } }
            }
            span.small.soft {
                (ago(release.created_at, now)) " by " (release.created_by)
                @if release.withdrawn.is_none() {
                    " · " a href=(query("/deploy", &[("service", service.as_str()), ("version", version.as_str())])) aria-label={ "Deploy " (version) } { "deploy" }
                }
            }
        }
    }
}

async fn list(
    visitor: Visitor,
    Path(service): Path<ServiceName>,
    asked: Query,
) -> Result<Markup, Failed> {
    let desk = &visitor.desk;
    let after = asked.read::<Version>("after");
    let releases = desk.releases(&service, after.as_ref(), ROWS).await?;
    let row = desk.row_of(&desk.columns().await?, &service).await?;
    let now = now();
    let here = format!("/services/{service}");
    let path = format!("{here}/releases");
    let body = html! {
        div.top { h1 { "Releases of " (service) } }
        @if releases.items.is_empty() {
            (empty("No release here", &html! {
                p { "A release is a version of a service with its package or machine image. Create one:" }
                pre { "pointsman release create " (service) " 1.0.0 --artifact DIR" }
            }))
        } @else {
            section.card aria-label="Releases, newest first" {
                ul.rows { @for release in &releases.items { (item(release, &row, now)) } }
            }
        }
        (pager(&path, &[], after.as_ref().map(Version::as_str), releases.next.as_deref()))
    };
    let head = Head {
        part: Part::Overview,
        title: &["Releases", service.as_str()],
        trail: &[("/", "Overview"), (&here, service.as_str())],
        topic: None,
    };
    Ok(page(&visitor, &head, &body))
}

async fn read(
    visitor: Visitor,
    Path((service, version)): Path<(ServiceName, Version)>,
) -> Result<Markup, Failed> {
    let desk = &visitor.desk;
    let release = desk.release(&service, &version).await?;
    let row = desk.row_of(&desk.columns().await?, &service).await?;
    let may = desk
        .can(Right::Release, Resource::Service(&service))
        .await?;
    let live = live(&row, &version);
    let here = format!("/services/{service}");
    let all = format!("{here}/releases");
    let deploy = [("service", service.as_str()), ("version", version.as_str())];
    let body = html! {
        div.top {
            h1 { (service) " " span.mono { (version) } }
            @match release.withdrawn {
                Some(_) => (Mark::new("stop", "failed", "withdrawn").badge()),
                None => a.button.main-button href=(query("/deploy", &deploy)) { "Deploy" },
            }
        }
        @if let Some(withdrawal) = &release.withdrawn {
            div.note.stop {
                p { b { "Withdrawn by " (withdrawal.by) ": " } (withdrawal.reason) }
                p.soft { (moment(withdrawal.at)) ". Where it is live it stays live; it is not deployed any more." }
            }
        }
        (facts(&release, &live))
        @if release.withdrawn.is_none() { (withdrawing(&release, &live, may)) }
    };
    let head = Head {
        part: Part::Overview,
        title: &[version.as_str(), service.as_str()],
        trail: &[
            ("/", "Overview"),
            (&here, service.as_str()),
            (&all, "Releases"),
        ],
        topic: None,
    };
    Ok(page(&visitor, &head, &body))
}

fn facts(release: &Release, live: &[&EnvironmentName]) -> Markup {
    html! {
        section.card aria-labelledby="facts-title" {
            h2 #facts-title { "What it is" }
            dl.facts {
                @match &release.content {
                    Content::Package { digest, .. } => {
                        dt { "Package" } dd.mono { (digest) }
                        dt { "Size" } dd { (size(release.size_bytes)) }
                    }
                    Content::Image { image } => { dt { "Machine image" } dd.mono { (image) } }
                }
                dt { "Created" } dd { (moment(release.created_at)) " by " (release.created_by) }
                dt { "Live in" }
                dd {
                    @if live.is_empty() { span.soft { "no environment" } }
                    @for (number, environment) in live.iter().enumerate() {
                        @if number > 0 { ", " }
                        a href={ "/services/" (release.service) "/" (environment) } { (environment) }
                    }
                }
            }
        }
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

fn withdrawing(release: &Release, live: &[&EnvironmentName], may: bool) -> Markup {
    html! {
        section.card aria-labelledby="withdraw-title" {
            h2 #withdraw-title { "Take it out of use" }
            form.act method="post" action={ (path(&release.service, &release.version)) "/withdraw" } {
                div.press {
                    button.danger type="submit" disabled[!may] aria-describedby="withdraw-hint" { "Withdraw " (release.version) }
                    @if may { input name="reason" aria-label="Why it is withdrawn" placeholder="why, in a few words" maxlength="1000" autocomplete="off" required; }
                }
                p.small.soft #withdraw-hint {
                    "Nobody can deploy it any more, and this cannot be taken back."
                    @if !live.is_empty() { " Where it is live it stays live, until something else is deployed there." }
                    @if !may {
                        " " b { "You lack the right " code { (Right::Release) } " for " (release.service) "." }
                        " Someone with the right " code { (Right::Administer) } " can grant it."
                    }
                }
            }
        }
    }
}

async fn withdraw(
    visitor: Visitor,
    Path((service, version)): Path<(ServiceName, Version)>,
    form: Bytes,
) -> Result<Response, Failed> {
    let form = Query::of(&form);
    let reason = form.text("reason");
    visitor.desk.withdraw((&service, &version), reason).await?;
    Ok(see(&path(&service, &version)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_stays_one_part_of_a_path() {
        let service: ServiceName = "shop".parse().expect("a name");
        let version: Version = "1.0.0+a.b".parse().expect("a version");
        assert_eq!(
            path(&service, &version),
            "/services/shop/releases/1.0.0%2Ba.b"
        );
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [(999, "999 bytes"), (12_345, "12 kB"), (25_000_000, "25 MB")] {
            assert_eq!(size(bytes), text);
        }
    }
}
