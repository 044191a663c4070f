"""A plain script that releases an image to many groups at once: the peer in the benchmark.

Each group is doubled and halved by its own thread, which polls its own group and its own target
groups every few seconds, as such scripts do.

    python boto3_release.py --endpoint URL --prefix web- --image AMI

Prints `{"groups": 20, "seconds": 12.3, "wrong_survivors": 0, "failed": 0, "calls": 1234}`.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

import boto3
from botocore.config import Config

MAX_ATTEMPTS = 8
MAX_THREADS = 64


class Release:
    """One image, many groups."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.image, self.poll, self.deadline_s = arguments.image, arguments.poll_seconds, arguments.timeout_seconds
        self.calls, self.lock = 0, threading.Lock()
        config = Config(
            retries={"total_max_attempts": MAX_ATTEMPTS, "mode": "standard"}, max_pool_connections=MAX_THREADS
        )
        # Clients may be shared by threads; sessions may not.
        self.groups, self.compute, self.balancers = (
            boto3.client(
                service,
                endpoint_url=arguments.endpoint,
                region_name=arguments.region,
                aws_access_key_id="test",
                aws_secret_access_key="test",
                config=config,
            )
            for service in ("autoscaling", "ec2", "elbv2")
        )
        for client in (self.groups, self.compute, self.balancers):
            client.meta.events.register("before-send", self.count)

    def count(self, **_: Any) -> None:
        with self.lock:
            self.calls += 1

    def names(self, prefix: str) -> list[str]:
        pages = self.groups.get_paginator("describe_auto_scaling_groups").paginate()
        names = [group["AutoScalingGroupName"] for page in pages for group in page["AutoScalingGroups"]]
        return [name for name in names if name.startswith(prefix)]

    def describe(self, name: str) -> dict[str, Any]:
        return self.groups.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]

    def healthy_targets(self, arn: str) -> set[str]:
        found = self.balancers.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return {each["Target"]["Id"] for each in found if each["TargetHealth"]["State"] == "healthy"}

    def is_ready(self, group: dict[str, Any], size: int) -> bool:
        serving = {each["InstanceId"] for each in group["Instances"] if each["LifecycleState"] == "InService"}
        for arn in group.get("TargetGroupARNs", []):
            serving &= self.healthy_targets(arn)
        return len(serving) >= size

    def wait_until(self, name: str, done: Callable[[dict[str, Any]], bool]) -> None:
        deadline = time.monotonic() + self.deadline_s
        while not done(self.describe(name)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"gave up waiting for {name}")
            time.sleep(self.poll)

    def release(self, name: str) -> int:
        """Releases to one group; answers how many instances of another image are left."""
        before = self.describe(name)
        size = before["DesiredCapacity"]
        template = before["LaunchTemplate"]["LaunchTemplateId"]
        update = self.groups.update_auto_scaling_group
        version = self.compute.create_launch_template_version(
            LaunchTemplateId=template,
            SourceVersion=before["LaunchTemplate"].get("Version", "$Default"),
            LaunchTemplateData={"ImageId": self.image},
        )["LaunchTemplateVersion"]["VersionNumber"]
        update(AutoScalingGroupName=name, LaunchTemplate={"LaunchTemplateId": template, "Version": str(version)})
        doubled = {"MinSize": 2 * size, "DesiredCapacity": 2 * size, "MaxSize": max(before["MaxSize"], 2 * size)}
        update(AutoScalingGroupName=name, **doubled)
        self.wait_until(name, lambda group: self.is_ready(group, 2 * size))
        update(AutoScalingGroupName=name, MinSize=before["MinSize"], DesiredCapacity=size)
        self.wait_until(name, lambda group: len(group["Instances"]) <= size and self.is_ready(group, size))
        update(AutoScalingGroupName=name, MaxSize=before["MaxSize"])
        after = self.describe(name)
        return sum(each["LaunchTemplate"]["Version"] != str(version) for each in after["Instances"])

    def try_release(self, name: str) -> int | None:
        try:
            return self.release(name)
        except Exception as error:  # noqa: BLE001: one group must not end the others
            print(f"{name}: {error}", file=sys.stderr)
            return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--image", required=True)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--poll-seconds", type=float, default=5.0)
    parser.add_argument("--timeout-seconds", type=float, default=900.0)
    arguments = parser.parse_args()
    work = Release(arguments)
    names = work.names(arguments.prefix)
    start = time.monotonic()
    with ThreadPoolExecutor(min(MAX_THREADS, max(1, len(names)))) as pool:
        wrong = list(pool.map(work.try_release, names))
    result = {
        "groups": len(names),
        "seconds": round(time.monotonic() - start, 3),
        "wrong_survivors": sum(each or 0 for each in wrong),
        "failed": sum(each is None for each in wrong),
        "calls": work.calls,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
