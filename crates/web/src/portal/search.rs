//! Finding something by a part of its name: services, environments, deployments, people and pages. What
//! somebody may not see is not found.

use domain::{
    access::{PersonName, Resource, Right},
    names::{DeploymentId, Place},
};
use maud::{Markup, html};
use operations::{
    Desk, Error,
    deployments::Listed,
    overview::{Column, Row, Wanted},
};

use super::{
    failed::Failed,
    parts::{Mark, Query, deployment_path, empty, group_path},
    shell::{Head, Part, page},
    visitor::Visitor,
};
use crate::rows::Pages;

/// Hits of each sort.
const HITS: u32 = 8;
/// Shortest beginning of an id that deployments are searched by.
const ID_LEN_MIN: usize = 4;
/// Longest text that is searched for, in characters.
const TEXT_LEN_MAX: usize = 100;
/// What pages there are: the address, the name, and other words that people look for.
const PAGES: [(&str, &str, &str); 12] = [
    ("/", "Overview", "matrix dashboard home"),
    ("/deploy", "Deploy", "release rollout new deployment"),
    ("/deployments", "Deployments", "rollouts jobs history"),
    (
        "/environments",
        "Environments",
        "stages clusters locks freezes",
    ),
    (
        "/catalogue",
        "Catalogue",
        "manifests services teams settings",
    ),
    ("/catalogue/new", "Write a manifest", "apply yaml new entry"),
    ("/images", "Machine images", "ami aws"),
    ("/images/patch", "Patch server groups", "ami image update"),
    ("/audit", "Audit", "log history who changed"),
    (
        "/people",
        "People",
        "users groups grants roles rights tokens",
    ),
    ("/profile", "Your profile", "sessions password theme me"),
    ("/api", "API", "curl openapi programs"),
];

pub(super) fn pages() -> Pages {
    Pages::default().shows("/search", read)
}

/// Something that was found.
#[derive(Debug, PartialEq)]
struct Hit {
    path: String,
    name: String,
    what: String,
}

impl Hit {
    fn new(path: impl Into<String>, name: impl ToString, what: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            name: name.to_string(),
            what: what.into(),
        }
    }
}

async fn read(visitor: Visitor, asked: Query) -> Result<Markup, Failed> {
    let text: String = asked.text("q").chars().take(TEXT_LEN_MAX).collect();
    let hits = match text.as_str() {
        "" => Vec::new(),
        text => found(&visitor.desk, text).await?,
    };
    let list = html! {
        @if !hits.is_empty() {
            ul.hits { @for hit in &hits { li { a href=(hit.path) { span { (hit.name) } span.small.soft { (hit.what) } } } } }
        }
    };
    if !asked.text("part").is_empty() {
        return Ok(
            html! { @if hits.is_empty() && !text.is_empty() { p.small.soft { "Nothing has this in its name." } } (list) },
        );
    }
    let body = html! {
        h1 { "Search" }
        form.filters method="get" action="/search" aria-label="Search everything" {
            label { "Find" input type="search" name="q" value=(text) placeholder="service, environment, deployment, page" autofocus; }
            button type="submit" { "Search" }
        }
        @if !hits.is_empty() { section.card aria-label="What was found" { (list) } }
        @else if !text.is_empty() {
            (empty("Nothing has this in its name", &html! {
                p { "Search finds parts of names, and the beginning of a deployment's id. It finds only what you may see." }
                p { a href="/" { "All services" } }
            }))
        }
    };
    let title = format!("Search {text}");
    let head = Head {
        part: Part::Overview,
        title: &[title.trim_end()],
        trail: &[],
        topic: None,
    };
    Ok(page(&visitor, &head, &body))
}

