//! The processes of an instance: its own, those that it started, and those that put themselves into
//! the background. They are found in `/proc`, by their group, their parents and a mark in their
//! environment.
//!
//! Invariant: a process is named by its id and its start time, so it cannot be mistaken for a later
//! one with the same id.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt,
    time::Duration,
};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, waitpid,
};

use crate::{group::ProcessId, shortage};

/// The environment variable that marks the processes of instances.
pub(crate) const MARK: &str = "POINTSMAN_INSTANCE";
/// Pause between two looks at processes that should end.
const POLL: Duration = Duration::from_millis(50);
/// Pause between two looks while none can be taken.
const SHORT: Duration = Duration::from_millis(500);

/// A process as `/proc/PID/stat` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    id: ProcessId,
    ended: bool,
    parent: i32,
    group: i32,
}

/// The processes of an instance that was started as `leader` and carries `mark`. Groups and parents
/// count only while the leader runs: later, another process may have its number.
///
/// # Errors
/// When `/proc` cannot be read now.
pub(crate) fn of(leader: ProcessId, mark: &str) -> io::Result<Vec<ProcessId>> {
    let all = all()?;
    let lives = all.iter().any(|seen| seen.id == leader);
    let mut found = BTreeMap::new();
    for seen in &all {
        let related = lives && (seen.id == leader || seen.group == leader.pid);
        if related || mark_of(seen.id.pid)?.as_deref() == Some(mark) {
            found.insert(seen.id.pid, *seen);
        }
    }
    loop {
        let is_child =
            |seen: &&Seen| found.contains_key(&seen.parent) && !found.contains_key(&seen.id.pid);
        let children: Vec<Seen> = all.iter().filter(is_child).copied().collect();
        if children.is_empty() {
            break;
        }
        found.extend(children.into_iter().map(|seen| (seen.id.pid, seen)));
    }
    let found = found.into_values().filter(|seen| !seen.ended);
    Ok(found.map(|seen| seen.id).collect())
}

/// Every process with a mark that ends in `suffix`, with its mark.
///
/// # Errors
/// When `/proc` cannot be read now.
pub(crate) fn marked(suffix: &str) -> io::Result<Vec<(String, ProcessId)>> {
    let mut found = Vec::new();
    for seen in all()?.into_iter().filter(|seen| !seen.ended) {
        let mark = mark_of(seen.id.pid)?;
        found.extend(
            mark.filter(|it| it.ends_with(suffix))
                .map(|it| (it, seen.id)),
        );
    }
    // An instance may have children: the oldest process is the one that was started.
    found.sort_by_key(|(_, id)| (id.started_ticks, id.pid));
    Ok(found)
}

/// Ends processes, and whatever carries `mark`: asks them to, and kills those that are left after
/// `grace`, again and again until none is left. Returns how many there were.
pub(crate) async fn end(mut known: Vec<ProcessId>, mark: &str, grace: Duration) -> usize {
    let begun = tokio::time::Instant::now();
    let mut met = BTreeSet::new();
    loop {
        let (task_known, task_mark) = (known.clone(), mark.to_owned());
        let look = tokio::task::spawn_blocking(move || left(&task_known, &task_mark)).await;
        let Ok(Ok(left)) = look else {
            tokio::time::sleep(SHORT).await;
            continue;
        };
        if left.is_empty() {
            return met.len();
        }
        let late = begun.elapsed() >= grace;
        for id in &left {
            let signal = match (late, met.insert(id.pid)) {
                (true, _) => Signal::KILL,
                (false, true) => Signal::TERM,
                (false, false) => continue,
            };
            // One that is gone by now needs no signal; another round follows in any case.
            let _ = send(*id, signal);
        }
        known = left;
        tokio::time::sleep(POLL).await;
    }
}

/// The processes that are left of `known`, and those that carry `mark`.
fn left(known: &[ProcessId], mark: &str) -> io::Result<Vec<ProcessId>> {
    let mut left = Vec::new();
    for seen in all()?.into_iter().filter(|seen| !seen.ended) {
        if known.contains(&seen.id) || mark_of(seen.id.pid)?.as_deref() == Some(mark) {
            left.push(seen.id);
        }
    }
    Ok(left)
}

