"""The control endpoints: clock, settings, events from outside, and the ground truth."""

from __future__ import annotations

from collections import Counter
from typing import Any, Callable

import balancers
import compute
import targets
from buckets import Buckets, bucket_of
from faults import Faults
from groups import GroupEngine
from services import Call
from world import WORLD

Body = Any
Query = dict[str, str]


class NotFound(Exception):
    """The control endpoint or the thing it names does not exist."""


class Calls:
    """Counts the API calls."""

    def __init__(self) -> None:
        self.by_action: Counter[str] = Counter()
        self.by_minute: Counter[tuple[str, int]] = Counter()
        self.buckets: Counter[tuple[str, int, int]] = Counter()
        self.throttled = 0

    def count(self, call: Call, throttled: bool) -> None:
        self.by_action[call.name] += 1
        self.by_minute[call.name, WORLD.clock.now_ms() // 60_000] += 1
        self.throttled += throttled
        if (bucket := bucket_of(call)) is not None:
            name, (capacity, refill) = bucket
            allowed = int(capacity + 60 * refill)
            self.buckets[f"{call.service} {name}", allowed, WORLD.clock.now_ms() // 60_000] += 1

    def describe(self) -> dict[str, Any]:
        most: dict[str, int] = {}
        for (name, _), number in self.by_minute.items():
            most[name] = max(most.get(name, 0), number)
        buckets: dict[str, dict[str, int]] = {}
        for (name, allowed, _), number in self.buckets.items():
            so_far = buckets.get(name, {}).get("most_per_minute", 0)
            buckets[name] = {"most_per_minute": max(so_far, number), "allowed_per_minute": allowed}
        return {
            "total": sum(self.by_action.values()),
            "by_action": dict(self.by_action),
            "per_minute_max": most,
            "buckets": buckets,
            "throttled": self.throttled,
        }


class Control:
    """Answers `/control/...`; everything is called with the world's lock held."""

    def __init__(self) -> None:
        self.calls = Calls()
        self.faults = Faults()
        self.buckets = Buckets()
        self.routes: dict[tuple[str, str], Callable[[Body, Query], Any]] = {
            ("GET", "clock"): lambda body, query: {"now_ms": WORLD.clock.now_ms()},
            ("POST", "clock"): self.advance,
            ("GET", "settings"): lambda body, query: vars(WORLD.settings),
            ("POST", "settings"): self.set_settings,
            ("POST", "behaviour"): lambda body, query: WORLD.add_behaviour(body),
            ("POST", "image"): self.set_image,
            ("POST", "event"): self.event,
            ("GET", "group"): lambda body, query: self.group(query),
            ("GET", "log"): lambda body, query: self.log(query),
            ("POST", "log/reset"): lambda body, query: WORLD.log.clear(),
            ("GET", "traffic"): lambda body, query: self.traffic(query),
            ("GET", "calls"): lambda body, query: self.calls.describe(),
            ("POST", "calls/reset"): lambda body, query: self.calls.__init__(),  # type: ignore[misc]
            ("GET", "faults"): lambda body, query: [vars(rule) for rule in self.faults.rules],
            ("POST", "faults"): lambda body, query: self.faults.set_rules(body),
            ("POST", "requests"): lambda body, query: balancers.book(body),
            ("POST", "buckets"): self.set_buckets,
            ("POST", "forget"): self.forget,
            ("POST", "reset"): lambda body, query: self.reset(),
        }

    def answer(self, method: str, path: str, body: Body, query: Query) -> Any:
        route = self.routes.get((method, path))
        if route is None:
            raise NotFound(f"no control endpoint {method} {path}")
        WORLD.settle()
        answer = route(body, query)
        WORLD.settle()
        return {} if answer is None else answer

    # ---- setting things

    def advance(self, body: Body, query: Query) -> dict[str, Any]:
        if not WORLD.clock.manual:
            raise ValueError("the clock is real; start with --clock manual")
        return {"now_ms": WORLD.advance(int(body["advance_ms"]))}

    def set_settings(self, body: Body, query: Query) -> dict[str, Any]:
        changes = dict(body)
        if (seed := changes.pop("seed", None)) is not None:
            WORLD.set_seed(int(seed))
            self.faults.dice.seed(int(seed))
        WORLD.settings.update(changes)
        for engine in WORLD.engines.values():
            engine.wake()  # type: ignore[attr-defined]
        return vars(WORLD.settings)

    def set_image(self, body: Body, query: Query) -> None:
        """Sets the state of an image, such as `pending` or `failed`."""
        from moto.ec2.models import ec2_backends

        for regions in ec2_backends.values():
            for backend in regions.values():
                if (image := backend.amis.get(body["image_id"])) is not None:
                    image.state = body["state"]
                    return
        raise NotFound(f"no image {body['image_id']}")

    def set_buckets(self, body: Body, query: Query) -> dict[str, bool]:
        self.buckets.enforce = bool(body["enforce"])
        self.buckets.assumed = bool(body.get("assumed", True))
        self.buckets.levels.clear()
        return {"enforce": self.buckets.enforce}

    def reset(self) -> None:
        from moto.moto_api._internal.models import moto_api_backend

        moto_api_backend.reset()
        WORLD.reset()
        self.calls, self.faults, self.buckets = Calls(), Faults(), Buckets()

    # ---- groups

    def engine(self, name: str | None, where: dict[str, Any]) -> GroupEngine:
        for (account, region, group_name), engine in WORLD.engines.items():
            if (
                group_name == name
                and where.get("account") in (None, account)
                and where.get("region") in (None, region)
            ):
                return engine  # type: ignore[return-value]
        raise NotFound(f"no group {name}")

    def group(self, query: Query) -> dict[str, Any]:
        engine = self.engine(query.get("name") or query.get("group"), query)
        group = engine.group
        instances = [member.ground_truth() for member in engine.members]
        _, version = engine.launch_source()
        return {
            "name": group.name,
            "account": engine.key[0],
            "region": engine.key[1],
            "sizes": {"min": group.min_size, "desired": group.desired_capacity, "max": group.max_size},
            "version": version,
            "launch_template_version": group.launch_template_version if group.ec2_launch_template else None,
            "suspended": sorted(group._suspended_processes),
            "protected": [each["id"] for each in instances if each["protected"]],
            "instances": instances,
            "healthy": sum(each["healthy"] for each in instances),
        }

    def log(self, query: Query) -> list[dict[str, Any]]:
        """Also of groups that are deleted by now."""
        found = []
        for (account, region, name), entries in WORLD.log.items():
            if (
                query.get("group") in (None, name)
                and query.get("account") in (None, account)
                and query.get("region") in (None, region)
            ):
                found += [{"group": name, **entry} for entry in entries]
        return sorted(found, key=lambda entry: entry["at_ms"])

    def forget(self, body: Body, query: Query) -> None:
        """Drops a group and its instances from memory, as if they had never been."""
        engine = self.engine(body["group"], body)
        backend = engine.group.autoscaling_backend
        ids = set(engine.launched)
        for target_group in engine.target_groups():
            for instance_id in ids:
                targets.drop(target_group, instance_id)
        compute.forget_instances(engine.group.ec2_backend, ids)
        for instance_id in ids:
            WORLD.instances.pop(instance_id, None)
        backend.autoscaling_groups.pop(engine.group.name, None)
        for key, hook in list(backend.lifecycle_hooks.items()):
            if hook.auto_scaling_group_name == engine.group.name:
                del backend.lifecycle_hooks[key]
        WORLD.engines.pop(engine.key, None)
        WORLD.log.pop(engine.key, None)

    # ---- events from outside

    def event(self, body: Body, query: Query) -> dict[str, Any]:
        engine = self.engine(body["group"], body)
        group, kind = engine.group, body["kind"]
        if kind == "alarm":
            # Source: "Suspend and resume Amazon EC2 Auto Scaling processes", read 2026-11.
            wanted = group.desired_capacity + int(body["change"])
            desired = min(max(wanted, group.min_size), group.max_size)
            acted = not engine.suspended("AlarmNotification") and desired != group.desired_capacity
            if acted:
                engine.set_sizes(group.min_size, desired, group.max_size)
            return {"acted": acted, "desired": group.desired_capacity}
        if kind == "spot_loss":
            running = [member for member in engine.members if member.is_in_service]
            if not running:
                return {"acted": False}
            chosen = WORLD.random.choice(running)
            engine.lose(chosen, "spot")
            return {"acted": True, "instance": chosen.instance_id}
        if kind == "scheduled":
            # Actions whose time passes while ScheduledActions is suspended are lost. Source: as above.
            if engine.suspended("ScheduledActions"):
                return {"acted": False}
            minimum = int(body.get("min", group.min_size))
            maximum = max(int(body.get("max", group.max_size)), minimum)
            desired = int(body.get("desired", group.desired_capacity))
            engine.set_sizes(minimum, min(max(desired, minimum), maximum), maximum)
            return {"acted": True, "desired": group.desired_capacity}
        raise ValueError(f"unknown event {kind}")

    # ---- traffic

    def traffic(self, query: Query) -> dict[str, Any]:
        arn = query.get("listener") or query.get("rule")
        if arn not in WORLD.traffic:
            raise NotFound(f"no listener or rule {arn}")
        return {"weights": targets.weights_in_effect(arn)}
