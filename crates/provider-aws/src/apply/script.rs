//! The start-up script of instances that run a package.
//!
//! Invariant: a value from a manifest is always one word in single quotes, and nothing in it can end the
//! quotes. Values are not searched for placeholders.

use std::fmt::Write as _;

use domain::{
    catalogue::{AwsGroup, SCRIPT_WORDS},
    effect::Target,
    release::Launch,
};
use engine::ports::ProviderError;

use crate::{apply::packages::Location, calls::errors::invalid};

/// The script that ships with Pointsman, for Linux with systemd.
const TEMPLATE: &str = include_str!("user_data.sh");
/// The port that a service listens on unless its variables say otherwise.
const PORT: &str = "8080";
/// Ends the list of variables in the script; no line of a value can be this.
const END_OF_VARIABLES: &str = "VARIABLES";

/// The script for `launch`.
///
/// # Errors
/// When a variable has a name that shells do not accept, or the template has an unknown placeholder.
pub fn render(
    target: &Target,
    aws: &AwsGroup,
    launch: &Launch,
    package: &Location,
) -> Result<String, ProviderError> {
    let template = aws.user_data.as_deref().unwrap_or(TEMPLATE);
    let digest = launch.content.digest();
    let digest = digest.map(ToString::to_string).unwrap_or_default();
    let endpoint = target
        .account
        .as_ref()
        .and_then(|it| it.endpoint_url.clone());
    let variables = variables(target)?;
    let value = |word: &str| {
        Some(match word {
            "service" => quoted(target.place.service.as_str()),
            "environment" => quoted(target.place.environment.as_str()),
            "version" => quoted(launch.version.as_str()),
            "launch" => quoted(&launch.id.0),
            "digest" => quoted(&digest),
            "bucket" => quoted(&package.bucket),
            "key" => quoted(&package.key),
            "region" => quoted(&package.region),
            "endpoint" => quoted(endpoint.as_deref().unwrap_or_default()),
            "drain_seconds" => quoted(&target.group.drain_seconds.to_string()),
            "variables" => variables.clone(),
            _ => return None,
        })
    };
    fill(template, value)
}

/// Replaces each `{{word}}`, once, from left to right.
fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, ProviderError> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((word, after)) = after.split_once("}}") else {
            break;
        };
        filled.push_str(before);
        match value(word) {
            Some(value) => filled.push_str(&value),
            // The script explains its placeholders with this word.
            None if word == "word" => filled.push_str("{{word}}"),
            None => {
                return Err(invalid(format!(
                    "the start-up script has the unknown placeholder {{{{{word}}}}}; known are {}",
                    SCRIPT_WORDS.join(", ")
                )));
            }
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// One `export` a variable. `PORT` is among them.
fn variables(target: &Target) -> Result<String, ProviderError> {
    let group = &target.group;
    let mut lines = String::new();
    let port =
        (!group.variables.contains_key("PORT")).then(|| ("PORT".to_owned(), PORT.to_owned()));
    let all = group
        .variables
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    for (name, value) in all.chain(port) {
        let mut letters = name.chars();
        let starts = letters
            .next()
            .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if !starts || !letters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(invalid(format!(
                "{name:?} is not a valid name for an environment variable"
            )));
        }
        let ends_early = value.lines().any(|line| line == END_OF_VARIABLES);
        if ends_early || value.contains('\0') {
            return Err(invalid(format!(
                "the value of the variable {name} has a line {END_OF_VARIABLES:?} or a zero byte, which the start-up script cannot contain"
            )));
        }
        writeln!(lines, "export {name}={}", quoted(&value)).expect("text can be written to");
    }
    Ok(lines.trim_end().to_owned())
}

/// Any text as one word in single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use domain::{
        catalogue::ServerGroup,
        release::{Content, Digest, LaunchId},
    };

    use super::*;

    fn target(variables: serde_json::Value) -> Target {
        let group: ServerGroup = serde_json::from_value(serde_json::json!({
            "service": "shop", "environment": "live", "size": 1, "variables": variables,
            "aws": {"account": "one"},
        }))
        .unwrap();
        Target::local(group.place(), group)
    }

    fn script(
        variables: serde_json::Value,
        template: Option<&str>,
    ) -> Result<String, ProviderError> {
        let target = target(variables);
        let mut aws = target.group.aws.clone().unwrap();
        aws.user_data = template.map(str::to_owned);
        let launch = Launch {
            id: LaunchId("1.0.0-1".to_owned()),
            version: "1.0.0".parse().unwrap(),
            content: Content::package(Digest::from_bytes([1; 32])),
        };
        let package = Location {
            bucket: "b".to_owned(),
            key: "k".to_owned(),
            region: "eu-west-1".to_owned(),
        };
        render(&target, &aws, &launch, &package)
    }

    #[test]
    fn a_shell_reads_back_any_value_and_runs_none() {
        let nasty = "it's `id` $(id) ${HOME} \"q\" \\ \n; {{bucket}} rm -rf / #";
        let text = script(
            serde_json::json!({"NASTY": nasty}),
            Some("{{variables}}\nprintf %s \"$NASTY\""),
        )
        .unwrap();
        let output = Command::new("bash").arg("-c").arg(&text).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), nasty);
    }

    #[test]
    fn the_script_that_ships_is_sound_for_a_shell() {
        let text = script(serde_json::json!({"A": "x'y"}), None).unwrap();
        let output = Command::new("bash")
            .arg("-n")
            .arg("-c")
            .arg(&text)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(text.contains("SERVICE='shop'") && text.contains("export PORT='8080'"));
        assert!(text.contains("DRAIN_SECONDS='10'"));
        assert!(text.len() < 4096, "{}", text.len());
    }

    #[test]
    fn every_word_has_a_value() {
        for word in SCRIPT_WORDS {
            let template = format!("{{{{{word}}}}}");
            let filled = script(serde_json::json!({}), Some(&template)).unwrap();
            assert!(!filled.contains("{{"), "{filled}");
        }
        let refused = script(serde_json::json!({}), Some("{{digests}}")).unwrap_err();
        assert!(refused.message.contains("drain_seconds"), "{refused:?}");
    }

    #[test]
    fn values_that_break_the_script_are_refused() {
        let (name, value) = ("environment variable", "cannot contain");
        for (variables, why) in [
            (serde_json::json!({"A B": "1"}), name),
            (serde_json::json!({"": "1"}), name),
            (serde_json::json!({"A;id": "1"}), name),
            (serde_json::json!({"A": "1\nVARIABLES\nid"}), value),
            (serde_json::json!({"A": "\u{0}"}), value),
        ] {
            let error = script(variables.clone(), None).unwrap_err();
            assert!(error.message.contains(why), "{variables}: {error}");
        }
        let error = script(serde_json::json!({}), Some("echo {{serivce}}")).unwrap_err();
        assert!(error.message.contains("{{serivce}}"), "{error}");
    }
}
