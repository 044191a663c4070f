//! One look, in one sentence with its numbers.

use std::fmt;

use super::{Conclusion, Judged, Look, PercentileLook};

impl fmt::Display for Look {
    /// What failed where something did; what is still open where something is; everything otherwise.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.requests_new == 0 {
            return f.write_str("no requests to the new release yet");
        }
        if self.requests_stable == 0 {
            return f.write_str("no requests to stable to compare with yet");
        }
        let shown =
            |judged: &Judged| self.verdict != Conclusion::Worse || judged.verdict == self.verdict;
        let mut parts = Vec::new();
        if shown(&self.errors) {
            parts.push(errors(&self.errors));
        }
        let percentiles = self.latency.iter().filter(|look| shown(&look.judged));
        parts.extend(percentiles.map(PercentileLook::to_string));
        f.write_str(&parts.join(", "))?;
        match self.verdict {
            Conclusion::Worse | Conclusion::NotWorse => Ok(()),
            Conclusion::NotEnough {
                more_requests: Some(more),
            } => write!(f, "; about {} more requests needed", rounded(more)),
            Conclusion::NotEnough {
                more_requests: None,
            } => f.write_str("; more requests needed"),
        }
    }
}

fn errors(judged: &Judged) -> String {
    format!(
        "errors {} against {} of stable{}",
        Percent(judged.new_ppm),
        Percent(judged.stable_ppm),
        Remark(judged.verdict)
    )
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
