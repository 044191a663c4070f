"""The rules of EC2, Route 53, instance refresh, faults and request rates, one test each."""

from __future__ import annotations

import base64
import time
import urllib.error
from typing import Any

from botocore.exceptions import ConnectionClosedError

from harness import EmulatorCase, ids


class TemplateRules(EmulatorCase):
    def data(self, version: str) -> Any:
        found = self.ec2.describe_launch_template_versions(LaunchTemplateName="template", Versions=[version])
        return found["LaunchTemplateVersions"][0]["LaunchTemplateData"]

    def test_a_version_inherits_from_its_source(self) -> None:
        text = base64.b64encode(b"#!/bin/sh").decode()
        self.template(UserData=text)
        version = self.new_version()
        data = self.data(version)
        self.assertEqual(("t3.micro", text), (data["InstanceType"], data["UserData"]))
        self.ec2.create_launch_template_version(LaunchTemplateName="template", LaunchTemplateData={"ImageId": "ami-1"})
        self.assertNotIn("InstanceType", self.data("3"), "without a source nothing is inherited")

    def test_the_same_token_makes_one_version(self) -> None:
        self.template()
        make = self.ec2.create_launch_template_version
        options = {"LaunchTemplateName": "template", "ClientToken": "once", "LaunchTemplateData": {"ImageId": "ami-1"}}
        numbers = [make(**options)["LaunchTemplateVersion"]["VersionNumber"] for _ in range(2)]
        self.assertEqual([2, 2], numbers)
        options["LaunchTemplateData"] = {"ImageId": "ami-2"}
        self.refused("IdempotentParameterMismatch", make, **options)

    def test_versions_are_listed_in_pages_and_filtered(self) -> None:
        self.template()
        for _ in range(4):
            self.new_version()
        pages = self.ec2.get_paginator("describe_launch_template_versions").paginate(
            LaunchTemplateName="template", PaginationConfig={"PageSize": 2}
        )
        self.assertEqual([2, 2, 1], [len(page["LaunchTemplateVersions"]) for page in pages])
        default = self.ec2.describe_launch_template_versions(
            LaunchTemplateName="template", Filters=[{"Name": "is-default-version", "Values": ["true"]}]
        )
        self.assertEqual([1], [each["VersionNumber"] for each in default["LaunchTemplateVersions"]])
        self.refused("InvalidLaunchTemplateId.VersionNotFound", self.data, "9")

    def test_templates_are_listed_in_pages(self) -> None:
        for number in range(16):
            self.template(f"template-{number}", ImageId="ami-1")
        self.assertEqual(16, len(self.ec2.describe_launch_templates()["LaunchTemplates"]))
        pages = self.ec2.get_paginator("describe_launch_templates").paginate(PaginationConfig={"PageSize": 10})
        self.assertEqual([10, 6], [len(page["LaunchTemplates"]) for page in pages])

    def test_instances_get_the_user_data_of_later_versions(self) -> None:
        self.group(0)
        text = base64.b64encode(b"release 2").decode()
        self.use_version(self.new_version("web-template", UserData=text))
        self.resize(1)
        one = ids(self.describe())[0]
        found = self.ec2.describe_instance_attribute(InstanceId=one, Attribute="userData")
        self.assertEqual(text, found["UserData"]["Value"])

    def test_instances_are_listed_in_pages(self) -> None:
        self.group(7)
        pages = self.ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5})
        self.assertEqual([5, 2], [len(page["Reservations"]) for page in pages])

    def test_images_have_unique_names_tags_and_states(self) -> None:
        tags = [{"ResourceType": "image", "Tags": [{"Key": "release", "Value": "7"}]}]
        image = self.ec2.register_image(Name="golden", TagSpecifications=tags)["ImageId"]
        self.refused("InvalidAMIName.Duplicate", self.ec2.register_image, Name="golden")
        found = self.ec2.describe_images(Filters=[{"Name": "tag:release", "Values": ["7"]}])["Images"]
        self.assertEqual([(image, "available")], [(each["ImageId"], each["State"]) for each in found])
        self.server.call("POST", "image", {"image_id": image, "state": "pending"})
        template = {"LaunchTemplateName": self.template(ImageId=image)}
        self.assertIn("not available", self.refused("ValidationError", self.group, 1, LaunchTemplate=template))


