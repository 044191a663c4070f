//! Every reason as it is stored, with its code, who can act, what follows, and its sentence.

use expect_test::expect;

use super::{Failure, Waiting};
use crate::{
    release::{Content, Digest, Launch, LaunchId},
    versions::Versions,
};

const WAITS: [&str; 18] = [
    r#"{"reason":"healthy","launch":"2.0-ab","healthy":1,"wanted":2,"pending":1,"deadline":60000}"#,
    r#"{"reason":"healthy","launch":"2.0-ab","healthy":1,"wanted":2,"pending":1,"deadline":60000,"trouble":"no quota"}"#,
    r#"{"reason":"recovering","launch":"2.0-ab","healthy":1,"wanted":2}"#,
    r#"{"reason":"baking","launch":"2.0-ab","until":60000}"#,
    r#"{"reason":"warm","launch":"2.0-ab","slice":"blue","until":60000}"#,
    r#"{"reason":"gate","gate":"up of main","text":"0 is below 1","deadline":60000}"#,
    r#"{"reason":"approval","by_another":true,"deadline":60000}"#,
    r#"{"reason":"weights"}"#,
    r#"{"reason":"refreshing","text":"InProgress","percent":50,"deadline":60000}"#,
    r#"{"reason":"foreign_refresh","id":"r1"}"#,
    r#"{"reason":"draining","launch":"1.0-cd","left":2}"#,
    r#"{"reason":"confirming","stale_ms_max":1000}"#,
    r#"{"reason":"accepted","effect":"users: 100 % blue"}"#,
    r#"{"reason":"settling","present":3,"wanted":2}"#,
    r#"{"reason":"paused","by":"ada"}"#,
    r#"{"reason":"provider","message":"nobody answers"}"#,
    r#"{"reason":"database","why":"disk full"}"#,
    r#"{"reason":"unattended","since":60000}"#,
];

const FAILURES: [&str; 16] = [
    r#"{"failure":"unhealthy","launch":"2.0-ab","healthy":0,"wanted":2,"within_ms":60000}"#,
    r#"{"failure":"unhealthy","launch":"2.0-ab","healthy":0,"wanted":2,"within_ms":60000,"trouble":"no quota"}"#,
    r#"{"failure":"not_stable","launch":"2.0-ab","healthy":0,"wanted":2}"#,
    r#"{"failure":"no_room","current":3}"#,
    r#"{"failure":"gate","gate":"up of main","text":"0 is below 1"}"#,
    r#"{"failure":"gate_open","gate":"up of main","text":"no value","within_ms":60000}"#,
    r#"{"failure":"rejected","by":"ada","reason":"not today"}"#,
    r#"{"failure":"refresh_ended","text":"Cancelled"}"#,
    r#"{"failure":"refresh_late","text":"InProgress","within_ms":60000}"#,
    r#"{"failure":"not_shifted","within_ms":60000}"#,
    r#"{"failure":"not_retired","launch":"1.0-cd","left":1,"within_ms":60000}"#,
    r#"{"failure":"refused","message":"no such group"}"#,
    r#"{"failure":"budget_spent","effects":200}"#,
    r#"{"failure":"aborted","by":"ada","reason":"wrong one"}"#,
    r#"{"failure":"rolled_back_by_person","by":"ada","reason":"errors"}"#,
    r#"{"failure":"stable_lost","first":"one","then":"two"}"#,
];

/// Launch `2.0-ab` is of version 2.0; nobody knows the version of `1.0-cd`.
fn versions() -> Versions {
    Versions::of([&Launch {
        id: LaunchId("2.0-ab".to_owned()),
        version: "2.0".parse().unwrap(),
        content: Content::package(Digest::from_bytes([0; 32])),
    }])
}

/// The code that `text` is stored with.
fn stored(text: &str, tag: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    value[tag].as_str().unwrap().to_owned()
}

