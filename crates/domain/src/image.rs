//! Machine images: what their names say, which is the newest of its kind, and how old one is.
//!
//! Invariant: an image is judged against the images of its own kind only, and days count from the
//! release of what superseded it, not from its own birthday.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use serde::{Deserialize, Serialize};

use crate::{names::AccountName, release::ImageId, time::UnixMs};

/// The tag, and the description, that call an image stable; upper and lower case are the same.
pub const STABLE: &str = "stable";

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A machine image as its cloud describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// Its name, as its maker gave it.
    pub name: String,
    /// Whether machines can start from it, in the cloud's word: `available`, `pending`, `failed`.
    pub state: String,
    /// When it was made.
    pub created_at: UnixMs,
    /// The value of its tag `stable`.
    pub stable_tag: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// `x86_64`, `arm64`.
    pub architecture: String,
    /// `linux` or `windows`.
    pub platform: String,
    /// It belongs to another account, which shares it.
    pub shared: bool,
}

/// Whether machines can be started from an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum ImageState {
    /// They can.
    Available,
    /// They cannot.
    Is {
        /// How it stands, in the cloud's word: `pending`, `failed`, `deregistered`.
        state: String,
    },
    /// The account sees no such image.
    Missing,
}

impl std::fmt::Display for ImageState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Available => f.write_str("is available"),
            Self::Is { state } => write!(f, "is {state}"),
            Self::Missing => f.write_str("does not exist"),
        }
    }
}

/// The images that an account sees.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listed {
    /// They, in no order.
    pub images: Vec<Image>,
    /// When they were listed.
    pub at: UnixMs,
    /// There are more than are ever listed.
    pub truncated: bool,
}

/// The images that one slice of a server group runs on: what it launches, and its instances.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Running {
    /// Those that are known.
    pub images: BTreeSet<ImageId>,
    /// There are others, which nobody can tell.
    pub unknown: bool,
}

impl Running {
    /// The one image, when there is just one.
    #[must_use]
    pub fn single(&self) -> Option<&ImageId> {
        let mut images = self.images.iter();
        let first = images.next();
        first.filter(|_| images.next().is_none() && !self.unknown)
    }
}

/// The three numbers at the end of a compatible name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageVersion(pub u64, pub u64, pub u64);

/// An image with its place among those of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranked {
    /// The account that sees it.
    pub account: AccountName,
    /// The image.
    pub image: Image,
    /// What its name begins with: the whole name, when it has no version.
    pub kind: String,
    /// What its name ends with.
    pub version: Option<ImageVersion>,
    /// From 1, the newest version of its kind.
    pub rank: u32,
    /// Its makers call it stable.
    pub is_stable: bool,
    /// It is the newest of its kind.
    pub is_latest: bool,
    /// It is the newest stable one of its kind.
    pub is_latest_stable: bool,
    /// For how many whole days a newer stable image of its kind has been out; 0 when there is none.
    pub days_behind: u64,
}

impl std::fmt::Display for ImageVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Image {
    /// Machines can start from it.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.state == "available"
    }

    /// Its makers call it stable: by a non-empty tag, or by a description of that one word.
    #[must_use]
    pub fn is_stable(&self) -> bool {
        let tagged = self
            .stable_tag
            .as_ref()
            .is_some_and(|tag| !tag.trim().is_empty());
        let described = self
            .description
            .as_ref()
            .is_some_and(|text| text.trim().eq_ignore_ascii_case(STABLE));
        tagged || described
    }

    /// When it was released: the time in its stable tag, else when it was made.
    #[must_use]
    pub fn released_at(&self) -> UnixMs {
        let tagged = self.stable_tag.as_deref().and_then(parse_time);
        tagged.unwrap_or(self.created_at)
    }
}

/// The point in time that `text` says in RFC 3339, such as `2026-11-01T08:00:00Z`.
#[must_use]
pub fn parse_time(text: &str) -> Option<UnixMs> {
    let timestamp: jiff::Timestamp = text.trim().parse().ok()?;
    Some(UnixMs(timestamp.as_millisecond()))
}

/// The kind and the version that a name says: `web-base-1.4.0` is version 1.4.0 of `web-base`. Any
/// name that is not letters, digits, dots and hyphens with `-x.y.z` at its end is a kind of its own.
#[must_use]
pub fn kind_and_version(name: &str) -> (&str, Option<ImageVersion>) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let parts = name
        .rsplit_once('-')
        .filter(|(kind, _)| !kind.is_empty() && kind.chars().all(allowed))
        .and_then(|(kind, end)| Some((kind, version(end)?)));
    match parts {
        Some((kind, version)) => (kind, Some(version)),
        None => (name, None),
    }
}

fn version(text: &str) -> Option<ImageVersion> {
    let numbers: Vec<u64> = text.split('.').map(number).collect::<Option<_>>()?;
    match numbers.as_slice() {
        [major, minor, patch] => Some(ImageVersion(*major, *minor, *patch)),
        _ => None,
    }
}

/// Digits without a leading zero, as semantic versions have them.
fn number(text: &str) -> Option<u64> {
    let digits = text.chars().all(|c| c.is_ascii_digit());
    let leading = text.len() > 1 && text.starts_with('0');
    text.parse().ok().filter(|_| digits && !leading)
}

