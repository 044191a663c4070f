"""The documented request rates: token buckets by the emulator's clock."""

from __future__ import annotations

from services import Call
from world import WORLD

Rate = tuple[float, float]

# Capacity and refill per second. Source: "Request throttling for the Amazon EC2 API",
# read 2026-11.
EC2_OWN: dict[str, Rate] = {
    "CreateLaunchTemplateVersion": (100, 5),
    "ModifyLaunchTemplate": (100, 5),
    "CreateTags": (100, 10),
    "TerminateInstances": (100, 5),
    "RunInstances": (5, 2),
}
EC2_DESCRIBE: Rate = (100, 20)
EC2_UNFILTERED: Rate = (50, 10)
EC2_MUTATE: Rate = (50, 5)
# Source: "Throttling for the Elastic Load Balancing API", read 2026-11.
ELB_DESCRIBE: Rate = (40, 10)
ELB_MUTATE: Rate = (20, 3)
ELB_TARGETS: Rate = (20, 4)
ELB_CREATE_BALANCER: Rate = (10, 0.2)
# "five requests per second per AWS account". Source: "Quotas" of the Route 53 Developer Guide,
# read 2026-11.
ROUTE53: Rate = (5, 5)
# Not published by AWS: these are our own, conservative, assumptions.
AUTOSCALING_DESCRIBE: Rate = (20, 10)
AUTOSCALING_MUTATE: Rate = (10, 5)


def bucket_of(call: Call) -> tuple[str, Rate] | None:
    """The bucket that a call draws from, and its rate; none if the service is not limited here."""
    reads = call.action.startswith(("Describe", "Get", "List"))
    if call.service == "ec2":
        if call.action in EC2_OWN:
            return call.action, EC2_OWN[call.action]
        if call.action == "DescribeInstances" and is_unfiltered(call):
            return "unfiltered DescribeInstances", EC2_UNFILTERED
        return ("describe", EC2_DESCRIBE) if reads else ("mutate", EC2_MUTATE)
    if call.service in ("elbv2", "elb"):
        if call.action == "CreateLoadBalancer":
            return call.action, ELB_CREATE_BALANCER
        if call.action in ("RegisterTargets", "DeregisterTargets"):
            return "targets", ELB_TARGETS
        return ("describe", ELB_DESCRIBE) if reads else ("mutate", ELB_MUTATE)
    if call.service == "route53":
        return "all", ROUTE53
    if call.service == "autoscaling":
        return ("describe", AUTOSCALING_DESCRIBE) if reads else ("mutate", AUTOSCALING_MUTATE)
    return None


def is_unfiltered(call: Call) -> bool:
    return not any(key.startswith(("Filter.", "InstanceId.", "MaxResults")) for key in call.form)


class Buckets:
    """One bucket per account, service and kind of call."""

    def __init__(self) -> None:
        self.enforce = False
        # Also the rates that AWS does not publish.
        self.assumed = True
        self.levels: dict[tuple[str, str, str], tuple[float, int]] = {}

    def allows(self, call: Call) -> bool:
        """Draws a token, and tells whether there was one."""
        chosen = bucket_of(call) if self.enforce else None
        if call.service == "autoscaling" and not self.assumed:
            chosen = None
        if chosen is None:
            return True
        name, (capacity, refill) = chosen
        key = (call.account, call.service, name)
        now = WORLD.clock.now_ms()
        level, at_ms = self.levels.get(key, (capacity, now))
        level = min(capacity, level + refill * (now - at_ms) / 1000)
        allowed = level >= 1
        self.levels[key] = (level - 1 if allowed else level, now)
        return allowed
