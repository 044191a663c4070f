//! Deploying: what, where and how; then the plan, and everything that speaks against it, before the button.
//!
//! ```text
//! address or form --> Asked --> Wish --> desk.rehearse --> Planned: drawn, with its hash
//!                                                   `--> objections, who can lift each
//! POST: Asked, hash of the plan that was read --> desk.request --> 303 to the deployment
//!                                                          `--> the same page, with what was typed
//! ```

mod asked;
mod form;

use axum::{
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::{
    access::{Denied, Resource, Right},
    catalogue::{Kind, ServerGroup, Service},
    gate::Gate,
    governance::Objection,
    names::{Place, ServiceName},
    release::Release,
};
use maud::Markup;
use operations::{
    Desk, Error,
    deployments::Planned,
    error::Fault,
    overview::{Column, Row, Wanted},
};

use super::{
    failed::Failed,
    parts::{Query, ROWS},
    shell::{Head, Part, page},
    visitor::Visitor,
    way_in::see,
};
use crate::{App, rows::Pages};
use asked::Asked;

/// Releases that can be chosen; any other one is named by its version.
const RELEASES: u32 = 30;

pub(super) fn pages() -> Pages {
    Pages::default()
        .shows("/deploy", read)
        .form("/deploy", begin)
}

/// What the page says about what was asked for.
enum Answer {
    /// Something is still to be chosen.
    Open,
    /// The right to deploy there is missing.
    Lacking(Denied),
    /// Governance says no.
    Refused(Vec<Objection>),
    /// The provider does not answer.
    Unknown(String),
    /// This would be done.
    Plan(Box<Planned>),
}

/// Everything that the page is made of.
struct Board {
    asked: Asked,
    columns: Vec<Column>,
    /// Services to choose from, while none is chosen.
    services: Vec<ServiceName>,
    chosen: Option<Chosen>,
    answer: Answer,
    /// What cannot be understood, by field.
    faults: Vec<Fault>,
    /// The plan is another one than the one that was read.
    changed: bool,
    /// Where programs reach this server.
    server: String,
}

/// The service that was chosen, and what there is of it.
struct Chosen {
    row: Row,
    releases: Vec<Release>,
    gates: Vec<Gate>,
}

impl Chosen {
    fn service(&self) -> &Service {
        &self.row.service
    }
}

impl Board {
    async fn read(app: &App, desk: &Desk, query: Query) -> Result<Self, Error> {
        let mut board = Self {
            asked: Asked(query),
            columns: desk.columns().await?,
            services: Vec::new(),
            chosen: None,
            answer: Answer::Open,
            faults: Vec::new(),
            changed: false,
            server: app.portal.urls.first().to_string(),
        };
        board.chosen = board.choose(desk).await?;
        if board.chosen.is_none() {
            let wanted = Wanted {
                contains: board.asked.text("service").to_owned(),
                ..Wanted::default()
            };
            let found = desk.overview(&board.columns, &wanted, None, ROWS).await?;
            let names = found.items.into_iter().map(|row| row.service.name);
            board.services = names.collect();
        }
        Ok(board)
    }

    /// The service that is named, if there is one.
    async fn choose(&self, desk: &Desk) -> Result<Option<Chosen>, Error> {
        let Some(name) = self.asked.0.read::<ServiceName>("service") else {
            return Ok(None);
        };
        let row = match desk.row_of(&self.columns, &name).await {
            Err(Error::Unknown { .. }) => return Ok(None),
            row => row?,
        };
        let releases = desk.releases(&name, None, RELEASES).await?.items;
        let place = self.asked.place();
        let place = place.filter(|place| row.cells.contains_key(&place.environment));
        let gates = match place {
            Some(place) => gates(desk, &place).await?,
            None => Vec::new(),
        };
        Ok(Some(Chosen {
            row,
            releases,
            gates,
        }))
    }

    /// The column of the environment that was chosen.
    fn column(&self) -> Option<&Column> {
        let name = self.asked.text("environment");
        let mut columns = self.columns.iter();
        columns.find(|column| column.environment.name.as_str() == name)
    }

    /// Whether the name of the service has to be typed before anything begins.
    fn asks_for_name(&self) -> bool {
        self.column().is_some_and(|column| column.guarded)
    }

    /// Says what would become of it, once everything is chosen.
    async fn rehearse(&mut self, desk: &Desk) -> Result<(), Error> {
        let (Some(chosen), Some(place)) = (&self.chosen, self.asked.place()) else {
            return Ok(());
        };
        if self.asked.text("version").is_empty() {
            return Ok(());
        }
        let wish = match self.asked.wish(chosen.service(), &chosen.gates) {
            Ok(wish) => wish,
            Err(faults) => {
                self.faults.extend(faults);
                return Ok(());
            }
        };
        if let Some(denied) = desk.missing(Right::Deploy, Resource::Place(&place)).await? {
            self.answer = Answer::Lacking(denied);
            return Ok(());
        }
        self.answer = match desk.rehearse(wish).await {
            Ok(rehearsal) => match rehearsal.planned {
                Some(planned) => Answer::Plan(Box::new(planned)),
                None => Answer::Refused(rehearsal.objections),
            },
            Err(error @ Error::Provider(_)) => Answer::Unknown(error.to_string()),
            Err(error) => return Err(error),
        };
        Ok(())
    }

    fn page(&self, visitor: &Visitor) -> Markup {
        let asked = |field| self.asked.text(field);
        let title = match (asked("service"), asked("version")) {
            ("", _) => "Deploy".to_owned(),
            (service, version) => format!("Deploy {service} {version}"),
        };
        let all = [title.trim_end(), asked("environment")];
        let known = if all[1].is_empty() { &all[..1] } else { &all };
        let service = format!("/services/{}", asked("service"));
        let trail = [
            ("/deployments", "Deployments"),
            (service.as_str(), asked("service")),
        ];
        let trail = match self.chosen {
            Some(_) => &trail[..],
            None => &trail[..1],
        };
        let head = Head {
            part: Part::Deployments,
            title: known,
            trail,
            topic: None,
        };
        page(visitor, &head, &form::body(self))
    }
}

/// The gates of a server group.
async fn gates(desk: &Desk, place: &Place) -> Result<Vec<Gate>, Error> {
    let entry = match desk.entry(Kind::ServerGroup, &place.to_string()).await {
        Err(Error::Unknown { .. }) => return Ok(Vec::new()),
        entry => entry?,
    };
    let group = serde_json::from_value::<ServerGroup>(entry.body);
    Ok(group.map(|group| group.gates).unwrap_or_default())
}

async fn read(State(app): State<App>, visitor: Visitor, query: Query) -> Result<Markup, Failed> {
    let mut board = Board::read(&app, &visitor.desk, query).await?;
    board.rehearse(&visitor.desk).await?;
    Ok(board.page(&visitor))
}

/// Begins what was planned.
async fn begin(State(app): State<App>, visitor: Visitor, form: Bytes) -> Result<Response, Failed> {
    let desk = &visitor.desk;
    let form = Query::of(&form);
    if let Some(place) = Asked(form.clone()).place() {
        desk.may_deploy(&place).await?;
    }
    let mut board = Board::read(&app, desk, form).await?;
    if board.asks_for_name() && board.asked.text("confirm") != board.asked.text("service") {
        let message = "type the name of the service to deploy it here";
        board.faults.push(Fault::of("confirm", message));
    }
    let wish = match &board.chosen {
        Some(chosen) => board.asked.wish(chosen.service(), &chosen.gates),
        None => Err(vec![Fault::of("service", "there is no such service")]),
    };
    let mut status = StatusCode::UNPROCESSABLE_ENTITY;
    if let (Ok(wish), true) = (wish, board.faults.is_empty()) {
        let given = |field| Some(board.asked.text(field)).filter(|text| !text.is_empty());
        match desk.request(wish, given("reason"), given("plan")).await {
            Ok(begun) => return Ok(see(&format!("/deployments/{}", begun.deployment.id))),
            Err(Error::Refused(_)) => status = StatusCode::CONFLICT,
            Err(Error::PlanChanged { .. }) => {
                status = StatusCode::CONFLICT;
                board.changed = true;
            }
            Err(Error::Invalid { faults, .. }) => board.faults.extend(faults),
            Err(error) => return Err(error.into()),
        }
    }
    board.rehearse(desk).await?;
    Ok((status, board.page(&visitor)).into_response())
}
