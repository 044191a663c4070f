"""Load balancer rules: target health over time, draining, and weighted forwarding."""

from __future__ import annotations

from typing import Any

from moto.core.exceptions import ServiceException
from moto.elbv2 import models as moto_elb

from world import WORLD, override

MAX_WEIGHT = 999
MAX_TARGET_GROUPS = 5

State = tuple[str, int | None]
REASONS = {
    "initial": ("Elb.RegistrationInProgress", "Target registration is in progress"),
    "unhealthy": ("Target.ResponseCodeMismatch", "Health checks failed with these codes: [503]"),
    "draining": ("Target.DeregistrationInProgress", "Target deregistration is in progress"),
}


class InvalidForward(ServiceException):
    code = "ValidationError"


# ---- target health


def state_by_time(start_ms: int, instance: Any) -> State:
    """The health of an instance that is checked since `start_ms`, and when that changes."""
    # Source: "Health checks for Application Load Balancer target groups", target health status,
    # read 2026-11. One passed check suffices for a new target.
    now = WORLD.clock.now_ms()
    healthy_ms = start_ms + WORLD.settings.healthy_ms
    if now < healthy_ms:
        return "initial", healthy_ms
    behaviour = WORLD.behaviour_of(instance) if instance is not None else None
    if behaviour is None or behaviour.behaviour == "good":
        return "healthy", None
    if behaviour.behaviour == "broken":
        return "unhealthy", None
    fading_ms = healthy_ms + behaviour.after_ms
    return ("healthy", fading_ms) if now < fading_ms else ("unhealthy", None)


def registered(group: Any) -> dict[str, int]:
    """When each target of a target group was registered."""
    return group.__dict__.setdefault("registered_ms", {})


def draining(group: Any) -> dict[str, int]:
    """Until when each deregistered target of a target group drains; forgets those that are done."""
    times = group.__dict__.setdefault("draining_ms", {})
    now = WORLD.clock.now_ms()
    for target_id in [key for key, until in times.items() if until <= now]:
        del times[target_id]
    return times


def in_use_since(group: Any) -> int | None:
    """Since when a listener or rule forwards to the target group, or none."""
    return group.__dict__.get("in_use_since_ms")


def state_of(group: Any, target_id: str) -> State:
    """The state of a target in a target group, and when it changes by itself."""
    now_draining = draining(group)
    if target_id not in group.targets:
        if target_id in now_draining:
            return "draining", now_draining[target_id]
        return "unused", None
    # "The target group is not used in any listener rule": Target.NotInUse.
    # Source: "Health checks for Application Load Balancer target groups", read 2026-11.
    used_ms = in_use_since(group)
    if used_ms is None:
        return "unused", None
    instance = instance_of(group, target_id)
    if instance is not None and instance.state != "running":
        return "unused", None
    start_ms = max(registered(group).get(target_id, 0), used_ms)
    return state_by_time(start_ms, instance)


def instance_of(group: Any, target_id: str) -> Any | None:
    """The instance behind a target; members of groups are found without a search."""
    if target_id in WORLD.instances:
        return WORLD.instances[target_id]
    return group.ec2_backend.get_instance_by_id(target_id) if target_id.startswith("i-") else None


def register(group: Any, target_id: str) -> None:
    if target_id not in group.targets:
        group.targets[target_id] = {"Id": target_id, "Port": group.port}
        registered(group)[target_id] = WORLD.clock.now_ms()
    draining(group).pop(target_id, None)
    group.deregistered_targets.pop(target_id, None)


def deregister(group: Any, target_id: str) -> None:
    """Takes a target out; it drains for the set time, then it is listed no more."""
    # "Elastic Load Balancing ... waits 300 seconds before completing the deregistration process";
    # here it waits `drain_ms`. Source: "Edit target group attributes for your Application Load
    # Balancer", deregistration delay, read 2026-11.
    if group.targets.pop(target_id, None) is None:
        return
    registered(group).pop(target_id, None)
    if WORLD.settings.drain_ms > 0:
        draining(group)[target_id] = WORLD.clock.now_ms() + WORLD.settings.drain_ms


def drop(group: Any, target_id: str) -> None:
    """Forgets a target whose instance is gone: there are no ghosts."""
    group.targets.pop(target_id, None)
    registered(group).pop(target_id, None)
    draining(group).pop(target_id, None)
    group.deregistered_targets.pop(target_id, None)
    group.terminated_targets.pop(target_id, None)


class TargetGroupRules:
    """Takes the place of the same methods of moto's target groups."""

    def register(self: Any, targets: list[dict[str, Any]]) -> None:
        for target in targets:
            instance = instance_of(self, target["Id"])
            if instance is not None and instance.state != "running":
                raise moto_elb.TargetNotRunning(instance_id=target["Id"])
            register(self, target["Id"])
            self.targets[target["Id"]]["Port"] = target.get("Port", self.port)
        wake_groups_of(self)

    def deregister(self: Any, targets: list[dict[str, Any]]) -> None:
        # Deregistering a target that is not registered has no effect.
        # Source: API reference "DeregisterTargets", read 2026-11.
        for target in targets:
            deregister(self, target["Id"])
        wake_groups_of(self)

    def deregister_terminated_instances(self: Any, instance_ids: list[str]) -> None:
        for target_id in instance_ids:
            drop(self, target_id)

    def health_for(self: Any, target: dict[str, Any], ec2_backend: Any) -> Any:
        state, _ = state_of(self, target["Id"])
        known = self.targets.get(target["Id"], {})
        port = known.get("Port", target.get("Port", self.port))
        reason, text = REASONS.get(state, (None, None))
        if state == "unused" and target["Id"] not in self.targets:
            reason, text = "Target.NotRegistered", "Target is not registered to the target group"
        elif state == "unused" and in_use_since(self) is None:
            reason, text = "Target.NotInUse", "Target group is not configured to receive traffic"
        elif state == "unused":
            reason, text = "Target.InvalidState", "Target is in the stopped state"
        return moto_elb.FakeHealthStatus(target["Id"], port, self.health_check_port, state, reason, text)


