"""EC2's quotas of vCPUs: what runs, what may run, and what is refused beyond that.

Source: "Amazon EC2 instance type quotas", "CloudWatch usage metrics" and "Using metric math"
(SERVICE_QUOTA), read 2026-11. A quota is a setting of the world; without one nothing is known.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from moto.cloudwatch.models import CloudWatchBackend
from moto.core.exceptions import ServiceException
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models import ec2_backends

import balancers
from world import WORLD, override

STANDARD = "Standard/OnDemand"
FAMILIES = re.compile(r"(a|c|d|h|i|im|is|m|r|t|z)\d")
RUNNING = ("pending", "running")

_moto_get_metric_data = CloudWatchBackend.get_metric_data


class VcpuLimitExceeded(ServiceException):
    code = "VcpuLimitExceeded"


def vcpus(instance_type: str) -> int:
    """How many vCPUs an instance of a type has that counts as a standard one."""
    if not FAMILIES.match(instance_type):
        return 0
    return int(INSTANCE_TYPES[instance_type]["VCpuInfo"]["DefaultVCpus"])


def in_use(ec2_backend: Any) -> int:
    instances = (each for reservation in ec2_backend.reservations.values() for each in reservation.instances)
    return sum(vcpus(each.instance_type) for each in instances if each.state in RUNNING)


def check_quota(ec2_backend: Any, instance_type: str) -> None:
    """Refuses an instance that the quota does not allow."""
    quota = WORLD.settings.vcpu_quota
    if quota and in_use(ec2_backend) + vcpus(instance_type) > quota:
        raise VcpuLimitExceeded(
            f"You have requested more vCPU capacity than your current vCPU limit of {quota} allows for the "
            "instance bucket that the specified instance type belongs to."
        )


def is_usage(query: dict[str, Any]) -> bool:
    metric = query.get("MetricStat", {}).get("Metric", {})
    wanted = {("Service", "EC2"), ("Resource", "vCPU"), ("Type", "Resource"), ("Class", STANDARD)}
    dimensions = {(each["Name"], each["Value"]) for each in metric.get("Dimensions", [])}
    return (metric.get("Namespace"), metric.get("MetricName"), dimensions) == ("AWS/Usage", "ResourceCount", wanted)


class Usage:
    """Takes the place of the same method of moto; `self` is moto's backend."""

    def get_metric_data(
        self: Any,
        queries: list[dict[str, Any]],
        start_time: datetime,
        end_time: datetime,
        scan_by: str = "TimestampAscending",
    ) -> list[dict[str, Any]]:
        used = {query["Id"] for query in queries if is_usage(query)}
        quotas = {
            query["Id"]: found.group(1)
            for query in queries
            if (found := re.fullmatch(r"SERVICE_QUOTA\((\w+)\)", query.get("Expression", "")))
        }
        counted = [balancers.data(query, start_time, end_time, scan_by) for query in queries if balancers.is_balancer(query)]
        known = used | set(quotas) | {each["id"] for each in counted}
        others = [query for query in queries if query["Id"] not in known]
        results = _moto_get_metric_data(self, others, start_time, end_time, scan_by) if others else []
        backend = ec2_backends[self.account_id][self.region_name]
        values = {each: in_use(backend) for each in used}
        values |= {each: WORLD.settings.vcpu_quota for each, of in quotas.items() if of in used}
        has_quota = bool(WORLD.settings.vcpu_quota)
        minute = end_time.replace(second=0, microsecond=0) - timedelta(minutes=1)
        return counted + results + [
            {
                "id": each,
                "label": each,
                "values": [float(value)] if has_quota else [],
                "timestamps": [minute] if has_quota else [],
                "status_code": "Complete",
            }
            for each, value in values.items()
        ]


def install() -> None:
    override(CloudWatchBackend, Usage)
