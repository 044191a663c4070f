//! Releases: made once, of a package or a machine image, immutable, and taken out of use when they turn out bad.

use bytes::Bytes;
use domain::{
    catalogue::Kind,
    names::{ServiceName, Version},
    release::{Content, ImageId, Release, Withdrawal},
};
use futures_util::Stream;
use serde_json::json;
use store::releases::Created as Stored;

use super::{Actor, Error, Operations, Page, environments::checked_reason};

/// What became of a request for a new release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// It is a new release.
    Created(Release),
    /// The same content is there already under this version.
    AlreadyThere(Release),
}

impl Operations {
    /// Takes in the artifact of a new release.
    ///
    /// # Errors
    /// [`Error::Unknown`] service; [`Error::ReleaseConflict`] when the version has other content;
    /// and those of [`super::artifacts::Artifacts::receive`]. Nothing is stored then.
    pub async fn create_release<E: std::fmt::Display>(
        &self,
        actor: &Actor,
        (service, version): (ServiceName, Version),
        upload: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<Created, Error> {
        self.entry(Kind::Service, service.as_str()).await?;
        let received = self.artifacts().receive(upload).await?;
        let there = self.store().release(&service, &version).await?;
        if let Some(there) = there.filter(|there| there.content.digest() != Some(&received.digest))
        {
            return Err(Error::ReleaseConflict(Box::new(there)));
        }
        let content = Content::package(received.digest.clone());
        let size_bytes = received.size_bytes;
        self.artifacts().keep(received).await?;
        self.store_release(actor, (service, version), content, size_bytes)
            .await
    }

    /// Makes a release of a machine image that has the service in it. Whether the image is there,
    /// the account says at each deployment; nothing is asked of it now.
    ///
    /// # Errors
    /// [`Error::Unknown`] service; [`Error::ReleaseConflict`] when the version has other content.
    pub async fn release_image(
        &self,
        actor: &Actor,
        (service, version): (ServiceName, Version),
        image: ImageId,
    ) -> Result<Created, Error> {
        self.entry(Kind::Service, service.as_str()).await?;
        self.store_release(actor, (service, version), Content::Image { image }, 0)
            .await
    }

    async fn store_release(
        &self,
        actor: &Actor,
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
            created_by: actor.name().to_owned(),
            withdrawn: None,
        };
        let detail = json!({ "content": release.content, "size_bytes": release.size_bytes });
        let subject = subject(&release.service, &release.version);
        let audit = self.audit(actor, "release.create", &subject, detail);
        match self.store().create_release(&release, audit).await? {
            Stored::Created => Ok(Created::Created(release)),
            Stored::AlreadyThere(there) => Ok(Created::AlreadyThere(there)),
            Stored::Conflict(there) => Err(Error::ReleaseConflict(Box::new(there))),
        }
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
        let release = self.store().release(service, version).await?;
        release.ok_or_else(|| Error::Unknown {
            what: format!("release {version} of {service}"),
        })
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
        self.entry(Kind::Service, service.as_str()).await?;
        let fetch = Page::<Release>::fetch(limit);
        let releases = self.store().releases(service, after, fetch).await?;
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
        actor: &Actor,
        (service, version): (&ServiceName, &Version),
        reason: &str,
    ) -> Result<Release, Error> {
        let withdrawal = Withdrawal {
            at: self.now(),
            by: actor.name().to_owned(),
            reason: checked_reason(reason)?,
        };
        self.release(service, version).await?;
        let detail = json!({ "reason": withdrawal.reason });
        let audit = self.audit(
            actor,
            "release.withdraw",
            &subject(service, version),
            detail,
        );
        Ok(self
            .store()
            .withdraw(service, version, &withdrawal, audit)
            .await?)
    }
}

fn subject(service: &ServiceName, version: &Version) -> String {
    format!("release/{service}/{version}")
}
