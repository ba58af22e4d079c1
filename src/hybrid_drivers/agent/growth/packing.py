"""Where virtual machines fit, and which new hosts hold the rest for the least money. Pure; dimensions: CPU, memory.

What few machines want besides (``Wants``: devices, NUMA nodes, company) is looked at after these two, and only for
those; they are placed first. Each such thing that can be counted, like devices of kinds that do not overlap, or places
for machines that stay apart, is one more dimension of the bound below. NUMA nodes leave rests that none describes.

``cheapest`` tries each offer alone (first fit, the largest first) and a greedy mix, then changes every host for the
cheapest offer that holds what is on it, and takes the best. Its bound: for every offer that holds each machine, the
result costs at most ``price * (2 * load + 1)``, where ``load`` is the sum over CPU and memory of all needs divided by
the offer's. For a host is begun only when a machine does not fit on the one begun before, so in one of the two
dimensions these two are more than full together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from hybrid_drivers.agent.growth.stock import EMPTY, Stock, Wants

OPEN: Final = 16  # of the hosts begun, the last so many are looked at again: a bound on time (the cost needs only one)
SPOT_SUFFIX: Final = " (spot)"
ALIKE: Final = 200  # with more groups no mix is looked for host by host: that takes groups times hosts


@dataclass(frozen=True, slots=True)
class Size:
    """An amount of both: CPU in percent of a core, memory in KiB, as oned counts them on hosts."""

    cpu: int
    memory: int

    def holds(self, need: Size) -> bool:
        """Tell whether ``need`` fits."""
        return need.cpu <= self.cpu and need.memory <= self.memory

    def times(self, need: Size, most: int) -> int:
        """Return how often ``need`` fits, ``most`` at most."""
        by_cpu = self.cpu // need.cpu if need.cpu > 0 else most
        by_memory = self.memory // need.memory if need.memory > 0 else most
        return max(0, min(most, by_cpu, by_memory))

    def less(self, need: Size, count: int = 1) -> Size:
        """Return what is left after ``count`` of ``need``."""
        return Size(self.cpu - need.cpu * count, self.memory - need.memory * count)

    def share(self, whole: Size) -> float:
        """Return the larger of the two parts of ``whole`` that it takes."""
        return max(self.cpu / max(1, whole.cpu), self.memory / max(1, whole.memory))


@dataclass(frozen=True, slots=True)
class Group:
    """Machines that are alike: what each needs, of which plans its host may be, and which existing hosts will do."""

    size: Size
    plans: frozenset[str]
    hosts: frozenset[int]
    wants: Wants | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """What can be rented: its capacity and its price an hour (None: nobody tells; counts as nothing).

    ``plan`` tells offers apart: the plan's name, with :data:`SPOT_SUFFIX` behind it for a spot machine, whose
    ``price`` is the most that it may cost and ``expected`` what it costs now.
    """

    plan: str
    size: Size
    price: float | None
    expected: float | None = None
    stock: Stock = EMPTY

    def holds(self, group: Group) -> bool:
        """Tell whether one machine of the group may run on such a host, and fits."""
        return self.plan in group.plans and self.size.holds(group.size) and self.stock.serves(group.wants)

    @property
    def cost(self) -> float:
        """Return what it costs now, as a number."""
        return self.cap if self.expected is None else self.expected

    @property
    def cap(self) -> float:
        """Return what it may cost, as a number."""
        return self.price or 0.0

    @property
    def spot(self) -> bool:
        """Tell whether the provider may take it back."""
        return self.plan.endswith(SPOT_SUFFIX)

    @property
    def rents(self) -> str:
        """Return the plan's own name."""
        return self.plan.removesuffix(SPOT_SUFFIX)


@dataclass(slots=True)
class NewHost:
    """A host to be rented, and how many of each group go on it."""

    offer: Offer
    free: Size
    stock: Stock = EMPTY
    load: dict[Group, int] = field(default_factory=dict)

    @classmethod
    def of(cls, offer: Offer) -> NewHost:
        """Return an empty one."""
        return cls(offer, offer.size, offer.stock)

    def take(self, group: Group, most: int) -> int:
        """Put as many of a group on it as fit; return how many."""
        count = self.free.times(group.size, most)
        if group.wants and count:
            count, self.stock = self.stock.take(group.wants, count)
        if count:
            self.free = self.free.less(group.size, count)
            self.load[group] = self.load.get(group, 0) + count
        return count

    @property
    def used(self) -> Size:
        """Return what its load takes."""
        return Size(self.offer.size.cpu - self.free.cpu, self.offer.size.memory - self.free.memory)


Counts = dict[Group, int]


