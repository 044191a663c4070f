//! `looks`: every look at the gates of a deployment, drawn.

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Context,
    failure::{Exit, Failure},
    output::{self, text_at},
};

/// Most looks that are drawn.
const LOOKS_MAX: usize = 100_000;
/// Columns of a drawing.
const WIDTH: usize = 60;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Of which deployment.
#[derive(Debug, Args)]
pub struct LooksArgs {
    /// Id of the deployment
    id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Look {
    step: usize,
    percent: u8,
    gate: usize,
    name: String,
    verdict: String,
    sentence: String,
    traffic: Option<Traffic>,
    value: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Traffic {
    errors: Judged,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Judged {
    upper_ppm: i64,
    margin_ppm: i64,
    evidence_millinats: i64,
    needed_millinats: i64,
}

/// Draws the looks of a deployment, one drawing for each gate of each step.
///
/// # Errors
/// When there is no such deployment, or the server cannot be reached.
pub async fn run(context: &Context, args: &LooksArgs) -> Result<Exit, Failure> {
    let client = context.client()?;
    let url = client.url(&["deployments", &args.id, "looks"]);
    let items = client.items(url, LOOKS_MAX).await?;
    output::value(context.format, &Value::Array(items), |items| {
        let items = items.as_array().map_or(&[][..], Vec::as_slice);
        // An older or newer server may write a look that this program cannot draw.
        let looks = items.iter().map(|item| {
            serde_json::from_value(item.clone()).unwrap_or_else(|_| Look {
                sentence: text_at(item, "sentence"),
                ..Look::default()
            })
        });
        page(&looks.collect::<Vec<_>>())
    })?;
    Ok(Exit::Ok)
}

pub(super) fn page(looks: &[Look]) -> String {
    if looks.is_empty() {
        return "no gate has been measured".to_owned();
    }
    let mut order: Vec<(usize, usize)> = Vec::new();
    for look in looks {
        if !order.contains(&(look.step, look.gate)) {
            order.push((look.step, look.gate));
        }
    }
    let drawings = order.into_iter().map(|(step, gate)| {
        let of_gate = |look: &&Look| (look.step, look.gate) == (step, gate);
        drawing(&looks.iter().filter(of_gate).collect::<Vec<_>>())
    });
    drawings.collect::<Vec<_>>().join("\n\n")
}

fn drawing(looks: &[&Look]) -> String {
    let Some(last) = looks.last() else {
        return String::new();
    };
    let mut text = format!(
        "{} at {} % of the users: {} after {} looks",
        last.name,
        last.percent,
        last.verdict,
        looks.len()
    );
    let errors: Vec<&Judged> = looks
        .iter()
        .filter_map(|look| Some(&look.traffic.as_ref()?.errors))
        .collect();
    if let Some(end) = errors.last() {
        let evidence: Vec<f64> = errors.iter().map(|e| e.evidence_millinats as f64).collect();
        let needed = end.needed_millinats as f64;
        let upper: Vec<f64> = errors.iter().map(|e| e.upper_ppm as f64).collect();
        let margin = end.margin_ppm as f64;
        text.push_str(&format!(
            "\n  evidence of more errors  {}  {:.1} of the {:.1} that stop it",
            line(&evidence, needed),
            end.evidence_millinats as f64 / 1000.0,
            needed / 1000.0,
        ));
        text.push_str(&format!(
            "\n  more errors at most      {}  {:.2} %, {:.2} % let it pass",
            line(&upper, 4.0 * margin),
            end.upper_ppm as f64 / 10_000.0,
            margin / 10_000.0,
        ));
    } else {
        let values: Vec<f64> = looks.iter().filter_map(|look| look.value).collect();
        let most = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        if values.is_empty() {
            let marks = looks.iter().map(|look| match look.verdict.as_str() {
                "met" => '✔',
                "failed" => '✘',
                _ => '·',
            });
            let skipped = looks.len().saturating_sub(WIDTH);
            text.push_str(&format!("\n  {}", marks.skip(skipped).collect::<String>()));
        } else {
            text.push_str(&format!("\n  {}  up to {most}", line(&values, most)));
        }
    }
    text.push_str(&format!("\n  {}", last.sentence));
    text
}

/// Values from 0 to `full` as bars; each column is the largest value of its share of the looks.
fn line(values: &[f64], full: f64) -> String {
    let columns = values.len().min(WIDTH);
    let bar = |column: usize| {
        let (from, to) = (
            column * values.len() / columns,
            (column + 1) * values.len() / columns,
        );
        let largest = values[from..to].iter().copied().fold(0.0, f64::max);
        let share = (largest / full).clamp(0.0, 1.0);
        BARS[((share * 8.0) as usize).min(BARS.len() - 1)]
    };
    (0..columns).map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(verdict: &str, evidence_millinats: i64) -> Look {
        Look {
            percent: 10,
            name: "errors and latency against stable".to_owned(),
            verdict: verdict.to_owned(),
            sentence: "errors 5 % against 1 % of stable".to_owned(),
            traffic: Some(Traffic {
                errors: Judged {
                    upper_ppm: 50_000,
                    margin_ppm: 10_000,
                    evidence_millinats,
                    needed_millinats: 5300,
                },
            }),
            ..Look::default()
        }
    }

    #[test]
    fn evidence_is_drawn_against_what_is_needed() {
        let looks = [look("open", 0), look("open", 2650), look("failed", 6000)];
        assert_eq!(
            page(&looks),
            "errors and latency against stable at 10 % of the users: failed after 3 looks\n  \
             evidence of more errors  ▁▅█  6.0 of the 5.3 that stop it\n  \
             more errors at most      ███  5.00 %, 1.00 % let it pass\n  \
             errors 5 % against 1 % of stable"
        );
    }

    #[test]
    fn checks_are_drawn_as_marks_and_nothing_as_words() {
        let check = |verdict: &str| Look {
            traffic: None,
            name: "check at http://smoke".to_owned(),
            sentence: "it answered 200 OK".to_owned(),
            ..look(verdict, 0)
        };
        let text = page(&[check("open"), check("met")]);
        assert!(text.contains("\n  ·✔\n"), "{text}");
        assert_eq!(page(&[]), "no gate has been measured");
    }
}
