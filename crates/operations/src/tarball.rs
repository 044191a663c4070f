//! Looks through an uploaded tarball before anybody may deploy it.

use std::io::{self, Read};

use super::{
    error::Fault,
    package::{self, Item, ItemKind, PROCFILE, PROCFILE_LEN_MAX, Unreadable},
};

/// Says what is wrong with the gzipped tarball in `file`, which may hold at most `bytes_max` bytes
/// after decompression.
pub(super) fn inspect(file: impl Read, bytes_max: u64) -> Result<(), Fault> {
    let mut found = None;
    let mut take = |item: Item<'_>| {
        if let (PROCFILE, ItemKind::File { bytes, content, .. }) = (item.path, item.kind) {
            found = Some(procfile(bytes, content)?);
        }
        Ok(())
    };
    let read = package::read(file, bytes_max, &mut take);
    read.map_err(|error| fault(error.to_string()))?;
    let Some(procfile) = found else {
        return Err(fault(
            "has no Procfile at its root; write one with a line such as `web: ./server`",
        ));
    };
    package::web_command(&procfile).map(drop).map_err(fault)
}

fn procfile(bytes: u64, content: &mut dyn Read) -> Result<String, Unreadable> {
    if bytes > PROCFILE_LEN_MAX {
        let why = format!("has a Procfile larger than {PROCFILE_LEN_MAX} bytes");
        return Err(Unreadable::refused(why));
    }
    let mut text = String::new();
    match content.read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(Unreadable::refused("has a Procfile that is not UTF-8 text"))
        }
        Err(error) => Err(Unreadable::not_good(&error)),
    }
}

fn fault(message: impl Into<String>) -> Fault {
    Fault::of("artifact", message)
}

#[cfg(test)]
mod tests;
