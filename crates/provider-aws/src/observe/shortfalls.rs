//! Why a group does not get the instances that it asks for, in AWS's words.
//!
//! Invariant: no calls while instances come. AWS is asked about a group once it has been short of members
//! for [`PATIENCE_MS`], and not again within [`FRESH_MS`].

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_autoscaling::types::{Activity, ScalingActivityStatusCode};
use domain::time::UnixMs;
use engine::ports::{ErrorKind, ProviderError};
use tokio::sync::Mutex;

use crate::{
    calls::{call::DESCRIBE_SCALING_ACTIVITIES, clients::Clients},
    resources::groups::Group,
};

/// How long Auto Scaling may take to start instances, in milliseconds.
const PATIENCE_MS: u64 = 10_000;
/// How long an answer is kept, in milliseconds.
const FRESH_MS: u64 = 15_000;
/// How many of the newest activities are read: those under way come first.
const ACTIVITIES_MAX: i32 = 50;
/// Older activities, and those from long before the group was seen to be short, are about something
/// else.
const AGE_MS_MAX: u64 = 900_000;
const BEFORE_MS_MAX: u64 = 30_000;
/// Longest text of AWS that is shown, in characters.
const TEXT_MAX: usize = 300;

/// Most groups that AWS is asked about in one poll, so that many in trouble do not delay the others.
const ASKED_MAX: usize = 8;
/// Groups that were not polled for this long are forgotten, in milliseconds.
const KEPT_MS: u64 = 60_000;

/// No poll waits longer for explanations.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// How long AWS is left alone after it did not answer, in milliseconds.
const SILENCE_MS: u64 = 60_000;

/// Groups that are short of members.
#[derive(Debug, Default)]
pub struct Shortfalls(Mutex<Groups>);

#[derive(Debug, Default)]
struct Groups {
    groups: BTreeMap<String, Shortfall>,
    failed_at: Option<UnixMs>,
}

#[derive(Debug)]
struct Shortfall {
    since: UnixMs,
    polled_at: UnixMs,
    asked_at: Option<UnixMs>,
    explanation: Option<String>,
}

impl Shortfalls {
    /// What AWS says of those of `groups` that stay short of members, by name.
    pub async fn explain(
        &self,
        clients: &Clients,
        groups: &BTreeMap<String, Group>,
        now: UnixMs,
    ) -> BTreeMap<String, String> {
        let mut known = self.0.lock().await;
        let Groups {
            groups: short,
            failed_at,
        } = &mut *known;
        note(short, groups, now);
        if failed_at.is_none_or(|at| now.since_ms(at) >= SILENCE_MS) {
            let answered = tokio::time::timeout(WAIT_MAX, learn(clients, short, now)).await;
            *failed_at = (answered != Ok(true)).then_some(now);
        }
        let here = short.iter().filter(|(name, _)| groups.contains_key(*name));
        here.filter_map(|(name, it)| Some((name.clone(), it.explanation.clone()?)))
            .collect()
    }
}

/// Asks about the groups that are due; false: AWS did not answer.
async fn learn(clients: &Clients, short: &mut BTreeMap<String, Shortfall>, now: UnixMs) -> bool {
    for name in due(short, now) {
        let Some(shortfall) = short.get_mut(&name) else {
            continue;
        };
        shortfall.asked_at = Some(now);
        let answer = ask(clients, &name, shortfall.since, now).await;
        let answers = answer.is_ok();
        shortfall.learn(answer);
        if !answers {
            return false;
        }
    }
    true
}

impl Shortfall {
    /// An explanation is a convenience: if AWS does not answer, the last one stays.
    fn learn(&mut self, answer: Result<Option<String>, ProviderError>) {
        match answer {
            Ok(explanation) => self.explanation = explanation,
            Err(error) if error.kind == ErrorKind::Denied => {
                let why = error.message;
                self.explanation = Some(format!("Pointsman may not read the reason: {why}"));
            }
            Err(error) => {
                let error = error.message;
                tracing::debug!(error, "why instances do not start is not known");
            }
        }
    }
}

/// Which groups are short of members now, and since when.
fn note(known: &mut BTreeMap<String, Shortfall>, groups: &BTreeMap<String, Group>, now: UnixMs) {
    known.retain(|_, it| now.since_ms(it.polled_at) < KEPT_MS);
    for (name, group) in groups {
        if !is_short(group) {
            known.remove(name);
            continue;
        }
        let shortfall = known.entry(name.clone()).or_insert(Shortfall {
            since: now,
            polled_at: now,
            asked_at: None,
            explanation: None,
        });
        shortfall.polled_at = now;
    }
}

/// The groups that AWS is asked about now, those that have waited longest first.
fn due(known: &BTreeMap<String, Shortfall>, now: UnixMs) -> Vec<String> {
    let is_due = |it: &Shortfall| match it.asked_at {
        None => now.since_ms(it.since) >= PATIENCE_MS,
        Some(at) => now.since_ms(at) >= FRESH_MS,
    };
    let mut due: Vec<_> = known
        .iter()
        .filter(|(_, it)| it.polled_at == now && is_due(it))
        .collect();
    due.sort_by_key(|(_, it)| it.asked_at);
    let names = due.into_iter().map(|(name, _)| name.clone());
    names.take(ASKED_MAX).collect()
}

