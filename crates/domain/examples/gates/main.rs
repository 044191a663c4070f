//! Releases that are like stable, and releases that are not, judged by our comparison and by other rules
//! on the same requests. `cargo xtask bench gates` runs it and prints the tables of ADR 10; with `--quick`
//! fewer releases are played, with `--only TEXT` only rows whose name contains the text, with
//! `--releases N` as many of each row, and with `--ours` only our rule judges them.

mod before;
mod plan;
mod rules;
mod world;
mod worlds;

use before::Before;
use domain::{
    evidence::{Tolerance, forecast},
    percent::Percent,
};
use plan::Plan;
use rules::{MannWhitney, Ours, PValue, Rule, Second, Threshold};
use world::{Fault, Service};
use worlds::{Hard, Hardship};

/// How long users stay at each share, in seconds.
type Shares = &'static [(f64, u32)];

const USUAL: Shares = &[(0.01, 300), (0.05, 300), (0.1, 300), (0.5, 300)];
const TENTH: Shares = &[(0.1, 600)];
const LONG: Shares = &[(0.1, 4800)];
const TWENTIETH: Shares = &[(0.05, 900)];

const RULES: [&str; 7] = [
    "ours",
    "ours, 15 % of latency, 60 s",
    "ours before",
    "Kayenta",
    "Flagger",
    "Argo",
    "p < 1 %",
];

/// Releases of one kind.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    service: Service,
    fault: Fault,
    hard: Hard,
    shares: Shares,
    releases: u64,
}

const GOOD: Fault = fault(1.0, 1.0);

const fn fault(errors: f64, latency: f64) -> Fault {
    Fault { errors, latency }
}

const fn service(requests: f64, errors: f64) -> Service {
    Service {
        requests,
        errors,
        drift: 1.0,
    }
}

const fn steady(requests: f64, errors: f64) -> Service {
    Service {
        drift: 0.0,
        ..service(requests, errors)
    }
}

const ONE: Service = service(600.0, 0.01);
const TENTH_OF_ONE: Service = service(600.0, 0.001);

const fn like_stable(name: &'static str, service: Service, hard: Hard, releases: u64) -> Kind {
    Kind {
        name,
        service,
        fault: GOOD,
        hard,
        shares: USUAL,
        releases,
    }
}

const fn faulty(name: &'static str, service: Service, fault: Fault) -> Kind {
    Kind {
        name,
        service,
        fault,
        hard: Hard::Not,
        shares: USUAL,
        releases: 100,
    }
}

const ALIKE: [Kind; 16] = [
    like_stable("1 % errors", ONE, Hard::Not, 2_000),
    like_stable("0.1 % errors", TENTH_OF_ONE, Hard::Not, 2_000),
    like_stable("6,000 users who stick", ONE, Hard::Sticky(6_000), 500),
    like_stable("600 users who stick", ONE, Hard::Sticky(600), 500),
    like_stable(
        "8 instances, one ill at times",
        ONE,
        Hard::Instances(8),
        500,
    ),
    like_stable(
        "2 instances, one ill at times",
        ONE,
        Hard::Instances(2),
        500,
    ),
    like_stable("cold: latency x4 at first", ONE, Hard::Cold(4.0, 0.0), 500),
    like_stable(
        "cold: 5 points more errors at first",
        ONE,
        Hard::Cold(1.0, 5.0),
        500,
    ),
    Kind {
        shares: TENTH,
        ..like_stable("the same, at 10 %", ONE, Hard::Cold(4.0, 5.0), 500)
    },
    Kind {
        shares: TENTH,
        ..like_stable(
            "answers of 3 s, errors at once, at 10 %",
            service(800.0, 0.01),
            Hard::Slow(3),
            500,
        )
    },
    like_stable(
        "answers of 3 s, errors at once",
        service(800.0, 0.01),
        Hard::Slow(3),
        500,
    ),
    like_stable(
        "10 requests/s, 1 % errors",
        service(10.0, 0.01),
        Hard::Not,
        1_000,
    ),
    like_stable(
        "1 request/s, 1 % errors",
        service(1.0, 0.01),
        Hard::Not,
        1_000,
    ),
    Kind {
        shares: LONG,
        ..like_stable("80 minutes at 10 %", ONE, Hard::Not, 100)
    },
    like_stable(
        "0.1 % errors, 8 instances, one ill at times",
        TENTH_OF_ONE,
        Hard::Instances(8),
        500,
    ),
    like_stable(
        "0.1 % errors, 2 instances, one ill at times",
        TENTH_OF_ONE,
        Hard::Instances(2),
        500,
    ),
];

