//! Releases that are like stable, and releases that are not, judged by our comparison and by other rules
//! on the same requests. `cargo xtask bench gates` runs it and prints the table of ADR 10.

mod rules;
mod world;

use domain::evidence::Tolerance;
use rules::{MannWhitney, Ours, PValue, Rule, Threshold};
use world::{Fault, World};

/// Releases like stable.
const GOOD: u64 = 10_000;
/// Releases per fault.
const FAULTY: u64 = 200;
/// Seconds at each share.
const SECONDS: u32 = 300;
const SHARES: [f64; 4] = [0.01, 0.05, 0.1, 0.5];

const RULES: [&str; 6] = [
    "ours, as set by default",
    "ours, 0.2 points and 15 % tolerated",
    "thresholds of the guides: 5 %, p99 500 ms, 3 forgiven",
    "thresholds set by hand: 2 %, p99 200 ms, 0 forgiven",
    "Mann-Whitney on minutes, every 5 minutes",
    "p < 1 % on errors, every second",
];

/// The rule that does not know of latency.
const P_VALUE: usize = 5;

const FAULTS: [(&str, Fault); 5] = [
    ("errors 1 -> 5 %", fault(5.0, 1.0)),
    ("errors 1 -> 1.5 %", fault(1.5, 1.0)),
    ("latency x1.3", fault(1.0, 1.3)),
    ("latency x2", fault(1.0, 2.0)),
    ("latency x4", fault(1.0, 4.0)),
];

const fn fault(errors: f64, latency: f64) -> Fault {
    Fault { errors, latency }
}

/// What became of one release.
#[derive(Default)]
struct Release {
    /// Per rule: when it stopped, and the errors and requests of the new release until then.
    stops: [Option<u32>; RULES.len()],
    errors: [u64; RULES.len()],
    requests: [u64; RULES.len()],
    /// All requests, of both sides, of all the time.
    all: u64,
    /// When ours said "not worse", as it is set by default.
    passed: Option<(u32, u64)>,
}

fn play(seed: u64, fault: Fault) -> Release {
    let mut world = World::new(seed, fault, 1.0);
    let mut ours = Ours::new(Tolerance::default());
    let mut strict = Ours::new(Tolerance {
        error_margin_permille: 2,
        latency_margin_percent: 15,
        ..Tolerance::default()
    });
    let mut guides = Threshold::new(0.05, 500.0, 3);
    let mut by_hand = Threshold::new(0.02, 200.0, 0);
    let mut mann_whitney = MannWhitney::default();
    let mut p_value = PValue::default();
    let mut rules: [&mut dyn Rule; RULES.len()] = [
        &mut ours,
        &mut strict,
        &mut guides,
        &mut by_hand,
        &mut mann_whitney,
        &mut p_value,
    ];
    let mut release = Release::default();
    for t in 0..SECONDS * 4 {
        let (new, stable) = world.second(t, SHARES[(t / SECONDS) as usize]);
        release.all += new.requests + stable.requests;
        for (index, rule) in rules.iter_mut().enumerate() {
            if release.stops[index].is_none() {
                release.errors[index] += new.errors;
                release.requests[index] += new.requests;
                if rule.second(t, &new, &stable) {
                    release.stops[index] = Some(t + 1);
                }
            }
        }
    }
    release.passed = ours.passed;
    release
}

/// Plays releases on all cores.
fn play_all(seeds: std::ops::Range<u64>, fault: Fault) -> Vec<Release> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores)
            .map(|core| {
                let mine = seeds.clone().skip(core).step_by(cores);
                scope.spawn(move || mine.map(|seed| play(seed, fault)).collect::<Vec<_>>())
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("no release panics"))
            .collect()
    })
}

fn main() {
    let minutes = SECONDS / 60;
    println!(
        "{GOOD} releases like stable, {FAULTY} of each fault; {minutes} minutes each at 1, 5, 10 and \
         50 % of about 600 requests/s.\n"
    );
    let good = play_all(0..GOOD, fault(1.0, 1.0));
    println!("| rule | false stops |\n| --- | ---: |");
    for (index, rule) in RULES.iter().enumerate() {
        let stops = good.iter().filter(|one| one.stops[index].is_some()).count();
        println!("| {rule} | {:.2} % |", percent(stops, good.len()));
    }
    let passes: Vec<_> = good.iter().filter_map(|one| one.passed).collect();
    println!(
        "\nOurs, as set by default, says \"not worse\" of {:.2} % of them, after a median of {} s, when \
         the new release had {} requests.",
        percent(passes.len(), good.len()),
        shown(median(
            passes.iter().map(|pass| u64::from(pass.0)).collect()
        )),
        shown(median(passes.iter().map(|pass| pass.1).collect())),
    );
    println!("\n| fault | rule | missed | median time to stop | of all requests |");
    println!("| --- | --- | ---: | ---: | ---: |");
    for (kind, (name, fault)) in (1..).zip(FAULTS) {
        let seeds = kind * 1_000_000..kind * 1_000_000 + FAULTY;
        report(name, fault, &play_all(seeds, fault));
    }
    println!(
        "\n\"Of all requests\": of the twenty minutes' requests of all users, the share that failed on \
         the new release before it was stopped; where latency is the fault, the share that it answered."
    );
}

fn report(name: &str, fault: Fault, releases: &[Release]) {
    for (index, rule) in RULES.iter().enumerate() {
        if index == P_VALUE && fault.errors <= 1.0 {
            continue;
        }
        let times: Vec<u64> = releases
            .iter()
            .filter_map(|one| one.stops[index].map(u64::from))
            .collect();
        let missed = percent(releases.len() - times.len(), releases.len());
        let time = median(times).map_or_else(|| "-".to_owned(), |time| format!("{time} s"));
        let all: u64 = releases.iter().map(|one| one.all).sum();
        let harmed: u64 = releases
            .iter()
            .map(|one| match fault.errors > 1.0 {
                true => one.errors[index],
                false => one.requests[index],
            })
            .sum();
        let harmed = 100.0 * harmed as f64 / all as f64;
        println!("| {name} | {rule} | {missed:.1} % | {time} | {harmed:.3} % |");
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

fn median(mut numbers: Vec<u64>) -> Option<u64> {
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied()
}

fn shown(number: Option<u64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}
