"""The documented rules that the emulator keeps, one test each; here: sizes and scale-in.

    python test_rules.py

runs these and those of the other `test_*.py` beside it.
"""

from __future__ import annotations

import sys
import unittest

from harness import HERE, EmulatorCase, ids


class SizeRules(EmulatorCase):
    def test_sizes_must_be_ordered(self) -> None:
        self.group(2, MinSize=1, MaxSize=4)
        self.refused("ValidationError", self.update, DesiredCapacity=5)
        self.refused("ValidationError", self.update, MinSize=5)
        self.refused("ValidationError", self.update, DesiredCapacity=0)

    def test_raising_the_minimum_raises_desired(self) -> None:
        self.group(2, MaxSize=9)
        self.update(MinSize=5)
        self.assertEqual((5, 5), (self.describe()["DesiredCapacity"], len(self.describe()["Instances"])))

    def test_lowering_the_maximum_lowers_desired(self) -> None:
        self.group(5, MaxSize=9)
        self.update(MaxSize=3)
        self.assertEqual((3, 3), (self.describe()["DesiredCapacity"], len(self.describe()["Instances"])))

    def test_lowering_the_minimum_never_lowers_desired(self) -> None:
        self.group(4, MinSize=4)
        self.update(MinSize=1)
        self.assertEqual((4, 4), (self.describe()["DesiredCapacity"], len(self.describe()["Instances"])))

    def test_names_are_unique(self) -> None:
        self.group(1)
        template = {"LaunchTemplateName": "web-template"}
        self.refused("AlreadyExists", self.group, 1, LaunchTemplate=template)

    def test_a_group_with_instances_is_deleted_only_by_force(self) -> None:
        self.settings(terminate_ms=1000)
        self.group(1)
        self.refused("ResourceInUse", self.asg.delete_auto_scaling_group, AutoScalingGroupName="web")
        self.asg.delete_auto_scaling_group(AutoScalingGroupName="web", ForceDelete=True)
        self.assertEqual("Delete in progress", self.describe()["Status"])
        self.advance(1000)
        self.assertIsNone(self.describe())

    def test_groups_are_listed_in_pages(self) -> None:
        self.template("common")
        for number in range(5):
            self.group(0, name=f"g{number}", LaunchTemplate={"LaunchTemplateName": "common"})
        pages = list(self.asg.get_paginator("describe_auto_scaling_groups").paginate(PaginationConfig={"PageSize": 2}))
        self.assertEqual([2, 2, 1], [len(page["AutoScalingGroups"]) for page in pages])
        names = [f"g{number}" for number in range(51)]
        self.refused("ValidationError", self.asg.describe_auto_scaling_groups, AutoScalingGroupNames=names)
        self.refused("ValidationError", self.asg.describe_auto_scaling_groups, MaxRecords=101)

    def test_settings_survive_an_update_of_others(self) -> None:
        self.group(1, TerminationPolicies=["OldestInstance"], HealthCheckGracePeriod=17, DefaultCooldown=21)
        self.update(MaxSize=9)
        group = self.describe()
        kept = (group["TerminationPolicies"], group["HealthCheckGracePeriod"], group["DefaultCooldown"])
        self.assertEqual((["OldestInstance"], 17, 21), kept)
        self.update(TerminationPolicies=["NewestInstance"])
        self.assertEqual(["NewestInstance"], self.describe()["TerminationPolicies"])
        self.refused("ValidationError", self.update, TerminationPolicies=["Bogus"])


