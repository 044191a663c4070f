"""What the tests of the emulator share: starting it, and building what a release needs."""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
import unittest
import urllib.parse
import urllib.request
from typing import Any

import boto3
from botocore.config import Config

HERE = os.path.dirname(os.path.abspath(__file__))
REGION = "us-east-1"


class Server:
    """An emulator process on a free port."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, os.path.join(HERE, "emulator.py"), "--port", "0", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready "), f"the emulator did not start: {line!r}"
        self.endpoint = f"http://127.0.0.1:{int(line.split()[1])}"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def call(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        url = f"{self.endpoint}/control/{path}"
        if query:
            url += "?" + urllib.parse.urlencode(query)
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    @functools.cache
    def client(self, service: str, attempts: int = 1) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}, read_timeout=10),
        )


@functools.cache
def shared_server() -> Server:
    """One process for all tests: a reset costs milliseconds, a start costs seconds."""
    server = Server("--clock", "manual", "--seed", "7")
    atexit.register(server.stop)
    return server


class EmulatorCase(unittest.TestCase):
    """Every test starts with an empty world at a clock that stands still."""

    server: Server

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = shared_server()
        cls.asg = cls.server.client("autoscaling")
        cls.ec2 = cls.server.client("ec2")
        cls.elb = cls.server.client("elbv2")
        cls.dns = cls.server.client("route53")

    def setUp(self) -> None:
        self.server.call("POST", "reset", {})
        self.image_number = 0

    # ---- control

    def settings(self, **changes: Any) -> None:
        self.server.call("POST", "settings", changes)

    def advance(self, milliseconds: int) -> None:
        self.server.call("POST", "clock", {"advance_ms": milliseconds})

    def truth(self, name: str = "web") -> Any:
        return self.server.call("GET", "group", name=name)

    def log(self, *kinds: str, name: str = "web") -> list[Any]:
        entries = self.server.call("GET", "log", group=name)
        return [entry for entry in entries if not kinds or entry["kind"] in kinds]

    # ---- building

    def image(self) -> str:
        self.image_number += 1
        return self.ec2.register_image(Name=f"image-{self.image_number}")["ImageId"]

    def template(self, name: str = "template", **data: Any) -> str:
        data.setdefault("ImageId", self.image())
        data.setdefault("InstanceType", "t3.micro")
        self.ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
        return name

    def new_version(self, name: str = "template", **data: Any) -> str:
        data.setdefault("ImageId", self.image())
        answer = self.ec2.create_launch_template_version(
            LaunchTemplateName=name, SourceVersion="$Latest", LaunchTemplateData=data
        )
        return str(answer["LaunchTemplateVersion"]["VersionNumber"])

    def group(self, size: int = 3, zones: int = 3, name: str = "web", **options: Any) -> Any:
        """A group whose template is version 1 of `template`, in the first zones."""
        if "LaunchTemplate" not in options:
            options["LaunchTemplate"] = {"LaunchTemplateName": self.template(f"{name}-template"), "Version": "1"}
        options.setdefault("MinSize", 0)
        options.setdefault("MaxSize", 100)
        self.asg.create_auto_scaling_group(
            AutoScalingGroupName=name,
            DesiredCapacity=size,
            AvailabilityZones=[f"{REGION}{letter}" for letter in "abcdef"[:zones]],
            **options,
        )
        return self.describe(name)

    def describe(self, name: str = "web") -> Any:
        groups = self.asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
        return groups[0] if groups else None

    def update(self, name: str = "web", **changes: Any) -> None:
        self.asg.update_auto_scaling_group(AutoScalingGroupName=name, **changes)

    def resize(self, size: int, name: str = "web") -> None:
        self.update(name, DesiredCapacity=size)

    def use_version(self, version: str, name: str = "web") -> None:
        self.update(name, LaunchTemplate={"LaunchTemplateName": f"{name}-template", "Version": version})

    def versions(self, name: str = "web") -> list[str]:
        return sorted(each["LaunchTemplate"]["Version"] for each in self.describe(name)["Instances"])

    def zones(self, name: str = "web") -> list[int]:
        names = [each["AvailabilityZone"] for each in self.describe(name)["Instances"]]
        return sorted(names.count(zone) for zone in set(names))

    def suspend(self, *processes: str, name: str = "web") -> None:
        self.asg.suspend_processes(AutoScalingGroupName=name, ScalingProcesses=list(processes))

    def protect(self, ids: list[str], on: bool = True, name: str = "web") -> None:
        self.asg.set_instance_protection(AutoScalingGroupName=name, InstanceIds=ids, ProtectedFromScaleIn=on)

    def network(self) -> tuple[str, list[str]]:
        vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            self.ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{REGION}{letter}")[
                "Subnet"
            ]["SubnetId"]
            for number, letter in enumerate("abc")
        ]
        return vpc, subnets

    def target_group(self, name: str = "blue", vpc: str | None = None) -> str:
        vpc = vpc or self.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        answer = self.elb.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=vpc)
        return answer["TargetGroups"][0]["TargetGroupArn"]

    def listener(self, *weighted: tuple[str, int]) -> str:
        _, subnets = self.network()
        balancer = self.elb.create_load_balancer(Name="front", Subnets=subnets)["LoadBalancers"][0]
        answer = self.elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=forward(*weighted)
        )
        return answer["Listeners"][0]["ListenerArn"]

    def health(self, target_group: str) -> list[str]:
        answer = self.elb.describe_target_health(TargetGroupArn=target_group)
        return sorted(each["TargetHealth"]["State"] for each in answer["TargetHealthDescriptions"])

    def refused(self, code: str, call: Any, *args: Any, **kwargs: Any) -> str:
        """Checks that a call is refused with the code, and answers the message."""
        from botocore.exceptions import ClientError

        with self.assertRaises(ClientError) as caught:
            call(*args, **kwargs)
        self.assertEqual(code, caught.exception.response["Error"]["Code"])
        return caught.exception.response["Error"]["Message"]


def forward(*weighted: tuple[str, int]) -> list[dict[str, Any]]:
    groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weighted]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]


def ids(group: Any, version: str | None = None) -> list[str]:
    return [
        each["InstanceId"]
        for each in group["Instances"]
        if version is None or each["LaunchTemplate"]["Version"] == version
    ]
