//! Rules for server groups, wherever they are.

use std::collections::BTreeSet;

use super::super::{Bounds, Home, ServerGroup, Stickiness};
use crate::{
    bounds::{Faults, GATES_MAX, Limit, Limited},
    gate,
};

/// Most instances of one server group.
const INSTANCES_MAX: u32 = 10_000;
/// Most zones of one server group, and longest name of one.
const ZONES_MAX: u32 = 16;
const ZONE_LEN_MAX: usize = 32;
/// Most environment variables, longest name and longest value, in bytes.
const VARIABLES_MAX: u32 = 200;
const VARIABLE_NAME_LEN_MAX: usize = 128;
const VARIABLE_LEN_MAX: usize = 16 * 1024;
/// Most paths that do not count, and longest one, in bytes.
const IGNORED_MAX: u32 = 20;
const PATH_LEN_MAX: usize = 200;
/// Longest name of a header, in bytes.
const HEADER_LEN_MAX: usize = 64;
const YEAR_SECONDS: u32 = 31_536_000;

impl Limited for ServerGroup {
    const LIMITS: &'static [Limit<Self>] = &[
        Limit::number("size", 1..=INSTANCES_MAX, |it| Some(it.size)),
        Limit::items("zones", 1..=ZONES_MAX, |it| it.zones.len()),
        Limit::number("slices", 1..=2, |it| Some(it.slices.into())),
        Limit::items("ignore_paths", 0..=IGNORED_MAX, |it| it.ignore_paths.len()),
        Limit::items("gates", 0..=GATES_MAX, |it| it.gates.len()),
        Limit::number("drain_seconds", 0..=3600, |it| Some(it.drain_seconds)),
        Limit::items("variables", 0..=VARIABLES_MAX, |it| it.variables.len()),
    ];
}

impl Limited for Bounds {
    const LIMITS: &'static [Limit<Self>] = &[
        Limit::number("min", 1..=INSTANCES_MAX, |it| Some(it.min)),
        Limit::number("max", 1..=INSTANCES_MAX, |it| Some(it.max)),
    ];
}

impl Limited for Stickiness {
    const LIMITS: &'static [Limit<Self>] =
        &[Limit::number("seconds", 1..=YEAR_SECONDS, |it| match it {
            Stickiness::Cookie { seconds } => Some(*seconds),
            Stickiness::Header { .. } => None,
        })];
}

/// Notes every rule that `group` breaks.
pub(in super::super) fn check(group: &ServerGroup, faults: &mut Faults) {
    faults.limits("", group);
    scaling(group, faults);
    zones(&group.zones, faults);
    stickiness(group.stickiness.as_ref(), faults);
    ignored(&group.ignore_paths, faults);
    gate::check(&group.gates, faults);
    super::health::check(&group.health, faults);
    variables(group, faults);
    limits(group, faults);
    let one = group.aws.is_none() || group.custom.is_none();
    let rule = "leave it out, or leave `aws` out: a server group lives in one place";
    faults.unless(one, "custom", rule);
    super::aws::stickiness(group, faults);
    if let Some(aws) = &group.aws {
        super::aws::group(aws, group.slices, faults);
    }
}

fn limits(group: &ServerGroup, faults: &mut Faults) {
    faults.limits("limits", &group.limits);
    let here = group.home() == Home::Here || group.limits.is_none();
    let rule = "can be kept on the machine of the server only; leave it out, and set limits where these \
                instances are described";
    faults.unless(here, "limits", rule);
}

fn scaling(group: &ServerGroup, faults: &mut Faults) {
    if let Some(Bounds { min, max }) = group.autoscaling {
        let ordered = 1 <= min && min <= max && max <= INSTANCES_MAX;
        let rule = format!("needs 1 <= min <= max <= {INSTANCES_MAX}");
        faults.unless(ordered, "autoscaling", &rule);
        let fits = !ordered || (min..=max).contains(&group.size);
        let rule = format!("must be within autoscaling, {min} to {max}");
        faults.unless(fits, "size", &rule);
    }
    let least = group.autoscaling.map_or(0, |b| b.max).max(group.size);
    let fits = group.size_limit.is_none_or(|limit| least <= limit);
    let rule =
        format!("must be at least {least}: as many instances as there can be without a deployment");
    faults.unless(fits, "size_limit", &rule);
}

fn zones(zones: &[String], faults: &mut Faults) {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name =
        |zone: &String| !zone.is_empty() && zone.len() <= ZONE_LEN_MAX && zone.chars().all(allowed);
    let distinct: BTreeSet<&String> = zones.iter().collect();
    faults.unless(
        distinct.len() == zones.len(),
        "zones",
        "name each zone once",
    );
    let rule = format!("a zone has 1 to {ZONE_LEN_MAX} lower-case letters, digits and hyphens");
    faults.unless(zones.iter().all(is_name), "zones", &rule);
}

fn stickiness(stickiness: Option<&Stickiness>, faults: &mut Faults) {
    if let Some(stickiness) = stickiness {
        faults.limits("stickiness", stickiness);
    }
    if let Some(Stickiness::Header { name }) = stickiness {
        let token = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        let is_name = (1..=HEADER_LEN_MAX).contains(&name.len()) && name.chars().all(token);
        let rule = "must be the name of a header";
        faults.unless(is_name, "stickiness.name", rule);
    }
}

fn ignored(paths: &[String], faults: &mut Faults) {
    let good = |path: &String| {
        let exact = path.strip_suffix('*').unwrap_or(path);
        exact.starts_with('/')
            && path.len() <= PATH_LEN_MAX
            && exact
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"*?#".contains(&b))
    };
    let rule = "must be paths such as /healthz or /probes/*, of at most 200 characters";
    faults.unless(paths.iter().all(good), "ignore_paths", rule);
}

fn variables(group: &ServerGroup, faults: &mut Faults) {
    let most = usize::try_from(VARIABLES_MAX).unwrap_or(usize::MAX);
    for (name, value) in group.variables.iter().take(most) {
        if let Some(message) = variable(name, value) {
            let shown: String = name.chars().take(VARIABLE_NAME_LEN_MAX).collect();
            faults.add(format!("variables.{shown}"), message);
        }
    }
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
