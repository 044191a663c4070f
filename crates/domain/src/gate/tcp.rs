//! The gate that asks whether a port accepts connections.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Deadline, Patience, Settings};
use crate::bounds::{Faults, Limit, Limited};

/// Longest address: a DNS name (RFC 1035, section 2.3.4), a colon and a port.
const ADDRESS_MAX: u32 = 253 + 6;

/// A TCP port that the server connects to. A connection passes, a refusal fails, no answer leaves the
/// gate open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TcpGate {
    /// Shares of users at which the gate is asked, in percent (0: before any user is moved). Empty: at
    /// each stage with users on both releases or, if there is none, before the first shift.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<u8>,
    /// Host and port, such as `cart.internal:6379` or `[2001:db8::1]:6379`.
    pub address: String,
    /// How often it is asked, and how many bad answers in a row make it fail.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(default = Patience::default))]
    pub patience: Patience,
    /// Time that the gate may stay open after its stage, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = u32, default = Deadline::default))]
    pub deadline: Deadline,
}

impl TcpGate {
    /// A gate on `address`, with every other setting as if it had been left out.
    #[must_use]
    pub fn new(address: String) -> Self {
        Self {
            at: Vec::new(),
            address,
            patience: Patience::default(),
            deadline: Deadline::default(),
        }
    }
}

/// A host and a port other than 0; an IPv6 address is in brackets.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
    let named = !host.is_empty() && !host.contains(['[', ']', ':']);
    let numbered =
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    let visible = text.chars().all(|c| c.is_ascii_graphic() && c != '/');
    (bracketed || named) && numbered && visible
}

impl Limited for TcpGate {
    const LIMITS: &'static [Limit<Self>] = &[Limit::bytes("address", 1..=ADDRESS_MAX, |it| {
        Some(it.address.len())
    })];
}

impl Settings for TcpGate {
    fn at(&self) -> &[u8] {
        &self.at
    }

    fn deadline(&self) -> Deadline {
        self.deadline
    }

    fn patience(&self) -> Option<Patience> {
        Some(self.patience)
    }

    fn faults(&self, faults: &mut Faults) {
        faults.limits("gates", self);
        let rule = "must be a host and a port, such as cart.internal:6379";
        faults.unless(is_address(&self.address), "gates.address", rule);
    }
}

impl fmt::Display for TcpGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection to {}", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for good in ["cart.internal:6379", "10.0.0.1:1", "[::1]:65535"] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "cart",
            "cart:",
            ":6379",
            "cart:0",
            "cart:65536",
            "::1:80",
            "[]:80",
            "a b:80",
            "http://cart:80",
            "cart:80/x",
            "cart:+80",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
