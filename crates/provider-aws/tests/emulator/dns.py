"""Route 53 rules: atomic batches, weighted records, and changes that take time."""

from __future__ import annotations

import string
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.route53.exceptions import InvalidInput
from moto.route53.models import RecordSet
from moto.route53.responses import Route53

from clock import from_ms
from world import WORLD, override

MAX_WEIGHT = 255
MAX_ELEMENTS = 1000
MAX_PAGE = 300
ROUTING_FIELDS = ("Weight", "Region", "Failover", "GeoLocation", "MultiValueAnswer")


class InvalidChangeBatch(ServiceException):
    code = "InvalidChangeBatch"


class NoSuchChange(ServiceException):
    code = "NoSuchChange"


Key = tuple[str, str, str | None]


def full_name(name: str) -> str:
    return name.lower().rstrip(".") + "."


def wording(record: dict[str, Any]) -> str:
    return (
        f"[name='{full_name(record['Name'])}', type='{record['Type']}', "
        f"set identifier='{record.get('SetIdentifier')}']"
    )


def check_record(record: dict[str, Any], zone_name: str) -> None:
    """The rules that a record has to keep by itself."""
    # Source: API reference "ResourceRecordSet" and "Values specific for weighted records",
    # read 2026-11.
    name, weight = full_name(record["Name"]), record.get("Weight")
    zone = full_name(zone_name)
    if name != zone and not name.endswith("." + zone):
        raise InvalidChangeBatch(
            f"RRSet with DNS name {name} is not permitted in zone {zone}"
        )
    if weight is not None and not 0 <= int(weight) <= MAX_WEIGHT:
        raise InvalidInput(f"Weight {weight} must be between 0 and {MAX_WEIGHT}")
    routed = any(record.get(field) is not None for field in ROUTING_FIELDS)
    if routed and not record.get("SetIdentifier"):
        raise InvalidInput(f"Invalid request: Missing field 'SetIdentifier' in Change with {wording(record)}")
    if record.get("SetIdentifier") and not routed:
        raise InvalidInput(f"Invalid request: Missing routing policy beside 'SetIdentifier' in Change with {wording(record)}")
    simple = bool(record.get("ResourceRecords")) and record.get("TTL") is not None
    if simple == bool(record.get("AliasTarget")) or (record.get("AliasTarget") and record.get("TTL") is not None):
        raise InvalidInput(
            "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or "
            f"TrafficPolicyInstanceId] in Change with {wording(record)}"
        )


def content_of(record: RecordSet) -> dict[str, Any]:
    """What a DELETE must repeat."""
    alias = record.alias_target
    return {
        "ttl": int(record.ttl) if record.ttl is not None else None,
        "values": sorted(record.records or []),
        "weight": int(record.weight) if record.weight is not None else None,
        "region": record.region,
        "failover": record.failover,
        "health": record.health_check_id,
        "alias": (
            (alias["HostedZoneId"], full_name(alias["DNSName"]), str(alias.get("EvaluateTargetHealth")).lower())
            if alias
            else None
        ),
    }


def record_of(record: dict[str, Any]) -> RecordSet:
    stored = dict(record)
    stored["Name"] = full_name(record["Name"])
    stored["ResourceRecords"] = [each["Value"] for each in record.get("ResourceRecords") or []]
    return RecordSet(stored)


def key_of(record: RecordSet) -> Key:
    return (full_name(record.name), record.type, record.set_identifier)


def apply_batch(records: list[RecordSet], changes: list[dict[str, Any]], zone_name: str) -> list[RecordSet]:
    """The records after the batch; a wrong change makes the whole batch fail."""
    # "If any of the changes in the batch can't be made, none of them are." Source: API reference
    # "ChangeResourceRecordSets", read 2026-11. UPSERT counts twice.
    elements = sum(
        len(change["ResourceRecordSet"].get("ResourceRecords") or []) * (2 if change["Action"] == "UPSERT" else 1)
        for change in changes
    )
    if elements > MAX_ELEMENTS:
        raise InvalidChangeBatch(f"Number of records limit of {MAX_ELEMENTS} exceeded.")
    after = {key_of(record): record for record in records}
    for change in changes:
        action, wanted = change["Action"], change["ResourceRecordSet"]
        check_record(wanted, zone_name)
        record = record_of(wanted)
        key = key_of(record)
        if action == "CREATE" and key in after:
            raise InvalidChangeBatch(f"Tried to create resource record set {wording(wanted)} but it already exists")
        if action == "DELETE":
            if key not in after:
                raise InvalidChangeBatch(f"Tried to delete resource record set {wording(wanted)} but it was not found")
            if content_of(after[key]) != content_of(record):
                raise InvalidChangeBatch(
                    f"Tried to delete resource record set {wording(wanted)} but the values provided do not match the current values"
                )
            del after[key]
            continue
        if action not in ("CREATE", "UPSERT"):
            raise InvalidInput(f"Value '{action}' is not facet-valid with respect to enumeration '[CREATE, DELETE, UPSERT]'.")
        after[key] = record
        check_siblings(record, after)
    return list(after.values())


