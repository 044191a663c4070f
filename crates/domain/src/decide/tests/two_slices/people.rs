//! What people say to a deployment that watches: yes, no, and go on.

use super::*;
use crate::gate::ApprovalGate;

#[test]
fn only_somebody_else_can_say_yes() {
    use crate::deployment::CommandRefused;
    let gate = Gate::Approval(ApprovalGate {
        by_another: true,
        ..ApprovalGate::default()
    });
    let asking = canary(vec![gate], 2);
    check(
        &asking,
        &[(11, TENTH)],
        expect![[r#"
            11  s 90 2/2/2 v1 | v1+ v1+ ; 10 2/2/2 v2 suspended | v2+ v2+              wait: baking v2: every instance is healthy so far; goes on at 1970-01-01T00:00:21Z
        "#]],
    );
    let promoted = asking.clone().command(Command::Promote, "bob", at(11));
    assert_eq!(promoted.unwrap_err(), CommandRefused::ApprovalFirst);
    let own = asking.clone().command(Command::Approve, "ada", at(11));
    let by = "ada".to_owned();
    assert_eq!(own.unwrap_err(), CommandRefused::NotByRequester { by });
    let approved = asking
        .clone()
        .command(Command::Approve, "bob", at(11))
        .unwrap();
    let again = approved.clone().command(Command::Approve, "eve", at(11));
    assert_eq!(again.unwrap_err(), CommandRefused::NothingToApprove);
    let decision = decide(&approved, &both(TENTH), &[], at(11));
    let held = late(&approved, at(11)).after(&decision, at(11));
    assert_eq!(
        decide(&held, &both(TENTH), &[], at(22)).then,
        Decision::Next
    );
    let reason = "not today".to_owned();
    let rejected = asking
        .command(Command::Reject { reason }, "bob", at(11))
        .unwrap();
    assert_eq!(
        rejected.failure.unwrap().sentence(&Versions::default()),
        "rejected by bob: not today"
    );
}

#[test]
fn promote_cuts_a_watch_short_and_nothing_else() {
    use crate::deployment::CommandRefused;
    let baking = canary(vec![], 4);
    let promoted = baking.command(Command::Promote, "ada", at(1)).unwrap();
    assert_eq!(promoted.progress.at, 5);
    let refused = promoted
        .command(Command::Promote, "ada", at(1))
        .unwrap_err();
    assert_eq!(refused, CommandRefused::NothingToPromote);
}
