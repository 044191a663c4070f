"""What all modules of the emulator share: clock, settings, behaviours, log, and the groups."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, fields
from typing import Any, Iterator, Protocol

from clock import Clock


class Engine(Protocol):
    """The part of a group's engine that the clock drives."""

    due_ms: int | None

    def tick(self) -> None: ...


@dataclass
class Settings:
    """How long things take, and how ties are broken."""

    launch_ms: int = 0
    launch_spread_ms: int = 0
    healthy_ms: int = 0
    drain_ms: int = 0
    terminate_ms: int = 0
    react_ms: int = 0
    insync_ms: int = 0
    traffic_ms: int = 0
    ties: str = "random"
    check_images: bool = True
    vcpu_quota: int = 0
    page_max: int = 0
    retry_launch_ms: int = 10_000

    def update(self, changes: dict[str, Any]) -> None:
        known = {field.name: field.type for field in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"unknown setting {name}")
            if name == "ties" and value not in ("random", "newest", "oldest"):
                raise ValueError(f"unknown tie-breaking {value}")
            setattr(self, name, value)


@dataclass
class Behaviour:
    """What instances of an image (or with a text in their user data) do once they run."""

    behaviour: str = "good"
    after_ms: int = 0
    image_id: str | None = None
    user_data_contains: str | None = None


GOOD = Behaviour()
GroupKey = tuple[str, str, str]


class World:
    """The state of the emulator beside moto's own; every access holds `lock`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.clock = Clock()
        self.seed = 1
        self.reset()

    def reset(self) -> None:
        self.clock.reset()
        self.random = random.Random(self.seed)
        self.settings = Settings()
        self.behaviours: list[Behaviour] = []
        self.log: dict[GroupKey, list[dict[str, Any]]] = {}
        self.engines: dict[GroupKey, Engine] = {}
        self.instances: dict[str, Any] = {}
        self.dns_changes: dict[str, dict[str, Any]] = {}
        self.version_tokens: dict[Any, Any] = {}
        self.traffic: dict[str, list[tuple[int, dict[str, int]]]] = {}
        self.balancers: list[dict[str, Any]] = []

    def set_seed(self, seed: int) -> None:
        from moto.moto_api._internal import mock_random

        self.seed = seed
        self.random.seed(seed)
        mock_random.seed(seed)

    # ---- behaviours

    def add_behaviour(self, body: dict[str, Any]) -> None:
        """The newest word on an image or a text replaces an older one."""
        new = Behaviour(**body)
        if new.behaviour not in ("good", "broken", "fades"):
            raise ValueError(f"unknown behaviour {new.behaviour}")
        if bool(new.image_id) == bool(new.user_data_contains):
            raise ValueError("give either image_id or user_data_contains")
        self.behaviours.insert(0, new)

    def behaviour_of(self, instance: Any) -> Behaviour:
        for candidate in self.behaviours:
            if candidate.image_id:
                if candidate.image_id == instance.image_id:
                    return candidate
            elif candidate.user_data_contains in plain_user_data(instance):
                return candidate
        return GOOD

    # ---- time

    def due_engines(self) -> Iterator[Engine]:
        now = self.clock.now_ms()
        for engine in list(self.engines.values()):
            if engine.due_ms is not None and engine.due_ms <= now:
                yield engine

    def settle(self) -> None:
        """Brings every group that has something to do up to the present."""
        for engine in self.due_engines():
            engine.tick()

    def advance(self, advance_ms: int) -> int:
        """Moves a manual clock from event to event, so that things happen in order."""
        self.settle()
        end = self.clock.now_ms() + advance_ms
        while True:
            dues = [engine.due_ms for engine in self.engines.values() if engine.due_ms is not None]
            coming = min(dues, default=end)
            now = self.clock.now_ms()
            self.clock.set_ms(min(end, max(coming, now + 1)))
            self.settle()
            if self.clock.now_ms() >= end:
                return end

    # ---- log

    def record(self, key: GroupKey, kind: str, **details: Any) -> None:
        entry = {"at_ms": self.clock.now_ms(), "kind": kind, **details}
        self.log.setdefault(key, []).append(entry)


def plain_user_data(instance: Any) -> str:
    """The user data of an instance as the text it was before base64."""
    data = getattr(instance, "user_data", None)
    if not data:
        return ""
    import base64

    try:
        return base64.b64decode(str(data)).decode("utf-8", "replace")
    except ValueError:
        return str(data)


def override(target: type, source: type) -> None:
    """Puts the public methods of `source` in the place of those of moto's class `target`."""
    for name, value in vars(source).items():
        if not name.startswith("__"):
            setattr(target, name, value)


WORLD = World()
