//! A user of its own for each server group: which user ids the cloud may give out, whether this machine
//! lets it, and the home folders of those users.
//!
//! Invariant: two groups never have the same user, and a group keeps its own: the home folder says whose
//! it is, also when the state of the cloud is lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    num::ParseIntError,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    str::FromStr,
};

use rustix::thread::{CapabilitySet, capabilities};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::family;

/// The word for no users of their own.
pub(crate) const OFF: &str = "off";
/// The folder with the homes, in the state folder.
const HOMES: &str = "homes";
/// What the cloud needs to run instances as other users, and to look after them: one of each line.
const NEEDED: [(CapabilitySet, &str); 6] = [
    (CapabilitySet::CHOWN, "CAP_CHOWN"),
    (
        CapabilitySet::DAC_READ_SEARCH.union(CapabilitySet::DAC_OVERRIDE),
        "CAP_DAC_READ_SEARCH",
    ),
    (CapabilitySet::KILL, "CAP_KILL"),
    (CapabilitySet::SETGID, "CAP_SETGID"),
    (CapabilitySet::SETUID, "CAP_SETUID"),
    (CapabilitySet::SYS_PTRACE, "CAP_SYS_PTRACE"),
];

/// User ids, and group ids with the same numbers, that belong to the cloud alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserIds {
    /// The lowest.
    pub first: u32,
    /// The highest.
    pub last: u32,
}

impl Default for UserIds {
    /// Ids that distributions give to nobody: above those of people and below those of containers.
    fn default() -> Self {
        Self {
            first: 70_000,
            last: 89_999,
        }
    }
}

/// Why a text names no user ids.
#[derive(Debug, thiserror::Error)]
#[error("write FIRST-LAST, such as 70000-89999, with at least 1000 and at most 4294967294")]
pub struct NoUserIds;

impl From<ParseIntError> for NoUserIds {
    fn from(_: ParseIntError) -> Self {
        Self
    }
}

impl FromStr for UserIds {
    type Err = NoUserIds;

    fn from_str(text: &str) -> Result<Self, NoUserIds> {
        let (first, last) = text.split_once('-').ok_or(NoUserIds)?;
        let ids = Self {
            first: first.parse()?,
            last: last.parse()?,
        };
        let sound = 1000 <= ids.first && ids.first <= ids.last && ids.last < u32::MAX;
        sound.then_some(ids).ok_or(NoUserIds)
    }
}

impl fmt::Display for UserIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// Whether instances run as users of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Apart {
    /// Each server group has one of these.
    Yes(UserIds),
    /// They run as the user of the cloud.
    No(NotApart),
}

impl Default for Apart {
    fn default() -> Self {
        Self::No(NotApart::Off)
    }
}

/// Why instances run as the user of the cloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotApart {
    /// It was told so.
    Off,
    /// The cloud lacks these capabilities.
    MayNot(Vec<String>),
    /// In this container there are no such user ids.
    NoSuchUsers(UserIds),
    /// Other users cannot get through this folder, so they could not reach their release.
    Closed(PathBuf),
}

impl fmt::Display for NotApart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => write!(f, "it was started with `--instance-users off`"),
            Self::MayNot(lacking) => write!(f, "it lacks {}", lacking.join(", ")),
            Self::NoSuchUsers(ids) => {
                write!(f, "the user ids {ids} do not exist in this container")
            }
            Self::Closed(folder) => {
                write!(f, "other users cannot get through {}", folder.display())
            }
        }
    }
}

impl NotApart {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Off => "start the server without that option".to_owned(),
            Self::MayNot(lacking) => format!(
                "run the server as root, or as a service with {}",
                lacking.join(" ")
            ),
            Self::NoSuchUsers(_) => {
                "name ids that exist there with --instance-users FIRST-LAST".to_owned()
            }
            Self::Closed(folder) => format!(
                "choose a data folder that other users can pass, such as /var/lib/pointsman, or run `chmod o+x {}`",
                folder.display()
            ),
        }
    }
}

/// What the option `--instance-users` says.
///
/// # Errors
/// [`NoUserIds`].
pub fn option(text: &str) -> Result<Option<UserIds>, NoUserIds> {
    match text {
        OFF => Ok(None),
        ids => ids.parse().map(Some),
    }
}

/// The capabilities that this process lacks to run instances as users of their own.
///
/// # Errors
/// The system does not say.
pub fn lacking() -> io::Result<Vec<String>> {
    let own = capabilities(None)?.effective;
    let lacking = NEEDED.iter().filter(|(needed, _)| !own.intersects(*needed));
    Ok(lacking.map(|(_, name)| (*name).to_owned()).collect())
}

/// Whether instances below `folder` can run as users with the ids that were `asked` for.
///
/// # Errors
/// The system does not say.
pub(crate) fn apart(asked: Option<UserIds>, folder: &Path) -> io::Result<Apart> {
    let Some(ids) = asked else {
        return Ok(Apart::No(NotApart::Off));
    };
    let lacking = lacking()?;
    if !lacking.is_empty() {
        return Ok(Apart::No(NotApart::MayNot(lacking)));
    }
    for map in ["/proc/self/uid_map", "/proc/self/gid_map"] {
        if !maps(&fs::read_to_string(map)?, ids) {
            return Ok(Apart::No(NotApart::NoSuchUsers(ids)));
        }
    }
    // The folder itself belongs to the cloud, which opens it.
    for above in folder.ancestors().skip(1) {
        if fs::metadata(above)?.permissions().mode() & 0o001 == 0 {
            return Ok(Apart::No(NotApart::Closed(above.to_owned())));
        }
    }
    Ok(Apart::Yes(ids))
}

