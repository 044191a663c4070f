//! The messages on the control socket. Both ends are this crate, in the same version.

use domain::{
    effect::{Effect, Target, Token},
    names::Place,
    observation::InstanceId,
    slice::Slice,
    time::UnixMs,
};
use serde::{Deserialize, Serialize};

use crate::users::{Apart, UserIds};

/// Name of the socket in the state folder, where the daemon listens for the control plane.
pub const SOCKET: &str = "local.sock";

/// Asks for an observation of a place.
#[derive(Debug, Serialize, Deserialize)]
pub struct ObserveRequest {
    /// The place.
    pub place: Place,
}

/// Asks for one effect on a server group.
#[derive(Debug, Serialize, Deserialize)]
pub struct ApplyRequest {
    /// The server group, with its settings.
    pub target: Target,
    /// The effect.
    pub effect: Effect,
    /// The deployment that asks, and the version of its record.
    pub token: Token,
}

/// Names the ports of a control plane, so that no instance ever gets one of them.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReserveRequest {
    /// The ports.
    pub ports: Vec<u16>,
}

/// Asks for logs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogsQuery {
    /// The place.
    #[serde(flatten)]
    pub place: Place,
    /// Only this instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// Number of past lines, per instance.
    #[serde(deserialize_with = "from_text")]
    pub lines: usize,
    /// Whether to follow new lines.
    #[serde(deserialize_with = "from_text")]
    pub follow: bool,
}

/// Reads a value that a query holds as text; a flattened struct does not do this by itself.
fn from_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

/// Asks for a tester's pass.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PassRequest {
    /// The place.
    pub place: Place,
    /// The slice that the pass opens, whatever its weight.
    pub slice: Slice,
    /// How long it is valid, in seconds: from 1 to [`router::pass::SECONDS_MAX`].
    pub seconds: u32,
}

/// A tester's pass. Anyone who has the token gets in, so it is never printed.
#[derive(Clone, Serialize, Deserialize)]
pub struct Pass {
    /// Sent as header `x-pointsman-pass` or as cookie `pointsman-pass`.
    pub token: String,
    /// When it expires.
    pub expires: UnixMs,
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pass {{ token: .., expires: {:?} }}", self.expires)
    }
}

/// Asks the daemon to end.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShutdownRequest {
    /// Whether to stop all instances first; otherwise they keep running, and the next start adopts
    /// them.
    pub stop_instances: bool,
}

/// The status of the daemon.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's process id.
    pub pid: u32,
    /// Which program it runs; another value is another build.
    #[serde(default)]
    pub build: String,
    /// Port of the router on 127.0.0.1.
    pub router_port: u16,
    /// Port of the metrics on 127.0.0.1, at `/metrics`.
    #[serde(default)]
    pub metrics_port: u16,
    /// Number of instances that are not gone.
    pub instances: usize,
    /// The user ids that it was told to give to instances.
    #[serde(default)]
    pub user_ids: Option<UserIds>,
    /// Whether instances run as users of their own.
    #[serde(default)]
    pub apart: Apart,
}

/// Why the daemon refused a request.
#[derive(Debug, Serialize, Deserialize)]
pub struct Problem {
    /// One sentence for people.
    pub message: String,
}
