"""What a growing cluster does next, decided by one pure function: ``decide(state) -> Decision``.

Waiting VMs are put on free room, then on hosts on their way, and only what is left over is ordered for: so nothing is
ordered twice. What must hold whatever happens:

* no order over a limit of the policy: hosts, cost of an hour and of the month, orders an hour;
* only hosts made by growing are given back, never below MIN_HOSTS or WARM_HOSTS, never one that is PROTECTED, has a
  VM, or is needed by a waiting one (``shrink``);
* a host is disabled first and deleted in a later pass, which saw it disabled and still empty: the scheduler places
  nothing on a disabled host (``SchedulerManagerDriver.cc``: state 2 only), so no VM comes between look and deed;
* after an order nothing is given back, after that nothing is ordered, for COOLDOWN: no flapping. Only the floors
  (MIN_HOSTS, WARM_HOSTS) do not wait.
"""

from __future__ import annotations

from dataclasses import replace

from hybrid_drivers.agent.growth.consolidate import Consolidated, consolidate
from hybrid_drivers.agent.growth.demand import NO_PLAN, counted, members_of, waits
from hybrid_drivers.agent.growth.failures import failures
from hybrid_drivers.agent.growth.floors import holds_floor, lasting
from hybrid_drivers.agent.growth.limits import Budget, settle
from hybrid_drivers.agent.growth.model import (
    Action,
    Decision,
    Disable,
    Enable,
    HostView,
    Order,
    Stage,
    State,
    Waiting,
)
from hybrid_drivers.agent.growth.packing import Counts, Group, NewHost, Offer, cheapest, place
from hybrid_drivers.agent.growth.refused import notes, remembered, without_refused
from hybrid_drivers.agent.growth.shrink import give_back, retire
from hybrid_drivers.agent.growth.stock import EMPTY

_ORDER_OF_ROOM = {Stage.USABLE: 0, Stage.DISABLED: 1, Stage.COMING: 2}


def decide(state: State) -> Decision:
    """Decide what to do for one cluster."""
    return _Deciding(replace(state, policy=state.policy.at(state.moment))).result()


