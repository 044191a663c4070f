//! `user`, `group`, `grant`, `session`, `may` and `login`: who may use a server, and for what.
//!
//! Invariant: a code and a token are printed once, when they are made, on standard output; neither is
//! ever an argument.

mod tables;

use std::io::{self, BufRead, IsTerminal, Write};

use clap::{Args, Subcommand};
use domain::access::{GroupName, PersonName, Right, Role};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Context,
    client::Client,
    failure::{Exit, Failure},
    output::{self, text_at},
    tokens::right,
};

/// Most rows that are listed.
const ROWS_MAX: usize = 10_000;
/// Longest code that is read, in bytes.
const CODE_LEN_MAX: usize = 200;

/// What can be done with people and service accounts.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a person, who may nothing yet, and print the code for their first login
    Create(CreateArgs),
    /// List people and service accounts
    List,
    /// Print a new login code for a person; the one before no longer works
    Invite(NameArgs),
    /// Disable a person or a service account: sessions end, tokens stop working
    Disable(NameArgs),
    /// Enable a person or a service account again
    Enable(NameArgs),
}

/// Who is added.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The name, which audit events will show
    name: PersonName,
    /// Add a service account of this team instead; it has tokens and cannot sign in
    #[arg(long, value_name = "TEAM")]
    service_account_of: Option<String>,
}

/// Who.
#[derive(Debug, Args)]
pub struct NameArgs {
    /// The name
    name: PersonName,
}

/// What can be done with groups.
#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// Create a group
    Create(CreateGroupArgs),
    /// List the groups
    List,
    /// List the members of a group
    Members(GroupArgs),
    /// Add a person to a group
    Add(MemberArgs),
    /// Remove a person from a group
    Remove(MemberArgs),
    /// Delete a group that has no grants
    Delete(GroupArgs),
}

/// Which group is created.
#[derive(Debug, Args)]
pub struct CreateGroupArgs {
    /// The name of the group
    group: GroupName,
    /// Identity provider that says who is in the group
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// What the provider calls the group, as in its tokens [default: the name]
    #[arg(long, value_name = "GROUP", requires = "provider")]
    provider_group: Option<String>,
}

/// Which group.
#[derive(Debug, Args)]
pub struct GroupArgs {
    /// The name of the group
    group: GroupName,
}

/// Who in which group.
#[derive(Debug, Args)]
pub struct MemberArgs {
    /// The name of the group
    group: GroupName,
    /// The name of the person
    person: PersonName,
}

/// What can be done with grants.
#[derive(Debug, Subcommand)]
pub enum GrantCommand {
    /// Grant a role
    Create(GrantArgs),
    /// List the grants
    List,
    /// Remove a grant, starting with the next request
    Remove(GrantIdArgs),
}

/// Who is granted what where.
#[derive(Debug, Args)]
pub struct GrantArgs {
    /// viewer, deployer, approver, operator, governor or admin
    #[arg(value_parser = role)]
    role: Role,
    /// Who: a person's name, group/NAME, service-account/NAME, or `everyone` who is signed in
    subject: String,
    /// Only for what this team owns
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// Only in environments of this type
    #[arg(long, value_name = "TYPE")]
    environment_type: Option<String>,
    /// When it ends, such as 2027-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// Which grant.
#[derive(Debug, Args)]
pub struct GrantIdArgs {
    /// The grant's id, as `grant list` shows it
    id: String,
}

/// What can be done with sessions of browsers.
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// List your sessions
    List,
    /// End one of your sessions, or all of them, or those of another person
    End(EndArgs),
    /// Print a code with which you sign in to a browser once, within five minutes
    Link,
}

/// Which sessions.
#[derive(Debug, Args)]
pub struct EndArgs {
    /// The session's id, as `session list` shows it
    #[arg(required_unless_present_any = ["all", "of"])]
    id: Option<String>,
    /// End all your sessions
    #[arg(long, conflicts_with = "of")]
    all: bool,
    /// End all sessions of this person
    #[arg(long, value_name = "NAME")]
    of: Option<PersonName>,
}

/// Who may do what where.
#[derive(Debug, Args)]
pub struct MayArgs {
    /// The name of a person or a service account
    person: PersonName,
    /// The right, such as `deploy`
    #[arg(value_parser = right)]
    right: Right,
    /// SERVICE.ENVIRONMENT, service/NAME, environment/NAME or team/NAME [default: the whole installation]
    place: Option<String>,
}

