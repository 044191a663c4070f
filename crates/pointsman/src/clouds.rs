//! The clouds of this program: one line for each provider.

use std::sync::Arc;

use domain::catalogue::ProviderKind;
use operations::clouds::Clouds;

use crate::{config::Config, telemetry};

/// The clouds that the configuration asks for, and this build has. A database that was not `used` yet
/// knows nothing of what may run already.
///
/// # Errors
/// When the one-machine cloud cannot be reached or started.
pub async fn configured(config: &Config, used: bool) -> anyhow::Result<Clouds> {
    let mut clouds = Clouds::default();
    let artifacts = config.data.join("artifacts").join("sha256");
    #[cfg(feature = "aws")]
    clouds.insert(ProviderKind::Aws, Arc::new(aws(artifacts.clone())));
    if !config.no_local_cloud {
        let (state, port) = (config.local_state(), config.listen.port());
        let users = config.instance_users;
        let local = provider_local::cloud::Local::start(state, artifacts, port, users).await?;
        let running = if used { 0 } else { local.instances().await? };
        if running > 0 {
            telemetry::tell(&format!(
                "this database is new, but the one-machine cloud in {} runs {running} instances that it does not know; if a database was lost, stop this server and put its backup back",
                config.local_state().display()
            ));
        }
        clouds.insert(ProviderKind::Local, Arc::new(local));
    }
    Ok(clouds)
}

#[cfg(feature = "aws")]
fn aws(packages: std::path::PathBuf) -> provider_aws::Aws {
    let clock = Arc::new(operations::clock::SystemClock);
    provider_aws::Aws::new(clock, provider_aws::Settings::default(), packages)
}
