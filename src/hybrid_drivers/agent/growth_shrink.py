"""Which hosts are given back: disabled in one pass, deleted in a later one (see ``growth``)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from hybrid_drivers.agent.growth_memory import Memory
from hybrid_drivers.agent.growth_model import Delete, Disable, HostView, Stage, State

EDGE: Final = 300.0  # seconds before the end of a piece that is paid for: time enough to disable, look again and delete


@dataclass
class GivenBack:
    """What was decided."""

    actions: list[Disable | Delete] = field(default_factory=list)
    disabled: list[int] = field(default_factory=list)
    deleted: list[int] = field(default_factory=list)


def give_back(state: State, memory: Memory, ours: frozenset[int], needed: frozenset[int]) -> GivenBack:
    """Delete what was seen disabled and empty, and disable what has been idle for long.

    ``ours`` are the hosts that oned shows disabled and we disabled; ``needed`` those that waiting VMs fit on.
    """
    found = GivenBack()
    if state.now < memory.ordered_at + state.policy.cooldown:
        return found
    for host in state.hosts:
        if host.id in ours and host.made and not host.vms:
            idle = state.now - memory.idle.get(host.id, state.now)
            found.actions.append(Delete(host_id=host.id, reason=f"it has had no VM for {idle:.0f} s"))
            found.deleted.append(host.id)
    for host in _spare(state, needed):
        idle = state.now - memory.idle.get(host.id, state.now)
        if idle >= state.policy.shrink_after and _at_edge(host, state):
            found.actions.append(Disable(host_id=host.id, reason=f"it has had no VM for {idle:.0f} s"))
            found.disabled.append(host.id)
    return found


def _spare(state: State, needed: frozenset[int]) -> Iterable[HostView]:
    """Return the empty hosts beyond the floors, the dearest first, then those that were ready first."""
    members = [one for one in state.hosts if one.member]
    there = [one for one in members if one.stage in (Stage.USABLE, Stage.COMING)]
    empty = [one for one in there if not one.vms and one.id not in needed]
    least = max(0, min(len(there) - state.policy.min_hosts, len(empty) - state.policy.warm_hosts))
    usable = [one for one in empty if one.made and one.stage is Stage.USABLE and not one.protected]
    return sorted(usable, key=lambda one: (-(one.price or 0.0), one.ready_at, one.id))[:least]


def _at_edge(host: HostView, state: State) -> bool:
    """Tell whether a paid piece of time is nearly over; always where time is paid for by the second."""
    piece = state.policy.billing
    return not piece or piece - (state.now - host.ordered_at) % piece <= min(EDGE, piece)
