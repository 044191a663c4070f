//! Deployments: asking for one, rehearsing one, commanding one, reading them.
//!
//! ```text
//! wish --> facts (store, artifact hashed again, a look at the group) --> admit --> objections: all
//!                                                                          `--> Deployment::new
//!                                                                   store.begin --> engine wakes
//! ```

use std::time::Duration;

use domain::{
    access::{Resource, Right},
    catalogue::{Account, ServerGroup},
    deployment::{Command, Deployment, Request},
    effect::Target,
    event,
    governance::{self, Admitted, Artifact, Facts, Objection, Wish},
    image::ImageState,
    names::{DeploymentId, Place},
    observation::Observation,
    preview::{Estimates, Preview, preview},
    release::{Launch, LaunchId, Release},
};
use serde_json::json;
use store::StoreError;
use uuid::Uuid;

use super::{Desk, Error, Operations, desk::Permit, environments::checked_reason};
use crate::cloud::Calls;

mod list;
mod planned;
mod roll_back;
mod shown;
mod switch;
mod usual;

pub use list::Listed;
use planned::hash_before;
pub use planned::{Planned, Rehearsal, plan_hash};
pub use roll_back::RolledBack;
pub use usual::{Readiness, usual_strategy};

/// How often a request is tried anew when the facts changed meanwhile.
const TRIES: u32 = 5;
/// How often a command is tried anew when the engine saved a turn meanwhile. A person must not lose
/// against a busy engine; it saves a few turns in a row at most, then it waits.
const COMMAND_TRIES: u32 = 100;
/// Between two tries of a command.
const COMMAND_PAUSE: Duration = Duration::from_millis(10);

/// A deployment as it would begin, with what was seen of its group.
struct Drafted {
    admitted: Admitted,
    deployment: Deployment,
    seen: Observation,
}

impl Desk {
    /// Begins a deployment, if governance allows it; the audit log keeps the reason. With `plan`, only when
    /// [`Planned::hash`] of what would begin is still this: what was read is what is done.
    ///
    /// # Errors
    /// [`Error::Refused`] with every objection; [`Error::Provider`] when the group cannot be seen;
    /// [`Error::Invalid`] when the reason is empty or too long; [`Error::PlanChanged`].
    pub async fn request(
        &self,
        wish: Wish,
        reason: Option<&str>,
        plan: Option<&str>,
    ) -> Result<Planned, Error> {
        let permit = self
            .may(Right::Deploy, Resource::Place(&wish.place))
            .await?;
        permit.request(wish, reason, plan).await
    }

    /// Checks that somebody may deploy at a place, before anything else is looked at.
    ///
    /// # Errors
    /// [`Error::Denied`], or [`Error::Unknown`] where they may not even see it.
    pub async fn may_deploy(&self, place: &Place) -> Result<(), Error> {
        let checked = self.may(Right::Deploy, Resource::Place(place)).await;
        checked.map(|_| ())
    }

    /// Says what would become of a wish; changes nothing.
    ///
    /// # Errors
    /// [`Error::Provider`] when the group cannot be seen.
    pub async fn rehearse(&self, wish: Wish) -> Result<Rehearsal, Error> {
        let permit = self
            .may(Right::Deploy, Resource::Place(&wish.place))
            .await?;
        permit.rehearse(wish).await
    }

    /// Gives a command to a deployment that runs. With `plan`, only while the plan has this hash: what
    /// was read is what is approved.
    ///
    /// # Errors
    /// [`Error::Command`] when it is not possible in the current state; [`Error::PlanChanged`];
    /// [`Error::Unknown`] deployment.
    pub async fn command(
        &self,
        id: &DeploymentId,
        command: Command,
        plan: Option<&str>,
    ) -> Result<Deployment, Error> {
        let permit = self
            .may(right_to(&command), Resource::Deployment(id))
            .await?;
        permit.command(id, command, plan).await
    }

    /// One deployment.
    ///
    /// # Errors
    /// [`Error::Unknown`] when there is none.
    pub async fn deployment(&self, id: &DeploymentId) -> Result<Deployment, Error> {
        let permit = self.may(Right::View, Resource::Deployment(id)).await?;
        let deployment = permit.deployment(id).await?;
        permit.shown(deployment).await
    }

    /// What a deployment cost in calls to its provider, where that is known.
    ///
    /// # Errors
    /// [`Error::Unknown`] deployment.
    pub async fn calls(&self, id: &DeploymentId) -> Result<Option<Calls>, Error> {
        let permit = self.may(Right::View, Resource::Deployment(id)).await?;
        let deployment = permit.deployment(id).await?;
        Ok(permit.clouds().calls(&deployment.target, id))
    }
}

