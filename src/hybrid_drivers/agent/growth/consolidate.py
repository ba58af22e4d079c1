"""Which host is emptied, and which VM is moved next: what is little used costs as much as what is full. Pure.

As a host is given back in two steps, so it is emptied: disabled first; passes that see it disabled move its VMs, one
after the other, and when the last has gone ``shrink`` deletes it. What must hold whatever happens:

* a host is begun with only when all its VMs fit elsewhere and the budget is enough for all of them, when nothing waits,
  comes or cools down, and when the floors hold without it; one at a time;
* every move is decided anew from what oned shows, and remembered before it is done: MAX_MOVES_HOUR counts attempts;
* a VM is moved once an hour at most, but for another attempt; so none goes back and forth;
* when VMs begin to wait, when the rest does not fit any more, or a VM cannot be moved, the host takes VMs again;
* a host is kept while a VM that was on it has not arrived elsewhere (``held``): oned takes a VM that is off from its
  host when the transfer of its disks begins, not when it ends (``LifeCycleActions.cc``, ``trigger_migrate``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from hybrid_drivers.agent.growth.fitting import Disks, fit, total
from hybrid_drivers.agent.growth.memory import HOUR, Memory
from hybrid_drivers.agent.growth.model import Disable, Enable, Guest, HostView, Migrate, Placed, Stage, State, Waiting
from hybrid_drivers.agent.growth.packing import Size
from hybrid_drivers.agent.growth.shrink import at_edge, is_floor

TRIES: Final = 2  # of moving a VM, until its host is left alone
RETRY_AFTER: Final = 120.0  # seconds from one to the next
REST: Final = 6 * HOUR  # for which a host is left alone that could not be emptied
LONGEST: Final = 6 * HOUR  # that emptying a host may take
EDGE: Final = 1200.0  # seconds before the end of a piece that is paid for in which a host is begun with
_NOBODY: Final = Placed()


@dataclass
class Consolidated:
    """What was decided; ``held`` are hosts that must stay though no VM is on them."""

    memory: Memory
    actions: list[Disable | Enable | Migrate] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stays: dict[int, str] = field(default_factory=dict)
    held: frozenset[int] = frozenset()


def consolidate(state: State, ours: frozenset[int], *, busy: bool) -> Consolidated:
    """Go on with the host that is being emptied, or begin with one.

    ``ours`` are the hosts that oned shows disabled and we disabled; ``busy``: something else is done in this pass.
    """
    return _Consolidating(state, ours, busy).result()


class _Consolidating:
    def __init__(self, state: State, ours: frozenset[int], busy: bool) -> None:
        self._state, self._ours, self._busy = state, ours, busy
        self._hosts = {one.id: one for one in state.hosts}
        self._floor = {one.id: one for one in state.hosts if is_floor(one, state)}
        placed = state.placed or _NOBODY
        self._guests, self._free_disk = {one.id: one for one in placed.guests}, placed.free_disk
        self._by_host: dict[int, list[Guest]] = {}
        for one in placed.guests:
            self._by_host.setdefault(one.host, []).append(one)
        self._moves = tuple(one for one in state.memory.moves if one[1] > state.now - HOUR)
        emptying = {one: when for one, when in state.memory.emptying.items() if one in ours}
        sent = self._sent(emptying)
        memory = replace(state.memory, moves=self._moves, emptying=emptying, sent=sent, little=self._little())
        self._found = Consolidated(memory)

    def result(self) -> Consolidated:
        emptying = self._found.memory.emptying
        for host_id, begun in emptying.items():
            self._go_on(self._hosts[host_id], begun)
        if not emptying and self._state.policy.consolidate != "no" and self._state.placed is not None:
            self._begin()
        self._found.held = frozenset(self._found.memory.sent.values())
        for vm, host in self._found.memory.sent.items():
            if not self._hosts[host].vms:
                self._found.notes.append(f"host {host} is kept until VM {vm}, which was on it, is elsewhere")
        return self._found

    # --- what is remembered ---

    def _sent(self, emptying: Mapping[int, float]) -> dict[int, int]:
        """Return the VMs of hosts that are emptied, also those that people move, but those that arrived elsewhere."""
        before = {vm: host for vm, host in self._state.memory.sent.items() if host in self._hosts}
        kept = {vm: host for vm, host in before.items() if self._is_away(vm)}
        return {**kept, **{one.id: host for host in emptying for one in self._by_host.get(host, ())}}

    def _is_away(self, vm: int) -> bool:
        """Tell whether a VM may still need the host it was on; when nobody looked, each may."""
        return self._state.placed is None or (vm in self._guests and not self._guests[vm].settled)

    def _little(self) -> dict[int, float]:
        """Return since when hosts are little used; a time to come means that one is left alone until then."""
        if self._state.policy.consolidate == "no":
            return {}
        memory, now = self._state.memory, self._state.now
        before = {one: since for one, since in memory.little.items() if one not in memory.emptying}
        return {one.id: before.get(one.id, now) for one in self._state.hosts if self._is_little_used(one)}

    def _is_little_used(self, host: HostView) -> bool:
        if not host.made or host.stage is not Stage.USABLE or not host.vms:
            return False
        return self._share(host) <= self._state.policy.consolidate_below / 100

    def _share(self, host: HostView) -> float:
        """Return the larger of the shares of CPU and memory that its VMs have."""
        used = total(one.size for one in self._on(host))
        return used.share(Size(host.room.cpu + used.cpu, host.room.memory + used.memory))

    def _on(self, host: HostView) -> list[Guest]:
        return self._by_host.get(host.id, [])

    def _remember(self, **changes: object) -> None:
        self._found.memory = replace(self._found.memory, **changes)  # type: ignore[arg-type] # names are Memory's own

    # --- going on ---

    def _go_on(self, host: HostView, begun: float) -> None:
        if not host.vms:
            return
        why, rest = self._why_stop(host, begun)
        if why:
            self._stop(host, why, rest)
        elif not self._busy and all(self._guests[one].settled for one in self._found.memory.sent):
            self._move(host)

    def _why_stop(self, host: HostView, begun: float) -> tuple[str, float]:
        """Say why a host is not emptied any more, and for how many seconds it is left alone."""
        state, guests = self._state, self._on(host)
        if state.policy.consolidate == "no" or state.placed is None:
            return "CONSOLIDATE is switched off", 0.0
        if self._waiting():
            return "VMs wait for room", 0.0
        if state.now - begun > LONGEST:
            return f"it took longer than {LONGEST / HOUR:.0f} hours to empty it", REST
        was_there = [self._guests[one] for one, at in self._found.memory.sent.items() if at == host.id]
        if stuck := next((one for one in was_there if one.problem), None):
            return f"VM {stuck.id} {stuck.problem}", REST
        failed = next((one for one in guests if one.settled and len(self._tries(one, begun)) >= TRIES), None)
        if failed and state.now - self._tries(failed, begun)[-1] >= RETRY_AFTER:
            return f"VM {failed.id} could not be moved: its log says why", REST
        _, left = self._fit(host, [one for one in guests if one.settled])
        return (f"VM {left} fits on no other host any more", REST) if left is not None else ("", 0.0)

    def _stop(self, host: HostView, why: str, rest: float) -> None:
        """Have it take VMs again; for all others CONSOLIDATE_AFTER begins anew."""
        self._found.actions.append(Enable(host_id=host.id, reason=f"it is not emptied: {why}"))
        memory, now = self._found.memory, self._state.now
        self._remember(
            emptying={one: when for one, when in memory.emptying.items() if one != host.id},
            little={**{one: max(now, since) for one, since in memory.little.items()}, host.id: now + rest},
            sent={vm: at for vm, at in memory.sent.items() if self._is_away(vm)},
        )

    def _move(self, host: HostView) -> None:
        """Move one VM; the smallest first, so that the largest is moved for the least often in vain."""
        memory, now = self._found.memory, self._state.now
        if len(self._moves) >= self._state.policy.max_moves_hour:
            return
        begun = memory.emptying[host.id]
        able = [one for one in self._on(host) if one.settled and self._may_try(one, begun)]
        if not able:
            return
        targets, _ = self._fit(host, [one for one in self._on(host) if one.settled])
        guest = min(able, key=lambda one: (len(self._tries(one, begun)), one.size.memory, one.id))
        self._found.actions.append(
            Migrate(
                vm_id=guest.id, host_id=host.id, target=targets[guest.id], live=guest.live, reason="its host is emptied"
            )
        )
        self._remember(moves=(*self._moves, (guest.id, now)))

    def _may_try(self, guest: Guest, begun: float) -> bool:
        tries = self._tries(guest, begun)
        return not tries or (len(tries) < TRIES and self._state.now - tries[-1] >= RETRY_AFTER)

    def _tries(self, guest: Guest, begun: float) -> list[float]:
        return [when for vm, when in self._moves if vm == guest.id and when >= begun]

    # --- beginning ---

    def _begin(self) -> None:
        state = self._state
        if not self._found.memory.little:
            return
        resting = self._why_rest()
        if not resting and self._busy:
            return
        order = sorted(self._found.memory.little, key=lambda one: self._rank(self._hosts[one]))
        for host in (self._hosts[one] for one in order):
            why = resting or self._why_not(host)
            if not why:
                share = f"{self._share(host) * 100:.0f} % of it are used, and its {host.vms} VMs fit on other hosts"
                self._found.actions.append(Disable(host_id=host.id, reason=share, empty=True))
                self._remember(emptying={host.id: state.now})
                return
            self._found.stays[host.id] = why

    def _rank(self, host: HostView) -> tuple[float, float, int]:
        return (-(host.price or 0.0), self._share(host), host.id)

    def _why_rest(self) -> str:
        """Say why no host is emptied now, whichever it is."""
        state, memory = self._state, self._found.memory
        if self._waiting():
            return "VMs wait for room"
        if self._ours or memory.sent:
            return "another host is on its way out"
        if any(one.member and one.stage in (Stage.COMING, Stage.SOLD_OUT) for one in state.hosts):
            return "a host is on its way"
        if state.now < max(memory.ordered_at, memory.deleted_at) + state.policy.cooldown:
            return "a host was ordered or given back within COOLDOWN"
        return ""

    def _why_not(self, host: HostView) -> str:
        policy, now, guests = self._state.policy, self._state.now, self._on(host)
        since = self._found.memory.little[host.id]
        if host.protected:
            return "it is PROTECTED"
        if host.id in self._floor and len(self._floor) <= policy.min_hosts:
            return f"MIN_HOSTS={policy.min_hosts}"
        if now < since:
            return f"it could not be emptied; it is tried again in {since - now:.0f} s"
        if now - since < policy.consolidate_after:
            return f"it is little used for {now - since:.0f} s (CONSOLIDATE_AFTER={policy.consolidate_after:g})"
        if len(guests) != host.vms:
            return "it has VMs that are not there to be looked at, or go to or from it"
        if len(guests) > policy.max_moves_hour - len(self._moves):
            moved = f", {len(self._moves)} moves were within the hour" if self._moves else ""
            return f"it has {len(guests)} VMs (MAX_MOVES_HOUR={policy.max_moves_hour}{moved})"
        recent = {vm for vm, _ in self._moves}
        for one in guests:
            why = one.problem or ("" if one.settled else "is just starting, stopping or changing")
            if why or one.id in recent:
                return f"VM {one.id} {why or 'was moved within the hour'}"
        targets, left = self._fit(host, guests)
        if left is not None:
            return f"VM {left} fits on no other host"
        warm = sum(not one.vms and one.id not in targets.values() for one in self._floor.values())
        if warm < policy.warm_hosts:
            return f"WARM_HOSTS={policy.warm_hosts}"
        return "" if at_edge(host, self._state, EDGE) else "its hour is paid for"

    def _waiting(self) -> bool:
        return any(self._may_run(one) for one in self._state.waiting)

    def _may_run(self, vm: Waiting) -> bool:
        """Tell whether a plan or a host would ever hold a VM: one that is too large must not stop everything else."""
        if vm.problem:
            return False
        there = any(one.id in vm.hosts and one.room.holds(vm.size) for one in self._state.hosts)
        return there or any(one.holds(vm.group) for one in self._state.offers)

    def _fit(self, source: HostView, guests: Iterable[Guest]) -> tuple[dict[int, int], int | None]:
        """Say where VMs of a host would go, and which of them fits nowhere (see ``fitting.fit``)."""
        recent = {vm for vm, _ in self._moves}
        rooms = {one.id: one.room for one in self._state.hosts if one.id != source.id and self._takes(one)}
        disks = Disks(self._free_disk, (one for one in self._guests.values() if one.id in recent))
        return fit(guests, rooms, disks)

    def _takes(self, host: HostView) -> bool:
        """Tell whether VMs may be moved to a host: not to one that goes anyway, being empty or too old."""
        age = self._state.policy.max_host_age
        old = host.made and age and self._state.now - host.ordered_at > age
        goes = host.made and not host.protected and not host.vms
        return host.stage is Stage.USABLE and not old and not goes
