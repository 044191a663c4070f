//! What an earlier run left behind: processes that are taken over, and strangers that are ended.

use std::{path::Path, sync::Arc};

use domain::{observation::InstanceId, slice::Slice};

use super::{
    instance::{self, TERM_TO_KILL},
    world::Daemon,
};
use crate::{family, group::ProcessId, process::Process};

/// What marks the processes of an instance.
pub(super) fn mark(folder: &Path, id: &InstanceId) -> String {
    format!("{}{}", id, suffix(folder))
}

/// What ends the marks of all instances of one state folder.
fn suffix(folder: &Path) -> String {
    format!("@{}", folder.display())
}

/// Takes over what an earlier run left: processes that still run get a task and serve at once; the
/// supervisor replaces members without a process. Processes that carry a mark of this folder and
/// belong to no member are ended.
///
/// # Errors
/// When the processes of this machine cannot be listed.
pub(super) fn adopt_all(daemon: &Arc<Daemon>) -> std::io::Result<()> {
    let marked = family::marked(&suffix(&daemon.folder))?;
    let mut world = daemon.world();
    let ids: Vec<(String, Slice, InstanceId)> = world
        .saved
        .members()
        .map(|(place, slice, member)| (place.clone(), slice, member.id.clone()))
        .collect();
    for (place, slice, id) in ids {
        let Some(member) = world.saved.member(&id) else {
            continue;
        };
        let mark = mark(&daemon.folder, &id);
        let oldest = marked.iter().find(|(found, _)| *found == mark);
        let found = member.process.or(oldest.map(|(_, process)| *process));
        member.process = found.filter(|process| Process::adopt(*process).is_ok());
        if member.process.is_some() {
            instance::spawn(daemon, &mut world, (&place, slice), id);
        } else if let Some(slot) = world.saved.slot(&place, slice) {
            tracing::warn!(instance.id = %id, "its process is gone");
            slot.members.retain(|member| member.id != id);
        }
    }
    let adopted: Vec<String> = (world.live.keys())
        .map(|id| mark(&daemon.folder, id))
        .collect();
    let strangers = marked
        .into_iter()
        .filter(|(mark, _)| !adopted.contains(mark));
    end_all(strangers.collect());
    daemon.settle(&mut world);
    Ok(())
}

/// Ends processes that an earlier run started and did not write down, or whose instance is gone.
fn end_all(strangers: Vec<(String, ProcessId)>) {
    for (mark, process) in strangers {
        tracing::warn!(instance = %mark, process.id = process.pid, "ending a process that belongs to no instance");
        tokio::spawn(async move { family::end(vec![process], &mark, TERM_TO_KILL).await });
    }
}
