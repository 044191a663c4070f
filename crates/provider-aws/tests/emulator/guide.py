"""Runs the commands of the AWS guide as written, in its order, against an emulated AWS.

    python guide.py --pointsman PROGRAM --repository FOLDER
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from typing import Any

from bench import KEYS
from harness import REGION, Server

LAGS = {"launch_ms": 2000, "launch_spread_ms": 1000, "healthy_ms": 1000, "drain_ms": 1000, "terminate_ms": 1000}
# The server listens on a free port here, and on the usual one at everybody's.
WRAPPER = """#!/bin/sh
if [ "$1" = server ]; then exec {program} "$@" --listen {address}; fi
exec {program} "$@"
"""


class Account:
    """What the guide's reader has: groups that run something, load balancers, records, a bucket."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.compute, self.scaling, self.balancers, self.dns = (
            server.client(each) for each in ("ec2", "autoscaling", "elbv2", "route53")
        )
        names = ("machine-1.0.0", "machine-1.1.0", "machine-1.2.0")
        self.images = [self.compute.register_image(Name=name)["ImageId"] for name in names]
        self.compute.create_tags(Resources=self.images, Tags=[{"Key": "stable", "Value": "yes"}])
        subnets = self.compute.describe_subnets()["Subnets"]
        self.vpc = subnets[0]["VpcId"]
        self.subnets = [each["SubnetId"] for each in subnets[:3]]
        found = self.compute.describe_security_groups()["SecurityGroups"]
        self.security_group = found[0]["GroupId"]
        server.client("s3").create_bucket(Bucket="example-packages")
        storefront = self.target_group("storefront")
        self.listener(self.balancer("storefront"), [(storefront, 1)])
        self.group("storefront", 4, storefront)
        blue, green = self.target_group("cart-blue"), self.target_group("cart-green")
        self.listener(self.balancer("cart"), [(blue, 100), (green, 0)])
        self.group("cart-blue", 2, blue)
        self.group("cart-green", 0, green)
        self.zone = self.records()
        self.search = self.target_group("search")
        self.listener(self.balancer("search"), [(self.search, 1)])

    def variables(self) -> dict[str, str]:
        old, new, following = self.images
        return {
            "OLD_IMAGE": old, "NEW_IMAGE": new, "NEXT_IMAGE": following, "ZONE": self.zone,
            "SEARCH_TARGET_GROUP": self.search, "SUBNET_A": self.subnets[0], "SUBNET_B": self.subnets[1],
            "SECURITY_GROUP": self.security_group,
        }

    def target_group(self, name: str) -> str:
        made = self.balancers.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=self.vpc)
        return made["TargetGroups"][0]["TargetGroupArn"]

    def balancer(self, name: str) -> Any:
        return self.balancers.create_load_balancer(Name=name, Subnets=self.subnets)["LoadBalancers"][0]

    def listener(self, balancer: Any, weighted: list[tuple[str, int]]) -> None:
        groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weighted]
        action = {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}
        arn = balancer["LoadBalancerArn"]
        self.balancers.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=[action])

    def group(self, name: str, size: int, target_group: str) -> None:
        data = {"ImageId": self.images[0], "InstanceType": "t3.small"}
        self.compute.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
        self.scaling.create_auto_scaling_group(
            AutoScalingGroupName=name, MinSize=size, DesiredCapacity=size, MaxSize=size,
            VPCZoneIdentifier=",".join(self.subnets), TargetGroupARNs=[target_group],
            LaunchTemplate={"LaunchTemplateName": name, "Version": "1"},
            HealthCheckType="ELB", HealthCheckGracePeriod=30,
        )

    def records(self) -> str:
        zone = self.dns.create_hosted_zone(Name="example.com", CallerReference="guide")["HostedZone"]["Id"]
        changes = []
        for slice_name, weight, size in (("blue", 100, 2), ("green", 0, 0)):
            target_group = self.target_group(f"checkout-{slice_name}")
            balancer = self.balancer(f"checkout-{slice_name}")
            self.listener(balancer, [(target_group, 1)])
            self.group(f"checkout-{slice_name}", size, target_group)
            alias = {
                "HostedZoneId": balancer["CanonicalHostedZoneId"], "DNSName": balancer["DNSName"],
                "EvaluateTargetHealth": False,
            }
            record = {
                "Name": "checkout.example.com", "Type": "A", "SetIdentifier": slice_name, "Weight": weight,
                "AliasTarget": alias,
            }
            changes.append({"Action": "CREATE", "ResourceRecordSet": record})
        self.dns.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
        return zone.removeprefix("/hostedzone/")


def commands(guide: str, until: str | None) -> str:
    """The shell blocks of a page but for the one that builds, perhaps only those before a heading."""
    if until is not None:
        guide, found, _ = guide.partition(f"\n## {until}\n")
        assert found, f"the guide has no heading {until}"
    blocks = re.findall(r"^```sh\n(.*?)^```$", guide, flags=re.MULTILINE | re.DOTALL)
    return "\n".join(block for block in blocks if "cargo build" not in block)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run(server: Server, arguments: argparse.Namespace) -> int:
    account = Account(server)
    server.call("POST", "settings", {**LAGS, "insync_ms": 1000, "vcpu_quota": 256})
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(os.path.join(arguments.repository, "examples"), f"{folder}/examples")
        # What the guide tells its reader to do.
        described = f"{folder}/examples/aws/account.yaml"
        with open(described, encoding="utf-8") as file:
            text = file.read().replace("eu-west-1", REGION)
        with open(described, "w", encoding="utf-8") as file:
            file.write(text + f"endpoint_url: {server.endpoint}\n")
        address = f"127.0.0.1:{free_port()}"
        os.mkdir(f"{folder}/bin")
        program = f"{folder}/bin/pointsman"
        with open(program, "w", encoding="utf-8") as file:
            file.write(WRAPPER.format(program=os.path.abspath(arguments.pointsman), address=address))
        os.chmod(program, 0o755)
        with open(os.path.join(arguments.repository, "docs/guide/aws.md"), encoding="utf-8") as file:
            script = "set -euxo pipefail\ntrap 'kill $(jobs -p); wait' EXIT\n" + commands(file.read(), arguments.until)
        environment = {
            **os.environ, **KEYS, **account.variables(), "HOME": folder,
            "XDG_DATA_HOME": f"{folder}/share", "XDG_STATE_HOME": f"{folder}/state", "PATH": f"{folder}/bin:{os.environ['PATH']}",
        }
        try:
            return subprocess.run(["bash", "-c", script], cwd=folder, env=environment).returncode
        finally:
            subprocess.run([program, "local", "--stop"], env=environment, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pointsman", required=True)
    parser.add_argument("--repository", required=True)
    parser.add_argument("--until", help="stop before this heading")
    arguments = parser.parse_args()
    server = Server("--clock", "real", "--seed", "1")
    try:
        code = run(server, arguments)
    finally:
        server.stop()
    sys.exit(code)


if __name__ == "__main__":
    main()
