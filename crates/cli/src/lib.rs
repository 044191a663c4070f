//! The command line: arguments in, requests to the public API out, results for people or programs.
//!
//! Invariant: a command talks to a server only through the public HTTP API.

mod accounts;
mod amounts;
mod audit;
mod catalogue;
pub mod client;
pub mod connection;
mod contexts;
pub mod deploy;
mod deployments;
pub mod failure;
mod follow;
pub mod harmless;
mod images;
mod listener;
pub mod live;
mod logs;
mod looks;
mod manifests;
pub mod output;
pub mod pack;
mod patch;
mod people;
pub mod plan_page;
mod problem;
pub mod releases;
pub mod screen;
mod slices;
mod sse;
mod status;
mod strategy;
pub mod style;
#[cfg(test)]
mod tests;
mod tokens;
mod waits;
pub mod watch;
pub mod wire;

use clap::{Args, Subcommand};

use self::{
    catalogue::CatalogueCommand,
    client::Client,
    connection::{Connection, ConnectionArgs},
    deployments::{ApproveArgs, DeploymentCommand, ReasonArgs, TargetArgs, Turn},
    failure::{Exit, Failure},
    output::Format,
    screen::{Screen, Target},
};

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
pub struct GlobalArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Output format
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    output: Format,
}

/// The commands that talk to a server.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Deploy a release and watch it until it is live
    Deploy(deploy::DeployArgs),
    /// Show what a deployment would do, and every objection to it
    Plan(deploy::WishArgs),
    /// Show what is live, what is running and what is in progress
    Status(status::StatusArgs),
    /// Watch a deployment until it ends
    Watch(TargetArgs),
    /// Pause a deployment
    Pause(TargetArgs),
    /// Resume a paused deployment
    Resume(TargetArgs),
    /// Abort a deployment and restore the stable release
    Abort(ReasonArgs),
    /// Roll back to the previous release, during a deployment or after it
    Rollback(ReasonArgs),
    /// Approve a deployment that waits for approval
    Approve(ApproveArgs),
    /// Reject a deployment that waits for approval, and restore the stable release
    Reject(ReasonArgs),
    /// End the current bake early; approvals cannot be skipped
    Promote(TargetArgs),
    /// Switch users to the release on the other slice
    Switch(slices::SwitchArgs),
    /// Show the slices of a service side by side: users, versions, requests
    Slices(slices::SlicesArgs),
    /// Chart every measurement of a deployment's gates
    Looks(looks::LooksArgs),
    /// Create a pass that lets testers into one slice, even one without users
    Pass(slices::PassArgs),
    /// Print the logs of a service's instances
    Logs(logs::LogsArgs),
    /// List the machine images of the AWS accounts, their age and the server groups that run them
    Images(images::ImagesArgs),
    /// Move server groups on AWS to another machine image; their releases stay the same
    Patch(patch::PatchArgs),
    /// Apply manifests to the catalogue, all or nothing
    Apply(manifests::FilesArgs),
    /// Show what `apply` would change; the exit code is 1 when something differs
    Diff(manifests::FilesArgs),
    /// Show an entry of the catalogue as a manifest
    Get(manifests::EntryArgs),
    /// Delete an entry of the catalogue; refused while other entries refer to it
    Delete(manifests::EntryArgs),
    /// The kinds of the catalogue
    #[command(flatten)]
    Catalogue(CatalogueCommand),
    /// Check accounts: credentials, permissions, network, quotas, clocks, server groups
    Doctor(accounts::DoctorArgs),
    /// Generate manifests from existing infrastructure
    #[command(subcommand)]
    Import(accounts::ImportCommand),
    /// Manage releases, the immutable versions of a service
    #[command(subcommand)]
    Release(releases::ReleaseCommand),
    /// List and show deployments
    #[command(subcommand)]
    Deployment(DeploymentCommand),
    /// List and verify the audit log
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Manage tokens, which programs show instead of a password
    #[command(subcommand)]
    Token(tokens::TokenCommand),
    /// Manage people and service accounts
    #[command(subcommand)]
    User(people::UserCommand),
    /// Manage groups of people
    #[command(subcommand)]
    Group(people::GroupCommand),
    /// Manage grants: who has which role where
    #[command(subcommand)]
    Grant(people::GrantCommand),
    /// List and end sessions of browsers
    #[command(subcommand)]
    Session(people::SessionCommand),
    /// Tell whether somebody may do something, and by which grant
    May(people::MayArgs),
    /// Exchange a login code for a token, and print it
    Login(people::LoginArgs),
    /// Manage contexts: several servers by name
    #[command(subcommand)]
    Context(contexts::ContextCommand),
}

