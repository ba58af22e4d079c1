"""Which hosts are given back: disabled in one pass, deleted in a later one (see ``decide``)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from hybrid_drivers.agent.growth.floors import holds_floor
from hybrid_drivers.agent.growth.memory import Memory
from hybrid_drivers.agent.growth.model import Delete, Disable, HostView, Stage, State

EDGE: Final = 300.0  # seconds before the end of a piece that is paid for: time enough to disable, look again and delete


@dataclass
class GivenBack:
    """What was decided."""

    actions: list[Disable | Delete] = field(default_factory=list)
    disabled: list[int] = field(default_factory=list)
    deleted: list[int] = field(default_factory=list)


def give_back(state: State, memory: Memory, ours: frozenset[int], needed: frozenset[int]) -> GivenBack:
    """Delete what was seen disabled and empty, and disable what has been idle for long.

    ``ours`` are the hosts that oned shows disabled and we disabled; ``needed`` those that waiting VMs fit on. One that
    retires goes when its last VM has ended.
    """
    found = GivenBack()
    if state.now < memory.ordered_at + state.policy.cooldown:
        return found
    enough = sum(is_floor(one, state) and one.stage is Stage.USABLE for one in state.hosts) >= state.policy.min_hosts
    for host in state.hosts:
        if host.id not in ours or not host.made or host.vms:
            continue
        if host.id in memory.retiring:
            if enough or not holds_floor(host, state.offers):
                found.actions.append(Delete(host_id=host.id, reason="it is older than MAX_HOST_AGE, and empty"))
            continue
        idle = state.now - memory.idle.get(host.id, state.now)
        why = "it has been emptied" if host.id in memory.emptying else f"it has had no VM for {idle:.0f} s"
        found.actions.append(Delete(host_id=host.id, reason=why))
        found.deleted.append(host.id)
    for host in _spare(state, needed, memory.retiring.union(memory.emptying)):
        idle = state.now - memory.idle.get(host.id, state.now)
        if idle >= state.policy.shrink_after and at_edge(host, state):
            found.actions.append(Disable(host_id=host.id, reason=f"it has had no VM for {idle:.0f} s"))
            found.disabled.append(host.id)
    return found


def _spare(state: State, needed: frozenset[int], going: frozenset[int]) -> Iterable[HostView]:
    """Return the empty hosts beyond the floors, the dearest first, then those that were ready first.

    Hosts on their way hold no floor here: they may never come.
    """
    there = [one for one in state.hosts if is_there(one) and one.id not in going and one.stage is Stage.USABLE]
    empty = [one for one in there if not one.vms and one.id not in needed]
    floor = [one for one in there if holds_floor(one, state.offers)]
    within = [one for one in empty if holds_floor(one, state.offers)]
    least = max(0, min(len(floor) - state.policy.min_hosts, len(within) - state.policy.warm_hosts))
    above = [one for one in empty if not holds_floor(one, state.offers)]
    return [*_to_go(above), *_to_go(within)[:least]]


def _to_go(empty: Iterable[HostView]) -> list[HostView]:
    usable = [one for one in empty if one.made and one.stage is Stage.USABLE and not one.protected]
    return sorted(usable, key=lambda one: (-(one.price or 0.0), one.ready_at, one.id))


def retire(state: State, retiring: frozenset[int], needed: frozenset[int]) -> tuple[Disable | None, bool]:
    """Say which host is to go for its age, one at a time, and whether another must be ordered before that.

    One that waiting VMs need stays until they are on it.
    """
    age = state.policy.max_host_age
    old = [one for one in state.hosts if one.made and one.stage is Stage.USABLE and not one.protected]
    old = [one for one in old if age and state.now - one.ordered_at > age and one.id not in needed]
    if not old or retiring:
        return None, False
    oldest = min(old, key=lambda one: (one.ordered_at, one.id))
    holds = holds_floor(oldest, state.offers)
    usable = sum(is_floor(one, state) and one.stage is Stage.USABLE for one in state.hosts)
    if not holds or usable - 1 >= state.policy.min_hosts:
        reason = f"it is older than MAX_HOST_AGE={age:g} s"
        return Disable(host_id=oldest.id, reason=reason, retire=True), False
    return None, sum(is_floor(one, state) for one in state.hosts) - 1 < state.policy.min_hosts


def is_floor(host: HostView, state: State) -> bool:
    """Tell whether a host counts for MIN_HOSTS and WARM_HOSTS."""
    return is_there(host) and holds_floor(host, state.offers)


def is_there(host: HostView) -> bool:
    """Tell whether a host takes VMs, or will."""
    return host.member and host.stage in (Stage.USABLE, Stage.COMING)


def at_edge(host: HostView, state: State, edge: float = EDGE) -> bool:
    """Tell whether a paid piece of time is nearly over; always where time is paid for by the second."""
    piece = state.policy.billing
    return not piece or piece - (state.now - host.ordered_at) % piece <= min(edge, piece)
