//! Observes the server groups of one account: one poll answers everybody who waits for one.
//!
//! Invariant: polls of one account never overlap, and two of them are at least `poll_soonest` apart. A
//! hundred deployments cost as many calls as there are things to read, not as there are deployments.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{
    effect::{Purpose, Target},
    names::{DeploymentId, Place},
    observation::Observation,
};
use engine::ports::ProviderError;
use tokio::{
    sync::{Mutex as AsyncMutex, oneshot},
    time::Instant,
};

use crate::{
    account::AwsAccount,
    calls::{
        errors,
        spending::{Spending, Spent, count_calls},
    },
    observe::{
        account_state::AccountState,
        admission::{AdmissionChecks, SliceGroup},
        observation,
        poll::Poller,
        poll_timer::PollTimer,
    },
    server_group,
    settings::Settings,
};

/// A server group to observe, and where its answer goes.
type Question = (Target, oneshot::Sender<Result<Polled, ProviderError>>);

/// What a poll brought for one server group.
struct Polled {
    observation: Observation,
    /// Its Auto Scaling groups, where a deployment may begin.
    groups: Vec<SliceGroup>,
}

/// Observes the server groups of one account.
pub struct Observer {
    account: Arc<AwsAccount>,
    settings: Settings,
    poller: Poller,
    timer: PollTimer,
    questions: Mutex<Vec<Question>>,
    /// When the last poll began. The task that holds the lock polls for all.
    last_poll: AsyncMutex<Option<Instant>>,
    admission: AdmissionChecks,
    spending: Mutex<Spending>,
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observer")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Observer {
    /// An observer that has not polled yet.
    pub fn new(account: AwsAccount, settings: Settings) -> Self {
        let account = Arc::new(account);
        Self {
            poller: Poller::new(Arc::clone(&account), settings.poll_every),
            timer: PollTimer::new(settings.poll_soonest, settings.poll_every),
            account,
            settings,
            questions: Mutex::default(),
            last_poll: AsyncMutex::new(None),
            admission: AdmissionChecks::default(),
            spending: Mutex::default(),
        }
    }

    /// The account.
    pub fn account(&self) -> &AwsAccount {
        &self.account
    }

    /// A change was made for `deployment`, in this number of calls. The next poll comes soon.
    pub fn changed(&self, place: &Place, deployment: &DeploymentId, calls: u64) {
        self.lock_spending().add_change(place, deployment, calls);
        self.timer.poll_soon();
    }

    /// The calls that were made for `deployment`, if it is the last one at `place`.
    pub fn spent(&self, place: &Place, deployment: &DeploymentId) -> Option<Spent> {
        self.lock_spending().of(place, deployment)
    }

    /// What the next poll shows of a server group.
    ///
    /// # Errors
    /// When AWS does not answer, or not for this server group.
    pub async fn observe(&self, target: &Target) -> Result<Observation, ProviderError> {
        let account = &*self.account;
        let may_begin = target.purpose == Purpose::Admission;
        if may_begin && !self.admission.knows(&target.place, account.now()) {
            self.timer.poll_soon();
        }
        let mut answer = self.next_poll(target).await?;
        if may_begin {
            let now = account.now();
            let findings =
                self.admission
                    .check(&account.clients, &target.place, &answer.groups, now);
            findings.await?.add_to(&mut answer.observation);
        }
        Ok(answer.observation)
    }

    async fn next_poll(&self, target: &Target) -> Result<Polled, ProviderError> {
        loop {
            let (sender, mut answer) = oneshot::channel();
            self.lock_questions().push((target.clone(), sender));
            let mut last_poll = self.last_poll.lock().await;
            // Somebody else may have polled for us while we waited for the lock.
            match answer.try_recv() {
                Ok(answer) => return answer,
                // They took our question and were cancelled before they had the answer.
                Err(oneshot::error::TryRecvError::Closed) => continue,
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
            if let Some(began) = *last_poll {
                self.timer.wait(began).await;
            }
            *last_poll = Some(Instant::now());
            let questions = std::mem::take(&mut *self.lock_questions());
            self.answer(questions).await;
            drop(last_poll);
            if let Ok(answer) = answer.try_recv() {
                return answer;
            }
        }
    }

    async fn answer(&self, questions: Vec<Question>) {
        let (targets, senders): (Vec<Target>, Vec<_>) = questions.into_iter().unzip();
        let (state, calls) = count_calls(self.poller.poll(&targets)).await;
        let places = targets.iter().map(|target| &target.place);
        self.lock_spending().add_poll(places, calls);
        for (target, sender) in targets.iter().zip(senders) {
            let answer = match &state {
                Ok(state) => self.answer_from(state, target),
                Err(error) => Err(errors::copy(error)),
            };
            // The caller may have gone away.
            drop(sender.send(answer));
        }
    }

    fn answer_from(&self, state: &AccountState, target: &Target) -> Result<Polled, ProviderError> {
        let aws = server_group::settings(target)?;
        let observation = observation::of(
            target,
            aws,
            state,
            &self.account.templates,
            self.settings.consistency_ms,
        )?;
        let groups = match target.purpose {
            Purpose::Admission => server_group::group_names(target, aws)
                .filter_map(|(slice, name)| SliceGroup::of(slice, &name, state))
                .collect(),
            _ => Vec::new(),
        };
        Ok(Polled {
            observation,
            groups,
        })
    }

    fn lock_questions(&self) -> MutexGuard<'_, Vec<Question>> {
        self.questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_spending(&self) -> MutexGuard<'_, Spending> {
        self.spending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
