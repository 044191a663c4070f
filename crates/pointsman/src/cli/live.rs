//! The few lines that show a running deployment at a glance.

use std::{collections::BTreeMap, time::Duration};

use domain::time::human_ms;

use super::{
    style::Style,
    wire::{Deployment, Instance, Status},
};

/// Most instances that are drawn as dots, per version.
const DOTS_MAX: usize = 40;

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
        lines.push(self.step(elapsed, style));
        let waiting = self.deployment.waiting.as_deref().map(|w| self.plain(w));
        if let Some(waiting) = waiting.filter(|_| !self.deployment.is_finished()) {
            lines.push(format!("  {} {waiting}", style.dim("waits ")));
        }
        lines
    }

    /// A text with versions in place of launch ids, and lengths in place of points in time.
    #[must_use]
    pub fn plain(&self, text: &str) -> String {
        let mut names: BTreeMap<&str, &str> = self
            .instances()
            .iter()
            .map(|instance| (instance.launch.as_str(), instance.version.as_str()))
            .collect();
        names.insert(&self.deployment.launch, &self.deployment.version);
        names.remove("");
        let text = names.iter().fold(text.to_owned(), |text, (id, version)| {
            text.replace(id, version)
        });
        from_now(&text, jiff::Timestamp::now())
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

    /// Which step, and since when all this goes on. What the step is, was told when it began.
    fn step(&self, elapsed: Duration, style: Style) -> String {
        let Deployment { plan, step, .. } = &self.deployment;
        let what = match plan.len() {
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

/// The text with points in time as seen from `now`: `gives up at 23:04` as `gives up in 8 s`.
fn from_now(text: &str, now: jiff::Timestamp) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let bare = word.trim_end_matches([';', ',', '.']);
        let Ok(time) = bare.parse::<jiff::Timestamp>() else {
            words.push(word.to_owned());
            continue;
        };
        let seconds = time.as_second() - now.as_second();
        let length = human_ms(seconds.unsigned_abs() * 1000);
        let before = words.pop_if(|before| matches!(before.as_str(), "at" | "until"));
        let seen = match (before.as_deref(), seconds) {
            (Some("until"), 0..) => format!("for {length} more"),
            (_, 0..) => format!("in {length}"),
            _ => format!("{length} ago"),
        };
        words.push(format!("{seen}{}", &word[bare.len()..]));
    }
    words.join(" ")
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
    use crate::cli::wire::Observation;

    #[test]
    fn points_in_time_are_told_as_lengths() {
        let now = "2026-11-22T23:04:00Z".parse().expect("a time");
        let told = |text| from_now(text, now);
        assert_eq!(
            told("2 start; gives up at 2026-11-22T23:04:08Z"),
            "2 start; gives up in 8 s"
        );
        assert_eq!(
            told("is watched until 2026-11-22T23:05:00Z; all is well"),
            "is watched for 1 min more; all is well"
        );
        assert_eq!(told("since 2026-11-22T23:03:59Z."), "since 1 s ago.");
        assert_eq!(told("nothing at all"), "nothing at all");
    }

    #[test]
    fn a_running_deployment_is_four_lines() {
        let instance = |id: &str, version: &str, state: &str| Instance {
            id: id.to_owned(),
            version: version.to_owned(),
            launch: format!("launch-{version}"),
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
                launch: "launch-1.10.0".into(),
                status: "running".into(),
                plan: vec![
                    "1. fill blue: 4 healthy of launch-1.10.0".into(),
                    "2. bake".into(),
                ],
                waiting: Some("1 of 4 instances of launch-1.10.0 are healthy".into()),
                ..Deployment::default()
            },
            status: Status {
                observation: Some(Observation { instances }),
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
}
