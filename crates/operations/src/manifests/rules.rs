//! What the types of the catalogue cannot say: bounds, and numbers that must fit each other.

use std::collections::BTreeSet;

use domain::{
    catalogue::{HealthCheck, ServerGroup, Stickiness},
    gate::Gate,
    governance::{gate_faults, is_http},
};

mod aws;

use super::Manifest;
use crate::error::Fault;

/// Longest text for people, in characters.
const TEXT_LEN_MAX: usize = 4096;
/// Most instances of one server group.
const INSTANCES_MAX: u32 = 10_000;
/// Most zones of one server group, and longest name of one.
const ZONES_MAX: usize = 16;
const ZONE_LEN_MAX: usize = 32;
/// Most environment variables, longest name and longest value, in bytes.
const VARIABLES_MAX: usize = 200;
const VARIABLE_NAME_LEN_MAX: usize = 128;
const VARIABLE_LEN_MAX: usize = 16 * 1024;
/// Longest address, and longest name of a header, in bytes.
const URL_LEN_MAX: usize = 2048;
const HEADER_LEN_MAX: usize = 64;
const YEAR_SECONDS: u32 = 31_536_000;
/// Longest path of a health check, in bytes.
const PATH_LEN_MAX: usize = 1024;

/// Every rule that `manifest` breaks.
pub(super) fn faults(manifest: &Manifest) -> Vec<Fault> {
    match manifest {
        Manifest::Team(team) => [
            text("description", &team.description),
            text("contact", &team.contact),
        ]
        .into_iter()
        .flatten()
        .collect(),
        Manifest::Service(service) => {
            let none = service.strategies.is_empty().then(|| {
                Fault::of(
                    "strategies",
                    "allow at least one strategy, or leave the field out",
                )
            });
            text("description", &service.description)
                .into_iter()
                .chain(none)
                .collect()
        }
        Manifest::EnvironmentType(kind) => {
            text("description", &kind.description).into_iter().collect()
        }
        Manifest::Environment(environment) => {
            let limit = environment
                .capacity_limit
                .and_then(|limit| between("capacity_limit", limit, 1, u32::MAX));
            text("description", &environment.description)
                .into_iter()
                .chain(limit)
                .collect()
        }
        Manifest::ServerGroup(group) => server_group(group),
        Manifest::Prometheus(prometheus) => {
            let url = (!is_http(&prometheus.url) || prometheus.url.len() > URL_LEN_MAX)
                .then(|| Fault::of("url", "must begin with http:// or https://"));
            text("description", &prometheus.description)
                .into_iter()
                .chain(url)
                .collect()
        }
        Manifest::Account(account) => text("description", &account.description)
            .into_iter()
            .chain(aws::account(account))
            .collect(),
    }
}

fn server_group(group: &ServerGroup) -> Vec<Fault> {
    let slices = between("slices", u32::from(group.slices), 1, 2);
    between("size", group.size, 1, INSTANCES_MAX)
        .into_iter()
        .chain(scaling(group))
        .chain(size_limit(group))
        .chain(zones(&group.zones))
        .chain(slices)
        .chain(stickiness(group.stickiness.as_ref()))
        .chain(gates(&group.gates))
        .chain(health(&group.health))
        .chain(between("drain_seconds", group.drain_seconds, 0, 3600))
        .chain(variables(group))
        .chain(one_place(group))
        .chain(aws::stickiness(group))
        .chain(group.aws.iter().flat_map(|it| aws::group(it, group.slices)))
        .collect()
}

fn one_place(group: &ServerGroup) -> Option<Fault> {
    let both = group.aws.is_some() && group.custom.is_some();
    let rule = "leave it out, or leave `aws` out: a server group lives in one place";
    both.then(|| Fault::of("custom", rule))
}

fn stickiness(stickiness: Option<&Stickiness>) -> Option<Fault> {
    match stickiness? {
        Stickiness::Cookie { seconds } => between("stickiness.seconds", *seconds, 1, YEAR_SECONDS),
        Stickiness::Header { name } => {
            let token = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            let is_name = (1..=HEADER_LEN_MAX).contains(&name.len()) && name.chars().all(token);
            (!is_name).then(|| Fault::of("stickiness.name", "must be the name of a header"))
        }
    }
}

/// Gates are held to the same rules as those that a deployment brings.
fn gates(gates: &[Gate]) -> Vec<Fault> {
    let faults = gate_faults(gates).into_iter();
    faults
        .map(|(field, rule)| Fault::of(field, format!("must be {rule}")))
        .collect()
}

