//! The clouds of this program: one line for each provider.

use std::sync::Arc;

use anyhow::bail;
use domain::{
    catalogue::ProviderKind,
    cloud::{AwsAccount, Drives},
};
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

/// What this server drives: everything of the providers that it has; on AWS only what is in the accounts
/// that the configuration names, if it names any.
///
/// # Errors
/// When it names accounts, and this build has no AWS.
pub fn driven(config: &Config, clouds: &Clouds) -> anyhow::Result<Vec<Drives>> {
    let (kinds, named) = (clouds.kinds(), &config.aws_accounts);
    if !named.is_empty() && !kinds.contains(&ProviderKind::Aws) {
        bail!(
            "--aws-account names an account on AWS, which this build of pointsman does not know; remove the option, or build with `cargo build --release --features aws`"
        );
    }
    let driven = |kind| match kind {
        ProviderKind::Aws if !named.is_empty() => {
            let accounts = named.iter().cloned().map(AwsAccount::cloud);
            accounts.map(Drives::Only).collect()
        }
        kind => vec![Drives::Every(kind)],
    };
    Ok(kinds.into_iter().flat_map(driven).collect())
}

#[cfg(feature = "aws")]
fn aws(packages: std::path::PathBuf) -> provider_aws::Aws {
    let clock = Arc::new(operations::clock::SystemClock);
    provider_aws::Aws::new(clock, provider_aws::Settings::default(), packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_that_this_build_cannot_reach_are_refused() {
        let mut config = Config::new("data");
        let without_aws = Clouds::default();
        assert_eq!(driven(&config, &without_aws).unwrap(), []);
        config.aws_accounts = vec!["main/eu-west-1".parse().unwrap()];
        let refused = driven(&config, &without_aws).unwrap_err().to_string();
        assert!(
            refused.starts_with("--aws-account names an account on AWS, which this build"),
            "{refused}"
        );
    }
}
