"""The Auto Scaling API: checks what moto lets pass, and hands the work to the engines."""

from __future__ import annotations

from typing import Any

from moto.autoscaling import models as moto_models
from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, EmptyResult

import targets
from clock import from_ms
from groups import GroupEngine
from launching import check_image
from selection import POLICIES
from world import WORLD, override

PROCESSES = {
    "Launch",
    "Terminate",
    "AddToLoadBalancer",
    "AlarmNotification",
    "AZRebalance",
    "HealthCheck",
    "InstanceRefresh",
    "ReplaceUnhealthy",
    "ScheduledActions",
}
DEFAULT_PAGE, MAX_PAGE, MAX_ACTIVITIES = 50, 100, 100


class AlreadyExists(AutoscalingClientError):
    code = "AlreadyExists"


class ResourceInUse(AutoscalingClientError):
    code = "ResourceInUse"


class ScalingActivityInProgress(AutoscalingClientError):
    code = "ScalingActivityInProgress"


class InvalidNextToken(AutoscalingClientError):
    code = "InvalidNextToken"
    message = "The NextToken value is not valid."


def group_of(response: Any, name: str | None = None) -> Any:
    """The group that a request names."""
    name = name or response._get_param("AutoScalingGroupName")
    group = response.autoscaling_backend.autoscaling_groups.get(name)
    if group is None:
        raise ValidationError("AutoScalingGroup name not found - null")
    return group


def check_sizes(minimum: int, desired: int | None, maximum: int) -> None:
    # "min size <= desired capacity <= max size". Source: API reference "CreateAutoScalingGroup"
    # and "Set scaling limits for your Auto Scaling group", read 2026-11.
    if minimum < 0 or maximum < 0:
        raise ValidationError("Group sizes must not be negative.")
    if minimum > maximum:
        raise ValidationError(f"Max bound, {maximum}, must be greater than or equal to min bound, {minimum}")
    if desired is not None and not minimum <= desired <= maximum:
        raise ValidationError(
            f"Desired capacity:{desired} must be between the specified min size:{minimum} and max size:{maximum}"
        )


def check_policies(policies: list[str]) -> None:
    for policy in policies:
        if policy not in POLICIES and not policy.startswith("arn:"):
            raise ValidationError(f"Invalid termination policy: {policy}")
    # "Default" must be the last. Source: "Configure termination policies", read 2026-11.
    if "Default" in policies[:-1]:
        raise ValidationError("The Default termination policy must be specified last.")


def check_template(response: Any, given: dict[str, Any] | None) -> None:
    """Refuses a template, version or image that does not exist."""
    if not given:
        return
    by_id, by_name = given.get("LaunchTemplateId"), given.get("LaunchTemplateName")
    if bool(by_id) == bool(by_name):
        raise ValidationError("Valid requests must contain either launchTemplateId or LaunchTemplateName")
    backend = response.autoscaling_backend.ec2_backend
    try:
        template = backend.get_launch_template(by_id) if by_id else backend.get_launch_template_by_name(by_name)
        version = template.get_version(given.get("Version") or "$Default")
        check_image(backend, version.image_id)
    except ServiceException as error:
        raise ValidationError(f"You must use a valid fully-formed launch template. {error.message}") from error


def check_target_groups(response: Any, arns: list[str]) -> None:
    known = response.autoscaling_backend.elbv2_backend.target_groups
    for arn in arns:
        if arn not in known:
            raise ValidationError(f"Provided Target Groups may not be valid. Target group {arn} not found")


def keep_extras(response: Any, group: Any) -> None:
    """Stores the fields that moto drops."""
    if policies := response._get_param("TerminationPolicies"):
        group.termination_policies = policies
    for field, attribute in (
        ("DefaultInstanceWarmup", "default_instance_warmup"),
        ("DefaultCooldown", "default_cooldown"),
        ("MaxInstanceLifetime", "max_instance_lifetime"),
        ("HealthCheckGracePeriod", "health_check_grace_period"),
    ):
        if (value := response._get_int_param(field)) is not None:
            setattr(group, attribute, value)
    for field, attribute in (
        ("InstanceMaintenancePolicy", "instance_maintenance_policy"),
        ("AvailabilityZoneDistribution", "availability_zone_distribution"),
        ("PlacementGroup", "placement_group"),
        ("HealthCheckType", "health_check_type"),
        ("Context", "context"),
    ):
        if (value := response._get_param(field)) is not None:
            setattr(group, attribute, value)
    for field, attribute in (
        ("NewInstancesProtectedFromScaleIn", "new_instances_protected_from_scale_in"),
        ("CapacityRebalance", "capacity_rebalance"),
    ):
        if (value := response._get_bool_param(field)) is not None:
            setattr(group, attribute, value)


_moto_create = AutoScalingResponse.create_auto_scaling_group


