"""The VMs that wait, counted by what they are alike in, and what each of them waits for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hybrid_drivers.agent.growth.model import Waiting
from hybrid_drivers.agent.growth.packing import Counts, Group

NO_PLAN: Final = "they fit on no plan that can be ordered"


def counted(waiting: Iterable[Waiting]) -> Counts:
    """Return how many there are of each group."""
    counts: Counts = {}
    for one in waiting:
        counts[one.group] = counts.get(one.group, 0) + 1
    return counts


def members_of(waiting: Iterable[Waiting]) -> dict[Group, list[Waiting]]:
    """Return those of each group, the youngest first: room that is there goes to those that waited longest."""
    found: dict[Group, list[Waiting]] = {}
    for one in sorted(waiting, key=lambda vm: -vm.since):
        found.setdefault(one.group, []).append(one)
    return found


def waits(ripe: Iterable[Waiting], left: Counts) -> dict[int, str]:
    """Say of each VM what it waits for, when these are left over by the room there is and will be."""
    found: dict[int, str] = {}
    for group, those in members_of(ripe).items():
        missing = left.get(group, 0)
        for number, one in enumerate(those):
            there = "waits for the scheduler, or a host on its way: there is room for it"
            text = (one.problem or "waits for a new host") if number < missing else there
            found.update(dict.fromkeys(one.vm_ids, text))
    return found