/// Whether one line of the kernel's map (`inside outside count`) has all these ids.
fn maps(map: &str, ids: UserIds) -> bool {
    map.lines().any(|line| {
        let numbers: Vec<u64> = (line.split_whitespace())
            .filter_map(|it| it.parse().ok())
            .collect();
        let [inside, _, count] = numbers[..] else {
            return false;
        };
        inside <= ids.first.into() && u64::from(ids.last) < inside + count
    })
}

/// The user that a group without one gets: that of its home folder, else one that nobody has.
///
/// # Errors
/// All ids are taken, or the machine cannot be looked at now.
pub(crate) fn choose(
    ids: UserIds,
    folder: &Path,
    place: &str,
    given: &BTreeSet<u32>,
) -> io::Result<u32> {
    let homes = owners(folder)?;
    let inside = |id: &u32| (ids.first..=ids.last).contains(id);
    if let Some(own) = homes
        .get(place)
        .filter(|id| inside(id) && !given.contains(id))
    {
        return Ok(*own);
    }
    let mut taken = given.clone();
    taken.extend(homes.into_values());
    taken.extend(accounts());
    taken.extend(family::pids()?.into_iter().filter_map(family::user_of));
    // Other clouds on this machine begin elsewhere.
    let many = u64::from(ids.last - ids.first) + 1;
    let name = format!("{}\0{place}", folder.display());
    let start: [u8; 8] = Sha256::digest(name)[..8].try_into().unwrap_or_default();
    let start = u64::from_le_bytes(start) % many;
    let all = (0..many).filter_map(|step| {
        let offset = u32::try_from((start + step) % many).ok()?;
        ids.first.checked_add(offset)
    });
    let mut free = all.filter(|id| !taken.contains(id));
    let none = || io::Error::other(format!("every user id of {ids} is taken"));
    free.next().ok_or_else(none)
}

/// The users of the machine's own accounts.
fn accounts() -> Vec<u32> {
    // A machine without this file has no accounts.
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let id = |line: &str| line.split(':').nth(2)?.parse().ok();
    text.lines().filter_map(id).collect()
}

/// The home folders, with their owners.
fn owners(folder: &Path) -> io::Result<BTreeMap<String, u32>> {
    let homes = match fs::read_dir(folder.join(HOMES)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        homes => homes?,
    };
    let mut owners = BTreeMap::new();
    for home in homes {
        let home = home?;
        if let Ok(place) = home.file_name().into_string() {
            owners.insert(place, home.metadata()?.uid());
        }
    }
    Ok(owners)
}

/// The home folder of a group's user.
pub(crate) fn home(folder: &Path, place: &str) -> PathBuf {
    folder.join(HOMES).join(place)
}

/// Makes the home folder of a group's user, with a folder `tmp` in it, if it is not there. Nobody else
/// looks into it.
///
/// # Errors
/// The disk says no.
pub(crate) fn make_home(folder: &Path, place: &str, user: u32) -> io::Result<()> {
    let home = home(folder, place);
    if home.exists() {
        return Ok(());
    }
    let homes = folder.join(HOMES);
    make(&homes, 0o711)?;
    // No name has a tilde, so this is nobody's home.
    let draft = homes.join(format!("~{place}"));
    make(&draft, 0o700)?;
    let temporary = draft.join("tmp");
    make(&temporary, 0o700)?;
    for path in [temporary, draft.clone()] {
        chown(path, Some(user), Some(user))?;
    }
    fs::rename(draft, home)
}

/// Makes a folder with exactly this mode.
fn make(path: &Path, mode: u32) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_ids_are_written_as_a_range() {
        let ids: UserIds = "70000-89999".parse().unwrap();
        assert_eq!(ids, UserIds::default());
        assert_eq!(ids.to_string(), "70000-89999");
        for wrong in ["", "70000", "0-5", "5000-4000", "a-b", "1000-4294967295"] {
            let error = wrong.parse::<UserIds>().unwrap_err().to_string();
            assert!(error.starts_with("write FIRST-LAST"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_container_without_the_ids_is_noticed() {
        let ids = UserIds::default();
        assert!(maps("         0          0 4294967295\n", ids));
        assert!(!maps("0 100000 65536\n", ids));
        assert!(maps("0 1000 1\n1 100000 90000\n", ids));
    }

    #[test]
    fn groups_get_different_users_and_keep_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let ids = UserIds::default();
        let mut given = BTreeSet::new();
        for place in 0..50 {
            let place = format!("s{place}.live");
            let user = choose(ids, folder.path(), &place, &given).unwrap();
            let again = choose(ids, folder.path(), &place, &given).unwrap();
            assert_eq!(user, again, "the same, as long as nobody else has it");
            assert!(given.insert(user) && (ids.first..=ids.last).contains(&user));
        }
        let few = UserIds {
            first: 70_000,
            last: 70_001,
        };
        let given = BTreeSet::from([70_000, 70_001]);
        let error = choose(few, folder.path(), "a.live", &given).unwrap_err();
        assert_eq!(error.to_string(), "every user id of 70000-70001 is taken");
    }

    #[test]
    fn a_folder_that_others_cannot_pass_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let closed = fs::Permissions::from_mode(0o700);
        fs::set_permissions(folder.path(), closed).unwrap();
        let state = folder.path().join("state");
        fs::create_dir(&state).unwrap();
        let found = apart(Some(UserIds::default()), &state).unwrap();
        if lacking().unwrap().is_empty() {
            let closed = NotApart::Closed(folder.path().to_owned());
            assert_eq!(found, Apart::No(closed));
        } else {
            assert!(matches!(found, Apart::No(NotApart::MayNot(_))), "{found:?}");
        }
        assert_eq!(apart(None, &state).unwrap(), Apart::No(NotApart::Off));
    }
}
