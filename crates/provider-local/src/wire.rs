//! What goes over the control socket. Both ends are this crate, of the same version.

use domain::{
    effect::{Effect, Target, Token},
    names::Place,
    observation::{InstanceId, Slice},
    time::UnixMs,
};
use serde::{Deserialize, Serialize};

/// Where the daemon listens for the control plane, in its state folder.
pub const SOCKET: &str = "local.sock";

/// Asks what is seen of a place.
#[derive(Debug, Serialize, Deserialize)]
pub struct ObserveRequest {
    /// Which.
    pub place: Place,
}

/// Asks for one effect.
#[derive(Debug, Serialize, Deserialize)]
pub struct ApplyRequest {
    /// At which server group.
    pub target: Target,
    /// For what.
    pub effect: Effect,
    /// Who asks.
    pub token: Token,
}

/// Asks for logs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogsQuery {
    /// Of which service, where.
    #[serde(flatten)]
    pub place: Place,
    /// Of one instance only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// So many lines of the past, of each instance.
    #[serde(deserialize_with = "from_text")]
    pub lines: usize,
    /// Go on with what is new.
    #[serde(deserialize_with = "from_text")]
    pub follow: bool,
}

/// Reads a value that a query holds as text; a flattened struct does not do it by itself.
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
    /// To which place.
    pub place: Place,
    /// To which of its slices, whatever its weight.
    pub slice: Slice,
    /// For how long, from 1 to [`router::pass::SECONDS_MAX`].
    pub seconds: u32,
}

/// A tester's pass. Whoever has it gets in, so it is never printed.
#[derive(Clone, Serialize, Deserialize)]
pub struct Pass {
    /// To be sent as header `x-pointsman-pass` or as cookie `pointsman-pass`.
    pub token: String,
    /// When it ends.
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
    /// Stop all instances first; otherwise they go on, and the next start adopts them.
    pub stop_instances: bool,
}

/// What the daemon says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Its process.
    pub pid: u32,
    /// Port of the router on 127.0.0.1.
    pub router_port: u16,
    /// Port of the metrics on 127.0.0.1, at `/metrics`.
    #[serde(default)]
    pub metrics_port: u16,
    /// Instances that are not gone.
    pub instances: usize,
}

/// Why the daemon said no.
#[derive(Debug, Serialize, Deserialize)]
pub struct Problem {
    /// For people.
    pub message: String,
}
