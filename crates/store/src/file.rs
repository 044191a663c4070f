//! The file of a SQLite database, which somebody may delete or replace while it is open. What is written
//! then would be gone with the process, and nobody would notice until the next start.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use sqlx::{AnyPool, Row};

use crate::{Store, StoreError, values::Doing};

/// The main database comes first.
const LOCATE: &str = "pragma database_list";
const USED: &str = "select seq from audit_events where seq = 1";

/// The file that a database was opened from. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct DatabaseFile {
    path: Arc<Path>,
    identity: (u64, u64),
}

impl DatabaseFile {
    /// The file of the SQLite database of these connections; `None` when it is in memory.
    pub(crate) async fn of(connections: &AnyPool) -> Result<Option<Self>, StoreError> {
        let doing = "looking for its file";
        let row = sqlx::query(LOCATE)
            .fetch_one(connections)
            .await
            .doing(doing)?;
        let path: String = row.try_get("file").doing(doing)?;
        if path.is_empty() {
            return Ok(None);
        }
        let path = PathBuf::from(path);
        let identity = identity(&path).map_err(|error| StoreError::Open {
            url: path.display().to_string(),
            why: error.to_string(),
        })?;
        let path = path.into();
        Ok(Some(Self { path, identity }))
    }

    /// Makes sure that the file is where it was.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let what = match identity(&self.path) {
            Ok(found) if found == self.identity => return Ok(()),
            Ok(_) => "was replaced",
            Err(error) if error.kind() == io::ErrorKind::NotFound => "was deleted",
            // The next write says what is wrong.
            Err(_) => return Ok(()),
        };
        Err(StoreError::NotWritable {
            why: format!(
                "its file {} {what} while this server uses it; put the file back that was there, or restart the server to go on with what is there now",
                self.path.display()
            ),
        })
    }
}

/// What no other file has as long as this one is open.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let data = fs::metadata(path)?;
    Ok((data.dev(), data.ino()))
}

impl Store {
    /// Whether anybody ever did anything with this database.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_used(&self) -> Result<bool, StoreError> {
        let found = sqlx::query(USED).fetch_optional(&self.readers).await;
        Ok(found.doing("looking whether it is new")?.is_some())
    }
}

#[cfg(test)]
mod tests {
    use domain::time::UnixMs;

    use super::*;

    #[tokio::test]
    async fn a_file_that_is_gone_or_another_one_takes_no_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.db");
        let store = Store::open(&crate::sqlite_url(&path)).await.unwrap();
        assert!(!store.is_used().await.unwrap());
        let aside = folder.path().join("aside.db");
        let refused = async || store.write().await.err().map(|error| error.to_string());
        assert_eq!(refused().await, None);
        fs::rename(&path, &aside).unwrap();
        let why = refused().await.unwrap();
        assert!(
            why.contains("p.db was deleted while this server uses it"),
            "{why}"
        );
        fs::copy(&aside, &path).unwrap();
        let why = refused().await.unwrap();
        assert!(
            why.contains("p.db was replaced while this server uses it"),
            "{why}"
        );
        let unwell = store.ping(UnixMs(1)).await.unwrap_err().to_string();
        assert_eq!(unwell, why);
        fs::rename(&aside, &path).unwrap();
        assert_eq!(refused().await, None, "it goes on with its own");
    }

    #[tokio::test]
    async fn a_database_in_memory_has_no_file() {
        let store = Store::open("sqlite::memory:").await.unwrap();
        assert!(store.file.is_none());
        store.write().await.unwrap().commit().await.unwrap();
    }
}
