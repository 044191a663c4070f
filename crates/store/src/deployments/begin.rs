//! How a deployment begins, and what people may do to one that runs.
//!
//! Invariant: between the look that governance took and the transaction that begins the deployment
//! the world may have moved; so governance looks once more, inside of it.

use domain::{
    deployment::Deployment,
    event::Event,
    governance::{Admitted, Artifact, Facts, admit},
    time::UnixMs,
};
use sqlx::AnyConnection;

use super::{
    facts::facts_in,
    record::{Written, surge},
};
use crate::{Audit, Store, StoreError};

impl Store {
    /// Begins a deployment at the time of `audit`. The facts are read again in the same transaction.
    ///
    /// # Errors
    /// [`StoreError::AlreadyRunning`]; [`StoreError::Refused`] when governance says no by now;
    /// [`StoreError::Superseded`] when the server group, its account, the release or what is live
    /// is another by now; [`StoreError::Invalid`] when `deployment` is not what was admitted; or when the database
    /// fails.
    pub async fn begin(
        &self,
        admitted: &Admitted,
        deployment: &Deployment,
        event: &Event,
        audit: Audit,
    ) -> Result<(), StoreError> {
        check_admitted(admitted, deployment)?;
        let written = Written::of(deployment, std::slice::from_ref(event))?;
        let mut writer = self.audited().await?;
        look_again(writer.connection(), (admitted, deployment), audit.at()).await?;
        let surge = planned_surge(admitted, deployment);
        match written.insert(writer.connection(), surge).await {
            Err(error) if is_unique_violation(&error) => Err(StoreError::Superseded {
                what: format!("deployment {}", deployment.id),
            }),
            Err(error) => Err(error),
            Ok(()) => writer.commit(&[audit]).await,
        }
    }

    /// Stores a deployment after a person's command, provided that the stored version is
    /// `deployment.version - 1`.
    ///
    /// # Errors
    /// [`StoreError::Superseded`] when the engine or somebody else was faster, or when it is not
    /// there: read it again and give the command anew. [`StoreError::TooLarge`], or when the
    /// database fails.
    pub async fn command(
        &self,
        deployment: &Deployment,
        events: &[Event],
        audit: Audit,
    ) -> Result<(), StoreError> {
        let written = Written::of(deployment, events)?;
        let mut writer = self.audited().await?;
        if written.update(writer.connection()).await? {
            return writer.commit(&[audit]).await;
        }
        Err(StoreError::Superseded {
            what: format!("deployment {}", deployment.id),
        })
    }
}

/// What begins is what was admitted.
fn check_admitted(admitted: &Admitted, deployment: &Deployment) -> Result<(), StoreError> {
    let (wish, release) = (admitted.wish(), admitted.release());
    let content = match admitted.switches_to() {
        Some(running) => running.content.clone(),
        None => admitted.content(),
    };
    let same = deployment.target.place == wish.place
        && deployment.target.group == *admitted.group()
        && deployment.target.account.as_ref() == admitted.account()
        && deployment.launch.content == content
        && deployment.strategy == wish.strategy
        && deployment.launch.version == release.version
        && deployment.stable.as_ref() == admitted.stable()
        && deployment.version == 1
        && deployment.ending.is_none();
    if same {
        return Ok(());
    }
    Err(StoreError::Invalid {
        field: "deployment",
        why: "is not the one that governance admitted".to_owned(),
    })
}

/// Everything is still as it was when governance said yes.
async fn look_again(
    connection: &mut AnyConnection,
    (admitted, deployment): (&Admitted, &Deployment),
    now: UnixMs,
) -> Result<(), StoreError> {
    let place = &deployment.target.place;
    let seen = facts_in(connection, admitted.wish(), now).await?;
    if let Some(running) = seen.running {
        return Err(StoreError::AlreadyRunning(running));
    }
    let facts = Facts {
        artifact: Artifact::Intact,
        seen: admitted.seen().clone(),
        ..seen
    };
    let now = admit(admitted.wish().clone(), facts).map_err(StoreError::Refused)?;
    let what = if now.group() != admitted.group() {
        format!("the server group {place}")
    } else if now.account() != admitted.account() {
        format!("the account of {place}")
    } else if now.release().content != admitted.release().content {
        format!("release {}", now.release().version)
    } else if now.stable() != deployment.stable.as_ref() {
        format!("what is live in {place}")
    } else {
        return Ok(());
    };
    Err(StoreError::Superseded { what })
}

/// Instances beyond the group's own at the peak, by the same numbers that governance used.
fn planned_surge(admitted: &Admitted, deployment: &Deployment) -> u32 {
    surge(admitted.peak(), deployment)
}

/// The id is taken, or somebody was faster in a way that no lock prevents.
fn is_unique_violation(error: &StoreError) -> bool {
    match error {
        StoreError::Database { source, .. } => source
            .as_database_error()
            .is_some_and(|error| error.is_unique_violation()),
        _ => false,
    }
}
