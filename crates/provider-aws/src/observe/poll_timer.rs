//! When an account is polled next: soon after a change or a new question, and otherwise no more often
//! than slow things need.

use std::time::Duration;

use tokio::{sync::Notify, time::Instant};

/// Keeps the polls of an account apart.
#[derive(Debug)]
pub struct PollTimer {
    soonest: Duration,
    usual: Duration,
    soon: Notify,
}

impl PollTimer {
    /// Two polls are `usual` apart, or `soonest` where there is something new to read.
    pub fn new(soonest: Duration, usual: Duration) -> Self {
        Self {
            soonest,
            usual,
            soon: Notify::new(),
        }
    }

    /// Brings the next poll forward. To call this twice is the same as once.
    pub fn poll_soon(&self) {
        self.soon.notify_one();
    }

    /// Waits until it is time for the poll after the one that began at `last`.
    pub async fn wait(&self, last: Instant) {
        tokio::select! {
            biased;
            () = self.soon.notified() => tokio::time::sleep_until(last + self.soonest).await,
            () = tokio::time::sleep_until(last + self.usual) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn waited(timer: &PollTimer, soon: bool) -> Duration {
        let last = Instant::now();
        if soon {
            timer.poll_soon();
            timer.poll_soon();
        }
        timer.wait(last).await;
        last.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_next_poll_comes_soon() {
        let timer = PollTimer::new(Duration::from_secs(1), Duration::from_secs(5));
        let mut times = Vec::new();
        for soon in [false, true, false] {
            times.push(waited(&timer, soon).await.as_secs());
        }
        assert_eq!(times, [5, 1, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_shortens_a_wait_that_has_begun() {
        let timer = PollTimer::new(Duration::from_secs(1), Duration::from_secs(5));
        let newcomer = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            timer.poll_soon();
        };
        let (waited, ()) = tokio::join!(waited(&timer, false), newcomer);
        assert_eq!(waited.as_secs(), 2);
    }
}
