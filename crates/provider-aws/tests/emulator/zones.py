"""How a group evens out its Availability Zones."""

from __future__ import annotations

from typing import Any

from member import Member
from selection import choose_victim


class Rebalancing:
    """The part of a group's engine that moves capacity between zones."""

    group: Any
    counted: list[Member]
    rebalancing: Member | None
    surplus: int

    def _rebalance(self) -> bool:
        """Launches in the emptiest zone, then terminates in the fullest one."""
        # Source: "Auto Scaling benefits for application architecture", rebalancing activities:
        # launch before terminate, at most 10 % or 1 above the maximum; and "Suspend and resume
        # Amazon EC2 Auto Scaling processes", AZRebalance, read 2026-11.
        if self.rebalancing is not None:
            return self._finish_rebalance()
        if self.suspended("AZRebalance", "Launch") or self.deleting or self.refresh is not None or self.surplus:
            return False
        counted = self.counted
        if len(counted) != self.group.desired_capacity or any(each.is_launching for each in counted):
            return False
        source = self._overfull_zone(counted)
        if source is None or not any(
            each.availability_zone == source and not each.is_protected for each in counted
        ):
            return False
        self.rebalancing = self.launch()
        if self.rebalancing is not None:
            self.surplus = 1
            self.log("rebalance", self.rebalancing, "rebalance")
        return self.rebalancing is not None

    def _overfull_zone(self, counted: list[Member]) -> str | None:
        sizes = {zone: 0 for zone in self.subnets() or self.group.availability_zones}
        for member in counted:
            zone = member.availability_zone
            if zone not in sizes:
                return zone
            sizes[zone] += 1
        fullest = max(sorted(sizes), key=lambda zone: sizes[zone])
        return fullest if sizes[fullest] - min(sizes.values()) > 1 else None

    def _finish_rebalance(self) -> bool:
        assert self.rebalancing is not None
        if not self.rebalancing.is_in_service or self.suspended("Terminate"):
            return False
        newcomer, self.rebalancing, self.surplus = self.rebalancing, None, 0
        counted = [each for each in self.counted if each is not newcomer]
        source = self._overfull_zone(self.counted)
        # A test for "> 1" would miss the difference that the newcomer has already evened out.
        sizes = {each.availability_zone: 0 for each in counted}
        for each in counted:
            sizes[each.availability_zone] += 1
        zone = source or max(sorted(sizes), key=lambda name: sizes[name])
        leavers = [each for each in counted if each.availability_zone == zone and not each.is_protected]
        victim = choose_victim(self, leavers, counted)
        if victim is not None and len(self.counted) > self.group.desired_capacity:
            self.terminate(victim, "rebalance", "an instance was terminated to rebalance Availability Zones.")
        return True