const WORSE: [Kind; 29] = [
    faulty("1 -> 1.5 %", ONE, fault(1.5, 1.0)),
    faulty("1 -> 2 %", ONE, fault(2.0, 1.0)),
    faulty("1 -> 5 %", ONE, fault(5.0, 1.0)),
    faulty("0.1 -> 0.3 %", TENTH_OF_ONE, fault(3.0, 1.0)),
    faulty("0.1 -> 0.5 %", TENTH_OF_ONE, fault(5.0, 1.0)),
    faulty("0.1 -> 0.9 %", TENTH_OF_ONE, fault(9.0, 1.0)),
    faulty("0.1 -> 2 %", TENTH_OF_ONE, fault(20.0, 1.0)),
    faulty("0.1 -> 5 %", TENTH_OF_ONE, fault(50.0, 1.0)),
    faulty("0.01 -> 0.5 %", service(600.0, 0.0001), fault(50.0, 1.0)),
    faulty("latency x1.3", ONE, fault(1.0, 1.3)),
    faulty("latency x1.6", ONE, fault(1.0, 1.6)),
    faulty("latency x2", ONE, fault(1.0, 2.0)),
    faulty("latency x4", ONE, fault(1.0, 4.0)),
    late("1 -> 5 % after 5 min at 10 %", 300),
    late("1 -> 5 % after 15 min at 10 %", 900),
    late("1 -> 5 % after 1 h at 10 %", 3600),
    Kind {
        hard: Hard::Late(3600),
        shares: LONG,
        ..faulty("all fail after 1 h at 10 %", ONE, fault(100.0, 1.0))
    },
    Kind {
        hard: Hard::Late(900),
        ..faulty("1 -> 5 % at the shift to 50 %", ONE, fault(5.0, 1.0))
    },
    Kind {
        hard: Hard::Sticky(6_000),
        ..faulty("1 -> 5 %, users stick", ONE, fault(5.0, 1.0))
    },
    Kind {
        hard: Hard::Instances(8),
        ..faulty("1 -> 5 %, 8 instances", ONE, fault(5.0, 1.0))
    },
    Kind {
        shares: TWENTIETH,
        ..faulty(
            "20 requests/s, 0.1 -> 5 %, at 5 %",
            service(20.0, 0.001),
            fault(50.0, 1.0),
        )
    },
    Kind {
        shares: TWENTIETH,
        ..faulty(
            "20 requests/s, 0.1 -> 20 %, at 5 %",
            service(20.0, 0.001),
            fault(200.0, 1.0),
        )
    },
    Kind {
        shares: TWENTIETH,
        ..faulty(
            "20 requests/s, latency x2, at 5 %",
            service(20.0, 0.001),
            fault(1.0, 2.0),
        )
    },
    Kind {
        shares: TWENTIETH,
        ..faulty(
            "1 request/s, dead, at 5 %",
            steady(1.0, 0.001),
            fault(1000.0, 1.0),
        )
    },
    Kind {
        shares: TWENTIETH,
        ..faulty(
            "1 request/s, a fifth fails, at 5 %",
            steady(1.0, 0.001),
            fault(200.0, 1.0),
        )
    },
    Kind {
        hard: Hard::Instances(2),
        ..faulty("1 -> 5 %, 2 instances", ONE, fault(5.0, 1.0))
    },
    Kind {
        hard: Hard::Instances(8),
        ..faulty("1 -> 2 %, 8 instances", ONE, fault(2.0, 1.0))
    },
    Kind {
        hard: Hard::Instances(2),
        shares: TENTH,
        ..faulty("all fail, 2 instances, at 10 %", ONE, fault(100.0, 1.0))
    },
    Kind {
        hard: Hard::Instances(2),
        shares: TWENTIETH,
        ..faulty(
            "1 request/s, dead, 2 instances, at 5 %",
            steady(1.0, 0.001),
            fault(1000.0, 1.0),
        )
    },
];

const fn late(name: &'static str, after: u32) -> Kind {
    Kind {
        hard: Hard::Late(after),
        shares: LONG,
        ..faulty(name, ONE, fault(5.0, 1.0))
    }
}

/// What became of one release.
#[derive(Default)]
struct Release {
    /// Per rule: when it stopped.
    stops: [Option<u32>; RULES.len()],
    /// When ours, as it is set by default, said "not worse", and after how many requests.
    passed: Option<(u32, u64)>,
}

