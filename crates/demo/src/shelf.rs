//! The files of `examples/shop`, carried along so that the demo also plays without the repository.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use cli::failure::Failure;

/// The service that the demo deploys.
pub const SERVICE: &str = "storefront";
/// How many instances its server group has.
pub const SIZE: usize = 4;
/// Where.
pub const ENVIRONMENT: &str = "staging";

const CATALOGUE: &str = include_str!("../../../examples/shop/catalogue.yaml");
const COMPONENT: &str = include_str!("../../../examples/shop/catalog-info.yaml");

/// One release of the shelf.
struct Shelved {
    version: &'static str,
    procfile: &'static str,
    release_env: &'static str,
}

const RELEASES: [Shelved; 3] = [
    Shelved {
        version: "1.0.0",
        procfile: include_str!("../../../examples/shop/releases/storefront/1.0.0/Procfile"),
        release_env: include_str!("../../../examples/shop/releases/storefront/1.0.0/release.env"),
    },
    Shelved {
        version: "1.1.0",
        procfile: include_str!("../../../examples/shop/releases/storefront/1.1.0/Procfile"),
        release_env: include_str!("../../../examples/shop/releases/storefront/1.1.0/release.env"),
    },
    Shelved {
        version: "1.2.0",
        procfile: include_str!("../../../examples/shop/releases/storefront/1.2.0/Procfile"),
        release_env: include_str!("../../../examples/shop/releases/storefront/1.2.0/release.env"),
    },
];

/// The catalogue of the shop, with the program that serves it in the server groups' variables.
///
/// # Errors
/// When the program has a path that is not text.
pub fn catalogue(program: &Path) -> Result<Vec<Value>, Failure> {
    let program = program.to_str().ok_or_else(|| {
        Failure::usage("the path of this program is not valid UTF-8")
            .next("move it to another folder")
    })?;
    let mut entries = documents(CATALOGUE)?;
    entries.extend(documents(COMPONENT)?);
    for entry in &mut entries {
        if entry.get("kind").and_then(Value::as_str) == Some("ServerGroup") {
            entry["variables"] = serde_json::json!({ "SHOP_SERVER": program });
        }
    }
    Ok(entries)
}

fn documents(text: &str) -> Result<Vec<Value>, Failure> {
    serde_saphyr::from_multiple(text)
        .map_err(|error| Failure::usage("the example catalogue is not YAML").because(error))
}

/// Writes the release folders of the storefront below `folder`; gives versions and folders.
///
/// # Errors
/// When they cannot be written.
pub fn releases(folder: &Path) -> Result<Vec<(&'static str, PathBuf)>, Failure> {
    let failed = |error: io::Error| {
        Failure::usage(format!("{} cannot be written", folder.display())).because(error)
    };
    let mut written = Vec::new();
    for release in &RELEASES {
        let below = folder.join("shop").join(release.version);
        fs::create_dir_all(&below).map_err(failed)?;
        fs::write(below.join("Procfile"), release.procfile).map_err(failed)?;
        fs::write(below.join("release.env"), release.release_env).map_err(failed)?;
        written.push((release.version, below));
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shelf_holds_the_shop() {
        let entries = catalogue(Path::new("/bin/pointsman")).expect("a catalogue");
        let groups = entries
            .iter()
            .filter(|entry| entry["kind"] == "ServerGroup");
        for group in groups {
            assert_eq!(group["variables"]["SHOP_SERVER"], "/bin/pointsman");
            assert_eq!(group["size"], SIZE);
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let releases = releases(folder.path()).expect("written");
        assert_eq!(releases.len(), 3);
        for (version, folder) in releases {
            let text = fs::read_to_string(folder.join("release.env")).expect("written");
            assert!(text.contains(&format!("VERSION={version}")), "{text}");
        }
    }
}