/// Sends a signal to one process, if it is still the same one.
fn send(id: ProcessId, signal: Signal) -> io::Result<()> {
    let pid = Pid::from_raw(id.pid).ok_or_else(|| io::Error::other("0 is no process"))?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    // Read after the descriptor is open: it can no longer become another process.
    if started_ticks(id.pid)? == id.started_ticks {
        pidfd_send_signal(&pidfd, signal)?;
        pidfd_send_signal(&pidfd, Signal::CONT)?;
    }
    Ok(())
}

/// Buries the children of this process that ended and that nobody waits for: what instances left
/// behind is given to the cloud, which adopts it. One that was seen dead in the last call already is
/// nobody else's.
#[derive(Debug, Default)]
pub(crate) struct Undertaker(BTreeSet<(i32, u64)>);

impl Undertaker {
    /// Looks for them once.
    pub(crate) fn look(&mut self) {
        let Ok(all) = all() else {
            return;
        };
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let dead = all
            .into_iter()
            .filter(|seen| seen.ended && seen.parent == own);
        let dead: BTreeSet<_> = dead.map(|it| (it.id.pid, it.id.started_ticks)).collect();
        for (pid, _) in dead.intersection(&self.0) {
            // If somebody else was faster, it is buried all the same.
            let _ = waitpid(Pid::from_raw(*pid), WaitOptions::NOHANG);
        }
        self.0 = dead;
    }
}

/// The ids of all processes.
pub(crate) fn pids() -> io::Result<Vec<i32>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        pids.extend(
            entry?
                .file_name()
                .to_str()
                .and_then(|it| it.parse::<i32>().ok()),
        );
    }
    Ok(pids)
}

/// The user of a process; `None` when it is gone.
pub(crate) fn user_of(pid: i32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok();
    let line = status
        .as_deref()?
        .lines()
        .find_map(|it| it.strip_prefix("Uid:"));
    let effective = line.and_then(|it| it.split_whitespace().nth(1)?.parse().ok());
    effective.or_else(|| Some(fs::metadata(format!("/proc/{pid}")).ok()?.uid()))
}

/// When a process was started, in clock ticks after boot.
///
/// # Errors
/// When it is gone, or `/proc` cannot be read now.
pub(crate) fn started_ticks(pid: i32) -> io::Result<u64> {
    Ok(seen(pid)?.id.started_ticks)
}

/// Whether a process is stopped by a signal, or by a debugger.
pub(crate) fn is_stopped(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    matches!(state, Some('T' | 't'))
}

fn all() -> io::Result<Vec<Seen>> {
    let mut all = Vec::new();
    for pid in pids()? {
        match seen(pid) {
            Ok(seen) => all.push(seen),
            Err(error) if shortage::is_ours(&error) => return Err(error),
            Err(_) => {} // ended meanwhile
        }
    }
    Ok(all)
}

/// `/proc/PID/stat`: the second field may contain spaces and brackets, so fields are counted from the
/// last bracket. State, parent and group are fields 3 to 5, the start time is field 22.
fn seen(pid: i32) -> io::Result<Seen> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let strange = || io::Error::other(format!("/proc/{pid}/stat has another form than expected"));
    let (_, rest) = stat.rsplit_once(") ").ok_or_else(strange)?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|it| it.parse::<i32>().ok());
    let started_ticks = fields.get(19).and_then(|it| it.parse().ok());
    Ok(Seen {
        id: ProcessId {
            pid,
            started_ticks: started_ticks.ok_or_else(strange)?,
        },
        ended: matches!(fields.first(), Some(&("Z" | "X"))),
        parent: number(1).ok_or_else(strange)?,
        group: number(2).ok_or_else(strange)?,
    })
}

/// The mark in the environment of a process, if it has one that we may see.
fn mark_of(pid: i32) -> io::Result<Option<String>> {
    let environ = match fs::read(format!("/proc/{pid}/environ")) {
        Ok(environ) => environ,
        Err(error) if shortage::is_ours(&error) => return Err(error),
        Err(_) => return Ok(None),
    };
    let prefix = format!("{MARK}=");
    let mut lines = environ.split(|byte| *byte == 0);
    let mark = lines.find_map(|line| line.strip_prefix(prefix.as_bytes()));
    Ok(mark.and_then(|mark| String::from_utf8(mark.to_vec()).ok()))
}
