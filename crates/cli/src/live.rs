//! The few lines that show a running deployment at a glance.

use std::{collections::BTreeMap, time::Duration};

use domain::time::human_ms;
use jiff::Timestamp;

use super::{
    style::Style,
    waits,
    wire::{Deployment, Gate, Instance, Status},
};

/// Most instances that are drawn as dots, per version.
const DOTS_MAX: usize = 40;
/// Columns of the bar that shows how users are split.
const SPLIT_COLUMNS: usize = 20;

/// What is known of a running deployment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The deployment, as last seen.
    pub deployment: Deployment,
    /// What runs, as last seen.
    pub status: Status,
}

impl Snapshot {
    /// The lines: instances by version, the step, and what it waits for.
    #[must_use]
    pub fn lines(&self, elapsed: Duration, style: Style) -> Vec<String> {
        let mut lines = self.versions(style);
        lines.extend(self.split(style));
        lines.push(self.step(elapsed, style));
        let gates = self.deployment.gates();
        let gate_lines = gates.iter().map(|gate| gate_text(gate, style));
        lines.extend(gate_lines.map(|text| format!("  {} {text}", style.dim("gate  "))));
        let waiting = self.deployment.waiting.as_ref();
        if let Some(waiting) = waiting.filter(|_| !self.deployment.is_finished()) {
            let waiting = waits::line_below(gates, waiting, Timestamp::now());
            lines.push(format!("  {} {waiting}", style.dim("waits ")));
        }
        lines
    }

    fn instances(&self) -> &[Instance] {
        let seen = self.status.observation.as_ref();
        seen.map_or(&[], |seen| seen.instances.as_slice())
    }

    /// One line per version: the old one first.
    fn versions(&self, style: Style) -> Vec<String> {
        let mut by_version: BTreeMap<(bool, &str), Vec<&Instance>> = BTreeMap::new();
        for instance in self.instances() {
            let is_new = instance.version == self.deployment.version;
            let version = instance.version.as_str();
            by_version
                .entry((is_new, version))
                .or_default()
                .push(instance);
        }
        let width = by_version
            .keys()
            .map(|(_, version)| version.len())
            .max()
            .unwrap_or(0);
        by_version
            .into_iter()
            .map(|((_, version), instances)| {
                format!("  {version:width$}  {}", of_version(instances, style))
            })
            .collect()
    }

    /// How users are split, where new and stable have a slice each.
    fn split(&self, style: Style) -> Option<String> {
        let Deployment { roles, .. } = &self.deployment;
        let weights = &self.status.observation.as_ref()?.weights;
        if roles.live == roles.next || weights.is_empty() {
            return None;
        }
        let share = |slice| weights.get(slice).copied().unwrap_or(0);
        let (new, old) = (share(&roles.next), share(&roles.live));
        let columns = usize::from(new) * SPLIT_COLUMNS / 100;
        // A share that is there is seen, however small it is.
        let columns = if new > 0 { columns.max(1) } else { 0 };
        let bar = format!(
            "{}{}",
            style.green(&"█".repeat(columns)),
            style.dim(&"░".repeat(SPLIT_COLUMNS - columns))
        );
        let version = &self.deployment.version;
        let stable = self
            .deployment
            .stable_version
            .as_deref()
            .unwrap_or("nothing");
        Some(format!(
            "  {} {bar}  {new} % {version} ({}), {old} % {stable} ({})",
            style.dim("split "),
            roles.next,
            roles.live
        ))
    }

    /// Which step, and since when all this goes on. What the step is, was told when it began.
    fn step(&self, elapsed: Duration, style: Style) -> String {
        let Deployment { steps, step, .. } = &self.deployment;
        let what = match steps.len() {
            all if *step < all => format!("{} of {all}", step + 1),
            _ => "the last: restore the baseline".to_owned(),
        };
        let how = match self.deployment.status.as_str() {
            "rolling_back" => style.yellow(" on the way back"),
            "paused" => style.yellow(", paused"),
            _ => String::new(),
        };
        let elapsed = human_ms(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX) / 100 * 100);
        let elapsed = style.dim(&format!("  after {elapsed}"));
        format!("  {} {what}{how}{elapsed}", style.dim("step  "))
    }
}

/// Where a gate stands: its sign, its name, its last look.
#[must_use]
pub fn gate_text(gate: &Gate, style: Style) -> String {
    let sign = verdict_sign(gate.verdict.as_deref().unwrap_or("open"), style);
    match &gate.sentence {
        Some(sentence) => format!("{sign} {}: {sentence}", gate.name),
        None => format!("{sign} {}", gate.name),
    }
}

/// The sign of a verdict.
#[must_use]
pub fn verdict_sign(verdict: &str, style: Style) -> String {
    match verdict {
        "met" => style.green("✔"),
        "failed" => style.red("✘"),
        _ => style.yellow("○"),
    }
}

