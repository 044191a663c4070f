//! People and their tokens: one file each in the data folder, which holds the token's SHA-256.
//!
//! ```text
//! DATA/tokens/alice    64 hexadecimal digits, mode 0600
//! ```
//!
//! A server notices who was added or taken away by the time of the folder's last change, so files
//! are made and removed here, never edited. What is no such file is no person.
//!
//! Invariant: a token is known only to the one who made it; nothing here can tell it again.

#[cfg(test)]
mod tests;

use std::{
    fmt,
    fs::{self, DirBuilder, File},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use super::{ADMIN, Hash, TokenError, hash, random};

/// Most people with tokens, and most files that are read to find them.
pub const PEOPLE_MAX: usize = 256;
/// Longest name.
pub const NAME_LEN_MAX: usize = 64;
/// Between two looks whether somebody was added or taken away.
const LOOK: Duration = Duration::from_secs(1);
/// A folder that changed this recently may change again without a later time.
const SETTLED: Duration = Duration::from_secs(2);
/// Digits of a hash.
const DIGITS: usize = 64;

/// The name of a person: what audit events carry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PersonName(String);

/// Why a text is no name of a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Other characters, or none.
    #[error(
        "{0:?} is not a name: it needs 1 to {NAME_LEN_MAX} lower-case letters, digits, `.`, `_` or `-`, and begins with a letter or a digit"
    )]
    Malformed(String),
    /// The name of the first token.
    #[error("`{ADMIN}` is who shows the token of the first start; choose another name")]
    Admin,
}

/// A person with a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) name: PersonName,
    pub(super) hash: Hash,
}

/// A person with a token, as they are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Who.
    pub name: PersonName,
    /// When the token was made.
    pub created_at: SystemTime,
}

/// Why a token was not made, listed or revoked.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// There is no such data folder.
    #[error("there is no data folder {0}; run this where the server runs, or name its folder")]
    NoFolder(PathBuf),
    /// The server could not read what is written.
    #[error("{0} belongs to another user; run this as the user that runs the server")]
    Foreign(PathBuf),
    /// One token each.
    #[error("{0} has a token already; revoke it first, and whoever uses it is shut out")]
    Exists(PersonName),
    /// Nothing to revoke.
    #[error("{0} has no token")]
    Unknown(PersonName),
    /// As many as there may be.
    #[error("{PEOPLE_MAX} people have tokens, and no more can; revoke one that nobody needs")]
    Full,
    /// No token could be made.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The system says no.
    #[error("{path} cannot be used: {source}")]
    File {
        /// What.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl PersonName {
    /// The name as a text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PersonName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let good = text.len() <= NAME_LEN_MAX
            && text.starts_with(plain)
            && text.chars().all(|c| plain(c) || "._-".contains(c));
        match text {
            ADMIN => Err(NameError::Admin),
            _ if good => Ok(Self(text.to_owned())),
            _ => Err(NameError::Malformed(text.chars().take(80).collect())),
        }
    }
}

impl fmt::Display for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the tokens of people are in a data folder.
#[must_use]
pub fn folder(data: &Path) -> PathBuf {
    data.join("tokens")
}

/// Makes a token for `name`, and returns it: the only time that anybody sees it.
///
/// # Errors
/// When `name` has one already, or the folder cannot be written.
pub fn create(data: &Path, name: &PersonName) -> Result<String, PeopleError> {
    let folder = owned(data)?;
    let made = DirBuilder::new().mode(0o700).create(&folder);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed(&folder)(error));
        }
        _ => {}
    }
    let path = folder.join(name.as_str());
    if path.exists() {
        return Err(PeopleError::Exists(name.clone()));
    }
    if list(data)?.len() >= PEOPLE_MAX {
        return Err(PeopleError::Full);
    }
    let token = random()?;
    // Its name begins with a dot, so it is nobody's until it is complete.
    let mut draft = tempfile::NamedTempFile::new_in(&folder).map_err(failed(&folder))?;
    let digits: String = hash(&token).iter().map(|b| format!("{b:02x}")).collect();
    writeln!(draft, "{digits}")
        .and_then(|()| draft.as_file().sync_all())
        .map_err(failed(&path))?;
    draft
        .persist_noclobber(&path)
        .map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => PeopleError::Exists(name.clone()),
            _ => failed(&path)(error.error),
        })?;
    sync(&folder)?;
    Ok(token)
}

/// Takes the token of `name` away.
///
/// # Errors
/// When there is none, or the folder cannot be written.
pub fn revoke(data: &Path, name: &PersonName) -> Result<(), PeopleError> {
    let folder = owned(data)?;
    let path = folder.join(name.as_str());
    match fs::remove_file(&path) {
        Ok(()) => sync(&folder),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(PeopleError::Unknown(name.clone()))
        }
        Err(error) => Err(failed(&path)(error)),
    }
}

