use super::*;
use crate::{names::Place, time::UnixMs};

fn grant(subject: Subject, role: Role, team: Option<&str>, class: Option<&str>) -> Grant {
    Grant {
        id: GrantId("g".to_owned()),
        subject,
        role,
        scope: Scope {
            team: team.map(|team| team.parse().unwrap()),
            environment_type: class.map(|class| class.parse().unwrap()),
        },
        until: None,
    }
}

fn person(name: &str) -> Subject {
    Subject::Person(name.parse().unwrap())
}

fn target(team: &str, class: &str) -> Target {
    Target {
        team: team.parse().ok(),
        environment_type: class.parse().ok(),
    }
}

fn signed_in(name: &str) -> Principal {
    let via = Via::Session(SessionId("s".to_owned()));
    Principal::authenticated(Who::Person(name.parse().unwrap()), via, Reach::Full)
}

/// Who of `alice` and `bob` may use `right` at a target, given these grants.
fn who(grants: &[Grant], right: Right, target: &Target, now: i64) -> String {
    let facts = Facts {
        counts: true,
        groups: Vec::new(),
        grants: grants.to_vec(),
        target: target.clone(),
    };
    let may = |name: &&&str| {
        let principal = signed_in(name);
        may(&principal, right, Resource::Everything, &facts, UnixMs(now)).is_ok()
    };
    let all: Vec<&str> = ["alice", "bob"].iter().filter(may).copied().collect();
    all.join(" ")
}

#[test]
fn without_a_grant_nobody_may_do_anything() {
    for right in Right::ALL {
        assert_eq!(who(&[], right, &target("shop", "staging"), 0), "");
    }
}

#[test]
fn a_grant_gives_the_rights_of_its_role_in_its_scope_and_nothing_else() {
    let shop = target("shop", "staging");
    let grants = [
        grant(
            person("alice"),
            Role::Deployer,
            Some("shop"),
            Some("staging"),
        ),
        grant(Subject::SignedIn, Role::Viewer, None, None),
    ];
    assert_eq!(who(&grants, Right::Deploy, &shop, 0), "alice");
    assert_eq!(who(&grants, Right::View, &shop, 0), "alice bob");
    assert_eq!(who(&grants, Right::Approve, &shop, 0), "");
    for other in [
        target("till", "staging"),
        target("shop", "production"),
        Target::default(),
    ] {
        assert_eq!(who(&grants, Right::Deploy, &other, 0), "", "{other:?}");
        assert_eq!(who(&grants, Right::View, &other, 0), "alice bob");
    }
}

#[test]
fn a_grant_ends_at_its_time() {
    let mut ending = grant(person("bob"), Role::Approver, None, None);
    ending.until = Some(UnixMs(10));
    let grants = [ending];
    let shop = target("shop", "staging");
    assert_eq!(who(&grants, Right::Approve, &shop, 9), "bob");
    assert_eq!(who(&grants, Right::Approve, &shop, 10), "");
}

#[test]
fn an_admin_is_no_deployer() {
    for right in [Right::Deploy, Right::Approve, Right::Override, Right::Drive] {
        assert!(!Role::Admin.rights().contains(&right), "{right}");
    }
}

#[test]
fn a_refusal_names_who_what_and_who_can_help() {
    let place: Place = Place {
        service: "shop".parse().unwrap(),
        environment: "production".parse().unwrap(),
    };
    let denied = may(
        &signed_in("bob"),
        Right::Deploy,
        Resource::Place(&place),
        &Facts {
            counts: true,
            ..Facts::default()
        },
        UnixMs(0),
    );
    assert_eq!(
        denied.unwrap_err().to_string(),
        "bob may not do this: no grant gives them the right `deploy` for shop.production; someone \
         with the right `administer` can grant it"
    );
}

#[test]
fn words_are_those_of_json() {
    for right in Right::ALL {
        let json = serde_json::to_string(&right).unwrap();
        assert_eq!(json, format!("\"{right}\""));
    }
    for role in Role::ALL {
        let json = serde_json::to_string(&role).unwrap();
        assert_eq!(json, format!("\"{role}\""));
    }
}

fn facts(grants: &[Grant], groups: &[&str], target: Target) -> Facts {
    Facts {
        counts: true,
        groups: groups.iter().map(|name| name.parse().unwrap()).collect(),
        grants: grants.to_vec(),
        target,
    }
}

#[test]
fn a_group_gives_its_members_what_it_has_and_nobody_else() {
    let group = Subject::Group("shop-people".parse().unwrap());
    let grants = [grant(group, Role::Deployer, None, None)];
    for (groups, may_deploy) in [
        (&["shop-people"][..], true),
        (&["till"], false),
        (&[], false),
    ] {
        let facts = facts(&grants, groups, target("shop", "staging"));
        let allowed = may(
            &signed_in("alice"),
            Right::Deploy,
            Resource::Everything,
            &facts,
            UnixMs(0),
        );
        assert_eq!(allowed.is_ok(), may_deploy, "{groups:?}");
    }
}