/// Dots and counts by state.
fn of_version(mut instances: Vec<&Instance>, style: Style) -> String {
    const STATES: [(&str, &str, &str); 5] = [
        ("healthy", "●", "healthy"),
        ("pending", "○", "starting"),
        ("unhealthy", "✕", "unhealthy"),
        ("draining", "◌", "finishing their last requests"),
        ("terminating", "◌", "stopping"),
    ];
    instances.sort_by(|a, b| a.id.cmp(&b.id));
    let (mut dots, mut counts) = (String::new(), Vec::new());
    for (state, dot, word) in STATES {
        let count = instances
            .iter()
            .filter(|instance| instance.state == state)
            .count();
        if count == 0 {
            continue;
        }
        let run = dot.repeat(count.min(DOTS_MAX));
        dots.push_str(&match state {
            "healthy" => style.green(&run),
            "unhealthy" => style.red(&run),
            "pending" => style.yellow(&run),
            _ => style.dim(&run),
        });
        counts.push(format!("{count} {word}"));
    }
    let pad = " ".repeat(8_usize.saturating_sub(instances.len()));
    format!("{dots}{pad}  {}", style.dim(&counts.join(", ")))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::wire::{Observation, Roles, Step, Waiting};

    #[test]
    fn a_running_deployment_is_four_lines() {
        let instance = |id: &str, version: &str, state: &str| Instance {
            id: id.to_owned(),
            version: version.to_owned(),
            state: state.to_owned(),
            ..Instance::default()
        };
        let mut instances: Vec<_> = (0..4)
            .map(|n| instance(&format!("a{n}"), "1.9.0", "healthy"))
            .collect();
        instances.push(instance("b1", "1.10.0", "healthy"));
        instances.extend((2..5).map(|n| instance(&format!("b{n}"), "1.10.0", "pending")));
        let snapshot = Snapshot {
            deployment: Deployment {
                version: "1.10.0".into(),
                status: "running".into(),
                steps: vec![Step::default(), Step::default()],
                waiting: Some(Waiting {
                    sentence: "1 of 4 instances of 1.10.0 are healthy".into(),
                    ..Waiting::default()
                }),
                ..Deployment::default()
            },
            status: Status {
                observation: Some(Observation {
                    instances,
                    ..Observation::default()
                }),
                ..Status::default()
            },
        };
        // The first line keeps the indentation of the others from being taken for the source's.
        let lines = snapshot.lines(Duration::from_millis(1234), Style::PLAIN);
        expect![[r#"
            picture:
              1.9.0   ●●●●      4 healthy
              1.10.0  ●○○○      1 healthy, 3 starting
              step   1 of 2  after 1.2 s
              waits  1 of 4 instances of 1.10.0 are healthy"#]]
        .assert_eq(&format!("picture:\n{}", lines.join("\n")));
    }

    #[test]
    fn a_canary_shows_the_split_and_its_gates() {
        let gate = |name: &str, verdict: &str, sentence: &str| Gate {
            name: name.to_owned(),
            verdict: Some(verdict.to_owned()),
            sentence: Some(sentence.to_owned()),
        };
        let gates = vec![
            gate("errors and latency", "open", "12 more requests are needed"),
            gate("up of metrics", "met", "1 is at least 1"),
            gate("check at http://x", "open", "nothing was measured yet"),
        ];
        let snapshot = Snapshot {
            deployment: Deployment {
                version: "1.10.0".into(),
                stable_version: Some("1.9.0".into()),
                roles: Roles {
                    live: "blue".into(),
                    next: "green".into(),
                },
                status: "running".into(),
                steps: vec![
                    Step::default(),
                    Step {
                        gates,
                        ..Step::default()
                    },
                ],
                step: 1,
                waiting: Some(Waiting {
                    reason: "gate".into(),
                    sentence: "errors and latency: 12 more requests are needed".into(),
                    gate: Some("errors and latency".into()),
                    until: Some("2001-01-01T00:00:00Z".into()),
                    then: Some("gives_up".into()),
                }),
                ..Deployment::default()
            },
            status: Status {
                observation: Some(Observation {
                    weights: [("blue".to_owned(), 99), ("green".to_owned(), 1)].into(),
                    ..Observation::default()
                }),
                ..Status::default()
            },
        };
        let lines = snapshot.lines(Duration::from_millis(1234), Style::PLAIN);
        expect![[r#"
            picture:
              split  █░░░░░░░░░░░░░░░░░░░  1 % 1.10.0 (green), 99 % 1.9.0 (blue)
              step   2 of 2  after 1.2 s
              gate   ○ errors and latency: 12 more requests are needed
              gate   ✔ up of metrics: 1 is at least 1
              gate   ○ check at http://x: nothing was measured yet
              waits  errors and latency; gives up now"#]]
        .assert_eq(&format!("picture:\n{}", lines.join("\n")));
    }
}
