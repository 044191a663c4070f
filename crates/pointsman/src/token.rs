//! `token create|list|revoke`: who may use a server besides its owner. Run where its data folder is.
//!
//! Invariant: a token is printed once, when it is made, on standard output.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use cli::{
    Context,
    connection::data_folder,
    failure::{Exit, Failure},
    output::{self, ago, text_at},
};
use web::access::people::{self, PeopleError, PersonName};

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token for a person, and print it: the only time that it is shown
    Create(PersonArgs),
    /// List the people who have tokens
    List(FolderArgs),
    /// Take a token away; a running server knows within a second
    Revoke(PersonArgs),
}

/// Whose token.
#[derive(Debug, Args)]
pub struct PersonArgs {
    /// The person's name, as audit events will carry it
    name: PersonName,
    #[command(flatten)]
    folder: FolderArgs,
}

/// Which server's tokens.
#[derive(Debug, Args)]
pub struct FolderArgs {
    /// The server's data folder [default: ~/.local/share/pointsman]
    #[arg(long, value_name = "FOLDER", env = "POINTSMAN_DATA")]
    data: Option<PathBuf>,
}

impl FolderArgs {
    fn path(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(data_folder)
    }
}

/// Does it.
///
/// # Errors
/// When the data folder cannot be used, or there is such a token already, or none.
pub fn run(context: &Context, command: &TokenCommand) -> Result<Exit, Failure> {
    match command {
        TokenCommand::Create(person) => {
            let token = people::create(&person.folder.path(), &person.name)
                .map_err(|error| failure("no token was made", &error))?;
            let made = json!({"name": person.name.as_str(), "token": token});
            output::value(context.format, &made, |made| text_at(made, "token"))?;
        }
        TokenCommand::List(folder) => {
            let listed = people::list(&folder.path())
                .map_err(|error| failure("the tokens cannot be listed", &error))?;
            let items = listed.iter().map(item).collect();
            output::value(context.format, &Value::Array(items), table)?;
        }
        TokenCommand::Revoke(person) => {
            people::revoke(&person.folder.path(), &person.name)
                .map_err(|error| failure("no token was revoked", &error))?;
            context.say(&format!("{} is shut out", person.name));
        }
    }
    Ok(Exit::Ok)
}

fn item(person: &people::Listed) -> Value {
    let created_at = jiff::Timestamp::try_from(person.created_at);
    let created_at = created_at.map(|time| time.to_string()).unwrap_or_default();
    json!({"name": person.name.as_str(), "created_at": created_at})
}

fn table(items: &Value) -> String {
    let items = items.as_array().map_or(&[][..], Vec::as_slice);
    let row = |item: &Value| vec![text_at(item, "name"), ago(&text_at(item, "created_at"))];
    let rows: Vec<_> = items.iter().map(row).collect();
    output::table(&["NAME", "CREATED"], &rows)
}

fn failure(what: &str, error: &PeopleError) -> Failure {
    let exit = match error {
        PeopleError::Exists(_) | PeopleError::Full => Exit::Refused,
        _ => Exit::NotReached,
    };
    Failure::new(exit, what).because(error)
}