def check_siblings(record: RecordSet, after: dict[Key, RecordSet]) -> None:
    """Records of one name and type: no mixing of routing policies, and one TTL for all."""
    # Source: "Values specific for weighted records", read 2026-11: "you can't create non-weighted
    # records that have the same values for Record name and Record type"; a differing TTL of a
    # later record replaces that of all.
    for other in after.values():
        if other is record or (full_name(other.name), other.type) != (full_name(record.name), record.type):
            continue
        for attribute in ("weight", "region", "failover", "geo_location", "multi_value_answer"):
            if (getattr(other, attribute) is None) != (getattr(record, attribute) is None):
                raise InvalidChangeBatch(
                    f"RRSet with DNS name {full_name(record.name)}, type {record.type}, SetIdentifier {record.set_identifier} "
                    "cannot be created as a non-matching routing policy exists for the same name and type"
                )
        if record.ttl is not None and other.ttl is not None:
            other.ttl = record.ttl


def new_change() -> dict[str, Any]:
    """A change that is PENDING until it has reached all name servers."""
    letters = string.ascii_uppercase + string.digits
    change_id = "C" + "".join(WORLD.random.choice(letters) for _ in range(13))
    now = WORLD.clock.now_ms()
    WORLD.dns_changes[change_id] = {"submitted_ms": now, "insync_ms": now + WORLD.settings.insync_ms}
    return describe_change(change_id)


def describe_change(change_id: str) -> dict[str, Any]:
    # Source: API reference "GetChange", read 2026-11.
    change = WORLD.dns_changes.get(change_id)
    if change is None:
        raise NoSuchChange(f"A change with the specified change ID {change_id} does not exist.")
    in_sync = WORLD.clock.now_ms() >= change["insync_ms"]
    return {
        "Id": f"/change/{change_id}",
        "Status": "INSYNC" if in_sync else "PENDING",
        "SubmittedAt": from_ms(change["submitted_ms"]),
    }


class ZoneActions:
    """Takes the place of the same actions of moto; `self` is moto's response object."""

    def change_resource_record_sets(self: Any) -> ActionResult:
        zone = self.backend.get_hosted_zone(self._get_param("HostedZoneId"))
        changes = self._get_param("ChangeBatch.Changes", [])
        before = [(record, record.ttl) for record in zone.rrsets]
        try:
            zone.rrsets = apply_batch(zone.rrsets, changes, zone.name)
        except ServiceException:
            for record, ttl in before:
                record.ttl = ttl
            raise
        return ActionResult({"ChangeInfo": new_change()})

    def get_change(self: Any) -> ActionResult:
        change_id = self._get_param("Id").rsplit("/", 1)[-1]
        return ActionResult({"ChangeInfo": describe_change(change_id)})

    def list_resource_record_sets(self: Any) -> ActionResult:
        # Source: API reference "ListResourceRecordSets", read 2026-11.
        zone = self.backend.get_hosted_zone(self._get_param("HostedZoneId"))
        start_name, start_type = self._get_param("StartRecordName"), self._get_param("StartRecordType")
        start_id = self._get_param("StartRecordIdentifier")
        if start_type and not start_name:
            raise InvalidInput("The input is not valid")
        size = min(self._get_int_param("MaxItems", MAX_PAGE), MAX_PAGE)
        found = sorted(zone.rrsets, key=sort_key)
        if start_name:
            start = (reversed_labels(start_name), start_type or "", start_id or "")
            found = [record for record in found if sort_key(record) >= start]
        page, following = found[:size], found[size] if len(found) > size else None
        result: dict[str, Any] = {
            "ResourceRecordSets": page,
            "IsTruncated": following is not None,
            "MaxItems": size,
        }
        if following is not None:
            result["NextRecordName"] = following.name
            result["NextRecordType"] = following.type
            if following.set_identifier:
                result["NextRecordIdentifier"] = following.set_identifier
        return ActionResult(result)


def reversed_labels(name: str) -> list[str]:
    return full_name(name).rstrip(".").split(".")[::-1]


def sort_key(record: RecordSet) -> tuple[list[str], str, str]:
    return (reversed_labels(record.name), record.type or "", record.set_identifier or "")


def install() -> None:
    override(Route53, ZoneActions)
