//! Releases: made once, of a package or a machine image, immutable, and taken out of use when they turn out bad.

use bytes::Bytes;
use domain::{
    access::{Resource, Right},
    catalogue::Kind,
    names::{ServiceName, Version},
    release::{Content, Digest, ImageId, Release, Withdrawal},
};
use futures_util::Stream;
use serde_json::json;
use store::releases::Created as Stored;

use super::{
    Desk, Error, Operations, Page, desk::Permit, environments::checked_reason, error::Fault,
};

/// What became of a request for a new release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// It is a new release.
    Created(Release),
    /// The same content is there already under this version.
    AlreadyThere(Release),
}

impl Desk {
    /// Takes in the artifact of a new release, which has the digest `expected` if one is announced.
    ///
    /// # Errors
    /// [`Error::Unknown`] service; [`Error::ReleaseConflict`] when the version has other content;
    /// and those of [`super::artifacts::Artifacts::receive`]. Nothing is stored then.
    pub async fn create_release<E: std::fmt::Display>(
        &self,
        (service, version): (ServiceName, Version),
        upload: impl Stream<Item = Result<Bytes, E>> + Send,
        expected: Option<&Digest>,
    ) -> Result<Created, Error> {
        let permit = self
            .may(Right::Release, Resource::Service(&service))
            .await?;
        permit.entry(Kind::Service, service.as_str()).await?;
        let received = permit.artifacts().receive(upload).await?;
        if let Some(expected) = expected.filter(|expected| **expected != received.digest) {
            let message = format!("{} arrived, and {expected} was announced", received.digest);
            return Err(Error::Invalid {
                what: "the artifact",
                faults: vec![Fault::of("digest", message)],
            });
        }
        let there = permit.store().release(&service, &version).await?;
        if let Some(there) = there.filter(|there| there.content.digest() != Some(&received.digest))
        {
            return Err(Error::ReleaseConflict(Box::new(there)));
        }
        let content = Content::package(received.digest.clone());
        let size_bytes = received.size_bytes;
        permit.artifacts().keep(received).await?;
        if let Some(digest) = content.digest() {
            permit.packages().share(digest).await?;
        }
        permit
            .store_release((service, version), content, size_bytes)
            .await
    }

    /// Makes a release of a machine image that has the service in it. Whether the image is there,
    /// the account says at each deployment; nothing is asked of it now.
    ///
    /// # Errors
    /// [`Error::Unknown`] service; [`Error::ReleaseConflict`] when the version has other content.
    pub async fn release_image(
        &self,
        (service, version): (ServiceName, Version),
        image: ImageId,
    ) -> Result<Created, Error> {
        let permit = self
            .may(Right::Release, Resource::Service(&service))
            .await?;
        permit.entry(Kind::Service, service.as_str()).await?;
        permit
            .store_release((service, version), Content::Image { image }, 0)
            .await
    }

    /// One release.
    ///
    /// # Errors
    /// [`Error::Unknown`] when there is none.
    pub async fn release(
        &self,
        service: &ServiceName,
        version: &Version,
    ) -> Result<Release, Error> {
        let permit = self.may(Right::View, Resource::Service(service)).await?;
        permit.release(service, version).await
    }

    /// The releases of a service, newest first, after (older than) the version `after`.
    ///
    /// # Errors
    /// [`Error::Unknown`] service.
    pub async fn releases(
        &self,
        service: &ServiceName,
        after: Option<&Version>,
        limit: u32,
    ) -> Result<Page<Release>, Error> {
        let permit = self.may(Right::View, Resource::Service(service)).await?;
        permit.entry(Kind::Service, service.as_str()).await?;
        let fetch = Page::<Release>::fetch(limit);
        let releases = permit.store().releases(service, after, fetch).await?;
        Ok(Page::of(releases, limit, |release| {
            release.version.to_string()
        }))
    }

    /// Takes a release out of use. One that is out of use already stays as it is.
    ///
    /// # Errors
    /// [`Error::Unknown`] release; [`Error::Invalid`] reason.
    pub async fn withdraw(
        &self,
        (service, version): (&ServiceName, &Version),
        reason: &str,
    ) -> Result<Release, Error> {
        let permit = self.may(Right::Release, Resource::Service(service)).await?;
        let withdrawal = Withdrawal {
            at: permit.now(),
            by: permit.principal().to_owned(),
            reason: checked_reason(reason)?,
        };
        permit.release(service, version).await?;
        let detail = json!({ "reason": withdrawal.reason });
        let audit = permit.audit("release.withdraw", &subject(service, version), detail);
        Ok(permit
            .store()
            .withdraw(service, version, &withdrawal, audit)
            .await?)
    }
}

impl Permit {
    async fn store_release(
        &self,
        (service, version): (ServiceName, Version),
        content: Content,
        size_bytes: u64,
    ) -> Result<Created, Error> {
        let release = Release {
            service,
            version,
            content,
            size_bytes,
            created_at: self.now(),
            created_by: self.principal().to_owned(),
            withdrawn: None,
        };
        let detail = json!({ "content": release.content, "size_bytes": release.size_bytes });
        let subject = subject(&release.service, &release.version);
        let audit = self.audit("release.create", &subject, detail);
        match self.store().create_release(&release, audit).await? {
            Stored::Created => Ok(Created::Created(release)),
            Stored::AlreadyThere(there) => Ok(Created::AlreadyThere(there)),
            Stored::Conflict(there) => Err(Error::ReleaseConflict(Box::new(there))),
        }
    }
}

impl Operations {
    /// One release.
    ///
    /// # Errors
    /// [`Error::Unknown`] when there is none.
    pub(crate) async fn release(
        &self,
        service: &ServiceName,
        version: &Version,
    ) -> Result<Release, Error> {
        let release = self.store().release(service, version).await?;
        release.ok_or_else(|| Error::Unknown {
            what: format!("release {version} of {service}"),
        })
    }
}

fn subject(service: &ServiceName, version: &Version) -> String {
    format!("release/{service}/{version}")
}