/// Everybody with a token, by name.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(data: &Path) -> Result<Vec<Listed>, PeopleError> {
    let folder = owned(data)?;
    let mut listed = Vec::new();
    for person in read(&folder).map_err(failed(&folder))? {
        let path = folder.join(person.name.as_str());
        // Revoked in this moment by somebody else: not listed.
        if let Ok(created_at) = fs::metadata(&path).and_then(|about| about.modified()) {
            let name = person.name;
            listed.push(Listed { name, created_at });
        }
    }
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(listed)
}

/// The folder of tokens in a data folder of our own.
fn owned(data: &Path) -> Result<PathBuf, PeopleError> {
    let about = match fs::metadata(data) {
        Ok(about) if about.is_dir() => about,
        _ => return Err(PeopleError::NoFolder(data.to_owned())),
    };
    if about.uid() != rustix::process::geteuid().as_raw() {
        return Err(PeopleError::Foreign(data.to_owned()));
    }
    Ok(folder(data))
}

fn failed(path: &Path) -> impl Fn(io::Error) -> PeopleError + use<> {
    let path = path.to_owned();
    move |source| PeopleError::File {
        path: path.clone(),
        source,
    }
}

/// A power cut brings no revoked token back, and loses no new one.
fn sync(folder: &Path) -> Result<(), PeopleError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(failed(folder))
}

/// Everybody in a folder; nobody where there is none.
fn read(folder: &Path) -> io::Result<Vec<Person>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut people = Vec::new();
    // Drafts that a crash left behind must not keep people out: some more files than people.
    for entry in entries.take(2 * PEOPLE_MAX) {
        let path = entry?.path();
        if people.len() == PEOPLE_MAX {
            tracing::warn!(folder = %folder.display(), "there are more tokens than {PEOPLE_MAX}; the others admit nobody");
            break;
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(Ok(name)) = name.map(PersonName::from_str) else {
            continue;
        };
        match hash_in(&path) {
            Ok(hash) => people.push(Person { name, hash }),
            Err(why) => {
                tracing::warn!(file = %path.display(), %why, "this file admits nobody");
            }
        }
    }
    Ok(people)
}

/// The hash in a file that only its owner can change or read.
fn hash_in(path: &Path) -> Result<Hash, String> {
    let about = fs::symlink_metadata(path).map_err(|error| error.to_string())?;
    if !about.is_file() {
        return Err("it is no file".to_owned());
    }
    if about.permissions().mode() & 0o077 != 0 {
        return Err("others can use it; run `chmod 600` on it".to_owned());
    }
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(2 * DIGITS as u64)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    digest(text.trim()).ok_or_else(|| "it holds no SHA-256".to_owned())
}

fn digest(text: &str) -> Option<Hash> {
    let digits = text.len() == DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit());
    let mut hash = Hash::default();
    for (byte, at) in hash.iter_mut().zip((0..DIGITS).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2).filter(|_| digits)?, 16).ok()?;
    }
    Some(hash)
}

/// Who is known to a server: what the folder said at the last look, at most a second ago.
///
/// Invariant: a look costs one question to the system; only a folder that changed is read again.
#[derive(Debug)]
pub(super) struct Known {
    folder: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    people: Arc<[Person]>,
    looked_at: Option<Instant>,
    /// Which folder was read, as of which change; `None` when it must be read again.
    stamp: Option<Stamp>,
}

/// A folder's identity and the time of its last change; of no folder, the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Stamp {
    inode: u64,
    changed_at: Option<SystemTime>,
}

impl Known {
    pub(super) fn in_folder(folder: PathBuf) -> Self {
        let seen = Seen {
            people: Arc::new([]),
            looked_at: None,
            stamp: None,
        };
        Self {
            folder,
            seen: Mutex::new(seen),
        }
    }

    /// Everybody who has a token now.
    pub(super) fn now(&self) -> Arc<[Person]> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.looked_at.is_none_or(|then| then.elapsed() >= LOOK) {
            seen.look(&self.folder);
        }
        Arc::clone(&seen.people)
    }
}

impl Seen {
    /// Looks whether the folder changed, and reads it if so. A folder that cannot be read admits
    /// nobody: a token that may have been revoked is worth nothing.
    fn look(&mut self, folder: &Path) {
        let looked = Stamp::of(folder).and_then(|stamp| {
            if self.stamp != Some(stamp) {
                self.people = read(folder)?.into();
            }
            Ok(stamp)
        });
        self.stamp = match looked {
            Ok(stamp) => stamp.is_settled().then_some(stamp),
            Err(error) => {
                tracing::error!(folder = %folder.display(), %error, "tokens of people cannot be read; only the token of the first start is known");
                self.people = Arc::new([]);
                None
            }
        };
        self.looked_at = Some(Instant::now());
    }
}

impl Stamp {
    fn of(folder: &Path) -> io::Result<Self> {
        match fs::metadata(folder) {
            Ok(about) => Ok(Self {
                inode: about.ino(),
                changed_at: Some(about.modified()?),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// The next change will have a later time.
    fn is_settled(self) -> bool {
        self.changed_at.is_none_or(|at| {
            let age = SystemTime::now().duration_since(at);
            age.is_ok_and(|age| age >= SETTLED)
        })
    }
}