impl Operations {
    /// As [`Desk::deployment`], for use cases that were checked.
    pub(crate) async fn deployment(&self, id: &DeploymentId) -> Result<Deployment, Error> {
        let deployment = self.store().deployment(id).await?;
        deployment.ok_or_else(|| Error::no_deployment(id))
    }
}

impl Permit {
    /// As [`Desk::request`], for use cases that were checked.
    pub(crate) async fn request(
        &self,
        wish: Wish,
        reason: Option<&str>,
        plan: Option<&str>,
    ) -> Result<Planned, Error> {
        let reason = reason.map(checked_reason).transpose()?;
        let mut tries = 0;
        loop {
            tries += 1;
            let drafted = self.draft(wish.clone(), None).await?;
            let drafted = drafted.map_err(Error::Refused)?;
            let hash = hash_before(&drafted.deployment);
            if plan.is_some_and(|plan| plan != hash) {
                return Err(Error::PlanChanged { hash });
            }
            match self.begin(&drafted, reason.as_deref()).await {
                Err(StoreError::Superseded { .. }) if tries < TRIES => {}
                Err(StoreError::AlreadyRunning(running)) => {
                    let place = wish.place;
                    return Err(Error::Refused(vec![Objection::AlreadyRunning {
                        place,
                        running,
                    }]));
                }
                Err(error) => return Err(error.into()),
                Ok(()) => return self.begun(drafted).await,
            }
        }
    }

    /// As [`Desk::rehearse`], for use cases that were checked.
    pub(crate) async fn rehearse(&self, wish: Wish) -> Result<Rehearsal, Error> {
        Ok(match self.draft(wish, None).await? {
            Ok(drafted) => Rehearsal {
                planned: Some(self.planned(drafted).await?),
                objections: Vec::new(),
            },
            Err(objections) => Rehearsal {
                planned: None,
                objections,
            },
        })
    }

    /// As [`Desk::command`], for use cases that were checked.
    pub(crate) async fn command(
        &self,
        id: &DeploymentId,
        command: Command,
        plan: Option<&str>,
    ) -> Result<Deployment, Error> {
        let command = checked(command)?;
        let mut tries = 0;
        loop {
            tries += 1;
            let now = self.now();
            let before = self.deployment(id).await?;
            let hash = plan_hash(&before);
            if plan.is_some_and(|plan| plan != hash) {
                return Err(Error::PlanChanged { hash });
            }
            let after = before.command(command.clone(), self.principal(), now)?;
            let events = event::of_command(&command, self.principal(), &after, now);
            let action = format!("deployment.{}", command.as_str());
            let detail = json!({
                "reason": reason(&command),
                "place": after.target.place.to_string(),
                "version": after.launch.version,
            });
            let audit = self.audit(&action, &subject(id), detail);
            match self.store().command(&after, &events, audit).await {
                Err(StoreError::Superseded { .. }) if tries < COMMAND_TRIES => {
                    tokio::time::sleep(COMMAND_PAUSE).await;
                }
                Err(error) => return Err(error.into()),
                Ok(()) => {
                    self.changes().tell(id);
                    self.waker().wake();
                    return Ok(after);
                }
            }
        }
    }

    /// Looks at everything that the rules look at, and makes the deployment that they allow. The artifact is
    /// hashed unless it is `checked` already.
    async fn draft(
        &self,
        wish: Wish,
        checked: Option<Artifact>,
    ) -> Result<Result<Drafted, Vec<Objection>>, Error> {
        let mut facts = self.store().facts(&wish, self.now()).await?;
        facts.artifact = match checked {
            Some(checked) => checked,
            None => self.artifact(facts.release.as_ref()).await?,
        };
        let seen = match &facts.group {
            Some(group) => {
                let target = target(&wish.place, group, facts.account.as_ref());
                self.observe(&target.for_strategy(&wish.strategy)).await?
            }
            None => Observation::default(),
        };
        facts.seen = seen.clone();
        facts.image = self.image_state(&wish, &facts).await?;
        Ok(governance::admit(wish, facts).map(|admitted| {
            let deployment = self.deployment_of(&admitted);
            Drafted {
                admitted,
                deployment,
                seen,
            }
        }))
    }

    /// How the image stands that would be started, in an account that can say.
    async fn image_state(&self, wish: &Wish, facts: &Facts) -> Result<Option<ImageState>, Error> {
        match (&facts.account, facts.image_of(wish)) {
            (Some(account), Some(image)) => {
                let standing = self
                    .clouds()
                    .call(account.provider, |it| it.image_state(account, image));
                Ok(Some(standing.await?))
            }
            _ => Ok(None),
        }
    }

