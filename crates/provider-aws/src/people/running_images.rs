//! The machine images that groups run on.

use std::collections::BTreeSet;

use domain::{effect::Target, image::Running, slice::Slice};
use engine::ports::ProviderError;

use crate::{
    account::AwsAccount,
    calls::retry::retry,
    resources::{
        groups::{self, Group, TemplateVersion},
        templates::Templates,
    },
    server_group,
};

/// The images that these slices run on, in the same order.
pub async fn of(
    account: &AwsAccount,
    slices: &[(Target, Slice)],
) -> Result<Vec<Running>, ProviderError> {
    let names: Vec<String> = slices
        .iter()
        .map(|(target, slice)| {
            let aws = server_group::settings(target)?;
            Ok(aws.group_name(&target.place, *slice))
        })
        .collect::<Result<_, ProviderError>>()?;
    let AwsAccount {
        clients, templates, ..
    } = account;
    let groups = retry(|| groups::describe(clients, &names)).await?;
    let wanted: BTreeSet<TemplateVersion> = groups.values().flat_map(Group::versions).collect();
    retry(|| templates.learn(clients, &wanted)).await?;
    let of = |name| {
        let group = groups.get(name);
        group.map_or_else(Running::default, |group| images_of(group, templates))
    };
    Ok(names.iter().map(of).collect())
}

fn images_of(group: &Group, templates: &Templates) -> Running {
    let mut running = Running::default();
    let launched = group.members.iter().map(|member| &member.launched);
    for version in launched.chain([&group.launches]) {
        let known = version.as_ref().and_then(|at| templates.known(at));
        match known.and_then(|version| version.image) {
            Some(image) => drop(running.images.insert(image)),
            None => running.unknown = true,
        }
    }
    running
}
