//! One row per rule: the facts of a wish that is allowed, with one thing changed.

use expect_test::{Expect, expect};

use super::*;
use crate::{
    catalogue::{Freeze, HealthCheck, StrategyKind},
    names::EnvironmentTypeName,
    observation::{Sizes, SliceSeen},
    plan::scale_up::ScaleUp,
    release::{Content, Digest, LaunchId, Withdrawal},
    slice::Slice,
};

mod aws;
mod custom;

fn wish() -> Wish {
    Wish {
        place: Place {
            service: "cart".parse().unwrap(),
            environment: "live".parse().unwrap(),
        },
        version: "2.0.0".parse().unwrap(),
        strategy: Strategy::ScaleUp(ScaleUp::default()),
        force: false,
        image: None,
    }
}

fn facts() -> Facts {
    let production: EnvironmentTypeName = "production".parse().unwrap();
    Facts {
        service: Some(Service {
            name: "cart".parse().unwrap(),
            owner: "shop".parse().unwrap(),
            description: String::new(),
            environment_types: [production.clone()].into(),
            strategies: [StrategyKind::ScaleUp].into(),
        }),
        environment: Some(Environment {
            owner: None,
            name: "live".parse().unwrap(),
            environment_type: production.clone(),
            description: String::new(),
            capacity_limit: Some(20),
        }),
        environment_type: Some(EnvironmentType {
            name: production,
            description: String::new(),
            approval_by_another: false,
        }),
        group: Some(ServerGroup {
            service: "cart".parse().unwrap(),
            environment: "live".parse().unwrap(),
            size: 4,
            autoscaling: None,
            size_limit: None,
            zones: vec!["a".into()],
            slices: 1,
            stickiness: None,
            ignore_paths: Vec::new(),
            gates: Vec::new(),
            health: HealthCheck::default(),
            drain_seconds: 1,
            variables: [].into(),
            limits: Default::default(),
            aws: None,
            custom: None,
        }),
        release: Some(Release {
            service: "cart".parse().unwrap(),
            version: "2.0.0".parse().unwrap(),
            content: Content::package(Digest::from_bytes([1; 32])),
            size_bytes: 1,
            created_at: UnixMs(0),
            created_by: "ada".into(),
            withdrawn: None,
        }),
        artifact: Artifact::Intact,
        live: Some(launch("1.0.0")),
        seen: running(4),
        environment_instances: 12,
        ..Facts::default()
    }
}

/// A package of this version, as some deployment started it.
fn launch(version: &str) -> Launch {
    Launch {
        id: LaunchId(format!("{version}-1")),
        version: version.parse().unwrap(),
        content: Content::package(Digest::from_bytes([2; 32])),
    }
}

/// So many instances in the one slice.
fn running(instances: u32) -> Observation {
    let slice = SliceSeen {
        sizes: Sizes {
            min: instances,
            desired: instances,
            max: instances,
        },
        ..SliceSeen::default()
    };
    Observation {
        slices: [(Slice::Blue, slice)].into(),
        weights: [(Slice::Blue, 100)].into(),
        ..Observation::default()
    }
}

/// What the rules say once `change` was made to facts that are allowed as they are.
fn check(change: impl FnOnce(&mut Wish, &mut Facts), expected: Expect) {
    let (mut wish, mut facts) = (wish(), facts());
    change(&mut wish, &mut facts);
    let text = match admit(wish, facts) {
        Ok(_) => "admitted".to_owned(),
        Err(objections) => objections.iter().map(shown).collect(),
    };
    expected.assert_eq(&text);
}

/// An objection, and what would lift it. Its code is the one that it is written with.
fn shown(objection: &Objection) -> String {
    let written = serde_json::to_value(objection).unwrap();
    assert_eq!(written["reason"], objection.as_str());
    format!("{objection}\n  -> {}\n", objection.remedy())
}

#[test]
fn allows_what_breaks_no_rule() {
    check(|_, _| (), expect!["admitted"]);
}

