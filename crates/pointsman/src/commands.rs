//! The whole command line: the commands of `cli`, and those of the processes that run here.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use cli::{
    Context, GlobalArgs,
    failure::{AFTER_HELP, Exit, Failure},
    style::Style,
};

use crate::{serve, telemetry};

/// Sets the points: which release of a service its users reach.
///
/// Start with `pointsman demo`: it shows everything on this machine, and stops what it started.
#[derive(Debug, Parser)]
#[command(name = "pointsman", version, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    options: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

/// Everything that can be typed.
#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Client(Box<cli::Command>),
    /// Run the control plane
    Server(Box<serve::ServerArgs>),
    /// Run the one-machine cloud, which the server starts by itself; or stop it
    Local(serve::LocalArgs),
    /// Carry users' requests; the one-machine cloud starts this by itself
    #[command(hide = true)]
    Router(serve::RouterArgs),
    /// Try it on this machine: a shop is deployed, patched, and rolled back from a broken release
    Demo(demo::DemoArgs),
    /// Print shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Serve a release of the example shop (`examples/shop/README.md`)
    #[command(hide = true)]
    ShopServer,
}

/// Runs the command that `cli` says.
pub async fn run(cli: Cli) -> ExitCode {
    let context = Context::new(cli.options);
    match dispatch(&context, cli.command).await {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(failure) => {
            telemetry::tell(&failure.text(Style::stderr()));
            ExitCode::from(failure.exit as u8)
        }
    }
}

async fn dispatch(context: &Context, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Client(command) => cli::run(context, *command).await,
        Command::Server(args) => serve::server(*args).await,
        Command::Local(args) => serve::local(context, args).await,
        Command::Router(args) => serve::router(args).await,
        Command::Demo(args) => demo::run(context, &args).await,
        Command::Completions { shell } => {
            let command = &mut Cli::command();
            clap_complete::generate(shell, command, "pointsman", &mut std::io::stdout());
            Ok(Exit::Ok)
        }
        Command::ShopServer => Ok(demo::shop::run()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_make_sense() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_a_text_of_its_own() {
        let command = Cli::command();
        let texts = command.get_subcommands().map(|command| {
            let about = command.get_about();
            about.map(ToString::to_string).unwrap_or_default()
        });
        let mut texts: Vec<String> = texts.collect();
        let all = texts.len();
        texts.sort();
        texts.dedup();
        assert!(texts.len() == all && !texts[0].is_empty(), "{texts:?}");
    }

    /// The help of `command` and of all below it.
    fn help(command: &mut clap::Command) -> String {
        let own = command.render_long_help().to_string();
        let below = command.get_subcommands_mut().map(help);
        below.fold(own, |all, text| all + &text)
    }

    #[test]
    fn the_help_is_in_plain_words() {
        let help = help(&mut Cli::command());
        for stiff in [
            " shall ",
            "anew",
            "whoever",
            "so many",
            "for ever",
            "turn round",
            "beside ",
            "no sense",
        ] {
            assert!(!help.contains(stiff), "{stiff:?} is in the help");
        }
    }
}
