//! An instance refresh in virtual time, by the documented rules ("How an instance refresh works in an
//! Auto Scaling group", "Undo changes with a rollback", AWS, read 2026-11): new instances first, old
//! ones go while all that are asked for are ready; the group's own launch changes only at success.

use std::collections::BTreeSet;

use domain::{
    observation::{InstanceId, InstanceState, RefreshSeen, RefreshState},
    plan::instance_refresh::Preferences,
    release::Launch,
    time::UnixMs,
};

use super::{Asg, Behaviour, Member};

/// AWS gives up when nothing moves for this long, in milliseconds.
const STUCK_MS: u64 = 3_600_000;
/// From the first healthy instance of a release that errs until an alarm rings, in milliseconds.
const ALARM_MS: u64 = 3000;

/// One refresh, under way or over.
#[derive(Debug)]
pub(super) struct Refresh {
    seen: RefreshSeen,
    /// What instances are replaced by.
    goal: Launch,
    preferences: Preferences,
    /// What is replaced.
    old: BTreeSet<InstanceId>,
    total: usize,
    checkpoints_passed: usize,
    goes_on_at: Option<UnixMs>,
    baked_at: Option<UnixMs>,
    moved_at: UnixMs,
}

impl Refresh {
    /// As others see it.
    pub(super) fn seen(&self) -> RefreshSeen {
        self.seen.clone()
    }

    fn is_rolling_back(&self) -> bool {
        self.seen.state == RefreshState::RollingBack
    }

    /// How many more may be replaced before the next checkpoint.
    fn allowed(&self, left: usize) -> usize {
        let checkpoint = self.preferences.checkpoints.get(self.checkpoints_passed);
        match checkpoint.filter(|_| !self.is_rolling_back()) {
            Some(percent) => {
                let goal = (self.total * usize::from(*percent)).div_ceil(100);
                goal.saturating_sub(self.total - left)
            }
            None => left,
        }
    }

    /// Stops at each checkpoint until its delay is over.
    fn waits_at_checkpoint(&mut self, percent: usize, now: UnixMs) -> bool {
        if let Some(at) = self.goes_on_at {
            if now < at {
                return true;
            }
            self.goes_on_at = None;
            self.checkpoints_passed += 1;
            self.moved_at = now;
        }
        let checkpoint = self.preferences.checkpoints.get(self.checkpoints_passed);
        let reached = checkpoint.is_some_and(|it| percent >= usize::from(*it));
        if reached && !self.is_rolling_back() {
            let delay_ms = u64::from(self.preferences.checkpoint_delay_seconds) * 1000;
            self.goes_on_at = Some(now.plus_ms(delay_ms));
            return true;
        }
        false
    }
}

impl Asg {
    /// The refresh that is under way.
    pub(super) fn active_refresh(&self) -> Option<&Refresh> {
        let refresh = self.refresh.as_ref();
        refresh.filter(|it| it.seen.state.is_active())
    }

    /// What new instances start from.
    pub(super) fn goal(&self) -> Option<Launch> {
        match self.active_refresh() {
            Some(refresh) => Some(refresh.goal.clone()),
            None => self.group.launches.clone(),
        }
    }

    pub(super) fn start_refresh(
        &mut self,
        launch: &Launch,
        preferences: &Preferences,
        now: UnixMs,
    ) -> Result<(), String> {
        match self.active_refresh() {
            Some(active) if active.goal == *launch => return Ok(()),
            Some(_) => return Err("another instance refresh is in progress".to_owned()),
            None => {}
        }
        self.refreshes += 1;
        let present = self.group.members.iter().map(|member| &member.instance);
        let old: BTreeSet<InstanceId> = present
            .filter(|it| it.state.is_present() && it.launch != launch.id)
            .map(|it| it.id.clone())
            .collect();
        self.refresh = Some(Refresh {
            seen: RefreshSeen {
                id: format!("r-{}", self.refreshes),
                launch: launch.id.clone(),
                state: RefreshState::Running,
                started_at: now,
                percent: 0,
                text: "InProgress".to_owned(),
            },
            goal: launch.clone(),
            preferences: preferences.clone(),
            total: old.len(),
            old,
            checkpoints_passed: 0,
            goes_on_at: None,
            baked_at: None,
            moved_at: now,
        });
        Ok(())
    }

