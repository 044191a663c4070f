#![allow(missing_docs)]
//! stub
use crate::traffic::Traffic;
use serde::{Deserialize, Serialize};
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tolerance {
    pub error_margin_permille: u32,
    pub percentiles: Vec<u8>,
    pub latency_margin_percent: u32,
}
impl Default for Tolerance {
    fn default() -> Self {
        Self {
            error_margin_permille: 10,
            percentiles: vec![50, 95],
            latency_margin_percent: 50,
        }
    }
}
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    Worse,
    NotWorse,
    NotEnough { more_requests: Option<u64> },
}
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Arm {
    pub requests: u64,
    pub events: u64,
}
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Evidence {
    new: Arm,
    stable: Arm,
}
pub struct Judged {
    pub verdict: Verdict,
    pub difference_ppm: i64,
    pub upper_ppm: i64,
}
impl Evidence {
    pub fn new_side(&self) -> Arm {
        self.new
    }
    pub fn stable_side(&self) -> Arm {
        self.stable
    }
    pub fn add(&mut self, new: Arm, stable: Arm) {
        self.new.requests += new.requests;
        self.stable.requests += stable.requests;
    }
    pub fn judge(&self, _margin_ppm: u32, _alpha_ppm: u32) -> Judged {
        Judged {
            verdict: Verdict::NotEnough {
                more_requests: None,
            },
            difference_ppm: 0,
            upper_ppm: 0,
        }
    }
}
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Comparison {
    n: u64,
}
impl Comparison {
    pub fn add(&mut self, new: &Traffic, _stable: &Traffic, _tolerance: &Tolerance) {
        self.n += new.requests;
    }
    pub fn look(&self, _tolerance: &Tolerance) -> Look {
        Look {
            verdict: Verdict::NotEnough {
                more_requests: None,
            },
        }
    }
}
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    pub verdict: Verdict,
}
impl std::fmt::Display for Look {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stub")
    }
}
