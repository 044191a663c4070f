//! Packages, wherever they are kept: on this machine, and in a database that several servers share.
//!
//! Invariant: what comes from the database is checked against its digest before it counts.

use bytes::Bytes;
use domain::release::Digest;
use futures_util::stream;
use store::{Store, servers::PART_BYTES_MAX};
use tokio::io::AsyncReadExt;

use crate::{Error, artifacts::Artifacts};

/// Packages of this server and of those that share its database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Packages {
    artifacts: Artifacts,
    shared: Option<Store>,
}

impl Packages {
    /// Packages that are kept in `artifacts`, and in `store` where other servers use it too.
    #[must_use]
    pub fn new(artifacts: Artifacts, store: &Store) -> Self {
        Self {
            artifacts,
            shared: store.is_shared().then(|| store.clone()),
        }
    }

    /// The packages of this machine.
    pub(crate) fn here(&self) -> &Artifacts {
        &self.artifacts
    }

    /// Lets the other servers have a package that is here.
    pub(crate) async fn share(&self, digest: &Digest) -> Result<(), Error> {
        let Some(store) = &self.shared else {
            return Ok(());
        };
        if store.package_parts(digest).await?.is_some() {
            return Ok(());
        }
        let reading = |source| Error::Disk {
            doing: "reading a package",
            source,
        };
        let path = self.artifacts.folder().join(digest.as_str());
        let mut file = tokio::fs::File::open(path).await.map_err(reading)?;
        let mut parts = 0;
        loop {
            let mut part = Vec::with_capacity(PART_BYTES_MAX);
            let limit = PART_BYTES_MAX as u64;
            let mut piece = (&mut file).take(limit);
            if piece.read_to_end(&mut part).await.map_err(reading)? == 0 {
                break;
            }
            store.put_package_part(digest, parts, &part).await?;
            parts += 1;
        }
        Ok(store.package_is_whole(digest, parts).await?)
    }

    /// Makes sure that a package is here, if any server has it.
    ///
    /// # Errors
    /// When the database or the disk says no. A package that nobody has is no error.
    pub async fn bring_here(&self, digest: &Digest) -> Result<(), Error> {
        let Some(store) = &self.shared else {
            return Ok(());
        };
        if self.artifacts.folder().join(digest.as_str()).exists() {
            return Ok(());
        }
        let Some(parts) = store.package_parts(digest).await? else {
            return Ok(());
        };
        let pieces = stream::iter(0..parts);
        let pieces = futures_util::StreamExt::then(pieces, |part| async move {
            store.package_part(digest, part).await.map(Bytes::from)
        });
        let received = self.artifacts.receive(pieces).await?;
        if received.digest != *digest {
            return Err(Error::Internal {
                doing: "comparing a package of the database with its digest",
            });
        }
        self.artifacts.keep(received).await
    }
}