#[test]
fn every_wait_is_data() {
    let row = |text: &str| {
        let wait: Waiting = serde_json::from_str(text).unwrap();
        assert_eq!(wait.as_str(), stored(text, "reason"));
        let until = wait.until();
        let until = until.map(|(at, then)| format!("{} at {at}", then.as_str()));
        format!(
            "{} | {} | {} | {}\n",
            wait.as_str(),
            wait.who_can_act(),
            until.unwrap_or_else(|| "-".to_owned()),
            wait.sentence(&versions())
        )
    };
    expect![[r#"
        healthy | engine | gives_up at 1970-01-01T00:01:00Z | 1 of 2 instances of 2.0 are healthy, 1 are starting
        healthy | provider_administrator | gives_up at 1970-01-01T00:01:00Z | 1 of 2 instances of 2.0 are healthy, 1 are starting; the provider says: no quota
        recovering | engine | - | 1 of 2 instances of 2.0 are healthy; waiting for the rest
        baking | time | goes_on at 1970-01-01T00:01:00Z | baking 2.0: every instance is healthy so far
        warm | time | goes_on at 1970-01-01T00:01:00Z | all users are on 2.0; blue stays ready for a rollback
        gate | engine | gives_up at 1970-01-01T00:01:00Z | up of main: 0 is below 1
        approval | approver | gives_up at 1970-01-01T00:01:00Z | somebody other than the requester must approve the deployment
        weights | engine | - | routers do not serve the new weights yet
        refreshing | engine | gives_up at 1970-01-01T00:01:00Z | AWS instance refresh: InProgress, 50 % replaced
        foreign_refresh | provider_administrator | - | instance refresh r1, started by somebody else, is replacing the instances; waiting for it to end
        draining | engine | - | 2 instances of 1.0-cd are finishing their last requests
        confirming | time | - | what the provider shows may be up to 1 s old; checking again
        accepted | engine | - | the provider accepted a request (users: 100 % blue) and does not show its effect yet
        settling | engine | - | the group is returning to its size: 3 instances are there, 2 stay
        paused | operator | - | paused by ada
        provider | provider_administrator | - | the provider failed: nobody answers; trying again
        database | operator | - | the database cannot be written: disk full; trying again
        unattended | operator | - | no server has looked at the deployment since 1970-01-01T00:01:00Z; it continues once a server runs that reaches its cloud
    "#]].assert_eq(&WAITS.map(row).concat());
}

#[test]
fn every_failure_is_data() {
    let row = |text: &str| {
        let failure: Failure = serde_json::from_str(text).unwrap();
        assert_eq!(failure.as_str(), stored(text, "failure"));
        format!(
            "{} | {} | {}\n",
            failure.as_str(),
            failure.who_can_act(),
            failure.sentence(&versions())
        )
    };
    expect![[r#"
        unhealthy | owner | only 0 of 2 instances of 2.0 became healthy within 1 min
        unhealthy | provider_administrator | only 0 of 2 instances of 2.0 became healthy within 1 min; the provider says: no quota
        not_stable | owner | 2.0 did not stay healthy under watch: 0 of 2 instances were healthy
        no_room | owner | the group keeps 3 instances now, and its size limit leaves no room to start one new instance
        gate | owner | up of main: 0 is below 1
        gate_open | operator | up of main stayed open for 1 min, and missing evidence never counts as success: no value
        rejected | operator | rejected by ada: not today
        refresh_ended | provider_administrator | the instance refresh did not succeed: Cancelled
        refresh_late | provider_administrator | AWS did not finish its instance refresh within 1 min: InProgress
        not_shifted | provider_administrator | routers did not serve the new weights within 1 min
        not_retired | provider_administrator | 1 instances of 1.0-cd were still there after 1 min
        refused | provider_administrator | the provider refused: no such group
        budget_spent | provider_administrator | 200 requests to the provider did not complete the deployment; somebody else may be changing the same group
        aborted | operator | aborted by ada: wrong one
        rolled_back_by_person | operator | rolled back by ada: errors
        stable_lost | provider_administrator | one; on the way back, two: the healthiest instances were kept
    "#]].assert_eq(&FAILURES.map(row).concat());
}
