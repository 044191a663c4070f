"""EC2 rules: launch template versions, images, and what reaches the groups."""

from __future__ import annotations

import copy
from collections import deque
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ec2.exceptions import InvalidInstanceIdError, InvalidLaunchTemplateVersionNotFound
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.models.launch_templates import LaunchTemplate
from moto.ec2.responses.amis import AmisResponse
from moto.ec2.responses.launch_templates import LaunchTemplates
from moto.ec2.utils import convert_tag_spec, filter_reservations, parse_user_data

from world import WORLD, override

VISIBLE_MS = 3_600_000


class IdempotentParameterMismatch(ServiceException):
    code = "IdempotentParameterMismatch"
    message = "The client token was used before with other parameters."


class InvalidNextToken(ServiceException):
    code = "InvalidNextToken"
    message = "The token is not valid."


class DuplicateImageName(ServiceException):
    code = "InvalidAMIName.Duplicate"


_moto_create_template = LaunchTemplates.create_launch_template
_moto_describe_images = AmisResponse.describe_images


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

    def describe_launch_templates(self: Any) -> ActionResult:
        # Source: API reference "DescribeLaunchTemplates", read 2026-11. moto drops all beyond 15.
        self.error_on_dryrun()
        found = self.ec2_backend.describe_launch_templates(
            template_names=self._get_param("LaunchTemplateNames", []),
            template_ids=self._get_param("LaunchTemplateIds", []),
            filters=self._filters_from_querystring(),
        )
        page, following = page_of(self, found)
        templates = [
            {
                "CreateTime": template.create_time,
                "CreatedBy": f"arn:{self.partition}:iam::{self.current_account}:root",
                "DefaultVersionNumber": template.default_version_number,
                "LatestVersionNumber": template.latest_version_number,
                "LaunchTemplateId": template.id,
                "LaunchTemplateName": template.name,
                "Tags": template.tags,
            }
            for template in page
        ]
        return ActionResult({"LaunchTemplates": templates, "NextToken": following})

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
        page, following = page_of(self, found)
        versions = [describe_version(self, template, version) for template, version in page]
        return ActionResult({"LaunchTemplateVersions": versions, "NextToken": following})


def page_of(response: Any, found: list[Any], most: int = 200) -> tuple[list[Any], str | None]:
    """The page that MaxResults and NextToken ask for, and the token of the next one."""
    size = response._get_int_param("MaxResults", most)
    if not 1 <= size <= most:
        raise ServiceException("InvalidParameterValue", f"MaxResults must be between 1 and {most}")
    # A page may have fewer. Source: "Using pagination", Amazon EC2 API reference, read 2026-11.
    size = min(size, WORLD.settings.page_max or size)
    token = response._get_param("NextToken")
    if token is not None and not token.isdigit():
        raise InvalidNextToken()
    start = int(token or 0)
    following = str(start + size) if start + size < len(found) else None
    return found[start : start + size], following


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
        image.root_device_name = self._get_param("RootDeviceName") or image.root_device_name
        image.add_tags(self._parse_tag_specification().get("image", {}))
        return ActionResult({"ImageId": image.id})

    def describe_images(self: Any) -> ActionResult:
        images = list(_moto_describe_images(self).result["Images"])
        page, following = page_of(self, images, 1000)
        return ActionResult({"Images": page, "NextToken": following})


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
    """Tells the groups what happens to their instances, and finds instances quickly.

    moto searches all instances at every launch and termination; here there is an index.
    """

    stop_instances = _waking("stop_instances")
    start_instances = _waking("start_instances")
    terminate_instances = _waking("terminate_instances")

    def get_instance_by_id(self: Any, instance_id: str) -> Any | None:
        reservation = reservation_of(self, instance_id)
        if reservation is None:
            return None
        return next(each for each in reservation.instances if each.id == instance_id)

    def get_instance(self: Any, instance_id: str) -> Any:
        instance = self.get_instance_by_id(instance_id)
        if instance is None:
            raise InvalidInstanceIdError(instance_id)
        return instance

    def get_multi_instances_by_id(self: Any, instance_ids: list[str], filters: Any = None) -> list[Any]:
        found = {instance_id: self.get_instance_by_id(instance_id) for instance_id in instance_ids}
        if missing := [instance_id for instance_id, instance in found.items() if instance is None]:
            raise InvalidInstanceIdError(missing)
        return [found[instance_id] for instance_id in instance_ids if found[instance_id].applies(filters)]

    def get_reservations_by_instance_ids(self: Any, instance_ids: list[str], filters: Any = None) -> list[Any]:
        self.get_multi_instances_by_id(instance_ids)
        chosen = {}
        for instance_id in instance_ids:
            reservation = reservation_of(self, instance_id)
            chosen[reservation.id] = copy.copy(reservation)
        for reservation in chosen.values():
            reservation.instances = [each for each in reservation.instances if each.id in instance_ids]
        found = list(chosen.values())
        return filter_reservations(found, filters) if filters is not None else found


def reservation_of(backend: Any, instance_id: str) -> Any | None:
    """The reservation with the instance; the newest are searched first, and then remembered."""
    index = backend.__dict__.setdefault("reservation_index", {})
    if instance_id not in index:
        for reservation in reversed(backend.reservations.values()):
            if any(instance.id == instance_id for instance in reservation.instances):
                index[instance_id] = reservation
                break
    return index.get(instance_id)


def forget_instances(backend: Any, instance_ids: set[str]) -> None:
    """Drops instances from moto's memory, so that it does not grow for ever."""
    index = backend.__dict__.setdefault("reservation_index", {})
    for instance_id in instance_ids:
        reservation = reservation_of(backend, instance_id)
        index.pop(instance_id, None)
        if reservation is None:
            continue
        reservation.instances = [each for each in reservation.instances if each.id != instance_id]
        if not reservation.instances:
            backend.reservations.pop(reservation.id, None)


def note_terminated(backend: Any, instance_id: str) -> None:
    """A terminated instance stays visible for an hour, and is then forgotten."""
    # Source: "Terminate Amazon EC2 instances", read 2026-11: "remains visible in the console for
    # a short period".
    ended = backend.__dict__.setdefault("ended_instances", deque())
    now = WORLD.clock.now_ms()
    ended.append((now, instance_id))
    while ended and ended[0][0] < now - VISIBLE_MS:
        forget_instances(backend, {ended.popleft()[1]})


def install() -> None:
    override(LaunchTemplates, TemplateActions)
    override(LaunchTemplate, TemplateModel)
    override(AmisResponse, ImageActions)
    override(InstanceBackend, InstanceModel)
