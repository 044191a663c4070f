//! One look at an account, shared by everybody who waits for one.
//!
//! Invariant: looks at one account never overlap, and two of them are at least `look_soonest` apart;
//! a hundred deployments cost as many calls as there are things to see, not as there are deployments.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::{Arc, Mutex, PoisonError},
};

use domain::{
    catalogue::{AwsGroup, AwsTraffic},
    effect::{Purpose, Target},
    names::{DeploymentId, Place},
    observation::Observation,
    time::UnixMs,
};
use engine::ports::{Clock, ErrorKind, ProviderError};
use futures_util::{StreamExt, stream};
use tokio::{
    sync::{Mutex as AsyncMutex, oneshot},
    time::Instant,
};

use crate::{
    calls::{
        clients::Clients,
        errors::invalid,
        retry::again,
        spending::{Spent, Tally, counted},
    },
    observe::{
        account_state::Look,
        admission::{Admissions, Here},
        observation,
        poll_timer::Pace,
        shortfalls::Shortfalls,
    },
    resources::{
        groups::{self, Group, Member},
        images,
        refreshes::{self, Record},
        target_health::{self, Born, Health, Targets},
        templates::Templates,
    },
    settings::Settings,
    traffic::{dns, listener, weights::SLICES},
};

/// How many questions about target health are under way at once.
const AT_ONCE: usize = 8;
/// What a target group said this long ago is still shown while AWS must not be asked more often.
const HEALTH_AGE_MS_MAX: u64 = 30_000;
/// Most instances whose birth is remembered.
const BORN_MAX: usize = 50_000;
type Asked = (Target, oneshot::Sender<Result<Answer, ProviderError>>);

/// What a look brought for one target.
struct Answer {
    seen: Observation,
    /// The groups, for who wants to begin something there.
    here: Vec<Here>,
}

/// Looks at one account.
pub struct Lookout {
    clients: Arc<Clients>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    waiting: Mutex<Vec<Asked>>,
    pace: Pace,
    /// When the last look began. Whoever holds it looks for everybody.
    turn: AsyncMutex<Option<Instant>>,
    /// Versions of launch templates that were read.
    pub templates: Templates,
    /// The images that the account sees.
    pub images: images::Cache,
    /// Changes at Route 53 that are under way.
    pub changes: dns::Changes,
    /// Groups that are short of members.
    shortfalls: Shortfalls,
    /// What stands in the way where something shall begin.
    admissions: Admissions,
    memory: Mutex<Memory>,
}

/// What is worth remembering between two looks. All of it can be lost.
#[derive(Debug, Default)]
struct Memory {
    born: BTreeMap<String, Born>,
    health: BTreeMap<String, (UnixMs, Targets)>,
    spent: Tally,
}

