//! The one-machine cloud as a provider: its process is started when it does not run, and again when
//! it died.
//!
//! Invariant: the cloud outlives this process; nothing here ends it.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use domain::{
    effect::{Effect, Target, Token},
    names::Place,
    observation::{Observation, Slice},
    time::UnixMs,
};
use engine::ports::{Provider, ProviderError};
use futures_util::StreamExt;
use provider_local::{
    client::{self, Launcher, LocalCloud},
    wire::LogsQuery,
};
use tokio::task::JoinHandle;

use crate::logs::{Text, Wanted};

/// Between two looks whether it still runs: users of a cloud that died wait this long, and as long
/// as it takes to start.
const LOOK: Duration = Duration::from_millis(250);

/// The one-machine cloud of one state folder. Cheap to clone.
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
    /// Makes sure that the cloud with the state folder `state` runs, and keeps it running.
    /// `artifacts` holds each artifact as a file named by its digest.
    ///
    /// # Errors
    /// When it cannot be started; its log in the state folder says why.
    pub async fn start(state: PathBuf, artifacts: PathBuf) -> anyhow::Result<Self> {
        let cloud = LocalCloud::new(&state, artifacts);
        let launcher = Launcher {
            program: std::env::current_exe()?,
            state,
            router_port: None,
            metrics_port: None,
        };
        let status = client::ensure_running(&launcher).await?;
        let router_port = Arc::new(AtomicU16::new(status.router_port));
        let keeper = tokio::spawn(keep(cloud.clone(), launcher, Arc::clone(&router_port)));
        Ok(Self {
            cloud,
            router_port,
            _keeper: Arc::new(Keeper(keeper)),
        })
    }

    /// Where users reach a service.
    #[must_use]
    pub fn url(&self, place: &Place) -> String {
        let port = self.router_port.load(Ordering::Relaxed);
        format!("http://{place}.localhost:{port}")
    }

    /// Words that let a tester into one slice of a place, and when they end.
    ///
    /// # Errors
    /// When it does not answer, or nothing was ever deployed there.
    pub async fn pass(
        &self,
        place: &Place,
        slice: Slice,
        seconds: u32,
    ) -> Result<(String, UnixMs), ProviderError> {
        let pass = self.cloud.pass(place, slice, seconds).await?;
        Ok((pass.token, pass.expires))
    }

    /// Logs of the instances at a place.
    ///
    /// # Errors
    /// When it does not answer, or nothing was ever deployed there.
    pub async fn logs(&self, place: &Place, wanted: Wanted) -> Result<Text, ProviderError> {
        let query = LogsQuery {
            place: place.clone(),
            instance: wanted.instance,
            lines: usize::try_from(wanted.lines).unwrap_or(usize::MAX),
            follow: wanted.follow,
        };
        Ok(self.cloud.logs(&query).await?.boxed())
    }
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

/// Looks after the cloud for ever.
async fn keep(cloud: LocalCloud, launcher: Launcher, router_port: Arc<AtomicU16>) {
    loop {
        tokio::time::sleep(LOOK).await;
        if cloud.status().await.is_ok() {
            continue;
        }
        tracing::warn!(state = %launcher.state.display(), "the one-machine cloud does not answer; starting it");
        match client::ensure_running(&launcher).await {
            Ok(status) => router_port.store(status.router_port, Ordering::Relaxed),
            Err(error) => tracing::error!(%error, "the one-machine cloud cannot be started"),
        }
    }
}