async fn found(desk: &Desk, text: &str) -> Result<Vec<Hit>, Error> {
    let text = text.to_lowercase();
    let mut words = text.split_whitespace();
    let (first, second) = (words.next().unwrap_or_default(), words.next());
    let columns = desk.columns().await?;
    let wanted = Wanted {
        contains: first.to_owned(),
        ..Wanted::default()
    };
    let rows = desk.overview(&columns, &wanted, None, HITS).await?.items;
    let mut hits = match second {
        Some(second) => places(&rows, &columns, second),
        None => rows
            .iter()
            .map(|row| {
                let name = &row.service.name;
                Hit::new(format!("/services/{name}"), name, "service")
            })
            .collect(),
    };
    if second.is_none() {
        hits.extend(environments(&columns, first));
        hits.extend(deployments(desk, first).await?);
        hits.extend(people(desk, first).await?);
    }
    hits.extend(sites(&text));
    Ok(hits)
}

/// A service in an environment: both by a part of their names.
fn places(rows: &[Row], columns: &[Column], environment: &str) -> Vec<Hit> {
    let pairs = rows.iter().flat_map(|row| {
        let here = columns.iter().map(|column| &column.environment.name);
        let here = here.filter(|name| row.cells.contains_key(*name));
        here.filter(|name| name.as_str().contains(environment))
            .map(|name| Place {
                service: row.service.name.clone(),
                environment: name.clone(),
            })
    });
    let hits = pairs.map(|place| {
        let name = format!("{} in {}", place.service, place.environment);
        Hit::new(group_path(&place), name, "server group")
    });
    hits.take(HITS as usize).collect()
}

fn environments(columns: &[Column], text: &str) -> Vec<Hit> {
    let names = columns.iter().map(|column| &column.environment.name);
    let hits = names.filter(|name| name.as_str().contains(text));
    hits.take(HITS as usize)
        .map(|name| Hit::new(format!("/environments/{name}"), name, "environment"))
        .collect()
}

/// Deployments whose id begins like this.
async fn deployments(desk: &Desk, text: &str) -> Result<Vec<Hit>, Error> {
    let in_an_id = |c: char| c.is_ascii_hexdigit() || c == '-';
    if text.len() < ID_LEN_MIN || !text.chars().all(in_an_id) {
        return Ok(Vec::new());
    }
    // The last id that can begin like this.
    let before = DeploymentId(format!("{text}~"));
    let all = Listed::default();
    let page = desk.deployments(&all, Some(&before), HITS);
    let hits = page.await?.items.into_iter();
    let hits = hits.filter(|it| it.id.0.starts_with(text)).map(|it| {
        let place = &it.target.place;
        let name = format!(
            "{} {} to {}",
            place.service, it.launch.version, place.environment
        );
        let what = format!("deployment, {}", Mark::of(&it).word);
        Hit::new(deployment_path(&it), name, what)
    });
    Ok(hits.collect())
}

/// People by their whole name, for those who manage people.
async fn people(desk: &Desk, text: &str) -> Result<Vec<Hit>, Error> {
    let Ok(name) = text.parse::<PersonName>() else {
        return Ok(Vec::new());
    };
    if !desk.can(Right::Administer, Resource::Everything).await? {
        return Ok(Vec::new());
    }
    match desk.person(&name).await {
        Ok(person) => {
            let name = person.name();
            Ok(vec![Hit::new(format!("/people/{name}"), name, "person")])
        }
        Err(Error::Unknown { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Pages among whose words every word of the text begins one.
fn sites(text: &str) -> Vec<Hit> {
    let all = PAGES.iter().filter(|(_, name, others)| {
        let known = format!("{} {others}", name.to_lowercase());
        let has = |word: &str| known.split(' ').any(|it| it.starts_with(word));
        text.split_whitespace().all(has)
    });
    all.map(|(path, name, _)| Hit::new(*path, name, "page"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_found_by_what_people_call_them() {
        for (text, paths) in [
            ("audit", vec!["/audit"]),
            ("patch ami", vec!["/images/patch"]),
            ("rollout", vec!["/deploy", "/deployments"]),
            ("st", vec!["/environments"]),
            ("nothing at all", vec![]),
        ] {
            let found: Vec<String> = sites(text).into_iter().map(|hit| hit.path).collect();
            assert_eq!(found, paths, "{text}");
        }
    }
}
