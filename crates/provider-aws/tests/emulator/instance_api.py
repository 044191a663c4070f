"""The Auto Scaling API on single instances: protection, termination, standby, hooks, refresh."""

from __future__ import annotations

from typing import Any

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import ASG_NAME_TAG
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, EmptyResult

import targets
from group_api import group_of, paged
from member import Member
from refresh import ActiveInstanceRefreshNotFound, InstanceRefreshInProgress, Refresh
from world import WORLD, override

MAX_PROTECTION_IDS = 50
MAX_DETACH_IDS = 20
MAX_REFRESHES = 100


def members_of(group: Any, instance_ids: list[str]) -> list[Member]:
    found = []
    for instance_id in instance_ids:
        member = group.engine.find(instance_id)
        if member is None:
            raise ValidationError(f"The instance {instance_id} is not part of Auto Scaling group {group.name}.")
        found.append(member)
    return found


def member_anywhere(response: Any, instance_id: str) -> tuple[Any, Member]:
    for group in response.autoscaling_backend.autoscaling_groups.values():
        if (member := group.engine.find(instance_id)) is not None:
            return group, member
    raise ValidationError(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")


def decrement(group: Any, count: int, doing: str) -> None:
    """Lowers the desired size, but never below the minimum."""
    if group.desired_capacity - count < group.min_size:
        raise ValidationError(
            f"Currently, desiredSize equals minSize ({group.min_size}). {doing} without replacement will violate "
            "group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size."
        )
    group.engine.set_sizes(group.min_size, group.desired_capacity - count, group.max_size)


class InstanceActions:
    """Takes the place of the same actions of moto; `self` is moto's response object."""

    def set_instance_protection(self: Any) -> ActionResult:
        # Source: API reference "SetInstanceProtection" and "Use instance scale-in protection",
        # read 2026-11: at most 50 ids; the instances must be InService (or in Standby).
        group, ids = group_of(self), self._get_param("InstanceIds", [])
        if len(ids) > MAX_PROTECTION_IDS:
            raise ValidationError(f"You can specify at most {MAX_PROTECTION_IDS} instance IDs in a request.")
        members = members_of(group, ids)
        wrong = [each.instance_id for each in members if not (each.is_in_service or each.is_standby)]
        if wrong:
            raise ValidationError(f"The instances {wrong} are not in InService or EnteringStandby or Standby.")
        for member in members:
            member.protected_from_scale_in = self._get_bool_param("ProtectedFromScaleIn")
        group.engine.blocked_at = None
        group.engine.wake()
        return EmptyResult()

    def terminate_instance_in_auto_scaling_group(self: Any) -> ActionResult:
        # Protection does not help against it. Source: API reference
        # "TerminateInstanceInAutoScalingGroup", read 2026-11.
        group, member = member_anywhere(self, self._get_param("InstanceId"))
        if member.is_terminating:
            raise ValidationError(f"The instance {member.instance_id} is already terminating.")
        # The size is lowered first, so that the group does not replace the instance.
        if self._get_bool_param("ShouldDecrementDesiredCapacity", False):
            decrement(group, 1, "Terminating instance")
        group.engine.terminate(member, "user", "an instance was taken out of service in response to a user request.")
        return ActionResult({"Activity": group.engine.activities[0]})

    def set_instance_health(self: Any) -> ActionResult:
        group, member = member_anywhere(self, self._get_param("InstanceId"))
        status = self._get_param("HealthStatus")
        if status not in ("Healthy", "Unhealthy"):
            raise ValidationError("Valid instance health states are: [Healthy, Unhealthy]")
        since = member.in_service_ms if member.in_service_ms is not None else WORLD.clock.now_ms()
        grace_ends_ms = since + 1000 * int(group.health_check_grace_period or 0)
        if self._get_bool_param("ShouldRespectGracePeriod", True) and WORLD.clock.now_ms() < grace_ends_ms:
            return EmptyResult()
        member.health_status = status
        group.engine.wake()
        return EmptyResult()

    def enter_standby(self: Any) -> ActionResult:
        # Source: "Temporarily remove instances from your Auto Scaling group", read 2026-11.
        group = group_of(self)
        engine = group.engine
        members = members_of(group, self._get_param("InstanceIds", []))
        if any(not member.is_in_service for member in members):
            raise ValidationError("Only instances that are InService can enter Standby.")
        if self._get_bool_param("ShouldDecrementDesiredCapacity"):
            decrement(group, len(members), "Entering Standby")
        activities = []
        for member in members:
            for target_group in engine.target_groups():
                targets.deregister(target_group, member.instance_id)
            member.lifecycle_state, member.was_healthy = "Standby", False
            activities.append(
                engine.add_activity(
                    f"Moving EC2 instance to Standby: {member.instance_id}",
                    "an instance was moved to standby in response to a user request.",
                    "Successful",
                    100,
                )
            )
        engine.wake()
        return ActionResult({"Activities": activities})

    def exit_standby(self: Any) -> ActionResult:
        group = group_of(self)
        engine = group.engine
        members = members_of(group, self._get_param("InstanceIds", []))
        if any(not member.is_standby for member in members):
            raise ValidationError("Only instances in Standby can leave it.")
        new_size = group.desired_capacity + len(members)
        if new_size > group.max_size:
            raise ValidationError(f"Leaving Standby would exceed the max size {group.max_size} of the group.")
        activities = []
        for member in members:
            member.lifecycle_state, member.ready_ms = "Pending", WORLD.clock.now_ms()
            activities.append(
                engine.add_activity(
                    f"Moving EC2 instance out of Standby: {member.instance_id}",
                    "an instance was moved out of standby in response to a user request.",
                    "InProgress",
                    30,
                )
            )
            member.activity = activities[-1]
        engine.set_sizes(group.min_size, new_size, group.max_size)
        return ActionResult({"Activities": activities})

    def detach_instances(self: Any) -> ActionResult:
        # Source: "Detach or attach instances", read 2026-11: at most 20; scale-in protection is lost.
        group, ids = group_of(self), self._get_param("InstanceIds", [])
        if len(ids) > MAX_DETACH_IDS:
            raise ValidationError(f"You can detach at most {MAX_DETACH_IDS} instances in a request.")
        engine, members = group.engine, members_of(group, ids)
        if self._get_bool_param("ShouldDecrementDesiredCapacity", False):
            decrement(group, len(members), "Detaching instance")
        activities = []
        for member in members:
            for target_group in engine.target_groups():
                targets.deregister(target_group, member.instance_id)
            member.protected_from_scale_in = False
            engine.forget_member(member)
            group.ec2_backend.delete_tags([member.instance_id], {ASG_NAME_TAG: group.name})
            member.instance.autoscaling_group = None
            activities.append(
                engine.add_activity(
                    f"Detaching EC2 instance: {member.instance_id}",
                    "an instance was detached in response to a user request.",
                    "Successful",
                    100,
                )
            )
        engine.wake()
        return ActionResult({"Activities": activities})

    def attach_instances(self: Any) -> ActionResult:
        group, ids = group_of(self), self._get_param("InstanceIds", [])
        engine, new_size = group.engine, group.desired_capacity + len(ids)
        if new_size > group.max_size:
            raise ValidationError(
                f"AutoScalingGroup {group.name} has min-size={group.min_size}, max-size={group.max_size}, and "
                f"desired-size={group.desired_capacity}. To attach {len(ids)} more instance, please update the AutoScalingGroup sizes appropriately."
            )
        for instance_id in ids:
            instance = group.ec2_backend.get_instance(instance_id)
            if getattr(instance, "autoscaling_group", None) is not None:
                raise ValidationError(f"Instance {instance_id} is already attached to an Auto Scaling group.")
            group.ec2_backend.create_tags([instance_id], {ASG_NAME_TAG: group.name})
            member = Member(engine, instance, "Pending")
            member.ready_ms = WORLD.clock.now_ms()
            engine.members.append(member)
            WORLD.instances[instance_id] = instance
        engine.set_sizes(group.min_size, new_size, group.max_size)
        return EmptyResult()

    # ---- lifecycle hooks; source: "How lifecycle hooks work in Auto Scaling groups", read 2026-11

    def put_lifecycle_hook(self: Any) -> ActionResult:
        group = group_of(self)
        name, transition = self._get_param("LifecycleHookName"), self._get_param("LifecycleTransition")
        known = self.autoscaling_backend.lifecycle_hooks.get(f"{group.name}_{name}")
        if known is None and not transition:
            raise ValidationError("LifecycleTransition is required for a new lifecycle hook.")
        hook = self.autoscaling_backend.create_lifecycle_hook(
            name=name,
            as_name=group.name,
            transition=transition or known.lifecycle_transition,
            timeout=self._get_int_param("HeartbeatTimeout", known.heartbeat_timeout if known else None),
            result=self._get_param("DefaultResult", known.default_result if known else None),
        )
        hook.global_timeout = min(172_800, 100 * hook.heartbeat_timeout)
        return EmptyResult()

    def complete_lifecycle_action(self: Any) -> ActionResult:
        group, name = group_of(self), self._get_param("LifecycleHookName")
        member = waiting_member(self, group, name)
        result = self._get_param("LifecycleActionResult")
        if result not in ("CONTINUE", "ABANDON"):
            raise ValidationError("LifecycleActionResult must be CONTINUE or ABANDON.")
        group.engine.complete_hook(member, name, result)
        return EmptyResult()

    def record_lifecycle_action_heartbeat(self: Any) -> ActionResult:
        group, name = group_of(self), self._get_param("LifecycleHookName")
        member = waiting_member(self, group, name)
        hook = self.autoscaling_backend.lifecycle_hooks[f"{group.name}_{name}"]
        member.hooks[name] = WORLD.clock.now_ms() + 1000 * int(hook.heartbeat_timeout)
        group.engine.wake()
        return EmptyResult()

    # ---- instance refresh; source: API reference "StartInstanceRefresh", read 2026-11

    def start_instance_refresh(self: Any) -> ActionResult:
        engine = group_of(self).engine
        if engine.refresh is not None:
            raise InstanceRefreshInProgress()
        try:
            refresh = Refresh(engine, self._get_param("Preferences") or {}, self._get_param("DesiredConfiguration"))
        except ValidationError:
            raise
        except ServiceException as error:
            raise ValidationError(error.message) from error
        engine.refreshes.insert(0, refresh)
        engine.wake()
        return ActionResult({"InstanceRefreshId": refresh.id})

    def describe_instance_refreshes(self: Any) -> ActionResult:
        wanted = self._get_param("InstanceRefreshIds", [])
        found = [each for each in group_of(self).engine.refreshes if not wanted or each.id in wanted]
        size = min(self._get_int_param("MaxRecords", 50), MAX_REFRESHES)
        page, token = paged(found, self._get_param("NextToken"), size)
        return ActionResult({"InstanceRefreshes": [each.describe() for each in page], "NextToken": token})

    def cancel_instance_refresh(self: Any) -> ActionResult:
        engine = group_of(self).engine
        if engine.refresh is None:
            raise ActiveInstanceRefreshNotFound(group=engine.group.name)
        engine.refresh.status = "Cancelling"
        engine.wake()
        return ActionResult({"InstanceRefreshId": engine.refresh.id})

    def rollback_instance_refresh(self: Any) -> ActionResult:
        engine = group_of(self).engine
        if engine.refresh is None or engine.refresh.status == "RollbackInProgress":
            raise ActiveInstanceRefreshNotFound(group=engine.group.name)
        refresh = engine.refresh
        refresh.roll_back()
        return ActionResult({"InstanceRefreshId": refresh.id})


def waiting_member(response: Any, group: Any, hook_name: str) -> Member:
    instance_id = response._get_param("InstanceId")
    token = response._get_param("LifecycleActionToken")
    for member in group.engine.members:
        if hook_name in member.hooks and (member.instance_id == instance_id or (token and member.hook_token == token)):
            return member
    raise ValidationError(f"No active Lifecycle Action found with instance ID {instance_id}")


def install() -> None:
    override(AutoScalingResponse, InstanceActions)
