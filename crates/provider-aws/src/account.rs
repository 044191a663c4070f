//! One account in one region, as observations and changes share it: its clients, and what is remembered
//! between calls. All of the memory can be lost.

use std::sync::Arc;

use domain::{catalogue::Account, time::UnixMs};
use engine::ports::Clock;

use crate::{
    calls::clients::Clients,
    resources::{images::ImageCache, templates::Templates},
    traffic::dns::PendingChanges,
};

/// An account of AWS in one region.
pub struct AwsAccount {
    /// Its clients.
    pub clients: Arc<Clients>,
    /// The launch template versions that were read.
    pub templates: Templates,
    /// The machine images that were read.
    pub images: ImageCache,
    /// Changes of DNS weights that may still be on their way to resolvers.
    pub dns_changes: PendingChanges,
    clock: Arc<dyn Clock>,
}

impl AwsAccount {
    /// An account that nothing is known of yet.
    pub fn new(clients: Arc<Clients>, clock: Arc<dyn Clock>) -> Self {
        Self {
            clients,
            templates: Templates::default(),
            images: ImageCache::default(),
            dns_changes: PendingChanges::default(),
            clock,
        }
    }

    /// Whether this is `account` as its manifest describes it now.
    pub fn is(&self, account: &Account) -> bool {
        self.clients.account == *account
    }

    /// The time now.
    pub fn now(&self) -> UnixMs {
        self.clock.now()
    }
}
