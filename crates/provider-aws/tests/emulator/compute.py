"""EC2 rules: launch template versions, images, and what reaches the groups."""

from __future__ import annotations

import copy
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ec2.exceptions import InvalidLaunchTemplateVersionNotFound
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.models.launch_templates import LaunchTemplate
from moto.ec2.responses.amis import AmisResponse
from moto.ec2.responses.launch_templates import LaunchTemplates
from moto.ec2.utils import convert_tag_spec, parse_user_data

from world import WORLD, override


class IdempotentParameterMismatch(ServiceException):
    code = "IdempotentParameterMismatch"
    message = "The client token was used before with other parameters."


class InvalidNextToken(ServiceException):
    code = "InvalidNextToken"
    message = "The token is not valid."


class DuplicateImageName(ServiceException):
    code = "InvalidAMIName.Duplicate"


_moto_create_template = LaunchTemplates.create_launch_template


def template_of(response: Any) -> Any:
    name = response._get_param("LaunchTemplateName")
    if name:
        return response.ec2_backend.get_launch_template_by_name(name)
    return response.ec2_backend.get_launch_template(response._get_param("LaunchTemplateId"))


def describe_version(response: Any, template: Any, version: Any) -> dict[str, Any]:
    return {
        "CreateTime": version.create_time,
        "CreatedBy": f"arn:{response.partition}:iam::{response.current_account}:root",
        "DefaultVersion": template.is_default(version),
        "LaunchTemplateData": version.data,
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "VersionDescription": version.description,
        "VersionNumber": version.number,
    }


class TemplateActions:
    """Takes the place of the same actions of moto; `self` is moto's response object."""

    def create_launch_template(self: Any) -> ActionResult:
        key = (self.current_account, self.region, "template", self._get_param("ClientToken"))
        if key[-1] and key in WORLD.version_tokens:
            return WORLD.version_tokens[key]
        result = _moto_create_template(self)
        if key[-1]:
            WORLD.version_tokens[key] = result
        return result

    def create_launch_template_version(self: Any) -> ActionResult:
        # Source: API reference "CreateLaunchTemplateVersion", read 2026-11: a version based on
        # SourceVersion inherits what is not given; the same ClientToken makes no second version.
        template = template_of(self)
        data = self._get_param("LaunchTemplateData", {})
        source, token = self._get_param("SourceVersion"), self._get_param("ClientToken")
        description = self._get_param("VersionDescription")
        self.error_on_dryrun()
        key = (self.current_account, self.region, template.id, token)
        asked = (copy.deepcopy(data), source, description)
        if token and key in WORLD.version_tokens:
            version, before = WORLD.version_tokens[key]
            if before != asked:
                raise IdempotentParameterMismatch()
            return ActionResult({"LaunchTemplateVersion": describe_version(self, template, version)})
        if "UserData" in data:
            data["UserData"] = parse_user_data(data["UserData"])
        if source:
            data = {**copy.deepcopy(template.get_version(source).data), **data}
        version = template.create_version(data, description)
        version.instance_tags = convert_tag_spec(data.get("TagSpecifications", [])).get("instance", {})
        if token:
            WORLD.version_tokens[key] = (version, asked)
        return ActionResult({"LaunchTemplateVersion": describe_version(self, template, version)})

    def describe_launch_template_versions(self: Any) -> ActionResult:
        # Source: API reference "DescribeLaunchTemplateVersions", read 2026-11.
        self.error_on_dryrun()
        found = self.ec2_backend.describe_launch_template_versions(
            template_name=self._get_param("LaunchTemplateName"),
            template_id=self._get_param("LaunchTemplateId"),
            versions=self._get_param("Versions", []),
            min_version=self._get_int_param("MinVersion"),
            max_version=self._get_int_param("MaxVersion"),
            max_results=1_000_000,
        )
        for name, values in (self._filters_from_querystring() or {}).items():
            found = [pair for pair in found if passes_filter(name, values, *pair)]
        size = self._get_int_param("MaxResults", 200)
        if not 1 <= size <= 200:
            raise ServiceException("InvalidParameterValue", "MaxResults must be between 1 and 200")
        token = self._get_param("NextToken")
        if token is not None and not token.isdigit():
            raise InvalidNextToken()
        start = int(token or 0)
        page = found[start : start + size]
        following = str(start + size) if start + size < len(found) else None
        versions = [describe_version(self, template, version) for template, version in page]
        return ActionResult({"LaunchTemplateVersions": versions, "NextToken": following})


def passes_filter(name: str, values: list[str], template: Any, version: Any) -> bool:
    if name == "is-default-version":
        return str(template.is_default(version)).lower() in values
    fields = {
        "image-id": "ImageId",
        "instance-type": "InstanceType",
        "kernel-id": "KernelId",
        "ram-disk-id": "RamDiskId",
        "ebs-optimized": "EbsOptimized",
        "iam-instance-profile": "IamInstanceProfile",
    }
    if name not in fields:
        raise ServiceException("InvalidParameterValue", f"The filter '{name}' is invalid")
    return str(version.data.get(fields[name], "")) in values


class TemplateModel:
    """Takes the place of the same methods of moto's launch template."""

    def get_version(self: Any, num: Any) -> Any:
        """A version by number, `$Latest` or `$Default`; an unknown one is refused."""
        text = str(num)
        if text.lower() == "$latest":
            return self.versions[-1]
        if text.lower() == "$default":
            return self.versions[self.default_version_number - 1]
        if text.isdigit() and 1 <= int(text) <= len(self.versions):
            return self.versions[int(text) - 1]
        raise InvalidLaunchTemplateVersionNotFound(template_id=self.id, version=text)


class ImageActions:
    """Takes the place of the same actions of moto."""

    def register_image(self: Any) -> ActionResult:
        # Names are unique in an account. Source: API reference "RegisterImage", read 2026-11.
        name = self._get_param("Name")
        self.error_on_dryrun()
        for image in self.ec2_backend.amis.values():
            if image.name == name:
                raise DuplicateImageName(f"AMI name {name} is already in use by AMI {image.id}")
        image = self.ec2_backend.register_image(name, self._get_param("Description", ""))
        image.creation_date = WORLD.clock.now()
        image.owner_id = self.current_account
        image.add_tags(self._parse_tag_specification().get("image", {}))
        return ActionResult({"ImageId": image.id})


def _waking(name: str) -> Any:
    original = getattr(InstanceBackend, name)

    def waking(self: Any, instance_ids: list[str], *args: Any, **kwargs: Any) -> Any:
        result = original(self, instance_ids, *args, **kwargs)
        for instance_id in instance_ids:
            instance = WORLD.instances.get(instance_id)
            group = getattr(instance, "autoscaling_group", None)
            if group is not None:
                group.engine.wake()
        return result

    return waking


class InstanceModel:
    """Tells the groups when one of their instances is stopped, started or terminated."""

    stop_instances = _waking("stop_instances")
    start_instances = _waking("start_instances")
    terminate_instances = _waking("terminate_instances")


def forget_instances(ec2_backend: Any, instance_ids: set[str]) -> None:
    """Drops instances from moto's memory, so that searches stay quick."""
    for reservation_id, reservation in list(ec2_backend.reservations.items()):
        reservation.instances = [each for each in reservation.instances if each.id not in instance_ids]
        if not reservation.instances:
            del ec2_backend.reservations[reservation_id]


def install() -> None:
    override(LaunchTemplates, TemplateActions)
    override(LaunchTemplate, TemplateModel)
    override(AmisResponse, ImageActions)
    override(InstanceBackend, InstanceModel)
