//! The plan as people see it before the click: steps, instances that go, capacity, time, way back.

use domain::{
    plan::{Strategy, two_slices::Stage},
    time::human_ms,
};

use super::{
    style::Style,
    wire::{AwsPreview, CapacityPoint, Deployment, Preview},
};

/// Columns of the capacity curve.
const CURVE_COLUMNS: usize = 40;
/// Columns before and after it, for what runs before and after.
const CURVE_MARGIN: usize = 6;
/// Most rows of the capacity curve.
const CURVE_ROWS: u32 = 4;
/// Most ids that are listed.
const IDS_MAX: usize = 24;

/// The heading: what goes where, and how.
#[must_use]
pub fn heading(deployment: &Deployment, style: Style) -> String {
    let numbers = numbers(&deployment.strategy);
    let kind = deployment
        .strategy
        .get("kind")
        .and_then(serde_json::Value::as_str);
    let how = match (kind, numbers.is_empty()) {
        (None, _) => String::new(),
        (Some(kind), true) => format!("by {kind}"),
        (Some(kind), false) => format!("by {kind}: {}", numbers.join(", ")),
    };
    format!("{}  {}", style.bold(&deployment.title()), style.dim(&how))
}

/// The numbers of a strategy, with those that nobody typed. One that is not known here has none.
fn numbers(strategy: &serde_json::Value) -> Vec<String> {
    let time = |seconds: u32| human_ms(u64::from(seconds) * 1000);
    let surge = |percent: u32| format!("surge {percent} %");
    let bake = |seconds| format!("bake {}", time(seconds));
    let deadline = |seconds| format!("health deadline {}", time(seconds));
    match serde_json::from_value(strategy.clone()) {
        Ok(Strategy::ScaleUp(options)) => vec![
            surge(options.surge_percent),
            bake(options.bake_seconds),
            deadline(options.health_deadline_seconds),
        ],
        Ok(Strategy::InstanceRefresh(options)) => vec![
            surge(options.surge_percent),
            bake(options.bake_seconds),
            deadline(options.health_deadline_seconds),
        ],
        Ok(Strategy::BlueGreen(options) | Strategy::Canary(options)) => {
            let stages: Vec<String> = options.stages().map(stage).collect();
            let mut numbers = vec![match &stages[..] {
                [_] => "all users at once".to_owned(),
                stages => stages.join(", then "),
            }];
            if let Some(shadow) = &options.shadow {
                let (percent, length) = (shadow.percent, time(shadow.seconds));
                numbers.insert(0, format!("copies of {percent} % for {length}"));
            }
            numbers.push(match options.keep_old {
                true => "the old slice stays".to_owned(),
                false => format!("warm {}", time(options.warm_seconds)),
            });
            numbers.push(deadline(options.health_deadline_seconds));
            numbers
        }
        Ok(Strategy::Switch) | Err(_) => Vec::new(),
    }
}

fn stage(stage: Stage) -> String {
    match stage.seconds {
        0 => format!("{} %", stage.percent),
        seconds => format!(
            "{} % for {}",
            stage.percent,
            human_ms(u64::from(seconds) * 1000)
        ),
    }
}

/// The page below the heading.
#[must_use]
pub fn page(preview: &Preview, style: Style) -> String {
    let mut lines = steps(preview, style);
    lines.push(String::new());
    lines.extend(curve(&preview.capacity, preview.expected_ms, style));
    lines.push(String::new());
    if !preview.retires.is_empty() {
        lines.push(format!(
            "  {}  {}",
            style.dim("goes  "),
            ids(&preview.retires)
        ));
    }
    lines.extend(preview.aws.iter().flat_map(|aws| whereabouts(aws, style)));
    lines.push(format!(
        "  {}  {} instances at the peak, {} instance-hours more than without, {} calls",
        style.dim("costs "),
        preview.peak_instances,
        hours(preview.extra_instance_ms),
        preview.calls
    ));
    lines.push(format!(
        "  {}  about {}",
        style.dim("takes "),
        human_ms(round(preview.expected_ms))
    ));
    lines.join("\n")
}

/// Where it takes place, what is started there, and what is different there.
fn whereabouts(aws: &AwsPreview, style: Style) -> Vec<String> {
    let region = aws.region.iter().map(|region| format!(" ({region})"));
    let groups = aws.groups.iter();
    let groups: Vec<String> = groups
        .map(|(slice, name)| format!("{slice} is {name}"))
        .collect();
    let content = match (&aws.digest, &aws.image) {
        (Some(digest), image) => {
            let short: String = digest.chars().take(12).collect();
            let image = image.as_deref().unwrap_or("the image of the group");
            format!("package {short} on {image}")
        }
        (None, Some(image)) => format!("image {image}"),
        (None, None) => "?".to_owned(),
    };
    let line = |word: &str, text: &str| format!("  {}  {text}", style.dim(&format!("{word:6}")));
    let account = format!("account {}{}", aws.account, region.collect::<String>());
    [
        line("where", &account),
        line("groups", &groups.join(", ")),
        line("runs", &content),
    ]
    .into_iter()
    .chain(aws.notes.iter().map(|note| line("note", note)))
    .collect()
}

