use clap::{CommandFactory, Parser};
use domain::plan::{
    instance_refresh::InstanceRefresh,
    scale_up::ScaleUp,
    two_slices::{Shadow, TwoSlices},
};
use serde_json::json;

use super::*;
use crate::style::Style;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: StrategyArgs,
}

/// What is sent for this line, or why it is refused.
fn sent(line: &str) -> Result<Option<Value>, String> {
    let words = ["pointsman"].into_iter().chain(line.split_whitespace());
    let Line { args } = Line::try_parse_from(words).map_err(|error| error.to_string())?;
    args.check().map_err(|failure| failure.text(Style::PLAIN))?;
    let usual = vec![json!({"gate": "http", "url": "http://x"})];
    args.body(usual)
        .map_err(|failure| failure.text(Style::PLAIN))
}

#[test]
fn what_is_typed_is_what_is_sent() {
    for (line, body) in [
        ("", Value::Null),
        ("--strategy scale-up", json!({"kind": "scale-up"})),
        (
            "--surge 50% --bake 5s",
            json!({"kind": "scale-up", "surge_percent": 50, "bake_seconds": 5}),
        ),
        (
            "--strategy instance-refresh",
            json!({"kind": "instance-refresh"}),
        ),
        (
            "--strategy instance-refresh --surge 50% --checkpoints 20,50,100 \
             --checkpoint-delay 10m --alarm errors --alarm latency",
            json!({"kind": "instance-refresh", "surge_percent": 50,
                "checkpoints": [20, 50], "checkpoint_delay_seconds": 600,
                "alarms": ["errors", "latency"]}),
        ),
        (
            "--strategy blue-green --all-at-once",
            json!({"kind": "blue-green"}),
        ),
        (
            "--strategy blue-green --bake 1m --warm 0",
            json!({"kind": "blue-green", "stages": [{"percent": 100, "seconds": 60}],
                   "warm_seconds": 0}),
        ),
        (
            "--strategy blue-green --weights 5,50:1m,100 --bake 10s --keep-old",
            json!({"kind": "blue-green", "keep_old": true, "stages": [
                {"percent": 5, "seconds": 10}, {"percent": 50, "seconds": 60},
                {"percent": 100, "seconds": 0}]}),
        ),
        (
            "--strategy canary --steps Canary10Percent5Minutes --no-gates",
            json!({"kind": "canary", "gates": [], "stages": [
                {"percent": 10, "seconds": 300}, {"percent": 100, "seconds": 0}]}),
        ),
        (
            "--strategy canary",
            json!({"kind": "canary", "stages": [
                {"percent": 1, "seconds": 120}, {"percent": 10, "seconds": 300},
                {"percent": 50, "seconds": 600}]}),
        ),
        (
            "--strategy canary --bake 30s --health-deadline 1m",
            json!({"kind": "canary", "health_deadline_seconds": 60, "stages": [
                {"percent": 1, "seconds": 30}, {"percent": 10, "seconds": 30},
                {"percent": 50, "seconds": 30}]}),
        ),
        (
            "--strategy blue-green --shadow 5%:2m --shadow-compare",
            json!({"kind": "blue-green",
                   "shadow": {"percent": 5, "seconds": 120, "compare": {}}}),
        ),
    ] {
        let body = (!body.is_null()).then_some(body);
        assert_eq!(sent(line), Ok(body), "{line}");
    }
}

#[test]
fn gates_are_added_to_those_of_the_group() {
    let body = sent(
        "--strategy canary --steps 10,50 --approve-at 10,50% --gate-traffic --gate-tcp cart:6379",
    );
    let gates = body.expect("it makes sense").expect("there is a strategy")["gates"].clone();
    let kind = |gate: &Value| gate["gate"].as_str().map(str::to_owned);
    let kinds: Vec<_> = gates
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(kind)
        .collect();
    assert_eq!(kinds, ["http", "traffic", "tcp", "approval"]);
    assert_eq!(gates[2]["address"], "cart:6379");
    assert_eq!(gates[3]["at"], json!([10, 50]));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("gates.yaml");
    fs::write(&file, "- {gate: approval, at: [0]}\n").expect("written");
    let line = format!(
        "--strategy blue-green --gates {} --weights 10 --gate-traffic",
        file.display()
    );
    let gates = sent(&line).expect("it makes sense").expect("a strategy")["gates"].clone();
    assert_eq!(
        (
            &gates[0]["gate"],
            &gates[1]["gate"],
            gates.as_array().map(Vec::len)
        ),
        (&json!("approval"), &json!("traffic"), Some(2)),
        "the file replaces the group's"
    );
    fs::write(&file, "- {gate: luck}\n").expect("written");
    let text = sent(&line).expect_err("there is no such gate");
    assert!(text.contains("does not contain a list of gates"), "{text}");
}