fn is_short(group: &Group) -> bool {
    let leaving = |lifecycle: &str| lifecycle.starts_with("Terminat");
    let members = group.members.iter();
    let present = members.filter(|it| !leaving(&it.lifecycle)).count();
    present < usize::try_from(group.sizes.desired).unwrap_or(usize::MAX)
}

async fn ask(
    clients: &Clients,
    name: &str,
    since: UnixMs,
    now: UnixMs,
) -> Result<Option<String>, ProviderError> {
    let request = clients.scaling.describe_scaling_activities();
    let request = request.auto_scaling_group_name(name);
    let request = request.max_records(ACTIVITIES_MAX);
    let answer = clients
        .make(&DESCRIBE_SCALING_ACTIVITIES, request.send())
        .await?;
    Ok(newest_failure(answer.activities(), since, now))
}

fn newest_failure(activities: &[Activity], since: UnixMs, now: UnixMs) -> Option<String> {
    let failures = activities.iter().filter_map(|activity| {
        let failed = matches!(
            activity.status_code()?,
            ScalingActivityStatusCode::Failed | ScalingActivityStatusCode::Cancelled
        );
        let at = UnixMs(activity.start_time()?.to_millis().ok()?);
        let recent = now.since_ms(at) < AGE_MS_MAX && since.since_ms(at) < BEFORE_MS_MAX;
        let text = activity.status_message()?;
        (failed && recent).then_some((at, text))
    });
    let (_, text) = failures.max_by_key(|(at, _)| *at)?;
    Some(text.chars().take(TEXT_MAX).collect())
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::primitives::DateTime;
    use domain::observation::Sizes;

    use super::*;
    use crate::resources::groups::Member;

    fn activity(at_ms: i64, status: &str, text: Option<&str>) -> Activity {
        Activity::builder()
            .activity_id("a")
            .auto_scaling_group_name("shop")
            .cause("somebody wanted it")
            .start_time(DateTime::from_millis(at_ms))
            .status_code(status.into())
            .set_status_message(text.map(str::to_owned))
            .description("Launching a new EC2 instance.")
            .build()
    }

    #[test]
    fn the_newest_failure_is_reported() {
        let now = UnixMs(10_000_000);
        let report = |activities: &[Activity]| newest_failure(activities, UnixMs(9_720_000), now);
        let old = activity(9_000_000, "Failed", Some("too old"));
        let good = activity(9_990_000, "Successful", Some("fine"));
        let first = activity(9_700_000, "Failed", Some("no capacity"));
        let last = activity(9_800_000, "Failed", Some("no quota"));
        let silent = activity(9_900_000, "Cancelled", None);
        assert_eq!(report(&[good.clone(), old.clone()]), None);
        let said = report(&[good, first.clone(), last.clone(), old]);
        assert_eq!(said.as_deref(), Some("no quota"));
        let said = report(&[silent, last, first.clone()]);
        assert_eq!(
            said.as_deref(),
            Some("no quota"),
            "a failure without a message is not reported"
        );
        let before = newest_failure(&[first], UnixMs(9_740_000), now);
        assert_eq!(before, None, "it was short long before");
        let long = activity(9_900_000, "Failed", Some(&"ü".repeat(1000)));
        assert_eq!(report(&[long]).unwrap().chars().count(), TEXT_MAX);
    }

    fn group(lifecycles: &[&str]) -> Group {
        let member = |lifecycle: &&str| Member {
            id: (*lifecycle).to_owned(),
            zone: "a".to_owned(),
            lifecycle: (*lifecycle).to_owned(),
            healthy: true,
            protected: false,
            launched: None,
        };
        Group {
            sizes: Sizes {
                min: 0,
                desired: 2,
                max: 2,
            },
            members: lifecycles.iter().map(member).collect(),
            ..Group::default()
        }
    }

    #[test]
    fn who_leaves_does_not_count() {
        assert!(!is_short(&group(&["InService", "Pending:Wait"])));
        assert!(is_short(&group(&["InService", "Terminating:Wait"])));
        assert!(is_short(&group(&["InService", "Terminated"])));
    }
    #[test]
    fn aws_is_asked_seldom_and_about_everybody_in_turn() {
        let names = |numbers: std::ops::Range<u32>| numbers.map(|n| format!("g{n:02}"));
        let groups = names(0..12).map(|name| (name, group(&["InService"])));
        let mut groups: BTreeMap<String, Group> = groups.collect();
        let mut known = BTreeMap::new();
        let mut asked_at = |second: i64, groups: &BTreeMap<String, Group>| {
            let now = UnixMs(second * 1000);
            note(&mut known, groups, now);
            let asked = due(&known, now);
            for name in &asked {
                known.get_mut(name).unwrap().asked_at = Some(now);
            }
            asked
        };
        assert_eq!(asked_at(0, &groups), [""; 0]);
        assert_eq!(asked_at(9, &groups), [""; 0]);
        assert_eq!(asked_at(10, &groups), names(0..8).collect::<Vec<_>>());
        assert_eq!(asked_at(11, &groups), names(8..12).collect::<Vec<_>>());
        assert_eq!(asked_at(12, &groups), [""; 0]);
        groups.insert("g00".to_owned(), group(&["InService", "Pending"]));
        let then = asked_at(26, &groups);
        assert_eq!(then, names(1..9).collect::<Vec<_>>(), "g00 is whole");
        assert_eq!(asked_at(200, &groups), [""; 0], "all was forgotten");
    }
}