fn steps(preview: &Preview, style: Style) -> Vec<String> {
    let widths = preview
        .steps
        .iter()
        .map(|step| step.sentence.chars().count());
    let width = widths.max().unwrap_or(0).max(4);
    let heading = format!("  #  {:width$}  {:>9}  {:>9}", "step", "takes", "way back");
    let mut lines = vec![style.dim(&heading)];
    for (index, step) in preview.steps.iter().enumerate() {
        let mark = match preview.point_of_no_return {
            Some(at) if at == index => {
                // From here on, the way back has to start instances again.
                style.yellow("  point of no return")
            }
            _ => String::new(),
        };
        lines.push(format!(
            " {:>2}  {:width$}  {:>9}  {:>9}{mark}",
            index + 1,
            step.sentence,
            human_ms(round(step.expected_ms)),
            human_ms(round(step.way_back_ms)),
        ));
        // Gates have long names, so they get a line of their own.
        if !step.gates.is_empty() {
            let names: Vec<&str> = step.gates.iter().map(|gate| gate.name.as_str()).collect();
            let names = names.join(", ");
            lines.push(format!("     {} {names}", style.dim("gates:")));
        }
        for forecast in &step.forecasts {
            let gate = step.gates.get(forecast.gate);
            let name = gate.map_or("the gate", |gate| gate.name.as_str());
            let line = format!("     {name} {}", forecast.sentence);
            lines.push(match forecast.in_time {
                true => style.dim(&line),
                false => style.yellow(&line),
            });
        }
    }
    lines
}

/// The capacity curve: one row per so many instances, one column per so much time, between what
/// runs before and what runs after.
fn curve(points: &[CapacityPoint], expected_ms: u64, style: Style) -> Vec<String> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Vec::new();
    };
    let end = last.at_ms.max(expected_ms).max(1);
    let peak = points.iter().map(|p| p.instances).max().unwrap_or(0).max(1);
    let mut columns = vec![first.instances; CURVE_MARGIN];
    columns.extend((0..CURVE_COLUMNS).map(|column| instances_at(points, column, end)));
    columns.extend([last.instances; CURVE_MARGIN]);
    let rows = CURVE_ROWS.min(peak);
    let mut lines = Vec::new();
    for row in (1..=rows).rev() {
        let (below, level) = (peak * (row - 1) / rows, peak * row / rows);
        let bar: String = columns.iter().map(|n| block(*n, below, level)).collect();
        let bar = style.cyan(bar.trim_end());
        lines.push(format!("  {level:>5} {}{bar}", style.dim("┤")));
    }
    let margin = "─".repeat(CURVE_MARGIN - 1);
    let axis = format!(
        "  {:>5} └{margin}┬{}┬{margin}",
        0,
        "─".repeat(CURVE_COLUMNS)
    );
    lines.push(style.dim(&axis));
    let times = format!(
        "{:>left$}{:>right$}",
        "0 s",
        human_ms(round(end)),
        left = 10 + CURVE_MARGIN,
        right = CURVE_COLUMNS + 2
    );
    lines.push(style.dim(&times));
    lines
}

/// How many instances run in the middle of `column`.
fn instances_at(points: &[CapacityPoint], column: usize, end_ms: u64) -> u32 {
    let now = end_ms * (2 * column as u64 + 1) / (2 * CURVE_COLUMNS as u64);
    points
        .iter()
        .rfind(|point| point.at_ms <= now)
        .map_or(0, |point| point.instances)
}

/// The part of a row between `below` and `level` that `instances` fill, in eighths.
fn block(instances: u32, below: u32, level: u32) -> char {
    const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let height = (level - below).max(1);
    let filled = instances.saturating_sub(below).min(height);
    EIGHTHS[(filled * 8 / height) as usize]
}

