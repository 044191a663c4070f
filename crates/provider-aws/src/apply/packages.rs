//! Packages in S3, where instances fetch them: named by their digest, brought there once.

use std::{path::PathBuf, time::Duration};

use aws_sdk_s3::{
    config::timeout::TimeoutConfig, primitives::ByteStream, types::ChecksumAlgorithm,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::release::Digest;
use engine::ports::{ErrorKind, ProviderError};

use crate::calls::{
    clients::Clients,
    errors::{failed, invalid},
    rate_limiter::Bucket,
};

const HEAD: &str = "s3:HeadObject";
const PUT: &str = "s3:PutObject";

/// How long a package may take to be brought at release time: a gigabyte at 1 MB a second.
const UPLOAD: Duration = Duration::from_secs(20 * 60);

/// How long bringing a package may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// As long as any call: an engine's turn waits for it.
    OfATurn,
    /// As long as a large package takes.
    OfAnUpload,
}

/// Where packages are kept before they are in S3: each a file that is named by its digest.
#[derive(Debug, Clone)]
pub struct Packages {
    /// The folder.
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
    /// Makes sure that the package is in the account's bucket. S3 checks the digest as it takes it
    /// in, and instances check it again.
    pub async fn bring(
        &self,
        clients: &Clients,
        digest: &Digest,
        patience: Patience,
    ) -> Result<Location, ProviderError> {
        let account = &clients.account;
        let bucket = account.package_bucket.clone().ok_or_else(|| {
            invalid(format!(
                "the account {} names no S3 bucket for packages",
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
        clients.calls.take(Bucket::Other, PUT).await;
        let request = clients
            .s3
            .put_object()
            .bucket(&location.bucket)
            .key(&location.key)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .checksum_sha256(STANDARD.encode(bytes(digest)))
            .body(body);
        let answer = match patience {
            Patience::OfATurn => request.send().await,
            Patience::OfAnUpload => {
                let timeouts = TimeoutConfig::builder().operation_timeout(UPLOAD);
                let config = aws_sdk_s3::config::Builder::new().timeout_config(timeouts.build());
                request.customize().config_override(config).send().await
            }
        };
        answer.map(drop).map_err(|error| failed(PUT, &error))
    }
}

async fn is_there(clients: &Clients, location: &Location) -> Result<bool, ProviderError> {
    clients.calls.take(Bucket::Other, HEAD).await;
    let request = clients.s3.head_object();
    let answer = request
        .bucket(&location.bucket)
        .key(&location.key)
        .send()
        .await;
    match answer {
        Ok(_) => Ok(true),
        Err(error) if error.as_service_error().is_some_and(|it| it.is_not_found()) => Ok(false),
        Err(error) => Err(failed(HEAD, &error)),
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
