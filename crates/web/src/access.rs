//! Who may come in: whoever shows the token of the first start, or a token of a person.
//!
//! The token of the first start is in a file that only its owner can read, and who shows it is called
//! `admin`. Others get tokens of their own ([`people`]), so that what they do carries their names.
//!
//! Invariant: a token is never logged, never an argument, never part of a URL; it is compared in
//! constant time, with everybody's, whoever it belongs to.

pub mod people;

use std::{
    fmt, fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use operations::Actor;
use people::{Known, Person};

/// Name of the one who shows the token of the first start.
const ADMIN: &str = "admin";
/// Random bytes of a token.
const RANDOM_LEN: usize = 32;
/// Shortest token that is read from a file, in characters: less is no secret.
const TOKEN_LEN_MIN: usize = 32;

/// A token's SHA-256. Only the hash is kept; comparing hashes tells nothing about the token.
type Hash = [u8; 32];

/// Everybody who may come in.
#[derive(Debug)]
pub struct Access {
    admin: Token,
    people: Known,
}

/// The token of the first start.
#[derive(Clone)]
pub struct Token {
    hash: Hash,
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

impl Access {
    /// Those who show `admin`, or the token of a person in the folder `people`, which need not be
    /// there. Who is added or taken away later is noticed.
    #[must_use]
    pub fn new(admin: Token, people: PathBuf) -> Self {
        Self {
            admin,
            people: Known::in_folder(people),
        }
    }

    /// The one who shows this token, if it is anybody's.
    #[must_use]
    pub fn admit(&self, shown: &str) -> Option<Actor> {
        let people = self.people.now();
        let name = whose(&self.admin, &people, &hash(shown))?;
        Some(Actor::authenticated(name))
    }
}

/// The name of the one whose token has this hash. Everybody's is looked at, and nothing branches on
/// what is found before the end.
fn whose<'a>(admin: &Token, people: &'a [Person], shown: &Hash) -> Option<&'a str> {
    // Position 0 is nobody, 1 the admin, the others follow.
    let hashes = std::iter::once(&admin.hash).chain(people.iter().map(|person| &person.hash));
    let found = hashes.zip(1_usize..).fold(0, |found, (kept, position)| {
        let mask = usize::from(same(kept, shown)).wrapping_neg();
        (found & !mask) | (position & mask)
    });
    match found {
        0 => None,
        1 => Some(ADMIN),
        _ => people.get(found - 2).map(|person| person.name.as_str()),
    }
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
        match fs::read_to_string(path) {
            Ok(text) => {
                let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
                if mode & 0o077 != 0 {
                    return Err(TokenError::Open(path.to_owned()));
                }
                match text.trim() {
                    text if text.len() < TOKEN_LEN_MIN => Err(TokenError::Short(path.to_owned())),
                    text => Ok(Self::of(text)),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = random()?;
                write_new(path, &text).map_err(failed)?;
                Ok(Self::of(&text))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// A token with this text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self { hash: hash(text) }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
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
            let access = Access::new(token, folder.path().join("people"));
            assert_eq!(access.admit(text.trim()).unwrap().name(), ADMIN);
            for wrong in [
                "",
                "x",
                &text,
                &text.trim()[1..],
                &text.trim().to_uppercase(),
            ] {
                assert!(access.admit(wrong).is_none(), "{wrong:?} is not the token");
            }
        }
    }

    #[test]
    fn each_person_is_known_by_their_own_token() {
        let person = |name: &str| Person {
            name: name.parse().unwrap(),
            hash: hash(name),
        };
        let people = [person("alice"), person("bob"), person("carol")];
        let admin = Token::of(ADMIN);
        for name in [ADMIN, "alice", "bob", "carol"] {
            assert_eq!(whose(&admin, &people, &hash(name)), Some(name));
        }
        assert_eq!(whose(&admin, &people, &hash("dave")), None);
        assert_eq!(whose(&admin, &[], &hash("alice")), None);
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
