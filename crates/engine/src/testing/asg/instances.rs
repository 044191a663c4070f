//! What the group does by itself as time passes: its instances age, it starts and stops them, and
//! balances its zones.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    observation::{Instance, InstanceId, InstanceState},
    release::Launch,
    time::UnixMs,
};

use super::{Asg, Behaviour, LOOK_AGE_MS, Member, TerminationPolicy};

impl Asg {
    /// Every instance moves on in its life.
    pub(super) fn age(&mut self, now: UnixMs) {
        let mut ill = Vec::new();
        for (index, member) in self.group.members.iter_mut().enumerate() {
            if member.fades_at.is_some_and(|at| at <= now)
                && member.instance.state == InstanceState::Healthy
            {
                member.fades_at = None;
                member.instance.state = InstanceState::Unhealthy;
                member.due = Some(now.plus_ms(self.lags.replace));
                self.losses.push(now);
            }
            if member.due.is_none_or(|at| at > now) {
                continue;
            }
            match member.instance.state {
                InstanceState::Pending => {
                    (member.instance.state, member.due) = (InstanceState::Healthy, None);
                    member.healthy_since = Some(now);
                }
                InstanceState::Unhealthy => ill.push(index),
                InstanceState::Draining => {
                    member.instance.state = InstanceState::Terminating;
                    member.due = Some(now.plus_ms(self.lags.stop));
                }
                InstanceState::Healthy | InstanceState::Terminating => {}
            }
        }
        for index in ill {
            self.stop(index, now);
        }
        let gone = |m: &Member| {
            m.instance.state == InstanceState::Terminating && m.due.is_some_and(|at| at <= now)
        };
        self.group.members.retain(|member| !gone(member));
    }

    /// Starts what is missing, stops what is too many.
    pub(super) fn scale(&mut self, now: UnixMs) {
        let desired = self.wanted();
        while self.present() < desired {
            let Some(launch) = self.goal() else {
                return;
            };
            let zone = self.emptiest_zone();
            self.start(launch, zone, now);
        }
        while self.present() > desired {
            let Some(victim) = self.victim() else { return };
            // The request was made on an earlier look.
            let unseen_ms = LOOK_AGE_MS + self.lags.react;
            let healthy = self.group.members[victim].was_healthy(now, unseen_ms);
            if healthy && !self.scaled_itself {
                self.shed += 1;
            }
            self.stop(victim, now);
        }
    }

    /// Moves one instance to an emptier zone, if zones differ by two or more.
    pub(super) fn rebalance(&mut self, now: UnixMs) {
        let counts = self.zone_counts();
        let (Some(most), Some(least)) = (counts.values().max(), counts.values().min()) else {
            return;
        };
        if *most < *least + 2 {
            return;
        }
        let full: BTreeSet<&str> = counts
            .iter()
            .filter(|(_, n)| *n == most)
            .map(|(zone, _)| *zone)
            .collect();
        let victim = self.group.members.iter().position(|m| {
            full.contains(m.instance.zone.as_str())
                && !m.instance.protected
                && m.instance.state == InstanceState::Healthy
        });
        let (Some(victim), Some(launch)) = (victim, self.group.launches.clone()) else {
            return;
        };
        let zone = self.emptiest_zone();
        self.start(launch, zone, now);
        self.losses.push(now);
        self.stop(victim, now);
    }

    fn zone_counts(&self) -> BTreeMap<&str, usize> {
        let mut counts: BTreeMap<&str, usize> =
            self.zones.iter().map(|zone| (zone.as_str(), 0)).collect();
        for member in self
            .group
            .members
            .iter()
            .filter(|m| m.instance.state.is_present())
        {
            *counts.entry(&member.instance.zone).or_default() += 1;
        }
        counts
    }

    fn emptiest_zone(&mut self) -> usize {
        let counts = self.zone_counts();
        let least = counts.values().min().copied().unwrap_or(0);
        let candidates: Vec<usize> = (0..self.zones.len())
            .filter(|index| {
                counts
                    .get(self.zones[*index].as_str())
                    .copied()
                    .unwrap_or(0)
                    == least
            })
            .collect();
        candidates[self.rng.usize(..candidates.len())]
    }

    /// Who dies on scale-in: the unhealthy first; else among the zones with the most instances that
    /// have an unprotected one, by policy, the rest by chance.
    fn victim(&mut self) -> Option<usize> {
        let members = &self.group.members;
        let open = |m: &&Member| m.instance.state.is_present() && !m.instance.protected;
        let ill = members
            .iter()
            .position(|m| open(&m) && m.instance.state == InstanceState::Unhealthy);
        if ill.is_some() {
            return ill;
        }
        let counts = self.zone_counts();
        let most = members
            .iter()
            .filter(open)
            .map(|m| counts[m.instance.zone.as_str()])
            .max()?;
        let mut candidates: Vec<usize> = (0..members.len())
            .filter(|i| open(&&members[*i]) && counts[members[*i].instance.zone.as_str()] == most)
            .collect();
        self.rng.shuffle(&mut candidates);
        let key = |index: &usize| {
            let instance = &members[*index].instance;
            match self.policy {
                TerminationPolicy::OldestInstance => (instance.started_at.0, String::new()),
                TerminationPolicy::NewestInstance => (-instance.started_at.0, String::new()),
                TerminationPolicy::OldestLaunch => (0, instance.launch.0.clone()),
                TerminationPolicy::Random => (0, String::new()),
            }
        };
        candidates.into_iter().min_by_key(key)
    }

    pub(super) fn start(&mut self, launch: Launch, zone: usize, now: UnixMs) {
        self.next_id += 1;
        let boot = self.lags.boot + self.rng.u64(0..=self.lags.boot_spread);
        let healthy_at = now.plus_ms(boot);
        let behaviour = self
            .behaviours
            .get(&launch.id)
            .copied()
            .unwrap_or(Behaviour::Good);
        let (due, fades_at) = match behaviour {
            Behaviour::Good | Behaviour::Errs(_) => (Some(healthy_at), None),
            Behaviour::Broken => (None, None),
            Behaviour::Fades(after) => (Some(healthy_at), Some(healthy_at.plus_ms(after))),
        };
        let instance = Instance {
            id: InstanceId(format!("i-{}{:04}", self.prefix, self.next_id)),
            launch: launch.id,
            version: launch.version,
            zone: self.zones[zone % self.zones.len()].clone(),
            state: InstanceState::Pending,
            protected: false,
            started_at: now,
        };
        self.group.members.push(Member {
            instance,
            due,
            fades_at,
            healthy_since: None,
        });
    }

    pub(super) fn stop(&mut self, index: usize, now: UnixMs) {
        let member = &mut self.group.members[index];
        member.instance.state = InstanceState::Draining;
        member.due = Some(now.plus_ms(self.lags.stop));
    }
}