    /// Everything that is not of the group's own launch is replaced by it.
    pub(super) fn roll_refresh_back(&mut self, now: UnixMs, why: &str) {
        let Some(stable) = self.group.launches.clone() else {
            return;
        };
        let present = self.group.members.iter().map(|member| &member.instance);
        let old: BTreeSet<InstanceId> = present
            .filter(|it| it.state.is_present() && it.launch != stable.id)
            .map(|it| it.id.clone())
            .collect();
        let active = self.refresh.as_mut();
        let Some(refresh) = active
            .filter(|it| matches!(it.seen.state, RefreshState::Running | RefreshState::Baking))
        else {
            return;
        };
        refresh.seen.state = RefreshState::RollingBack;
        refresh.seen.text = format!("RollbackInProgress{why}");
        (refresh.total, refresh.old) = (old.len(), old);
        refresh.goal = stable;
        (refresh.goes_on_at, refresh.moved_at) = (None, now);
    }

    pub(super) fn cancel_refresh(&mut self) {
        let active = self.refresh.as_mut();
        if let Some(refresh) = active.filter(|it| it.seen.state.is_active()) {
            refresh.seen.state = RefreshState::Cancelling;
            refresh.seen.text = "Cancelling".to_owned();
        }
    }

    /// Lets the refresh go on until `now`.
    pub(super) fn tick_refresh(&mut self, now: UnixMs) {
        let Some(refresh) = self.active_refresh() else {
            self.surplus = 0;
            return;
        };
        if refresh.seen.state == RefreshState::Cancelling {
            return self.end_refresh(RefreshState::Ended, "Cancelled");
        }
        if !refresh.is_rolling_back() && self.alarm_rings(now) {
            return self.roll_refresh_back(now, ": an alarm rings");
        }
        match refresh.baked_at.filter(|_| !refresh.is_rolling_back()) {
            Some(at) if at <= now => {
                self.group.launches = Some(refresh.goal.clone());
                self.end_refresh(RefreshState::Succeeded, "Successful");
            }
            Some(_) => {}
            None if now.since_ms(refresh.moved_at) > STUCK_MS => match refresh.is_rolling_back() {
                true => {
                    // Nobody asked for it: what it takes away now is the group's own doing.
                    self.scaled_itself = true;
                    self.end_refresh(RefreshState::Ended, "RollbackFailed");
                }
                false => self.roll_refresh_back(now, ": no progress for one hour"),
            },
            None => self.replace_some(now),
        }
    }

    fn end_refresh(&mut self, state: RefreshState, text: &str) {
        self.surplus = 0;
        if let Some(refresh) = &mut self.refresh {
            refresh.seen.state = state;
            refresh.seen.text = text.to_owned();
        }
    }

    fn alarm_rings(&self, now: UnixMs) -> bool {
        let Some(refresh) = self.active_refresh() else {
            return false;
        };
        let goal = &refresh.goal.id;
        let errs = matches!(self.behaviours.get(goal), Some(Behaviour::Errs(_)));
        let served =
            |member: &Member| member.instance.launch == *goal && member.was_healthy(now, ALARM_MS);
        errs && !refresh.preferences.alarms.is_empty() && self.group.members.iter().any(served)
    }

    /// In service for as long as it takes to count; what is replaced counts at once.
    fn is_ready(&self, member: &Member, now: UnixMs) -> bool {
        let Some(refresh) = &self.refresh else {
            return false;
        };
        let warmup_ms = u64::from(refresh.preferences.bake_seconds) * 1000;
        let since = member.healthy_since;
        member.instance.state == InstanceState::Healthy
            && (refresh.old.contains(&member.instance.id)
                || since.is_none_or(|since| now.since_ms(since) >= warmup_ms))
    }