class _Deciding:
    """One decision on its way: what was decided so far."""

    def __init__(self, state: State) -> None:
        self._memory = memory = remembered(state, settle(state))
        self._state = state = replace(state, memory=memory, waiting=without_refused(state.waiting, memory))
        self._actions: list[Action] = []
        self._waits: dict[int, str] = {}
        self._budget = Budget(state)
        self._notes = [*notes(memory), *filter(None, [self._budget.unpriced()])]
        self._ours = {one for one in self._memory.disabled if self._stage(one) is Stage.DISABLED}
        self._retiring = self._ours & self._memory.retiring
        self._enabled: set[int] = set()
        self._offers = self._good_offers()

    def _stage(self, host_id: int) -> Stage | None:
        return next((one.stage for one in self._state.hosts if one.id == host_id), None)

    def result(self) -> Decision:
        self._failures()
        left, needed = self._place()
        self._grow(left)
        needed |= self._floors(needed)
        self._enable(needed)
        self._spare()
        self._retire(needed)
        found = self._consolidate()
        self._shrink(needed, found.held)
        return Decision(
            actions=tuple(self._actions),
            memory=self._memory,
            notes=(*self._notes, *found.notes),
            waits=dict(self._waits),
            stays=found.stays,
        )

    # --- what went wrong ---

    def _failures(self) -> None:
        actions, self._memory = failures(self._state, self._memory)
        self._actions += actions
        self._offers = self._good_offers()

    def _good_offers(self, *, floor: bool = False) -> list[Offer]:
        """Return what may be ordered, for a floor or for VMs; what has no price only when nothing has one."""
        found = [one for one in self._state.offers if one.plan not in self._memory.sold_out]
        if floor:
            found = lasting(found, self._state.offers)
        return [one for one in found if one.price is not None] or found

    # --- what there is ---

    def _place(self) -> tuple[Counts, set[int]]:
        """Put VMs on what is there or coming; return what is left of those that waited long enough, and the hosts."""
        state = self._state
        rooms = [one for one in state.hosts if self._has_room(one)]
        rooms.sort(key=lambda one: (_ORDER_OF_ROOM[one.stage], -one.vms, one.id))
        ripe = [one for one in state.waiting if state.now - one.since >= state.policy.grow_after]
        stocks = {one.id: one.stock for one in rooms if one.stock is not EMPTY}
        left, placed = place(counted(ripe), [(one.id, one.room) for one in rooms], stocks)
        unripe = counted(one for one in state.waiting if state.now - one.since < state.policy.grow_after)
        _, more = place(unripe, [(one.id, one.room) for one in rooms if one.id not in placed], stocks)
        self._waits = waits(ripe, left)
        return left, {*placed, *more}

    def _has_room(self, host: HostView) -> bool:
        if host.stage is Stage.DISABLED:
            return host.id in self._ours - self._retiring
        return host.stage in (Stage.USABLE, Stage.COMING)

    # --- growing ---

    def _floors(self, needed: set[int]) -> set[int]:
        """Order what MIN_HOSTS and WARM_HOSTS lack; return the disabled hosts that are taken back for them."""
        members = [one for one in self._state.hosts if one.member]
        members = [one for one in members if holds_floor(one, self._state.offers)]
        there = [one for one in members if one.stage in (Stage.USABLE, Stage.COMING)]
        empty = [one for one in there if not one.vms and one.id not in needed]
        asleep = sorted(one.id for one in members if one.id in self._ours - self._retiring - needed)
        policy = self._state.policy
        ready = [one for one in there if one.stage is Stage.USABLE]
        idle = sum(one.stage is Stage.USABLE for one in empty)
        lacking_now = max(policy.min_hosts - len(ready) - len(self._ours & needed), policy.warm_hosts - idle, 0)
        back = set(asleep[:lacking_now])  # one that is there is better than one on its way
        count = len(there) + len(self._ours & needed) + sum(isinstance(one, Order) for one in self._actions)
        least, warm = policy.min_hosts - count, policy.warm_hosts - len(empty)
        floor = f"MIN_HOSTS={policy.min_hosts}" if least >= warm else f"WARM_HOSTS={policy.warm_hosts}"
        lacking = max(least, warm, 0)
        for _ in range(lacking - len(back)):
            if refusal := self._order_cheapest(floor):
                self._notes.append(f"{floor} is not met: {refusal}")
                break
        return back

    def _order_cheapest(self, floor: str) -> str:
        """Order the cheapest host; return why not when that is not done."""
        offer = min(self._good_offers(floor=True), key=lambda one: (one.cost, one.size.cpu), default=None)
        if offer is None:
            return self._brake() or self._no_offer()
        refusal = self._brake() or self._budget.refusal(offer.price)
        if not refusal:
            self._order(offer, f"{floor} asks for it", ())
        return refusal

    def _no_offer(self) -> str:
        return "every plan is sold out" if self._state.offers else "there is no plan that can be ordered"

    def _grow(self, left: Counts) -> None:
        wanted = {group: count for group, count in left.items() if group.plans}
        vms = members_of(self._state.waiting)
        if self._state.offers:
            self._decline({one: wanted.pop(one) for one in list(wanted) if not self._fits(one)}, vms, NO_PLAN)
        refusal = self._brake() or self._cooling() or ("" if self._offers else self._no_offer())
        while wanted and not refusal:
            offers = self._budget.affordable(self._offers)
            hosts, _ = cheapest(wanted, offers)
            for host in hosts:
                if self._budget.refusal(host.offer.price):
                    break  # what is cheaper may still be within the limits
                self._order_for(host, wanted, vms)
            if not hosts:
                refusal = self._refusals(wanted)
        self._decline(wanted, vms, refusal)

    def _fits(self, group: Group) -> bool:
        return any(one.holds(group) for one in self._state.offers)

    def _decline(self, wanted: Counts, vms: dict[Group, list[Waiting]], why: str) -> None:
        if wanted:
            self._notes.append(f"{sum(wanted.values())} waiting VMs get no new host: {why}")
        for group, count in wanted.items():
            for one in vms[group][:count]:
                self._waits.update(dict.fromkeys(one.vm_ids, f"gets no new host: {why}"))

    def _refusals(self, wanted: Counts) -> str:
        """Say why nothing can be ordered for these: each plan that would hold one is over a limit."""
        fitting = [one for one in self._offers if any(one.holds(group) for group in wanted)]
        found = {one.plan: self._budget.refusal(one.price) for one in fitting}
        if not found:
            return "the plans that would hold them are sold out, or nobody tells their price"
        texts = set(found.values())
        return texts.pop() if len(texts) == 1 else "; ".join(f"{plan}: {why}" for plan, why in sorted(found.items()))

    def _order_for(self, host: NewHost, wanted: Counts, vms: dict[Group, list[Waiting]]) -> None:
        chosen: list[int] = []
        for group, count in host.load.items():
            wanted[group] -= count
            if not wanted[group]:
                del wanted[group]
            chosen += [vm for one in vms[group][:count] for vm in one.vm_ids]
            del vms[group][:count]
        self._order(host.offer, f"{len(chosen)} VMs wait and fit on it", tuple(sorted(chosen)))

    def _order(self, offer: Offer, reason: str, vms: tuple[int, ...]) -> None:
        self._budget.take(offer.price)
        self._actions.append(Order(plan=offer.plan, price=offer.price, reason=reason, vms=vms))
        now = self._state.now
        hoped = self._memory.hoped.union(vms)
        self._remember(orders=(*self._memory.orders, now), ordered_at=now, hoped=hoped)

    def _brake(self) -> str:
        failures, most = self._memory.failures, self._state.policy.max_failures
        if failures < most:
            return ""
        why = f", the last one: {self._memory.why_failed}" if self._memory.why_failed else ""
        count = f"{failures} creations failed in a row (MAX_FAILURES={most}){why}"
        return f"{count}; mend the cause and change ELASTIC to go on"

    def _cooling(self) -> str:
        until = self._memory.deleted_at + self._state.policy.cooldown
        if self._state.now >= until or any(one.stage is Stage.LEAVING and one.member for one in self._state.hosts):
            return ""  # VMs of a host that is taken back cannot wait, and that it goes is no flapping
        return f"a host was given back {self._state.now - self._memory.deleted_at:.0f} s ago (COOLDOWN)"

    # --- shrinking ---

    def _enable(self, needed: set[int]) -> None:
        for host in self._state.hosts:
            used = host.vms and host.id not in self._memory.emptying
            wanted = host.protected or (host.id not in self._retiring and (host.id in needed or used))
            if host.id in self._ours and wanted:
                reason = "it is protected" if host.protected else "it is needed again"
                self._actions.append(Enable(host_id=host.id, reason=reason))
                self._now_enabled(host.id)
                for_whom = [one for one in self._state.waiting if host.id in one.hosts and not one.problem]
                self._remember(hoped=self._memory.hoped.union(*(one.vm_ids for one in for_whom)))

    def _spare(self) -> None:
        """Enable hosts that the provider did not take back as it had said, each until that is seen once."""
        spared = [one for one in self._state.hosts if one.made and one.spared]
        back = {one.id for one in spared if one.stage is not Stage.DISABLED} | self._memory.spared
        self._remember(spared=frozenset(one.id for one in spared if one.id in back))
        for host in spared:
            if host.stage is Stage.DISABLED and host.id not in back | self._ours | self._enabled:
                self._actions.append(Enable(host_id=host.id, reason="the provider did not take its machine back"))

    def _now_enabled(self, host_id: int) -> None:
        """Count a host no more as ours; it is remembered until oned shows it enabled, as we may be killed before."""
        self._ours.discard(host_id)
        self._retiring.discard(host_id)
        self._enabled.add(host_id)

    def _retire(self, needed: set[int]) -> None:
        found, lacking = retire(self._state, frozenset(self._retiring), frozenset(needed))
        if found is not None and found.host_id not in {getattr(one, "host_id", None) for one in self._actions}:
            self._actions.append(found)
            self._ours.add(found.host_id)
            self._retiring.add(found.host_id)
        if lacking and (refusal := self._order_cheapest("a replacement for a host older than MAX_HOST_AGE")):
            self._notes.append(f"a host older than MAX_HOST_AGE is not replaced: {refusal}")

    def _consolidate(self) -> Consolidated:
        state = replace(self._state, memory=self._memory)
        found = consolidate(state, frozenset(self._ours), busy=bool(self._actions))
        self._actions += found.actions
        self._memory = found.memory
        for one in found.actions:
            if isinstance(one, Enable):
                self._now_enabled(one.host_id)
            elif isinstance(one, Disable):
                self._ours.add(one.host_id)
        return found

    def _shrink(self, needed: set[int], held: frozenset[int]) -> None:
        seen = frozenset(one for one in self._ours - held if self._stage(one) is Stage.DISABLED)
        memory = replace(self._memory, retiring=frozenset(self._retiring))
        found = give_back(self._state, memory, seen, frozenset(needed | held))
        self._actions += found.actions
        remembered = (*self._ours, *self._enabled, *found.disabled)
        disabled = {one: self._memory.disabled.get(one, self._state.now) for one in remembered}
        deleted_at = self._state.now if found.deleted else self._memory.deleted_at
        self._remember(disabled=disabled, deleted_at=deleted_at, retiring=frozenset(self._retiring))

    def _remember(self, **changes: object) -> None:
        self._memory = replace(self._memory, **changes)  # type: ignore[arg-type] # names and types are Memory's own