fn ids(ids: &[String]) -> String {
    let shown: Vec<&str> = ids.iter().take(IDS_MAX).map(String::as_str).collect();
    match ids.len().saturating_sub(IDS_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn hours(instance_ms: u64) -> String {
    let hours = instance_ms as f64 / 3_600_000.0;
    if hours < 0.1 {
        format!("{hours:.3}")
    } else {
        format!("{hours:.1}")
    }
}

/// An estimate, without digits that pretend to be known.
fn round(ms: u64) -> u64 {
    if ms < 10_000 {
        ms.div_ceil(100) * 100
    } else {
        ms.div_ceil(1000) * 1000
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::wire::{Gate, PreviewStep};

    #[test]
    fn the_heading_tells_the_numbers_also_those_that_nobody_typed() {
        let told = |strategy| {
            let deployment = Deployment {
                service: "shop".into(),
                environment: "live".into(),
                version: "1.1.0".into(),
                strategy,
                ..Deployment::default()
            };
            heading(&deployment, Style::PLAIN)
        };
        let json = |text: &str| serde_json::from_str(text).expect("JSON");
        for (strategy, text) in [
            (
                r#"{"kind": "scale-up", "bake_seconds": 5}"#,
                "by scale-up: surge 100 %, bake 5 s, health deadline 5 min",
            ),
            (
                r#"{"kind": "blue-green", "keep_old": true}"#,
                "by blue-green: all users at once, the old slice stays, health deadline 5 min",
            ),
            (
                r#"{"kind": "canary", "stages": [{"percent": 10, "seconds": 300}]}"#,
                "by canary: 10 % for 5 min, then 100 %, warm 10 min, health deadline 5 min",
            ),
            (r#"{"kind": "switch"}"#, "by switch"),
            (r#"{"kind": "newer"}"#, "by newer"),
        ] {
            assert_eq!(told(json(strategy)), format!("shop 1.1.0 in live  {text}"));
        }
    }

    #[test]
    fn a_plan_is_one_calm_page() {
        let step = |sentence: &str, expected_ms, way_back_ms| PreviewStep {
            sentence: sentence.to_owned(),
            gates: Vec::new(),
            forecasts: Vec::new(),
            expected_ms,
            way_back_ms,
        };
        let gate = |name: &str| Gate {
            name: name.to_owned(),
            ..Gate::default()
        };
        let point = |at_ms, instances| CapacityPoint { at_ms, instances };
        let preview = Preview {
            steps: vec![
                step("fill blue: 4 healthy of 1.1.0, beside 4 others", 2250, 2500),
                PreviewStep {
                    gates: vec![gate("approval"), gate("a long one")],
                    ..step("bake blue: 4 of 1.1.0 stay healthy for 5 s", 5000, 2500)
                },
                step("retire blue: none of 1.0.0 left, 4 stay", 2500, 4750),
            ],
            retires: ["a1", "a2", "a3", "a4"].map(str::to_owned).to_vec(),
            capacity: vec![point(0, 4), point(0, 8), point(9750, 4)],
            peak_instances: 8,
            extra_instance_ms: 39_000,
            calls: 8,
            expected_ms: 9750,
            point_of_no_return: Some(2),
            aws: None,
        };
        expect![[r#"
            plan:
              #  step                                                takes   way back
              1  fill blue: 4 healthy of 1.1.0, beside 4 others      2.3 s      2.5 s
              2  bake blue: 4 of 1.1.0 stay healthy for 5 s            5 s      2.5 s
                 gates: approval, a long one
              3  retire blue: none of 1.0.0 left, 4 stay             2.5 s      4.8 s  point of no return

                  8 ┤      ████████████████████████████████████████
                  6 ┤      ████████████████████████████████████████
                  4 ┤████████████████████████████████████████████████████
                  2 ┤████████████████████████████████████████████████████
                  0 └─────┬────────────────────────────────────────┬─────
                         0 s                                     9.8 s

              goes    a1, a2, a3, a4
              costs   8 instances at the peak, 0.011 instance-hours more than without, 8 calls
              takes   about 9.8 s"#]]
        .assert_eq(&format!("plan:\n{}", page(&preview, Style::PLAIN)));
    }

    #[test]
    fn a_plan_on_aws_says_where_and_what() {
        let mut aws = AwsPreview {
            account: "production-eu".into(),
            region: Some("eu-west-1".into()),
            groups: [("blue", "cart-live-blue"), ("green", "cart-live-green")]
                .map(|(slice, name)| (slice.to_owned(), name.to_owned()))
                .into(),
            digest: Some("0123456789abcdef".into()),
            image: Some("ami-0123456789abcdef0".into()),
            notes: vec!["the shares are of DNS answers, not of requests".into()],
        };
        expect![[r#"
            where:
              where   account production-eu (eu-west-1)
              groups  blue is cart-live-blue, green is cart-live-green
              runs    package 0123456789ab on ami-0123456789abcdef0
              note    the shares are of DNS answers, not of requests"#]]
        .assert_eq(&format!(
            "where:\n{}",
            whereabouts(&aws, Style::PLAIN).join("\n")
        ));
        let runs = |aws: &AwsPreview| whereabouts(aws, Style::PLAIN)[2].trim().to_owned();
        aws.image = None;
        assert_eq!(
            runs(&aws),
            "runs    package 0123456789ab on the image of the group"
        );
        (aws.digest, aws.image) = (None, Some("ami-01234567".into()));
        assert_eq!(runs(&aws), "runs    image ami-01234567");
    }
}
