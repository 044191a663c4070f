//! What may keep a deployment from beginning, and costs calls of its own to find out.
//!
//! Invariant: only callers about to begin a deployment wait for these checks and fail with them. Polls
//! that drive deployments are over before a check starts.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::{names::Place, observation::Observation, slice::Slice, time::UnixMs};
use engine::ports::ProviderError;
use tokio::sync::Semaphore;

use crate::{
    calls::{call::DESCRIBE_SUBNETS, clients::Clients, retry::retry},
    observe::account_state::AccountState,
    resources::{groups::Group, instances::Ec2Instance, quotas::Quotas, refreshes},
};

/// How long findings are believed, in milliseconds: somebody may be removing an obstacle right now.
const FRESH_MS: u64 = 10_000;
/// How many places are checked at once: everybody shares the rate limits.
const AT_ONCE: usize = 2;
/// Nobody waits longer for a warning.
const WARNINGS_MAX: Duration = Duration::from_secs(3);

/// The Auto Scaling group of a slice, as a poll showed it.
#[derive(Debug)]
pub struct SliceGroup {
    slice: Slice,
    group: Group,
    /// What EC2 knows of its members.
    instances: Vec<Ec2Instance>,
}

impl SliceGroup {
    /// The group with this name, if it exists.
    pub fn of(slice: Slice, name: &str, account: &AccountState) -> Option<Self> {
        let group = account.groups.get(name)?.clone();
        let members = group.members.iter();
        let instances = members.filter_map(|it| account.instances.get(&it.id).cloned());
        Some(Self {
            slice,
            instances: instances.collect(),
            group,
        })
    }
}

/// What was found, by slice.
#[derive(Debug, Clone, Default)]
pub struct Findings(BTreeMap<Slice, Finding>);

/// What may keep a slice from being deployed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finding {
    /// Why it must not be changed.
    pub obstacles: Vec<String>,
    /// How many addresses are free for more instances, where that is known.
    pub room: Option<u32>,
    /// What may keep more instances from starting.
    pub warnings: Vec<String>,
}

impl Findings {
    /// Adds them to an observation.
    pub fn add_to(self, observation: &mut Observation) {
        for (slice, finding) in self.0 {
            if let Some(seen) = observation.slices.get_mut(&slice) {
                seen.obstacles.extend(finding.obstacles);
                seen.warnings.extend(finding.warnings);
                seen.room = finding.room;
            }
        }
    }
}

/// The last findings of each place. All of them can be forgotten.
#[derive(Debug)]
pub struct AdmissionChecks {
    known: Mutex<BTreeMap<Place, (UnixMs, Findings)>>,
    quotas: Quotas,
    running: Semaphore,
}

impl Default for AdmissionChecks {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            quotas: Quotas::default(),
            running: Semaphore::new(AT_ONCE),
        }
    }
}

impl AdmissionChecks {
    /// Whether there are findings about `place` that are still believed.
    pub fn knows(&self, place: &Place, now: UnixMs) -> bool {
        self.fresh(place, now).is_some()
    }

    /// What may keep a deployment from beginning at `place`.
    ///
    /// # Errors
    /// When AWS does not say whether somebody else is changing the groups.
    pub async fn check(
        &self,
        clients: &Clients,
        place: &Place,
        groups: &[SliceGroup],
        now: UnixMs,
    ) -> Result<Findings, ProviderError> {
        let _permit = self.running.acquire().await;
        if let Some(findings) = self.fresh(place, now) {
            return Ok(findings);
        }
        let mut findings = BTreeMap::new();
        for it in groups {
            let mut finding = examine(clients, &it.group).await?;
            let name = &it.group.name;
            let warnings = self.quotas.warnings(clients, name, &it.instances, now);
            let warnings = tokio::time::timeout(WARNINGS_MAX, warnings).await;
            finding.warnings.extend(warnings.unwrap_or_default());
            findings.insert(it.slice, finding);
        }
        let findings = Findings(findings);
        self.lock().insert(place.clone(), (now, findings.clone()));
        Ok(findings)
    }

    fn fresh(&self, place: &Place, now: UnixMs) -> Option<Findings> {
        let mut known = self.lock();
        known.retain(|_, (found_at, _)| now.since_ms(*found_at) < FRESH_MS);
        known.get(place).map(|(_, findings)| findings.clone())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Place, (UnixMs, Findings)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks whether an instance refresh of the group is under way, and how much room its subnets have.
///
/// # Errors
/// When AWS does not say whether a refresh is under way.
pub async fn examine(clients: &Clients, group: &Group) -> Result<Finding, ProviderError> {
    let refresh = retry(|| refresh_under_way(clients, &group.name)).await?;
    let mut finding = Finding {
        obstacles: refresh.into_iter().collect(),
        ..Finding::default()
    };
    match room(clients, group).await {
        Ok(room) => finding.room = room,
        Err(error) => finding.warnings.push(format!(
            "the number of free addresses in the subnets of {} is not known: {}",
            group.name, error.message
        )),
    }
    Ok(finding)
}

async fn refresh_under_way(clients: &Clients, name: &str) -> Result<Option<String>, ProviderError> {
    let last = refreshes::last(clients, name).await?;
    Ok(last.filter(|it| it.state.is_active()).map(|it| {
        let id = it.id;
        format!("the instance refresh {id} of the Auto Scaling group {name} is under way")
    }))
}

/// How many addresses are free in the group's subnets.
async fn room(clients: &Clients, group: &Group) -> Result<Option<u32>, ProviderError> {
    if group.subnets.is_empty() {
        return Ok(None);
    }
    let request = clients.ec2.describe_subnets();
    let request = request.set_subnet_ids(Some(group.subnets.clone()));
    let answer = clients.make(&DESCRIBE_SUBNETS, request.send()).await?;
    let free = answer
        .subnets()
        .iter()
        .filter_map(|it| it.available_ip_address_count());
    let free: i64 = free.map(i64::from).sum();
    Ok(u32::try_from(free).ok())
}
