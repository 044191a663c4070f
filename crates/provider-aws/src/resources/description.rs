//! How a launch is written into the description of its launch template version, and read back.
//!
//! Invariant: the description alone identifies the launch, after any crash and on any machine. Nothing
//! else is remembered.

use domain::{
    names::Version,
    release::{Content, Digest, ImageId, Launch, LaunchId},
};

/// The first word of every description that Pointsman writes.
const MARK: &str = "pointsman";
/// The description of the first version of a template that Pointsman created: machines
/// without a release.
pub const BASE: &str = "pointsman base";

/// What a version of a launch template is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Description {
    /// A launch of a release.
    Launch(Launch),
    /// Machines without a release.
    Base,
    /// Created by somebody else.
    Foreign,
}

/// The description of the version for `launch`: at most 255 characters, AWS's limit.
#[must_use]
pub fn write(launch: &Launch) -> String {
    let digest = launch.content.digest().map_or("-", Digest::as_str);
    let image = launch.content.image().map_or("-", ImageId::as_str);
    format!("{MARK} {} {} {digest} {image}", launch.id, launch.version)
}

/// What `description` says.
#[must_use]
pub fn read(description: Option<&str>) -> Description {
    let Some(text) = description.filter(|text| text.starts_with(MARK)) else {
        return Description::Foreign;
    };
    if text == BASE {
        return Description::Base;
    }
    let words: Vec<&str> = text.split(' ').collect();
    let [_, id, version, digest, image] = words.as_slice() else {
        return Description::Foreign;
    };
    launch(id, version, digest, image).map_or(Description::Foreign, Description::Launch)
}

fn launch(id: &str, version: &str, digest: &str, image: &str) -> Option<Launch> {
    let image: Option<ImageId> = match image {
        "-" => None,
        text => Some(text.parse().ok()?),
    };
    let content = match (digest, image) {
        ("-", image) => Content::Image { image: image? },
        (digest, image) => Content::Package {
            digest: digest.parse().ok()?,
            image,
        },
    };
    Some(Launch {
        id: LaunchId(id.to_owned()),
        version: version.parse().ok()?,
        content,
    })
}

/// The launch of a version that somebody else created: it is identified by template and number.
#[must_use]
pub fn foreign(template: &str, number: i64, image: &ImageId) -> Option<Launch> {
    let version: Version = format!("{template}.{number}").parse().ok()?;
    Some(Launch {
        id: foreign_id(template, number),
        version,
        content: Content::Image {
            image: image.clone(),
        },
    })
}

/// The id of such a launch.
#[must_use]
pub fn foreign_id(template: &str, number: i64) -> LaunchId {
    LaunchId(format!("{template}:{number}"))
}

/// The template and the number of such a launch.
#[must_use]
pub fn foreign_parts(id: &LaunchId) -> Option<(&str, i64)> {
    let (template, number) = id.0.split_once(':')?;
    Some((template, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_launch(content: Content) -> Launch {
        Launch {
            id: LaunchId("1.4.0-0a1b2c3d".to_owned()),
            version: "1.4.0".parse().unwrap(),
            content,
        }
    }

    #[test]
    fn a_launch_is_read_back_as_it_was_written() {
        let digest = Digest::from_bytes([7; 32]);
        let image: ImageId = "ami-0123456789abcdef0".parse().unwrap();
        let contents = [
            Content::package(digest.clone()),
            Content::package(digest).on(image.clone()),
            Content::Image { image },
        ];
        for content in contents {
            let launch = a_launch(content);
            assert_eq!(read(Some(&write(&launch))), Description::Launch(launch));
        }
    }

    #[test]
    fn the_longest_launch_fits_into_a_description() {
        let version = "9".repeat(64);
        let image: ImageId = "ami-0123456789abcdef0".parse().unwrap();
        let launch = Launch {
            id: LaunchId(format!("{version}-0a1b2c3d")),
            version: version.parse().unwrap(),
            content: Content::package(Digest::from_bytes([255; 32])).on(image),
        };
        assert!(write(&launch).len() <= 255, "{}", write(&launch).len());
    }

    #[test]
    fn other_descriptions_are_foreign() {
        for text in [
            None,
            Some(""),
            Some("by hand"),
            Some("pointsman was here"),
            Some("pointsman a b c d"),
        ] {
            assert_eq!(read(text), Description::Foreign, "{text:?}");
        }
        assert_eq!(read(Some(BASE)), Description::Base);
    }
}