/// How to log in.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// What the token is called in `token list`
    #[arg(long, value_name = "NAME", default_value = "command line")]
    name: String,
}

fn role(text: &str) -> Result<Role, String> {
    let found = Role::ALL.into_iter().find(|role| role.as_str() == text);
    found.ok_or_else(|| {
        let words: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
        format!("use one of {}", words.join(", "))
    })
}

/// Does it.
///
/// # Errors
/// When the server refuses it, or cannot be reached.
pub async fn user(context: &Context, command: &UserCommand) -> Result<Exit, Failure> {
    let client = context.client()?;
    match command {
        UserCommand::Create(args) => {
            let team = args.service_account_of.as_ref();
            let (noun, body) = match team {
                None => ("people", json!({ "name": args.name })),
                Some(team) => (
                    "service-accounts",
                    json!({ "name": args.name, "team": team }),
                ),
            };
            let made = client.post(client.url(&[noun]), &body).await?.body;
            let shown = match team {
                None => "code",
                Some(_) => "name",
            };
            output::value(context.format, &made, |made| text_at(made, shown))?;
        }
        UserCommand::List => list(context, &client, "people", tables::people).await?,
        UserCommand::Invite(args) => {
            let url = client.url(&["people", args.name.as_str(), "invitation"]);
            let made = client.post(url, &json!({})).await?.body;
            output::value(context.format, &made, |made| {
                let (url, code) = (text_at(made, "url"), text_at(made, "code"));
                format!("in a browser:         {url}\nfor `pointsman login`: {code}")
            })?;
        }
        UserCommand::Disable(args) => {
            let url = client.url(&["people", args.name.as_str(), "disable"]);
            client.post(url, &json!({})).await?;
            context.say(&format!("{} is disabled", args.name));
        }
        UserCommand::Enable(args) => {
            let url = client.url(&["people", args.name.as_str(), "enable"]);
            client.post(url, &json!({})).await?;
            context.say(&format!("{} is enabled", args.name));
        }
    }
    Ok(Exit::Ok)
}

/// Does it.
///
/// # Errors
/// When the server refuses it, or cannot be reached.
pub async fn group(context: &Context, command: &GroupCommand) -> Result<Exit, Failure> {
    let client = context.client()?;
    let member = |args: &MemberArgs| {
        let (group, person) = (args.group.as_str(), args.person.as_str());
        client.url(&["groups", group, "members", person])
    };
    match command {
        GroupCommand::Create(args) => {
            let body = json!({
                "name": args.group,
                "provider": args.provider,
                "provider_group": args.provider_group,
            });
            client.post(client.url(&["groups"]), &body).await?;
            context.say(&format!("the group {} exists", args.group));
        }
        GroupCommand::List => list(context, &client, "groups", tables::groups).await?,
        GroupCommand::Members(args) => {
            let url = client.url(&["groups", args.group.as_str(), "members"]);
            let members: Value = client.get(url).await?;
            output::value(context.format, &members, |members| {
                let names = members.as_array().into_iter().flatten();
                let names: Vec<&str> = names.filter_map(Value::as_str).collect();
                names.join("\n")
            })?;
        }
        GroupCommand::Add(args) => {
            client
                .send(client.request(Method::PUT, member(args)))
                .await?;
            context.say(&format!("{} is in the group {}", args.person, args.group));
        }
        GroupCommand::Remove(args) => {
            let request = client.request(Method::DELETE, member(args));
            client.send(request).await?;
            context.say(&format!("{} left the group {}", args.person, args.group));
        }
        GroupCommand::Delete(args) => {
            let url = client.url(&["groups", args.group.as_str()]);
            client.send(client.request(Method::DELETE, url)).await?;
            context.say(&format!("the group {} is deleted", args.group));
        }
    }
    Ok(Exit::Ok)
}

/// A subject as the API writes it.
fn subject(text: &str) -> Value {
    match text.split_once('/') {
        None if text == "everyone" => json!({ "kind": "signed_in" }),
        None => json!({ "kind": "person", "name": text }),
        Some((kind, name)) => json!({ "kind": kind.replace('-', "_"), "name": name }),
    }
}