class DnsRules(EmulatorCase):
    def setUp(self) -> None:
        super().setUp()
        answer = self.dns.create_hosted_zone(Name="example.com", CallerReference="once")
        self.zone = answer["HostedZone"]["Id"]

    def record(self, value: str = "1.1.1.1", name: str = "www.example.com", **options: Any) -> dict[str, Any]:
        return {"Name": name, "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": value}], **options}

    def change(self, *changes: tuple[str, dict[str, Any]]) -> Any:
        batch = [{"Action": action, "ResourceRecordSet": record} for action, record in changes]
        return self.dns.change_resource_record_sets(HostedZoneId=self.zone, ChangeBatch={"Changes": batch})

    def records(self) -> list[Any]:
        found = self.dns.list_resource_record_sets(HostedZoneId=self.zone)["ResourceRecordSets"]
        return [each for each in found if each["Type"] == "A"]

    def weighted(self, side: str, weight: int, **options: Any) -> dict[str, Any]:
        return self.record(SetIdentifier=side, Weight=weight, **options)

    def test_create_over_an_existing_record_is_refused(self) -> None:
        self.change(("CREATE", self.record()))
        self.refused("InvalidChangeBatch", self.change, ("CREATE", self.record("2.2.2.2")))
        self.change(("UPSERT", self.record("2.2.2.2")))
        self.assertEqual("2.2.2.2", self.records()[0]["ResourceRecords"][0]["Value"])

    def test_delete_must_match_exactly(self) -> None:
        self.change(("CREATE", self.record()))
        self.refused("InvalidChangeBatch", self.change, ("DELETE", self.record("2.2.2.2")))
        self.refused("InvalidChangeBatch", self.change, ("DELETE", self.record(TTL=61)))
        self.change(("DELETE", self.record()))
        self.assertEqual([], self.records())

    def test_a_batch_is_atomic(self) -> None:
        wrong = ("DELETE", self.record(name="no.example.com"))
        self.refused("InvalidChangeBatch", self.change, ("CREATE", self.record()), wrong)
        self.assertEqual([], self.records())

    def test_weighted_records(self) -> None:
        self.change(("CREATE", self.weighted("blue", 255)), ("CREATE", self.weighted("green", 0)))
        shown = {each["SetIdentifier"]: each["Weight"] for each in self.records()}
        self.assertEqual({"blue": 255, "green": 0}, shown)
        self.refused("InvalidInput", self.change, ("UPSERT", self.record(Weight=1)))
        self.refused("InvalidChangeBatch", self.change, ("CREATE", self.record()))
        self.refused("InvalidInput", self.change, ("UPSERT", self.weighted("blue", 256)))
        self.change(("DELETE", self.weighted("green", 0)))
        self.assertEqual(["blue"], [each["SetIdentifier"] for each in self.records()])

    def test_a_differing_ttl_replaces_that_of_all(self) -> None:
        self.change(("CREATE", self.weighted("blue", 1)), ("CREATE", self.weighted("green", 1)))
        self.change(("UPSERT", self.weighted("green", 1, TTL=30)))
        self.assertEqual([30, 30], [each["TTL"] for each in self.records()])

    def test_names_outside_the_zone_are_refused(self) -> None:
        self.refused("InvalidChangeBatch", self.change, ("CREATE", self.record(name="www.example.org")))

    def test_a_change_is_pending_until_in_sync(self) -> None:
        self.settings(insync_ms=60_000)
        info = self.change(("CREATE", self.record()))["ChangeInfo"]
        self.assertEqual(("PENDING", 1), (info["Status"], len(self.records())))
        self.advance(59_999)
        self.assertEqual("PENDING", self.dns.get_change(Id=info["Id"])["ChangeInfo"]["Status"])
        self.advance(1)
        self.assertEqual("INSYNC", self.dns.get_change(Id=info["Id"])["ChangeInfo"]["Status"])
        self.refused("NoSuchChange", self.dns.get_change, Id="C0000000000000")


