//! The identity providers of this program.

use std::{path::Path, sync::Arc};

use operations::sign_in::provider::IdentityProvider;

/// The identity providers of the file with their settings; none when there is no file.
///
/// # Errors
/// When the file cannot be used, or this build knows no protocol for them.
pub fn configured(file: Option<&Path>) -> anyhow::Result<Vec<Arc<dyn IdentityProvider>>> {
    file.map_or_else(|| Ok(Vec::new()), open_id)
}

#[cfg(feature = "oidc")]
fn open_id(file: &Path) -> anyhow::Result<Vec<Arc<dyn IdentityProvider>>> {
    let settings = identity::load(file)?.into_iter();
    let providers = settings.map(|settings| {
        let provider = identity::OpenId::new(settings)?;
        Ok(Arc::new(provider) as Arc<dyn IdentityProvider>)
    });
    providers.collect()
}

#[cfg(not(feature = "oidc"))]
fn open_id(_: &Path) -> anyhow::Result<Vec<Arc<dyn IdentityProvider>>> {
    anyhow::bail!(
        "this build does not know OpenID Connect; take a release build, or build with `cargo build --release --features oidc`, or start without --oidc"
    )
}