/// Does it.
///
/// # Errors
/// When the server refuses it, or cannot be reached.
pub async fn grant(context: &Context, command: &GrantCommand) -> Result<Exit, Failure> {
    let client = context.client()?;
    match command {
        GrantCommand::Create(args) => {
            let body = json!({
                "subject": subject(&args.subject),
                "role": args.role,
                "team": args.team,
                "environment_type": args.environment_type,
                "until": args.until,
            });
            let made = client.post(client.url(&["grants"]), &body).await?.body;
            output::value(context.format, &made, |made| text_at(made, "id"))?;
        }
        GrantCommand::List => list(context, &client, "grants", tables::grants).await?,
        GrantCommand::Remove(args) => {
            let url = client.url(&["grants", &args.id]);
            client.send(client.request(Method::DELETE, url)).await?;
            context.say(&format!("the grant {} is removed", args.id));
        }
    }
    Ok(Exit::Ok)
}

/// Does it.
///
/// # Errors
/// When the server refuses it, or cannot be reached.
pub async fn session(context: &Context, command: &SessionCommand) -> Result<Exit, Failure> {
    let client = context.client()?;
    match command {
        SessionCommand::List => {
            let sessions: Value = client.get(client.url(&["me", "sessions"])).await?;
            output::value(context.format, &sessions, tables::sessions)?;
        }
        SessionCommand::End(args) => {
            let url = match (&args.of, &args.id) {
                (Some(person), _) => client.url(&["people", person.as_str(), "sessions"]),
                (None, Some(id)) if !args.all => client.url(&["me", "sessions", id]),
                _ => client.url(&["me", "sessions"]),
            };
            client.send(client.request(Method::DELETE, url)).await?;
            context.say("ended");
        }
        SessionCommand::Link => {
            let url = client.url(&["me", "sign-in-link"]);
            let made = client.post(url, &json!({})).await?.body;
            output::value(context.format, &made, |made| {
                let (url, code) = (text_at(made, "url"), text_at(made, "code"));
                format!("in a browser:         {url}\nfor `pointsman login`: {code}")
            })?;
        }
    }
    Ok(Exit::Ok)
}

/// Tells whether somebody may do something, and by which grant. The exit code is 1 when they may not.
///
/// # Errors
/// When the server refuses to tell, or cannot be reached.
pub async fn may(context: &Context, args: &MayArgs) -> Result<Exit, Failure> {
    let client = context.client()?;
    let mut url = client.url(&["may"]);
    url.query_pairs_mut()
        .append_pair("person", args.person.as_str())
        .append_pair("right", args.right.as_str())
        .append_pair("place", args.place.as_deref().unwrap_or_default());
    let answer: Value = client.get(url).await?;
    output::value(context.format, &answer, |answer| {
        text_at(answer, "sentence")
    })?;
    Ok(match answer["may"].as_bool() {
        Some(true) => Exit::Ok,
        _ => Exit::NotReached,
    })
}

/// Exchanges a login code, read from standard input, for a token, and prints that.
///
/// # Errors
/// When the code does not count any more, or the server cannot be reached.
pub async fn login(context: &Context, args: &LoginArgs) -> Result<Exit, Failure> {
    let client = context.client()?;
    let code = read_code().map_err(|error| {
        Failure::usage("the code cannot be read from standard input").because(error)
    })?;
    let body = json!({ "code": code, "token_name": args.name });
    let made = client.post(client.url(&["logins"]), &body).await?.body;
    output::value(context.format, &made, |made| text_at(made, "token"))?;
    Ok(Exit::Ok)
}

fn read_code() -> io::Result<String> {
    if io::stdin().is_terminal() {
        eprint!("Login code (from `pointsman user invite` or your profile): ");
        io::stderr().flush()?;
    }
    let mut line = String::new();
    let limit = u64::try_from(CODE_LEN_MAX).unwrap_or(u64::MAX);
    io::Read::take(io::stdin().lock(), limit).read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

async fn list(
    context: &Context,
    client: &Client,
    noun: &str,
    table: impl Fn(&Value) -> String,
) -> Result<(), Failure> {
    let items = client.items(client.url(&[noun]), ROWS_MAX).await?;
    output::value(context.format, &Value::Array(items), table)
}
