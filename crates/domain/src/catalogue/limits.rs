//! What an instance may use of its machine.

use serde::{Deserialize, Serialize};

use crate::bounds::{Limit, Limited};

/// Memory in MiB: less than a shell needs is a mistake.
const MEMORY_MIB: std::ops::RangeInclusive<u32> = 32..=16_777_216;

/// What the instances of a server group may use of the server's own machine. Elsewhere, set limits
/// where the instances are described.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct InstanceLimits {
    /// Most files and connections that one process has open. Left out: 1024, which a process may
    /// raise by itself as far as the system allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u32>,
    /// Most memory that one process allocates, in MiB. A process that asks for more gets none, which
    /// ends most programs. Left out: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u32>,
    /// Most processes and threads of all instances of the group together. Needs a user of its own for
    /// the group. Left out: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u32>,
}

impl InstanceLimits {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Limited for InstanceLimits {
    const LIMITS: &'static [Limit<Self>] = &[
        Limit::number("open_files", 16..=1_048_576, |it| it.open_files),
        Limit::number("memory_mib", MEMORY_MIB, |it| it.memory_mib),
        Limit::number("processes", 4..=4_194_304, |it| it.processes),
    ];
}