class LaunchRules(EmulatorCase):
    def test_instances_keep_the_version_they_were_launched_from(self) -> None:
        self.group(2)
        self.use_version(self.new_version("web-template"))
        self.resize(4)
        self.assertEqual(["1", "1", "2", "2"], self.versions())

    def test_latest_and_default_are_resolved_at_launch(self) -> None:
        self.group(1, LaunchTemplate={"LaunchTemplateName": self.template("web-template"), "Version": "$Latest"})
        self.new_version("web-template")
        self.resize(2)
        self.use_version("$Default")
        self.resize(3)
        self.assertEqual(["1", "1", "2"], self.versions())

    def test_unknown_versions_and_images_are_refused(self) -> None:
        self.group(1)
        self.refused("ValidationError", self.use_version, "9")
        template = {"LaunchTemplateName": self.template("bad", ImageId="ami-0123456789abcdef0")}
        self.assertIn("does not exist", self.refused("ValidationError", self.group, 1, name="x", LaunchTemplate=template))

    def test_a_launch_of_a_deregistered_image_fails_as_an_activity(self) -> None:
        image = self.image()
        self.group(1, LaunchTemplate={"LaunchTemplateName": self.template("web-template", ImageId=image)})
        self.ec2.deregister_image(ImageId=image)
        self.assertEqual([], self.ec2.describe_images(Filters=[{"Name": "image-id", "Values": [image]}])["Images"])
        self.resize(2)
        self.assertEqual(1, len(self.describe()["Instances"]))
        activity = self.asg.describe_scaling_activities(AutoScalingGroupName="web")["Activities"][0]
        self.assertEqual("Failed", activity["StatusCode"])

    def test_launches_are_spread_over_the_zones_of_the_subnets(self) -> None:
        _, subnets = self.network()
        template = {"LaunchTemplateName": self.template()}
        self.asg.create_auto_scaling_group(
            AutoScalingGroupName="web", MinSize=0, MaxSize=9, DesiredCapacity=7,
            VPCZoneIdentifier=",".join(subnets), LaunchTemplate=template,
        )
        self.assertEqual([2, 2, 3], self.zones())
        reservations = self.ec2.describe_instances()["Reservations"]
        used = {instance["SubnetId"] for each in reservations for instance in each["Instances"]}
        self.assertEqual(set(subnets), used)

    def test_launching_takes_its_time(self) -> None:
        self.settings(launch_ms=2000, react_ms=500)
        self.group(1)
        self.advance(1999)
        self.assertEqual(["Pending"], [each["LifecycleState"] for each in self.describe()["Instances"]])
        self.advance(1)
        self.assertEqual(["InService"], [each["LifecycleState"] for each in self.describe()["Instances"]])
        self.resize(2)
        self.assertEqual(1, len(self.describe()["Instances"]))
        self.advance(500)
        self.assertEqual(2, len(self.describe()["Instances"]))

    def test_terminating_instances_stay_listed(self) -> None:
        self.settings(terminate_ms=1500)
        self.group(2)
        self.resize(1)
        self.advance(1499)
        states = sorted(each["LifecycleState"] for each in self.describe()["Instances"])
        self.assertEqual("InService", states[0])
        self.assertTrue(states[1].startswith("Terminating"))
        self.advance(1)
        self.assertEqual(1, len(self.describe()["Instances"]))


