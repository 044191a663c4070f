"""Which instance a group gives up: zones first, then termination policies, then ties."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Iterable

from world import WORLD

if TYPE_CHECKING:
    from groups import GroupEngine
    from member import Member

HOUR_MS = 3_600_000
POLICIES = {
    "Default",
    "AllocationStrategy",
    "ClosestToNextInstanceHour",
    "NewestInstance",
    "OldestInstance",
    "OldestLaunchConfiguration",
    "OldestLaunchTemplate",
}


def choose_victim(engine: GroupEngine, candidates: Iterable[Member], counted: Iterable[Member]) -> Member | None:
    """The next instance to terminate among `candidates`, or none if there is none to choose.

    `counted` are the members that make up the capacity of the zones.
    """
    remaining = list(candidates)
    if not remaining:
        return None
    # "Amazon EC2 Auto Scaling terminates unhealthy instances first": they bypass the policies.
    # Source: "Configure termination policies for Amazon EC2 Auto Scaling", read 2026-11.
    unhealthy = [member for member in remaining if member.health_status != "Healthy"]
    if unhealthy:
        return break_tie(unhealthy)
    # "...determines which Availability Zones have the most instances and at least one instance
    # that is not protected from scale in." Equal zones are looked at together.
    # Source: "Configure termination policies for Amazon EC2 Auto Scaling", read 2026-11.
    sizes = Counter(member.availability_zone for member in counted)
    largest = max(sizes[member.availability_zone] for member in remaining)
    remaining = [member for member in remaining if sizes[member.availability_zone] == largest]
    for policy in engine.group.termination_policies:
        for rank in rankings(engine, policy):
            # Ranked once: some ranks change as time goes by.
            ranked = [(rank(member), member) for member in remaining]
            first = min(place for place, _ in ranked)
            remaining = [member for place, member in ranked if place == first]
    return break_tie(remaining)


def rankings(engine: GroupEngine, policy: str) -> list[Any]:
    """The orders that a policy applies one after another; the smallest goes first."""
    # Source of every entry: "Termination policies for Amazon EC2 Auto Scaling", read 2026-11.
    if policy == "OldestInstance":
        return [lambda member: member.launched_ms]
    if policy == "NewestInstance":
        return [lambda member: -member.launched_ms]
    if policy == "ClosestToNextInstanceHour":
        return [until_next_hour]
    if policy in ("OldestLaunchTemplate", "OldestLaunchConfiguration"):
        return [lambda member: configuration_age(engine, member)]
    if policy == "Default":
        return [lambda member: configuration_age(engine, member), until_next_hour]
    return []  # AllocationStrategy: all instances of a group without a mixed policy are aligned.


def configuration_age(engine: GroupEngine, member: Member) -> tuple[int, float]:
    """How outdated the launch template or configuration of a member is; small is outdated.

    The order is: launch configuration, another template, lower version of the group's template.
    Source: "Termination policies for Amazon EC2 Auto Scaling", default policy, read 2026-11.
    """
    template = engine.group.ec2_launch_template
    used = member.launch_template
    if used is None:
        if template is not None:
            return (0, 0)
        configurations = engine.group.autoscaling_backend.launch_configurations
        configuration = configurations.get(member.launch_configuration_name)
        return (2, configuration.created_time.timestamp() if configuration else 0)
    if template is None or used["LaunchTemplateId"] != template.id:
        return (1, 0)
    return (2, int(used["Version"]))


def until_next_hour(member: Member) -> int:
    return HOUR_MS - (WORLD.clock.now_ms() - member.launched_ms) % HOUR_MS


def break_tie(members: list[Member]) -> Member:
    """AWS documents no order among equals, so a test may choose the one that hurts."""
    ties = WORLD.settings.ties
    if ties == "newest":
        return max(members, key=lambda member: member.sequence)
    if ties == "oldest":
        return min(members, key=lambda member: member.sequence)
    return WORLD.random.choice(members)


def choose_zone(zones: Iterable[str], counted: Iterable[Member]) -> str:
    """The zone of the next launch: the one with the fewest instances.

    Source: "Auto Scaling benefits for application architecture", instance distribution,
    read 2026-11.
    """
    sizes = Counter(member.availability_zone for member in counted)
    names = sorted(set(zones))
    fewest = min(sizes[name] for name in names)
    equal = [name for name in names if sizes[name] == fewest]
    ties = WORLD.settings.ties
    if ties == "random":
        return WORLD.random.choice(equal)
    return equal[-1] if ties == "newest" else equal[0]