/// The images of one account by kind, newest first, each with its rank and age at `now`. Only images
/// that machines can start from count as newest or as superseding another.
#[must_use]
pub fn rank(account: &AccountName, images: Vec<Image>, now: UnixMs) -> Vec<Ranked> {
    let mut kinds: BTreeMap<String, Vec<(Option<ImageVersion>, Image)>> = BTreeMap::new();
    for image in images {
        let (kind, version) = kind_and_version(&image.name);
        let kind = kind.to_owned();
        kinds.entry(kind).or_default().push((version, image));
    }
    kinds
        .into_iter()
        .flat_map(|(kind, images)| rank_kind(account, &kind, images, now))
        .collect()
}

fn rank_kind(
    account: &AccountName,
    kind: &str,
    mut images: Vec<(Option<ImageVersion>, Image)>,
    now: UnixMs,
) -> Vec<Ranked> {
    // Two images of one version: the younger is the newer one, and ids make the order total.
    images.sort_by_key(|(version, image)| Reverse((*version, image.created_at, image.id.clone())));
    let mut rank = 0;
    let mut newer_stable: Option<UnixMs> = None;
    let mut ranked = Vec::with_capacity(images.len());
    for (version, image) in images {
        rank += 1;
        let is_stable = image.is_stable();
        let candidate = is_stable && image.is_available();
        let days_behind = newer_stable.map_or(0, |released| now.since_ms(released) / DAY_MS);
        let is_latest_stable = candidate && newer_stable.is_none();
        if candidate {
            newer_stable = Some(image.released_at());
        }
        ranked.push(Ranked {
            account: account.clone(),
            kind: kind.to_owned(),
            version,
            rank,
            is_stable,
            is_latest: rank == 1,
            is_latest_stable,
            days_behind,
            image,
        });
    }
    ranked
}

/// Why a server group on one image is not patched to another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPatched {
    /// It is there already.
    #[error("it already runs {0}")]
    Already(ImageId),
    /// Nobody sees the image that it runs.
    #[error("its image {0} is not among the images of its account; name the target with --ami ID")]
    Unknown(ImageId),
    /// There is nothing to go to.
    #[error("there is no newer stable image of the kind {kind}")]
    NoNewer {
        /// The kind that it runs.
        kind: String,
    },
    /// The account does not see the target.
    #[error(
        "its account {account} does not see the image {image}; share the image with it, or name another"
    )]
    NotSeen {
        /// The account of the group.
        account: AccountName,
        /// The target.
        image: ImageId,
    },
    /// Machines cannot start from the target.
    #[error("the image {image} is {state}; wait until it is available, or name another")]
    NotAvailable {
        /// The target.
        image: ImageId,
        /// Its state.
        state: String,
    },
    /// The target is something else.
    #[error("it runs {from}, and the target is {to}: another {what}")]
    Different {
        /// `kind`, `platform` or `architecture`.
        what: &'static str,
        /// That of the image that runs.
        from: String,
        /// That of the target.
        to: String,
    },
}

/// Which image to patch to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatchTo {
    /// The newest stable one of the kind that runs.
    Latest,
    /// This one.
    Image(ImageId),
}

/// From one image to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchStep<'a> {
    /// What runs.
    pub from: &'a Ranked,
    /// What shall run.
    pub to: &'a Ranked,
}

impl PatchStep<'_> {
    /// The target was chosen by hand and is not newer than what runs.
    #[must_use]
    pub fn is_backwards(&self) -> bool {
        self.to.rank > self.from.rank
    }
}

/// Where a server group that runs `from` goes, among the `images` of its account.
///
/// # Errors
/// Why it is not patched.
pub fn patch_step<'a>(
    account: &AccountName,
    images: &'a [Ranked],
    from: &ImageId,
    to: &PatchTo,
) -> Result<PatchStep<'a>, NotPatched> {
    if *to == PatchTo::Image(from.clone()) {
        return Err(NotPatched::Already(from.clone()));
    }
    let find = |id: &ImageId| images.iter().find(|it| it.image.id == *id);
    let from = find(from).ok_or_else(|| NotPatched::Unknown(from.clone()))?;
    let to = match to {
        PatchTo::Latest => latest_of(images, from)?,
        PatchTo::Image(id) => find(id).ok_or_else(|| NotPatched::NotSeen {
            account: account.clone(),
            image: id.clone(),
        })?,
    };
    if !to.image.is_available() {
        return Err(NotPatched::NotAvailable {
            image: to.image.id.clone(),
            state: to.image.state.clone(),
        });
    }
    same_machine(from, to)?;
    Ok(PatchStep { from, to })
}

fn latest_of<'a>(images: &'a [Ranked], from: &Ranked) -> Result<&'a Ranked, NotPatched> {
    let latest = images
        .iter()
        .find(|it| it.kind == from.kind && it.is_latest_stable);
    let latest = latest.ok_or_else(|| NotPatched::NoNewer {
        kind: from.kind.clone(),
    })?;
    match latest.rank.cmp(&from.rank) {
        std::cmp::Ordering::Less => Ok(latest),
        std::cmp::Ordering::Equal => Err(NotPatched::Already(from.image.id.clone())),
        std::cmp::Ordering::Greater => Err(NotPatched::NoNewer {
            kind: from.kind.clone(),
        }),
    }
}

fn same_machine(from: &Ranked, to: &Ranked) -> Result<(), NotPatched> {
    let (a, b) = (&from.image, &to.image);
    let compared = [
        ("kind", &from.kind, &to.kind),
        ("platform", &a.platform, &b.platform),
        ("architecture", &a.architecture, &b.architecture),
    ];
    match compared.into_iter().find(|(_, from, to)| from != to) {
        None => Ok(()),
        Some((what, from, to)) => Err(NotPatched::Different {
            what,
            from: from.clone(),
            to: to.clone(),
        }),
    }
}

#[cfg(test)]
mod tests;
