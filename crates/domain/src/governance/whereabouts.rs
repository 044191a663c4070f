//! Where a server group lives, and what that place can do. What it cannot do is refused before anything
//! is changed, never skipped in silence.
//!
//! Invariant: these rules ask the place for its abilities; none of them knows a provider.

use super::{Facts, Objection, Wish, aws};
use crate::{
    catalogue::{Home, ServerGroup, Stickiness},
    gate::Gate,
    image::ImageState,
    observation::count,
    plan::{self, Capacity, Roles, Strategy},
    release::Content,
};

/// The group's place exists, can do what is asked, and is not in somebody else's hands.
pub(super) fn faults(wish: &Wish, facts: &Facts) -> Vec<Objection> {
    let Some(group) = &facts.group else {
        return Vec::new();
    };
    let home = group.home();
    let mut objections = content(wish, facts, home);
    if refreshes(wish) && !home.abilities().refreshes {
        let place = wish.place.clone();
        objections.push(Objection::RefreshNotOffered { place });
    }
    objections.extend(account(home, facts));
    objections.extend(image(wish, home, facts));
    objections.extend(unable(wish, group));
    objections.extend(obstructed(wish, group, facts));
    objections
}

/// The provider replaces the instances.
fn refreshes(wish: &Wish) -> bool {
    matches!(wish.strategy, Strategy::InstanceRefresh(_))
}

/// Somebody else is at work in a slice, or it has no room.
fn obstructed(wish: &Wish, group: &ServerGroup, facts: &Facts) -> Vec<Objection> {
    let mut objections = Vec::new();
    let roles = Roles::of(&wish.strategy, super::stable_version(facts), &facts.seen);
    for (slice, seen) in &facts.seen.slices {
        let refreshed = refreshes(wish) && *slice == roles.live;
        let hazard = seen.hazard.iter().filter(|_| refreshed);
        let cramped = cramped(wish, group, facts, roles).filter(|_| *slice == roles.next);
        let reasons = seen.obstacles.iter().chain(&cramped).chain(hazard);
        objections.extend(reasons.map(|why| Objection::Obstructed {
            place: wish.place.clone(),
            provider: group.home().provider(),
            slice: *slice,
            why: why.clone(),
        }));
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

/// The account is in the catalogue, and of the provider that the group has settings for.
fn account(home: Home, facts: &Facts) -> Option<Objection> {
    let (account, provider) = (home.account()?.clone(), home.provider());
    match &facts.account {
        None => Some(Objection::AccountUnknown { account }),
        Some(known) if known.provider != provider => {
            Some(Objection::AccountElsewhere { account, provider })
        }
        Some(_) => None,
    }
}

/// What would be started can be started.
fn image(wish: &Wish, home: Home, facts: &Facts) -> Option<Objection> {
    let standing = facts.image.clone();
    let standing = standing.filter(|it| *it != ImageState::Available)?;
    Some(Objection::ImageNotAvailable {
        image: facts.image_of(wish)?.clone(),
        account: home.account()?.clone(),
        standing,
    })
}

/// What the release is can run there.
fn content(wish: &Wish, facts: &Facts, home: Home) -> Vec<Objection> {
    let content = facts.release.as_ref().map(|release| &release.content);
    let is_image = matches!(content, Some(Content::Image { .. }));
    let asks_image = wish.image.is_some();
    let has_images = home.abilities().has_images;
    let mut objections = Vec::new();
    if !has_images && (is_image || asks_image) {
        objections.push(Objection::ImageNotOffered {
            place: wish.place.clone(),
            version: wish.version.clone(),
        });
    }
    if has_images && is_image && asks_image {
        let version = wish.version.clone();
        objections.push(Objection::ImageIsTheRelease { version });
    }
    objections.extend(aws::package_bucket(wish, facts, home));
    objections
}

/// What is asked of the place and it cannot do.
fn unable(wish: &Wish, group: &ServerGroup) -> Vec<Objection> {
    let abilities = group.home().abilities();
    let mut needed = Vec::from_iter(group.stickiness.as_ref().map(|by| match by {
        Stickiness::Cookie { .. } => abilities.keeps_users_by_cookie,
        Stickiness::Header { .. } => abilities.keeps_users_by_header,
    }));
    needed.extend(group.health.is_special().then_some(abilities.checks_health));
    let ignores = !group.ignore_paths.is_empty();
    needed.extend(ignores.then_some(abilities.tells_paths));
    if let Some(options) = wish.strategy.two_slices() {
        let splits = options.stages().any(|stage| stage.percent < 100);
        let mut gates = options.gates.iter().flatten();
        let counts = gates.any(|gate| matches!(gate, Gate::Traffic(_)));
        needed.extend(options.shadow.is_some().then_some(abilities.mirrors));
        needed.extend(splits.then_some(abilities.splits_users));
        needed.extend(counts.then_some(abilities.counts_requests));
        let sticks = counts && group.stickiness.is_some();
        needed.extend(sticks.then_some(abilities.counts_users));
    }
    let lacks = needed.into_iter().filter_map(Result::err);
    let lacks = lacks.map(|lack| Objection::NotOffered {
        place: wish.place.clone(),
        what: lack.what.to_owned(),
        remedy: lack.remedy.to_owned(),
    });
    lacks.collect()
}
