//! The door: the only place where a credential becomes a principal.
//!
//! The one who started the server on their own machine has a token in a file that only they can read; where
//! others reach the server, the file holds the token of the first start instead, which makes the first admin
//! and opens nothing else (docs/adr/0034). Everybody else has sessions and tokens, whose hashes are in the
//! store.
//!
//! Invariant: a token is never logged, never an argument, never part of a URL. Only hashes are
//! compared: those of files in constant time, the others by an index over SHA-256.

use std::{
    fmt, fs,
    io::{self, Write},
    net::IpAddr,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use domain::access::{PersonName, Principal, Reach, Via, Who};
use operations::{
    Error, Operations,
    sign_in::{Password, SignInRefused, SignedIn},
};
use sha2::{Digest, Sha256};

/// Random bytes of a token.
const RANDOM_LEN: usize = 32;
/// Shortest token that is read from a file, in characters: less is no secret.
const TOKEN_LEN_MIN: usize = 32;
/// Between two looks at the file of the token.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A token's SHA-256. Only the hash is kept; comparing hashes tells nothing about the token.
type Hash = [u8; 32];

/// Where a credential becomes a principal.
#[derive(Debug)]
pub struct Door {
    keys: Keys,
    operations: Operations,
}

/// The tokens that are in files of the data folder.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// The token of the one who started the server on their own machine.
    pub owner: Option<Token>,
    /// The token of the first start: good for making the first admin, and for nothing else.
    pub first_start: Option<Token>,
}

/// A token in a file. When its file is replaced, the new one counts within a second, and the
/// old one no longer.
#[derive(Clone)]
pub struct Token {
    known: Arc<Mutex<Known>>,
    file: Option<PathBuf>,
}

/// What is known of a token, and since when.
struct Known {
    hash: Hash,
    looked_at: Instant,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file says no.
    #[error("the token file {path} cannot be used")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others can read it.
    #[error(
        "the token file {0} can be read by others; run `chmod 600` on it, or delete it to get a new token"
    )]
    Open(PathBuf),
    /// It holds no token.
    #[error(
        "the token file {0} holds no token of at least 32 characters; delete it to get a new one"
    )]
    Short(PathBuf),
    /// The system has no randomness.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

impl Door {
    /// Admits who shows one of `keys`, or what the store knows.
    #[must_use]
    pub fn new(keys: Keys, operations: Operations) -> Self {
        Self { keys, operations }
    }

    /// The principal who shows this token at the address `from`, if it is anybody's.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn admit(&self, shown: &str, from: IpAddr) -> Result<Option<Principal>, Error> {
        if is_key(self.keys.owner.as_ref(), shown) {
            let owner = Who::Person(PersonName::owner());
            return Ok(Some(
                Principal::authenticated(owner, Via::Owner, Reach::Full).at(from),
            ));
        }
        let known = self.operations.whose(shown, from).await?;
        Ok(known
            .map(|(who, id, reach)| Principal::authenticated(who, Via::Token(id), reach).at(from)))
    }

    /// The principal of the session with this secret, if it has not ended. Its use keeps it from ending
    /// idle.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn session(&self, secret: &str, from: IpAddr) -> Result<Option<Principal>, Error> {
        let known = self.operations.session_of(secret, from).await?;
        Ok(known.map(|(name, id, reach)| {
            Principal::authenticated(Who::Person(name), Via::Session(id), reach).at(from)
        }))
    }

    /// Makes the first person who can manage people, for the one who shows the token of the first start, and
    /// signs them in.
    ///
    /// # Errors
    /// [`Error::SignIn`] when the token is another one; [`Error::Exists`] when there is an admin already;
    /// [`Error::Invalid`] name or password.
    pub async fn make_first_admin(
        &self,
        token: &str,
        name: &str,
        password: Password,
        from: IpAddr,
    ) -> Result<SignedIn, Error> {
        self.operations.attempt_first_admin(from)?;
        if !is_key(self.keys.first_start.as_ref(), token) {
            return Err(SignInRefused::Wrong.into());
        }
        self.operations.make_first_admin(name, password, from).await
    }
}

