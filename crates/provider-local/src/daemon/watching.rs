//! Watching one instance: checks its health again and again, and shows what they say.

use std::{io, path::Path, time::Duration};

use domain::{bounds::HEALTH_DEADLINE, observation::InstanceState, time::human_ms};
use tokio::time::Instant;

use super::{
    check::{self, Inside, Outcome},
    fault::{Asked, Fault},
    health::{Change, Health},
    instance::{End, Instance},
    world::Strain,
};
use crate::{
    family,
    group::ProcessId,
    logs,
    sockets::{self, Holder},
};

/// An instance that is not healthy after this is reported as in trouble.
const PATIENCE: Duration = Duration::from_secs(5);
/// Shortest time between two reports, as a report may need a look at all processes.
const REPORTS: Duration = Duration::from_secs(1);
/// Pause between two checks of an instance that does not listen yet.
const BOOT_POLL: Duration = Duration::from_millis(25);

impl Instance {
    /// Checks the health again and again; returns only when the instance must go. One that is ill
    /// is not ended here: others may be ill too, and then it is better than none.
    pub(super) async fn check_health(&self, process: ProcessId) -> End {
        let check = &self.settings.health;
        let interval = Duration::from_millis(u64::from(check.interval_ms.max(10)));
        let start_seconds = check.start_seconds.unwrap_or(*HEALTH_DEADLINE.end());
        let start_max = Duration::from_secs(start_seconds.into());
        let host = self.users_host();
        let asked = Asked {
            check,
            port: self.member.port,
            host: &host,
        };
        let folder = self.member.folder.as_deref().unwrap_or(Path::new("/"));
        let launch = self.launch(folder);
        let inside: Inside<'_> = &|line| match &launch {
            Ok(launch) => launch.command(line),
            Err(error) => Err(io::Error::other(error.to_string())),
        };
        let mut health = Health::new(self.member.state);
        let born = Instant::now();
        let mut reported: Option<(Fault, Instant)> = None;
        loop {
            let mut outcome = check::check(asked, inside).await;
            if outcome == Outcome::Pass && health.is_turning(check) {
                outcome = self.unless_another_answers(process).await;
            }
            self.note_shortage(&outcome);
            let change = health.see(&outcome, check);
            if let Outcome::Fail(fault) = &outcome {
                let rested = reported
                    .as_ref()
                    .is_none_or(|(_, at)| at.elapsed() > REPORTS);
                let overdue = health.is_starting() && born.elapsed() > PATIENCE && rested;
                let fatal = matches!(fault, Fault::Stranger(_));
                if change == Change::Ill || overdue || fatal {
                    let fault = self.explained(fault, process).await;
                    if change == Change::Ill || reported.as_ref().is_none_or(|it| it.0 != fault) {
                        self.report(&fault.told(asked));
                    }
                    reported = Some((fault, Instant::now()));
                }
                self.answers(fault.is_answer());
                if fatal {
                    return End::NeverHealthy;
                }
            }
            match change {
                Change::None => {}
                Change::Healthy => self.became(InstanceState::Healthy),
                Change::Ill => self.became(InstanceState::Unhealthy),
            }
            if health.is_starting() && born.elapsed() > start_max {
                self.say_that_it_took_too_long(&outcome, asked, start_max);
                return End::NeverHealthy;
            }
            let closed = matches!(outcome, Outcome::Fail(Fault::Refused(_)));
            let booting = health.is_starting() && closed;
            tokio::time::sleep(if booting { BOOT_POLL } else { interval }).await;
        }
    }

    /// The host name that users have, with the router's port.
    fn users_host(&self) -> String {
        let port = self.daemon.world().saved.router_port;
        format!("{}.localhost:{port}", self.place)
    }

    /// A pass counts only if the socket that answered is the instance's own.
    async fn unless_another_answers(&self, process: ProcessId) -> Outcome {
        match self.holder(process).await {
            Ok(Holder::Itself) => Outcome::Pass,
            Ok(Holder::Another(pid)) => Outcome::Fail(Fault::Stranger(pid)),
            Ok(Holder::Nobody(elsewhere)) => Outcome::Fail(Fault::Refused(elsewhere)),
            Err(error) => Outcome::Unknown(error.to_string()),
        }
    }

    async fn holder(&self, process: ProcessId) -> io::Result<Holder> {
        let (port, mark) = (self.member.port, self.mark());
        let look = move || sockets::holder(port, &family::of(process, &mark)?);
        tokio::task::spawn_blocking(look)
            .await
            .map_err(io::Error::other)?
    }

    /// The same fault, as exactly as the system can tell.
    async fn explained(&self, fault: &Fault, process: ProcessId) -> Fault {
        match fault {
            Fault::Silent | Fault::Refused(_) if family::is_stopped(process.pid) => Fault::Stopped,
            Fault::Refused(_) => match self.holder(process).await {
                Ok(Holder::Nobody(elsewhere)) => Fault::Refused(elsewhere),
                _ => fault.clone(),
            },
            _ => fault.clone(),
        }
    }

    /// Shows that checks cannot be made now, or can be again.
    fn note_shortage(&self, outcome: &Outcome) {
        let why = match outcome {
            Outcome::Unknown(why) => Some(why.clone()),
            Outcome::Pass | Outcome::Fail(_) => None,
        };
        self.daemon.world().strain(Strain::Unchecked, why);
    }

    fn say_that_it_took_too_long(&self, outcome: &Outcome, asked: Asked<'_>, limit: Duration) {
        let limit = human_ms(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        let last = match outcome {
            Outcome::Fail(fault) => format!("; at last it {}", fault.told(asked)),
            Outcome::Pass | Outcome::Unknown(_) => String::new(),
        };
        self.report(&format!(
            "was ended because it was not healthy {limit} after its start{last}"
        ));
    }

    fn answers(&self, answers: bool) {
        let known = |world: &mut super::world::World| {
            let member = world.saved.member(&self.member.id);
            member.is_none_or(|it| it.answers == answers)
        };
        if !known(&mut self.daemon.world()) {
            self.update(|member| member.answers = answers);
        }
    }

    fn became(&self, state: InstanceState) {
        let (slice, place) = (self.slice, self.place.clone());
        if state == InstanceState::Healthy {
            logs::note(&self.log(), "pointsman: it is healthy");
        }
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

    /// Shows what is wrong with it, and writes it into its log.
    fn report(&self, trouble: &str) {
        logs::note(&self.log(), &format!("pointsman: it {trouble}"));
        self.tell(trouble);
    }

    /// Shows what is wrong with it, if new instances start from the same launch.
    pub(super) fn tell(&self, trouble: &str) {
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
}
