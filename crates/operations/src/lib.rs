//! Everything that people can do, with all rules. The API, and later the portal, only translate.
//!
//! ```text
//! web --> desk (who may) --> operations --> domain   (rules: admit, plan, command)
//!                                       --> store    (what is known, what is meant)
//!                                       --> clouds   (a look at a server group; what people ask of a provider)
//!                                       --> engine   (a wake-up, which carries no data)
//! ```
//!
//! Invariant: operations write intent and read; only the engine changes anything at a provider, but for
//! packages, which are brought ahead to where they will be fetched.
//! Invariant: operations name no provider. Provider crates implement [`cloud::Cloud`], and the program
//! hands them in.
//! Invariant: every mutation is written together with its audit event.

pub mod about;
pub mod accounts;
pub mod artifacts;
pub mod audit;
pub mod catalogue;
pub mod clock;
pub mod cloud;
pub mod clouds;
pub mod deployments;
pub mod desk;
pub mod environments;
pub mod error;
pub mod events;
pub mod fresh;
pub mod grants;
pub mod groups;
pub mod idempotency;
pub mod images;
pub mod journal;
pub mod lasting;
pub mod logs;
pub mod manifests;
pub mod metrics;
pub mod overview;
pub mod package;
pub mod packages;
pub mod passes;
pub mod patches;
pub mod people;
pub mod preferences;
pub mod refusals;
pub mod releases;
pub mod sessions;
pub mod sign_in;
pub mod slices;
pub mod status;
mod tarball;
pub mod tokens;
pub mod trouble;
pub mod uploads;

use std::{fmt, sync::Arc, time::Duration};

use domain::{access::Principal, effect::Target, observation::Observation, time::UnixMs};
use engine::{
    ports::{Clock, Provider},
    runner::Waker,
};
use store::Store;

pub use desk::Desk;
pub use error::Error;

use crate::{clock::SystemClock, clouds::Clouds, journal::Changes};
use artifacts::Artifacts;
use packages::Packages;
use refusals::Refusals;
use sign_in::{SignIn, provider::IdentityProvider};

/// Most rows that one call returns.
pub const PAGE_MAX: u32 = store::PAGE_MAX;
/// Between two looks whether the database can be written.
const WATCH: Duration = Duration::from_secs(1);

/// Everything that people can do. Cheap to clone.
#[derive(Clone)]
pub struct Operations(Arc<Whole>);

/// The parts, and what is kept between requests.
struct Whole {
    parts: Parts,
    sign_in: SignIn,
    refusals: Refusals,
}

/// What operations work with.
pub struct Parts {
    /// What is known.
    pub store: Store,
    /// Where packages are.
    pub packages: Packages,
    /// Where server groups live.
    pub clouds: Clouds,
    /// Who else says who somebody is.
    pub providers: Vec<Arc<dyn IdentityProvider>>,
    /// Wakes the engine of this process.
    pub waker: Waker,
    /// Tells watchers that a deployment changed.
    pub changes: Changes,
}

impl fmt::Debug for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Operations(..)")
    }
}

impl Operations {
    /// Operations over these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Whole {
            parts,
            sign_in: SignIn::default(),
            refusals: Refusals::default(),
        }))
    }

    /// Operations as `principal` sees them: the way to every use case.
    #[must_use]
    pub fn desk(&self, principal: Principal) -> Desk {
        Desk::new(self.clone(), principal)
    }

    /// Answers when the store can be written, within a few seconds.
    ///
    /// # Errors
    /// When it cannot; the error says why.
    pub async fn health(&self) -> Result<(), Error> {
        Ok(self.store().ping(self.now()).await?)
    }

    /// Looks every second whether the database can be written again, once it could not, and says so in the
    /// log. Writes down what was refused meanwhile. Never ends.
    pub async fn watch_writing(self) {
        let mut was_in_trouble = false;
        loop {
            tokio::time::sleep(WATCH).await;
            let trouble = self.store().write_trouble();
            match (&trouble, was_in_trouble) {
                (Some(why), false) => tracing::error!(why, "the database cannot be written"),
                (None, true) => tracing::warn!("the database can be written again"),
                _ => {}
            }
            was_in_trouble = trouble.is_some();
            if let Err(error) = self.write_refusals().await {
                tracing::warn!(%error, "refused attempts were not written down");
            }
            if was_in_trouble {
                // What it says is known from now on.
                let _ = self.store().ping(self.now()).await;
            }
        }
    }

    fn store(&self) -> &Store {
        &self.0.parts.store
    }

    fn artifacts(&self) -> &Artifacts {
        self.0.parts.packages.here()
    }

    fn packages(&self) -> &Packages {
        &self.0.parts.packages
    }

    fn changes(&self) -> &Changes {
        &self.0.parts.changes
    }

    fn clouds(&self) -> &Clouds {
        &self.0.parts.clouds
    }

    fn providers(&self) -> &[Arc<dyn IdentityProvider>] {
        &self.0.parts.providers
    }

    fn waker(&self) -> &Waker {
        &self.0.parts.waker
    }

    fn now(&self) -> UnixMs {
        SystemClock.now()
    }

    async fn observe(&self, target: &Target) -> Result<Observation, Error> {
        Ok(self.clouds().observe(target).await?)
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// So many rows are read for a page of `limit`: one more tells whether there is a next page.
    fn fetch(limit: u32) -> u32 {
        limit.saturating_add(1).min(PAGE_MAX)
    }

    /// A page of at most `limit` of the rows that were read.
    fn of(mut items: Vec<T>, limit: u32, cursor: impl Fn(&T) -> String) -> Self {
        let limit = usize::try_from(limit.clamp(1, PAGE_MAX)).unwrap_or(usize::MAX);
        let full = usize::try_from(PAGE_MAX).unwrap_or(usize::MAX);
        let more = items.len() > limit || items.len() >= full;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(cursor);
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_knows_whether_another_follows() {
        let page = |rows: u32, limit| Page::of((0..rows).collect(), limit, ToString::to_string);
        assert_eq!((page(2, 2).items.len(), page(2, 2).next), (2, None));
        assert_eq!(
            (page(3, 2).items.len(), page(3, 2).next),
            (2, Some("1".to_owned()))
        );
        assert_eq!(page(0, 2).next, None);
        assert_eq!(page(PAGE_MAX, PAGE_MAX).next, Some("499".to_owned()));
        assert_eq!(Page::<u32>::fetch(PAGE_MAX), PAGE_MAX);
    }
}