class ScaleInRules(EmulatorCase):
    def two_versions(self, ties: str = "newest", **options: object) -> None:
        self.settings(ties=ties)
        self.group(3, **options)
        self.advance(60_000)
        self.use_version(self.new_version("web-template"))
        self.resize(6)
        self.advance(60_000)

    def test_default_ends_the_lowest_version_first(self) -> None:
        self.two_versions()
        self.resize(3)
        self.assertEqual(["2", "2", "2"], self.versions())

    def test_default_ends_the_lowest_version_after_a_rollback_too(self) -> None:
        self.two_versions()
        self.resize(3)
        self.use_version("1")
        self.resize(6)
        self.resize(3)
        self.assertEqual(["2", "2", "2"], self.versions())

    def test_oldest_instance(self) -> None:
        self.two_versions(TerminationPolicies=["OldestInstance"])
        self.resize(3)
        self.assertEqual(["2", "2", "2"], self.versions())

    def test_newest_instance(self) -> None:
        self.two_versions("oldest", TerminationPolicies=["NewestInstance"])
        self.resize(3)
        self.assertEqual(["1", "1", "1"], self.versions())

    def test_oldest_launch_template_ends_another_template_first(self) -> None:
        self.group(3, TerminationPolicies=["OldestLaunchTemplate"])
        self.update(LaunchTemplate={"LaunchTemplateName": self.template("other"), "Version": "1"})
        self.resize(6)
        self.resize(3)
        names = {each["LaunchTemplate"]["LaunchTemplateName"] for each in self.describe()["Instances"]}
        self.assertEqual({"other"}, names)

    def test_closest_to_next_instance_hour(self) -> None:
        self.settings(ties="oldest")
        first = ids(self.group(1, zones=1, TerminationPolicies=["ClosestToNextInstanceHour"]))
        self.advance(1_800_000)
        self.resize(2)
        second = [each for each in ids(self.describe()) if each not in first]
        self.advance(1_805_000)
        self.resize(1)
        self.assertEqual(first, ids(self.describe()), f"{second} is closer to its next hour")

    def test_oldest_launch_configuration(self) -> None:
        for name in ("old", "new"):
            self.asg.create_launch_configuration(
                LaunchConfigurationName=name, ImageId=self.image(), InstanceType="t3.micro"
            )
            self.advance(1000)
        self.asg.create_auto_scaling_group(
            AutoScalingGroupName="web", MinSize=0, MaxSize=9, DesiredCapacity=2,
            AvailabilityZones=["us-east-1a"], LaunchConfigurationName="old",
            TerminationPolicies=["OldestLaunchConfiguration"],
        )
        self.update(LaunchConfigurationName="new", DesiredCapacity=4)
        self.resize(2)
        self.assertEqual({"new"}, {each["LaunchConfigurationName"] for each in self.describe()["Instances"]})

    def test_equal_instances_die_by_the_set_ties(self) -> None:
        for ties, survivor in (("newest", 0), ("oldest", 2)):
            self.settings(ties=ties)
            self.group(0, zones=1, name=ties)
            for size in (1, 2, 3):
                self.resize(size, ties)
            launched = [entry["instance"] for entry in self.log("launch", name=ties)]
            self.resize(1, ties)
            self.assertEqual([launched[survivor]], ids(self.describe(ties)))

    def test_the_fullest_zone_comes_before_the_policy(self) -> None:
        self.group(2, zones=2)
        self.use_version(self.new_version("web-template"))
        self.suspend("AZRebalance")
        old = next(each for each in self.describe()["Instances"] if each["AvailabilityZone"] == "us-east-1a")
        self.asg.terminate_instance_in_auto_scaling_group(
            InstanceId=old["InstanceId"], ShouldDecrementDesiredCapacity=True
        )
        self.update(AvailabilityZones=["us-east-1a"])
        self.resize(4)
        self.update(AvailabilityZones=["us-east-1a", "us-east-1b"])
        self.resize(1)
        self.assertEqual(1, len(self.versions()))
        ended = [entry["version"] for entry in self.log("terminate") if entry["cause"] == "scale-in"]
        self.assertEqual([2, 2], ended[:2], "zone a has three new ones, so they go before the old one in b")

    def test_unhealthy_instances_go_first(self) -> None:
        group = self.group(3, TerminationPolicies=["NewestInstance"], zones=1)
        self.suspend("ReplaceUnhealthy")
        launched = [entry["instance"] for entry in self.log("launch")]
        self.asg.set_instance_health(InstanceId=launched[0], HealthStatus="Unhealthy")
        self.resize(len(group["Instances"]) - 1)
        self.assertNotIn(launched[0], ids(self.describe()))


