//! Many browsers that watch one deployment: what they cost, and how soon they see what happens.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::StreamExt;
use serde_json::json;

use crate::installation::Installation;

const VIEWERS: usize = 200;
/// How often something happens.
const TURNS: usize = 10;
/// How long the quiet cost is measured.
const QUIET: Duration = Duration::from_secs(10);

/// Opens the streams, and prints what they cost and how late they are.
pub async fn measured(installation: &Installation) -> anyhow::Result<()> {
    let cookie = installation.signed_in(None).await?;
    let id = installation.begin("env-01", 600).await?;
    let alone = cpu_of(QUIET).await;
    let memory = memory_kib();
    let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let mut viewers = tokio::task::JoinSet::new();
    for _ in 0..VIEWERS {
        let request = installation
            .http
            .get(installation.url(&format!("/live?topic=deployment:{id}")))
            .header("host", installation.host())
            .header("cookie", &cookie);
        let answer = request.send().await?;
        ensure!(answer.status().is_success(), "{}", answer.status());
        let told = told.clone();
        viewers.spawn(async move {
            let mut pieces = answer.bytes_stream();
            while let Some(Ok(piece)) = pieces.next().await {
                let text = String::from_utf8_lossy(&piece);
                if text.contains("id=\"d-head\"") {
                    let _ = told.send((Instant::now(), text.contains(">paused</span>")));
                }
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let watched = cpu_of(QUIET).await;
    let grown = memory_kib().saturating_sub(memory);
    while hears.try_recv().is_ok() {}
    let mut late = Vec::new();
    for turn in 0..TURNS {
        let command = if turn % 2 == 0 { "pause" } else { "resume" };
        let begun = Instant::now();
        let path = format!("/api/v1/deployments/{id}/{command}");
        installation.post(&path, &json!({})).await?;
        let mut seen = 0;
        while seen < VIEWERS {
            let wait = tokio::time::timeout(Duration::from_secs(10), hears.recv());
            let (at, paused) = wait
                .await
                .context("a viewer saw nothing")?
                .context("none")?;
            if paused == (turn % 2 == 0) {
                seen += 1;
                late.push(at.duration_since(begun));
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    late.sort();
    println!("\n| watching one deployment | |");
    println!("| --- | --- |");
    println!("| without viewers | {:.1} % of a core |", alone * 100.0);
    println!(
        "| {VIEWERS} viewers, they and the server | {:.1} % of a core, {} KiB a viewer |",
        watched * 100.0,
        grown / VIEWERS as u64
    );
    let (median, p95) = (late[late.len() / 2], late[late.len() * 95 / 100]);
    println!("| from the command to the stream | median {median:.0?}, p95 {p95:.0?} |");
    viewers.shutdown().await;
    Ok(())
}

/// The share of a core that this process used in the next while.
async fn cpu_of(time: Duration) -> f64 {
    let before = cpu_seconds();
    tokio::time::sleep(time).await;
    (cpu_seconds() - before) / time.as_secs_f64()
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    ticks as f64 / 100.0
}

fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|text| text.parse().ok()).unwrap_or(0)
}
