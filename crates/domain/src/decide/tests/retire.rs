//! Situations in which old instances are retired.

use super::*;

#[test]
fn retire_protects_before_it_shrinks() {
    let retire = at_step(deployment(Some("v1")), START, 2);
    check(
        &retire,
        &[
            (0, "4/4/4 v2 suspended | v1+ v1+ v2+ v2+"),
            (0, "4/4/4 v2 suspended | v1+ v1+* v2+* v2+*"),
            (0, "4/4/4 v2 suspended | v1+ v1+ v2+* v2+*"),
            (0, "2/2/4 v2 suspended | v1~ v1~ v2+* v2+*"),
            (0, "2/2/4 v2 suspended | v2+* v2+*"),
            (0, "4/4/4 v2 suspended | v1+ v1+ v2+ v2!"),
            (0, "2/2/4 v2 suspended | v1+ v2+* v2."),
        ],
        expect![[r#"
            4/4/4 v2 suspended | v1+ v1+ v2+ v2+         apply: blue: protect 2 instances from scale-in
            4/4/4 v2 suspended | v1+ v1+* v2+* v2+*      apply: blue: stop protecting 1 instances
            4/4/4 v2 suspended | v1+ v1+ v2+* v2+*       apply: blue: sizes min 2 desired 2 max 4
            2/2/4 v2 suspended | v1~ v1~ v2+* v2+*       wait: 2 instances of v1 are finishing their last requests
            2/2/4 v2 suspended | v2+* v2+*               next step
            4/4/4 v2 suspended | v1+ v1+ v2+ v2!         wait: 1 of 2 instances of v2 are healthy; waiting for the rest
            2/2/4 v2 suspended | v1+ v2+* v2.            apply: blue: sizes min 3 desired 3 max 4
        "#]],
    );
}

#[test]
fn retire_takes_back_what_the_plan_added_also_where_old_instances_were_lost() {
    let mut scaled = request(Strategy::ScaleUp(quick()), 1, Some("v1"));
    scaled.target.group.autoscaling = Some(crate::catalogue::Bounds { min: 1, max: 8 });
    let start = "1/2/8 v1 | v1+ v1+";
    let retire = at_step(Deployment::new(scaled, &seen(start)), start, 2);
    check(
        &retire,
        &[
            (0, "4/4/8 v2 suspended | v1+ v1+ v2+* v2+*"),
            (0, "4/4/8 v2 suspended | v2+* v2+* v2+ v2."),
            (0, "4/5/8 v2 suspended | v1+ v1+ v2+* v2+* v2+*"),
            (0, "2/2/8 v2 suspended | v2+* v2+*"),
            (0, "2/3/8 v2 suspended | v2+* v2+* v2+*"),
        ],
        expect![[r#"
            4/4/8 v2 suspended | v1+ v1+ v2+* v2+*       apply: blue: sizes min 2 desired 2 max 8
            4/4/8 v2 suspended | v2+* v2+* v2+ v2.       apply: blue: sizes min 2 desired 2 max 8
            4/5/8 v2 suspended | v1+ v1+ v2+* v2+* v2+*  apply: blue: sizes min 2 desired 3 max 8
            2/2/8 v2 suspended | v2+* v2+*               next step
            2/3/8 v2 suspended | v2+* v2+* v2+*          next step
        "#]],
    );
}

#[test]
fn old_instances_that_stay_ill_do_not_hold_up_their_successors() {
    let waves = ScaleUp {
        surge_percent: 50,
        ..quick()
    };
    let start = "2/2/4 v1 | v1. v1.";
    let request = request(Strategy::ScaleUp(waves), 1, Some("v1"));
    let retire = at_step(Deployment::new(request, &seen(start)), start, 2);
    check(
        &retire,
        &[
            (0, "3/3/4 v2 suspended | v1. v1. v2+*"),
            (61, "3/3/4 v2 suspended | v1. v1. v2+*"),
            (61, "3/3/4 v2 suspended | v1. v1.* v2+*"),
            (61, "3/3/4 v2 suspended | v1. v1. v2."),
            (61, "3/3/4 v2 suspended | v1. v2. v2+*"),
        ],
        expect![[r#"
            3/3/4 v2 suspended | v1. v1. v2+*            wait: 1 of 2 instances of v2 are healthy; waiting for the rest
            3/3/4 v2 suspended | v1. v1. v2+*            apply: blue: protect 1 instances from scale-in
            3/3/4 v2 suspended | v1. v1.* v2+*           apply: blue: sizes min 2 desired 2 max 4
            3/3/4 v2 suspended | v1. v1. v2.             wait: 0 of 2 instances of v2 are healthy; waiting for the rest
            3/3/4 v2 suspended | v1. v2. v2+*            wait: 1 of 2 instances of v2 are healthy; waiting for the rest
        "#]],
    );
}
