//! Packages for the tests.

use std::path::Path;

use domain::release::{Content, Digest, Launch, LaunchId};
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest as _, Sha256};

/// Packs a release with this command, and puts it where the client looks.
pub(super) fn release(artifacts: &Path, version: &str, line: &str, script: Option<&str>) -> Launch {
    let procfile = format!("# {version}\nweb: {line}\n");
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let files = [("Procfile", Some(procfile.as_str())), ("script.py", script)];
    for (name, text) in files {
        let Some(text) = text else { continue };
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, name, text.as_bytes())
            .unwrap();
    }
    let packed = builder.into_inner().unwrap().finish().unwrap();
    let digest = Digest::from_bytes(Sha256::digest(&packed).into());
    std::fs::write(artifacts.join(digest.as_str()), packed).unwrap();
    let id = LaunchId(format!("launch-{version}"));
    Launch {
        id,
        version: version.parse().unwrap(),
        content: Content::package(digest),
    }
}
