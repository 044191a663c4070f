//! Machine images that groups run on.

use std::collections::BTreeSet;

use domain::{effect::Target, image::Running, observation::Slice};
use engine::ports::ProviderError;

use crate::{
    calls::{errors::invalid, retry::again},
    observe::observer::Lookout,
    resources::{
        groups::{self, Group, TemplateVersion},
        templates::Templates,
    },
};

/// The images that these slices run on, in the order of the question.
pub async fn running(
    lookout: &Lookout,
    slices: &[(Target, Slice)],
) -> Result<Vec<Running>, ProviderError> {
    let names: Vec<String> = slices
        .iter()
        .map(|(target, slice)| {
            let aws = target.group.aws.as_ref();
            let aws = aws.ok_or_else(|| invalid("the server group has no settings for AWS"))?;
            Ok(aws.group_name(&target.place, *slice))
        })
        .collect::<Result<_, ProviderError>>()?;
    let clients = &**lookout.clients();
    let groups = again(|| groups::describe(clients, &names)).await?;
    let wanted: BTreeSet<TemplateVersion> = groups.values().flat_map(versions).flatten().collect();
    again(|| lookout.templates.learn(clients, &wanted)).await?;
    let of = |name| {
        let group = groups.get(name);
        group.map_or_else(Running::default, |group| {
            images_of(group, &lookout.templates)
        })
    };
    Ok(names.iter().map(of).collect())
}

/// What a group launches, and what each of its members was launched from.
fn versions(group: &Group) -> Vec<Option<TemplateVersion>> {
    let members = group.members.iter().map(|member| member.launched.clone());
    std::iter::once(group.launches.clone())
        .chain(members)
        .collect()
}

fn images_of(group: &Group, templates: &Templates) -> Running {
    let mut running = Running::default();
    for version in versions(group) {
        let known = version.and_then(|at| templates.known(&at));
        match known.and_then(|version| version.image) {
            Some(image) => drop(running.images.insert(image)),
            None => running.unknown = true,
        }
    }
    running
}
