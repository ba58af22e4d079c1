"""What growing may still spend: each order is checked against every limit of the policy, with the arithmetic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from hybrid_drivers.agent.growth.memory import HOUR, Memory
from hybrid_drivers.agent.growth.model import HostView, Stage, State
from hybrid_drivers.agent.growth.packing import Offer

NAMED: Final = 10  # hosts that a note names
AHEAD: Final = 24 * HOUR  # MAX_COST_MONTH counts what all hosts cost from now on for so long, or until the month's end


class Budget:
    """What is left under the limits; ``take`` counts an order that was allowed."""

    def __init__(self, state: State) -> None:
        members = [one for one in state.hosts if one.member]
        self._policy, self._now = state.policy, state.now
        self._hosts = len(members) + len(state.returning)
        self._returning = len(state.returning)
        self._unknown = [one for one in state.returning if one.price is None]
        self._rate = rate_of(state)
        self._unpriced = [one.id for one in members if one.price is None]
        self._spent = state.memory.spent
        self._hours = min(AHEAD, state.month_left) / HOUR
        self._orders = state.memory.orders_since(state.now - HOUR)

    def refusal(self, price: float | None) -> str:
        """Say why another host at this price is over a limit, nothing when it is not."""
        policy, rate = self._policy, self._rate + (price or 0.0)
        if self._hosts >= policy.max_hosts:
            back = f", {self._returning} of them being given back," if self._returning else ""
            return f"{self._hosts} hosts{back} are MAX_HOSTS={policy.max_hosts}"
        if self._orders >= policy.max_orders_hour:
            return f"{self._orders} orders within an hour are MAX_ORDERS_HOUR={policy.max_orders_hour}"
        limited = policy.max_cost_hour is not None or policy.max_cost_month is not None
        if self._unknown and limited:
            one = self._unknown[0]
            return f"machine {one.machine} of {one.host} is being given back, and what it costs until then is not known"
        if price is None and limited:
            return "its price is not known, and the policy limits the cost: add it to 'prices:' of the provider entry"
        if policy.max_cost_hour is not None and rate > policy.max_cost_hour:
            sums = f"{self._rate:.2f} + {price:.2f} = {rate:.2f} an hour"
            return f"{sums} is more than MAX_COST_HOUR={policy.max_cost_hour:g}"
        whole = self._spent + rate * self._hours
        if policy.max_cost_month is not None and whole > policy.max_cost_month:
            sums = f"{self._spent:.2f} spent + {self._hours:.0f} h of {rate:.2f} = {whole:.2f}"
            return f"{sums} is more than MAX_COST_MONTH={policy.max_cost_month:g}"
        return ""

    def unpriced(self) -> str:
        """Say which hosts a limit on cost counts as nothing, as nobody tells their price; empty when there are none."""
        policy = self._policy
        limits = {"MAX_COST_HOUR": policy.max_cost_hour, "MAX_COST_MONTH": policy.max_cost_month}
        told = [name for name, limit in limits.items() if limit is not None]
        if not told or not self._unpriced:
            return ""
        more = f" and {len(self._unpriced) - NAMED} more" if len(self._unpriced) > NAMED else ""
        hosts = f"{', '.join(map(str, self._unpriced[:NAMED]))}{more}"
        return f"the price of host {hosts} is not known: {' and '.join(told)} counts it as 0 (set COST_HOUR there)"

    def take(self, price: float | None) -> None:
        """Count an order."""
        self._hosts += 1
        self._orders += 1
        self._rate += price or 0.0

    def affordable(self, offers: Iterable[Offer]) -> list[Offer]:
        """Return the offers that are within every limit."""
        return [one for one in offers if not self.refusal(one.price)]


def rate_of(state: State) -> float:
    """Return what the cluster costs an hour: its hosts, and machines that are still being given back."""
    prices = [*(one.price for one in state.hosts if one.member), *(one.price for one in state.returning)]
    return sum(one or 0.0 for one in prices)


def settle(state: State) -> Memory:
    """Add what all rented hosts cost since the last pass to what the month has cost, and drop what is over.

    A host counts from its order on, also while it is made: providers begin there; and until its machine is gone.
    Hosts that went behind our back since the last pass are not counted for that time.
    """
    memory, now = state.memory, state.now
    fresh = memory.month != state.month
    begin = max(memory.settled_at or now, state.month_began if fresh else 0.0)
    spent = 0.0 if fresh else memory.spent
    for host in state.hosts:
        if host.member and host.price:
            spent += host.price * max(0.0, now - max(begin, host.ordered_at)) / HOUR
    spent += sum(one.price or 0.0 for one in state.returning) * max(0.0, now - begin) / HOUR
    return replace(
        memory,
        month=state.month,
        spent=spent,
        settled_at=now,
        orders=tuple(one for one in memory.orders if one > now - HOUR),
        sold_out={plan: until for plan, until in memory.sold_out.items() if until > now},
        idle=_idle(state.hosts, memory, now),
        silent={one.id: memory.silent.get(one.id, now) for one in state.hosts if one.stage is Stage.SILENT},
    )


def _idle(hosts: Iterable[HostView], memory: Memory, now: float) -> dict[int, float]:
    return {one.id: memory.idle.get(one.id, now) for one in hosts if one.made and one.ready_at and not one.vms}
