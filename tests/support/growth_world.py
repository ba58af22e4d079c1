"""A cloud that grows, as a discrete-event simulation under a virtual clock: VMs, a scheduler, a provider, the decision.

Every action goes through :meth:`GrowthWorld._do`, which refuses what must never happen, so a trace that runs to its end
has kept the rules.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from hybrid_drivers.agent.growth.decide import decide
from hybrid_drivers.agent.growth.limits import AHEAD
from hybrid_drivers.agent.growth.memory import HOUR, Memory, read, render
from hybrid_drivers.agent.growth.model import (
    Action,
    Disable,
    Enable,
    HostView,
    Migrate,
    Order,
    Returning,
    Stage,
    State,
    Waiting,
)
from hybrid_drivers.agent.growth.packing import Offer, Size
from hybrid_drivers.agent.growth.policy import Policy
from hybrid_drivers.agent.growth.schedule import Moment

GIB = 1024 * 1024  # KiB
OFFERS = (
    Offer("small", Size(800, 32 * GIB), 0.5),
    Offer("large", Size(2400, 64 * GIB), 1.3),
    Offer("huge", Size(4800, 384 * GIB), 3.5),
)
PLANS = frozenset(one.plan for one in OFFERS)
MONTH = 30 * 24 * HOUR


@dataclass
class Vm:
    """A VM that arrives, waits, runs for ``lifetime`` seconds on one host, and ends."""

    id: int
    arrives: float
    lifetime: float
    size: Size
    host: int | None = None
    started: float = 0.0


@dataclass
class Machine:
    """A host of the simulation."""

    id: int
    plan: str
    ordered: float
    ready: float  # when it will be
    fails: bool = False
    sold_out: bool = False
    disabled: bool = False
    retires: bool = False
    made: bool = True
    protected: bool = False
    vms: set[int] = field(default_factory=set)


@dataclass
class Provider:
    """How the provider is: seconds until a host is ready, the part that fails, plans sold out at a time."""

    ready_after: Callable[[random.Random], float] = lambda _: 300.0
    failing: float = 0.0
    drought: Callable[[float], frozenset[str]] = lambda _: frozenset()
    keeps: float = 0.0  # seconds it has a machine, and is paid for it, after that was given back


class GrowthWorld:
    """One run."""

    def __init__(
        self,
        policy: Policy,
        vms: Iterable[Vm],
        *,
        provider: Provider | None = None,
        seed: int = 0,
        crashes: float = 0.0,
        step: float = 30.0,
    ) -> None:
        self.policy, self.provider = policy, provider or Provider()
        self.vms = {one.id: one for one in vms}
        self.random = random.Random(seed)
        self.crashes, self.step = crashes, step
        self.now, self.memory = 0.0, Memory()
        self.hosts: dict[int, Machine] = {}
        self.ids = count(1)
        self.orders: list[float] = []
        self.deletes: list[tuple[float, Machine]] = []
        self.notes: list[str] = []
        self.kept: dict[int, tuple[float, str]] = {}  # machines on their way back: until when, and their plan
        self.host_seconds = self.used_seconds = self.money = 0.0
        self.offers: tuple[Offer, ...] = OFFERS
        self.waits: list[float] = []
        self.actions: list[tuple[float, object]] = []

    def run(self, until: float) -> GrowthWorld:
        """Let time go on; on every step VMs come and go, the scheduler places, and growing decides."""
        while self.now < until:
            self.now += self.step
            self.kept = {one: told for one, told in self.kept.items() if told[0] > self.now}
            self._end_vms()
            self._schedule()
            self._pass()
            self._pay()
        return self

    # --- the world ---

    def _end_vms(self) -> None:
        for vm in self.vms.values():
            if vm.host is not None and self.now >= vm.started + vm.lifetime:
                self.hosts[vm.host].vms.discard(vm.id)
                vm.host, vm.lifetime = None, -1.0

    def _schedule(self) -> None:
        able = [one for one in self.hosts.values() if self.stage(one) is Stage.USABLE]
        for vm in sorted(self.waiting(), key=lambda one: one.arrives):
            for host in able:
                if self.room(host).holds(vm.size):
                    host.vms.add(vm.id)
                    vm.host, vm.started = host.id, self.now
                    self.waits.append(self.now - vm.arrives)
                    break

    def waiting(self) -> list[Vm]:
        return [one for one in self.vms.values() if one.arrives <= self.now and one.host is None and one.lifetime >= 0]

    def stage(self, host: Machine) -> Stage:
        if host.sold_out:
            return Stage.SOLD_OUT
        if self.now < host.ready:
            return Stage.COMING
        if host.fails:
            return Stage.FAILED
        return Stage.DISABLED if host.disabled else Stage.USABLE

    def room(self, host: Machine) -> Size:
        size = offer(host.plan).size
        for vm_id in host.vms:
            size = size.less(self.vms[vm_id].size)
        return size

    def _pay(self) -> None:
        self.host_seconds += len(self.hosts) * self.step
        self.used_seconds += sum(bool(one.vms) for one in self.hosts.values()) * self.step
        self.money += sum(offer(one.plan).cost for one in self.hosts.values()) * self.step / HOUR

    # --- growing ---

    def state(self) -> State:
        waiting = tuple(
            Waiting(id=one.id, size=one.size, since=one.arrives, plans=PLANS, hosts=frozenset(self.hosts))
            for one in self.waiting()
        )
        minute = int(self.now // 60)
        return State(
            now=self.now,
            moment=Moment(weekday=minute // 1440 % 7, minute=minute % 1440),
            month=f"m{int(self.now // MONTH)}",
            month_left=MONTH - self.now % MONTH,
            policy=self.policy,
            policy_digest="p",
            memory=read(render(self.memory)),  # what survives in oned is all there is
            hosts=tuple(self._view(one) for one in self.hosts.values()),
            waiting=waiting,
            offers=self.offers,
            returning=tuple(
                Returning(machine=f"m{one}", host=f"h{one}", price=offer(plan).price)
                for one, (_, plan) in self.kept.items()
            ),
        )

    def _view(self, host: Machine) -> HostView:
        stage = self.stage(host)
        ready = host.ready if stage in (Stage.USABLE, Stage.DISABLED) else 0.0
        return HostView(
            id=host.id,
            name=f"h{host.id}",
            stage=stage,
            plan=host.plan,
            room=self.room(host),
            vms=len(host.vms),
            member=True,
            made=host.made,
            protected=host.protected,
            price=offer(host.plan).price,
            ordered_at=host.ordered,
            ready_at=ready,
        )

    def _pass(self) -> None:
        decision = decide(self.state())
        self.memory = decision.memory
        self.notes += decision.notes
        for action in decision.actions:
            if self.random.random() < self.crashes:
                return  # killed: what was remembered is in oned, the rest of the actions is not done
            self.actions.append((self.now, action))
            self._do(action)

    def _do(self, action: Action) -> None:
        assert not isinstance(action, Migrate), "nobody consolidates here"
        if isinstance(action, Order):
            self._order(action)
            return
        host = self.hosts[action.host_id]
        assert host.made, "a host of other people was touched"
        if isinstance(action, Enable):
            assert host.disabled
            assert not host.retires
            host.disabled = False
            return
        assert not host.protected
        stage = self.stage(host)
        if isinstance(action, Disable):
            assert stage is Stage.USABLE
            assert not host.vms or action.retire
            assert not action.retire or self.now - host.ordered > self.policy.max_host_age
            host.disabled, host.retires = True, action.retire
        elif stage in (Stage.FAILED, Stage.SOLD_OUT):
            del self.hosts[host.id]
        else:
            self._delete(host)

    def _delete(self, host: Machine) -> None:
        assert not host.vms, "a host with a VM was deleted"
        assert host.disabled, "a host that may get a VM was deleted"
        there = [one for one in self.hosts.values() if self.stage(one) is Stage.USABLE]
        assert len(there) >= self.floors().min_hosts, "below MIN_HOSTS"
        assert self.now - max(self.orders, default=-1e9) >= self.policy.cooldown
        del self.hosts[host.id]
        self.kept[host.id] = (self.now + self.provider.keeps, host.plan)
        if not host.retires:  # that is no shrinking
            self.deletes.append((self.now, host))

    def _order(self, action: Order) -> None:
        limits, found = self.policy, offer(action.plan)
        plans = [*(one.plan for one in self.hosts.values()), *(plan for _, plan in self.kept.values())]
        rate = sum(offer(plan).cost for plan in plans) + found.cost
        assert len(plans) < limits.max_hosts, "over MAX_HOSTS"
        assert limits.max_cost_hour is None or rate <= limits.max_cost_hour + 1e-9, "over MAX_COST_HOUR"
        assert sum(one > self.now - HOUR for one in self.orders) < limits.max_orders_hour, "over MAX_ORDERS_HOUR"
        if limits.max_cost_month is not None:
            assert self.month_cost() + rate * min(AHEAD, MONTH) / HOUR <= limits.max_cost_month * 1.01
        if action.vms:
            recent = max((when for when, _ in self.deletes), default=-1e9)
            assert self.now - recent >= limits.cooldown, "ordered for VMs right after giving a host back"
        self.orders.append(self.now)
        sold_out = action.plan in self.provider.drought(self.now)
        fails = self.random.random() < self.provider.failing
        ready = self.now + self.provider.ready_after(self.random)
        number = next(self.ids)
        self.hosts[number] = Machine(number, action.plan, self.now, ready, fails=fails, sold_out=sold_out)

    def month_cost(self) -> float:
        return self.memory.spent

    def floors(self) -> Policy:
        return self.policy.at(self.state().moment)


def offer(plan: str) -> Offer:
    return next(one for one in OFFERS if one.plan == plan)


# --- traces -----------------------------------------------------------------------------------------------------------


def burst(seed: int, *, size: int = 60, at: Sequence[float] = (3600, 18000), lifetime: float = 5400) -> list[Vm]:
    """VMs that come all at once, some times."""
    chance = random.Random(seed)
    numbers = count(1)
    return [
        Vm(next(numbers), when + chance.uniform(0, 120), lifetime * chance.uniform(0.5, 1.5), _size(chance))
        for when in at
        for _ in range(size)
    ]


def diurnal(seed: int, *, days: int = 2, peak: float = 30.0) -> list[Vm]:
    """Many by day, few by night: arrivals an hour follow the hour."""
    chance = random.Random(seed)
    numbers, found = count(1), []
    for hour in range(24 * days):
        rate = peak * max(0.05, 1 - abs(hour % 24 - 14) / 8)
        found += [
            Vm(next(numbers), (hour + chance.random()) * HOUR, chance.expovariate(1 / 5400), _size(chance))
            for _ in range(round(rate * chance.uniform(0.6, 1.4)))
        ]
    return found


def sawtooth(seed: int, *, period: float = 3600, waves: int = 8, size: int = 20) -> list[Vm]:
    """Waves just long enough to tempt a scaler into giving back what the next wave needs."""
    chance = random.Random(seed)
    numbers = count(1)
    return [
        Vm(next(numbers), wave * period + chance.uniform(0, 60), period * 0.45, _size(chance))
        for wave in range(waves)
        for _ in range(size)
    ]


def _size(chance: random.Random) -> Size:
    cpu = chance.choice([100, 200, 400, 800])
    return Size(cpu, cpu // 100 * chance.choice([2, 4, 8]) * GIB)


def shifted(vms: Iterable[Vm], seconds: float) -> list[Vm]:
    return [replace(one, arrives=one.arrives + seconds) for one in vms]
