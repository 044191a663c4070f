//! Stages as people write them: `1%:2m,10%:5m,50%:10m`, `5,25,50,100`, or the names that users of
//! CodeDeploy know, such as `Canary10Percent5Minutes`.

use std::str::FromStr;

use super::Stage;

/// A list of stages, read from text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stages(pub Vec<Stage>);

/// Why a text is no list of stages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no list of stages; write shares that grow, each with a time, such as 1%:2m,10%:5m,50%:10m, or a name such as Canary10Percent5Minutes, Linear10PercentEvery1Minutes, AllAtOnce"
)]
pub struct StagesInvalid(String);

impl FromStr for Stages {
    type Err = StagesInvalid;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let stages = named(text).or_else(|| listed(text));
        let grows = |stages: &Vec<Stage>| {
            let shares: Vec<u8> = stages.iter().map(|stage| stage.percent).collect();
            shares.is_sorted_by(|one, next| one < next)
                && shares.iter().all(|share| (1..=100).contains(share))
        };
        stages
            .filter(grows)
            .map(Self)
            .ok_or_else(|| StagesInvalid(text.to_owned()))
    }
}

fn listed(text: &str) -> Option<Vec<Stage>> {
    text.split(',').map(|part| stage(part.trim())).collect()
}

/// `10%:5m`, `10:300`, `10%`.
fn stage(text: &str) -> Option<Stage> {
    let (percent, time) = text.split_once(':').unwrap_or((text, "0"));
    Some(Stage {
        percent: percent.trim_end_matches('%').trim().parse().ok()?,
        seconds: seconds(time.trim())?,
    })
}

/// A length of time in whole seconds, written `90`, `90s`, `2m` or `1h`.
fn seconds(text: &str) -> Option<u32> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        _ => return None,
    };
    digits.parse::<u32>().ok()?.checked_mul(unit)
}

/// The configurations of CodeDeploy: one first share and then the rest, or equal shares.
fn named(text: &str) -> Option<Vec<Stage>> {
    if text.eq_ignore_ascii_case("AllAtOnce") {
        return Some(vec![Stage {
            percent: 100,
            seconds: 0,
        }]);
    }
    let (kind, rest) = text
        .strip_prefix("Canary")
        .map(|rest| ("Canary", rest))
        .or_else(|| text.strip_prefix("Linear").map(|rest| ("Linear", rest)))?;
    let between = if kind == "Canary" {
        "Percent"
    } else {
        "PercentEvery"
    };
    let (percent, minutes) = rest.split_once(between)?;
    let percent: u8 = percent.parse().ok().filter(|p| (1..=99).contains(p))?;
    let minutes = minutes
        .strip_suffix("Minutes")
        .or_else(|| minutes.strip_suffix("Minute"))?;
    let seconds = minutes.parse::<u32>().ok()?.checked_mul(60)?;
    let last = if kind == "Canary" { percent } else { 99 };
    let shares = (percent..=last).step_by(usize::from(percent));
    let stages = shares.map(|percent| Stage { percent, seconds });
    Some(
        stages
            .chain([Stage {
                percent: 100,
                seconds: 0,
            }])
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match text.parse::<Stages>() {
            Ok(Stages(stages)) => stages
                .iter()
                .map(|stage| format!("{}:{}", stage.percent, stage.seconds))
                .collect::<Vec<_>>()
                .join(" "),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn stages_are_read_as_people_write_them() {
        for (text, stages) in [
            ("1%:2m,10%:5m,50%:10m", "1:120 10:300 50:600"),
            ("5,25,50,100", "5:0 25:0 50:0 100:0"),
            ("10:30s, 100", "10:30 100:0"),
            ("AllAtOnce", "100:0"),
            ("Canary10Percent5Minutes", "10:300 100:0"),
            (
                "Linear10PercentEvery1Minutes",
                "10:60 20:60 30:60 40:60 50:60 60:60 70:60 80:60 90:60 100:0",
            ),
            (
                "Linear10PercentEvery1Minute",
                &read("Linear10PercentEvery1Minutes"),
            ),
        ] {
            assert_eq!(read(text), stages, "{text}");
        }
    }

    #[test]
    fn what_is_no_list_of_stages_says_how_to_write_one() {
        for text in [
            "",
            "0%",
            "101",
            "50,10",
            "10,10",
            "10%:2d",
            "Canary0Percent5Minutes",
            "Canary10",
            "ten",
            "5%:99999999h",
            "-1",
        ] {
            assert!(
                read(text).contains("such as 1%:2m"),
                "{text}: {}",
                read(text)
            );
        }
    }
}