#[test]
fn refuses_what_is_not_in_the_catalogue() {
    check(
        |_, facts| *facts = Facts::default(),
        expect![[r#"
            the service cart is not in the catalogue
              -> describe it in a manifest (kind: Service) and run `pointsman apply -f FILE`
            the environment live is not in the catalogue
              -> describe it in a manifest (kind: Environment) and run `pointsman apply -f FILE`; `pointsman environment list` shows what exists
        "#]],
    );
}

#[test]
fn says_every_reason_at_once() {
    check(
        |wish, facts| {
            let service = facts.service.as_mut().unwrap();
            service.environment_types.clear();
            service.strategies.clear();
            facts.group = None;
            facts.release = None;
            facts.running = Some(DeploymentId("d7".into()));
            facts.lock = Some(Lock {
                by: "bo".into(),
                since: UnixMs(0),
                reason: "audit".into(),
            });
            let Strategy::ScaleUp(options) = &mut wish.strategy else {
                panic!("the wish is scale-up")
            };
            options.surge_percent = 0;
        },
        expect![[r#"
            cart may not be deployed to environments of type production
              -> its owner can add production to environment_types of the service cart
            cart has no server group in live
              -> describe one in a manifest (kind: ServerGroup) and run `pointsman apply -f FILE`
            cart may not be deployed by scale-up
              -> choose another strategy, or add scale-up to strategies of the service
            cart has no release 2.0.0
              -> run `pointsman release create cart 2.0.0 --artifact DIR`; `pointsman release list cart` shows what exists
            live is locked by bo: audit
              -> ask bo, or run `pointsman environment unlock live`
            deployment d7 of cart.live is already running
              -> follow it with `pointsman watch d7`, or abort it with `pointsman abort d7`
            surge_percent must be between 1 and 100
              -> correct the value
        "#]],
    );
}

#[test]
fn a_freeze_holds_for_its_time() {
    let freeze = |name: &str, until: &str| -> Freeze {
        let text = format!(
            r#"{{"name": "{name}", "from": "2026-12-20T00:00:00Z", "until": "{until}",
                "environment_types": ["production"], "reason": "the shop is full"}}"#
        );
        serde_json::from_str(&text).unwrap()
    };
    let freezes = [
        freeze("sales", "2026-12-24T12:00:00Z"),
        freeze("year-end", "2027-01-03T00:00:00Z"),
    ];
    for (now, expected) in [
        ("2026-12-19T23:59:59Z", expect!["admitted"]),
        (
            "2026-12-20T00:00:00Z",
            expect![[r#"
            live is frozen by sales: the shop is full
              -> wait until it ends; `pointsman freeze get sales` shows it
            live is frozen by year-end: the shop is full
              -> wait until it ends; `pointsman freeze get year-end` shows it
        "#]],
        ),
        (
            "2026-12-24T12:00:00Z",
            expect![[r#"
            live is frozen by year-end: the shop is full
              -> wait until it ends; `pointsman freeze get year-end` shows it
        "#]],
        ),
        ("2027-01-03T00:00:00Z", expect!["admitted"]),
    ] {
        check(
            |_, facts| {
                facts.now = now.parse().unwrap();
                facts.freezes = freezes.to_vec();
            },
            expected,
        );
    }
}

#[test]
fn refuses_releases_that_are_not_what_was_stored() {
    let withdrawal = Withdrawal {
        at: UnixMs(0),
        by: "bo".into(),
        reason: "leaks".into(),
    };
    check(
        |_, facts| {
            facts.release.as_mut().unwrap().withdrawn = Some(withdrawal);
            facts.artifact = Artifact::Changed;
        },
        expect![[r#"
            release 2.0.0 was withdrawn by bo: leaks
              -> choose another release, or create a new version
            the stored artifact of release 2.0.0 does not match its digest any more
              -> find out who changed the artifact store; withdraw this release and create a new version
        "#]],
    );
    check(
        |_, facts| facts.artifact = Artifact::Missing,
        expect![[r#"
            the artifact of release 2.0.0 is not in the artifact store
              -> restore the artifact from a backup, or upload the same content again with `pointsman release create`
        "#]],
    );
}

#[test]
fn refuses_the_live_release_unless_forced() {
    let live = |facts: &mut Facts| facts.live = Some(launch("2.0.0"));
    check(
        |_, facts| live(facts),
        expect![[r#"
            release 2.0.0 is already live in live
              -> add --force to replace its instances with new ones
        "#]],
    );
    check(
        |wish, facts| {
            live(facts);
            wish.force = true;
        },
        expect!["admitted"],
    );
}

#[test]
fn counts_the_doubling_against_the_limits() {
    check(
        |_, facts| facts.environment_instances = 13,
        expect![[r#"
            live would run 21 instances at the peak; its limit is 20
              -> use a smaller --surge, wait for other deployments to end, or raise capacity_limit of live
        "#]],
    );
    check(
        |_, facts| facts.group.as_mut().unwrap().size_limit = Some(4),
        expect![[r#"
            the server group cart.live has size 4 and a size limit of 4: there is no room to start one new instance
              -> raise size_limit of the server group to at least 5
        "#]],
    );
}

#[test]
fn a_first_deployment_needs_no_room_to_double() {
    check(
        |_, facts| {
            facts.seen = running(0);
            facts.live = None;
            facts.group.as_mut().unwrap().size_limit = Some(4);
            facts.environment_instances = 16;
        },
        expect!["admitted"],
    );
}

#[test]
fn a_switch_names_what_the_other_slice_runs() {
    check(
        |wish, facts| {
            wish.strategy = Strategy::Switch;
            let service = facts.service.as_mut().unwrap();
            service.strategies = [StrategyKind::Switch].into();
            facts.group.as_mut().unwrap().slices = 2;
            let other = SliceSeen {
                launches: Some(launch("1.5.0")),
                ..SliceSeen::default()
            };
            facts.seen.slices.insert(Slice::Green, other);
        },
        expect![[r#"
            green, the other slice of cart.live, runs 1.5.0 and not 2.0.0
              -> run `pointsman switch cart -e live` for what runs there, or deploy 2.0.0 with --strategy blue-green
        "#]],
    );
}
