//! The life of one instance, from its start to its last request: one task per instance.
//!
//! Invariant: only this task starts, checks and ends the process; other tasks ask for its end by
//! [`Live::stop`].

use std::{
    collections::BTreeMap, io, os::unix::process::ExitStatusExt, process::ExitStatus, sync::Arc,
    time::Duration,
};

use domain::{
    catalogue::ServerGroup,
    observation::{InstanceId, InstanceState},
    slice::Slice,
    time::human_ms,
};
use rustix::process::Signal;
use tokio::{sync::Notify, time::Instant};

use super::{
    health::{self, Change, Health, ProbeResult},
    world::{Daemon, Ending, Live, World},
};
use crate::{
    clock::now,
    group::Member,
    logs,
    process::{self, Process, Start},
};

/// An instance that is not healthy after this is replaced.
const BOOT_MAX: Duration = Duration::from_secs(120);
/// A healthy instance that ends sooner than this after its start died early.
const EARLY: Duration = Duration::from_secs(10);
/// An instance that is not healthy after this is reported as in trouble.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two checks of an instance that does not listen yet.
const BOOT_POLL: Duration = Duration::from_millis(25);
/// How long an instance has from SIGTERM to SIGKILL.
const TERM_TO_KILL: Duration = Duration::from_secs(10);

/// One instance, as its task knows it.
struct Instance {
    daemon: Arc<Daemon>,
    place: String,
    slice: Slice,
    member: Member,
    settings: ServerGroup,
    stop: Arc<Notify>,
}

/// Starts the task of a member.
pub(super) fn spawn(
    daemon: &Arc<Daemon>,
    world: &mut World,
    (place, slice): (&str, Slice),
    id: InstanceId,
) {
    let Some(settings) = world
        .saved
        .groups
        .get(place)
        .map(|group| group.settings.clone())
    else {
        return;
    };
    let Some(member) = world.saved.member(&id).cloned() else {
        return;
    };
    let stop = Arc::new(Notify::new());
    let live = Live {
        stop: Arc::clone(&stop),
    };
    world.live.insert(id, live);
    let (daemon, place) = (Arc::clone(daemon), place.to_owned());
    let instance = Instance {
        daemon,
        place,
        slice,
        member,
        settings,
        stop,
    };
    tokio::spawn(instance.live());
}

/// Takes over what an earlier run left: processes that still run get a task and serve at once; the
/// supervisor replaces members without a process.
pub(super) fn adopt_all(daemon: &Arc<Daemon>) {
    let marked = process::marked();
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
        let found = member
            .process
            .or_else(|| marked.get(&mark(&daemon.folder, &id)).copied());
        member.process = found.filter(|process| Process::adopt(*process).is_ok());
        if member.process.is_some() {
            spawn(daemon, &mut world, (&place, slice), id);
        } else if let Some(slot) = world.saved.slot(&place, slice) {
            tracing::warn!(instance.id = %id, "its process is gone");
            slot.members.retain(|member| member.id != id);
        }
    }
    daemon.settle(&world);
}

/// The mark of an instance in its environment: unique on the machine, not only in one state folder.
fn mark(folder: &std::path::Path, id: &InstanceId) -> String {
    format!("{}@{}", id, folder.display())
}

impl Instance {
    /// Starts or adopts the process, watches, drains and stops it, and forgets the instance.
    async fn live(self) {
        let ending = match self.process().await {
            Ok(mut process) => self.watch_and_stop(&mut process).await,
            Err(error) => {
                tracing::warn!(instance.id = %self.member.id, %error, "cannot start");
                logs::note(&self.log(), &format!("pointsman: cannot start: {error}"));
                self.tell(&format!("cannot be started: {error}"));
                Ending::Early
            }
        };
        self.daemon
            .forget(&self.place, self.slice, &self.member.id, ending);
    }

    /// The process: the recorded one, or a new one that is recorded as soon as it runs.
    async fn process(&self) -> io::Result<Process> {
        if let Some(id) = self.member.process {
            return Process::adopt(id);
        }
        let (artifacts, digest) = (self.daemon.artifacts.clone(), self.member.digest.clone());
        let folder = tokio::task::spawn_blocking(move || artifacts.unpacked(&digest))
            .await
            .map_err(io::Error::other)?
            .map_err(io::Error::other)?;
        let command = process::web_command(&folder)?;
        let process = Process::start(&Start {
            command: &command,
            folder: &folder,
            log: &self.log(),
            variables: self.variables(),
        })?;
        let id = process.id;
        self.update(|member| member.process = Some(id));
        Ok(process)
    }

    fn variables(&self) -> BTreeMap<String, String> {
        let place = &self.settings;
        let ours = [
            ("PORT", self.member.port.to_string()),
            ("POINTSMAN_SERVICE", place.service.to_string()),
            ("POINTSMAN_ENVIRONMENT", place.environment.to_string()),
            ("POINTSMAN_VERSION", self.member.version.to_string()),
            ("POINTSMAN_ZONE", self.member.zone.clone()),
            (process::MARK, mark(&self.daemon.folder, &self.member.id)),
        ];
        let ours = ours.into_iter().map(|(key, value)| (key.to_owned(), value));
        self.settings
            .variables
            .clone()
            .into_iter()
            .chain(ours)
            .collect()
    }