def place(
    counts: Counts, rooms: Sequence[tuple[int, Size]], stocks: Mapping[int, Stock] | None = None
) -> tuple[Counts, dict[int, Counts]]:
    """Put machines on hosts that exist, ``rooms`` being their free room in the order they are to be filled.

    ``stocks``: what they have besides; a host that is not there has nothing. Returns what is left over, and for each
    host what was put on it.
    """
    free = {host: room for host, room in rooms if room.cpu > 0 and room.memory > 0}
    besides = dict(stocks or {})
    left: Counts = {}
    placed: dict[int, Counts] = {}
    for group, count in _largest_first(counts, _sum(free.values())):
        need, remaining = group.size, count
        able = [one for one, room in free.items() if room.cpu >= need.cpu and room.memory >= need.memory]
        for host in able:
            if not remaining:
                break
            if host not in group.hosts:
                continue
            taken = free[host].times(need, remaining)
            if group.wants:
                taken, besides[host] = besides.get(host, EMPTY).take(group.wants, taken)
                if not taken:
                    continue
            free[host] = free[host].less(need, taken)
            placed.setdefault(host, {})[group] = taken
            remaining -= taken
            if free[host].cpu <= 0 or free[host].memory <= 0:
                del free[host]
        if remaining:
            left[group] = remaining
    return left, placed


def cheapest(counts: Counts, offers: Sequence[Offer]) -> tuple[list[NewHost], Counts]:
    """Return new hosts for all that fit on any offer, the hosts with the most machines for the money first.

    The second value is what fits on none.
    """
    wanted = {group: count for group, count in counts.items() if any(one.holds(group) for one in offers)}
    rest = {group: count for group, count in counts.items() if group not in wanted}
    if not wanted:
        return [], rest
    sets = [_downsized(found, offers) for found in _candidates(wanted, offers)]
    best = min(sets, key=lambda hosts: (_cost(hosts), len(hosts), sum(one.offer.size.cpu for one in hosts)))
    return sorted(best, key=lambda one: one.offer.cost / max(1, sum(one.load.values()))), rest


def _candidates(wanted: Counts, offers: Sequence[Offer]) -> Iterable[list[NewHost]]:
    if len(wanted) <= ALIKE:
        yield _greedy(wanted, offers)
    for first in offers:
        hosts, left = _alone(wanted, first)
        for offer in sorted(offers, key=lambda one: one.cost / max(1, one.size.cpu)) if left else ():
            more, left = _alone(left, offer)
            hosts += more
        yield hosts


def _alone(counts: Counts, offer: Offer) -> tuple[list[NewHost], Counts]:
    """Put all that may on hosts of one offer, by first fit."""
    hosts: list[NewHost] = []
    left: Counts = {}
    for group, count in _largest_first(counts, offer.size):
        if not offer.holds(group):
            left[group] = count
            continue
        remaining = count
        for host in hosts[-OPEN:]:
            if not remaining:
                break
            remaining -= host.take(group, remaining)
        while remaining:
            hosts.append(NewHost.of(offer))
            remaining -= hosts[-1].take(group, remaining)
    return hosts, left


def _greedy(counts: Counts, offers: Sequence[Offer]) -> list[NewHost]:
    """Take again and again the host that holds the most for its price; as many alike as its load goes."""
    left, hosts = dict(counts), []
    while left:
        whole = _sum(Size(g.size.cpu * n, g.size.memory * n) for g, n in left.items())
        filled = [host for offer in offers if (host := _filled(left, offer)).load]
        best = min(filled, key=lambda host: (host.offer.cost / _worth(host.used, whole), -_worth(host.used, whole)))
        again = min(left[group] // count for group, count in best.load.items())
        for group, count in best.load.items():
            left[group] -= count * again
            if not left[group]:
                del left[group]
        hosts += [NewHost(best.offer, best.free, best.stock, dict(best.load)) for _ in range(again)]
    return hosts


def _filled(counts: Counts, offer: Offer) -> NewHost:
    host = NewHost.of(offer)
    for group, count in _largest_first(counts, offer.size):
        if offer.plan in group.plans:
            host.take(group, count)
        if host.free.cpu <= 0 or host.free.memory <= 0:
            break
    return host


def _worth(used: Size, whole: Size) -> float:
    """Return how much of all that waits it takes off: both dimensions count alike."""
    return used.cpu / max(1, whole.cpu) + used.memory / max(1, whole.memory) or 1e-9


def _downsized(hosts: list[NewHost], offers: Sequence[Offer]) -> list[NewHost]:
    """Change each host for the cheapest offer that holds its load."""
    return [_smaller(host, offers) for host in hosts]


def _smaller(host: NewHost, offers: Sequence[Offer]) -> NewHost:
    used = host.used
    able = [o for o in offers if o.size.holds(used) and all(o.plan in group.plans for group in host.load)]
    if any(group.wants for group in host.load):
        able = [one for one in able if _filled(host.load, one).load == host.load]
    best = min([host.offer, *able], key=attrgetter("cost"))
    return NewHost(best, best.size.less(used), load=host.load)


def _largest_first(counts: Counts, whole: Size) -> list[tuple[Group, int]]:
    """Return groups in the order they are placed: those that want something special before all others."""
    return sorted(counts.items(), key=lambda one: (bool(one[0].wants), one[0].size.share(whole)), reverse=True)


def _sum(sizes: Iterable[Size]) -> Size:
    found = list(sizes)
    return Size(sum(one.cpu for one in found), sum(one.memory for one in found))


def _cost(hosts: Sequence[NewHost]) -> float:
    return sum(one.offer.cost for one in hosts)
