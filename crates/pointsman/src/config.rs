//! What a server is told when it starts.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use crate::{
    data::LOCAL,
    local::{self, UserIds},
};
use domain::cloud::AwsAccount;
use operations::artifacts::Limits;
use web::{PublicUrl, tls::TlsFiles};

/// Where a server listens unless it was told otherwise.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7080);

/// What a server is told when it starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder with everything that it keeps; made when it is not there.
    pub data: PathBuf,
    /// Where it listens; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Listening on an address that others can reach is meant.
    pub allow_remote: bool,
    /// Where people reach the portal in a browser; `pointsman.localhost` and the port when there is none.
    pub public_urls: Vec<PublicUrl>,
    /// The files with the certificate, where the server ends TLS itself.
    pub tls: Option<TlsFiles>,
    /// How many proxies in front of it are trusted to say who asks.
    pub trusted_hops: usize,
    /// The file with the settings of identity providers, if people sign in by some.
    pub oidc: Option<PathBuf>,
    /// The one who starts the server may do everything, by grants that are made at the first start and a
    /// token in the data folder. Otherwise the first start leaves a token that makes the first admin.
    pub owner: bool,
    /// The database; `pointsman.db` in the data folder when it is `None`.
    pub database: Option<String>,
    /// The folder of the one-machine cloud; its usual one when it is `None`.
    pub local_state: Option<PathBuf>,
    /// Runs without a one-machine cloud; what lives in one is left to another server.
    pub no_local_cloud: bool,
    /// The accounts on AWS whose deployments this server drives; when there are none, those of every
    /// account.
    pub aws_accounts: Vec<AwsAccount>,
    /// The one-machine cloud of this server takes the place of the one that the database knows.
    pub replace_local_cloud: bool,
    /// The users of instances on this machine, where the system allows it; that of the server when it is
    /// `None`.
    pub instance_users: Option<UserIds>,
    /// The hosts that gates may ask; when there are none, every host but link-local ones.
    pub gate_hosts: Vec<String>,
    /// How large artifacts may be.
    pub limits: Limits,
    /// How the log is written.
    pub log: LogFormat,
}

/// How the log is written, to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl Config {
    /// The usual settings with this data folder.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            listen: DEFAULT_LISTEN,
            allow_remote: false,
            public_urls: Vec::new(),
            tls: None,
            trusted_hops: 0,
            oidc: None,
            owner: true,
            database: None,
            local_state: None,
            no_local_cloud: false,
            aws_accounts: Vec::new(),
            gate_hosts: Vec::new(),
            instance_users: Some(UserIds::default()),
            replace_local_cloud: false,
            limits: Limits::default(),
            log: LogFormat::default(),
        }
    }

    /// Whether users of instances have to get through the data folder.
    ///
    /// # Errors
    /// The system does not say what this process may do.
    pub(crate) fn lets_instances_through(&self) -> std::io::Result<bool> {
        let inside = !self.no_local_cloud && self.local_state().starts_with(&self.data);
        Ok(inside && self.instance_users.is_some() && local::may_give_users()?)
    }

    /// The state folder of the one-machine cloud.
    #[must_use]
    pub fn local_state(&self) -> PathBuf {
        let usual = || self.data.join(LOCAL);
        self.local_state.clone().unwrap_or_else(usual)
    }
}
