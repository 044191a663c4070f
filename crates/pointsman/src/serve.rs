//! `server` and `local`: what the command line says about the processes that stay.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, ValueEnum};

use domain::cloud::AwsAccount;
use web::{PublicUrl, tls::TlsFiles};

use cli::{
    Context,
    connection::data_folder,
    failure::{Exit, Failure},
};

use crate::{
    config::{Config, LogFormat},
    local::{self, DaemonConfig, NoUserIds, UserIds},
    server,
};

/// What a server is told.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// Data folder [default: ~/.local/share/pointsman]
    #[arg(long, value_name = "FOLDER", env = "POINTSMAN_DATA")]
    data: Option<PathBuf>,
    /// Address to listen on; port 0 picks any free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7080")]
    listen: SocketAddr,
    /// Allow an address that other machines can reach; protect it with --tls-cert, a TLS proxy, or a
    /// private network
    #[arg(long)]
    allow_remote: bool,
    /// Address of the portal in a browser, such as `https://deploy.example.com`; more than one with more
    /// options [default: `http://pointsman.localhost` and the port]
    #[arg(
        long,
        value_name = "URL",
        env = "POINTSMAN_PUBLIC_URL",
        value_delimiter = ','
    )]
    public_url: Vec<PublicUrl>,
    /// File with the certificate for TLS, in PEM, and those that lead to a root; replaced files count
    /// without a restart
    #[arg(long, value_name = "FILE", env = "POINTSMAN_TLS_CERT", requires_all = ["tls_key", "public_url"])]
    tls_cert: Option<PathBuf>,
    /// File with the private key of the certificate, in PEM
    #[arg(
        long,
        value_name = "FILE",
        env = "POINTSMAN_TLS_KEY",
        requires = "tls_cert"
    )]
    tls_key: Option<PathBuf>,
    /// Proxies in front of the server that each add an address to X-Forwarded-For; who asks is taken from
    /// there
    #[arg(
        long,
        value_name = "NUMBER",
        env = "POINTSMAN_TRUSTED_HOPS",
        default_value_t = 0
    )]
    trusted_hops: usize,
    /// File with the identity providers by which people sign in (OpenID Connect)
    #[arg(long, value_name = "FILE", env = "POINTSMAN_OIDC")]
    oidc: Option<PathBuf>,
    /// Let the user who starts the server do everything, by the token in the data folder [default: unless
    /// --allow-remote]
    #[arg(long)]
    owner: bool,
    /// URL of the database, such as postgres://host/name [default: a SQLite file in the data folder]
    ///
    /// Put a URL with a password into the environment variable, where `ps` does not show it.
    #[arg(
        long,
        value_name = "URL",
        env = "POINTSMAN_DATABASE",
        hide_env_values = true
    )]
    database: Option<String>,
    /// State folder of the one-machine cloud [default: `local` in the data folder]
    #[arg(long, value_name = "FOLDER", env = "POINTSMAN_LOCAL_STATE")]
    local_state: Option<PathBuf>,
    /// Run without a one-machine cloud; another server with the same database drives what lives in one
    #[arg(long, conflicts_with = "local_state")]
    no_local_cloud: bool,
    /// Account on AWS whose deployments this server drives, with its region, such as main/eu-west-1; more
    /// than one with more options [default: every account]
    #[arg(
        long,
        value_name = "ACCOUNT/REGION",
        env = "POINTSMAN_AWS_ACCOUNTS",
        value_delimiter = ','
    )]
    aws_account: Vec<AwsAccount>,
    /// Use this server's one-machine cloud from now on: the one that the database knows is gone
    #[arg(long)]
    replace_local_cloud: bool,
    /// User ids for instances, or `off`: each server group runs as a user of its own where this process
    /// is root, or has the capabilities for it
    #[arg(
        long,
        value_name = "FIRST-LAST",
        env = "POINTSMAN_INSTANCE_USERS",
        default_value = "70000-89999",
        value_parser = instance_users
    )]
    instance_users: InstanceUsers,
    /// Host that gates may ask, by name or address; more than one with more options [default: every host
    /// but link-local addresses]
    #[arg(
        long,
        value_name = "HOST",
        env = "POINTSMAN_GATE_HOSTS",
        value_delimiter = ','
    )]
    gate_host: Vec<String>,
    /// Format of the log, on standard error
    #[arg(long, value_enum, default_value = "text")]
    log: Log,
}

/// User ids, if there are any: an option of its own to the reader of arguments.
#[derive(Debug, Clone, Copy)]
struct InstanceUsers(Option<UserIds>);

