"""The documented rules on health, single instances, hooks, and targets, one test each."""

from __future__ import annotations

from harness import EmulatorCase, forward, ids


class HealthRules(EmulatorCase):
    def test_an_unhealthy_instance_is_replaced(self) -> None:
        one = ids(self.group(2))[0]
        self.asg.set_instance_health(InstanceId=one, HealthStatus="Unhealthy")
        self.assertNotIn(one, ids(self.describe()))
        self.assertEqual(2, len(self.describe()["Instances"]))

    def test_a_terminated_instance_is_replaced(self) -> None:
        one = ids(self.group(2))[0]
        self.ec2.terminate_instances(InstanceIds=[one])
        self.assertNotIn(one, ids(self.describe()))
        self.assertEqual(2, len(self.describe()["Instances"]))

    def test_a_stopped_instance_is_replaced_even_in_the_grace_period(self) -> None:
        one = ids(self.group(2, HealthCheckGracePeriod=600))[0]
        self.ec2.stop_instances(InstanceIds=[one])
        self.assertNotIn(one, ids(self.describe()))

    def test_broken_instances_are_replaced_after_the_grace_period_with_elb_checks(self) -> None:
        blue = self.target_group()
        self.listener((blue, 1))
        image = self.image()
        self.server.call("POST", "behaviour", {"image_id": image, "behaviour": "broken"})
        template = {"LaunchTemplateName": self.template("web-template", ImageId=image)}
        options = {"TargetGroupARNs": [blue], "HealthCheckType": "ELB", "HealthCheckGracePeriod": 30}
        one = ids(self.group(1, LaunchTemplate=template, **options))
        self.advance(29_999)
        self.assertEqual((one, 0), (ids(self.describe()), self.truth()["healthy"]))
        self.advance(2)
        self.assertNotEqual(one, ids(self.describe()))
        self.assertEqual("health", self.log("terminate")[0]["cause"])

    def test_fading_instances_turn_unhealthy(self) -> None:
        blue = self.target_group()
        self.listener((blue, 1))
        self.server.call(
            "POST", "behaviour", {"user_data_contains": "leaky", "behaviour": "fades", "after_ms": 5000}
        )
        template = {"LaunchTemplateName": self.template("web-template", UserData="bGVha3k=")}
        self.group(1, LaunchTemplate=template, TargetGroupARNs=[blue])
        self.assertEqual(["healthy"], self.health(blue))
        self.advance(5000)
        self.assertEqual(["unhealthy"], self.health(blue))
        self.assertEqual(1, len(self.log("unhealthy")))

    def test_a_spot_loss_is_replaced(self) -> None:
        self.group(2)
        lost = self.server.call("POST", "event", {"kind": "spot_loss", "group": "web"})["instance"]
        self.assertEqual((2, 1), (len(self.describe()["Instances"]), len(self.log("lost"))))
        self.assertNotIn(lost, ids(self.describe()))