    async fn artifact(&self, release: Option<&Release>) -> Result<Artifact, Error> {
        match release {
            Some(release) => match release.content.digest() {
                Some(digest) => {
                    self.packages().bring_here(digest).await?;
                    self.artifacts().check(digest).await
                }
                None => Ok(Artifact::Intact),
            },
            None => Ok(Artifact::Missing),
        }
    }

    fn deployment_of(&self, admitted: &Admitted) -> Deployment {
        let (wish, release) = (admitted.wish(), admitted.release());
        let id = DeploymentId(Uuid::now_v7().to_string());
        let launch = match admitted.switches_to() {
            Some(running) => running.clone(),
            None => Launch {
                id: launch_id(&id, release.version.as_str()),
                version: release.version.clone(),
                content: admitted.content(),
            },
        };
        let request = Request {
            id,
            target: target(&wish.place, admitted.group(), admitted.account()),
            strategy: wish.strategy.clone(),
            launch,
            stable: admitted.stable().cloned(),
            requested_by: self.principal().to_owned(),
            requested_at: self.now(),
        };
        Deployment::new(request, admitted.seen())
    }

    async fn begin(&self, drafted: &Drafted, reason: Option<&str>) -> Result<(), StoreError> {
        let deployment = &drafted.deployment;
        let mut detail = json!({
            "place": deployment.target.place.to_string(),
            "version": deployment.launch.version,
            "stable": deployment.stable.as_ref().map(|stable| &stable.version),
            "strategy": deployment.strategy,
        });
        if let Some(image) = &drafted.admitted.wish().image {
            detail["image"] = image.as_str().into();
        }
        if let Some(reason) = reason {
            detail["reason"] = reason.into();
        }
        let audit = self.audit("deployment.request", &subject(&deployment.id), detail);
        let event = event::of_request(deployment);
        self.store()
            .begin(&drafted.admitted, deployment, &event, audit)
            .await
    }

    async fn begun(&self, drafted: Drafted) -> Result<Planned, Error> {
        self.changes().tell(&drafted.deployment.id);
        self.waker().wake();
        self.planned(drafted).await
    }

    async fn planned(&self, drafted: Drafted) -> Result<Planned, Error> {
        let preview = self.preview(&drafted.deployment, &drafted.seen).await?;
        Ok(Planned {
            deployment: drafted.deployment,
            preview,
        })
    }

    async fn preview(&self, deployment: &Deployment, seen: &Observation) -> Result<Preview, Error> {
        let mut estimates = Estimates::from_settings(&deployment.target.group);
        let measured = self.store().last_fill_ms(&deployment.target.place).await?;
        estimates.boot_ms = measured.unwrap_or(estimates.boot_ms);
        estimates.now = self.now();
        Ok(preview(deployment, seen, estimates))
    }
}

fn target(place: &Place, group: &ServerGroup, account: Option<&Account>) -> Target {
    Target::new(place.clone(), group.clone(), account.cloned())
}

/// Short enough to read, and unique: the version, and the random end of the deployment's id.
fn launch_id(id: &DeploymentId, version: &str) -> LaunchId {
    let digits: Vec<char> = id.0.chars().filter(char::is_ascii_hexdigit).collect();
    let end: String = digits[digits.len().saturating_sub(8)..].iter().collect();
    LaunchId(format!("{version}-{end}"))
}

fn checked(command: Command) -> Result<Command, Error> {
    Ok(match command {
        Command::Abort { reason } => Command::Abort {
            reason: checked_reason(&reason)?,
        },
        Command::RollBack { reason } => Command::RollBack {
            reason: checked_reason(&reason)?,
        },
        Command::Reject { reason } => Command::Reject {
            reason: checked_reason(&reason)?,
        },
        command => command,
    })
}

fn reason(command: &Command) -> Option<&str> {
    match command {
        Command::Abort { reason } | Command::RollBack { reason } | Command::Reject { reason } => {
            Some(reason)
        }
        Command::Pause | Command::Resume | Command::Approve | Command::Promote => None,
    }
}

/// The right that it takes to give a command.
fn right_to(command: &Command) -> Right {
    match command {
        Command::Pause | Command::Resume | Command::Promote | Command::Abort { .. } => Right::Drive,
        Command::RollBack { .. } => Right::RollBack,
        Command::Approve | Command::Reject { .. } => Right::Approve,
    }
}

fn subject(id: &DeploymentId) -> String {
    format!("deployment/{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_id_is_the_version_and_the_end_of_the_deployment() {
        let id = DeploymentId("01937f2e-7b5c-7d31-9c55-2f8a6e4b1c0d".to_owned());
        assert_eq!(launch_id(&id, "1.4.0").0, "1.4.0-6e4b1c0d");
    }
}