fn instance_users(text: &str) -> Result<InstanceUsers, NoUserIds> {
    local::instance_users(text).map(InstanceUsers)
}

/// The formats of the log.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Log {
    /// Lines for people
    Text,
    /// One JSON object per line
    Json,
}

impl From<Log> for LogFormat {
    fn from(log: Log) -> Self {
        match log {
            Log::Text => Self::Text,
            Log::Json => Self::Json,
        }
    }
}

/// What a one-machine cloud is told.
#[derive(Debug, Args)]
pub struct LocalArgs {
    /// State folder [default: `local` in the data folder]
    #[arg(long, value_name = "FOLDER", env = "POINTSMAN_LOCAL_STATE")]
    state_dir: Option<PathBuf>,
    /// Port of the router [default: the port of the last run, else 8080, else any free port]
    #[arg(long, value_name = "PORT")]
    router_port: Option<u16>,
    /// Port of the router's metrics on 127.0.0.1 [default: the port of the last run, else any free
    /// port]
    #[arg(long, value_name = "PORT")]
    metrics_port: Option<u16>,
    /// User ids for instances, or `off`
    #[arg(
        long,
        value_name = "FIRST-LAST",
        env = "POINTSMAN_INSTANCE_USERS",
        default_value = "70000-89999",
        value_parser = instance_users
    )]
    instance_users: InstanceUsers,
    /// Stop the running cloud and its router after the instances have finished their last requests
    #[arg(long)]
    stop: bool,
    /// With --stop: keep the instances and the router running, so that users notice nothing; the next
    /// start adopts them
    #[arg(long, requires = "stop")]
    leave_instances: bool,
    /// Format of the log, on standard error
    #[arg(long, value_enum, default_value = "text")]
    log: Log,
}

/// What a router is told; standard input is the socket that users reach.
#[derive(Debug, Args)]
pub struct RouterArgs {
    /// State folder of the one-machine cloud
    #[arg(long, value_name = "FOLDER")]
    state_dir: PathBuf,
}

/// Carries users' requests until the one-machine cloud ends it.
///
/// # Errors
/// When it cannot start.
pub async fn router(args: RouterArgs) -> Result<Exit, Failure> {
    local::route(&args.state_dir)
        .await
        .map_err(|error| failure("the router cannot run", &error))?;
    Ok(Exit::Ok)
}

/// Runs the one-machine cloud until it is told to end, or ends it.
///
/// # Errors
/// When it cannot start, or none runs that could be ended.
pub async fn local(context: &Context, args: LocalArgs) -> Result<Exit, Failure> {
    let state = args
        .state_dir
        .unwrap_or_else(|| data_folder().join("local"));
    if args.stop {
        local::stop(&state, args.leave_instances)
            .await
            .map_err(|error| failure("the one-machine cloud cannot be stopped", &error))?;
        context.say("stopped");
        return Ok(Exit::Ok);
    }
    let config = DaemonConfig {
        state,
        router_port: args.router_port,
        metrics_port: args.metrics_port,
        user_ids: args.instance_users.0,
    };
    local::run(config, args.log.into())
        .await
        .map_err(|error| failure("the one-machine cloud cannot run", &error))?;
    Ok(Exit::Ok)
}

/// Runs the control plane until it is asked to end.
///
/// # Errors
/// When it cannot start.
pub async fn server(args: ServerArgs) -> Result<Exit, Failure> {
    let data = args.data.unwrap_or_else(data_folder);
    let config = Config {
        listen: args.listen,
        allow_remote: args.allow_remote,
        public_urls: args.public_url,
        tls: args
            .tls_cert
            .zip(args.tls_key)
            .map(|(certificate, key)| TlsFiles { certificate, key }),
        trusted_hops: args.trusted_hops,
        oidc: args.oidc,
        owner: args.owner || !args.allow_remote,
        database: args.database,
        local_state: args.local_state,
        no_local_cloud: args.no_local_cloud,
        aws_accounts: args.aws_account,
        gate_hosts: args.gate_host,
        instance_users: args.instance_users.0,
        replace_local_cloud: args.replace_local_cloud,
        log: args.log.into(),
        ..Config::new(data)
    };
    server::run(config)
        .await
        .map_err(|error| failure("the server cannot run", &error))?;
    Ok(Exit::Ok)
}

/// An error with all its causes: the sentence of each says what to do.
fn failure(what: &str, error: &anyhow::Error) -> Failure {
    error
        .chain()
        .fold(Failure::new(Exit::NotReached, what), |failure, cause| {
            failure.because(cause)
        })
}