impl std::fmt::Debug for Lookout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lookout")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Lookout {
    /// Nothing was looked at yet.
    pub fn new(clients: Arc<Clients>, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        Self {
            pace: Pace::new(settings.look_soonest, settings.look_every),
            clients,
            clock,
            settings,
            waiting: Mutex::default(),
            turn: AsyncMutex::new(None),
            templates: Templates::default(),
            images: images::Cache::default(),
            changes: dns::Changes::default(),
            shortfalls: Shortfalls::default(),
            admissions: Admissions::default(),
            memory: Mutex::default(),
        }
    }

    /// The clients of the account.
    pub fn clients(&self) -> &Arc<Clients> {
        &self.clients
    }

    /// Now.
    pub fn now(&self) -> UnixMs {
        self.clock.now()
    }

    /// Something was changed: the next look comes soon.
    pub fn changed(&self) {
        self.pace.hurry();
    }

    /// A request of `deployment` took so many calls.
    pub fn spend(&self, place: &Place, deployment: &DeploymentId, calls: u64) {
        self.remembered().spent.changed(place, deployment, calls);
    }

    /// What `deployment` cost so far.
    pub fn spent(&self, place: &Place, deployment: &DeploymentId) -> Option<Spent> {
        self.remembered().spent.of(place, deployment)
    }

    /// What is seen of `target` at the next look.
    ///
    /// # Errors
    /// When AWS does not answer, or not for this target.
    pub async fn observe(&self, target: &Target) -> Result<Observation, ProviderError> {
        let (place, begins) = (&target.place, target.purpose == Purpose::Admission);
        if begins && self.admissions.known(place, self.now()).is_none() {
            self.pace.hurry();
        }
        let Answer { mut seen, here } = self.next_look(target).await?;
        if begins {
            let (clients, now) = (&self.clients, self.now());
            let admissions = &self.admissions;
            admissions
                .complete(clients, place, &here, &mut seen, now)
                .await?;
        }
        Ok(seen)
    }

    async fn next_look(&self, target: &Target) -> Result<Answer, ProviderError> {
        loop {
            let (sender, mut answer) = oneshot::channel();
            self.lock_waiting().push((target.clone(), sender));
            let mut turn = self.turn.lock().await;
            // Somebody may have looked for us while we waited for our turn.
            match answer.try_recv() {
                Ok(answer) => return answer,
                // They took our question and were stopped before they had the answer.
                Err(oneshot::error::TryRecvError::Closed) => continue,
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
            if let Some(last) = *turn {
                self.pace.wait(last).await;
            }
            *turn = Some(Instant::now());
            let asked = std::mem::take(&mut *self.lock_waiting());
            self.answer(asked).await;
            drop(turn);
            if let Ok(answer) = answer.try_recv() {
                return answer;
            }
        }
    }

    fn lock_waiting(&self) -> std::sync::MutexGuard<'_, Vec<Asked>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, asked: Vec<Asked>) {
        let (targets, senders): (Vec<Target>, Vec<_>) = asked.into_iter().unzip();
        let (look, calls) = counted(self.look(&targets)).await;
        let places = targets.iter().map(|target| &target.place);
        self.remembered().spent.looked(places, calls);
        for (target, sender) in targets.iter().zip(senders) {
            let answer = match &look {
                Ok(look) => self.answer_from(look, target),
                Err(error) => Err(ProviderError::new(error.kind, error.message.clone())),
            };
            // Whoever asked may have gone away.
            drop(sender.send(answer));
        }
    }

    fn answer_from(&self, look: &Look, target: &Target) -> Result<Answer, ProviderError> {
        let seen = observation::observation(target, look, &self.templates, &self.settings)?;
        let aws = target.group.aws.as_ref();
        let aws = aws.filter(|_| target.purpose == Purpose::Admission);
        let here = aws.into_iter().flat_map(|aws| {
            let slices = SLICES.into_iter().take(usize::from(target.group.slices));
            slices.filter_map(|slice| {
                let group = look.groups.get(&aws.group_name(&target.place, slice))?;
                let machines = group.members.iter();
                let machines = machines.filter_map(|it| look.born.get(&it.id).cloned());
                Some(Here {
                    slice,
                    machines: machines.collect(),
                    group: group.clone(),
                })
            })
        });
        let here = here.collect();
        Ok(Answer { seen, here })
    }

    /// Looks at everything that `targets` are made of.
    async fn look(&self, targets: &[Target]) -> Result<Look, ProviderError> {
        let at = self.clock.now();
        let settings: Vec<(&Target, &AwsGroup)> = targets
            .iter()
            .filter_map(|target| Some((target, target.group.aws.as_ref()?)))
            .collect();
        if settings.len() < targets.len() {
            return Err(invalid(
                "a server group in an account of AWS has no settings for AWS",
            ));
        }
        let clients = &*self.clients;
        let names = names(&settings);
        let groups = again(|| groups::describe(clients, &names)).await?;
        let refreshes = self.refreshes(&settings, &groups).await?;
        let versions = groups.values().flat_map(|group| {
            let launched = group
                .members
                .iter()
                .filter_map(|member| member.launched.clone());
            launched.chain(group.launches.clone())
        });
        let versions = versions.collect();
        again(|| self.templates.learn(clients, &versions)).await?;
        self.learn_goals(&refreshes).await?;
        let born = self.born(&groups).await?;
        let unchecked = without_target_groups(&groups);
        let passed = again(|| target_health::passed_status_checks(clients, &unchecked)).await?;
        let arns = listeners(&settings);
        let actions = again(|| listener::actions(clients, &arns)).await?;
        Ok(Look {
            at,
            health: self.health(&groups, at).await,
            records: self.records(&settings, at).await,
            troubles: self.shortfalls.look(clients, &groups, at).await,
            groups,
            refreshes,
            passed,
            born,
            actions,
        })
    }

    /// The last instance refresh of the groups that are replaced by one: a call each.
    async fn refreshes(
        &self,
        settings: &[(&Target, &AwsGroup)],
        groups: &BTreeMap<String, Group>,
    ) -> Result<BTreeMap<String, Record>, ProviderError> {
        let asked = settings
            .iter()
            .filter(|(target, _)| target.purpose == Purpose::InstanceRefresh);
        let names: BTreeSet<String> = asked.flat_map(|asked| names(&[*asked])).collect();
        let names = names.into_iter().filter(|name| groups.contains_key(name));
        let asked = stream::iter(names).map(|name| async move {
            let last = again(|| refreshes::last(&self.clients, &name)).await?;
            Ok(last.map(|record| (name, record)))
        });
        let found: Vec<Result<_, ProviderError>> = asked.buffer_unordered(AT_ONCE).collect().await;
        found.into_iter().filter_map(Result::transpose).collect()
    }

    /// What refreshes lead to. The goal of somebody's old refresh may have been deleted since; nobody
    /// needs to know it then.
    async fn learn_goals(&self, refreshes: &BTreeMap<String, Record>) -> Result<(), ProviderError> {
        let goals: BTreeSet<_> = refreshes
            .values()
            .filter_map(|it| it.goal.clone())
            .collect();
        for goal in goals {
            let wanted = BTreeSet::from([goal]);
            let learned = again(|| self.templates.learn(&self.clients, &wanted)).await;
            learned.or_else(|error| match error.kind {
                ErrorKind::Missing => Ok(()),
                _ => Err(error),
            })?;
        }
        Ok(())
    }

    /// When the members of the groups were launched; only new ones are asked for.
    async fn born(
        &self,
        groups: &BTreeMap<String, Group>,
    ) -> Result<BTreeMap<String, Born>, ProviderError> {
        let members = || groups.values().flat_map(|group| &group.members);
        let unknown: Vec<String> = {
            let memory = self.remembered();
            let ids = members().map(|member| member.id.clone());
            ids.filter(|id| !memory.born.contains_key(id)).collect()
        };
        let found = again(|| target_health::born(&self.clients, &unknown)).await?;
        let mut memory = self.remembered();
        if memory.born.len() > BORN_MAX {
            memory.born.clear();
        }
        memory.born.extend(found);
        let known = members().filter_map(|member| {
            let born = memory.born.get(&member.id)?;
            Some((member.id.clone(), born.clone()))
        });
        Ok(known.collect())
    }

    /// What the target groups say. A group without members has none to ask about.
    async fn health(
        &self,
        groups: &BTreeMap<String, Group>,
        at: UnixMs,
    ) -> BTreeMap<String, Result<(u64, Targets), ProviderError>> {
        let peopled = groups.values().filter(|group| !group.members.is_empty());
        let mut members: BTreeMap<&str, Vec<&Member>> = BTreeMap::new();
        for group in peopled {
            for arn in &group.target_groups {
                members.entry(arn).or_default().extend(&group.members);
            }
        }
        let mut said = BTreeMap::new();
        let mut unknown = Vec::new();
        for (arn, members) in members {
            match self.said_lately(arn, &members, at) {
                Some(known) => drop(said.insert(arn.to_owned(), Ok(known))),
                None => unknown.push(arn.to_owned()),
            }
        }
        // Whoever waited longest comes first, so that nobody starves where the bucket runs empty.
        let said_at = |arn: &String| self.remembered().health.get(arn).map(|(at, _)| *at);
        unknown.sort_by_cached_key(said_at);
        let asked = stream::iter(unknown).map(|arn| async move {
            let said = self.health_of(&arn, at).await;
            (arn, said)
        });
        let answers: Vec<_> = asked.buffer_unordered(AT_ONCE).collect().await;
        said.extend(answers);
        said
    }

    /// What a target group said since the last usual look, where nothing is under way: each member
    /// is in service and was healthy, and there were no other targets.
    fn said_lately(&self, arn: &str, members: &[&Member], at: UnixMs) -> Option<(u64, Targets)> {
        let (said_at, targets) = self.remembered().health.get(arn).cloned()?;
        let age_ms = at.since_ms(said_at);
        let fresh = u128::from(age_ms + 500) < self.settings.look_every.as_millis();
        let settled = members.len() == targets.count()
            && members.iter().all(|member| {
                member.lifecycle == "InService" && targets.get(&member.id) == Some(Health::Healthy)
            });
        (fresh && settled).then_some((age_ms, targets))
    }

    async fn health_of(&self, arn: &str, at: UnixMs) -> Result<(u64, Targets), ProviderError> {
        let (bucket, operation) = target_health::HEALTH_CALL;
        let calls = &self.clients.calls;
        if !calls.try_take(bucket, operation) {
            let known = self.remembered().health.get(arn).cloned();
            let recent = known
                .map(|(said_at, targets)| (at.since_ms(said_at), targets))
                .filter(|(age_ms, _)| *age_ms <= HEALTH_AGE_MS_MAX);
            match recent {
                Some(recent) => return Ok(recent),
                None => calls.take(bucket, operation).await,
            }
        }
        let targets = again(|| target_health::health(&self.clients, arn)).await?;
        let mut memory = self.remembered();
        memory
            .health
            .retain(|_, (said_at, _)| at.since_ms(*said_at) <= HEALTH_AGE_MS_MAX);
        memory.health.insert(arn.to_owned(), (at, targets.clone()));
        Ok((0, targets))
    }

    async fn records(
        &self,
        settings: &[(&Target, &AwsGroup)],
        at: UnixMs,
    ) -> BTreeMap<dns::Name, Result<dns::Seen, ProviderError>> {
        let mut found = BTreeMap::new();
        for (_, aws) in settings {
            let AwsTraffic::Dns {
                zone,
                name,
                identifiers,
            } = &aws.traffic
            else {
                continue;
            };
            let name = dns::Name::new(zone, name, identifiers);
            if let Entry::Vacant(entry) = found.entry(name) {
                let name = entry.key();
                let seen = again(|| dns::look(&self.clients, &self.changes, name, at)).await;
                entry.insert(seen);
            }
        }
        found
    }
}

fn names(settings: &[(&Target, &AwsGroup)]) -> Vec<String> {
    let names: BTreeSet<String> = settings
        .iter()
        .flat_map(|(target, aws)| {
            let slices = SLICES.into_iter().take(usize::from(target.group.slices));
            slices.map(|slice| aws.group_name(&target.place, slice))
        })
        .collect();
    names.into_iter().collect()
}

fn listeners(settings: &[(&Target, &AwsGroup)]) -> Vec<String> {
    let arns: BTreeSet<String> = settings
        .iter()
        .filter_map(|(_, aws)| match &aws.traffic {
            AwsTraffic::Listener { listener, rule } => {
                Some(listener::arn(listener, rule.as_deref()).to_owned())
            }
            _ => None,
        })
        .collect();
    arns.into_iter().collect()
}

fn without_target_groups(groups: &BTreeMap<String, Group>) -> Vec<String> {
    let bare = groups
        .values()
        .filter(|group| group.target_groups.is_empty());
    let members = bare.flat_map(|group| &group.members);
    let serving = members.filter(|member| member.lifecycle == "InService");
    serving.map(|member| member.id.clone()).collect()
}
