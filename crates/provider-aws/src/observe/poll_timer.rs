//! When an account is looked at again: soon after something was changed there or somebody new asks,
//! otherwise no more often than slow things need.

use std::time::Duration;

use tokio::{sync::Notify, time::Instant};

/// Keeps looks apart.
#[derive(Debug)]
pub struct Pace {
    soonest: Duration,
    usual: Duration,
    hurry: Notify,
}

impl Pace {
    /// Two looks are `usual` apart, and `soonest` where there is something new to see.
    pub fn new(soonest: Duration, usual: Duration) -> Self {
        Self {
            soonest,
            usual,
            hurry: Notify::new(),
        }
    }

    /// The next look shall come soon. Asking often is the same as asking once.
    pub fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Waits until it is time for a look after the one that began at `last`.
    pub async fn wait(&self, last: Instant) {
        tokio::select! {
            biased;
            () = self.hurry.notified() => tokio::time::sleep_until(last + self.soonest).await,
            () = tokio::time::sleep_until(last + self.usual) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn waited(pace: &Pace, hurried: bool) -> Duration {
        let last = Instant::now();
        if hurried {
            pace.hurry();
            pace.hurry();
        }
        pace.wait(last).await;
        last.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn one_hurry_is_good_for_one_look() {
        let pace = Pace::new(Duration::from_secs(1), Duration::from_secs(5));
        let mut times = Vec::new();
        for hurried in [false, true, false] {
            times.push(waited(&pace, hurried).await.as_secs());
        }
        assert_eq!(times, [5, 1, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_while_others_wait_is_served_soon() {
        let pace = Pace::new(Duration::from_secs(1), Duration::from_secs(5));
        let newcomer = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            pace.hurry();
        };
        let (waited, ()) = tokio::join!(waited(&pace, false), newcomer);
        assert_eq!(waited.as_secs(), 2);
    }
}
