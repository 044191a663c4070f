//! Where the server is, and what to show it: found in the data folder, unless said otherwise.
//!
//! Invariant: a token is never an argument. The token of the data folder is only shown where the owner
//! of that file listens, which is looked at before each request: another user of this machine may have
//! taken the port of a server that is gone.

use std::{
    env, fmt, fs,
    net::TcpStream,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use reqwest::Url;
use serde_json::Value;

use super::{
    failure::{Exit, Failure},
    listener,
};

/// Where a server listens unless it was told otherwise.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:7080";

/// How long a server of this machine may take to start: `pointsman server &` and the next command
/// are often pasted together.
const START_MAX: Duration = Duration::from_secs(2);
/// Between two looks whether it has started.
const START_PAUSE: Duration = Duration::from_millis(50);

/// Options that every command takes.
#[derive(Debug, Clone, Default, Args)]
pub struct ConnectionArgs {
    /// Address of the server [default: the one in the data folder, else http://127.0.0.1:7080]
    #[arg(long, global = true, value_name = "URL", env = "POINTSMAN_SERVER")]
    pub server: Option<String>,
    /// File with the token [default: the token in the data folder; or set POINTSMAN_TOKEN]
    #[arg(long, global = true, value_name = "FILE", env = "POINTSMAN_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Context with the server and its token, see `pointsman context` [default: the one in use]
    #[arg(long, global = true, value_name = "NAME", env = "POINTSMAN_CONTEXT")]
    pub context: Option<String>,
    /// Send the token even to another machine without TLS
    #[arg(long, global = true)]
    pub plain_http: bool,
}

/// A bearer token. It is never printed.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// The value of the `Authorization` header.
    #[must_use]
    pub fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// A server and what to show it.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Its address, such as `http://127.0.0.1:7080`.
    pub base: Url,
    /// The token, if one was found.
    pub token: Option<Token>,
    /// The file of the token, when it is the one of the data folder.
    found_in: Option<PathBuf>,
}

/// The data folder: `$POINTSMAN_DATA`, or the usual place below the home folder.
#[must_use]
pub fn data_folder() -> PathBuf {
    if let Some(folder) = env::var_os("POINTSMAN_DATA").filter(|folder| !folder.is_empty()) {
        return PathBuf::from(folder);
    }
    let share = env::var_os("XDG_DATA_HOME")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".local/share")));
    share.unwrap_or_default().join("pointsman")
}

impl Connection {
    /// Finds server and token.
    ///
    /// # Errors
    /// When the address is none, a named token file cannot be read, or the token would travel
    /// unprotected.
    pub fn find(args: &ConnectionArgs) -> Result<Self, Failure> {
        Self::find_in(&data_folder(), args)
    }

    /// Finds server and token, and waits a moment for a server of this machine that is just starting.
    /// One that does not come is found out by the first request.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn find_started(args: &ConnectionArgs) -> Result<Self, Failure> {
        let found = Self::find_started_in(&data_folder(), args)?;
        let is_named = env::var_os("POINTSMAN_DATA").is_some_and(|folder| !folder.is_empty());
        match args.server.is_none() && is_named {
            true => found.of_folder(&data_folder()),
            false => Ok(found),
        }
    }

    /// Somebody who names a data folder means its server, and no other one that may be at the usual
    /// address.
    fn of_folder(self, data: &Path) -> Result<Self, Failure> {
        if address_in(data).is_some() {
            return Ok(self);
        }
        let what = format!("no server runs for the data folder {}", data.display());
        Err(Failure::new(Exit::Unreachable, what)
            .next("start one with `pointsman server`, or name another one with --server"))
    }

    fn find_started_in(data: &Path, args: &ConnectionArgs) -> Result<Self, Failure> {
        let deadline = Instant::now() + START_MAX;
        loop {
            let found = Self::find_in(data, args)?;
            if args.server.is_some() || Instant::now() >= deadline {
                return found.unless_strange();
            }
            if found.listens() {
                // It wrote its token and its address before it listened, perhaps after they were read.
                return Self::find_in(data, args)?.unless_strange();
            }
            thread::sleep(START_PAUSE);
        }
    }

    /// The token as it is shown now; `None` when there is none, or a stranger would see it.
    #[must_use]
    pub fn shown(&self) -> Option<String> {
        let token = self.token.as_ref()?;
        self.stranger().is_none().then(|| token.header())
    }

    fn stranger(&self) -> Option<u32> {
        listener::stranger(&self.base, self.found_in.as_deref()?)
    }

    fn unless_strange(self) -> Result<Self, Failure> {
        match self.stranger() {
            None => Ok(self),
            Some(user) => Err(Failure::new(
                Exit::Unauthorised,
                format!("user {user} of this machine listens at {}", self.base),
            )
            .because("the token of the data folder would be shown to that user")
            .next("start your own server, or name another one with --server and --token-file")),
        }
    }

    fn listens(&self) -> bool {
        let addresses = self.base.socket_addrs(|| None).unwrap_or_default();
        addresses
            .iter()
            .any(|address| TcpStream::connect_timeout(address, START_MAX).is_ok())
    }

    /// Finds server and token, with another data folder than the usual one.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn find_in(data: &Path, args: &ConnectionArgs) -> Result<Self, Failure> {
        let here = address_in(data).unwrap_or_else(|| format!("http://{DEFAULT_ADDRESS}"));
        let file = data.join("token");
        let base = parse(args.server.as_deref().unwrap_or(&here))?;
        let is_here = parse(&here).is_ok_and(|here| here == base) || is_loopback(&base);
        let token = match (&args.token_file, env::var("POINTSMAN_TOKEN")) {
            (Some(file), _) => Some(read_token(file)?),
            (None, Ok(token)) if !token.trim().is_empty() => Some(Token(token.trim().to_owned())),
            (None, _) if is_here => read_token(&file).ok(),
            (None, _) => None,
        };
        let is_named = args.token_file.is_some() || env::var_os("POINTSMAN_TOKEN").is_some();
        let found_in = (token.is_some() && !is_named && is_loopback(&base)).then_some(file);
        if token.is_some() && base.scheme() != "https" && !is_loopback(&base) && !args.plain_http {
            return Err(Failure::usage(format!(
                "{base} is on another machine and does not use https"
            ))
            .because("anybody on the network could read the token")
            .next("use an https:// address, or add --plain-http if the network can be trusted"));
        }
        Ok(Self {
            base,
            token,
            found_in,
        })
    }
}