fn scaling(group: &ServerGroup) -> Option<Fault> {
    let bounds = group.autoscaling?;
    if bounds.min < 1 || bounds.max > INSTANCES_MAX || bounds.min > bounds.max {
        let message = format!("needs 1 <= min <= max <= {INSTANCES_MAX}");
        return Some(Fault::of("autoscaling", message));
    }
    let fits = (bounds.min..=bounds.max).contains(&group.size);
    (!fits).then(|| {
        let message = format!(
            "must be within autoscaling, {} to {}",
            bounds.min, bounds.max
        );
        Fault::of("size", message)
    })
}

fn size_limit(group: &ServerGroup) -> Option<Fault> {
    let limit = group.size_limit?;
    let least = group.autoscaling.map_or(0, |b| b.max).max(group.size);
    (limit < least).then(|| {
        let message = format!(
            "must be at least {least}: as many instances as there can be without a deployment"
        );
        Fault::of("size_limit", message)
    })
}

fn zones(zones: &[String]) -> Option<Fault> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name =
        |zone: &String| !zone.is_empty() && zone.len() <= ZONE_LEN_MAX && zone.chars().all(allowed);
    let distinct: BTreeSet<&String> = zones.iter().collect();
    let message = if zones.is_empty() || zones.len() > ZONES_MAX {
        format!("name 1 to {ZONES_MAX} zones")
    } else if distinct.len() != zones.len() {
        "name each zone once".to_owned()
    } else if !zones.iter().all(is_name) {
        format!("a zone has 1 to {ZONE_LEN_MAX} lower-case letters, digits and hyphens")
    } else {
        return None;
    };
    Some(Fault::of("zones", message))
}

fn health(check: &HealthCheck) -> Vec<Fault> {
    let is_path = check.path.starts_with('/')
        && check.path.len() <= PATH_LEN_MAX
        && check.path.chars().all(|c| c.is_ascii_graphic() && c != '#');
    let path = (!is_path).then(|| {
        let message = "must start with / and hold only visible ASCII characters without '#'";
        Fault::of("health.path", message)
    });
    let numbers = [
        ("health.interval_ms", check.interval_ms, 10, 300_000),
        ("health.timeout_ms", check.timeout_ms, 10, 60_000),
        ("health.healthy_threshold", check.healthy_threshold, 1, 100),
        (
            "health.unhealthy_threshold",
            check.unhealthy_threshold,
            1,
            100,
        ),
    ];
    let numbers = numbers
        .into_iter()
        .filter_map(|(field, value, low, high)| between(field, value, low, high));
    path.into_iter().chain(numbers).collect()
}

fn variables(group: &ServerGroup) -> Vec<Fault> {
    if group.variables.len() > VARIABLES_MAX {
        let message = format!("at most {VARIABLES_MAX} variables");
        return vec![Fault::of("variables", message)];
    }
    group
        .variables
        .iter()
        .filter_map(|(name, value)| {
            let message = variable(name, value)?;
            let shown: String = name.chars().take(VARIABLE_NAME_LEN_MAX).collect();
            Some(Fault::of(format!("variables.{shown}"), message))
        })
        .collect()
}

fn variable(name: &str, value: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_name = !name.is_empty()
        && name.len() <= VARIABLE_NAME_LEN_MAX
        && name.chars().all(allowed)
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if !is_name {
        Some(format!(
            "a name has 1 to {VARIABLE_NAME_LEN_MAX} letters, digits and underscores, and starts with no digit"
        ))
    } else if name == "PORT" {
        Some("PORT is set by the provider, differently for each instance".to_owned())
    } else if value.len() > VARIABLE_LEN_MAX {
        Some(format!("a value has at most {VARIABLE_LEN_MAX} bytes"))
    } else if value.contains('\0') {
        Some("a value holds no NUL character".to_owned())
    } else {
        None
    }
}

fn between(field: &str, value: u32, low: u32, high: u32) -> Option<Fault> {
    let fits = (low..=high).contains(&value);
    let rule = match high {
        u32::MAX => format!("must be at least {low}"),
        high => format!("must be between {low} and {high}"),
    };
    (!fits).then(|| Fault::of(field, rule))
}

fn text(field: &str, value: &str) -> Option<Fault> {
    let message = if value.chars().count() > TEXT_LEN_MAX {
        format!("at most {TEXT_LEN_MAX} characters")
    } else if value
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t')
    {
        "holds control characters".to_owned()
    } else {
        return None;
    };
    Some(Fault::of(field, message))
}
