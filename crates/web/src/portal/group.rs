//! A server group: which instances run where, how they are, what one can do, and what they write.

use axum::{
    body::Bytes,
    extract::Path,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use domain::{
    access::{Denied, Resource, Right},
    deployment::Deployment,
    names::{EnvironmentName, Place, ServiceName},
    observation::InstanceId,
    time::UnixMs,
};
use futures_util::StreamExt;
use maud::{Markup, html};
use operations::{
    Desk, Error,
    cloud::{LogQuery, LogText},
    deployments::Listed,
    slices::Slices,
    status::Status,
};

use super::{
    deployment::panels,
    failed::Failed,
    parts::{
        Mark, Query, ago, deployment_path, empty, group_path, icon, missing, moment, now, query,
    },
    shell::{Head, Part, page},
    visitor::Visitor,
    way_in::see,
};
use crate::rows::Pages;

/// Deployments of the place that are shown.
const HISTORY: u32 = 8;
/// Lines of the log that are shown, unless the address says otherwise.
const LINES: u32 = 200;
/// Most lines, and most bytes, that one page shows.
const LINES_MAX: u32 = 2_000;
const LOG_LEN_MAX: usize = 160 * 1024;

pub(super) fn pages() -> Pages {
    Pages::default()
        .shows("/services/{service}/{environment}", read)
        .shows("/services/{service}/{environment}/logs", logs)
        .shows("/services/{service}/{environment}/logs.txt", log_file)
        .form("/services/{service}/{environment}/roll-back", roll_back)
        .form("/services/{service}/{environment}/switch", switch)
}

/// Where the page is.
type Where = Path<(ServiceName, EnvironmentName)>;

fn place_of(Path((service, environment)): Where) -> Place {
    Place {
        service,
        environment,
    }
}

async fn read(visitor: Visitor, path: Where) -> Result<Markup, Failed> {
    let place = place_of(path);
    let desk = &visitor.desk;
    let status = desk.status(place.clone()).await?;
    let slices = match desk.slices(place.clone()).await {
        Ok(slices) => Some(slices),
        Err(Error::Unknown { .. } | Error::Provider(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let listed = Listed {
        service: Some(place.service.clone()),
        environment: Some(place.environment.clone()),
        ..Listed::default()
    };
    let history = desk.deployments(&listed, None, HISTORY).await?.items;
    let powers = Powers::of(desk, &place).await?;
    let now = now();
    let body = html! {
        (head(&status, now))
        (says(&status))
        (acts(&status, slices.as_ref(), &powers))
        div #g-tiles {
            @match &slices {
                Some(slices) => (panels(slices, status.deployment.as_ref(), now)),
                None => (nothing(&status)),
            }
        }
        (past(&place, &history, now))
    };
    let topic = format!("group:{place}");
    Ok(framed(&visitor, &place, &[], Some(&topic), &body))
}

fn framed(
    visitor: &Visitor,
    place: &Place,
    more: &[&str],
    topic: Option<&str>,
    body: &Markup,
) -> Markup {
    let (service, environment) = (
        format!("/services/{}", place.service),
        format!("/environments/{}", place.environment),
    );
    let title: Vec<&str> = more
        .iter()
        .copied()
        .chain([place.service.as_str(), place.environment.as_str()])
        .collect();
    let own = group_path(place);
    let own = (own.as_str(), "server group");
    let trail = [
        (service.as_str(), place.service.as_str()),
        (environment.as_str(), place.environment.as_str()),
    ];
    let whole: Vec<(&str, &str)> = match more.is_empty() {
        true => trail.to_vec(),
        false => trail.into_iter().chain([own]).collect(),
    };
    let head = Head {
        part: Part::Overview,
        title: &title,
        trail: &whole,
        topic,
    };
    page(visitor, &head, body)
}

/// What somebody lacks for what can be done here.
struct Powers {
    deploy: Option<Denied>,
    roll_back: Option<Denied>,
    logs: Option<Denied>,
}

impl Powers {
    async fn of(desk: &Desk, place: &Place) -> Result<Self, Error> {
        let resource = Resource::Place(place);
        Ok(Self {
            deploy: desk.missing(Right::Deploy, resource).await?,
            roll_back: desk.missing(Right::RollBack, resource).await?,
            logs: desk.missing(Right::ViewLogs, resource).await?,
        })
    }
}

fn head(status: &Status, now: UnixMs) -> Markup {
    let place = &status.place;
    html! {
        div.top #g-head {
            div {
                h1 { (place.service) " in " a href={ "/environments/" (place.environment) } { (place.environment) } }
                p.lead {
                    @match &status.live {
                        Some(live) => {
                            span.mono { (live.launch.version) } " is live, deployed " (ago(live.since, now))
                            @if let Some(previous) = &live.previous { " · before it " span.mono { (previous.version) } }
                        },
                        None => "nothing is live here",
                    }
                    @if let Some(url) = &status.url { " · " a href=(url) rel="noreferrer" { (url) } }
                }
            }
            @if let Some(deployment) = &status.deployment {
                a href=(deployment_path(deployment)) { (Mark::of(deployment).badge()) }
            }
        }
    }
}

/// What runs, and what is wrong.
fn says(status: &Status) -> Markup {
    html! {
        div.stack #g-says {
            @if let Some(deployment) = &status.deployment {
                div class={ "note " (Mark::of(deployment).colour) } {
                    p {
                        b { "Deploying " span.mono { (deployment.launch.version) } ": " }
                        @match &deployment.waiting {
                            Some(waiting) => (waiting.sentence(&deployment.versions())),
                            None => "at work",
                        }
                        ". " a href=(deployment_path(deployment)) { "Watch it" }
                    }
                }
            }
            @if let Some(lock) = &status.lock {
                div.note.wait { p { span.state.wait { (icon("lock")) (status.place.environment) " is locked" } " by " (lock.by) ": " (lock.reason) } }
            }
            @if let Some(trouble) = &status.trouble {
                div.note.stop { p { b { "The instances are not known now: " } (trouble.sentence) "." } p.soft { (trouble.remedy) } }
            }
        }
    }
}

fn acts(status: &Status, slices: Option<&Slices>, powers: &Powers) -> Markup {
    let place = &status.place;
    let path = group_path(place);
    let previous = status.live.as_ref().and_then(|live| live.previous.as_ref());
    let other = slices.filter(|it| it.slices.len() > 1).and_then(|slices| {
        let next = slices.next();
        let beside = slices.slices.iter().find(|it| it.slice == next)?;
        beside.seen.launches.as_ref().map(|launch| (next, launch))
    });
    html! {
        section.card #g-acts aria-labelledby="acts-title" {
            h2 #acts-title { "What you can do" }
            div.acts {
                form.act method="get" action="/deploy" {
                    input type="hidden" name="service" value=(place.service);
                    input type="hidden" name="environment" value=(place.environment);
                    div.press { button.main-button type="submit" disabled[powers.deploy.is_some()] aria-describedby="deploy-hint" { "Deploy" } }
                    p.small.soft #deploy-hint { "Choose a release and read its plan first." (missing(powers.deploy.as_ref())) }
                }
                form.act method="get" action={ (path) "/logs" } {
                    div.press { button type="submit" disabled[powers.logs.is_some()] aria-describedby="logs-hint" { "Read the logs" } }
                    p.small.soft #logs-hint { "What the instances wrote." (missing(powers.logs.as_ref())) }
                }
                @if let (Some((slice, launch)), None) = (other, &status.deployment) {
                    form.act method="post" action={ (path) "/switch" } {
                        div.press { button type="submit" disabled[powers.deploy.is_some()] aria-describedby="switch-hint" { "Switch to " (slice) } }
                        p.small.soft #switch-hint { "All users go to " (slice) ", which runs " span.mono { (launch.version) } ", by one change of weights." (missing(powers.deploy.as_ref())) }
                    }
                }
                @if previous.is_some() || status.deployment.is_some() {
                    (way_back(status, &path, powers))
                }
            }
        }
    }
}

