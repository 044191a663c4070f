//! Plays simulated stories: one with its whole log, or many in a row.
//!
//! `sim SEED` replays one; `sim FROM..TO` plays a range on all cores and stops at nothing.

use std::{
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use engine::testing::sim::{Report, play};

fn main() -> ExitCode {
    let argument = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "0..10000".to_owned());
    let range = argument
        .split_once("..")
        .map(|(from, to)| (from.parse(), to.parse()));
    match (range, argument.parse()) {
        (Some((Ok(from), Ok(to))), _) => many(from, to),
        (_, Ok(seed)) => one(&play(seed)),
        _ => {
            eprintln!("give a seed, such as 42, or a range of seeds, such as 0..10000");
            ExitCode::from(2)
        }
    }
}

fn one(report: &Report) -> ExitCode {
    println!("seed {}: {}", report.seed, report.title);
    for line in &report.log {
        println!("{line}");
    }
    println!("{} after {} port calls", report.outcome, report.calls);
    for violation in &report.violations {
        println!("BROKEN {violation}");
    }
    ExitCode::from(u8::from(!report.violations.is_empty()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "measures real time for the summary"
)]
fn many(from: u64, to: u64) -> ExitCode {
    let started = Instant::now();
    let next = AtomicU64::new(from);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut reports: Vec<Report> = std::thread::scope(|scope| {
        let work = || {
            let mut mine = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= to {
                    return mine;
                }
                mine.push(Report {
                    log: Vec::new(),
                    ..play(seed)
                });
            }
        };
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|t| t.join().unwrap_or_default())
            .collect()
    });
    reports.sort_by_key(|report| report.seed);
    let mut outcomes = std::collections::BTreeMap::<&str, u64>::new();
    for report in &reports {
        *outcomes.entry(&report.outcome).or_default() += 1;
    }
    let broken: Vec<&Report> = reports
        .iter()
        .filter(|r| !r.violations.is_empty())
        .collect();
    for report in broken.iter().take(10) {
        println!("seed {}: {}", report.seed, report.title);
        println!("  BROKEN {}", report.violations.join("\n  BROKEN "));
    }
    let calls: u64 = reports.iter().map(|report| report.calls).sum();
    println!(
        "{} stories, {} broken, {calls} port calls, {:.1} s",
        reports.len(),
        broken.len(),
        started.elapsed().as_secs_f64()
    );
    for (outcome, count) in outcomes {
        println!("  {outcome}: {count}");
    }
    ExitCode::from(u8::from(!broken.is_empty()))
}
