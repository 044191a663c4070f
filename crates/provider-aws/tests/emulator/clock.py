"""The one clock of the emulator: either the wall clock or a clock that stands still."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

MANUAL_EPOCH_MS = int(datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp() * 1000)


class Clock:
    """Gives the time in milliseconds since 1970; `manual` time moves only by `set_ms`."""

    def __init__(self, manual: bool = False) -> None:
        self.manual = manual
        self._manual_ms = MANUAL_EPOCH_MS

    def now_ms(self) -> int:
        return self._manual_ms if self.manual else int(time.time() * 1000)

    def now(self) -> datetime:
        """The time as moto wants it: without a time zone, in UTC."""
        return from_ms(self.now_ms())

    def set_ms(self, now_ms: int) -> None:
        if not self.manual:
            raise ValueError("the wall clock cannot be set; start with --clock manual")
        self._manual_ms = max(self._manual_ms, now_ms)

    def reset(self) -> None:
        self._manual_ms = MANUAL_EPOCH_MS


def from_ms(time_ms: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(milliseconds=time_ms)