fn way_back(status: &Status, path: &str, powers: &Powers) -> Markup {
    let denied = powers.roll_back.as_ref();
    let previous = status.live.as_ref().and_then(|live| live.previous.as_ref());
    html! {
        form.act method="post" action={ (path) "/roll-back" } {
            div.press {
                button.danger type="submit" disabled[denied.is_some()] aria-describedby="back-hint" { "Roll back" }
                @if denied.is_none() {
                    input name="reason" aria-label="Why: Roll back" placeholder="why, in a few words" maxlength="1000" autocomplete="off" required;
                }
            }
            p.small.soft #back-hint {
                @match (&status.deployment, previous) {
                    (Some(deployment), _) => { "The deployment of " span.mono { (deployment.launch.version) } " turns round." },
                    (None, Some(previous)) => { "Deploys " span.mono { (previous.version) } " again, by the quickest way that is allowed, without bake and gates." },
                    (None, None) => {},
                }
                (missing(denied))
            }
        }
    }
}

fn nothing(status: &Status) -> Markup {
    if status.trouble.is_some() {
        return html! {};
    }
    let next = html! {
        p { "The catalogue does not say how many instances of " (status.place.service) " run here." }
        p { a href="/catalogue" { "Describe the server group in the catalogue" } }
    };
    empty("No server group here", &next)
}