def wake_groups_of(target_group: Any) -> None:
    for engine in WORLD.engines.values():
        if target_group.arn in (engine.group.target_group_arns or []):  # type: ignore[attr-defined]
            engine.wake()  # type: ignore[attr-defined]


# ---- listeners and rules


def validate_forward(action: Any) -> None:
    # "The range is 0 to 999." and "up to five target groups" per forward action.
    # Source: "Listener rules for your Application Load Balancer" and API reference
    # "TargetGroupTuple", read 2026-11.
    groups = action.data.get("ForwardConfig", {}).get("TargetGroups", [])
    if len(groups) > MAX_TARGET_GROUPS:
        raise InvalidForward(f"You can specify at most {MAX_TARGET_GROUPS} target groups in an action")
    for group in groups:
        weight = int(group.get("Weight", 1))
        if not 0 <= weight <= MAX_WEIGHT:
            raise InvalidForward(f"Target group weight '{weight}' must be between 0 and {MAX_WEIGHT} inclusive")
    names = [group["TargetGroupArn"] for group in groups]
    if len(set(names)) != len(names):
        raise InvalidForward("A target group cannot be specified more than once in an action")


def weights_of(actions: list[Any]) -> dict[str, int]:
    """Target group to weight, of the forward action of a listener or rule."""
    for action in actions:
        if action.type != "forward":
            continue
        groups = action.data.get("ForwardConfig", {}).get("TargetGroups")
        if groups:
            return {group["TargetGroupArn"]: int(group.get("Weight", 1)) for group in groups}
        if "TargetGroupArn" in action.data:
            return {action.data["TargetGroupArn"]: 1}
    return {}


def current_rules(backend: Any) -> list[tuple[str, list[Any]]]:
    """Every listener (its default action) and every rule, with its actions."""
    found = []
    for balancer in backend.load_balancers.values():
        for listener in balancer.listeners.values():
            found.append((listener.arn, listener.default_actions))
            for rule in listener.rules.values():
                if not getattr(rule, "is_default", False):
                    found.append((rule.arn, rule.actions))
    return found


def rules_changed(backend: Any) -> None:
    """Notes which weights come into effect when, and which target groups are in use."""
    now = WORLD.clock.now_ms()
    used: set[str] = set()
    for arn, actions in current_rules(backend):
        weights = weights_of(actions)
        used.update(weights)
        history = WORLD.traffic.setdefault(arn, [])
        if not history:
            history.append((now, weights))
        elif history[-1][1] != weights:
            history.append((now + WORLD.settings.traffic_ms, weights))
    for group in backend.target_groups.values():
        if group.arn not in used:
            group.__dict__.pop("in_use_since_ms", None)
        elif in_use_since(group) is None:
            group.in_use_since_ms = now
        else:
            continue
        wake_groups_of(group)


def weights_in_effect(arn: str) -> dict[str, int]:
    now = WORLD.clock.now_ms()
    current: dict[str, int] = {}
    for effective_ms, weights in WORLD.traffic[arn]:
        if effective_ms <= now:
            current = weights
    return current


def _noting_changes(name: str) -> Any:
    original = getattr(moto_elb.ELBv2Backend, name)

    def noting(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        rules_changed(self)
        return result

    return noting


_moto_validate = moto_elb.ELBv2Backend._validate_actions
_moto_modify_listener = moto_elb.ELBv2Backend.modify_listener


class BalancerRules:
    """Takes the place of the same methods of moto's ELBv2 backend."""

    create_rule = _noting_changes("create_rule")
    create_listener = _noting_changes("create_listener")
    modify_rule = _noting_changes("modify_rule")
    delete_rule = _noting_changes("delete_rule")
    delete_listener = _noting_changes("delete_listener")
    delete_load_balancer = _noting_changes("delete_load_balancer")

    def _validate_actions(self: Any, actions: list[Any]) -> None:
        _moto_validate(self, actions)
        for action in actions:
            validate_forward(action)

    def modify_listener(self: Any, arn: str, *args: Any, **kwargs: Any) -> Any:
        actions = kwargs.get("actions") or (args[4] if len(args) > 4 else None) or []
        self._validate_actions([moto_elb.FakeAction(action) for action in actions])
        listener = _moto_modify_listener(self, arn, *args, **kwargs)
        rules_changed(self)
        return listener

    def describe_target_health(self: Any, target_group_arn: str, targets: list[dict[str, Any]]) -> list[Any]:
        group = self.target_groups.get(target_group_arn)
        if group is None:
            raise moto_elb.TargetGroupNotFoundError()
        if not targets:
            targets = list(group.targets.values())
            targets += [{"Id": key} for key in draining(group) if key not in group.targets]
        return [group.health_for(target, self.ec2_backend) for target in targets]


def install() -> None:
    override(moto_elb.FakeTargetGroup, TargetGroupRules)
    override(moto_elb.ELBv2Backend, BalancerRules)
