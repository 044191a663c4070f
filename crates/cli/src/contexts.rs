//! Contexts: several servers by name, and which of them is meant.
//!
//! Invariant: the file can be read by its owner alone, and the token of a context is shown to the server of
//! that context alone.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::{
    Context,
    connection::{self, ConnectionArgs},
    failure::{Exit, Failure},
    output,
};

/// Longest name of a context, in characters.
const NAME_LEN_MAX: usize = 64;

/// What can be done with contexts.
#[derive(Debug, Subcommand)]
pub enum ContextCommand {
    /// List the contexts; `*` marks the one in use
    List,
    /// Use a context from now on; `-` uses none
    Use(NameArgs),
    /// Add a context, or replace the one with the same name
    Add(AddArgs),
    /// Remove a context; its token file stays
    Remove(NameArgs),
}

/// Which context.
#[derive(Debug, Args)]
pub struct NameArgs {
    /// The name of the context
    name: String,
}

/// What is added. The server is the one of `--server`, the token that of `--token-file`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// The name of the context
    name: String,
}

/// The contexts of a user.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contexts {
    #[serde(default)]
    used: Option<String>,
    #[serde(default)]
    contexts: BTreeMap<String, Entry>,
}

/// A server, and what to show it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    server: String,
    #[serde(default)]
    token_file: Option<PathBuf>,
}

/// Where contexts are kept: below `$XDG_CONFIG_HOME`, or the usual place below the home folder.
fn usual_file() -> PathBuf {
    let config = env::var_os("XDG_CONFIG_HOME")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".config")));
    config.unwrap_or_default().join("pointsman/contexts.json")
}

/// The same options, with server and token of the context that is meant. Who names a server, or a data
/// folder, means no context, unless they name one too.
///
/// # Errors
/// When the context is unknown, or the file cannot be read.
pub(crate) fn resolved(args: &ConnectionArgs) -> Result<ConnectionArgs, Failure> {
    let data = env::var_os("POINTSMAN_DATA").is_some_and(|folder| !folder.is_empty());
    resolved_in(&usual_file(), args, data)
}

fn resolved_in(file: &Path, args: &ConnectionArgs, data: bool) -> Result<ConnectionArgs, Failure> {
    let named = args.context.clone().filter(|name| !name.is_empty());
    if args.server.is_some() || named.is_none() && data {
        return Ok(args.clone());
    }
    let known = read(file)?;
    let Some(name) = named.or(known.used.clone()) else {
        return Ok(args.clone());
    };
    let entry = known.contexts.get(&name).ok_or_else(|| unknown(&name))?;
    let token_file = args.token_file.clone().or(entry.token_file.clone());
    Ok(ConnectionArgs {
        server: Some(entry.server.clone()),
        token_file,
        ..args.clone()
    })
}

/// Runs `command`.
///
/// # Errors
/// When a context is unknown, or the file cannot be read or written.
pub(crate) fn run(context: &Context, command: &ContextCommand) -> Result<Exit, Failure> {
    let file = usual_file();
    let mut known = read(&file)?;
    match command {
        ContextCommand::List => {
            let shown = serde_json::to_value(&known);
            let shown = shown.map_err(|error| cannot("shown", &file).because(error))?;
            output::value(context.format, &shown, |_| table(&known))?;
            return Ok(Exit::Ok);
        }
        ContextCommand::Use(args) if args.name == "-" => {
            known.used = None;
            context.say("no context is in use");
        }
        ContextCommand::Use(args) => {
            let entry = known.contexts.get(&args.name);
            let entry = entry.ok_or_else(|| unknown(&args.name))?;
            context.say(&format!("{} is in use: {}", args.name, entry.server));
            known.used = Some(args.name.clone());
        }
        ContextCommand::Add(args) => add(context, &mut known, args)?,
        ContextCommand::Remove(args) => {
            if known.contexts.remove(&args.name).is_none() {
                return Err(unknown(&args.name));
            }
            known.used = known.used.filter(|used| *used != args.name);
            context.say(&format!("{} is removed", args.name));
        }
    }
    write(&file, &known).map_err(|error| cannot("written", &file).because(error))?;
    Ok(Exit::Ok)
}

