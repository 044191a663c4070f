//! Nothing of stable is healthy: for one look, for the whole health deadline, and no more.

use super::*;
use crate::gate::TrafficGate;

const GONE: &str = "90 2/2/2 v1 | v1! v1! ; 10 2/2/2 v2 suspended | v2+ v2+";
const HALF: &str = "0 2/2/2 v1 | v1+ v1! ; 100 2/2/2 v2 suspended | v2+ v2+";
const NONE: &str = "0 2/2/2 v1 | v1! v1! ; 100 2/2/2 v2 suspended | v2+ v2+";
const FILLED_GONE: &str = "100 2/2/2 v1 | v1! v1! ; 0 2/2/2 v2 suspended | v2+ v2+";

/// What follows from looks at these seconds, each decision taken.
fn follow(mut deployment: Deployment, rows: &[(u64, &str)]) -> String {
    let mut text = String::new();
    for (second, look) in rows {
        let decision = decide(&deployment, &both(look), &[], at(*second));
        text.push_str(&format!("{second:<3} s {look:<68} {}\n", say(&decision)));
        deployment = late(&deployment, at(*second)).after(&decision, at(*second));
    }
    text
}

#[test]
fn one_look_without_stable_moves_nobody() {
    let gates = vec![Gate::Traffic(TrafficGate::default())];
    let text = follow(
        canary(gates, 2),
        &[(1, TENTH), (2, GONE), (3, TENTH), (63, GONE), (64, TENTH)],
    );
    expect![[r#"
        1   s 90 2/2/2 v1 | v1+ v1+ ; 10 2/2/2 v2 suspended | v2+ v2+              wait: baking v2: every instance is healthy so far; goes on at 1970-01-01T00:00:11Z
        2   s 90 2/2/2 v1 | v1! v1! ; 10 2/2/2 v2 suspended | v2+ v2+              wait: baking v2: every instance is healthy so far; goes on at 1970-01-01T00:00:11Z
        3   s 90 2/2/2 v1 | v1+ v1+ ; 10 2/2/2 v2 suspended | v2+ v2+              wait: baking v2: every instance is healthy so far; goes on at 1970-01-01T00:00:11Z
        63  s 90 2/2/2 v1 | v1! v1! ; 10 2/2/2 v2 suspended | v2+ v2+              wait: errors and latency against stable: no instance of stable is healthy; there is nothing to compare with; gives up at 1970-01-01T00:10:10Z
        64  s 90 2/2/2 v1 | v1+ v1+ ; 10 2/2/2 v2 suspended | v2+ v2+              wait: errors and latency against stable: no requests to the new release yet; gives up at 1970-01-01T00:10:10Z
    "#]].assert_eq(&text);
}

#[test]
fn users_get_the_new_release_once_stable_is_lost_and_stable_once_it_is_back() {
    let gates = vec![Gate::Traffic(TrafficGate::default())];
    let text = follow(
        canary(gates, 2),
        &[
            (1, GONE),
            (60, GONE),
            (61, GONE),
            (62, NONE),
            (63, HALF),
            (64, TENTH),
        ],
    );
    expect![[r#"
        1   s 90 2/2/2 v1 | v1! v1! ; 10 2/2/2 v2 suspended | v2+ v2+              wait: baking v2: every instance is healthy so far; goes on at 1970-01-01T00:00:11Z
        60  s 90 2/2/2 v1 | v1! v1! ; 10 2/2/2 v2 suspended | v2+ v2+              wait: errors and latency against stable: no instance of stable is healthy; there is nothing to compare with; gives up at 1970-01-01T00:10:10Z
        61  s 90 2/2/2 v1 | v1! v1! ; 10 2/2/2 v2 suspended | v2+ v2+              apply: users: 100 % green
        62  s 0 2/2/2 v1 | v1! v1! ; 100 2/2/2 v2 suspended | v2+ v2+              wait: baking v2: every instance is healthy so far; goes on at 1970-01-01T00:01:12Z
        63  s 0 2/2/2 v1 | v1+ v1! ; 100 2/2/2 v2 suspended | v2+ v2+              apply: users: 90 % blue, 10 % green
        64  s 90 2/2/2 v1 | v1+ v1+ ; 10 2/2/2 v2 suspended | v2+ v2+              wait: baking v2: every instance is healthy so far; goes on at 1970-01-01T00:01:14Z
    "#]].assert_eq(&text);
}

#[test]
fn the_planned_share_is_moved_although_stable_is_ill() {
    let ill = "100 2/2/2 v1 | v1! v1! ; 0 2/2/2 v2 suspended | v2+ v2+";
    check(
        &canary(vec![], 1),
        &[(0, ill)],
        expect![[r#"
        0   s 100 2/2/2 v1 | v1! v1! ; 0 2/2/2 v2 suspended | v2+ v2+              apply: users: 90 % blue, 10 % green
    "#]],
    );
}

/// All users were given to the new release, and the record does not say so. A look from before would have
/// most of them sent back to a stable that answers nobody.
#[test]
fn a_request_that_is_not_in_the_record_is_looked_for_before_the_next_one() {
    let mut taken = late(&canary(vec![], 1), at(1));
    assert!(taken.take_over());
    let text: String = [(2, FILLED_GONE), (5, NONE), (6, FILLED_GONE)]
        .map(|(second, text)| {
            let look = Observation {
                stale_ms_max: 2000,
                ..both(text)
            };
            let decision = decide(&taken, &look, &[], at(second));
            format!("{second} s {text:<68} {}\n", say(&decision))
        })
        .concat();
    expect![[r#"
        2 s 100 2/2/2 v1 | v1! v1! ; 0 2/2/2 v2 suspended | v2+ v2+              wait: what the provider shows may be up to 2 s old; checking again
        5 s 0 2/2/2 v1 | v1! v1! ; 100 2/2/2 v2 suspended | v2+ v2+              wait: routers do not serve the new weights yet
        6 s 100 2/2/2 v1 | v1! v1! ; 0 2/2/2 v2 suspended | v2+ v2+              apply: users: 90 % blue, 10 % green
    "#]].assert_eq(&text);
}
