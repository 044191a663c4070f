//! What is drawn comes from fields, and no text is ever read: whatever a sentence says, it is drawn as
//! it is, and nothing else changes.

use std::time::Duration;

use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    deploy,
    follow::Update,
    live::Snapshot,
    looks, plan_page, problem,
    screen::Screen,
    status,
    style::Style,
    watch::{self, Verdicts},
    wire::{Deployment, Event, Preview, Status},
};

/// Sentences in the answers below.
const SENTENCES: usize = 13;
/// Characters of each sentence, so that columns stay as wide as they are.
const LEN: usize = 48;

/// What other versions of this program looked for in texts, and what would look like something else.
const TRAPS: [&str; 14] = [
    "; gates: ",
    "; ",
    ": ",
    "1.1.0-7a334c26",
    "1.1.0",
    "2026-11-22T23:04:08Z",
    " at ",
    " until ",
    "; gives up at 2026-11-22T23:04:08Z",
    "errors and latency: ",
    "paused by ada",
    "1. ",
    "null",
    "`pointsman approve`",
];

/// Texts of one length, made of traps and of anything else that is one column wide.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(&TRAPS[..]).prop_map(str::to_owned),
        "[a-z0-9 ;:,.%()-]{1,9}",
    ];
    proptest::collection::vec(piece, 6..12).prop_map(|pieces| {
        let text = format!("{:x<LEN$}", pieces.concat());
        text.chars().take(LEN).collect()
    })
}

fn read<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).expect("the shape of an answer")
}

/// Answers of the API about one deployment, with these sentences.
struct Answers {
    deployment: Value,
    preview: Value,
    events: [Value; 2],
    looks: Value,
    refusal: Value,
    trouble: String,
}

fn answers(sentences: &[String; SENTENCES]) -> Answers {
    let text = |n: usize| &sentences[n];
    let deployment = json!({
        "id": "d1", "service": "shop", "environment": "staging", "version": "1.1.0",
        "stable_version": "1.0.0", "status": "running", "step": 1,
        "roles": {"live": "blue", "next": "green"},
        "strategy": {"kind": "canary", "stages": [{"percent": 10, "seconds": 5}]},
        "steps": [
            {"sentence": text(0), "state": "reached", "gates": []},
            {"sentence": text(1), "state": "current", "gates": [
                {"gate": "traffic", "name": "errors and latency", "verdict": "open", "sentence": text(2)},
                {"gate": "http", "name": "check at http://x", "verdict": "met", "sentence": text(3)},
            ]},
        ],
        "waiting": {"reason": "healthy", "sentence": text(4), "until": "2001-01-01T00:00:00Z",
                    "then": "gives_up", "who_can_act": "engine"},
        "failure": {"reason": "unhealthy", "sentence": text(5), "who_can_act": "owner"},
    });
    let preview = json!({
        "steps": [
            {"sentence": text(6), "gates": [], "expected_ms": 2000, "way_back_ms": 1000},
            {"sentence": text(7), "gates": [{"name": "approval"}], "expected_ms": 5000, "way_back_ms": 1000},
        ],
        "capacity": [{"at_ms": 0, "instances": 2}, {"at_ms": 2000, "instances": 4}],
        "expected_ms": 7000, "peak_instances": 4, "point_of_no_return": 1,
    });
    Answers {
        deployment,
        preview,
        events: [
            json!({"event": "step_started", "step": 1, "sentence": text(8)}),
            json!({"event": "waiting", "sentence": "drawn from the wait itself",
                   "waiting": {"reason": "weights", "sentence": text(9)}}),
        ],
        looks: json!([{"step": 1, "percent": 10, "gate": 0, "name": "errors and latency",
                       "verdict": "open", "sentence": text(10)}]),
        refusal: json!({"code": "refused", "detail": "no", "objections": [
            {"reason": "environment_locked", "sentence": text(11), "remedy": "ask alice"},
        ]}),
        trouble: text(12).clone(),
    }
}

/// Everything that is drawn of one deployment, with these sentences.
fn drawn(sentences: &[String; SENTENCES]) -> String {
    let answers = answers(sentences);
    let (plain, screen) = (Style::PLAIN, Screen::plain());
    let deployment: Deployment = read(&answers.deployment);
    let status: Status = read(&json!({
        "service": "shop", "environment": "staging", "deployment": answers.deployment,
        "live": {"version": "1.0.0", "since": "2001-01-01T00:00:00Z"},
        "trouble": {"reason": "provider_unavailable", "sentence": answers.trouble},
        "observation": {"weights": {"blue": 90, "green": 10}, "instances": [
            {"id": "a1", "version": "1.0.0", "state": "healthy"},
            {"id": "b1", "version": "1.1.0", "state": "pending"},
        ]},
    }));
    let refused = reqwest::StatusCode::CONFLICT;
    let refusal = answers.refusal.to_string();
    let mut verdicts = Verdicts::default();
    let mut parts = vec![
        plan_page::heading(&deployment, plain),
        plan_page::page(&read::<Preview>(&answers.preview), plain),
        status::page(&status, plain),
        deploy::outcome(&deployment, 1000, plain),
        looks::page(&read::<Vec<looks::Look>>(&answers.looks)),
        problem::failure(refused, refusal.as_bytes(), "http://here").text(plain),
    ];
    parts.extend(answers.events.map(|event| {
        let update = Update::Event(read::<Event>(&event));
        watch::told(&update, &screen, &mut verdicts).expect("a line")
    }));
    let snapshot = Snapshot { deployment, status };
    parts.extend(snapshot.lines(Duration::from_secs(3), plain));
    parts.join("\n")
}

/// Sentences that are found nowhere else.
fn marks() -> [String; SENTENCES] {
    std::array::from_fn(|n| format!("{:-<LEN$}", format!("<{n}>")))
}

#[test]
fn every_sentence_is_drawn() {
    let page = drawn(&marks());
    for mark in marks() {
        // The steps of the deployment are drawn as events when they begin; its plan, by the preview.
        let of_a_step = mark.starts_with("<0>") || mark.starts_with("<1>");
        assert_eq!(page.contains(&mark), !of_a_step, "{mark}\n{page}");
    }
}

proptest! {
    #[test]
    fn a_changed_sentence_changes_itself_and_nothing_else(
        sentences in proptest::array::uniform13(text()),
    ) {
        let marks = marks();
        let expected = marks
            .iter()
            .zip(&sentences)
            .fold(drawn(&marks), |page, (mark, sentence)| page.replace(mark, sentence));
        prop_assert_eq!(drawn(&sentences), expected);
    }
}
