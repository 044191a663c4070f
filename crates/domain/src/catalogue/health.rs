//! When an instance counts as healthy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// When an instance counts as healthy: how it is checked, how often, and how many checks decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(default))]
#[serde(deny_unknown_fields, default)]
pub struct HealthCheck {
    /// How an instance is checked.
    pub kind: HealthKind,
    /// Path of the request of kind `http`. Left out: `/health`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Method of the request of kind `http`. Left out: `GET`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<HealthMethod>,
    /// Headers of the request of kind `http`. `Host` is the host name that users have, unless it is
    /// set here.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Accepted status codes of kind `http`: numbers such as 204, and classes such as `3xx`. Left
    /// out: `2xx`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<Accepted>,
    /// Shell command of kind `command`; an exit status of 0 passes. It runs with the folder and the
    /// variables of the instance, `PORT` among them, and is killed after `timeout_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Time between two checks, in milliseconds.
    pub interval_ms: u32,
    /// Time after which a check has failed, in milliseconds.
    pub timeout_ms: u32,
    /// Number of passed checks in a row that make an instance healthy.
    pub healthy_threshold: u32,
    /// Number of failed checks in a row that make an instance unhealthy.
    pub unhealthy_threshold: u32,
    /// Time in which a new instance must become healthy, in seconds; then another one is started
    /// instead. Left out: a day, so that the deadline of a deployment decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_seconds: Option<u32>,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            kind: HealthKind::Http,
            path: None,
            method: None,
            headers: BTreeMap::new(),
            accept: Vec::new(),
            command: None,
            interval_ms: 1000,
            timeout_ms: 1000,
            healthy_threshold: 2,
            unhealthy_threshold: 3,
            start_seconds: None,
        }
    }
}

/// How an instance is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum HealthKind {
    /// By an HTTP/1.1 request to its port: the status decides.
    Http,
    /// By a TCP connection to its port: it passes when the connection is made.
    Tcp,
    /// By a command on its machine: the exit status decides.
    Command,
}

impl HealthKind {
    /// Its word in manifests.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Command => "command",
        }
    }
}

/// The method of a check's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum HealthMethod {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// OPTIONS.
    Options,
    /// POST, without a body.
    Post,
}

impl HealthMethod {
    /// Its word in requests.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Post => "POST",
        }
    }
}

/// A status code that a check accepts, or a class of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Accepted {
    /// This code.
    Code(u16),
    /// All codes with this first digit.
    Class(u8),
}

impl Accepted {
    /// Whether it accepts `status`.
    #[must_use]
    pub fn allows(self, status: u16) -> bool {
        match self {
            Self::Code(code) => status == code,
            Self::Class(class) => status / 100 == u16::from(class),
        }
    }
}

/// An accepted status code as it is written: a number, or a text such as `3xx`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Code(u16),
    Text(String),
}

impl TryFrom<Written> for Accepted {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let code = match &written {
            Written::Code(code) => Some(*code),
            Written::Text(text) => text.parse().ok(),
        };
        if let Some(code) = code.filter(|code| (200..600).contains(code)) {
            return Ok(Self::Code(code));
        }
        let class = match &written {
            Written::Text(text) => text.strip_suffix("xx"),
            Written::Code(_) => None,
        };
        match class {
            Some("2") => Ok(Self::Class(2)),
            Some("3") => Ok(Self::Class(3)),
            Some("4") => Ok(Self::Class(4)),
            Some("5") => Ok(Self::Class(5)),
            _ => Err("must be a status code from 200 to 599, or a class: 2xx, 3xx, 4xx or 5xx"),
        }
    }
}

impl From<Accepted> for Written {
    fn from(accepted: Accepted) -> Self {
        match accepted {
            Accepted::Code(code) => Self::Code(code),
            Accepted::Class(class) => Self::Text(format!("{class}xx")),
        }
    }
}

/// What one check does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe<'a> {
    /// A request to the port of the instance.
    Http(Request<'a>),
    /// A connection to the port of the instance.
    Tcp,
    /// A shell command.
    Command(&'a str),
}

/// The request of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// Its method.
    pub method: HealthMethod,
    /// Its path.
    pub path: &'a str,
    /// Headers that are set or replaced.
    pub headers: &'a BTreeMap<String, String>,
    accept: &'a [Accepted],
}

impl Request<'_> {
    /// Whether an answer with this status passes.
    #[must_use]
    pub fn accepts(&self, status: u16) -> bool {
        if self.accept.is_empty() {
            return Accepted::Class(2).allows(status);
        }
        self.accept.iter().any(|it| it.allows(status))
    }
}

impl HealthCheck {
    /// What one check does, with what was left out filled in.
    #[must_use]
    pub fn probe(&self) -> Probe<'_> {
        match self.kind {
            HealthKind::Http => Probe::Http(Request {
                method: self.method.unwrap_or(HealthMethod::Get),
                path: self.path.as_deref().unwrap_or("/health"),
                headers: &self.headers,
                accept: &self.accept,
            }),
            HealthKind::Tcp => Probe::Tcp,
            HealthKind::Command => Probe::Command(self.command.as_deref().unwrap_or_default()),
        }
    }

    /// Whether it asks for more than a provider with health checks of its own may ignore: anything
    /// beside a path and the numbers.
    pub(crate) fn is_special(&self) -> bool {
        let plain = Self {
            path: self.path.clone(),
            interval_ms: self.interval_ms,
            timeout_ms: self.timeout_ms,
            healthy_threshold: self.healthy_threshold,
            unhealthy_threshold: self.unhealthy_threshold,
            ..Self::default()
        };
        *self != plain
    }
}