class GroupActions:
    """Takes the place of the same actions of moto; `self` is moto's response object."""

    def create_auto_scaling_group(self: Any) -> ActionResult:
        name = self._get_param("AutoScalingGroupName")
        if name in self.autoscaling_backend.autoscaling_groups:
            raise AlreadyExists(
                f"AutoScalingGroup by this name already exists - A group with the name {name} already exists"
            )
        minimum, maximum = self._get_int_param("MinSize"), self._get_int_param("MaxSize")
        check_sizes(minimum, self._get_int_param("DesiredCapacity"), maximum)
        check_policies(self._get_param("TerminationPolicies", []))
        check_template(self, self._get_param("LaunchTemplate"))
        check_target_groups(self, self._get_param("TargetGroupARNs", []))
        if configuration := self._get_param("LaunchConfigurationName"):
            check_configuration(self, configuration)
        result = _moto_create(self)
        group = group_of(self)
        group.created_time = from_ms(WORLD.clock.now_ms())
        group.target_group_arns = list(group.target_group_arns or [])
        # "HealthCheckGracePeriod: default 0 seconds". Source: API reference
        # "CreateAutoScalingGroup", read 2026-11.
        group.health_check_grace_period = 0
        keep_extras(self, group)
        GroupEngine(group).wake()
        return result

    def update_auto_scaling_group(self: Any) -> ActionResult:
        # Fields that are not given stay as they are; new settings apply to new instances.
        # Source: API reference "UpdateAutoScalingGroup", read 2026-11.
        group = group_of(self)
        if group.engine.deleting:
            raise ScalingActivityInProgress("The group is being deleted.")
        minimum, maximum = self._get_int_param("MinSize"), self._get_int_param("MaxSize")
        desired = self._get_int_param("DesiredCapacity")
        new_minimum = group.min_size if minimum is None else minimum
        new_maximum = group.max_size if maximum is None else maximum
        check_sizes(new_minimum, desired, new_maximum)
        if desired is None:
            # A minimum above the size raises it, a maximum below the size lowers it, and
            # lowering the minimum never changes it. Source: as above.
            desired = min(max(group.desired_capacity, new_minimum), new_maximum)
        check_policies(self._get_param("TerminationPolicies", []))
        template, mixed = self._get_param("LaunchTemplate"), self._get_param("MixedInstancesPolicy")
        configuration = self._get_param("LaunchConfigurationName")
        if sum(bool(each) for each in (template, mixed, configuration)) > 1:
            raise ValidationError(
                "Valid requests must contain either LaunchTemplate, LaunchConfigurationName or MixedInstancesPolicy parameter."
            )
        check_template(self, template)
        if configuration:
            check_configuration(self, configuration)
        group._set_azs_and_vpcs(
            self._get_param("AvailabilityZones", []), self._get_param("VPCZoneIdentifier"), update=True
        )
        if template or mixed or configuration:
            group.launch_config = group.launch_configuration_name = group.ec2_launch_template = None
            group.mixed_instances_policy = mixed
            group._set_launch_configuration(configuration, template, mixed)
        keep_extras(self, group)
        group.engine.set_sizes(new_minimum, desired, new_maximum)
        return EmptyResult()

    def set_desired_capacity(self: Any) -> ActionResult:
        group, wanted = group_of(self), self._get_int_param("DesiredCapacity")
        for limit, outside, word in (
            (group.max_size, wanted > group.max_size, "above max"),
            (group.min_size, wanted < group.min_size, "below min"),
        ):
            if outside:
                raise ValidationError(
                    f"New SetDesiredCapacity value {wanted} is {word} value {limit} for the AutoScalingGroup."
                )
        group.engine.set_sizes(group.min_size, wanted, group.max_size)
        return EmptyResult()

    def describe_auto_scaling_groups(self: Any) -> ActionResult:
        # Source: API reference "DescribeAutoScalingGroups", read 2026-11: at most 50 names unless
        # MaxRecords (at most 100) is higher.
        names = self._get_param("AutoScalingGroupNames", [])
        size = self._get_int_param("MaxRecords", DEFAULT_PAGE)
        if not 1 <= size <= MAX_PAGE:
            raise ValidationError(f"MaxRecords must be between 1 and {MAX_PAGE}.")
        if len(names) > size:
            raise ValidationError(f"The number of group names must not exceed {size}.")
        found = self.autoscaling_backend.describe_auto_scaling_groups(names, self._get_param("Filters", []))
        page, token = paged(found, self._get_param("NextToken"), size)
        return ActionResult({"AutoScalingGroups": page, "NextToken": token})

    def describe_auto_scaling_instances(self: Any) -> ActionResult:
        found = self.autoscaling_backend.describe_auto_scaling_instances(self._get_param("InstanceIds", []))
        size = min(self._get_int_param("MaxRecords", DEFAULT_PAGE), DEFAULT_PAGE)
        page, token = paged(found, self._get_param("NextToken"), size)
        return ActionResult({"AutoScalingInstances": page, "NextToken": token})

    def delete_auto_scaling_group(self: Any) -> ActionResult:
        # Source: API reference "DeleteAutoScalingGroup", read 2026-11.
        group = group_of(self)
        engine = group.engine
        if engine.members and not self._get_bool_param("ForceDelete", False):
            if any(not member.is_terminating for member in engine.members):
                raise ResourceInUse(
                    "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group."
                )
            raise ScalingActivityInProgress(
                "You cannot delete an AutoScalingGroup while there are scaling activities in progress for that group."
            )
        engine.delete()
        return EmptyResult()

    def describe_scaling_activities(self: Any) -> ActionResult:
        name = self._get_param("AutoScalingGroupName")
        groups = self.autoscaling_backend.autoscaling_groups
        chosen = [groups[name]] if name in groups else ([] if name else list(groups.values()))
        wanted = self._get_param("ActivityIds", [])
        found = [
            activity
            for group in chosen
            for activity in group.engine.activities
            if not wanted or activity["ActivityId"] in wanted
        ]
        size = min(self._get_int_param("MaxRecords", MAX_ACTIVITIES), MAX_ACTIVITIES)
        page, token = paged(found, self._get_param("NextToken"), size)
        return ActionResult({"Activities": page, "NextToken": token})

    def suspend_processes(self: Any) -> ActionResult:
        group, names = group_of(self), checked_processes(self)
        group.suspended_processes = sorted(set(group._suspended_processes) | names)
        group.engine.wake()
        return EmptyResult()

    def resume_processes(self: Any) -> ActionResult:
        group, names = group_of(self), checked_processes(self)
        group.suspended_processes = sorted(set(group._suspended_processes) - names)
        group.engine.wake()
        return EmptyResult()

    def describe_account_limits(self: Any) -> ActionResult:
        # Source: "Quotas for your Amazon EC2 Auto Scaling resources and groups", read 2026-11.
        backend = self.autoscaling_backend
        return ActionResult(
            {
                "MaxNumberOfAutoScalingGroups": 500,
                "MaxNumberOfLaunchConfigurations": 200,
                "NumberOfAutoScalingGroups": len(backend.autoscaling_groups),
                "NumberOfLaunchConfigurations": len(backend.launch_configurations),
            }
        )

    def enable_metrics_collection(self: Any) -> ActionResult:
        return EmptyResult()

    def disable_metrics_collection(self: Any) -> ActionResult:
        return EmptyResult()

    def attach_load_balancer_target_groups(self: Any) -> ActionResult:
        group, arns = group_of(self), self._get_param("TargetGroupARNs", [])
        check_target_groups(self, arns)
        group.target_group_arns += [arn for arn in arns if arn not in group.target_group_arns]
        register_members(group)
        return EmptyResult()

    def detach_load_balancer_target_groups(self: Any) -> ActionResult:
        group, arns = group_of(self), self._get_param("TargetGroupARNs", [])
        for target_group in group.engine.target_groups():
            if target_group.arn in arns:
                target_group.deregister([{"Id": member.instance_id} for member in group.engine.members])
        group.target_group_arns = [arn for arn in group.target_group_arns if arn not in arns]
        group.engine.wake()
        return EmptyResult()


