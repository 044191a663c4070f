"""The engine of an Auto Scaling group: launches, terminations, health, zones, by the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.moto_api._internal import mock_random

import compute
import targets
from clock import from_ms
from launching import Launching
from member import Member
from selection import choose_victim
from world import WORLD, GroupKey
from zones import Rebalancing

if TYPE_CHECKING:
    from refresh import Refresh

TERMINATE_HOOK = "autoscaling:EC2_INSTANCE_TERMINATING"
MAX_ROUNDS = 12
ACTIVITIES_KEPT = 1000
BLOCKED = "Could not scale to desired capacity because all remaining instances are protected from scale in."


class GroupEngine(Launching, Rebalancing):
    """Carries out what a group of moto only stores."""

    def __init__(self, group: Any) -> None:
        self.group = group
        self.key: GroupKey = (group.account_id, group.region, group.name)
        self.launched: list[str] = []
        self.activities: list[dict[str, Any]] = []
        self.refreshes: list[Refresh] = []
        self.surplus = 0
        self.rebalancing: Member | None = None
        self.react_ms = WORLD.clock.now_ms()
        self.retry_ms = 0
        self.deleting = False
        self.blocked_at: int | None = None
        self.logged_sizes: tuple[int, int, int] | None = None
        self.due_ms: int | None = None
        self.ticking = False
        self._subnets: tuple[str | None, dict[str, str]] = (None, {})
        group.engine = self
        WORLD.engines[self.key] = self
        self.log_sizes()

    # ---- what there is

    @property
    def members(self) -> list[Member]:
        return self.group.instance_states

    @property
    def counted(self) -> list[Member]:
        return [member for member in self.members if member.counts]

    def suspended(self, *processes: str) -> bool:
        return any(process in self.group._suspended_processes for process in processes)

    def target_groups(self) -> list[Any]:
        known = self.group.autoscaling_backend.elbv2_backend.target_groups
        return [known[arn] for arn in self.group.target_group_arns or [] if arn in known]

    def find(self, instance_id: str) -> Member | None:
        return next((member for member in self.members if member.instance_id == instance_id), None)

    def hooks(self, transition: str) -> list[Any]:
        hooks = self.group.autoscaling_backend.lifecycle_hooks.values()
        return [
            hook
            for hook in hooks
            if hook.auto_scaling_group_name == self.group.name and hook.lifecycle_transition == transition
        ]

    @property
    def refresh(self) -> Refresh | None:
        """The refresh that is under way."""
        newest = self.refreshes[0] if self.refreshes else None
        return newest if newest is not None and newest.is_active else None

    # ---- notes

    def log(self, kind: str, member: Member | None = None, cause: str | None = None, **more: Any) -> None:
        details: dict[str, Any] = dict(more)
        if member is not None:
            details.update(
                instance=member.instance_id, version=member.version, image_id=member.instance.image_id
            )
        if cause:
            details["cause"] = cause
        details["healthy_after"] = sum(each.is_healthy for each in self.members)
        WORLD.record(self.key, kind, **details)

    def log_sizes(self) -> None:
        sizes = (self.group.min_size, self.group.desired_capacity, self.group.max_size)
        if sizes != self.logged_sizes:
            self.logged_sizes = sizes
            self.log("sizes", min=sizes[0], desired=sizes[1], max=sizes[2])

    def add_activity(self, text: str, cause: str, status: str, progress: int, message: str = "") -> dict[str, Any]:
        now = from_ms(WORLD.clock.now_ms())
        activity = {
            "ActivityId": str(mock_random.uuid4()),
            "AutoScalingGroupName": self.group.name,
            "AutoScalingGroupARN": self.group.arn,
            "Description": text,
            "Cause": f"At {now:%Y-%m-%dT%H:%M:%SZ} {cause}",
            "StartTime": now,
            "StatusCode": status,
            "Progress": progress,
            "Details": "{}",
        }
        if message:
            activity["StatusMessage"] = message
        if status in ("Failed", "Successful", "Cancelled"):
            activity["EndTime"] = now
        self.activities.insert(0, activity)
        del self.activities[ACTIVITIES_KEPT:]
        return activity

    # ---- driven from outside

    def wake(self) -> None:
        """Something changed: look at the group at the present instant."""
        self.due_ms = WORLD.clock.now_ms()

    def set_sizes(self, minimum: int, desired: int, maximum: int) -> None:
        if desired != self.group.desired_capacity:
            self.react_ms = WORLD.clock.now_ms() + WORLD.settings.react_ms
        self.group.min_size, self.group.desired_capacity, self.group.max_size = minimum, desired, maximum
        self.blocked_at = None
        self.log_sizes()
        self.wake()

    def tick(self) -> None:
        if self.ticking:
            return
        self.ticking = True
        self.due_ms = None
        try:
            for _ in range(MAX_ROUNDS):
                if not self._round():
                    break
            next_ms = self._next_ms()
        finally:
            self.ticking = False
        if next_ms is not None:
            self.due_ms = max(next_ms, WORLD.clock.now_ms() + 1)

    def _round(self) -> bool:
        """One look at everything; tells whether anything was done."""
        did = False
        for member in list(self.members):
            did |= self._advance(member)
        for member in list(self.members):
            did |= self._check_health(member)
        did |= self._meet_capacity()
        did |= self._rebalance()
        if self.refresh is not None:
            did |= self.refresh.step()
        if self.deleting and not self.members:
            self._vanish()
        return did

    def _next_ms(self) -> int | None:
        now = WORLD.clock.now_ms()
        times: list[int | None] = []
        for member in self.members:
            state = member.lifecycle_state
            if state in ("Pending", "Pending:Proceed"):
                times.append(member.ready_ms)
            elif state.endswith(":Wait"):
                times.extend(member.hooks.values())
            elif state == "Terminating":
                times.append(member.drained_ms)
            elif state == "Terminating:Proceed":
                times.append(member.gone_ms)
            elif state == "InService":
                times.append(member.health_change_ms())
                if member.in_service_ms is not None:
                    times.append(member.in_service_ms + self._grace_ms())
                    times.append(member.in_service_ms + 1)
        if self.group.desired_capacity + self.surplus != len(self.counted):
            times += [self.react_ms, self.retry_ms]
        if self.refresh is not None:
            times.append(self.refresh.next_ms())
        return min((time for time in times if time is not None and time > now), default=None)

    # ---- the life of a member

    def _advance(self, member: Member) -> bool:
        now = WORLD.clock.now_ms()
        state = member.lifecycle_state
        if not member.runs and not member.is_terminating and member.instance.state in ("terminated", "shutting-down"):
            self._remove(member, "lost", "user")
            return True
        if state.endswith(":Wait"):
            return self._hook_timeouts(member)
        if state in ("Pending", "Pending:Proceed") and now >= member.ready_ms:
            self._enter_service(member)
        elif state == "Terminating" and now >= member.drained_ms:
            self._start_hooks(member, TERMINATE_HOOK, "Terminating:Wait", "Terminating:Proceed")
            if member.lifecycle_state == "Terminating:Proceed":
                member.gone_ms = now + WORLD.settings.terminate_ms
        elif state == "Terminating:Proceed" and now >= (member.gone_ms or 0):
            self._remove(member, "gone", member.cause)
        else:
            return False
        return True

    def _enter_service(self, member: Member) -> None:
        """Registers it with the load balancers, and then calls it InService."""
        # Registration comes before InService; members launched while AddToLoadBalancer is
        # suspended are never registered. Source: "Suspend and resume Amazon EC2 Auto Scaling
        # processes" and "Amazon EC2 Auto Scaling instance lifecycle", read 2026-11.
        if not self.suspended("AddToLoadBalancer"):
            for group in self.target_groups():
                targets.register(group, member.instance_id)
        member.lifecycle_state = "InService"
        member.in_service_ms = WORLD.clock.now_ms()
        member.end_activity()
        self._follow_classic_balancers()
        self.log("in_service", member)

    def _follow_classic_balancers(self) -> None:
        backend = self.group.autoscaling_backend
        if self.group.load_balancer_names and self.group.name in backend.autoscaling_groups:
            backend.update_attached_elbs(self.group.name)

    def _start_hooks(self, member: Member, transition: str, waiting: str, proceeding: str) -> None:
        # Source: "How lifecycle hooks work in Auto Scaling groups", read 2026-11.
        now = WORLD.clock.now_ms()
        hooks = self.hooks(transition)
        member.hooks = {hook.name: now + 1000 * int(hook.heartbeat_timeout) for hook in hooks}
        member.lifecycle_state = waiting if hooks else proceeding

    def _hook_timeouts(self, member: Member) -> bool:
        now = WORLD.clock.now_ms()
        did = False
        for name, deadline in list(member.hooks.items()):
            if now >= deadline:
                hook = self.group.autoscaling_backend.lifecycle_hooks.get(f"{self.group.name}_{name}")
                self.complete_hook(member, name, hook.default_result if hook else "ABANDON")
                did = True
        return did

    def complete_hook(self, member: Member, name: str, result: str) -> None:
        """CONTINUE goes on; ABANDON ends a launching instance, and all other hooks of it."""
        member.hooks.pop(name, None)
        launching = member.lifecycle_state.startswith("Pending")
        if result == "ABANDON" and launching:
            member.end_activity("Cancelled")
            self.terminate(member, "health", "a lifecycle hook was abandoned")
        elif result == "ABANDON" or not member.hooks:
            member.hooks.clear()
            now = WORLD.clock.now_ms()
            if launching:
                member.lifecycle_state = "Pending:Proceed"
            else:
                member.lifecycle_state = "Terminating:Proceed"
                member.gone_ms = now + WORLD.settings.terminate_ms
        self.wake()

    def terminate(self, member: Member, cause: str, text: str = "") -> None:
        """Begins the end of a member: deregistration, draining, hook, termination."""
        if member.is_terminating:
            return
        was_in_service = member.is_in_service
        draining_ms = 0
        for group in self.target_groups():
            if member.instance_id in group.targets:
                targets.deregister(group, member.instance_id)
                draining_ms = WORLD.settings.drain_ms
        member.cause = cause
        member.hooks = {}
        member.lifecycle_state = "Terminating"
        member.drained_ms = WORLD.clock.now_ms() + (draining_ms if was_in_service else 0)
        member.start_activity(
            f"Terminating EC2 instance: {member.instance_id}",
            text or f"an instance was taken out of service ({cause}).",
        )
        self._follow_classic_balancers()
        self.log("terminate", member, cause)
        self.wake()

    def lose(self, member: Member, cause: str) -> None:
        """The instance is lost at once, without draining, as by a Spot interruption."""
        self.group.ec2_backend.terminate_instances([member.instance_id])
        self._remove(member, "lost", cause)
        self.wake()

    def _remove(self, member: Member, kind: str, cause: str) -> None:
        self.forget_member(member)
        if member.instance.state != "terminated":
            self.group.ec2_backend.terminate_instances([member.instance_id])
        for group in self.target_groups():
            targets.drop(group, member.instance_id)
        self._follow_classic_balancers()
        compute.note_terminated(self.group.ec2_backend, member.instance_id)
        member.end_activity()
        self.log(kind, member, cause)

    def forget_member(self, member: Member) -> None:
        if member in self.members:
            self.members.remove(member)
        WORLD.instances.pop(member.instance_id, None)
        if self.rebalancing is member:
            self.rebalancing, self.surplus = None, 0

    # ---- health

    def _grace_ms(self) -> int:
        return 1000 * int(self.group.health_check_grace_period or 0)

    def _check_health(self, member: Member) -> bool:
        if not member.is_in_service:
            return False
        healthy = member.is_healthy
        if healthy != member.was_healthy:
            member.was_healthy = healthy
            self.log("healthy" if healthy else "unhealthy", member)
        if not self.suspended("HealthCheck") and self._fails_checks(member):
            member.health_status = "Unhealthy"
        if member.health_status == "Healthy" or self.suspended("ReplaceUnhealthy", "Terminate"):
            return False
        # At most 10 % of a group are replaced at a time. Source: "Health checks for instances
        # in an Auto Scaling group", read 2026-11.
        leaving = sum(each.is_terminating and each.cause == "health" for each in self.members)
        if leaving >= max(1, self.group.desired_capacity // 10):
            return False
        self.terminate(member, "health", "an instance was taken out of service in response to a health check.")
        return True

    def _fails_checks(self, member: Member) -> bool:
        # An instance that is not running fails at once, even within the grace period. Source:
        # "Set the health check grace period for an Auto Scaling group", read 2026-11.
        if not member.runs:
            return True
        now = WORLD.clock.now_ms()
        since = member.in_service_ms if member.in_service_ms is not None else now
        if self.group.health_check_type == "EC2" or now < since + max(self._grace_ms(), 1):
            return False
        return any(state == "unhealthy" for state in member.target_states())

    # ---- capacity

    def _meet_capacity(self) -> bool:
        now = WORLD.clock.now_ms()
        counted = self.counted
        missing = self.group.desired_capacity + self.surplus - len(counted)
        if missing == 0 or now < self.react_ms or self.deleting:
            return False
        if missing > 0:
            if self.suspended("Launch") or now < self.retry_ms:
                return False
            return any([self.launch() is not None for _ in range(missing)])
        if self.suspended("Terminate"):
            return False
        did = False
        for _ in range(-missing):
            counted = self.counted
            victim = choose_victim(self, [each for each in counted if not each.is_protected], counted)
            if victim is None:
                self._report_blocked()
                break
            self.terminate(victim, "scale-in", "an instance was taken out of service to shrink the capacity.")
            did = True
        return did

    def _report_blocked(self) -> None:
        # Source: "Use instance scale-in protection", considerations, read 2026-11.
        if self.blocked_at != self.group.desired_capacity:
            self.blocked_at = self.group.desired_capacity
            self.add_activity(BLOCKED, "a scale-in was attempted.", "Failed", 100, BLOCKED)

    # ---- the end

    def delete(self) -> None:
        """Terminates all members, protected or not; the group vanishes when they are gone."""
        self.deleting = True
        self.group.status = "Delete in progress"
        self.set_sizes(0, 0, self.group.max_size)
        for member in list(self.members):
            self.terminate(member, "user", "the group was deleted.")
        self.wake()

    def _vanish(self) -> None:
        self.group.autoscaling_backend.autoscaling_groups.pop(self.group.name, None)
        WORLD.engines.pop(self.key, None)
        self.due_ms = None
