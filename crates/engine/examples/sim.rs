//! Plays simulated stories: one with its whole log, or many in a row, on all cores.
//!
//! `sim SEED` replays one; `sim FROM..TO` plays a range; `sim soak N [FROM]` plays N that nobody has
//! played before. None of them stops at a story that breaks; the exit code is 1 if there was one.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use engine::testing::sim::{Report, play};

const USAGE: &str =
    "give a seed, such as 42; a range of seeds, such as 0..10000; or `soak N [FROM]`";
/// Between two lines about how far it is.
const PROGRESS: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.replace('_', "").parse::<u64>().ok();
    let range = match arguments[..] {
        [] => Some((0, 10_000)),
        ["soak", many] => number(many).map(|many| (fresh(), many)),
        ["soak", many, from] => number(from).zip(number(many)),
        [one] => match one.split_once("..") {
            Some((from, to)) => number(from)
                .zip(number(to))
                .map(|(from, to)| (from, to.saturating_sub(from))),
            None => match number(one) {
                Some(seed) => return replay(&play(seed)),
                None => None,
            },
        },
        _ => None,
    };
    match range {
        Some((from, many)) => soak(from, many),
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// A seed from which nobody has played before: a million for each second of the clock.
#[expect(
    clippy::disallowed_methods,
    reason = "fresh seeds come from the clock; each can be replayed"
)]
fn fresh() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs() * 1_000_000
}

fn replay(report: &Report) -> ExitCode {
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

/// What many stories came to.
#[derive(Default)]
struct Tally {
    outcomes: BTreeMap<String, u64>,
    calls: u64,
    stories: u64,
    broken: Vec<u64>,
}

impl Tally {
    fn add(&mut self, report: Report) {
        self.stories += 1;
        self.calls += report.calls;
        *self.outcomes.entry(report.outcome).or_default() += 1;
        if !report.violations.is_empty() {
            println!(
                "seed {}: {}\n  BROKEN {}",
                report.seed,
                report.title,
                report.violations.join("\n  BROKEN ")
            );
            self.broken.push(report.seed);
        }
    }

    fn line(&self, started: Instant) -> String {
        let seconds = started.elapsed().as_secs_f64();
        let rate = self.stories as f64 / seconds.max(0.001);
        format!(
            "{} stories, {} broken, {} port calls, {seconds:.1} s, {rate:.0} stories per second",
            self.stories,
            self.broken.len(),
            self.calls,
        )
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "measures real time for the summary"
)]
fn soak(from: u64, many: u64) -> ExitCode {
    let to = from.saturating_add(many);
    println!("seeds {from}..{to}");
    let started = Instant::now();
    let (next, tally) = (AtomicU64::new(from), Mutex::new(Tally::default()));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for core in 0..cores {
            let (next, tally) = (&next, &tally);
            scope.spawn(move || {
                let mut told = Instant::now();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= to {
                        return;
                    }
                    let report = play(seed);
                    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                    tally.add(report);
                    if core == 0 && told.elapsed() > PROGRESS {
                        told = Instant::now();
                        println!("{}", tally.line(started));
                    }
                }
            });
        }
    });
    let mut tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{}", tally.line(started));
    for (outcome, count) in &tally.outcomes {
        println!("  {outcome}: {count}");
    }
    tally.broken.sort_unstable();
    if !tally.broken.is_empty() {
        println!("broken: {:?}", tally.broken);
    }
    ExitCode::from(u8::from(!tally.broken.is_empty()))
}
