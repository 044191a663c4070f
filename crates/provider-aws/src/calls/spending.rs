//! What a deployment costs in calls to AWS: its own changes, and its share of the polls that it has in
//! common with others.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use domain::names::{DeploymentId, Place};

tokio::task_local! {
    static COUNTED: Arc<AtomicU64>;
}

/// Calls that were made for one deployment so far.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spent {
    /// For its own changes, including what they read first.
    pub changes: u64,
    /// Its share of the polls: a poll that serves three places counts a third for each.
    pub looks: f64,
}

/// What was spent at each place, for the deployment that runs there or was the last one.
#[derive(Debug, Default)]
pub struct Spending(BTreeMap<Place, (Option<DeploymentId>, Spent)>);

impl Spending {
    /// A poll, in this number of calls, served these places.
    pub fn add_poll<'a>(&mut self, places: impl ExactSizeIterator<Item = &'a Place>, calls: u64) {
        #[expect(clippy::cast_precision_loss, reason = "few calls, few places")]
        let share = calls as f64 / places.len().max(1) as f64;
        for place in places {
            self.0.entry(place.clone()).or_default().1.looks += share;
        }
    }

    /// A change was made for `deployment`, in this number of calls.
    pub fn add_change(&mut self, place: &Place, deployment: &DeploymentId, calls: u64) {
        let entry = self.0.entry(place.clone()).or_default();
        if entry.0.as_ref() != Some(deployment) {
            *entry = (Some(deployment.clone()), Spent::default());
        }
        entry.1.changes += calls;
    }

    /// What `deployment` cost, if it is the last one at `place`.
    pub fn of(&self, place: &Place, deployment: &DeploymentId) -> Option<Spent> {
        let (last, spent) = self.0.get(place)?;
        (last.as_ref() == Some(deployment)).then_some(*spent)
    }
}

/// Does `work`, and counts the calls that it makes.
pub async fn count_calls<T>(work: impl Future<Output = T>) -> (T, u64) {
    let calls = Arc::new(AtomicU64::new(0));
    let done = COUNTED.scope(Arc::clone(&calls), work).await;
    (done, calls.load(Ordering::Relaxed))
}

/// Counts one call.
pub fn note_call() {
    // Calls outside of polls and changes, such as those of a check-up, belong to no deployment.
    let _ = COUNTED.try_with(|calls| calls.fetch_add(1, Ordering::Relaxed));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn polls_are_shared_and_changes_are_not() {
        let place = |service: &str| Place {
            service: service.parse().unwrap(),
            environment: "live".parse().unwrap(),
        };
        let (cart, shop) = (place("cart"), place("shop"));
        let (one, two) = (DeploymentId("d1".into()), DeploymentId("d2".into()));
        let ((), calls) = count_calls(async {
            note_call();
            note_call();
        })
        .await;
        note_call();
        let mut spending = Spending::default();
        spending.add_change(&cart, &one, calls);
        spending.add_poll([&cart, &shop].into_iter(), 3);
        let spent = Spent {
            changes: 2,
            looks: 1.5,
        };
        assert_eq!(spending.of(&cart, &one), Some(spent));
        assert_eq!(spending.of(&shop, &one), None);
        spending.add_change(&cart, &two, 1);
        assert_eq!(spending.of(&cart, &one), None);
        let spent = Spent {
            changes: 1,
            looks: 0.0,
        };
        assert_eq!(spending.of(&cart, &two), Some(spent));
    }
}