fn play(seed: u64, kind: &Kind, rules_played: usize) -> Release {
    let mut world = Hardship::new(seed, kind.service, kind.fault, kind.hard);
    let mut ours = Ours::new(Tolerance::default(), 30);
    let tight = Tolerance {
        latency_margin_percent: 15,
        ..Tolerance::default()
    };
    let mut tight = Ours::new(tight, 60);
    let mut before = Before::default();
    let mut kayenta = MannWhitney::default();
    // The examples of their guides: a success rate of 99 % and a p99 of 500 ms, five times; 95 %, four
    // times.
    let mut flagger = Threshold::new(0.01, 500.0, 4);
    let mut argo = Threshold::new(0.05, f64::MAX, 3);
    let mut p_value = PValue::default();
    let mut rules: [&mut dyn Rule; RULES.len()] = [
        &mut ours,
        &mut tight,
        &mut before,
        &mut kayenta,
        &mut flagger,
        &mut argo,
        &mut p_value,
    ];
    let mut release = Release::default();
    let shares = kind.shares.iter();
    let shares = shares.flat_map(|(share, seconds)| std::iter::repeat_n(*share, *seconds as usize));
    for (t, share) in (0..).zip(shares) {
        let (new, stable) = world.second(t, share);
        let second = Second {
            t,
            share,
            new: &new,
            stable: &stable,
        };
        for (stop, rule) in release.stops.iter_mut().zip(&mut rules).take(rules_played) {
            if stop.is_none() && rule.second(&second) {
                *stop = Some(t + 1);
            }
        }
    }
    release.passed = ours.passed;
    release
}

/// Plays releases on all cores.
fn play_all(kind: &Kind, first: u64, plan: &Plan) -> Vec<Release> {
    let seeds = first..first + plan.releases(kind);
    let rules = plan.rules();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores)
            .map(|core| {
                let mine = seeds.clone().skip(core).step_by(cores);
                scope.spawn(move || mine.map(|seed| play(seed, kind, rules)).collect::<Vec<_>>())
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("no release panics"))
            .collect()
    })
}

fn main() {
    let plan = Plan::of_arguments();
    if plan.is_whole() {
        requests_needed();
    }
    let names = RULES[..plan.rules()].join(" | ");
    let line = " ---: |".repeat(plan.rules());
    println!("\n### Releases like stable that are stopped\n");
    println!("| world | {names} | not worse | after |");
    println!("| --- |{line} ---: | ---: |");
    for (index, kind) in (0..).zip(ALIKE) {
        if plan.shows(&kind) {
            report_alike(&kind, &play_all(&kind, index * 1_000_000, &plan), &plan);
        }
    }
    println!("\n### Releases that are worse: stopped, median time since the fault began\n");
    println!("| fault | {names} |");
    println!("| --- |{line}");
    for (index, kind) in (100..).zip(WORSE) {
        if plan.shows(&kind) {
            report(&kind, &play_all(&kind, index * 1_000_000, &plan), &plan);
        }
    }
}

fn requests_needed() {
    println!("### Requests needed\n");
    println!("| errors of stable | 0.2 points and 50 % | 0.2 points | 1 point |");
    println!("| ---: | ---: | ---: | ---: |");
    for errors in [0.0, 0.0001, 0.001, 0.01, 0.05] {
        let needed = |points, percent| {
            let tolerance = Tolerance::of_counts(Percent::hundredths(points), percent);
            let found = forecast(&tolerance, errors, 5);
            found.map_or_else(|| "never".to_owned(), |it| it.requests.to_string())
        };
        let (usual, points, one) = (needed(20, 50), needed(20, 0), needed(100, 0));
        println!("| {} % | {usual} | {points} | {one} |", errors * 100.0);
    }
}

fn report_alike(kind: &Kind, releases: &[Release], plan: &Plan) {
    let stopped = |rule: usize| releases.iter().filter(move |it| it.stops[rule].is_some());
    let shares = (0..plan.rules()).map(|rule| {
        let part = 100.0 * stopped(rule).count() as f64 / releases.len() as f64;
        format!("{part:.2} %")
    });
    let passes: Vec<_> = releases.iter().filter_map(|it| it.passed).collect();
    println!(
        "| {} ({}) | {} | {:.1} % | {} |",
        kind.name,
        releases.len(),
        shares.collect::<Vec<_>>().join(" | "),
        100.0 * passes.len() as f64 / releases.len() as f64,
        median(passes.iter().map(|pass| pass.0).collect()),
    );
}

fn report(kind: &Kind, releases: &[Release], plan: &Plan) {
    let begins = match kind.hard {
        Hard::Late(after) => after,
        _ => 0,
    };
    let cells = (0..plan.rules()).map(|rule| {
        let times: Vec<u32> = releases
            .iter()
            .filter_map(|it| it.stops[rule])
            .filter(|stop| *stop > begins)
            .map(|stop| stop - begins)
            .collect();
        let stopped = 100.0 * times.len() as f64 / releases.len() as f64;
        format!("{stopped:.0} %, {}", median(times))
    });
    println!(
        "| {} | {} |",
        kind.name,
        cells.collect::<Vec<_>>().join(" | ")
    );
}

fn median(mut times: Vec<u32>) -> String {
    times.sort_unstable();
    let middle = times.get(times.len() / 2);
    middle.map_or_else(|| "-".to_owned(), |time| format!("{time} s"))
}
