//! Reads that are retried.

use std::time::Duration;

use engine::ports::{ErrorKind, ProviderError};

/// How often a read is tried in all.
const TRIES: u32 = 3;
/// The pause after the first try. It grows with each further one.
const PAUSE: Duration = Duration::from_millis(50);

/// Makes a read, and retries it when it fails for a passing reason.
pub async fn retry<T, F>(read: impl Fn() -> F) -> Result<T, ProviderError>
where
    F: Future<Output = Result<T, ProviderError>>,
{
    let mut tries = 1;
    loop {
        match read().await {
            Err(error) if error.kind.is_transient() && tries < TRIES => {
                tokio::time::sleep(PAUSE * tries).await;
                tries += 1;
            }
            // Something that was created a moment ago may not be visible everywhere yet.
            Err(error) if error.kind == ErrorKind::Missing && tries == 1 => {
                tokio::time::sleep(PAUSE).await;
                tries += 1;
            }
            other => return other,
        }
    }
}
