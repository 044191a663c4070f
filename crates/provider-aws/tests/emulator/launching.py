"""How a group launches an instance: from which template, in which zone, and what can fail."""

from __future__ import annotations

from typing import Any

from moto.autoscaling.models import ASG_NAME_TAG
from moto.core.exceptions import ServiceException

from member import Member
from quotas import check_quota
from selection import choose_zone
from world import WORLD

LAUNCH_HOOK = "autoscaling:EC2_INSTANCE_LAUNCHING"


def check_image(ec2_backend: Any, image_id: str) -> None:
    """Refuses an image that does not exist or is not available."""
    if not WORLD.settings.check_images:
        return
    image = ec2_backend.amis.get(image_id)
    if image is None:
        raise ServiceException("ValidationError", f"The image id '[{image_id}]' does not exist.")
    if image.state != "available":
        raise ServiceException("ValidationError", f"The image id '[{image_id}]' is not available.")


class Launching:
    """The part of a group's engine that launches instances."""

    group: Any
    members: list[Member]
    counted: list[Member]
    retry_ms: int
    launched: list[str]

    def launch_source(self) -> tuple[Any, int | None]:
        """The template and version number that the next instance comes from."""
        if self.refresh is not None:
            return self.refresh.launch_source()
        template = self.group.ec2_launch_template
        if template is None:
            return None, None
        return template, template.get_version(self.group.launch_template_version).number

    def launch(self, zone: str | None = None) -> Member | None:
        """Launches one instance in the emptiest zone; a failure becomes a Failed activity."""
        group, now = self.group, WORLD.clock.now_ms()
        if now < self.retry_ms:
            return None
        subnets = self.subnets()
        zone = zone or choose_zone(subnets or group.availability_zones, self.counted)
        template, number = self.launch_source()
        source = template.get_version(number) if template is not None else group.launch_config
        try:
            check_image(group.ec2_backend, source.image_id)
            check_quota(group.ec2_backend, source.instance_type)
            instance = self._run(source, template, number, zone, subnets.get(zone))
        except ServiceException as error:
            self.retry_ms = now + WORLD.settings.retry_launch_ms
            self.add_activity(
                "Launching a new EC2 instance.",
                "an instance was started in response to a difference between desired and actual capacity.",
                "Failed",
                100,
                f"{error.message} Launching EC2 instance failed.",
            )
            return None
        member = Member(self, instance, "Pending")
        if template is not None:
            member.used_template = {
                "LaunchTemplateId": template.id,
                "LaunchTemplateName": template.name,
                "Version": str(number),
            }
        else:
            member.used_configuration = group.launch_configuration_name
        spread = WORLD.settings.launch_spread_ms
        member.ready_ms = now + WORLD.settings.launch_ms + (WORLD.random.randint(0, spread) if spread else 0)
        self._start_hooks(member, LAUNCH_HOOK, "Pending:Wait", "Pending")
        self.members.append(member)
        WORLD.instances[member.instance_id] = instance
        self.launched.append(member.instance_id)
        member.start_activity(
            f"Launching a new EC2 instance: {member.instance_id}",
            "an instance was started in response to a difference between desired and actual capacity.",
        )
        self.log("launch", member)
        return member

    def subnets(self) -> dict[str, str]:
        """Zone to subnet of the group."""
        ids = self.group.vpc_zone_identifier
        if ids != self._subnets[0]:
            found = self.group.ec2_backend.describe_subnets(subnet_ids=ids.split(",")) if ids else []
            self._subnets = (ids, {subnet.availability_zone: subnet.id for subnet in found})
        return self._subnets[1]

    def _run(self, source: Any, template: Any, number: int | None, zone: str, subnet: str | None) -> Any:
        group = self.group
        data = getattr(source, "data", {})
        tags = group.get_propagated_tags()
        tags[ASG_NAME_TAG] = group.name
        tags.update(getattr(source, "instance_tags", {}))
        if template is not None:
            # Everything is taken from the template here: moto, given the template, compares the
            # instance type with all that exist, which takes longer than the rest of the launch.
            tags["aws:ec2launchtemplate:id"] = template.id
            tags["aws:ec2launchtemplate:version"] = str(number)
        configuration = group.launch_config if template is None else None
        reservation = group.ec2_backend.run_instances(
            source.image_id,
            1,
            source.user_data,
            source.security_groups,
            instance_type=source.instance_type,
            is_instance_type_default=True,
            key_name=data.get("KeyName"),
            security_group_ids=list(data.get("SecurityGroupIds", [])),
            tags={"instance": tags},
            placement=zone,
            launch_config=configuration,
            associate_public_ip=getattr(configuration, "associate_public_ip_address", None),
            subnet_id=subnet,
        )
        return reservation.instances[0]
