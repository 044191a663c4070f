"""What load balancers report of their target groups to CloudWatch: sums, sample counts and percentile ranks.

Source: "CloudWatch metrics for your Application Load Balancer" and "CloudWatch statistics definitions"
(SampleCount, Sum, PR), read 2026-11. A metric that counts has no data where it counted nothing. What a
minute says may arrive in several parts, late: each has a time before which nobody sees it.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

from world import WORLD

NAMESPACE = "AWS/ApplicationELB"
MINUTE_MS = 60_000
COUNTS = {
    "RequestCount": "requests",
    "HTTPCode_Target_5XX_Count": "errors",
    "HTTPCode_Target_4XX_Count": "client_errors",
    "TargetConnectionErrorCount": "refused",
}
RANK = re.compile(r"PR\(:([0-9.]+)\)")


def book(body: list[dict[str, Any]]) -> None:
    """Adds parts of minutes: `target_group` (its ARN), `at_ms`, `visible_ms`, counts, and `seconds`, which
    are pairs of a response time and how many answers took it."""
    for part in body:
        WORLD.balancers.append({"group": part["target_group"].rsplit(":", 1)[-1], **part})


def is_balancer(query: dict[str, Any]) -> bool:
    return query.get("MetricStat", {}).get("Metric", {}).get("Namespace") == NAMESPACE


def values(query: dict[str, Any], start: datetime, end: datetime) -> tuple[list[datetime], list[float]]:
    """The points of one question, the oldest first."""
    stat, metric = query["MetricStat"]["Stat"], query["MetricStat"]["Metric"]
    group = next(each["Value"] for each in metric["Dimensions"] if each["Name"] == "TargetGroup")
    first, last = (int(each.replace(tzinfo=timezone.utc).timestamp() * 1000) for each in (start, end))
    minutes: dict[int, list[dict[str, Any]]] = {}
    for part in WORLD.balancers:
        minute = part["at_ms"] - part["at_ms"] % MINUTE_MS
        seen = part.get("visible_ms", 0) <= WORLD.clock.now_ms()
        if part["group"] == group and first <= minute < last and seen:
            minutes.setdefault(minute, []).append(part)
    points = {minute: value(metric["MetricName"], stat, parts) for minute, parts in sorted(minutes.items())}
    known = {minute: each for minute, each in points.items() if each is not None}
    stamps = [datetime.fromtimestamp(minute / 1000, timezone.utc).replace(tzinfo=None) for minute in known]
    return stamps, list(known.values())


def value(metric: str, stat: str, parts: list[dict[str, Any]]) -> float | None:
    if metric in COUNTS and stat == "Sum":
        return float(sum(part.get(COUNTS[metric], 0) for part in parts)) or None
    if metric != "TargetResponseTime":
        raise ValueError(f"{stat} of {metric} is not emulated")
    times = [pair for part in parts for pair in part.get("seconds", [])]
    samples = sum(count for _, count in times)
    if not samples:
        return None
    if stat == "SampleCount":
        return float(samples)
    if (rank := RANK.fullmatch(stat)) is not None:
        return 100.0 * sum(count for seconds, count in times if seconds <= float(rank.group(1))) / samples
    raise ValueError(f"{stat} of {metric} is not emulated")


def data(query: dict[str, Any], start: datetime, end: datetime, scan_by: str) -> dict[str, Any]:
    """The result of one question, as moto answers it."""
    stamps, numbers = values(query, start, end)
    if scan_by != "TimestampAscending":
        stamps, numbers = stamps[::-1], numbers[::-1]
    return {"id": query["Id"], "label": query["Id"], "values": numbers, "timestamps": stamps, "status_code": "Complete"}