fn add(context: &Context, known: &mut Contexts, args: &AddArgs) -> Result<(), Failure> {
    let is_name = !args.name.starts_with('-')
        && (1..=NAME_LEN_MAX).contains(&args.name.len())
        && !args
            .name
            .chars()
            .any(|c| c.is_control() || c.is_whitespace());
    if !is_name {
        return Err(
            Failure::usage(format!("{:?} is not a name for a context", args.name))
                .next("use 1 to 64 characters without spaces, and no `-` in front"),
        );
    }
    let Some(server) = &context.connection.server else {
        return Err(Failure::usage("no server is named")
            .next("add --server and its address, and --token-file if you have a token"));
    };
    let token_file = context.connection.token_file.as_ref();
    let token_file = token_file.map(std::path::absolute).transpose();
    let token_file = token_file
        .map_err(|error| Failure::usage("the token file has no absolute path").because(error))?;
    let entry = Entry {
        server: connection::address(server)?,
        token_file,
    };
    context.say(&format!("{} is added: {}", args.name, entry.server));
    if known.contexts.is_empty() {
        known.used = Some(args.name.clone());
    }
    known.contexts.insert(args.name.clone(), entry);
    Ok(())
}

fn table(known: &Contexts) -> String {
    let rows = known.contexts.iter().map(|(name, entry)| {
        let used = known.used.as_ref() == Some(name);
        let token_file = entry.token_file.as_ref();
        vec![
            if used { "*" } else { "" }.to_owned(),
            name.clone(),
            entry.server.clone(),
            token_file.map_or_else(String::new, |file| file.display().to_string()),
        ]
    });
    output::table(
        &["", "name", "server", "token file"],
        &rows.collect::<Vec<_>>(),
    )
}

fn unknown(name: &str) -> Failure {
    let name: String = name.chars().take(NAME_LEN_MAX).collect();
    Failure::usage(format!("there is no context {name:?}"))
        .next("see `pointsman context list`, or add it with `pointsman context add`")
}

fn cannot(done: &str, file: &Path) -> Failure {
    let what = format!("the contexts in {} cannot be {done}", file.display());
    Failure::new(Exit::Usage, what)
}

fn read(file: &Path) -> Result<Contexts, Failure> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Contexts::default()),
        Err(error) => return Err(cannot("read", file).because(error)),
    };
    serde_json::from_str(&text).map_err(|error| {
        cannot("read", file)
            .because(error)
            .next("correct the file, or delete it")
    })
}

/// The file appears whole or not at all.
fn write(file: &Path, contexts: &Contexts) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let draft = file.with_extension(format!("new-{}", std::process::id()));
    let mut new = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    let text = serde_json::to_string_pretty(contexts)?;
    writeln!(new, "{text}")?;
    new.sync_all()?;
    fs::rename(draft, file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn entry(server: &str, token_file: Option<&str>) -> Entry {
        Entry {
            server: server.to_owned(),
            token_file: token_file.map(PathBuf::from),
        }
    }

    #[test]
    fn a_context_names_the_server_and_its_token_goes_nowhere_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pointsman/contexts.json");
        let contexts = Contexts {
            used: Some("live".to_owned()),
            contexts: BTreeMap::from([
                (
                    "live".to_owned(),
                    entry("https://live.example", Some("/live.token")),
                ),
                ("test".to_owned(), entry("https://test.example", None)),
            ]),
        };
        write(&file, &contexts).expect("written");
        let mode = fs::metadata(&file).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let found = |context: Option<&str>, server: Option<&str>, data| {
            let args = ConnectionArgs {
                context: context.map(str::to_owned),
                server: server.map(str::to_owned),
                ..ConnectionArgs::default()
            };
            let found = resolved_in(&file, &args, data).expect("known");
            let token_file = found.token_file.map(|file| file.display().to_string());
            (
                found.server.unwrap_or_default(),
                token_file.unwrap_or_default(),
            )
        };
        let live = ("https://live.example".to_owned(), "/live.token".to_owned());
        assert_eq!(found(None, None, false), live);
        assert_eq!(found(Some("live"), None, true), live);
        let test = ("https://test.example".to_owned(), String::new());
        assert_eq!(found(Some("test"), None, false), test);
        let other = ("https://other.example".to_owned(), String::new());
        assert_eq!(found(None, Some("https://other.example"), false), other);
        assert_eq!(found(None, None, true), (String::new(), String::new()));
        let args = ConnectionArgs {
            context: Some("nobody".to_owned()),
            ..ConnectionArgs::default()
        };
        assert!(resolved_in(&file, &args, false).is_err());
    }

    #[test]
    fn without_a_file_there_are_no_contexts() {
        let none = resolved_in(
            Path::new("/nonexistent/x.json"),
            &ConnectionArgs::default(),
            false,
        );
        assert_eq!(none.expect("found").server, None);
    }
}
