//! How long each page takes, and how large it is.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::installation::Installation;

/// How often a page is asked for.
const TIMES: usize = 60;
/// Asked for and not counted: caches fill.
const WARM: usize = 5;

/// One page.
pub struct Measured {
    who: &'static str,
    path: String,
    median: Duration,
    p95: Duration,
    bytes: usize,
    elements: usize,
}

/// Asks for every page, as the owner and as somebody who may see one team.
pub async fn measured(
    installation: &Installation,
    services: usize,
) -> anyhow::Result<Vec<Measured>> {
    let owner = installation.signed_in(None).await?;
    let member = installation.member(&format!("member-{services}")).await?;
    let middle = services / 2;
    // A service of the first team, in the middle.
    let service = format!("service-{:05}", middle - middle % 50);
    let paths = [
        "/".to_owned(),
        format!("/?after=service-{middle:05}"),
        "/?q=00".to_owned(),
        "/?team=team-00".to_owned(),
        "/?state=moving".to_owned(),
        "/environments".to_owned(),
        "/environments/env-00".to_owned(),
        format!("/services/{service}"),
        format!("/services/{service}/env-00"),
        format!("/services/{service}/releases"),
        "/deployments".to_owned(),
        format!("/deployments/{}", installation.ended),
        format!("/deploy?service={service}&environment=env-00&version=1.0.0"),
        "/catalogue".to_owned(),
        "/catalogue/services".to_owned(),
        "/audit".to_owned(),
        "/people".to_owned(),
        "/profile".to_owned(),
        format!("/search?q={service}"),
    ];
    let mut all = Vec::new();
    for (who, cookie) in [("owner", &owner), ("member", &member)] {
        for path in &paths {
            if let Some(page) = page(installation, who, cookie, path).await? {
                all.push(page);
            }
        }
    }
    Ok(all)
}

/// One page; `None`: this one may not see it.
async fn page(
    installation: &Installation,
    who: &'static str,
    cookie: &str,
    path: &str,
) -> anyhow::Result<Option<Measured>> {
    let mut times = Vec::new();
    let mut text = String::new();
    for time in 0..WARM + TIMES {
        let begun = Instant::now();
        let request = installation.http.get(installation.url(path));
        let request = request
            .header("host", installation.host())
            .header("accept", "text/html")
            .header("cookie", cookie);
        let answer = request.send().await?;
        let status = answer.status();
        text = answer.text().await?;
        let took = begun.elapsed();
        if [403, 404].contains(&status.as_u16()) && who != "owner" {
            return Ok(None);
        }
        ensure!(status.is_success(), "{path} as {who}: {status}");
        if time >= WARM {
            times.push(took);
        }
    }
    times.sort();
    let elements = text.match_indices('<').filter(|(at, _)| {
        let next = text[at + 1..].chars().next();
        next.is_some_and(|c| c.is_ascii_alphabetic())
    });
    Ok(Some(Measured {
        who,
        path: path.to_owned(),
        median: times[times.len() / 2],
        p95: times[times.len() * 95 / 100],
        bytes: text.len(),
        elements: elements.count(),
    }))
}

/// Prints the pages of the large installation beside those of the small one.
pub fn print(small: &[Measured], large: &[Measured]) {
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    println!("| who | page | median | p95 | beside 100 services | bytes | elements |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (before, page) in small.iter().zip(large) {
        let ratio = page.median.as_secs_f64() / before.median.as_secs_f64();
        println!(
            "| {} | {} | {} | {} | {ratio:.2} x | {} | {} |",
            page.who,
            page.path,
            ms(page.median),
            ms(page.p95),
            page.bytes,
            page.elements
        );
    }
}
