//! Where a server group is, and what that place can do. What is not supported is refused before
//! anything is changed, never skipped in silence.

use super::{Facts, Objection, Wish};
use crate::{
    catalogue::{AwsGroup, AwsTraffic, ServerGroup, Stickiness},
    gate::Gate,
    image::Standing,
    observation::count,
    plan::{self, Capacity, Roles, Strategy},
    release::Content,
};

/// The group's place exists, can do this, and is not in somebody else's hands.
pub(super) fn whereabouts(wish: &Wish, facts: &Facts) -> Vec<Objection> {
    let Some(group) = &facts.group else {
        return Vec::new();
    };
    let mut objections = content(wish, facts, group);
    let refreshes = matches!(wish.strategy, Strategy::InstanceRefresh(_));
    if refreshes && group.aws.is_none() {
        let place = wish.place.clone();
        objections.push(Objection::RefreshNeedsAws { place });
    }
    if let Some(aws) = &group.aws {
        objections.extend(account(aws, facts));
        objections.extend(image(wish, aws, facts));
        objections.extend(abilities(wish, group, aws));
    }
    let roles = Roles::of(&wish.strategy, super::stable_version(facts), &facts.seen);
    for (slice, seen) in &facts.seen.slices {
        let refreshed = refreshes && *slice == roles.live;
        let hazard = seen.hazard.iter().filter(|_| refreshed);
        let cramped = cramped(wish, group, facts, roles).filter(|_| *slice == roles.next);
        objections.extend(
            seen.obstacles
                .iter()
                .chain(&cramped)
                .chain(hazard)
                .map(|why| Objection::Obstructed {
                    place: wish.place.clone(),
                    slice: *slice,
                    why: why.clone(),
                }),
        );
    }
    objections
}

/// Too few addresses for the instances that are started at once. A smaller surge needs fewer, and users
/// who are moved to what runs already need none.
fn cramped(wish: &Wish, group: &ServerGroup, facts: &Facts, roles: Roles) -> Option<String> {
    let next = facts.seen.slice(roles.next);
    let capacity = Capacity::of(group, facts.seen.slice(roles.live).sizes.desired);
    let needed = match &wish.strategy {
        Strategy::Switch => return None,
        Strategy::ScaleUp(_) | Strategy::InstanceRefresh(_) => {
            plan::ceiling(&wish.strategy, capacity).saturating_sub(capacity.current)
        }
        Strategy::BlueGreen(_) | Strategy::Canary(_) => {
            capacity.asked.saturating_sub(count(next.present()))
        }
    };
    let room = next.room.filter(|room| *room < needed)?;
    Some(format!(
        "its subnets have {room} free addresses, and {needed} instances are to be started at once"
    ))
}

fn account(aws: &AwsGroup, facts: &Facts) -> Option<Objection> {
    let account = || aws.account.clone();
    match &facts.account {
        None => Some(Objection::AccountUnknown { account: account() }),
        Some(known) if !known.is_aws() => Some(Objection::AccountNotAws { account: account() }),
        Some(_) => None,
    }
}

/// What would be started can be started.
fn image(wish: &Wish, aws: &AwsGroup, facts: &Facts) -> Option<Objection> {
    let standing = facts.image.clone();
    let standing = standing.filter(|it| *it != Standing::Available)?;
    Some(Objection::ImageNotAvailable {
        image: facts.image_of(wish)?.clone(),
        account: aws.account.clone(),
        standing,
    })
}

/// What the release is can run there.
fn content(wish: &Wish, facts: &Facts, group: &ServerGroup) -> Vec<Objection> {
    let place = || wish.place.clone();
    let version = || wish.version.clone();
    let on_aws = group.aws.is_some();
    let bucket = facts
        .account
        .as_ref()
        .and_then(|it| it.package_bucket.as_ref());
    let content = facts.release.as_ref().map(|release| &release.content);
    let is_image = matches!(content, Some(Content::Image { .. }));
    let is_package = matches!(content, Some(Content::Package { .. }));
    let mut objections = Vec::new();
    if !on_aws && (is_image || wish.image.is_some()) {
        objections.push(Objection::ImageNeedsAws {
            place: place(),
            version: version(),
        });
    }
    if on_aws && is_image && wish.image.is_some() {
        objections.push(Objection::ImageIsTheRelease { version: version() });
    }
    if on_aws && is_package && facts.account.is_some() && bucket.is_none() {
        objections.push(Objection::NoPackageBucket { place: place() });
    }
    objections
}

/// What AWS's load balancers cannot do.
fn abilities(wish: &Wish, group: &ServerGroup, aws: &AwsGroup) -> Vec<Objection> {
    let cannot = |what: &str, remedy: &str| Objection::NotOnAws {
        place: wish.place.clone(),
        what: what.to_owned(),
        remedy: remedy.to_owned(),
    };
    let mut objections = Vec::new();
    match (&group.stickiness, &aws.traffic) {
        (Some(Stickiness::Header { .. }), AwsTraffic::Listener { .. }) => objections.push(cannot(
            "keep users on a side by a header",
            "set `stickiness: {by: cookie}` in the manifest of the server group",
        )),
        (Some(_), AwsTraffic::Dns { .. }) => objections.push(cannot(
            "keep users on a side where DNS splits them",
            "take stickiness out of the manifest of the server group, or set `traffic: {by: listener}`",
        )),
        _ => {}
    }
    let (Strategy::BlueGreen(options) | Strategy::Canary(options)) = &wish.strategy else {
        return objections;
    };
    if options.shadow.is_some() {
        objections.push(cannot(
            "copy requests to the new release (dark traffic)",
            "leave --shadow out",
        ));
    }
    let split = options.stages().any(|stage| stage.percent < 100);
    if split && matches!(aws.traffic, AwsTraffic::Attach { .. }) {
        objections.push(cannot(
            "split users by weights where groups are attached and detached whole",
            "deploy with --strategy blue-green and no --weights, or set `traffic: {by: listener}`",
        ));
    }
    let counts = |gate: &Gate| matches!(gate, Gate::Traffic(_));
    if options.gates.iter().flatten().any(counts) {
        objections.push(cannot(
            "count each request, which a traffic gate needs",
            "use a CloudWatch or Prometheus gate, or leave the gate out with --no-gates",
        ));
    }
    objections
}
