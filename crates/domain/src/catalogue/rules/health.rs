//! Rules for health checks.

use super::super::{HealthCheck, HealthKind};
use crate::bounds::{Faults, HEALTH_DEADLINE, Limit, Limited, NAMES_MAX, TEXT_MAX};

/// Longest path of a health check, in bytes.
const PATH_LEN_MAX: usize = 1024;
/// Longest name and longest value of a header, in bytes.
const HEADER_NAME_LEN_MAX: usize = 64;
const HEADER_LEN_MAX: usize = 4096;
/// Headers that belong to the connection, and that Pointsman sets.
const OWN_HEADERS: [&str; 4] = [
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
];

impl Limited for HealthCheck {
    const LIMITS: &'static [Limit<Self>] = &[
        Limit::items("headers", 0..=NAMES_MAX, |it| it.headers.len()),
        Limit::items("accept", 0..=NAMES_MAX, |it| it.accept.len()),
        Limit::bytes("command", 1..=TEXT_MAX, |it| {
            it.command.as_ref().map(String::len)
        }),
        Limit::number("interval_ms", 10..=300_000, |it| Some(it.interval_ms)),
        Limit::number("timeout_ms", 10..=60_000, |it| Some(it.timeout_ms)),
        Limit::number("healthy_threshold", 1..=100, |it| {
            Some(it.healthy_threshold)
        }),
        Limit::number("unhealthy_threshold", 1..=100, |it| {
            Some(it.unhealthy_threshold)
        }),
        Limit::number("start_seconds", HEALTH_DEADLINE, |it| it.start_seconds),
    ];
}

/// Notes every rule that `check` breaks.
pub(super) fn check(check: &HealthCheck, faults: &mut Faults) {
    fields(check, faults);
    if let Some(path) = &check.path {
        let is_path = path.starts_with('/')
            && path.len() <= PATH_LEN_MAX
            && path.chars().all(|c| c.is_ascii_graphic() && c != '#');
        let rule = "must start with / and hold only visible ASCII characters without '#'";
        faults.unless(is_path, "health.path", rule);
    }
    for (name, value) in &check.headers {
        if let Some(rule) = header(name, value) {
            let shown: String = name.chars().take(HEADER_NAME_LEN_MAX).collect();
            faults.add(format!("health.headers.{shown}"), rule);
        }
    }
    let line = |command: &String| !command.contains('\0') && !command.trim().is_empty();
    let rule = "must be a shell command without NUL characters";
    faults.unless(
        check.command.as_ref().is_none_or(line),
        "health.command",
        rule,
    );
    faults.limits("health", check);
}

/// Each kind has its own fields.
fn fields(check: &HealthCheck, faults: &mut Faults) {
    let kind = check.kind;
    let of_http = [
        ("health.path", check.path.is_some()),
        ("health.method", check.method.is_some()),
        ("health.headers", !check.headers.is_empty()),
        ("health.accept", !check.accept.is_empty()),
    ];
    let of_http = of_http.map(|(field, set)| (field, set, HealthKind::Http));
    let command = (
        "health.command",
        check.command.is_some(),
        HealthKind::Command,
    );
    for (field, set, of) in of_http.into_iter().chain([command]) {
        let (is, of_word) = (kind.as_str(), of.as_str());
        let rule = format!("belongs to checks of kind {of_word}; leave it out of one of kind {is}");
        faults.unless(!set || of == kind, field, &rule);
    }
    let has_command = kind != HealthKind::Command || check.command.is_some();
    let rule = "must be set for a check of kind command";
    faults.unless(has_command, "health.command", rule);
}

fn header(name: &str, value: &str) -> Option<String> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let is_name = (1..=HEADER_NAME_LEN_MAX).contains(&name.len()) && name.chars().all(token);
    let is_value =
        value.len() <= HEADER_LEN_MAX && value.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    let own = OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name));
    if !is_name {
        Some("must be the name of a header".to_owned())
    } else if own {
        Some("belongs to the connection; leave it out".to_owned())
    } else if !is_value {
        let rule = format!("must have at most {HEADER_LEN_MAX} visible ASCII characters");
        Some(rule)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(text: &str) -> Vec<(String, String)> {
        let mut faults = Faults::default();
        check(&serde_json::from_str(text).unwrap(), &mut faults);
        let all = faults.all().into_iter();
        all.map(|fault| (fault.field, fault.message)).collect()
    }

    #[test]
    fn each_kind_has_its_own_fields() {
        for text in [
            "{}",
            r#"{"path": "/up", "method": "HEAD", "accept": [204, "3xx"], "headers": {"Host": "shop"}}"#,
            r#"{"kind": "tcp"}"#,
            r#"{"kind": "command", "command": "./check"}"#,
        ] {
            assert_eq!(faults_of(text), [], "{text}");
        }
        let fields = |text| {
            let faults = faults_of(text).into_iter();
            faults.map(|(field, _)| field).collect::<Vec<_>>()
        };
        assert_eq!(
            fields(r#"{"kind": "tcp", "path": "/", "command": "true"}"#),
            ["health.path", "health.command"]
        );
        assert_eq!(fields(r#"{"kind": "command"}"#), ["health.command"]);
        assert_eq!(fields(r#"{"command": "true"}"#), ["health.command"]);
        assert_eq!(
            fields(r#"{"headers": {"connection": "close"}}"#),
            ["health.headers.connection"]
        );
        assert_eq!(
            fields(r#"{"headers": {"a b": "1", "c": "\n"}}"#),
            ["health.headers.a b", "health.headers.c"]
        );
    }

    #[test]
    fn accepted_codes_are_numbers_and_classes() {
        let read = |text: &str| serde_json::from_str::<HealthCheck>(text);
        let check = read(r#"{"accept": [204, "3xx", "401"]}"#).unwrap();
        let super::super::super::Probe::Http(request) = check.probe() else {
            panic!("it is of kind http");
        };
        let accepted = [200, 204, 301, 399, 400, 401].map(|status| request.accepts(status));
        assert_eq!(accepted, [false, true, true, true, false, true]);
        let again = serde_json::to_value(&check).unwrap();
        assert_eq!(again["accept"], serde_json::json!([204, "3xx", 401]));
        for text in [
            r#"{"accept": [100]}"#,
            r#"{"accept": ["9xx"]}"#,
            r#"{"accept": ["x"]}"#,
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(
                error.starts_with("must be a status code from 200 to 599"),
                "{error}"
            );
        }
    }
}