fn past(place: &Place, history: &[Deployment], now: UnixMs) -> Markup {
    let all = query(
        "/deployments",
        &[
            ("service", place.service.as_str()),
            ("environment", place.environment.as_str()),
        ],
    );
    html! {
        section.card #g-past aria-labelledby="past-title" {
            div.head { h2 #past-title { "Deployments here" } a.small href=(all) { "All of them" } }
            @if history.is_empty() { p.soft { "None yet." } }
            @else {
                ul.faults {
                    @for deployment in history {
                        li.flow {
                            (Mark::of(deployment).plain())
                            a href=(deployment_path(deployment)) { span.mono { (deployment.launch.version) } }
                            span.small.soft { (deployment.strategy.kind()) " · " (deployment.requested_by) " · " (ago(deployment.requested_at, now)) }
                            @if let Some(failure) = &deployment.failure { span.small { (failure.sentence(&deployment.versions())) } }
                        }
                    }
                }
            }
        }
    }
}

async fn roll_back(visitor: Visitor, path: Where, form: Bytes) -> Result<Response, Failed> {
    let place = place_of(path);
    let form = Query::of(&form);
    let rolled = visitor.desk.roll_back(&place, form.text("reason")).await?;
    Ok(see(&deployment_path(&rolled.deployment)))
}

async fn switch(visitor: Visitor, path: Where) -> Result<Response, Failed> {
    let place = place_of(path);
    let begun = visitor.desk.switch(&place, None).await?;
    Ok(see(&deployment_path(&begun.deployment)))
}

/// Which logs the address asks for.
fn wanted(asked: &Query) -> LogQuery {
    let instance = Some(asked.text("instance")).filter(|id| !id.is_empty());
    LogQuery {
        instance: instance.map(|id| InstanceId(id.chars().take(200).collect())),
        lines: asked.read("lines").unwrap_or(LINES).clamp(1, LINES_MAX),
        follow: false,
    }
}

async fn logs(visitor: Visitor, path: Where, asked: Query) -> Result<Markup, Failed> {
    let place = place_of(path);
    let wanted = wanted(&asked);
    let (instance, lines) = (asked.text("instance").to_owned(), wanted.lines);
    let text = match visitor.desk.logs(&place, wanted).await {
        Ok(text) => Ok(read_all(text).await),
        Err(Error::NoLogs { why }) => Err(why),
        Err(error) => return Err(error.into()),
    };
    let path = format!("{}/logs", group_path(&place));
    let lines = lines.to_string();
    let file = query(
        &format!("{path}.txt"),
        &[("instance", &instance), ("lines", &lines)],
    );
    let follow = match instance.as_str() {
        "" => String::new(),
        id => format!(" -i {id}"),
    };
    let body = html! {
        div.top {
            div { h1 { "Logs of " (place.service) " in " (place.environment) } p.lead { "As of " (moment(now())) ". The newest lines are at the end." } }
            a.button href=(file) { "As a text file" }
        }
        form.filters action=(path) {
            label { "Instance" input name="instance" value=(instance) placeholder="all" autocomplete="off" spellcheck="false"; }
            label { "Lines" input name="lines" type="number" min="1" max=(LINES_MAX) value=(lines); }
            button type="submit" { "Show" }
        }
        @match &text {
            Ok(text) if text.is_empty() => (empty("Nothing was written yet", &html! {})),
            Ok(text) => pre.log tabindex="0" role="region" aria-label="Log" { (text) },
            Err(why) => (empty("No logs here", &html! { p { (why) } })),
        }
        p.small.soft { "To follow them: " code { "pointsman logs " (place.service) " -e " (place.environment) (follow) " -f" } }
    };
    Ok(framed(&visitor, &place, &["Logs"], None, &body))
}

/// The same as a file, which no browser takes for a page.
async fn log_file(visitor: Visitor, path: Where, asked: Query) -> Result<Response, Failed> {
    let place = place_of(path);
    let text = read_all(visitor.desk.logs(&place, wanted(&asked)).await?).await;
    let name = format!(
        "attachment; filename=\"{}-{}.log\"",
        place.service, place.environment
    );
    let name = HeaderValue::from_str(&name).unwrap_or(HeaderValue::from_static("attachment"));
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    let headers: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, plain),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, text).into_response())
}

/// The text of a log, of which only the end is kept when it is too long.
async fn read_all(mut text: LogText) -> String {
    let mut all: Vec<u8> = Vec::new();
    while let Some(Ok(piece)) = text.next().await {
        all.extend_from_slice(&piece);
        if all.len() > 2 * LOG_LEN_MAX {
            all.drain(..all.len() - LOG_LEN_MAX);
        }
    }
    let from = all.len().saturating_sub(LOG_LEN_MAX);
    String::from_utf8_lossy(&all[from..]).into_owned()
}