/// Whether `shown` is this key; compared in constant time.
fn is_key(key: Option<&Token>, shown: &str) -> bool {
    key.is_some_and(|key| same(&key.hash(), &hash(shown)))
}

/// Whether two hashes are the same, in constant time.
fn same(a: &Hash, b: &Hash) -> bool {
    let differing = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(differing) == 0
}

impl Token {
    /// The token in `path`; made when the file is not there.
    ///
    /// # Errors
    /// When the file cannot be used, or others can read it.
    pub fn load_or_create(path: &Path) -> Result<Self, TokenError> {
        let failed = |source| TokenError::File {
            path: path.to_owned(),
            source,
        };
        let hash = match load(path) {
            Err(TokenError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let text = random()?;
                write_new(path, &text).map_err(failed)?;
                hash(&text)
            }
            loaded => loaded?,
        };
        Ok(Self {
            file: Some(path.to_owned()),
            ..Self::with(hash)
        })
    }

    /// A token with this text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::with(hash(text))
    }

    fn with(hash: Hash) -> Self {
        Self {
            known: Arc::new(Mutex::new(Known {
                hash,
                looked_at: Instant::now(),
            })),
            file: None,
        }
    }

    /// The hash of the token as its file is now, or was a moment ago. A file that is gone or no longer
    /// holds a secret changes nothing.
    fn hash(&self) -> Hash {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &self.file
            && known.looked_at.elapsed() > LOOK_EVERY
        {
            known.looked_at = Instant::now();
            match load(file) {
                Ok(hash) if hash != known.hash => {
                    known.hash = hash;
                    tracing::warn!("the token in the data folder was replaced");
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "the token in the data folder stays"),
            }
        }
        known.hash
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The hash of the token in a file.
fn load(path: &Path) -> Result<Hash, TokenError> {
    let failed = |source| TokenError::File {
        path: path.to_owned(),
        source,
    };
    let text = fs::read_to_string(path).map_err(failed)?;
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(TokenError::Open(path.to_owned()));
    }
    match text.trim() {
        text if text.len() < TOKEN_LEN_MIN => Err(TokenError::Short(path.to_owned())),
        text => Ok(hash(text)),
    }
}

fn hash(text: &str) -> Hash {
    Sha256::digest(text.as_bytes()).into()
}

fn random() -> Result<String, TokenError> {
    let mut bytes = [0; RANDOM_LEN];
    getrandom::fill(&mut bytes).map_err(TokenError::Random)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The file appears whole or not at all, so that a crash leaves no empty token.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let made = Token::load_or_create(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.trim().len(), 2 * RANDOM_LEN);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let read = Token::load_or_create(&path).unwrap();
        for token in [made, read] {
            assert!(same(&token.hash(), &hash(text.trim())));
            for wrong in [
                "",
                "x",
                &text,
                &text.trim()[1..],
                &text.trim().to_uppercase(),
            ] {
                assert!(
                    !same(&token.hash(), &hash(wrong)),
                    "{wrong:?} is not the token"
                );
            }
        }
    }

    #[test]
    fn a_token_that_is_replaced_counts_without_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let token = Token::load_or_create(&path).unwrap();
        let old = token.hash();
        let look_again = || {
            let mut known = token.known.lock().unwrap();
            known.looked_at = Instant::now().checked_sub(2 * LOOK_EVERY).unwrap();
        };
        fs::write(&path, "short").unwrap();
        look_again();
        assert_eq!(token.hash(), old, "what is no secret changes nothing");
        let new = "n".repeat(64);
        fs::write(&path, &new).unwrap();
        look_again();
        assert_eq!(token.hash(), hash(&new));
    }

    #[test]
    fn a_token_that_is_no_secret_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "x".repeat(64)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            Token::load_or_create(&path),
            Err(TokenError::Open(_))
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(Token::load_or_create(&path).is_ok());
        fs::write(&path, "short").unwrap();
        assert!(matches!(
            Token::load_or_create(&path),
            Err(TokenError::Short(_))
        ));
    }
}
