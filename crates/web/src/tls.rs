//! TLS from files, which may be replaced while the server runs.
//!
//! Invariant: there is always a certificate that counts: files that cannot be used change nothing, and that
//! is said in the log and by `/health` until they can.

use std::{
    fmt, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where certificate and key are, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and those that lead to a root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The certificate that counts now. Cheap to clone.
#[derive(Clone)]
pub struct Certificates {
    files: TlsFiles,
    known: Arc<Mutex<Known>>,
}

struct Known {
    config: Arc<ServerConfig>,
    seen: [u8; 32],
    trouble: Option<Arc<TlsError>>,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The system says no.
    #[error("{path} cannot be read: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Every user of the machine can read the key.
    #[error("every user of this machine can read {0}; run `chmod o-rwx` on it")]
    Open(PathBuf),
    /// There is no certificate, or no key.
    #[error("{path} holds no {what} in PEM that can be used")]
    Empty {
        /// Which.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// They do not fit.
    #[error("certificate and key cannot be used together: {0}")]
    Unfit(rustls::Error),
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificates({})", self.files.certificate.display())
    }
}

impl Certificates {
    /// What is in the files now.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let (certificate, key) = files.read()?;
        let known = Known {
            config: files.config(&certificate, &key)?,
            seen: digest(&certificate, &key),
            trouble: None,
        };
        Ok(Self {
            files,
            known: Arc::new(Mutex::new(known)),
        })
    }

    /// Takes over what the files hold whenever they change. Never ends.
    pub async fn follow(self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.look();
        }
    }

    /// Why the files as they are now do not count; `None`: they do.
    #[must_use]
    pub fn trouble(&self) -> Option<Arc<TlsError>> {
        self.known().trouble.clone()
    }

    /// Accepts connections with the certificate that counts now.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.known().config).into()
    }

    fn look(&self) {
        let read = self.files.read();
        let seen = match &read {
            Ok((certificate, key)) => digest(certificate, key),
            Err(error) => digest(error.to_string().as_bytes(), &[]),
        };
        if self.known().seen == seen {
            return;
        }
        let config = read.and_then(|(certificate, key)| self.files.config(&certificate, &key));
        let mut known = self.known();
        known.seen = seen;
        match config {
            Ok(config) => {
                known.config = config;
                known.trouble = None;
                tracing::info!(file = %self.files.certificate.display(), "the certificate was replaced");
            }
            Err(error) => {
                tracing::error!(%error, "the old certificate stays");
                known.trouble = Some(Arc::new(error));
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TlsFiles {
    fn read(&self) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
        let key = read(&self.key)?;
        let open = fs::metadata(&self.key).is_ok_and(|it| it.permissions().mode() & 0o007 != 0);
        match open {
            true => Err(TlsError::Open(self.key.clone())),
            false => Ok((read(&self.certificate)?, key)),
        }
    }

    fn config(&self, certificate: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
        let empty = |path: &Path, what| TlsError::Empty {
            path: path.to_owned(),
            what,
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| empty(&self.certificate, "certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(key);
        let key = key.map_err(|_| empty(&self.key, "private key"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unfit)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(TlsError::Unfit)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::File {
        path: path.to_owned(),
        source,
    })
}

fn digest(one: &[u8], other: &[u8]) -> [u8; 32] {
    let mut all = Sha256::new();
    all.update(one.len().to_le_bytes());
    all.update(one);
    all.update(other);
    all.finalize().into()
}
