//! Instances as EC2 knows them, whatever group they are in.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use aws_sdk_ec2::types::{Filter, Instance, InstanceStatus, InstanceStatusSummary};
use domain::time::UnixMs;
use engine::ports::{ErrorKind, ProviderError};

use crate::calls::{
    call::{DESCRIBE_INSTANCE_STATUS, DESCRIBE_INSTANCES},
    clients::Clients,
    retry::retry,
};

/// Most instances that are asked for by id in one call.
const IDS_MAX: usize = 100;
/// Most instances that are remembered.
const REMEMBERED_MAX: usize = 50_000;

/// What EC2 knows of an instance, and never changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ec2Instance {
    /// When it was launched.
    pub launched_at: UnixMs,
    /// Its image.
    pub image: String,
    /// Its instance type.
    pub instance_type: String,
    /// Whether it runs on spare capacity that AWS may take back.
    pub is_spot: bool,
}

/// The instances that were read. All of them can be forgotten.
#[derive(Debug, Default)]
pub struct Instances {
    known: Mutex<BTreeMap<String, Ec2Instance>>,
}

impl Instances {
    /// These instances by id, without those that EC2 does not know yet. EC2 is asked only for those that
    /// were not read before.
    pub async fn describe(
        &self,
        clients: &Clients,
        ids: &BTreeSet<&str>,
    ) -> Result<BTreeMap<String, Ec2Instance>, ProviderError> {
        let unknown: Vec<String> = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let unknown = ids.iter().filter(|id| !known.contains_key(**id));
            unknown.map(|id| (*id).to_owned()).collect()
        };
        let found = retry(|| describe(clients, &unknown)).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > REMEMBERED_MAX {
            known.clear();
        }
        known.extend(found);
        let here = ids.iter().filter_map(|id| known.get_key_value(*id));
        Ok(here.map(|(id, it)| (id.clone(), it.clone())).collect())
    }
}

async fn describe(
    clients: &Clients,
    ids: &[String],
) -> Result<BTreeMap<String, Ec2Instance>, ProviderError> {
    let mut found = BTreeMap::new();
    for ids in ids.chunks(IDS_MAX) {
        let filter = Filter::builder().name("instance-id");
        let filter = filter.set_values(Some(ids.to_vec())).build();
        let mut next = None;
        loop {
            let request = clients.ec2.describe_instances().filters(filter.clone());
            let request = request.set_next_token(next);
            let page = clients.make(&DESCRIBE_INSTANCES, request.send()).await?;
            let instances = page.reservations().iter().flat_map(|it| it.instances());
            found.extend(instances.filter_map(read));
            next = page
                .next_token()
                .filter(|it| !it.is_empty())
                .map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
    }
    Ok(found)
}

fn read(instance: &Instance) -> Option<(String, Ec2Instance)> {
    let launched_at = instance.launch_time()?.to_millis().ok()?;
    let instance_type = instance.instance_type().map(|it| it.as_str().to_owned());
    let read = Ec2Instance {
        launched_at: UnixMs(launched_at),
        image: instance.image_id().unwrap_or_default().to_owned(),
        instance_type: instance_type.unwrap_or_default(),
        is_spot: instance.instance_lifecycle().is_some(),
    };
    Some((instance.instance_id()?.to_owned(), read))
}

/// Those of `ids` that pass EC2's status checks.
pub async fn passed_status_checks(
    clients: &Clients,
    ids: &[String],
) -> Result<BTreeSet<String>, ProviderError> {
    let mut passed = BTreeSet::new();
    for ids in ids.chunks(IDS_MAX) {
        let request = clients.ec2.describe_instance_status();
        let request = request.set_instance_ids(Some(ids.to_vec()));
        let answer = match clients
            .make(&DESCRIBE_INSTANCE_STATUS, request.send())
            .await
        {
            // One of them is gone, or not known everywhere yet: the next poll knows more.
            Err(failed) if failed.error.kind == ErrorKind::Missing => continue,
            other => other?,
        };
        let passing = answer.instance_statuses().iter().filter(|it| is_ok(it));
        passed.extend(passing.filter_map(|it| it.instance_id().map(str::to_owned)));
    }
    Ok(passed)
}

fn is_ok(status: &InstanceStatus) -> bool {
    let is_ok = |summary: Option<&InstanceStatusSummary>| {
        summary.and_then(|it| it.status()).map(|it| it.as_str()) == Some("ok")
    };
    is_ok(status.instance_status()) && is_ok(status.system_status())
}
