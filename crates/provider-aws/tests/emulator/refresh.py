"""Instance refresh: replaces the members of a group in steps, with checkpoints and rollback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.autoscaling.exceptions import AutoscalingClientError
from moto.autoscaling.exceptions import ValidationError
from moto.cloudwatch.models import cloudwatch_backends
from moto.moto_api._internal import mock_random

from clock import from_ms
from world import WORLD

if TYPE_CHECKING:
    from groups import GroupEngine
    from member import Member

# "...an instance refresh fails if there is no progress for one hour": also the time that `Wait`
# waits. Source: "Troubleshoot instance refresh in Amazon EC2 Auto Scaling", read 2026-11.
STUCK_MS = 3_600_000
ACTIVE = ("Pending", "InProgress", "Baking", "Cancelling", "RollbackInProgress")


class InstanceRefreshInProgress(AutoscalingClientError):
    code = "InstanceRefreshInProgress"
    message = "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh."


class ActiveInstanceRefreshNotFound(AutoscalingClientError):
    code = "ActiveInstanceRefreshNotFound"
    message = "No in progress or pending Instance Refresh found for Auto Scaling group {group}"


class IrreversibleInstanceRefresh(AutoscalingClientError):
    code = "IrreversibleInstanceRefresh"
    message = "The instance refresh cannot be rolled back: its configuration is not a numbered version."


class Refresh:
    """One instance refresh of a group. Defaults: API reference "RefreshPreferences", read 2026-11."""

    def __init__(self, engine: GroupEngine, preferences: dict[str, Any], wanted: dict[str, Any] | None) -> None:
        self.engine = engine
        self.id = str(mock_random.uuid4())
        self.preferences = preferences
        self.wanted = wanted
        self.original = (engine.group.ec2_launch_template, engine.group.launch_template_version)
        self.goal = self._resolve(wanted) if wanted else self.original
        self.status = "Pending"
        self.reason: str | None = None
        self.start_ms = self.progress_ms = WORLD.clock.now_ms()
        self.end_ms: int | None = None
        self.bake_until_ms: int | None = None
        self.checkpoint_until_ms: int | None = None
        self.checkpoints_passed = 0
        self.min_percent = int(preferences.get("MinHealthyPercentage", 90))
        self.max_percent = preferences.get("MaxHealthyPercentage")
        if self.max_percent is not None:
            if "MinHealthyPercentage" not in preferences:
                raise ValidationError("MinHealthyPercentage must be specified when MaxHealthyPercentage is specified.")
            if not 100 <= int(self.max_percent) <= 200:
                raise ValidationError("MaxHealthyPercentage must be between 100 and 200.")
            if int(self.max_percent) - self.min_percent > 100:
                raise ValidationError("The difference between MaxHealthyPercentage and MinHealthyPercentage cannot be greater than 100.")
        if not 0 <= self.min_percent <= 100:
            raise ValidationError("MinHealthyPercentage must be between 0 and 100.")
        self.checkpoints = [int(percent) for percent in preferences.get("CheckpointPercentages", [])]
        if self.checkpoints != sorted(set(self.checkpoints)):
            raise ValidationError("CheckpointPercentages must be in ascending order.")
        if preferences.get("AutoRollback") and not self._is_numbered(wanted):
            raise ValidationError("AutoRollback requires a desired configuration with a numbered launch template version.")
        self.replaced: set[str] = set()
        self.to_replace = self._outdated()
        self.total = len(self.to_replace)

    # ---- what it is about

    def _resolve(self, wanted: dict[str, Any]) -> tuple[Any, str]:
        backend = self.engine.group.ec2_backend
        given = wanted.get("LaunchTemplate") or {}
        if given.get("LaunchTemplateId"):
            template = backend.get_launch_template(given["LaunchTemplateId"])
        elif given.get("LaunchTemplateName"):
            template = backend.get_launch_template_by_name(given["LaunchTemplateName"])
        else:
            raise ValidationError("DesiredConfiguration must contain a launch template.")
        version = str(given.get("Version") or "$Default")
        template.get_version(version)
        return template, version

    @staticmethod
    def _is_numbered(wanted: dict[str, Any] | None) -> bool:
        return str(((wanted or {}).get("LaunchTemplate") or {}).get("Version", "")).isdigit()

    def launch_source(self) -> tuple[Any, int | None]:
        template, version = self.goal
        return (template, template.get_version(version).number) if template is not None else (None, None)

    def _matches(self, member: Member) -> bool:
        template, number = self.launch_source()
        used = member.used_template
        return bool(template and used and used["LaunchTemplateId"] == template.id and used["Version"] == str(number))

    def _outdated(self) -> set[str]:
        skip = bool(self.preferences.get("SkipMatching", False)) or self.status == "RollbackInProgress"
        protected = self.preferences.get("ScaleInProtectedInstances", "Wait")
        standby = self.preferences.get("StandbyInstances", "Wait")
        found = set()
        for member in self.engine.members:
            if member.is_terminating or (skip and self._matches(member)):
                continue
            if member.is_protected and protected == "Ignore" or member.is_standby and standby == "Ignore":
                continue
            found.add(member.instance_id)
        return found

    @property
    def is_active(self) -> bool:
        return self.status in ACTIVE

    def old_members(self) -> list[Member]:
        return [
            member
            for member in self.engine.members
            if member.instance_id in self.to_replace and not member.is_terminating
        ]

    @property
    def percent(self) -> int:
        """A replacement counts once it is healthy and warm."""
        # Source: API reference "InstanceRefresh", PercentageComplete, read 2026-11.
        if not self.total:
            return 100
        ready = sum(self._is_ready(each) for each in self._new_members())
        return 100 * min(self.total - len(self.old_members()), ready) // self.total

    def _new_members(self) -> list[Member]:
        return [each for each in self.engine.counted if each.instance_id not in self.to_replace and self._matches(each)]

    def _warmup_ms(self) -> int:
        # Source: API reference "RefreshPreferences", InstanceWarmup: default is the group's
        # default instance warmup, else its health check grace period. Read 2026-11.
        group = self.engine.group
        for seconds in (
            self.preferences.get("InstanceWarmup"),
            getattr(group, "default_instance_warmup", None),
            group.health_check_grace_period,
        ):
            if seconds is not None and int(seconds) >= 0:
                return 1000 * int(seconds)
        return 0

    def _is_ready(self, member: Member) -> bool:
        if not member.is_in_service or member.health_status != "Healthy":
            return False
        if self.engine.group.health_check_type != "EC2" and self.engine.target_groups() and not member.is_healthy:
            return False
        if member.instance_id in self.to_replace:
            return True
        return WORLD.clock.now_ms() >= (member.in_service_ms or 0) + self._warmup_ms()

    # ---- its course

    def step(self) -> bool:
        """One look; tells whether anything was done."""
        if self.status == "Pending":
            self.status = "InProgress"
            return True
        if self.status == "Cancelling":
            # "When an instance refresh is cancelled, changes already made are not rolled back."
            # Source: "Cancel an instance refresh", read 2026-11.
            self._end("Cancelled")
            return True
        if self.status != "RollbackInProgress" and self._alarm():
            self._fail(f"Alarm {self._alarm()} is in ALARM state.")
            return True
        if self.status == "Baking":
            if WORLD.clock.now_ms() >= (self.bake_until_ms or 0):
                self._end("Successful")
                return True
            return False
        if self.engine.suspended("Launch", "Terminate", "InstanceRefresh"):
            return False
        if WORLD.clock.now_ms() >= self.progress_ms + STUCK_MS and self.checkpoint_until_ms is None:
            self._fail("No progress was made for one hour.")
            return True
        if self._waits_at_checkpoint():
            return False
        return self._replace() or self._complete()

    def _waits_at_checkpoint(self) -> bool:
        """Stops at each checkpoint until its delay is over."""
        # Source: "Add checkpoints to an instance refresh", read 2026-11.
        now = WORLD.clock.now_ms()
        if self.checkpoint_until_ms is not None:
            if now < self.checkpoint_until_ms:
                return True
            self.checkpoint_until_ms, self.progress_ms = None, now
            self.checkpoints_passed += 1
        if self.status == "RollbackInProgress" or self.checkpoints_passed >= len(self.checkpoints):
            return False
        if self.percent >= self.checkpoints[self.checkpoints_passed] and self.percent < 100:
            self.checkpoint_until_ms = now + 1000 * int(self.preferences.get("CheckpointDelay", 3600))
            return True
        return False

    def _allowed(self) -> int:
        """How many more may be replaced before the next checkpoint."""
        old = len(self.old_members())
        if self.status == "RollbackInProgress" or self.checkpoints_passed >= len(self.checkpoints):
            return 0 if self._ends_early() else old
        goal = -(-self.total * self.checkpoints[self.checkpoints_passed] // 100)
        return max(0, goal - (self.total - old))

    def _ends_early(self) -> bool:
        """Whether the last checkpoint, below 100, has been passed."""
        return (
            bool(self.checkpoints)
            and self.status != "RollbackInProgress"
            and self.checkpoints[-1] < 100
            and self.checkpoints_passed >= len(self.checkpoints)
        )

    def _replace(self) -> bool:
        # Source: "How an instance refresh works in an Auto Scaling group", read 2026-11.
        engine = self.engine
        desired = engine.group.desired_capacity
        candidates = [each for each in self.old_members() if self._may_go(each)]
        allowed = min(self._allowed(), len(candidates))
        floor = -(-desired * self.min_percent // 100)
        ready = [each for each in engine.counted if self._is_ready(each)]
        room = len(ready) - floor
        before = engine.surplus
        if self.max_percent is not None and int(self.max_percent) > 100:
            extra = max(1, desired * (int(self.max_percent) - 100) // 100)
            engine.surplus = min(extra, allowed)
        elif room <= 0 and len(ready) >= desired > 0:
            room = 1  # the floor leaves no room: one at a time
        if engine.surplus != before:
            engine.wake()
        did = engine.surplus > before
        unready = [each for each in candidates if not self._is_ready(each)]
        for member in (unready + [each for each in candidates if each not in unready])[:allowed]:
            if self._is_ready(member):
                if room <= 0:
                    break
                room -= 1
            engine.surplus = max(0, engine.surplus - 1)
            engine.terminate(member, "refresh", "an instance was terminated by an instance refresh.")
            self.progress_ms = WORLD.clock.now_ms()
            did = True
        return did

    def _may_go(self, member: Member) -> bool:
        if member.is_standby:
            return self.preferences.get("StandbyInstances", "Wait") == "Terminate"
        if member.is_protected:
            return self.preferences.get("ScaleInProtectedInstances", "Wait") == "Refresh"
        return True

    def _complete(self) -> bool:
        if self.old_members() and not self._ends_early():
            return False
        engine = self.engine
        counted = engine.counted
        if len(counted) != engine.group.desired_capacity or not all(self._is_ready(each) for each in counted):
            return False
        if any(each.is_terminating and each.cause == "refresh" for each in engine.members):
            return False
        bake_ms = 1000 * int(self.preferences.get("BakeTime", 0))
        if self.status == "RollbackInProgress":
            self._end("RollbackSuccessful")
        elif bake_ms:
            self.status, self.bake_until_ms = "Baking", WORLD.clock.now_ms() + bake_ms
        else:
            self._end("Successful")
        return True

    def _alarm(self) -> str | None:
        group = self.engine.group
        alarms = cloudwatch_backends[group.account_id][group.region].alarms
        names = (self.preferences.get("AlarmSpecification") or {}).get("Alarms", [])
        return next((name for name in names if name in alarms and alarms[name].state_value == "ALARM"), None)

    def _fail(self, reason: str) -> None:
        self.reason = reason
        if self.status == "RollbackInProgress":
            self._end("RollbackFailed")
        elif self.preferences.get("AutoRollback"):
            self.roll_back()
        else:
            self._end("Failed")

    def roll_back(self) -> None:
        """Replaces everything that does not match the group's own configuration."""
        # Source: "Undo changes with a rollback", read 2026-11.
        if not self._is_numbered(self.wanted) or not str(self.original[1]).isdigit():
            raise IrreversibleInstanceRefresh()
        self.status = "RollbackInProgress"
        self.goal = self.original
        self.checkpoint_until_ms = self.bake_until_ms = None
        self.progress_ms = WORLD.clock.now_ms()
        self.to_replace = self._outdated()
        self.total = len(self.to_replace)
        self.engine.wake()

    def _end(self, status: str) -> None:
        self.status = status
        self.end_ms = WORLD.clock.now_ms()
        self.engine.surplus = 0
        group = self.engine.group
        # The group's own template is updated only at success.
        # Source: "How an instance refresh works in an Auto Scaling group", read 2026-11.
        if status == "Successful" and self.wanted:
            group.ec2_launch_template, group.launch_template_version = self.goal
            group.provided_launch_template_version = self.goal[1]
            group.launch_config = group.launch_configuration_name = None
        self.engine.wake()

    def next_ms(self) -> int | None:
        """When it must be looked at again, at the latest."""
        times = [self.progress_ms + STUCK_MS, self.checkpoint_until_ms, self.bake_until_ms]
        warmup = self._warmup_ms()
        times += [(each.in_service_ms or 0) + warmup for each in self.engine.counted]
        now = WORLD.clock.now_ms()
        if (self.preferences.get("AlarmSpecification") or {}).get("Alarms"):
            times.append(now + 1000)
        return min((time for time in times if time is not None and time > now), default=None)

    def describe(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "InstanceRefreshId": self.id,
            "AutoScalingGroupName": self.engine.group.name,
            "Status": self.status,
            "StartTime": from_ms(self.start_ms),
            "PercentageComplete": 100 if self.status == "Successful" else self.percent,
            "InstancesToUpdate": len(self.old_members()) if self.is_active else 0,
            "Preferences": self.preferences,
        }
        if self.end_ms is not None:
            shown["EndTime"] = from_ms(self.end_ms)
        if self.reason:
            shown["StatusReason"] = self.reason
        if self.wanted:
            shown["DesiredConfiguration"] = self.wanted
        return shown