def check_configuration(response: Any, name: str) -> None:
    known = response.autoscaling_backend.launch_configurations
    if name not in known:
        raise ValidationError("Launch configuration name not found - null")
    check_image(response.autoscaling_backend.ec2_backend, known[name].image_id)


def checked_processes(response: Any) -> set[str]:
    names = set(response._get_param("ScalingProcesses", []))
    if unknown := names - PROCESSES:
        raise ValidationError(f"{sorted(unknown)[0]} is not a valid process type")
    return names or set(PROCESSES)


def register_members(group: Any) -> None:
    if not group.engine.suspended("AddToLoadBalancer"):
        for target_group in group.engine.target_groups():
            for member in group.engine.members:
                if member.is_in_service:
                    targets.register(target_group, member.instance_id)
    group.engine.wake()


def paged(found: list[Any], token: str | None, size: int) -> tuple[list[Any], str | None]:
    """A page of a list; the token is the place of the next one."""
    if token is not None and not token.isdigit():
        raise InvalidNextToken()
    start = int(token or 0)
    following = start + size
    return found[start:following], str(following) if following < len(found) else None


class GroupModel:
    """moto's group only stores the desired size; the engine acts on it."""

    def set_desired_capacity(self: Any, new_capacity: int | None) -> None:
        self.desired_capacity = self.min_size if new_capacity is None else new_capacity
        # A policy never leaves the bounds. Source: "Set scaling limits", read 2026-11.
        self.desired_capacity = min(max(self.desired_capacity, self.min_size), self.max_size)
        if (engine := getattr(self, "engine", None)) is not None:
            engine.set_sizes(self.min_size, self.desired_capacity, self.max_size)


class BackendModel:
    """Registrations are the engine's, and terminated instances are found by it."""

    def update_attached_target_groups(self: Any, group_name: str) -> None:
        pass

    def notify_terminate_instances(self: Any, instance_ids: list[str]) -> None:
        for group in self.autoscaling_groups.values():
            if any(group.engine.find(instance_id) for instance_id in instance_ids):
                group.engine.wake()


def install() -> None:
    override(AutoScalingResponse, GroupActions)
    override(moto_models.FakeAutoScalingGroup, GroupModel)
    override(moto_models.AutoScalingBackend, BackendModel)
