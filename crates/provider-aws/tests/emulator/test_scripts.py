"""The release scripts run against the emulator, and the folk recipe goes wrong where AWS lets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unittest

from harness import HERE, EmulatorCase, Server


class NaiveRecipe(EmulatorCase):
    def release(self, image: str, name: str) -> None:
        command = [sys.executable, os.path.join(HERE, "naive_recipe.py"), "--endpoint", self.server.endpoint]
        command += ["--group", name, "--image", image, "--advance-ms", "1000"]
        subprocess.run(command, check=True, timeout=60)

    def wrong_survivors(self, image: str, name: str) -> int:
        return sum(each["image_id"] != image for each in self.truth(name)["instances"])

    def test_it_is_right_in_one_zone(self) -> None:
        self.settings(launch_ms=3000, terminate_ms=2000)
        self.group(3, zones=1)
        image = self.image()
        self.release(image, "web")
        self.assertEqual(0, self.wrong_survivors(image, "web"))

    def test_it_leaves_old_instances_where_zones_are_uneven(self) -> None:
        # Four instances in three zones: 2, 1, 1. Doubled to 3, 3, 2 and halved by zones first.
        self.settings(launch_ms=3000, terminate_ms=2000)
        wrong = 0
        for seed in range(2):
            self.settings(seed=seed)
            self.group(4, zones=3, name=f"web{seed}")
            image = self.image()
            self.release(image, f"web{seed}")
            wrong += self.wrong_survivors(image, f"web{seed}")
        self.assertGreater(wrong, 0)


class BenchmarkPeer(unittest.TestCase):
    def test_it_releases_to_all_groups(self) -> None:
        server = Server("--clock", "real")
        self.addCleanup(server.stop)
        compute, groups = server.client("ec2"), server.client("autoscaling")
        images = [compute.register_image(Name=name)["ImageId"] for name in ("old-image", "new-image")]
        server.call("POST", "settings", {"launch_ms": 200, "terminate_ms": 100})
        for number in range(3):
            name = f"web-{number}"
            data = {"ImageId": images[0], "InstanceType": "t3.micro"}
            compute.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
            groups.create_auto_scaling_group(
                AutoScalingGroupName=name, MinSize=2, MaxSize=4, DesiredCapacity=2,
                AvailabilityZones=["us-east-1a"], LaunchTemplate={"LaunchTemplateName": name, "Version": "1"},
            )
        command = [sys.executable, os.path.join(HERE, "boto3_release.py"), "--endpoint", server.endpoint]
        command += ["--prefix", "web-", "--image", images[1], "--poll-seconds", "0.2"]
        done = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
        result = json.loads(done.stdout)
        self.assertEqual((3, 0, 0), (result["groups"], result["wrong_survivors"], result["failed"]), result)


if __name__ == "__main__":
    unittest.main()
