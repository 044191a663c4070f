//! The clouds of this program: one line for each provider.

use std::sync::Arc;

use domain::catalogue::ProviderKind;
use operations::clouds::Clouds;

use crate::config::Config;

/// The clouds that the configuration asks for, and this build has.
///
/// # Errors
/// When the one-machine cloud cannot be reached or started.
pub async fn configured(config: &Config) -> anyhow::Result<Clouds> {
    let mut clouds = Clouds::default();
    let artifacts = config.data.join("artifacts").join("sha256");
    #[cfg(feature = "aws")]
    clouds.insert(ProviderKind::Aws, Arc::new(aws(artifacts.clone())));
    if !config.no_local_cloud {
        let (state, port) = (config.local_state(), config.listen.port());
        let users = config.instance_users;
        let local = provider_local::cloud::Local::start(state, artifacts, port, users).await?;
        clouds.insert(ProviderKind::Local, Arc::new(local));
    }
    Ok(clouds)
}

#[cfg(feature = "aws")]
fn aws(packages: std::path::PathBuf) -> provider_aws::Aws {
    let clock = Arc::new(operations::clock::SystemClock);
    provider_aws::Aws::new(clock, provider_aws::Settings::default(), packages)
}
