//! One look, in one sentence with its numbers.

use std::fmt;

use super::{CeilingLook, Conclusion, Culprit, Judged, Look, PercentileLook, Unit};
use crate::time::human_ms;

impl fmt::Display for Look {
    /// What failed where something did; what is still open where something is; everything otherwise.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.requests_new == 0 {
            return f.write_str("no requests to the new release yet");
        }
        if self.requests_stable == 0 {
            return f.write_str("no requests to stable to compare with yet");
        }
        f.write_str(&self.parts().join(", "))?;
        if let Some(culprit) = &self.culprit {
            write!(f, "; {culprit}")?;
        }
        if self.warm_up_ms_left > 0 && self.verdict != Conclusion::Worse {
            let left = human_ms(self.warm_up_ms_left);
            return write!(f, "; warming up for {left}, only gross errors count");
        }
        match self.verdict {
            Conclusion::Worse | Conclusion::NotWorse => Ok(()),
            Conclusion::NotEnough {
                more_requests: Some(more),
            } => {
                let unit = match self.unit {
                    Unit::Requests => "requests",
                    Unit::Users => "users",
                };
                write!(f, "; about {} more {unit} needed", rounded(more))
            }
            Conclusion::NotEnough {
                more_requests: None,
            } => f.write_str("; more requests needed"),
        }
    }
}

impl Look {
    /// The measurements that are shown, each in words.
    fn parts(&self) -> Vec<String> {
        let worse = self.verdict == Conclusion::Worse;
        let shown = |verdict: Conclusion| !worse || verdict == Conclusion::Worse;
        let mut parts = Vec::new();
        if shown(self.errors.verdict) {
            let what = match self.unit {
                Unit::Requests => "errors",
                Unit::Users => "users with errors",
            };
            parts.push(compared(what, &self.errors));
        }
        // What can only stop a release is not worth a word until it does.
        let client = self.client_errors.iter();
        let client = client.filter(|it| it.verdict == Conclusion::Worse);
        let what = match self.unit {
            Unit::Requests => "answers with a 4xx",
            Unit::Users => "users who got a 4xx",
        };
        parts.extend(client.map(|it| compared(what, it)));
        let warm = self.warm_up_ms_left == 0;
        let percentiles = self.latency.iter().filter(|it| {
            let worth = !it.only_stops || it.judged.verdict == Conclusion::Worse;
            warm && worth && shown(it.judged.verdict)
        });
        parts.extend(percentiles.map(PercentileLook::to_string));
        let ceilings = [
            ("errors", &self.error_ceiling),
            ("slow answers", &self.latency_ceiling),
        ];
        for (what, ceiling) in ceilings {
            let ceiling = ceiling.filter(|it| it.verdict != Conclusion::NotWorse);
            parts.extend(
                ceiling
                    .filter(|it| shown(it.verdict))
                    .map(|it| above(what, it)),
            );
        }
        parts
    }
}

fn compared(what: &str, judged: &Judged) -> String {
    format!(
        "{what} {} against {} of stable{}",
        Percent(judged.new_ppm),
        Percent(judged.stable_ppm),
        Remark(judged.verdict)
    )
}

fn above(what: &str, ceiling: CeilingLook) -> String {
    format!(
        "{what} {} where at most {} are allowed{}",
        Percent(ceiling.new_ppm),
        Percent(ceiling.max_ppm.into()),
        match ceiling.verdict {
            Conclusion::Worse => " (more, sure beyond 99 %)",
            Conclusion::NotWorse | Conclusion::NotEnough { .. } => " (not sure yet)",
        }
    )
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            instance,
            errors,
            of,
        } = self;
        write!(f, "{errors} of {of} errors are of {instance}")
    }
}

impl fmt::Display for PercentileLook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p{} {} against {} of stable{}",
            self.percent,
            Duration(self.new_us),
            Duration(self.stable_us),
            Remark(self.judged.verdict)
        )
    }
}

/// What follows from one measurement, in brackets.
struct Remark(Conclusion);

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Conclusion::Worse => " (worse, sure beyond 99 %)",
            Conclusion::NotWorse => " (not worse)",
            Conclusion::NotEnough { .. } => " (not sure yet)",
        })
    }
}

/// Millionths as percent, with the digits that matter.
struct Percent(i64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.0 as f64 / 10_000.0;
        match self.0 {
            0 => f.write_str("0 %"),
            i64::MIN..1_000 => write!(f, "{percent:.3} %"),
            1_000..10_000 => write!(f, "{percent:.2} %"),
            _ => write!(f, "{percent:.1} %"),
        }
    }
}

/// Microseconds in a unit that people read.
struct Duration(Option<u64>);

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("no value"),
            Some(us @ ..10_000) => write!(f, "{:.1} ms", us as f64 / 1e3),
            Some(us @ ..10_000_000) => write!(f, "{} ms", us / 1000),
            Some(us) => write!(f, "{} s", us / 1_000_000),
        }
    }
}

/// An estimate, with the two digits that it deserves.
fn rounded(number: u64) -> u64 {
    let unit = 10_u64.pow(number.checked_ilog10().unwrap_or(0).saturating_sub(1));
    number.div_ceil(unit) * unit
}
