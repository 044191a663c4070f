"""Faults in front of moto: throttling, server errors, lost and cut answers, latency."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Any

from services import Call, error_answer, throttle_answer
from world import WORLD

Answer = tuple[int, str, bytes]
KINDS = ("throttle", "error500", "unavailable", "lost", "cut", "latency", "code")
SERVER_CODES = {"ec2": "InternalError", "s3": "InternalError"}
UNAVAILABLE_CODES = {"ec2": "Unavailable"}


@dataclass
class Fault:
    """A rule: which calls it hits, how often, and what happens to them."""

    kind: str
    service: str = "*"
    action: str = "*"
    code: str = "InternalFailure"
    status: int = 400
    latency_ms: int = 0
    probability: float = 1.0
    times: int | None = None
    skip: int = 0
    hits: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault {self.kind}")
        if self.service == "elasticloadbalancing":
            self.service = "elbv2"

    def hits_call(self, call: Call, dice: random.Random) -> bool:
        if self.service not in ("*", call.service) or self.action not in ("*", call.action):
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        if self.probability < 1 and dice.random() >= self.probability:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.hits += 1
        return True

    def answer(self, call: Call) -> Answer | None:
        """The error that the call gets in place of being executed, if the fault is one."""
        if self.kind == "throttle":
            return throttle_answer(call)
        if self.kind == "error500":
            return error_answer(call, 500, SERVER_CODES.get(call.service, "InternalFailure"), "An internal error occurred.")
        if self.kind == "unavailable":
            code = UNAVAILABLE_CODES.get(call.service, "ServiceUnavailable")
            return error_answer(call, 503, code, "The service is unavailable.")
        if self.kind == "code":
            return error_answer(call, self.status, self.code, f"Injected {self.code}.")
        return None


class Faults:
    """The rules in force; their dice do not disturb those of the groups."""

    def __init__(self) -> None:
        self.rules: list[Fault] = []
        self.dice = random.Random(WORLD.seed)

    def set_rules(self, rules: list[dict[str, Any]]) -> None:
        self.rules = [Fault(**rule) for rule in rules]

    def of(self, call: Call) -> list[Fault]:
        return [rule for rule in self.rules if rule.hits_call(call, self.dice)]


def wait(faults: list[Fault]) -> None:
    """Latency is real time: it is the client that has to wait."""
    delay_ms = sum(fault.latency_ms for fault in faults if fault.kind == "latency")
    if delay_ms:
        time.sleep(delay_ms / 1000)
