//! The portal of a large installation: 10,000 services in 20 environments after 50,000 deployments. Each page is
//! asked for again and again by one who may see everything and by one who may see one team; then 200 browsers
//! watch one deployment. Prints times, sizes and memory; `--postgres URL` uses that database.

mod installation;
mod pages;
mod viewers;

use installation::Installation;

/// Services of the small installation, which the large one is compared with.
const SMALL: usize = 100;
const LARGE: usize = 10_000;
const DEPLOYMENTS: usize = 50_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // An error means that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut arguments = std::env::args().skip(1);
    let database = match (arguments.next().as_deref(), arguments.next()) {
        (Some("--postgres"), url @ Some(_)) => url,
        (None, _) => None,
        (Some(other), _) => anyhow::bail!("{other} is not understood; there is --postgres URL"),
    };
    let installation = Installation::start(database).await?;
    installation.grow(SMALL, SMALL * 5).await?;
    let small = pages::measured(&installation, SMALL).await?;
    installation.grow(LARGE, DEPLOYMENTS).await?;
    let large = pages::measured(&installation, LARGE).await?;
    pages::print(&small, &large);
    viewers::measured(&installation).await?;
    installation.stop().await;
    Ok(())
}
