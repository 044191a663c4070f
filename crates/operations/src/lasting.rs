//! Loops that others rely on, and that must not end with one bug.

use std::{future::Future, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

/// The pause after the first panic; it doubles with each one that follows.
const REST_MIN: Duration = Duration::from_secs(1);
/// The longest pause. What ran longer than this begins with [`REST_MIN`] again.
const REST_MAX: Duration = Duration::from_secs(30);

/// Runs `work` to its end, and again whenever it panics. Dropped, it ends what it runs.
pub async fn lasting<W>(name: &'static str, work: impl Fn() -> W)
where
    W: Future<Output = ()> + Send + 'static,
{
    let mut rest = REST_MIN;
    loop {
        let began = Instant::now();
        let mut round = JoinSet::new();
        round.spawn(work());
        match round.join_next().await {
            Some(Err(error)) if error.is_panic() => {
                tracing::error!(name, %error, "it failed, which is a bug; starting it again");
            }
            _ => return,
        }
        if began.elapsed() > REST_MAX {
            rest = REST_MIN;
        }
        sleep(rest).await;
        rest = (rest * 2).min(REST_MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_panics_is_started_again_later_and_later() {
        let rounds = Arc::new(AtomicU32::new(0));
        let began = Instant::now();
        let counted = Arc::clone(&rounds);
        lasting("a loop", || {
            let round = counted.fetch_add(1, Ordering::Relaxed);
            async move { assert!(round >= 3, "a bug that is meant") }
        })
        .await;
        assert_eq!(rounds.load(Ordering::Relaxed), 4);
        assert_eq!(began.elapsed().as_secs(), 1 + 2 + 4);
    }
}
