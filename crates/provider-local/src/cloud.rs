//! The one-machine cloud, as operations know clouds. Its process is started when it does not run, and
//! again when it died.
//!
//! Invariant: the cloud outlives this process; nothing here ends it.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use domain::{
    catalogue::Account,
    checkup::{Check, CheckStatus},
    effect::{Effect, Target, Token},
    observation::Observation,
    slice::Slice,
};
use engine::ports::{ErrorKind, Provider, ProviderError};
use futures_util::StreamExt;
use operations::{
    cloud::{Answered, Cloud, LogQuery, LogText, Pass},
    lasting::lasting,
};
use tokio::task::JoinHandle;

use crate::{
    client::{self, Launcher, LocalCloud},
    program,
    users::{Apart, UserIds},
    wire::LogsQuery,
};

/// Between two looks whether it still runs: users of a cloud that died wait this long, and as long
/// as it takes to start.
const LOOK: Duration = Duration::from_millis(250);

/// The one-machine cloud of one state folder, kept running. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Local {
    cloud: LocalCloud,
    router_port: Arc<AtomicU16>,
    _keeper: Arc<Keeper>,
}

/// Starts the cloud again when it died, for as long as anybody uses it.
#[derive(Debug)]
struct Keeper(JoinHandle<()>);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Local {
    /// Makes sure that the cloud with the state folder `state` runs, from the program that runs here,
    /// and keeps it running. One of another build is replaced; its instances and users notice nothing.
    /// `artifacts` holds each artifact as a file named by its digest. No instance gets the port
    /// `reserved`, which is that of the control plane. Instances run as users with the ids `user_ids`
    /// where the system allows it.
    ///
    /// # Errors
    /// When it cannot be started; its log in the state folder says why.
    pub async fn start(
        state: PathBuf,
        artifacts: PathBuf,
        reserved: u16,
        user_ids: Option<UserIds>,
    ) -> Result<Self, ProviderError> {
        let cloud = LocalCloud::new(&state, artifacts);
        let launcher = Launcher {
            program: PathBuf::from(program::OWN),
            state,
            router_port: None,
            metrics_port: None,
            user_ids,
        };
        let build = program::build().map_err(|error| nameless(&error))?;
        let mut status = client::ensure_running(&launcher).await?;
        if status.build != build || status.user_ids != user_ids {
            cloud.shut_down(false).await?;
            cloud.until_ended(&status).await;
            status = client::ensure_running(&launcher).await?;
        }
        cloud.reserve(vec![reserved]).await?;
        let router_port = Arc::new(AtomicU16::new(status.router_port));
        let kept = (cloud.clone(), Arc::clone(&router_port));
        let keeper = tokio::spawn(lasting("the keeper of the one-machine cloud", move || {
            keep(kept.0.clone(), launcher.clone(), Arc::clone(&kept.1))
        }));
        Ok(Self {
            cloud,
            router_port,
            _keeper: Arc::new(Keeper(keeper)),
        })
    }
}

impl Local {
    /// How many instances are there.
    ///
    /// # Errors
    /// When the cloud does not answer.
    pub async fn instances(&self) -> Result<usize, ProviderError> {
        Ok(self.cloud.status().await?.instances)
    }
}

fn nameless(error: &io::Error) -> ProviderError {
    let text = format!("cannot find the program to start the one-machine cloud with: {error}");
    ProviderError::new(ErrorKind::Unavailable, text)
}

impl Provider for Local {
    async fn observe(&self, target: &Target) -> Result<Observation, ProviderError> {
        self.cloud.observe(target).await
    }

    async fn apply(
        &self,
        target: &Target,
        effect: &Effect,
        token: &Token,
    ) -> Result<(), ProviderError> {
        self.cloud.apply(target, effect, token).await
    }
}

impl Cloud for Local {
    fn url(&self, target: &Target) -> Option<String> {
        let port = self.router_port.load(Ordering::Relaxed);
        Some(format!("http://{}.localhost:{port}", target.place))
    }

    fn logs<'a>(&'a self, target: &'a Target, query: LogQuery) -> Answered<'a, LogText> {
        Box::pin(async move {
            let query = LogsQuery {
                place: target.place.clone(),
                instance: query.instance,
                lines: usize::try_from(query.lines).unwrap_or(usize::MAX),
                follow: query.follow,
            };
            Ok(self.cloud.logs(&query).await?.boxed())
        })
    }

    fn pass<'a>(&'a self, target: &'a Target, slice: Slice, seconds: u32) -> Answered<'a, Pass> {
        Box::pin(async move {
            let pass = self.cloud.pass(&target.place, slice, seconds).await?;
            Ok(Pass {
                token: pass.token,
                slice,
                expires: pass.expires,
            })
        })
    }

    fn checkup<'a>(
        &'a self,
        _account: &'a Account,
        _targets: &'a [Target],
    ) -> Answered<'a, Vec<Check>> {
        let found = "instances are processes on the server's own machine";
        let check = Check::new("this machine", CheckStatus::Ok, found);
        Box::pin(async move { Ok(vec![check, users_of(&self.cloud.status().await?.apart)]) })
    }
}

/// What keeps services apart from each other and from the server.
fn users_of(apart: &Apart) -> Check {
    match apart {
        Apart::Yes(ids) => {
            let found = format!(
                "each server group runs as a user of its own, with an id of {ids}, and cannot read what belongs to others or to the server"
            );
            Check::new("users", CheckStatus::Ok, found)
        }
        Apart::No(why) => {
            let found = format!(
                "instances run as the user of the one-machine cloud, and can read and change whatever that user can: {why}"
            );
            Check::new("users", CheckStatus::Warning, found).with(why.remedy())
        }
    }
}

/// Starts the cloud whenever it does not answer.
async fn keep(cloud: LocalCloud, launcher: Launcher, known: Arc<AtomicU16>) {
    loop {
        tokio::time::sleep(LOOK).await;
        if cloud.status().await.is_ok() {
            continue;
        }
        tracing::warn!(state = %launcher.state.display(), "the one-machine cloud does not answer; starting it");
        // Users know this port, and the cloud may have lost its state along with its life.
        let router_port = known.load(Ordering::Relaxed);
        let launcher = Launcher {
            router_port: Some(router_port),
            ..launcher.clone()
        };
        match client::ensure_running(&launcher).await {
            Ok(status) => known.store(status.router_port, Ordering::Relaxed),
            Err(error) => tracing::error!(%error, "the one-machine cloud cannot be started"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::NotApart;

    #[test]
    fn a_check_up_says_whether_services_are_apart_and_why_not() {
        let apart = users_of(&Apart::Yes(UserIds::default()));
        assert_eq!((apart.status, apart.remedy), (CheckStatus::Ok, None));
        let shared = users_of(&Apart::No(NotApart::Closed("/root".into())));
        assert_eq!(shared.status, CheckStatus::Warning);
        assert!(
            shared
                .found
                .ends_with("other users cannot get through /root")
        );
        let remedy = shared.remedy.unwrap();
        assert!(remedy.contains("such as /var/lib/pointsman"), "{remedy}");
    }
}
