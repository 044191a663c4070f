"""Measures what a release costs in calls to AWS, beside what other tools need for the same.

    python bench.py --pointsman PROGRAM --ansible PLAYBOOK_PROGRAM

Every contestant has an emulator of its own, with a real clock and the documented request rates
enforced, and the same groups: four instances in three zones behind a target group each.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Callable

from harness import HERE, REGION, Server

SIZE, MAX_SIZE, ZONES = 4, 8, 3
GROUPS = 50
# Ansible works on one group after the other, a minute and a half each.
ANSIBLE_GROUPS = 2
# Milliseconds, on a clock that runs as everybody's does. Real instances take longer.
LAGS = {"launch_ms": 15000, "launch_spread_ms": 5000, "healthy_ms": 5000, "drain_ms": 5000, "terminate_ms": 5000}
HEALTH_DEADLINE_S = 120
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
PLAYBOOK = os.path.join(HERE, "ansible_release.yml")


class Stage:
    """An account with groups that run the old image."""

    def __init__(self, groups: int) -> None:
        self.server = Server("--clock", "real", "--seed", "1")
        self.names = [f"web-{number}" for number in range(groups)]
        compute = self.server.client("ec2")
        self.old, self.new = (compute.register_image(Name=name)["ImageId"] for name in ("web-1.0.0", "web-2.0.0"))
        self.vpc = compute.describe_vpcs()["Vpcs"][0]["VpcId"]
        for name in self.names:
            self.make(name)
        time.sleep(1)
        self.server.call("POST", "settings", LAGS)
        self.server.call("POST", "buckets", {"enforce": True, "assumed": False})
        self.server.call("POST", "calls/reset", {})

    def make(self, name: str) -> None:
        compute, scaling, balancers = (self.server.client(each) for each in ("ec2", "autoscaling", "elbv2"))
        target = balancers.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=self.vpc)
        target_group = target["TargetGroups"][0]["TargetGroupArn"]
        subnets = [each["SubnetId"] for each in compute.describe_subnets()["Subnets"][:ZONES]]
        balancer = balancers.create_load_balancer(Name=name, Subnets=subnets)["LoadBalancers"][0]
        forward = [{"Type": "forward", "TargetGroupArn": target_group}]
        arn = balancer["LoadBalancerArn"]
        balancers.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=forward)
        data = {"ImageId": self.old, "InstanceType": "t3.micro"}
        compute.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
        scaling.create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=SIZE,
            DesiredCapacity=SIZE,
            MaxSize=MAX_SIZE,
            AvailabilityZones=[f"{REGION}{letter}" for letter in "abcdef"[:ZONES]],
            LaunchTemplate={"LaunchTemplateName": name, "Version": "1"},
            TargetGroupARNs=[target_group],
        )

    def break_new(self) -> None:
        self.server.call("POST", "behaviour", {"image_id": self.new, "behaviour": "broken"})

    def truth(self) -> list[dict[str, Any]]:
        return [self.server.call("GET", "group", name=name) for name in self.names]


@dataclass
class Row:
    """What one contestant needed."""

    who: str
    groups: int
    seconds: float
    calls: dict[str, Any]
    wrong: int
    end: str

    def line(self) -> str:
        total, throttled = self.calls["total"], self.calls["throttled"]
        cells = [self.who, self.groups, f"{self.seconds:.0f} s", total, f"{total / self.groups:.1f}", throttled]
        return "| " + " | ".join(str(cell) for cell in [*cells, self.wrong, self.end]) + " |"


HEAD = """| | groups | took | calls | per deployment | throttled | wrong instances | sizes in the end |
|---|---|---|---|---|---|---|---|"""


def sizes(truth: list[dict[str, Any]]) -> str:
    words = {f"{each['sizes']['min']}/{each['sizes']['desired']}/{each['sizes']['max']}" for each in truth}
    return ", ".join(sorted(words))


def measure(who: str, groups: int, contestant: Callable[[Stage], None], broken: bool = False) -> Row:
    stage = Stage(groups)
    try:
        if broken:
            stage.break_new()
        start = time.monotonic()
        contestant(stage)
        seconds = time.monotonic() - start
        calls = stage.server.call("GET", "calls")
        time.sleep(5)
        truth = stage.truth()
        right = stage.old if broken else stage.new
        wrong = sum(each["image_id"] != right for group in truth for each in group["instances"])
        row = Row(who, groups, seconds, calls, wrong, sizes(truth))
    finally:
        stage.server.stop()
    print(row.line(), flush=True)
    return row


# ---- the contestants


class Pointsman:
    """The real server, and its command line."""

    def __init__(self, program: str) -> None:
        self.program = program

    def __call__(self, stage: Stage) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self.folder = folder
            environment = {**os.environ, **KEYS, "POINTSMAN_DATA": f"{folder}/data"}
            command = [self.program, "server", "--listen", "127.0.0.1:0", "--data", f"{folder}/data"]
            command += ["--local-state", f"{folder}/local"]
            with open(f"{folder}/log", "w", encoding="utf-8") as log:
                server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            try:
                self.release(stage)
            finally:
                server.terminate()
                server.wait()
                stop = [self.program, "local", "--stop", "--state-dir", f"{folder}/local"]
                subprocess.run(stop, check=False, capture_output=True)

    def release(self, stage: Stage) -> None:
        self.until(lambda: self.run("team", "list").returncode == 0, 60)
        manifests = os.path.join(self.folder, "catalogue.yaml")
        with open(manifests, "w", encoding="utf-8") as file:
            file.write("\n---\n".join(json.dumps(each) for each in self.catalogue(stage)))
        self.must("apply", "-f", manifests)
        self.must("release", "create", "web", "2.0.0", "--image", stage.new)
        # What the server did so far is no part of the deployments.
        stage.server.call("POST", "calls/reset", {})
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self.begin, stage.names))
        self.until(lambda: self.ended() == len(stage.names), 900)

    def begin(self, name: str) -> None:
        deadline = f"{HEALTH_DEADLINE_S}s"
        options = ["--no-wait", "--bake", "0s", "--health-deadline", deadline]
        self.must("deploy", "web", "2.0.0", "-e", name, *options)

    def ended(self) -> int:
        listed = json.loads(self.must("deployment", "list", "--limit", str(GROUPS), "-o", "json"))
        items = listed["items"] if isinstance(listed, dict) else listed
        return sum(each["status"] in ("succeeded", "rolled_back", "aborted", "failed") for each in items)

    def catalogue(self, stage: Stage) -> list[dict[str, Any]]:
        account = {"kind": "Account", "name": "emulated", "provider": "aws", "region": REGION}
        entries: list[dict[str, Any]] = [
            {**account, "endpoint_url": stage.server.endpoint},
            {"kind": "Team", "name": "web"},
            {"kind": "EnvironmentType", "name": "production"},
            {"kind": "Service", "name": "web", "owner": "web", "environment_types": ["production"]},
        ]
        for name in stage.names:
            where = {"service": "web", "environment": name}
            aws = {"account": "emulated", "groups": [name]}
            bounds = {"min": SIZE, "max": MAX_SIZE}
            entries.append({"kind": "Environment", "name": name, "environment_type": "production"})
            entries.append({"kind": "ServerGroup", **where, "size": SIZE, "autoscaling": bounds, "aws": aws})
        return entries

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "POINTSMAN_DATA": f"{self.folder}/data"}
        command = [self.program, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    def must(self, *arguments: str) -> str:
        done = self.run(*arguments)
        if done.returncode != 0:
            raise RuntimeError(f"pointsman {' '.join(arguments)}: {done.stderr}{done.stdout}")
        return done.stdout

    def until(self, reached: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not reached():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {seconds} s")
            time.sleep(0.5)


def script(stage: Stage) -> None:
    """The plain script."""
    command = [sys.executable, os.path.join(HERE, "boto3_release.py"), "--endpoint", stage.server.endpoint]
    command += ["--prefix", "web-", "--image", stage.new, "--timeout-seconds", str(HEALTH_DEADLINE_S)]
    if len(stage.names) > 1:
        command[-1] = "300"
    subprocess.run(command, check=True, capture_output=True)


class Ansible:
    """`amazon.aws.autoscaling_group` with `replace_all_instances`, one group after the other."""

    def __init__(self, program: str) -> None:
        self.program = program

    def __call__(self, stage: Stage) -> None:
        for name in stage.names:
            values = {
                "endpoint": stage.server.endpoint, "region": REGION, "group": name, "image": stage.new,
                "size": SIZE, "max_size": MAX_SIZE, "timeout": HEALTH_DEADLINE_S,
                "zones": [f"{REGION}{letter}" for letter in "abcdef"[:ZONES]],
                "ansible_python_interpreter": os.path.join(os.path.dirname(self.program), "python"),
            }
            command = [self.program, "-i", "localhost,", "-c", "local", PLAYBOOK, "-e", json.dumps(values)]
            environment = {**os.environ, **KEYS, "ANSIBLE_LOCALHOST_WARNING": "false"}
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if "fatal:" in done.stdout and os.environ.get("BENCH_VERBOSE"):
                print(done.stdout, file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pointsman", required=True)
    parser.add_argument("--ansible")
    parser.add_argument("--groups", type=int, default=GROUPS)
    arguments = parser.parse_args()
    ansible = arguments.ansible and shutil.which(arguments.ansible)
    pointsman = Pointsman(os.path.abspath(arguments.pointsman))
    print(f"{arguments.groups} groups of {SIZE} at once; Ansible one after the other\n\n{HEAD}")
    ours = measure("Pointsman", arguments.groups, pointsman)
    measure("boto3 script", arguments.groups, script)
    if ansible:
        measure("Ansible", ANSIBLE_GROUPS, Ansible(ansible))
    print("\nPointsman's busiest minute:\n\n| bucket | calls | AWS allows |\n|---|---|---|")
    for bucket, most in sorted(ours.calls["buckets"].items()):
        print(f"| {bucket} | {most['most_per_minute']} | {most['allowed_per_minute']} |")
    print(f"\nOne group, whose new instances never get healthy\n\n{HEAD}")
    measure("Pointsman", 1, pointsman, broken=True)
    measure("boto3 script", 1, script, broken=True)
    if ansible:
        measure("Ansible", 1, Ansible(ansible), broken=True)
    if ours.calls["throttled"] or ours.wrong:
        sys.exit("Pointsman was throttled, or left wrong instances")


if __name__ == "__main__":
    main()
