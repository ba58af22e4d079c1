"""VMs for which a host was there, and which the scheduler then did not place for another reason.

Without a usable host the scheduler says that there is none; with one it may come to what it looks at later: datastores,
rights. Such a VM would have a host ordered or enabled again as often as it is given back, so it is remembered, and
brings none for some hours.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from hybrid_drivers.agent.growth.memory import HOUR, Memory
from hybrid_drivers.agent.growth.model import Stage, State, Waiting

REFUSED_FOR: Final = 6 * HOUR
_LONGEST: Final = 120  # characters of a reason that are kept, and VMs of one reason that are named:
_NAMED: Final = 10


def remembered(state: State, memory: Memory) -> Memory:
    """Take note of what was refused; a changed policy is a new beginning."""
    waiting = {vm: one for one in state.waiting for vm in one.vm_ids}
    known = memory.refused if memory.policy == state.policy_digest else {}
    refused = {vm: told for vm, told in known.items() if vm in waiting and told[0] > state.now}
    if any(one.member and one.stage is Stage.USABLE for one in state.hosts):
        until = state.now + REFUSED_FOR
        fresh = [vm for vm in memory.hoped if vm in waiting and waiting[vm].refused]
        refused.update({vm: (until, _words(waiting[vm])) for vm in fresh})
    hoped = frozenset(vm for vm in memory.hoped if vm in waiting and vm not in refused)
    return replace(memory, refused=refused, hoped=hoped)


def without_refused(waiting: tuple[Waiting, ...], memory: Memory) -> tuple[Waiting, ...]:
    """Return the VMs, those that were refused as ones that no host helps: neither ordered nor kept is one for them."""
    return tuple(_without_refused(one, memory) for one in waiting)


def _without_refused(one: Waiting, memory: Memory) -> Waiting:
    told = next((memory.refused[vm] for vm in one.vm_ids if vm in memory.refused), None)
    if told is None or one.problem:
        return one
    return replace(one, problem=f"no host for it until {_clock(told[0])}: {told[1]}", hosts=frozenset())


def notes(memory: Memory) -> list[str]:
    """Say which VMs bring no host, until when and why."""
    reasons: dict[str, list[int]] = {}
    for vm, (_, why) in sorted(memory.refused.items()):
        reasons.setdefault(why, []).append(vm)
    return [_note(memory.refused, vms, why) for why, vms in reasons.items()]


def _words(one: Waiting) -> str:
    return (one.problem.partition(": ")[2] or one.problem)[:_LONGEST]


def _note(refused: Mapping[int, tuple[float, str]], vms: list[int], why: str) -> str:
    more = f" and {len(vms) - _NAMED} more" if len(vms) > _NAMED else ""
    named = f"VM {', '.join(map(str, vms[:_NAMED]))}{more}"
    until = _clock(max(refused[vm][0] for vm in vms))
    return f"no host comes for {named} until {until}, as with one there the scheduler did not place it: {why}"


def _clock(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(when))
