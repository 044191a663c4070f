//! The file with the settings of the identity providers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use url::Url;

/// Longest name of a provider, in characters.
const NAME_LEN_MAX: usize = 32;
/// The name that stands for this server's own people.
const OWN: &str = "local";

/// The settings of one identity provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Its name, in addresses: lower-case letters, digits and `-`.
    pub name: String,
    /// What people call it, on the button.
    pub title: String,
    /// Its address, exactly as it writes it into its tokens.
    pub issuer: String,
    /// What it calls this server.
    pub client_id: String,
    /// The file with what proves that it is this server; none where the provider gives none.
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    /// What is asked for besides `openid`.
    #[serde(default = "usual_scopes")]
    pub scopes: Vec<String>,
    /// The claim that lists the groups of somebody; none where groups are not asked for.
    #[serde(default)]
    pub groups_claim: Option<String>,
    /// Claims that everybody who comes in has, each with this value or, in a list, among others.
    #[serde(default)]
    pub require: BTreeMap<String, String>,
    /// Hosts besides the issuer's where it has addresses.
    #[serde(default)]
    pub hosts: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    providers: Vec<Settings>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file says no.
    #[error("the file {path} cannot be read")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not what is expected.
    #[error("the settings of identity providers in {path} cannot be used: {why}")]
    Invalid {
        /// Which.
        path: PathBuf,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// The system gives no trust roots or no sockets.
    #[error("the HTTP client for identity providers cannot be made")]
    Client(#[from] reqwest::Error),
}

fn usual_scopes() -> Vec<String> {
    vec!["profile".to_owned(), "email".to_owned()]
}

/// Reads the settings of all providers in a file of YAML.
///
/// # Errors
/// When the file cannot be read, or a setting makes no sense.
pub fn load(path: &Path) -> Result<Vec<Settings>, SettingsError> {
    let text = fs::read_to_string(path).map_err(|source| SettingsError::File {
        path: path.to_owned(),
        source,
    })?;
    let invalid = |why: String| SettingsError::Invalid {
        path: path.to_owned(),
        why,
    };
    let file: File = serde_saphyr::from_str(&text).map_err(|error| invalid(error.to_string()))?;
    let mut names = BTreeSet::new();
    for settings in &file.providers {
        let name = settings.name.as_str();
        if let Some(why) = settings.fault() {
            return Err(invalid(format!("provider {name:?}: {why}")));
        }
        if !names.insert(name) {
            return Err(invalid(format!("two providers have the name {name:?}")));
        }
    }
    Ok(file.providers)
}

impl Settings {
    /// What is wrong with it.
    fn fault(&self) -> Option<&'static str> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_name = (1..=NAME_LEN_MAX).contains(&self.name.len()) && self.name.chars().all(plain);
        if !is_name || self.name == OWN {
            return Some(
                "its name has to be 1 to 32 lower-case letters, digits or `-`, and not `local`",
            );
        }
        if self.title.trim().is_empty() {
            return Some("its title is empty; write what people call it");
        }
        let is_issuer = |url: Url| {
            let has_more = url.query().is_some() || url.fragment().is_some();
            is_protected(&url) && !has_more && url.username().is_empty()
        };
        if !self.issuer.parse().is_ok_and(is_issuer) {
            return Some("its issuer has to be an https:// address without a query");
        }
        None
    }

    /// What proves to the provider that it is this server.
    pub(crate) fn client_secret(&self) -> Result<Option<String>, SettingsError> {
        let Some(path) = &self.client_secret_file else {
            return Ok(None);
        };
        let text = fs::read_to_string(path).map_err(|source| SettingsError::File {
            path: path.clone(),
            source,
        })?;
        match text.trim() {
            "" => Err(SettingsError::Invalid {
                path: path.clone(),
                why: "the file is empty".to_owned(),
            }),
            secret => Ok(Some(secret.to_owned())),
        }
    }
}

/// Nobody on the way can read or change it: TLS, or it stays on this machine.
pub(crate) fn is_protected(url: &Url) -> bool {
    let here = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    };
    url.scheme() == "https" || url.scheme() == "http" && here
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "providers:
  - name: corp
    title: Example Corp
    issuer: https://id.example.com
    client_id: pointsman
    groups_claim: groups
    require: {hd: example.com}
";

    fn read(text: &str) -> Result<Vec<Settings>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("oidc.yaml");
        fs::write(&path, text).unwrap();
        load(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn settings_are_read_and_mistakes_are_named() {
        let all = read(GOOD).unwrap();
        assert_eq!(all[0].issuer, "https://id.example.com");
        assert_eq!(all[0].scopes, ["profile", "email"]);
        let twice = format!("{GOOD}{}", GOOD.trim_start_matches("providers:\n"));
        for (text, why) in [
            (GOOD.replace("corp", "Corp"), "its name has to be"),
            (GOOD.replace("corp", "local"), "its name has to be"),
            (
                GOOD.replace("https", "http"),
                "has to be an https:// address",
            ),
            (GOOD.replace("Example Corp", "''"), "its title is empty"),
            (GOOD.replace("client_id", "client"), "client"),
            (twice, "two providers"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
