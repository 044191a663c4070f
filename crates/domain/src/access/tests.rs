use super::*;

fn grant(subject: Subject, role: Role, team: Option<&str>, class: Option<&str>) -> Grant {
    Grant {
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

/// Who of `alice` and `bob` may use `right` at a target, given these grants.
fn who(grants: &[Grant], right: Right, target: &Target, now: i64) -> String {
    let facts = Facts {
        grants: grants.to_vec(),
        target: target.clone(),
    };
    let may = |name: &&&str| {
        let principal = Principal::authenticated(name);
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
        &Principal::authenticated("bob"),
        Right::Deploy,
        Resource::Place(&place),
        &Facts::default(),
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
