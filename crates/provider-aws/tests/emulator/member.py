"""One instance of an Auto Scaling group, with what it was launched from and its life so far."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from moto.autoscaling.models import InstanceState

import targets
from clock import from_ms
from world import WORLD

if TYPE_CHECKING:
    from groups import GroupEngine

LAUNCHING = ("Pending", "Pending:Wait", "Pending:Proceed")
TERMINATING = ("Terminating", "Terminating:Wait", "Terminating:Proceed")
STANDBY = ("EnteringStandby", "Standby")
_sequence = count(1)


class Member(InstanceState):
    """moto's instance state, extended by times, launch version, hooks and causes."""

    def __init__(self, engine: GroupEngine, instance: Any, state: str) -> None:
        instance.autoscaling_group = engine.group
        super().__init__(
            instance,
            lifecycle_state=state,
            protected_from_scale_in=bool(engine.group.new_instances_protected_from_scale_in),
        )
        now = WORLD.clock.now_ms()
        self.engine = engine
        self.sequence = next(_sequence)
        self.launched_ms = now
        self.used_template: dict[str, str] | None = None
        self.used_configuration: str | None = None
        self.ready_ms = now
        self.in_service_ms: int | None = None
        self.drained_ms = now
        self.gone_ms: int | None = None
        self.hooks: dict[str, int] = {}
        self.hooks_done: set[str] = set()
        self.hook_token = f"{self.sequence:08x}-0000-4000-8000-{self.sequence:012x}"
        self.cause = ""
        self.activity: dict[str, Any] | None = None
        self.was_healthy = False

    # What DescribeAutoScalingGroups shows is what the instance was launched from, not what the
    # group would launch now. Source: API reference "Instance", LaunchTemplate, read 2026-11.
    @property
    def launch_template(self) -> dict[str, str] | None:
        return self.used_template

    @property
    def launch_configuration_name(self) -> str | None:
        return self.used_configuration

    @property
    def version(self) -> int | None:
        return int(self.used_template["Version"]) if self.used_template else None

    @property
    def is_launching(self) -> bool:
        return self.lifecycle_state in LAUNCHING

    @property
    def is_in_service(self) -> bool:
        return self.lifecycle_state == "InService"

    @property
    def is_terminating(self) -> bool:
        return self.lifecycle_state in TERMINATING

    @property
    def is_standby(self) -> bool:
        return self.lifecycle_state in STANDBY

    @property
    def counts(self) -> bool:
        """Whether it is part of the capacity that is compared with the desired size."""
        return self.is_launching or self.is_in_service

    @property
    def is_protected(self) -> bool:
        # "Instance scale-in protection starts when the instance state is InService."
        # Source: "Use instance scale-in protection", read 2026-11.
        return bool(self.protected_from_scale_in) and self.is_in_service

    @property
    def runs(self) -> bool:
        return self.instance.state == "running"

    def target_states(self) -> list[str]:
        """Its state in every target group that the group is attached to."""
        return [targets.state_of(group, self.instance_id)[0] for group in self.engine.target_groups()]

    @property
    def is_healthy(self) -> bool:
        """The ground truth: in service, and serving in every target group."""
        if not self.is_in_service or not self.runs:
            return False
        groups = self.engine.target_groups()
        if groups:
            return all(state == "healthy" for state in self.target_states())
        state, _ = targets.state_by_time(self.in_service_ms or self.launched_ms, self.instance)
        return state == "healthy"

    def health_change_ms(self) -> int | None:
        """When its health changes next by itself, if it will."""
        groups = self.engine.target_groups()
        if not groups:
            start = self.in_service_ms if self.in_service_ms is not None else self.launched_ms
            return targets.state_by_time(start, self.instance)[1]
        changes = [targets.state_of(group, self.instance_id)[1] for group in groups]
        return min((change for change in changes if change is not None), default=None)

    def ground_truth(self) -> dict[str, Any]:
        return {
            "id": self.instance_id,
            "image_id": self.instance.image_id,
            "version": self.version,
            "zone": self.availability_zone,
            "state": self.lifecycle_state,
            "healthy": self.is_healthy,
            "protected": bool(self.protected_from_scale_in),
            "started_ms": self.launched_ms,
        }

    def start_activity(self, description: str, cause: str) -> None:
        self.activity = self.engine.add_activity(description, cause, "InProgress", 30)

    def end_activity(self, status: str = "Successful") -> None:
        if self.activity is not None:
            self.activity.update(
                StatusCode=status, Progress=100, EndTime=from_ms(WORLD.clock.now_ms())
            )
            self.activity = None