#[test]
fn counters_are_compared_by_one_flag() {
    let typed = "main: sum(bad{v='$version'}) of sum(all{v='$version'})";
    let words = ["pointsman", "--strategy", "canary", "--gate-compare", typed];
    let Line { args } = Line::try_parse_from(words).expect("it is an option");
    let body = args.body(Vec::new()).expect("it makes sense");
    let gates = body.expect("there is a strategy")["gates"].clone();
    assert_eq!(
        gates[0],
        json!({"gate": "compare", "prometheus": "main", "bad": "sum(bad{v='$version'})",
            "all": "sum(all{v='$version'})", "mode": "enforce", "margin_points": 0.2,
            "margin_percent_of_stable": 50, "warm_up_seconds": 30, "interval_seconds": 5,
            "deadline": 600, "on_deadline": "ask"})
    );
}

#[test]
fn what_does_not_belong_together_is_refused_with_a_sentence() {
    for (line, sentence) in [
        (
            "--weights 5,100",
            "--weights does not apply to scale-up; it is an option of blue-green",
        ),
        ("--warm 1m", "without --strategy, the strategy is scale-up"),
        ("--strategy canary --surge 50%", "is an option of scale-up"),
        (
            "--strategy instance-refresh --warm 1m",
            "is an option of blue-green or canary",
        ),
        ("--checkpoints 50", "add --strategy instance-refresh"),
        (
            "--strategy scale-up --alarm errors",
            "it is an option of instance-refresh",
        ),
        (
            "--strategy instance-refresh --checkpoint-delay 1m",
            "add --checkpoints 50",
        ),
        (
            "--strategy canary --weights 5",
            "is an option of blue-green",
        ),
        ("--strategy blue-green --steps 5", "is an option of canary"),
        (
            "--strategy canary --all-at-once",
            "is an option of blue-green",
        ),
        (
            "--strategy scale-up --gate-traffic",
            "is an option of blue-green or canary",
        ),
        (
            "--strategy blue-green --all-at-once --weights 5",
            "cannot be used together",
        ),
        (
            "--strategy blue-green --keep-old --warm 1m",
            "cannot be used together",
        ),
        (
            "--strategy canary --no-gates --approve-at 10",
            "--no-gates and --approve-at",
        ),
        ("--strategy canary --shadow-compare", "add --shadow 5%"),
        (
            "--strategy canary --steps 5,20 --approve-at 10",
            "one of 0, 5, 20, or 100",
        ),
        ("--strategy canary --steps 20,5", "such as 1%:2m"),
        ("--strategy canary --shadow 0%", "write a percentage"),
        (
            "--strategy canary --approve-at 101",
            "shares of users from 0 to 100",
        ),
        (
            "--strategy sideways",
            "possible values: scale-up, instance-refresh, blue-green, canary",
        ),
    ] {
        let text = sent(line).expect_err(line);
        assert!(text.contains(sentence), "{line}: {text}");
    }
}

/// A time as people type it.
fn time(seconds: u32) -> String {
    match seconds {
        hours if hours % 3600 == 0 => format!("{}h", hours / 3600),
        minutes if minutes % 60 == 0 => format!("{}m", minutes / 60),
        seconds => format!("{seconds}s"),
    }
}

#[test]
fn help_names_the_defaults_that_the_server_has() {
    let (scale_up, two_slices) = (ScaleUp::default(), TwoSlices::default());
    let deadline = scale_up.health_deadline_seconds;
    assert_eq!(deadline, two_slices.health_deadline_seconds);
    let shadow: Shadow = serde_json::from_value(json!({"percent": 5})).unwrap();
    let delay = InstanceRefresh::default().checkpoint_delay_seconds;
    let help = Line::command()
        .term_width(1000)
        .render_long_help()
        .to_string();
    for (option, default) in [
        ("--surge", format!("default: {}%", scale_up.surge_percent)),
        (
            "--bake",
            format!("default: {}", time(scale_up.bake_seconds)),
        ),
        ("--health-deadline", format!("default: {}", time(deadline))),
        (
            "--warm",
            format!("default: {}", time(two_slices.warm_seconds)),
        ),
        (
            "--shadow",
            format!("default time: {}", time(shadow.seconds)),
        ),
        ("--checkpoint-delay", format!("default: {}", time(delay))),
    ] {
        let (_, about) = help.split_once(&format!(" {option} ")).unwrap();
        let about = about
            .split_once("\n      --")
            .map_or(about, |(about, _)| about);
        assert!(about.contains(&format!("[{default}]")), "{option}: {about}");
    }
}