class InstanceRules(EmulatorCase):
    def end(self, instance: str, decrement: bool) -> None:
        self.asg.terminate_instance_in_auto_scaling_group(
            InstanceId=instance, ShouldDecrementDesiredCapacity=decrement
        )

    def test_terminate_with_and_without_decrement(self) -> None:
        group = self.group(3)
        self.end(ids(group)[0], False)
        self.assertEqual(3, len(self.describe()["Instances"]))
        self.end(ids(group)[1], True)
        self.assertEqual((2, 2), (self.describe()["DesiredCapacity"], len(self.describe()["Instances"])))

    def test_decrement_below_the_minimum_is_refused(self) -> None:
        group = self.group(2, MinSize=2)
        self.refused("ValidationError", self.end, ids(group)[0], True)

    def test_protection_does_not_help_against_it(self) -> None:
        one = ids(self.group(1))
        self.protect(one)
        self.end(one[0], False)
        self.assertNotEqual(one, ids(self.describe()))

    def test_standby_leaves_the_target_group_and_comes_back(self) -> None:
        blue = self.target_group()
        self.listener((blue, 1))
        one = ids(self.group(2, TargetGroupARNs=[blue]))[:1]
        self.asg.enter_standby(AutoScalingGroupName="web", InstanceIds=one, ShouldDecrementDesiredCapacity=True)
        self.assertEqual(["healthy"], self.health(blue))
        self.assertEqual((1, 2), (self.describe()["DesiredCapacity"], len(self.describe()["Instances"])))
        self.asg.exit_standby(AutoScalingGroupName="web", InstanceIds=one)
        self.assertEqual(["healthy", "healthy"], self.health(blue))
        self.assertEqual(2, self.describe()["DesiredCapacity"])

    def hook(self, transition: str, **options: object) -> None:
        self.asg.put_lifecycle_hook(
            LifecycleHookName="hook", AutoScalingGroupName="web",
            LifecycleTransition=f"autoscaling:EC2_INSTANCE_{transition}", **options,
        )

    def states(self) -> list[str]:
        return [each["LifecycleState"] for each in self.describe()["Instances"]]

    def complete(self, instance: str, result: str) -> None:
        self.asg.complete_lifecycle_action(
            LifecycleHookName="hook", AutoScalingGroupName="web", InstanceId=instance, LifecycleActionResult=result
        )

    def test_a_launching_hook_waits_for_its_completion(self) -> None:
        self.group(0)
        self.hook("LAUNCHING", HeartbeatTimeout=60)
        self.resize(1)
        self.assertEqual(["Pending:Wait"], self.states())
        self.complete(ids(self.describe())[0], "CONTINUE")
        self.assertEqual(["InService"], self.states())

    def test_an_abandoned_launch_is_replaced_at_the_timeout(self) -> None:
        self.group(0)
        self.hook("LAUNCHING", HeartbeatTimeout=60)
        self.resize(1)
        one = ids(self.describe())
        self.advance(60_000)
        self.assertNotEqual(one, ids(self.describe()))
        self.assertEqual(["Pending:Wait"], self.states())

    def test_a_heartbeat_restarts_the_timeout(self) -> None:
        self.group(0)
        self.hook("LAUNCHING", HeartbeatTimeout=60, DefaultResult="CONTINUE")
        self.resize(1)
        self.advance(50_000)
        self.asg.record_lifecycle_action_heartbeat(
            LifecycleHookName="hook", AutoScalingGroupName="web", InstanceId=ids(self.describe())[0]
        )
        self.advance(50_000)
        self.assertEqual(["Pending:Wait"], self.states())
        self.advance(10_000)
        self.assertEqual(["InService"], self.states())

    def test_a_terminating_hook_waits(self) -> None:
        self.group(1)
        self.hook("TERMINATING", HeartbeatTimeout=60)
        self.resize(0)
        self.assertEqual(["Terminating:Wait"], self.states())
        self.complete(ids(self.describe())[0], "CONTINUE")
        self.assertEqual([], self.states())


class TargetRules(EmulatorCase):
    def test_health_and_draining_take_their_time(self) -> None:
        self.settings(healthy_ms=3000, drain_ms=2000)
        blue = self.target_group()
        self.listener((blue, 1))
        self.group(1, TargetGroupARNs=[blue])
        self.assertEqual(["initial"], self.health(blue))
        self.advance(3000)
        self.assertEqual(["healthy"], self.health(blue))
        self.resize(0)
        self.assertEqual(["draining"], self.health(blue))
        self.advance(1999)
        self.assertEqual(1, len(self.describe()["Instances"]), "the group waits for the draining")
        self.advance(1)
        self.assertEqual(([], []), (self.health(blue), self.describe()["Instances"]))

    def test_a_target_group_without_listener_is_unused(self) -> None:
        blue = self.target_group()
        self.group(1, TargetGroupARNs=[blue])
        self.assertEqual(["unused"], self.health(blue))
        self.listener((blue, 1))
        self.assertEqual(["healthy"], self.health(blue))

    def test_targets_of_terminated_instances_vanish(self) -> None:
        blue = self.target_group()
        self.listener((blue, 1))
        self.group(3, TargetGroupARNs=[blue])
        self.resize(1)
        self.assertEqual(["healthy"], self.health(blue))

    def test_weights_and_target_groups_are_checked(self) -> None:
        vpc, _ = self.network()
        groups = [self.target_group(f"t{number}", vpc) for number in range(6)]
        listener = self.listener((groups[0], 1))
        modify = self.elb.modify_listener
        self.refused("ValidationError", modify, ListenerArn=listener, DefaultActions=forward((groups[0], 1000)))
        many = forward(*((arn, 1) for arn in groups))
        self.refused("ValidationError", modify, ListenerArn=listener, DefaultActions=many)
        unknown = forward((groups[0].replace("t0", "zz"), 1))
        self.refused("TargetGroupNotFound", modify, ListenerArn=listener, DefaultActions=unknown)

    def test_weights_come_into_effect_in_time(self) -> None:
        self.settings(traffic_ms=1000)
        vpc, _ = self.network()
        blue, green = self.target_group("blue", vpc), self.target_group("green", vpc)
        listener = self.listener((blue, 1))
        self.elb.modify_listener(ListenerArn=listener, DefaultActions=forward((blue, 0), (green, 999)))
        shown = self.elb.describe_listeners(ListenerArns=[listener])["Listeners"][0]["DefaultActions"]
        self.assertEqual(999, shown[0]["ForwardConfig"]["TargetGroups"][1]["Weight"])
        self.assertEqual({blue: 1}, self.server.call("GET", "traffic", listener=listener)["weights"])
        self.advance(1000)
        self.assertEqual({blue: 0, green: 999}, self.server.call("GET", "traffic", listener=listener)["weights"])
