//! The side of a server group that a provider of your own looks after: one that your build of Pointsman
//! brings, and that needs no settings here (`docs/adr/0018`).

use serde::{Deserialize, Serialize};

use crate::names::AccountName;

/// Where a server group with a provider of your own lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CustomGroup {
    /// The account that the group is in.
    pub account: AccountName,
}
