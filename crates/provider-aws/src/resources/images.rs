//! Machine images that an account sees.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{Filter, Image as Described};
use domain::{
    image::{Image, ImageState, Listed, STABLE, parse_time},
    release::ImageId,
    time::UnixMs,
};
use engine::ports::ProviderError;
use tokio::sync::Mutex;

use crate::{
    calls::{call::DESCRIBE_IMAGES, clients::Clients, errors::invalid, retry::retry},
    resources::groups::text,
};

/// Images per page: the most that EC2 returns (`DescribeImages`, API reference, 2026-11).
const PAGE: i32 = 1000;
/// Most images of an account that are listed.
const IMAGES_MAX: usize = 10_000;
/// How long answers are kept, in milliseconds.
const KEPT_MS: u64 = 60_000;

/// The images that were read last.
#[derive(Debug, Default)]
pub struct ImageCache {
    /// The list. The task that holds the lock asks for all.
    list: Mutex<Option<Listed>>,
    /// When images were seen to be available.
    available: Mutex<BTreeMap<ImageId, UnixMs>>,
}

impl ImageCache {
    /// The images, at most [`KEPT_MS`] old at `now`.
    pub async fn list(&self, clients: &Clients, now: UnixMs) -> Result<Listed, ProviderError> {
        let mut kept = self.list.lock().await;
        if let Some(listed) = kept.as_ref().filter(|it| now.since_ms(it.at) < KEPT_MS) {
            return Ok(listed.clone());
        }
        let listed = retry(|| list(clients, now)).await?;
        *kept = Some(listed.clone());
        Ok(listed)
    }

    /// Whether machines can be started from `image`. If they can, the answer is kept for [`KEPT_MS`].
    pub async fn standing(
        &self,
        clients: &Clients,
        image: &ImageId,
        now: UnixMs,
    ) -> Result<ImageState, ProviderError> {
        let mut available = self.available.lock().await;
        available.retain(|_, seen_at| now.since_ms(*seen_at) < KEPT_MS);
        if available.contains_key(image) {
            return Ok(ImageState::Available);
        }
        let standing = retry(|| standing(clients, image)).await?;
        if standing == ImageState::Available {
            available.insert(image.clone(), now);
        }
        Ok(standing)
    }
}

/// Private machine images: the account's own, and those that others share with it.
async fn list(clients: &Clients, at: UnixMs) -> Result<Listed, ProviderError> {
    let mut found: BTreeMap<ImageId, Image> = BTreeMap::new();
    let mut truncated = false;
    for shared in [false, true] {
        let mut next: Option<String> = None;
        loop {
            let request = clients
                .ec2
                .describe_images()
                .set_filters(Some(vec![
                    filter("image-type", "machine"),
                    filter("is-public", "false"),
                ]))
                .max_results(PAGE)
                .set_next_token(next);
            let request = if shared {
                request.executable_users("self")
            } else {
                request.owners("self")
            };
            let page = clients.make(&DESCRIBE_IMAGES, request.send()).await?;
            for image in page.images().iter().filter_map(|it| read(it, shared)) {
                found.entry(image.id.clone()).or_insert(image);
            }
            next = page
                .next_token()
                .filter(|it| !it.is_empty())
                .map(str::to_owned);
            truncated |= next.is_some() && found.len() >= IMAGES_MAX;
            if next.is_none() || truncated {
                break;
            }
        }
    }
    Ok(Listed {
        images: found.into_values().take(IMAGES_MAX).collect(),
        at,
        truncated,
    })
}

/// The root volume of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Its device name: `/dev/xvda`, `/dev/sda1`.
    pub device: String,
    /// Its size in GiB, if the image says.
    pub gib: Option<u32>,
}

/// The root volume of `image`.
pub async fn root(clients: &Clients, image: &ImageId) -> Result<Root, ProviderError> {
    let request = clients.ec2.describe_images().image_ids(image.as_str());
    let answer = clients.make(&DESCRIBE_IMAGES, request.send()).await?;
    let described = answer.images().first();
    let device = described.and_then(|it| it.root_device_name());
    let device = device.ok_or_else(|| {
        invalid(format!(
            "AWS does not name the root volume of the image {image}"
        ))
    })?;
    let mappings = described.map_or(&[][..], Described::block_device_mappings);
    let mapping = mappings.iter().find(|it| it.device_name() == Some(device));
    let gib = mapping.and_then(|it| it.ebs()?.volume_size());
    Ok(Root {
        device: device.to_owned(),
        gib: gib.and_then(|it| u32::try_from(it).ok()),
    })
}

async fn standing(clients: &Clients, image: &ImageId) -> Result<ImageState, ProviderError> {
    let request = clients.ec2.describe_images().image_ids(image.as_str());
    let answer = match clients.make(&DESCRIBE_IMAGES, request.send()).await {
        // `InvalidAMIID.NotFound`, and `InvalidAMIID.Unavailable` for one that was deregistered.
        Err(failed) if failed.code().starts_with("InvalidAMIID.") => {
            return Ok(ImageState::Missing);
        }
        other => other?,
    };
    let state = answer.images().first().and_then(|it| it.state());
    Ok(match state.map(|state| state.as_str()) {
        Some("available") => ImageState::Available,
        Some(state) => ImageState::Is {
            state: state.to_owned(),
        },
        None => ImageState::Missing,
    })
}

fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

/// `None` for an image without a valid id.
fn read(image: &Described, shared: bool) -> Option<Image> {
    let tags = image.tags().iter();
    let stable = tags
        .filter(|tag| {
            tag.key()
                .is_some_and(|key| key.eq_ignore_ascii_case(STABLE))
        })
        .find_map(|tag| tag.value().filter(|it| !it.trim().is_empty()));
    let windows = image.platform().is_some();
    Some(Image {
        id: image.image_id()?.parse().ok()?,
        name: text(image.name()),
        state: text(image.state().map(|state| state.as_str())),
        created_at: image
            .creation_date()
            .and_then(parse_time)
            .unwrap_or_default(),
        stable_tag: stable.map(str::to_owned),
        description: image.description().map(str::to_owned),
        architecture: text(image.architecture().map(|it| it.as_str())),
        platform: if windows { "windows" } else { "linux" }.to_owned(),
        shared,
    })
}