class ProtectionRules(EmulatorCase):
    def test_protected_instances_survive_a_scale_in(self) -> None:
        old = ids(self.group(3))
        self.protect(old)
        self.use_version(self.new_version("web-template"))
        self.resize(6)
        self.resize(3)
        self.assertEqual(sorted(old), sorted(ids(self.describe())))

    def test_when_all_are_protected_nothing_dies_and_an_activity_fails(self) -> None:
        self.protect(ids(self.group(3)))
        self.resize(1)
        self.assertEqual((1, 3), (self.describe()["DesiredCapacity"], len(self.describe()["Instances"])))
        activity = self.asg.describe_scaling_activities(AutoScalingGroupName="web")["Activities"][0]
        self.assertEqual("Failed", activity["StatusCode"])
        self.assertIn("all remaining instances are protected", activity["StatusMessage"])

    def test_a_pending_instance_cannot_be_protected(self) -> None:
        self.settings(launch_ms=1000)
        group = self.group(1)
        self.refused("ValidationError", self.protect, ids(group))

    def test_at_most_fifty_ids_in_a_call(self) -> None:
        self.group(1)
        self.refused("ValidationError", self.protect, [f"i-{number:017x}" for number in range(51)])

    def test_detaching_loses_the_protection(self) -> None:
        group = self.group(2)
        self.protect(ids(group))
        one = ids(group)[:1]
        self.asg.detach_instances(AutoScalingGroupName="web", InstanceIds=one, ShouldDecrementDesiredCapacity=True)
        self.asg.attach_instances(AutoScalingGroupName="web", InstanceIds=one)
        self.assertEqual(ids(group)[1:], self.truth()["protected"])


class ProcessRules(EmulatorCase):
    def suspended(self) -> list[str]:
        return [each["ProcessName"] for each in self.describe()["SuspendedProcesses"]]

    def test_suspended_processes_are_listed(self) -> None:
        self.group(1)
        self.suspend("AZRebalance", "Launch")
        self.assertEqual(["AZRebalance", "Launch"], self.suspended())
        self.asg.resume_processes(AutoScalingGroupName="web", ScalingProcesses=["Launch"])
        self.assertEqual(["AZRebalance"], self.suspended())
        self.refused("ValidationError", self.suspend, "Bogus")

    def test_launch_and_terminate(self) -> None:
        self.group(2)
        self.suspend("Launch", "Terminate")
        self.resize(3)
        self.advance(60_000)
        self.assertEqual(2, len(self.describe()["Instances"]))
        self.resize(1)
        self.assertEqual(2, len(self.describe()["Instances"]))
        self.asg.resume_processes(AutoScalingGroupName="web")
        self.assertEqual(1, len(self.describe()["Instances"]))

    def test_alarms_act_within_the_bounds_unless_suspended(self) -> None:
        self.group(2, MaxSize=3)
        event = {"kind": "alarm", "group": "web", "change": 2}
        self.assertEqual({"acted": True, "desired": 3}, self.server.call("POST", "event", event))
        self.suspend("AlarmNotification")
        event["change"] = -1
        self.assertFalse(self.server.call("POST", "event", event)["acted"])
        self.assertEqual(3, self.describe()["DesiredCapacity"])

    def test_add_to_load_balancer(self) -> None:
        blue = self.target_group()
        self.listener((blue, 1))
        self.group(1, TargetGroupARNs=[blue])
        self.suspend("AddToLoadBalancer")
        self.resize(2)
        self.asg.resume_processes(AutoScalingGroupName="web")
        self.advance(60_000)
        self.assertEqual(["healthy"], self.health(blue), "the second one is never added by itself")

    def test_rebalancing_launches_before_it_terminates(self) -> None:
        self.settings(launch_ms=1000)
        self.group(2, zones=1)
        self.advance(1000)
        self.suspend("AZRebalance")
        self.update(AvailabilityZones=["us-east-1a", "us-east-1b"])
        self.advance(5000)
        self.assertEqual([2], self.zones())
        self.asg.resume_processes(AutoScalingGroupName="web", ScalingProcesses=["AZRebalance"])
        self.assertEqual(3, len(self.describe()["Instances"]))
        self.advance(5000)
        self.assertEqual([1, 1], self.zones())
        self.assertEqual("rebalance", self.log("terminate")[0]["cause"])

    def test_rebalancing_does_not_move_protected_instances(self) -> None:
        self.protect(ids(self.group(2, zones=1)))
        self.update(AvailabilityZones=["us-east-1a", "us-east-1b"])
        self.advance(5000)
        self.assertEqual([2], self.zones())


if __name__ == "__main__":
    # Also the rules in the other test files of this directory.
    unittest.main(module=None, argv=["test_rules", "discover", "-s", HERE, *sys.argv[1:]])