    /// What is still to be replaced, those that nobody will miss first: whether it is ready, and where.
    fn candidates(&self, now: UnixMs) -> Vec<(bool, usize)> {
        let members = self.group.members.iter().enumerate();
        let old = self.refresh.iter().flat_map(|refresh| &refresh.old);
        let old: BTreeSet<&InstanceId> = old.collect();
        let mut candidates: Vec<(bool, usize)> = members
            .filter(|(_, it)| it.instance.state.is_present() && old.contains(&it.instance.id))
            .map(|(index, member)| (self.is_ready(member, now), index))
            .collect();
        candidates.sort_unstable();
        candidates
    }

    fn replace_some(&mut self, now: UnixMs) {
        let candidates = self.candidates(now);
        let left = candidates.len();
        let Some(refresh) = &mut self.refresh else {
            return;
        };
        let percent = 100 * (refresh.total - left) / refresh.total.max(1);
        refresh.seen.percent = u32::try_from(percent).unwrap_or(100);
        if left > 0 && refresh.waits_at_checkpoint(percent, now) {
            return;
        }
        let allowed = refresh.allowed(left);
        let desired = self.group.sizes.desired;
        let beside = desired * (refresh.preferences.max_healthy_percent - 100) / 100;
        let surplus = beside
            .max(1)
            .min(u32::try_from(allowed).unwrap_or(u32::MAX));
        let stopped = self.stop_some(candidates, allowed, now);
        // What is too many is not left to the group's own scale-in, which takes anybody.
        let present = u32::try_from(self.present()).unwrap_or(u32::MAX);
        let too_many = present.saturating_sub(desired);
        self.surplus = surplus.saturating_sub(stopped).max(too_many);
        if left == 0 && too_many == 0 {
            self.complete(now);
        } else if left == 0 {
            let extra = self.spare(now);
            self.stop_some(extra, too_many as usize, now);
        }
    }

    /// Everybody, the youngest first among equals: for a refresh that was turned round while it had
    /// started more than it needs.
    fn spare(&self, now: UnixMs) -> Vec<(bool, usize)> {
        let members = self.group.members.iter().enumerate().rev();
        let present = members.filter(|(_, it)| it.instance.state.is_present());
        let mut spare: Vec<(bool, usize)> = present
            .map(|(index, member)| (self.is_ready(member, now), index))
            .collect();
        spare.sort_by_key(|(is_ready, _)| *is_ready);
        spare
    }

    /// Stops at most `most`, and never so many that fewer than desired are ready.
    fn stop_some(&mut self, candidates: Vec<(bool, usize)>, most: usize, now: UnixMs) -> u32 {
        let members = self.group.members.iter();
        let ready = members.filter(|member| self.is_ready(member, now)).count();
        let mut room = ready.saturating_sub(self.group.sizes.desired as usize);
        let mut stopped = 0;
        for (is_ready, index) in candidates.into_iter().take(most) {
            if is_ready {
                if room == 0 {
                    break;
                }
                room -= 1;
                self.shed += 1;
            }
            self.stop(index, now);
            stopped += 1;
        }
        if let Some(refresh) = self.refresh.as_mut().filter(|_| stopped > 0) {
            refresh.moved_at = now;
        }
        stopped
    }

    /// Nothing is left to replace: all of the new ones must be ready, and the old ones gone.
    fn complete(&mut self, now: UnixMs) {
        self.surplus = 0;
        let desired = self.group.sizes.desired as usize;
        let (present, dying): (Vec<&Member>, Vec<&Member>) = self
            .group
            .members
            .iter()
            .partition(|member| member.instance.state.is_present());
        let all_ready = present.iter().all(|member| self.is_ready(member, now));
        if present.len() != desired || !all_ready || !dying.is_empty() {
            return;
        }
        let Some(refresh) = &mut self.refresh else {
            return;
        };
        refresh.seen.percent = 100;
        if refresh.is_rolling_back() {
            return self.end_refresh(RefreshState::Ended, "RollbackSuccessful");
        }
        refresh.seen.state = RefreshState::Baking;
        refresh.seen.text = "Baking".to_owned();
        let bake_ms = u64::from(refresh.preferences.bake_seconds) * 1000;
        refresh.baked_at = Some(now.plus_ms(bake_ms));
    }
}
