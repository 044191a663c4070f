//! The stage: each act is one deployment, shown from its plan to its end, under a steady load.

use std::time::{Duration, Instant};

use domain::time::human_ms;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    load::{Counts, Load, Target},
    shelf::{ENVIRONMENT, SERVICE},
};
use cli::{
    client::Client,
    deploy::{self, Begun},
    failure::Failure,
    plan_page,
    screen::Screen,
    style::Style,
    watch::{self, Watching},
    wire::Status,
};

/// Requests per second through the router.
const LOAD_PER_SECOND: u32 = 550;
/// How long the load runs between two acts.
const BETWEEN: Duration = Duration::from_secs(2);

/// One deployment that the demo shows.
#[derive(Debug)]
pub struct Act {
    /// Its heading.
    pub heading: &'static str,
    /// What to look at.
    pub text: &'static str,
    /// The release that is deployed.
    pub version: &'static str,
    /// How it has to end.
    pub outcome: &'static str,
}

/// What became of one act.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// The release.
    pub release: String,
    /// How its deployment ended.
    pub outcome: String,
    /// How long that took.
    pub seconds: f64,
    /// Requests that users sent meanwhile.
    pub requests: u64,
    /// Those among them that failed.
    pub failed: u64,
}

/// A client, a screen and a load.
pub struct Stage<'a> {
    /// The control plane.
    pub client: &'a Client,
    /// Where to show.
    pub screen: &'a mut Screen,
    /// The load, once there is something to load.
    pub load: Option<Load>,
}

impl Stage<'_> {
    /// Plays one act.
    ///
    /// # Errors
    /// When the control plane says no, or goes away.
    pub async fn play(&mut self, number: usize, act: &Act) -> Result<Record, Failure> {
        let style = self.screen.style();
        self.screen.log(&format!(
            "\n{}\n{}\n",
            style.bold(&format!("{number}  {}", act.heading)),
            style.dim(&format!("   {}", act.text))
        ));
        let before = self.counts();
        let started = Instant::now();
        let begun = deploy::begin(self.client, &wish(act.version)).await?;
        self.show_plan(&begun);
        let load = self.load.as_ref();
        let more = || load.map_or_else(Vec::new, |load| vec![requests(load, &before, style)]);
        let watching = Watching {
            client: self.client,
            screen: self.screen,
            more: &more,
        };
        let ended = watch::watch(watching, begun.deployment).await?;
        let elapsed = started.elapsed();
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.screen.log(&format!(
            "\n  {}",
            deploy::outcome(&ended, elapsed_ms, style)
        ));
        if self.load.is_none() {
            self.load = Some(self.start_load().await?);
        }
        tokio::time::sleep(BETWEEN).await;
        let counts = self.counts().since(&before);
        self.screen.log(&summary(&counts, style));
        Ok(Record {
            release: act.version.to_owned(),
            outcome: ended.status,
            seconds: (elapsed.as_secs_f64() * 100.0).round() / 100.0,
            requests: counts.requests,
            failed: counts.failed,
        })
    }

    fn show_plan(&mut self, begun: &Begun) {
        let style = self.screen.style();
        let heading = plan_page::heading(&begun.deployment, style);
        self.screen.log(&format!("  {heading}\n"));
        if let Some(preview) = &begun.preview {
            let page = plan_page::page(preview, style);
            self.screen.log(&format!("{page}\n"));
        }
    }

    /// What the load counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.load.as_ref().map(Load::counts).unwrap_or_default()
    }

    async fn start_load(&self) -> Result<Load, Failure> {
        let status = self.status().await?;
        let url = status.url.unwrap_or_default();
        Ok(Load::start(&Target::of(&url)?, LOAD_PER_SECOND))
    }

    /// What runs of the demo's service.
    ///
    /// # Errors
    /// When the control plane goes away.
    pub async fn status(&self) -> Result<Status, Failure> {
        let url = ["environments", ENVIRONMENT, "services", SERVICE];
        self.client.get(self.client.url(&url)).await
    }
}

fn wish(version: &str) -> Value {
    json!({
        "service": SERVICE,
        "environment": ENVIRONMENT,
        "version": version,
        "strategy": {
            "kind": "scale-up",
            "bake_seconds": 5,
            "health_deadline_seconds": 10,
        },
    })
}

/// The line of the live picture.
pub fn requests(load: &Load, before: &Counts, style: Style) -> String {
    let counts = load.counts().since(before);
    format!("  {} {}", style.dim("users "), counted(&counts, style))
}

fn counted(counts: &Counts, style: Style) -> String {
    let failed = format!("{} failed", counts.failed);
    let failed = if counts.failed == 0 {
        style.green(&failed)
    } else {
        style.red(&failed)
    };
    format!("{} requests, {failed}", thousands(counts.requests))
}

fn summary(counts: &Counts, style: Style) -> String {
    let mut text = format!("  {}", counted(counts, style));
    let quantile = |percent| {
        let micros = counts.latency.quantile(percent)?.as_micros();
        Some(format!("{:.1} ms", micros as f64 / 1000.0))
    };
    if let (Some(half), Some(most)) = (quantile(50), quantile(99)) {
        text.push_str(&style.dim(&format!("; half within {half}, 99 % within {most}")));
    }
    let answered: Vec<String> = counts
        .releases
        .iter()
        .map(|(release, count)| format!("{} by {release}", thousands(*count)))
        .collect();
    if !answered.is_empty() {
        text.push_str(&style.dim(&format!("; answered {}", answered.join(", "))));
    }
    for reason in counts.reasons.iter().filter(|_| counts.failed > 0) {
        text.push_str(&format!("\n    {}", style.red(reason)));
    }
    text
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A length of time in one line of the closing table.
#[must_use]
pub fn took(record: &Record) -> String {
    human_ms((record.seconds * 1000.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(thousands(number), text);
        }
    }
}
