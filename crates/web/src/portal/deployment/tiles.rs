//! The instances, one tile each, by slice and zone.

use std::collections::BTreeMap;

use domain::{
    deployment::Deployment,
    observation::{Instance, InstanceState},
    time::UnixMs,
};
use maud::{Markup, html};
use operations::slices::{Role, SliceStatus, Slices};

use super::Seen;
use crate::portal::parts::{Mark, age};

/// The instances of the place while it runs.
pub(super) fn tiles(seen: &Seen) -> Markup {
    html! {
        div #d-tiles {
            @match &seen.slices {
                Ok(Some(slices)) => (panels(slices, Some(&seen.deployment), seen.now)),
                Ok(None) => {},
                Err(why) => div.note.wait { p { b { "The instances are not known now: " } (why) "." } },
            }
        }
    }
}

/// A panel for each slice.
pub(in crate::portal) fn panels(
    slices: &Slices,
    deployment: Option<&Deployment>,
    now: UnixMs,
) -> Markup {
    html! {
        section.card {
            h2 { "Instances" }
            div.slices { @for slice in &slices.slices { (panel(slice, slices.slices.len(), deployment, now)) } }
        }
    }
}

fn panel(slice: &SliceStatus, of: usize, deployment: Option<&Deployment>, now: UnixMs) -> Markup {
    let mut zones: BTreeMap<&str, Vec<&Instance>> = BTreeMap::new();
    for instance in &slice.seen.instances {
        zones.entry(&instance.zone).or_default().push(instance);
    }
    let role = match slice.role {
        Role::Live => "live",
        Role::Next => "next",
    };
    html! {
        div.slice {
            div.head {
                h3 { @if of > 1 { (slice.slice) " · " (role) " · " } (slice.weight) " % of users" }
                span.small.soft { (slice.seen.healthy()) " healthy of " (slice.seen.sizes.desired) " wanted" }
            }
            @if slice.seen.instances.is_empty() { p.small.soft { "No instance." } }
            @for (zone, instances) in zones {
                div.zone {
                    span.small.soft { "zone " (zone) }
                    ul.tiles { @for instance in instances { (tile(instance, deployment, now)) } }
                }
            }
            @if let Some(trouble) = &slice.seen.trouble { p.small.stop { "The provider says: " (trouble) } }
        }
    }
}

/// How an instance is, in shape, word and colour.
fn mark(state: InstanceState) -> Mark {
    match state {
        InstanceState::Pending => Mark::new("go", "waiting", "starting"),
        InstanceState::Healthy => Mark::new("ok", "ok", "healthy"),
        InstanceState::Unhealthy => Mark::new("stop", "failed", "unhealthy"),
        InstanceState::Draining => Mark::new("off", "back", "draining"),
        InstanceState::Terminating => Mark::new("off", "retire", "stopping"),
    }
}

fn tile(instance: &Instance, deployment: Option<&Deployment>, now: UnixMs) -> Markup {
    let mark = mark(instance.state);
    let is_new = deployment.is_some_and(|it| it.launch.id == instance.launch);
    html! {
        li class={ "tile " (mark.colour) @if is_new { " new" } } {
            span.mono.version { (instance.version) }
            (mark.plain())
            span.small.soft { (age(instance.started_at, now)) @if instance.protected { " · protected" } }
            span.id { (instance.id) }
        }
    }
}
