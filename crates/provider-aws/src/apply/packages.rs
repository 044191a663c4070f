//! Packages in S3, where instances fetch them. They are named by their digest and uploaded once.

use std::{path::PathBuf, time::Duration};

use aws_sdk_s3::{
    config::timeout::TimeoutConfig, primitives::ByteStream, types::ChecksumAlgorithm,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::release::Digest;
use engine::ports::{ErrorKind, ProviderError};

use crate::calls::{
    call::{HEAD_OBJECT, PUT_OBJECT},
    clients::Clients,
    errors::invalid,
};

/// How long the upload of a package may take at release time: a gigabyte at 1 MB a second.
const UPLOAD: Duration = Duration::from_secs(20 * 60);

/// How long the upload of a package may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// As long as any call, because an engine's turn waits for it.
    OfATurn,
    /// As long as a large package takes.
    OfAnUpload,
}

/// The folder with the packages before they are in S3. Each is a file named by its digest.
#[derive(Debug, Clone)]
pub struct Packages {
    /// Its path.
    pub folder: PathBuf,
}

/// Where instances fetch a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The bucket.
    pub bucket: String,
    /// The key in it.
    pub key: String,
    /// The region of the account.
    pub region: String,
}

impl Packages {
    /// Makes sure that the package is in the account's bucket. S3 checks the digest on upload, and
    /// instances check it again.
    pub async fn bring(
        &self,
        clients: &Clients,
        digest: &Digest,
        patience: Patience,
    ) -> Result<Location, ProviderError> {
        let account = &clients.account;
        let bucket = account.package_bucket.clone().ok_or_else(|| {
            invalid(format!(
                "the account {} has no S3 bucket for packages; set `package_bucket` in its manifest",
                account.name
            ))
        })?;
        let location = Location {
            bucket,
            key: format!("pointsman/sha256/{digest}.tar.gz"),
            region: account.region.clone().unwrap_or_default(),
        };
        if !is_there(clients, &location).await? {
            self.put(clients, &location, digest, patience).await?;
        }
        Ok(location)
    }

    async fn put(
        &self,
        clients: &Clients,
        location: &Location,
        digest: &Digest,
        patience: Patience,
    ) -> Result<(), ProviderError> {
        let path = self.folder.join(digest.as_str());
        let body = ByteStream::from_path(&path).await.map_err(|error| {
            let message = format!("the package {digest} cannot be read: {error}");
            ProviderError::new(ErrorKind::Missing, message)
        })?;
        let request = clients
            .s3
            .put_object()
            .bucket(&location.bucket)
            .key(&location.key)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .checksum_sha256(STANDARD.encode(bytes(digest)))
            .body(body);
        match patience {
            Patience::OfATurn => clients.make(&PUT_OBJECT, request.send()).await?,
            Patience::OfAnUpload => {
                let timeouts = TimeoutConfig::builder().operation_timeout(UPLOAD);
                let config = aws_sdk_s3::config::Builder::new().timeout_config(timeouts.build());
                let request = request.customize().config_override(config);
                clients.make(&PUT_OBJECT, request.send()).await?
            }
        };
        Ok(())
    }
}

async fn is_there(clients: &Clients, location: &Location) -> Result<bool, ProviderError> {
    let request = clients.s3.head_object();
    let request = request.bucket(&location.bucket).key(&location.key);
    match clients.make(&HEAD_OBJECT, request.send()).await {
        Ok(_) => Ok(true),
        Err(failed) if failed.is("NotFound") => Ok(false),
        Err(failed) => Err(failed.error),
    }
}

fn bytes(digest: &Digest) -> Vec<u8> {
    let digits = digest.as_str().as_bytes();
    let value = |digit: u8| match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit - b'a' + 10,
    };
    digits
        .chunks(2)
        .map(|pair| value(pair[0]) << 4 | value(pair[1]))
        .collect()
}