    /// Checks its health until it ends, becomes unhealthy or is told to stop; then makes sure that
    /// it stops.
    async fn watch_and_stop(&self, process: &mut Process) -> Ending {
        let born = Instant::now();
        let told = self.member.state == InstanceState::Draining
            || self.member.state == InstanceState::Terminating;
        let mut end = if told { End::Told } else { End::Died };
        if !told {
            tokio::select! {
                status = process.ended() => self.tell(&self.died(status)),
                why = self.check_health() => end = why,
                () = self.stop.notified() => end = End::Told,
            }
        }
        let young = born.elapsed() < EARLY && self.member.process.is_none();
        if end == End::Died {
            process.sweep();
            return if young {
                Ending::Early
            } else {
                Ending::Stopped
            };
        }
        self.drain().await;
        self.terminate(process).await;
        if end == End::NeverHealthy {
            Ending::Early
        } else {
            Ending::Stopped
        }
    }

    /// Checks the health again and again; returns only when the instance must go.
    async fn check_health(&self) -> End {
        let check = &self.settings.health;
        let interval = Duration::from_millis(u64::from(check.interval_ms.max(10)));
        let mut health = Health::new(self.member.state == InstanceState::Healthy);
        let born = Instant::now();
        let mut told = None;
        loop {
            let result = health::check(self.member.port, check).await;
            let overdue = !health.was_healthy && born.elapsed() > PATIENCE;
            if overdue && result != ProbeResult::Pass && told != Some(result) {
                self.tell(&result.told(check));
                told = Some(result);
            }
            match health.see(result, check) {
                Change::None => {}
                Change::Healthy => self.became(InstanceState::Healthy),
                Change::Unhealthy => {
                    self.tell(&result.told(check));
                    self.became(InstanceState::Unhealthy);
                    return End::Told;
                }
            }
            if !health.was_healthy && born.elapsed() > BOOT_MAX {
                self.became(InstanceState::Unhealthy);
                return End::NeverHealthy;
            }
            let booting = !health.was_healthy && result == ProbeResult::Refused;
            tokio::time::sleep(if booting { BOOT_POLL } else { interval }).await;
        }
    }

    fn became(&self, state: InstanceState) {
        let (slice, place) = (self.slice, self.place.clone());
        self.daemon.change(|world| {
            let Some(member) = world.saved.member(&self.member.id) else {
                return;
            };
            if !member.state.is_present() {
                return;
            }
            member.state = state;
            if state == InstanceState::Healthy
                && let Some(slot) = world.saved.slot(&place, slice)
            {
                slot.all_is_well();
            }
        });
    }

    /// Shows what is wrong with it, if new instances start from the same launch.
    fn tell(&self, trouble: &str) {
        let told = format!("{} {trouble}", self.member.id);
        self.daemon.change(|world| {
            let slot = world.saved.slot(&self.place, self.slice);
            let slot = slot.filter(|slot| {
                let launches = slot.launches.as_ref();
                launches.is_some_and(|launch| launch.id == self.member.launch)
            });
            if let Some(slot) = slot {
                slot.trouble = Some(told);
            }
        });
    }

    /// Says that it ended by itself, when and how.
    fn died(&self, status: Option<ExitStatus>) -> String {
        let after = human_ms(now().since_ms(self.member.started_at));
        let how = match status.map(|status| (status.code(), status.signal())) {
            Some((Some(127), _)) => ", with exit status 127: its command was not found".to_owned(),
            Some((Some(code), _)) => format!(", with exit status {code}"),
            Some((None, Some(signal))) => format!(", by signal {signal}"),
            Some((None, None)) | None => String::new(),
        };
        let (settings, id) = (&self.settings, &self.member.id);
        let (service, environment) = (&settings.service, &settings.environment);
        format!(
            "ended by itself after {after}{how}; see `pointsman logs {service} -e {environment} -i {id}`"
        )
    }

    /// Waits for the requests in flight, for at most as long as the group allows.
    async fn drain(&self) {
        self.update(|member| member.state = InstanceState::Draining);
        let deadline = Duration::from_secs(u64::from(self.settings.drain_seconds));
        let idle = self.daemon.router.until_idle(&self.member.id);
        // What is still in flight after that is cut.
        let _ = tokio::time::timeout(deadline, idle).await;
    }

    /// Asks it to end, and kills it if it does not.
    async fn terminate(&self, process: &mut Process) {
        self.update(|member| member.state = InstanceState::Terminating);
        process.signal(Signal::TERM);
        if tokio::time::timeout(TERM_TO_KILL, process.ended())
            .await
            .is_err()
        {
            process.signal(Signal::KILL);
            process.ended().await;
        }
        process.sweep();
    }

    fn update(&self, update: impl FnOnce(&mut Member)) {
        self.daemon
            .change(|world| world.saved.member(&self.member.id).map(update));
    }

    fn log(&self) -> std::path::PathBuf {
        logs::file(&self.daemon.logs_folder(), &self.place, &self.member.id)
    }
}

/// Why an instance is no longer watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Died,
    Told,
    NeverHealthy,
}
