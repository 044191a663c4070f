//! The life of one instance, from its start to its last request: one task per instance.
//!
//! Invariant: only this task starts, checks and ends the process; other tasks ask for its end by
//! [`Live::stop`].

use std::{
    collections::BTreeMap, io, os::unix::process::ExitStatusExt, path::Path, process::ExitStatus,
    sync::Arc, time::Duration,
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
    adopt,
    world::{Daemon, Ending, Live, World},
};
use crate::{
    clock::now,
    family,
    group::{Member, ProcessId},
    launch::{Launch, User},
    logs,
    process::{self, Process, Start},
    users::{self, Apart},
};

/// A healthy instance that ends sooner than this after its start died early.
const EARLY: Duration = Duration::from_secs(10);
/// How long an instance has from SIGTERM to SIGKILL.
pub(super) const TERM_TO_KILL: Duration = Duration::from_secs(10);
/// Pause between two SIGKILLs.
const KILL_AGAIN: Duration = Duration::from_secs(1);
/// How long what an instance left behind has from SIGTERM to SIGKILL, once the instance itself ended.
const LEFT_BEHIND: Duration = Duration::from_secs(2);

/// One instance, as its task knows it.
pub(super) struct Instance {
    pub(super) daemon: Arc<Daemon>,
    pub(super) place: String,
    pub(super) slice: Slice,
    pub(super) member: Member,
    pub(super) settings: ServerGroup,
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

impl Instance {
    /// Starts or adopts the process, watches, drains and stops it, and forgets the instance.
    async fn live(mut self) {
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
        self.daemon.prune();
    }

    /// The process: the recorded one, or a new one that is recorded as soon as it runs.
    async fn process(&mut self) -> io::Result<Process> {
        if let Some(id) = self.member.process {
            return Process::adopt(id);
        }
        let (artifacts, digest) = (self.daemon.artifacts.clone(), self.member.digest.clone());
        let user = self.user()?;
        let folder = tokio::task::spawn_blocking(move || artifacts.unpacked(&digest, user))
            .await
            .map_err(io::Error::other)?
            .map_err(io::Error::other)?;
        let line = format!("exec {}", process::web_command(&folder)?);
        let process = Process::start(Start {
            command: self.launch(&folder)?.command(&line)?,
            log: &self.log(),
            group: user,
        })?;
        let id = process.id;
        self.member.folder = Some(folder.clone());
        self.update(|member| (member.process, member.folder) = (Some(id), Some(folder)));
        Ok(process)
    }

    /// The user of its group; `None` where instances run as the user of the cloud.
    fn user(&self) -> io::Result<Option<u32>> {
        match &self.daemon.apart {
            Apart::No(why) if self.settings.limits.processes.is_some() => {
                Err(io::Error::other(format!(
                    "`limits.processes` needs a user of its own for the group, and the one-machine cloud cannot give it one: {why}; {}",
                    why.remedy()
                )))
            }
            Apart::No(_) => Ok(None),
            Apart::Yes(_) => {
                let world = self.daemon.world();
                let group = world.saved.groups.get(&self.place);
                Ok(group.and_then(|group| group.user))
            }
        }
    }

    /// How its processes are started, in this folder.
    pub(super) fn launch(&self, folder: &Path) -> io::Result<Launch> {
        let user = self.user()?.map(|id| {
            let home = users::home(&self.daemon.folder, &self.place);
            let name = self.place.clone();
            User { id, name, home }
        });
        Ok(Launch {
            folder: folder.to_owned(),
            variables: self.variables(),
            user,
            limits: self.settings.limits,
        })
    }

    /// What marks its processes: unique on the machine, not only in one state folder.
    pub(super) fn mark(&self) -> String {
        adopt::mark(&self.daemon.folder, &self.member.id)
    }

    pub(super) fn variables(&self) -> BTreeMap<String, String> {
        let place = &self.settings;
        let ours = [
            ("PORT", self.member.port.to_string()),
            ("POINTSMAN_SERVICE", place.service.to_string()),
            ("POINTSMAN_ENVIRONMENT", place.environment.to_string()),
            ("POINTSMAN_VERSION", self.member.version.to_string()),
            ("POINTSMAN_ZONE", self.member.zone.clone()),
            (family::MARK, self.mark()),
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
            let id = process.id;
            tokio::select! {
                status = process.ended() => self.tell(&self.died(status)),
                why = self.check_health(id) => end = why,
                () = self.stop.notified() => end = End::Told,
            }
        }
        let young = born.elapsed() < EARLY && self.member.process.is_none();
        if end == End::Died {
            process.sweep();
            self.end_the_rest(Vec::new(), LEFT_BEHIND).await;
            return if young {
                Ending::Early
            } else {
                Ending::Stopped
            };
        }
        // One that is stopped by a signal could neither finish its requests nor end.
        process.signal(Signal::CONT);
        self.drain().await;
        self.terminate(process).await;
        if end == End::NeverHealthy {
            Ending::Early
        } else {
            Ending::Stopped
        }
    }

    /// Says that it ended by itself, when and how.
    fn died(&self, status: Option<ExitStatus>) -> String {
        let after = human_ms(now().since_ms(self.member.started_at));
        let how = match status.map(|status| (status.code(), status.signal())) {
            Some((Some(0), _)) => {
                ", with exit status 0: it may have put itself into the background; let it run in the foreground"
                    .to_owned()
            }
            Some((Some(126), _)) => {
                ", with exit status 126: its command could not be started; its log says why".to_owned()
            }
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

    /// Asks it to end, and kills it if it does not, again and again until it is gone: with it all that
    /// it started.
    async fn terminate(&self, process: &mut Process) {
        self.update(|member| member.state = InstanceState::Terminating);
        let (id, mark) = (process.id, self.mark());
        // Looked for while it runs: later nothing may show that they belong to it.
        let family = tokio::task::spawn_blocking(move || family::of(id, &mark)).await;
        process.signal(Signal::TERM);
        let mut patience = TERM_TO_KILL;
        while tokio::time::timeout(patience, process.ended())
            .await
            .is_err()
        {
            if patience == TERM_TO_KILL {
                let text = "pointsman: killed, as it did not end 10 s after SIGTERM";
                logs::note(&self.log(), text);
            }
            process.signal(Signal::KILL);
            patience = KILL_AGAIN;
        }
        process.sweep();
        let family = family.map_or_else(|_| Vec::new(), Result::unwrap_or_default);
        self.end_the_rest(family, LEFT_BEHIND).await;
    }

    /// Ends those of `family` that are left, and all that carries its mark.
    async fn end_the_rest(&self, family: Vec<ProcessId>, grace: Duration) {
        let many = family::end(family, &self.mark(), grace).await;
        if many > 0 {
            let text = format!("pointsman: ended {many} processes that it had left running");
            logs::note(&self.log(), &text);
        }
    }

    pub(super) fn update(&self, update: impl FnOnce(&mut Member)) {
        self.daemon
            .change(|world| world.saved.member(&self.member.id).map(update));
    }

    pub(super) fn log(&self) -> std::path::PathBuf {
        logs::file(&self.daemon.logs_folder(), &self.place, &self.member.id)
    }
}

/// Why an instance is no longer watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Died,
    Told,
    NeverHealthy,
}