/// What every command needs to know.
#[derive(Debug)]
pub struct Context {
    connection: ConnectionArgs,
    /// How results are written.
    pub format: Format,
}

impl Context {
    /// The context of a command with these options.
    #[must_use]
    pub fn new(options: GlobalArgs) -> Self {
        Self {
            connection: options.connection,
            format: options.output,
        }
    }

    /// A client of the server that the arguments name.
    ///
    /// # Errors
    /// When the address is none, or the token cannot be read.
    pub fn client(&self) -> Result<Client, Failure> {
        Client::new(Connection::find_started(&contexts::resolved(
            &self.connection,
        )?)?)
    }

    /// A place for progress: standard output belongs to programs when they asked for it.
    #[must_use]
    pub fn screen(&self) -> Screen {
        Screen::new(match self.format {
            Format::Table => Target::Stdout,
            Format::Json | Format::Yaml => Target::Stderr,
        })
    }

    /// Tells people that it is done; programs read the exit code.
    pub fn say(&self, text: &str) {
        if self.format == Format::Table {
            self.screen().log(text);
        }
    }
}

/// Runs `command`.
///
/// # Errors
/// When the server refuses it, or cannot be reached; the failure says what to do next.
pub async fn run(context: &Context, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Deploy(args) => deploy::deploy(context, &args).await,
        Command::Plan(args) => deploy::plan(context, &args).await,
        Command::Status(args) => status::run(context, &args).await,
        Command::Watch(args) => deployments::watch(context, &args).await,
        Command::Pause(args) => deployments::pause(context, &args).await,
        Command::Resume(args) => deployments::resume(context, &args).await,
        Command::Abort(args) => deployments::turn(context, &args, Turn::Abort).await,
        Command::Rollback(args) => deployments::turn(context, &args, Turn::RollBack).await,
        Command::Approve(args) => deployments::approve(context, &args).await,
        Command::Reject(args) => deployments::turn(context, &args, Turn::Reject).await,
        Command::Promote(args) => deployments::promote(context, &args).await,
        Command::Switch(args) => slices::switch(context, &args).await,
        Command::Slices(args) => slices::show(context, &args).await,
        Command::Looks(args) => looks::run(context, &args).await,
        Command::Pass(args) => slices::pass(context, &args).await,
        Command::Logs(args) => logs::run(context, &args).await,
        Command::Images(args) => images::run(context, &args).await,
        Command::Patch(args) => patch::run(context, &args).await,
        Command::Apply(args) => manifests::apply(context, &args).await,
        Command::Diff(args) => manifests::diff(context, &args).await,
        Command::Get(args) => manifests::get(context, &args).await,
        Command::Delete(args) => manifests::delete(context, &args).await,
        Command::Catalogue(command) => catalogue::run(context, command).await,
        Command::Doctor(args) => accounts::doctor(context, &args).await,
        Command::Import(command) => accounts::import(context, &command).await,
        Command::Release(command) => releases::run(context, command).await,
        Command::Deployment(command) => deployments::run(context, command).await,
        Command::Audit(command) => audit::run(context, command).await,
        Command::Token(command) => tokens::run(context, &command).await,
        Command::User(command) => people::user(context, &command).await,
        Command::Group(command) => people::group(context, &command).await,
        Command::Grant(command) => people::grant(context, &command).await,
        Command::Session(command) => people::session(context, &command).await,
        Command::May(args) => people::may(context, &args).await,
        Command::Login(args) => people::login(context, &args).await,
        Command::Context(command) => contexts::run(context, &command),
    }
}