class QuotaRules(EmulatorCase):
    def usage(self) -> list[list[float]]:
        dimensions = {"Service": "EC2", "Resource": "vCPU", "Type": "Resource", "Class": "Standard/OnDemand"}
        metric = {
            "Namespace": "AWS/Usage",
            "MetricName": "ResourceCount",
            "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        }
        answer = self.server.client("cloudwatch").get_metric_data(
            MetricDataQueries=[
                {"Id": "used", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Maximum"}},
                {"Id": "quota", "Expression": "SERVICE_QUOTA(used)"},
            ],
            StartTime=0,
            EndTime=600,
        )
        return [each["Values"] for each in answer["MetricDataResults"]]

    def test_launches_beyond_the_quota_fail_and_say_so(self) -> None:
        self.assertEqual([[], []], self.usage(), "without a quota nothing is known")
        self.settings(vcpu_quota=5)
        self.group(3)
        self.advance(1000)
        self.assertEqual(2, self.truth()["healthy"], "a t3.micro has two vCPUs")
        self.assertEqual([[4.0], [5.0]], sorted(self.usage()))
        activities = self.asg.describe_scaling_activities(AutoScalingGroupName="web")["Activities"]
        failed = [each["StatusMessage"] for each in activities if each["StatusCode"] == "Failed"]
        self.assertIn("vCPU limit of 5", failed[0])
        self.settings(vcpu_quota=6)
        self.advance(10_000)
        self.assertEqual(3, self.truth()["healthy"])


class BalancerRules(EmulatorCase):
    def ask(self, metric: str, stat: str) -> list[float]:
        query = {
            "Namespace": "AWS/ApplicationELB",
            "MetricName": metric,
            "Dimensions": [
                {"Name": "TargetGroup", "Value": "targetgroup/blue/1"},
                {"Name": "LoadBalancer", "Value": "app/shop/1"},
            ],
        }
        answer = self.server.client("cloudwatch").get_metric_data(
            MetricDataQueries=[{"Id": "m", "MetricStat": {"Metric": query, "Period": 60, "Stat": stat}}],
            StartTime=0,
            EndTime=600,
            ScanBy="TimestampAscending",
        )
        return answer["MetricDataResults"][0]["Values"]

    def test_a_minute_arrives_late_and_in_parts(self) -> None:
        now = self.server.call("GET", "clock")["now_ms"]
        part = {"target_group": "arn:1:targetgroup/blue/1", "at_ms": 61_000, "requests": 10, "errors": 2}
        slow = {**part, "at_ms": 119_000, "visible_ms": now + 1000, "seconds": [[0.1, 3], [2.0, 1]]}
        self.server.call("POST", "requests", [part, slow])
        self.assertEqual([10.0], self.ask("RequestCount", "Sum"))
        self.assertEqual([], self.ask("TargetResponseTime", "SampleCount"))
        self.advance(1000)
        self.assertEqual([20.0], self.ask("RequestCount", "Sum"))
        self.assertEqual([4.0], self.ask("HTTPCode_Target_5XX_Count", "Sum"))
        self.assertEqual([], self.ask("HTTPCode_Target_4XX_Count", "Sum"), "what was not counted has no data")
        self.assertEqual([75.0], self.ask("TargetResponseTime", "PR(:0.1024)"))


class RefreshRules(EmulatorCase):
    def start(self, version: str = "2", **preferences: Any) -> str:
        wanted = {"LaunchTemplate": {"LaunchTemplateName": "web-template", "Version": version}}
        preferences.setdefault("InstanceWarmup", 0)
        answer = self.asg.start_instance_refresh(
            AutoScalingGroupName="web", DesiredConfiguration=wanted, Preferences=preferences
        )
        return answer["InstanceRefreshId"]

    def status(self) -> str:
        found = self.asg.describe_instance_refreshes(AutoScalingGroupName="web")
        return found["InstanceRefreshes"][0]["Status"]

    def prepared(self, size: int = 4) -> None:
        self.settings(launch_ms=1000, terminate_ms=1000)
        self.group(size)
        self.advance(1000)
        self.new_version("web-template")

    def most_members(self) -> int:
        """How many members were launched and not terminated at the same time, at most."""
        now = most = 0
        for entry in self.log("launch", "terminate"):
            now += 1 if entry["kind"] == "launch" else -1
            most = max(most, now)
        return most

    def test_all_are_replaced_and_the_group_is_updated_at_success(self) -> None:
        self.prepared()
        self.start()
        self.advance(1500)
        self.assertEqual(("InProgress", "1"), (self.status(), self.describe()["LaunchTemplate"]["Version"]))
        self.advance(60_000)
        self.assertEqual("Successful", self.status())
        self.assertEqual((["2"] * 4, "2"), (self.versions(), self.describe()["LaunchTemplate"]["Version"]))

    def test_terminate_first_keeps_the_minimum_healthy(self) -> None:
        self.prepared()
        self.start(MinHealthyPercentage=50)
        self.advance(60_000)
        self.assertEqual("Successful", self.status())
        self.assertEqual(2, min(entry["healthy_after"] for entry in self.log("terminate")))
        self.assertEqual(4, self.most_members())

    def test_launch_first_never_lowers_capacity(self) -> None:
        self.prepared()
        self.start(MinHealthyPercentage=100, MaxHealthyPercentage=200)
        self.advance(60_000)
        self.assertEqual("Successful", self.status())
        self.assertEqual(4, min(entry["healthy_after"] for entry in self.log("terminate")))
        self.assertEqual(8, self.most_members())

    def test_one_refresh_at_a_time_and_cancelling(self) -> None:
        self.prepared()
        self.start()
        self.refused("InstanceRefreshInProgress", self.start)
        self.advance(1500)
        self.asg.cancel_instance_refresh(AutoScalingGroupName="web")
        self.advance(60_000)
        self.assertEqual("Cancelled", self.status())
        self.assertIn("1", self.versions())
        cancel = self.asg.cancel_instance_refresh
        self.refused("ActiveInstanceRefreshNotFound", cancel, AutoScalingGroupName="web")

    def test_rolling_back(self) -> None:
        self.prepared()
        self.start(MinHealthyPercentage=50)
        self.advance(1500)
        self.assertIn("2", self.versions())
        self.asg.rollback_instance_refresh(AutoScalingGroupName="web")
        self.assertEqual("RollbackInProgress", self.status())
        self.advance(60_000)
        self.assertEqual(("RollbackSuccessful", ["1"] * 4), (self.status(), self.versions()))

    def test_checkpoints_wait(self) -> None:
        self.prepared()
        self.start(MinHealthyPercentage=50, CheckpointPercentages=[50, 100], CheckpointDelay=600)
        self.advance(300_000)
        self.assertEqual(("InProgress", ["1", "1", "2", "2"]), (self.status(), self.versions()))
        self.advance(600_000)
        self.assertEqual(("Successful", ["2"] * 4), (self.status(), self.versions()))

    def test_skip_matching(self) -> None:
        self.prepared()
        before = sorted(ids(self.describe()))
        self.start("1", SkipMatching=True)
        self.advance(60_000)
        self.assertEqual(("Successful", before), (self.status(), sorted(ids(self.describe()))))
        self.start("1")
        self.advance(60_000)
        self.assertFalse(set(before) & set(ids(self.describe())), "else even matching ones are replaced")

    def test_an_alarm_rolls_back(self) -> None:
        self.prepared()
        watch = self.server.client("cloudwatch")
        watch.put_metric_alarm(
            AlarmName="errors", MetricName="m", Namespace="n", Period=60, EvaluationPeriods=1,
            Threshold=1, ComparisonOperator="GreaterThanThreshold", Statistic="Sum",
        )
        self.start(AlarmSpecification={"Alarms": ["errors"]}, AutoRollback=True)
        self.advance(2500)
        watch.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="test")
        self.advance(1000)
        self.assertEqual("RollbackInProgress", self.status())
        self.advance(60_000)
        self.assertEqual(("RollbackSuccessful", ["1"] * 4), (self.status(), self.versions()))

    def test_protected_instances_are_waited_for_an_hour(self) -> None:
        self.prepared(2)
        self.protect(ids(self.describe()))
        self.start()
        self.advance(3_599_000)
        self.assertEqual("InProgress", self.status())
        self.advance(2000)
        self.assertEqual(("Failed", ["1", "1"]), (self.status(), self.versions()))
        self.start(ScaleInProtectedInstances="Refresh")
        self.advance(60_000)
        self.assertEqual(("Successful", ["2", "2"]), (self.status(), self.versions()))


class FaultRules(EmulatorCase):
    def fault(self, kind: str, service: str = "autoscaling", action: str = "*", **options: Any) -> None:
        self.server.call("POST", "faults", [{"kind": kind, "service": service, "action": action, **options}])

    def test_throttling_is_worded_per_service(self) -> None:
        for service, call, code in (
            ("autoscaling", self.asg.describe_auto_scaling_groups, "Throttling"),
            ("ec2", self.ec2.describe_vpcs, "RequestLimitExceeded"),
            ("elbv2", self.elb.describe_target_groups, "Throttling"),
            ("route53", self.dns.list_hosted_zones, "Throttling"),
            ("s3", self.server.client("s3").list_buckets, "SlowDown"),
            ("sts", self.server.client("sts").get_caller_identity, "Throttling"),
        ):
            self.fault("throttle", service, times=1)
            self.refused(code, call)
            call()
        self.assertEqual(6, self.server.call("GET", "calls")["throttled"])

    def test_server_errors_and_codes(self) -> None:
        describe = self.asg.describe_auto_scaling_groups
        self.fault("error500")
        self.refused("InternalFailure", describe)
        self.fault("unavailable")
        self.refused("ServiceUnavailable", describe)
        self.fault("code", action="SetDesiredCapacity", code="ScalingActivityInProgress")
        describe()
        self.group(1)
        resize = self.asg.set_desired_capacity
        self.refused("ScalingActivityInProgress", resize, AutoScalingGroupName="web", DesiredCapacity=2)

    def test_a_lost_answer_is_executed_and_a_cut_call_is_not(self) -> None:
        self.group(1)
        self.fault("lost", action="UpdateAutoScalingGroup", times=1)
        with self.assertRaises(ConnectionClosedError):
            self.resize(2)
        self.assertEqual(2, self.describe()["DesiredCapacity"])
        self.fault("cut", action="UpdateAutoScalingGroup", times=1)
        with self.assertRaises(ConnectionClosedError):
            self.resize(3)
        self.assertEqual(2, self.describe()["DesiredCapacity"])

    def test_latency(self) -> None:
        self.fault("latency", latency_ms=200)
        start = time.monotonic()
        self.asg.describe_auto_scaling_groups()
        self.assertGreater(time.monotonic() - start, 0.2)

    def test_unknown_actions_are_refused(self) -> None:
        self.refused("InvalidAction", self.asg.describe_metric_collection_types)

    def test_unknown_groups_are_refused(self) -> None:
        self.refused("ValidationError", self.resize, 1, "none")
        self.refused("ValidationError", self.asg.describe_warm_pool, AutoScalingGroupName="none")

    def test_token_buckets(self) -> None:
        self.server.call("POST", "buckets", {"enforce": True})
        for _ in range(5):
            self.dns.list_hosted_zones()
        self.refused("Throttling", self.dns.list_hosted_zones)
        self.advance(200)
        self.dns.list_hosted_zones()
        self.refused("Throttling", self.dns.list_hosted_zones)
        self.ec2.describe_vpcs()
        calls = self.server.call("GET", "calls")
        self.assertEqual((8, 2), (calls["by_action"]["route53:ListHostedZones"], calls["throttled"]))


class ControlRules(EmulatorCase):
    def test_ground_truth_and_log(self) -> None:
        self.settings(launch_ms=1000)
        self.group(2, MaxSize=4)
        self.advance(1000)
        truth = self.truth()
        self.assertEqual(({"min": 0, "desired": 2, "max": 4}, 2), (truth["sizes"], truth["healthy"]))
        kinds = [(entry["kind"], entry["healthy_after"]) for entry in self.log()]
        self.assertEqual(
            [("sizes", 0), ("launch", 0), ("launch", 0), ("in_service", 1), ("in_service", 2), ("healthy", 2), ("healthy", 2)],
            kinds,
        )

    def test_forgetting_a_group(self) -> None:
        self.group(2)
        self.server.call("POST", "forget", {"group": "web"})
        self.assertIsNone(self.describe())
        self.assertEqual([], self.ec2.describe_instances()["Reservations"])

    def test_a_scheduled_action(self) -> None:
        self.group(2, MaxSize=4)
        event = {"kind": "scheduled", "group": "web", "min": 3, "desired": 3, "max": 3}
        self.assertTrue(self.server.call("POST", "event", event)["acted"])
        self.assertEqual(3, len(self.describe()["Instances"]))
        self.suspend("ScheduledActions")
        self.assertFalse(self.server.call("POST", "event", event)["acted"])

    def test_wrong_control_calls_are_refused(self) -> None:
        for path, body in (("settings", {"bogus": 1}), ("event", {"group": "none", "kind": "alarm"})):
            with self.assertRaises(urllib.error.HTTPError) as caught:
                self.server.call("POST", path, body)
            caught.exception.close()

    def test_accounts_and_regions_are_apart(self) -> None:
        self.group(1)
        sts = self.server.client("sts")
        role = sts.assume_role(RoleArn="arn:aws:iam::222222222222:role/deploy", RoleSessionName="test")["Credentials"]
        import boto3

        other = boto3.client(
            "autoscaling", endpoint_url=self.server.endpoint, region_name="us-east-1",
            aws_access_key_id=role["AccessKeyId"], aws_secret_access_key=role["SecretAccessKey"],
            aws_session_token=role["SessionToken"],
        )
        self.assertEqual([], other.describe_auto_scaling_groups()["AutoScalingGroups"])
