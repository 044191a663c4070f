//! Reads that are tried again.

use std::time::Duration;

use engine::ports::{ErrorKind, ProviderError};

/// A read that fails for a passing reason is tried so often.
const TRIES: u32 = 3;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// Tries a read again when it failed for a passing reason.
pub async fn again<T, F>(read: impl Fn() -> F) -> Result<T, ProviderError>
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
            // What was made a moment ago may not be known everywhere yet.
            Err(error) if error.kind == ErrorKind::Missing && tries == 1 => {
                tokio::time::sleep(PAUSE).await;
                tries += 1;
            }
            other => return other,
        }
    }
}