#[test]
fn a_service_account_is_nobody_who_signed_in_and_never_approves() {
    let name: PersonName = "ci".parse().unwrap();
    let via = Via::Token(TokenId("t".to_owned()));
    let account = Principal::authenticated(Who::ServiceAccount(name.clone()), via, Reach::Full);
    let asked = |grants: &[Grant], right| {
        let facts = facts(grants, &[], target("shop", "staging"));
        may(&account, right, Resource::Everything, &facts, UnixMs(0)).is_ok()
    };
    let all = [
        grant(Subject::SignedIn, Role::Operator, None, None),
        grant(Subject::Person(name.clone()), Role::Operator, None, None),
    ];
    assert!(!asked(&all, Right::View), "those grants are for people");
    let own = [grant(
        Subject::ServiceAccount(name),
        Role::Operator,
        None,
        None,
    )];
    assert!(asked(&own, Right::Deploy));
    assert!(!asked(&own, Right::Approve));
}

#[test]
fn a_token_reaches_no_further_than_it_says_and_than_its_owner() {
    let reach = Reach::Narrow {
        rights: [Right::View, Right::Deploy].into(),
        scope: Scope {
            team: None,
            environment_type: "staging".parse().ok(),
        },
    };
    let who = Who::Person("alice".parse().unwrap());
    let token =
        |reach| Principal::authenticated(who.clone(), Via::Token(TokenId("t".to_owned())), reach);
    let grants = [grant(person("alice"), Role::Operator, Some("shop"), None)];
    let missing = |principal: &Principal, right, team, class| {
        let facts = facts(&grants, &[], target(team, class));
        let asked = may(principal, right, Resource::Everything, &facts, UnixMs(0));
        asked.err().map(|denied| denied.missing)
    };
    let narrow = token(reach);
    assert_eq!(missing(&narrow, Right::Deploy, "shop", "staging"), None);
    for (right, team, class, why) in [
        (Right::Lock, "shop", "staging", Missing::Reach),
        (Right::Deploy, "shop", "production", Missing::Reach),
        (Right::Deploy, "till", "staging", Missing::Grant),
    ] {
        assert_eq!(missing(&narrow, right, team, class), Some(why));
    }
    let scraper = token(Reach::Scrape);
    for right in Right::ALL {
        assert!(
            missing(&scraper, right, "shop", "staging").is_some(),
            "{right}"
        );
    }
}

#[test]
fn who_is_disabled_may_nothing() {
    let grants = [grant(person("alice"), Role::Operator, None, None)];
    let mut facts = facts(&grants, &[], target("shop", "staging"));
    facts.counts = false;
    for right in Right::ALL {
        let asked = may(
            &signed_in("alice"),
            right,
            Resource::Everything,
            &facts,
            UnixMs(0),
        );
        assert_eq!(asked.unwrap_err().missing, Missing::Credential);
    }
}

#[test]
fn a_service_is_seen_whatever_the_type_and_changed_only_for_all_types() {
    let grants = [grant(
        person("alice"),
        Role::Operator,
        Some("shop"),
        Some("staging"),
    )];
    let service = "cart".parse().unwrap();
    let environment = "live".parse().unwrap();
    let asked = |right, resource: Resource<'_>, target: Target| {
        let facts = facts(&grants, &[], target);
        may(&signed_in("alice"), right, resource, &facts, UnixMs(0)).is_ok()
    };
    let of_shop = || target("shop", "");
    let service = Resource::Service(&service);
    assert!(asked(Right::View, service, of_shop()));
    assert!(asked(Right::Release, service, of_shop()));
    assert!(!asked(Right::Describe, service, of_shop()));
    assert!(!asked(Right::View, service, target("till", "")));
    let environment = Resource::Environment(&environment);
    assert!(asked(Right::View, environment, target("", "staging")));
    assert!(!asked(
        Right::View,
        environment,
        target("shop", "production")
    ));
    assert!(!asked(Right::Lock, environment, target("", "staging")));
    assert!(asked(Right::Lock, environment, target("shop", "staging")));
}

#[test]
fn what_is_visible_is_what_grant_and_token_have_in_common() {
    let grants = [
        grant(person("alice"), Role::Viewer, Some("shop"), None),
        grant(person("alice"), Role::Deployer, None, Some("staging")),
        grant(person("bob"), Role::Viewer, None, None),
    ];
    let facts = facts(&grants, &[], Target::default());
    let shown = |principal: &Principal| {
        let visible = Visible::of(principal, Right::View, &facts, UnixMs(0));
        let word = |text: Option<String>| text.unwrap_or_else(|| "*".to_owned());
        let scopes = visible.scopes().map(|scope| {
            let team = word(scope.team.as_ref().map(ToString::to_string));
            let class = scope.environment_type.as_ref();
            format!("{team}/{}", word(class.map(ToString::to_string)))
        });
        scopes.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(shown(&signed_in("alice")), "*/staging shop/*");
    assert_eq!(shown(&signed_in("bob")), "*/*");
    assert_eq!(shown(&signed_in("carol")), "");
    let narrow = Reach::Narrow {
        rights: [Right::View].into(),
        scope: Scope {
            team: "till".parse().ok(),
            environment_type: None,
        },
    };
    let who = Who::Person("alice".parse().unwrap());
    let via = Via::Token(TokenId("t".to_owned()));
    let token = Principal::authenticated(who, via, narrow);
    assert_eq!(shown(&token), "till/staging");
}
