//! `team list`, `service get NAME` and the like, for every kind of the catalogue; and locks of
//! environments.

use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand, error::ErrorKind};
use domain::catalogue::Kind;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Context,
    failure::{Exit, Failure},
    manifests::{self, EntryArgs},
    output,
};

/// Most entries that one list shows.
const ENTRIES_MAX: usize = 50_000;

/// The commands of the kinds, one for each row of the domain's table.
#[derive(Debug)]
pub enum CatalogueCommand {
    /// What can be asked of any kind.
    Entry(Kind, EntryCommand),
    /// What can be asked of environments.
    Environment(EnvironmentCommand),
}

/// What can be asked of any kind.
#[derive(Debug, Subcommand)]
pub enum EntryCommand {
    /// List all entries
    List,
    /// Show an entry as a manifest, which `apply` accepts
    Get(NameArgs),
}

/// What can be asked of environments.
#[derive(Debug, Subcommand)]
pub enum EnvironmentCommand {
    /// What can be asked of any kind
    #[command(flatten)]
    Entry(EntryCommand),
    /// Lock an environment: deployments are refused until it is unlocked
    Lock {
        /// Name of the environment
        name: String,
        /// Reason, for people whose deployments are refused
        #[arg(short, long)]
        reason: String,
    },
    /// Unlock an environment
    Unlock(NameArgs),
}

/// Which entry.
#[derive(Debug, Args)]
pub struct NameArgs {
    /// Name of the entry; server groups are named SERVICE.ENVIRONMENT
    name: String,
}

impl Subcommand for CatalogueCommand {
    fn augment_subcommands(commands: Command) -> Command {
        let kinds = Kind::ALL.into_iter().rev();
        kinds.fold(commands, |commands, kind| {
            let words = kind.words();
            let command = Command::new(words.word)
                .subcommand_required(true)
                .arg_required_else_help(true);
            let command = match kind {
                Kind::Environment => EnvironmentCommand::augment_subcommands(command),
                _ => EntryCommand::augment_subcommands(command),
            };
            // The description of the commands inside is not that of the kind.
            commands.subcommand(command.about(words.sentence).long_about(None::<&str>))
        })
    }

    fn augment_subcommands_for_update(commands: Command) -> Command {
        Self::augment_subcommands(commands)
    }

    fn has_subcommand(name: &str) -> bool {
        Kind::find(|words| words.word == name).is_some()
    }
}

impl FromArgMatches for CatalogueCommand {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let named = matches.subcommand();
        let found =
            named.and_then(|(name, of)| Some((Kind::find(|words| words.word == name)?, of)));
        match found {
            None => Err(clap::Error::new(ErrorKind::MissingSubcommand)),
            Some((Kind::Environment, of)) => {
                EnvironmentCommand::from_arg_matches(of).map(Self::Environment)
            }
            Some((kind, of)) => {
                EntryCommand::from_arg_matches(of).map(|command| Self::Entry(kind, command))
            }
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Shows entries of a kind, or locks an environment.
///
/// # Errors
/// When the server cannot be reached, or says no.
pub async fn run(context: &Context, command: CatalogueCommand) -> Result<Exit, Failure> {
    match command {
        CatalogueCommand::Entry(kind, command) => entries(context, kind, command).await,
        CatalogueCommand::Environment(command) => environment(context, command).await,
    }
}

async fn entries(context: &Context, kind: Kind, command: EntryCommand) -> Result<Exit, Failure> {
    match command {
        EntryCommand::List => list(context, kind).await,
        EntryCommand::Get(NameArgs { name }) => {
            manifests::get(context, &EntryArgs { kind, name }).await
        }
    }
}

async fn environment(context: &Context, command: EnvironmentCommand) -> Result<Exit, Failure> {
    match command {
        EnvironmentCommand::Entry(command) => entries(context, Kind::Environment, command).await,
        EnvironmentCommand::Lock { name, reason } => {
            let client = context.client()?;
            let url = client.url(&["environments", &name, "lock"]);
            let request = client.request(Method::PUT, url);
            let body = json!({ "reason": reason });
            client.send(request.json(&body)).await?;
            context.say(&format!(
                "locked {name}; unlock it with `pointsman environment unlock {name}`"
            ));
            Ok(Exit::Ok)
        }
        EnvironmentCommand::Unlock(NameArgs { name }) => {
            let client = context.client()?;
            let url = client.url(&["environments", &name, "lock"]);
            client.send(client.request(Method::DELETE, url)).await?;
            context.say(&format!("unlocked {name}"));
            Ok(Exit::Ok)
        }
    }
}

async fn list(context: &Context, kind: Kind) -> Result<Exit, Failure> {
    let client = context.client()?;
    let items = client
        .items(client.url(&[kind.words().path]), ENTRIES_MAX)
        .await?;
    output::value(context.format, &Value::Array(items), |items| {
        let entries = items.as_array().map_or(&[][..], Vec::as_slice);
        let columns = kind.words().columns;
        let cells = |entry: &Value| {
            let cells = columns
                .iter()
                .map(|(_, at)| output::text_of(entry.pointer(at)));
            cells.collect()
        };
        let rows: Vec<Vec<String>> = entries.iter().map(cells).collect();
        let heading: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
        output::table(&heading, &rows)
    })?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: CatalogueCommand,
    }

    fn typed(line: &str) -> Result<CatalogueCommand, clap::Error> {
        let words = ["pointsman"].into_iter().chain(line.split(' '));
        Line::try_parse_from(words).map(|line| line.command)
    }

    #[test]
    fn every_kind_has_its_commands_and_its_words() {
        let help = typed("--help").expect_err("help").to_string();
        for kind in Kind::ALL {
            let words = kind.words();
            let listed = typed(&format!("{} list", words.word));
            let named = match listed.expect("it is a command") {
                CatalogueCommand::Entry(kind, EntryCommand::List) => kind,
                CatalogueCommand::Environment(_) => Kind::Environment,
                other => panic!("{other:?}"),
            };
            assert_eq!(named, kind);
            assert!(help.contains(words.sentence), "{help}");
        }
        assert!(typed("environment lock live --reason audit").is_ok());
        assert!(typed("team lock web").is_err());
        assert!(typed("thing list").is_err());
    }
}
