//! What is wrong with an instance, in words for people: what came, and what may help.

use std::{fmt::Write, net::SocketAddr};

use domain::{
    catalogue::{HealthCheck, Probe},
    time::human_ms,
};

/// Why a check failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It answered with a status that is not accepted.
    Answered(Answer),
    /// It answered something that is not HTTP/1.1.
    NotHttp,
    /// Nothing came in time.
    Silent,
    /// Its processes are stopped by a signal.
    Stopped,
    /// The port is not open (yet). It listens at these addresses instead, if at any.
    Refused(Vec<SocketAddr>),
    /// Somebody else answers at its port, with this process id where that is known.
    Stranger(Option<i32>),
    /// The command of the check failed: how, and its first words.
    Command(String, String),
}

/// An answer that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Where it redirects to.
    pub(super) location: Option<String>,
    /// The first words of its body.
    pub(super) words: String,
}

/// What was asked of an instance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) check: &'a HealthCheck,
    /// The port of the instance on 127.0.0.1.
    pub(super) port: u16,
    /// The host name that users have, with the router's port.
    pub(super) host: &'a str,
}

impl Fault {
    /// Whether the instance answered, if only wrongly.
    pub(super) fn is_answer(&self) -> bool {
        matches!(self, Self::Answered(_) | Self::Command(..))
    }

    /// What is wrong, as the end of a sentence that begins with the instance.
    pub(super) fn told(&self, asked: Asked<'_>) -> String {
        let within = human_ms(asked.check.timeout_ms.into());
        let question = question(asked.check);
        match self {
            Self::Answered(answer) => answer.told(&question, asked),
            Self::NotHttp => {
                format!("gives an answer to {question} that is not HTTP/1.1")
            }
            Self::Silent => format!("gives no proper answer to {question} within {within}"),
            Self::Stopped => "is stopped by a signal (SIGSTOP), and answers nothing".to_owned(),
            Self::Refused(elsewhere) => refused(asked.port, elsewhere),
            Self::Stranger(pid) => {
                let by = pid
                    .map(|pid| format!(" (process {pid})"))
                    .unwrap_or_default();
                format!(
                    "is not healthy: port {} is held by another program{by}; another port is tried",
                    asked.port
                )
            }
            Self::Command(how, words) => {
                let mut text = format!("fails its check: the command {how}");
                quote(&mut text, words);
                text
            }
        }
    }
}

/// What a check asks, such as `GET /health`.
fn question(check: &HealthCheck) -> String {
    match check.probe() {
        Probe::Http(request) => format!("{} {}", request.method.as_str(), request.path),
        Probe::Tcp => "a TCP connection".to_owned(),
        Probe::Command(_) => "the command of its check".to_owned(),
    }
}

fn refused(port: u16, elsewhere: &[SocketAddr]) -> String {
    let Some(first) = elsewhere.first() else {
        return "does not listen on the port that the variable PORT names".to_owned();
    };
    let list: Vec<String> = elsewhere.iter().take(3).map(ToString::to_string).collect();
    let list = list.join(" and ");
    if first.port() == port {
        format!("listens on {list} only; let it listen on 127.0.0.1 or 0.0.0.0")
    } else {
        format!("listens on {list}, not on the port that the variable PORT names ({port})")
    }
}

impl Answer {
    fn told(&self, question: &str, asked: Asked<'_>) -> String {
        let mut text = format!("answers {question} with {}", self.status);
        if let Some(location) = &self.location {
            // Writing to a text cannot fail.
            let _ = write!(text, " and a redirect to {location}");
        }
        quote(&mut text, &self.words);
        if let Some(hint) = self.hint(asked.host) {
            text.push_str("; ");
            text.push_str(&hint);
        }
        text
    }

    fn hint(&self, host: &str) -> Option<String> {
        let to_https = self
            .location
            .as_ref()
            .is_some_and(|it| it.starts_with("https:"));
        let hint = match self.status {
            300..=399 if to_https => {
                "if TLS ends in front of it, set `health.headers: {X-Forwarded-Proto: https}`"
            }
            300..=399 => "set `health.path` to where it redirects to, or accept 3xx",
            400 | 421 => {
                return Some(format!(
                    "the check sent the host name {host}; allow it there, or set `health.headers: {{Host: NAME}}`"
                ));
            }
            401 | 403 => {
                "set `health.path` to a path without sign-in, or the credentials in `health.headers`"
            }
            404 => "set `health.path` to a path that it serves",
            405 => "set `health.method` to a method that it allows",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

fn quote(text: &mut String, words: &str) {
    if !words.is_empty() {
        // Writing to a text cannot fail.
        let _ = write!(text, ": {words:?}");
    }
}

/// The first words of a text from outside, on one line.
pub(super) fn first_words(bytes: &[u8]) -> String {
    const CHARS_MAX: usize = 120;
    let text = String::from_utf8_lossy(bytes);
    let plain: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let words = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(fault: &Fault) -> String {
        let asked = Asked {
            check: &HealthCheck::default(),
            port: 20_001,
            host: "cart.live.localhost:8080",
        };
        fault.told(asked)
    }

    fn answer(status: u16, location: Option<&str>, body: &str) -> Fault {
        Fault::Answered(Answer {
            status,
            location: location.map(str::to_owned),
            words: first_words(body.as_bytes()),
        })
    }

    #[test]
    fn a_failed_check_says_what_came_and_what_may_help() {
        let cases = [
            (
                answer(400, None, "<h1>Bad\r\n Request\u{1b}</h1>"),
                r#"answers GET /health with 400: "<h1>Bad Request </h1>"; the check sent the host name cart.live.localhost:8080; allow it there, or set `health.headers: {Host: NAME}`"#,
            ),
            (
                answer(301, Some("https://cart/health"), ""),
                "answers GET /health with 301 and a redirect to https://cart/health; if TLS ends in front of it, set `health.headers: {X-Forwarded-Proto: https}`",
            ),
            (
                answer(503, None, "no database"),
                r#"answers GET /health with 503: "no database""#,
            ),
            (
                Fault::Refused(vec!["[::1]:20001".parse().unwrap()]),
                "listens on [::1]:20001 only; let it listen on 127.0.0.1 or 0.0.0.0",
            ),
            (
                Fault::Refused(vec!["0.0.0.0:3000".parse().unwrap()]),
                "listens on 0.0.0.0:3000, not on the port that the variable PORT names (20001)",
            ),
            (
                Fault::Stranger(Some(77)),
                "is not healthy: port 20001 is held by another program (process 77); another port is tried",
            ),
        ];
        for (fault, expected) in cases {
            assert_eq!(told(&fault), expected);
        }
    }
}
