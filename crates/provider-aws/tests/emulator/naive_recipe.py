"""The folk recipe for a release to an Auto Scaling group: point, double, wait, halve.

It counts instances and trusts the termination policy, so it can leave old instances behind; the
tests show that it does, and that the planner of the project does not.

    python naive_recipe.py --endpoint URL --group NAME --image AMI [--advance-ms 1000]
"""

from __future__ import annotations

import argparse
import json
import time
import urllib.request
from typing import Any, Callable

import boto3

MAX_LOOKS = 2000
POLL_SECONDS = 0.2


class Recipe:
    """Releases one image to one group."""

    def __init__(self, endpoint: str, group: str, region: str, advance_ms: int | None) -> None:
        self.endpoint, self.name, self.advance_ms = endpoint, group, advance_ms
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        self.groups = boto3.client("autoscaling", endpoint_url=endpoint, region_name=region, **keys)
        self.compute = boto3.client("ec2", endpoint_url=endpoint, region_name=region, **keys)

    def describe(self) -> dict[str, Any]:
        return self.groups.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])["AutoScalingGroups"][0]

    def update(self, **changes: Any) -> None:
        self.groups.update_auto_scaling_group(AutoScalingGroupName=self.name, **changes)

    def pause(self) -> None:
        """Waits; with a manual clock it lets the emulator's time pass."""
        if self.advance_ms is None:
            time.sleep(POLL_SECONDS)
            return
        body = json.dumps({"advance_ms": self.advance_ms}).encode()
        with urllib.request.urlopen(f"{self.endpoint}/control/clock", data=body) as answer:
            answer.read()

    def wait_until(self, done: Callable[[dict[str, Any]], bool]) -> None:
        for _ in range(MAX_LOOKS):
            if done(self.describe()):
                return
            self.pause()
        raise SystemExit(f"gave up waiting for {self.name}")

    def release(self, image: str) -> None:
        before = self.describe()
        size, template = before["DesiredCapacity"], before["LaunchTemplate"]["LaunchTemplateId"]
        version = self.compute.create_launch_template_version(
            LaunchTemplateId=template,
            SourceVersion=before["LaunchTemplate"]["Version"],
            LaunchTemplateData={"ImageId": image},
        )["LaunchTemplateVersion"]["VersionNumber"]
        self.update(LaunchTemplate={"LaunchTemplateId": template, "Version": str(version)})
        self.update(MinSize=2 * size, DesiredCapacity=2 * size, MaxSize=max(2 * size, before["MaxSize"]))
        self.wait_until(lambda group: in_service(group) >= 2 * size)
        self.update(MinSize=size, DesiredCapacity=size)
        self.wait_until(lambda group: len(group["Instances"]) <= size)
        self.update(MinSize=before["MinSize"], MaxSize=before["MaxSize"])


def in_service(group: dict[str, Any]) -> int:
    return sum(each["LifecycleState"] == "InService" for each in group["Instances"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--image", required=True)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--advance-ms", type=int)
    arguments = parser.parse_args()
    Recipe(arguments.endpoint, arguments.group, arguments.region, arguments.advance_ms).release(arguments.image)


if __name__ == "__main__":
    main()