/// The address that a server wrote into its data folder.
fn address_in(data: &Path) -> Option<String> {
    let text = fs::read_to_string(data.join("server.json")).ok()?;
    let value: Value = serde_json::from_str(&text).ok()?;
    let address = value.get("url").or_else(|| value.get("address"))?;
    address.as_str().map(str::to_owned)
}

/// The address of a server, as it is kept.
pub(crate) fn address(text: &str) -> Result<String, Failure> {
    Ok(parse(text)?.to_string())
}

/// Reads an address; without a scheme it is plain HTTP.
fn parse(address: &str) -> Result<Url, Failure> {
    let with_scheme = if address.contains("://") {
        address.to_owned()
    } else {
        format!("http://{address}")
    };
    Url::parse(&with_scheme)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| {
            Failure::usage(format!("{address:?} is not the address of a server"))
                .next("use an address such as --server http://127.0.0.1:7080")
        })
}

/// Whether `url` stays on this machine.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || bare
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

fn read_token(file: &Path) -> Result<Token, Failure> {
    let text = fs::read_to_string(file).map_err(|error| {
        Failure::new(
            Exit::Unauthorised,
            format!("the token file {} cannot be read", file.display()),
        )
        .because(error)
        .next("choose another file with --token-file, or set POINTSMAN_TOKEN")
    })?;
    Ok(Token(text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_just_starting_is_waited_for() {
        let data = tempfile::tempdir().expect("a folder");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let url = serde_json::json!({ "url": format!("http://{address}") });
        fs::write(data.path().join("server.json"), url.to_string()).expect("written");
        let args = ConnectionArgs::default();
        // Nobody listens there: it is not waited for longer than it may take.
        let found = Connection::find_started_in(data.path(), &args).expect("found");
        assert!(found.token.is_none());
        let folder = data.path().to_owned();
        let server = thread::spawn(move || {
            thread::sleep(START_PAUSE * 4);
            fs::write(folder.join("token"), "0123456789".repeat(4)).expect("written");
            std::net::TcpListener::bind(address).expect("free again")
        });
        let found = Connection::find_started_in(data.path(), &args).expect("found");
        assert!(found.token.is_some());
        drop(server.join());
    }

    #[test]
    fn a_named_folder_without_a_server_leads_to_no_other_one() {
        let data = tempfile::tempdir().expect("a folder");
        let args = ConnectionArgs::default();
        let found = || Connection::find_in(data.path(), &args).expect("found");
        let refused = found().of_folder(data.path()).expect_err("no server");
        assert!(
            refused
                .text(crate::style::Style::PLAIN)
                .contains("no server runs")
        );
        let note = r#"{"address":"http://127.0.0.1:1"}"#;
        fs::write(data.path().join("server.json"), note).expect("written");
        assert!(found().of_folder(data.path()).is_ok());
    }

    #[test]
    fn addresses_are_read_leniently_and_loopback_is_known() {
        for (text, loopback) in [
            ("127.0.0.1:7080", true),
            ("http://localhost:1", true),
            ("http://[::1]:1", true),
            ("http://10.0.0.1", false),
            ("https://pointsman.example.com", false),
        ] {
            let url = parse(text).expect("an address");
            assert_eq!(is_loopback(&url), loopback, "{text}");
        }
        for text in ["ftp://example.com", "http://"] {
            let refused = format!("{:?}", parse(text));
            assert!(
                refused.contains("is not the address of a server"),
                "{refused}"
            );
        }
    }
}
