"""Packing: nothing is lost or put where it does not fit, and the cost keeps its bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_drivers.agent.growth.devices import Device, Wish
from hybrid_drivers.agent.growth.packing import Counts, Group, NewHost, Offer, Size, cheapest, place
from hybrid_drivers.agent.growth.stock import Stock, Wants

PLANS = ("small", "large", "fat")
ALL = frozenset(PLANS)
SIZES = st.builds(Size, cpu=st.integers(1, 1600), memory=st.integers(1, 6400))
GROUPS = st.builds(
    Group,
    size=SIZES,
    plans=st.sets(st.sampled_from(PLANS), min_size=1).map(frozenset),
    hosts=st.sets(st.integers(0, 5)).map(frozenset),
)
COUNTS = st.dictionaries(GROUPS, st.integers(1, 12), max_size=8)
OFFERS = st.tuples(
    *(
        st.builds(
            Offer,
            plan=st.just(plan),
            size=st.builds(Size, cpu=st.integers(400, 4000), memory=st.integers(400, 16000)),
            price=st.one_of(st.none(), st.integers(1, 50).map(float)),
        )
        for plan in PLANS
    )
)
ANYWHERE = st.dictionaries(st.builds(Group, size=SIZES, plans=st.just(ALL), hosts=st.just(frozenset())), st.just(1))


def vm(cpu: int, memory: int) -> Group:
    return Group(Size(cpu, memory), ALL, frozenset())


def cost(hosts: Sequence[NewHost]) -> float:
    return sum(one.offer.cost for one in hosts)


def check_load(load: Counts, size: Size) -> None:
    assert sum(group.size.cpu * count for group, count in load.items()) <= size.cpu
    assert sum(group.size.memory * count for group, count in load.items()) <= size.memory


@given(COUNTS, st.lists(SIZES, max_size=6))
def test_placing_loses_nothing_and_overfills_nothing(counts: Counts, sizes: list[Size]) -> None:
    rooms = list(enumerate(sizes))
    left, placed = place(counts, rooms)
    for group, count in counts.items():
        assert left.get(group, 0) + sum(load.get(group, 0) for load in placed.values()) == count
        fitting = [host for host, size in rooms if host in group.hosts]
        assert all(host in fitting for host, load in placed.items() if group in load)
    for host, load in placed.items():
        check_load(load, sizes[host])


@given(COUNTS, OFFERS)
def test_new_hosts_hold_all_that_any_offer_holds(counts: Counts, offers: tuple[Offer, ...]) -> None:
    hosts, rest = cheapest(counts, offers)
    for host in hosts:
        assert host.load
        check_load(host.load, host.offer.size)
        assert all(host.offer.plan in group.plans for group in host.load)
    for group, count in counts.items():
        fits = any(one.plan in group.plans and one.size.holds(group.size) for one in offers)
        assert sum(host.load.get(group, 0) for host in hosts) == (count if fits else 0)
        assert rest.get(group, 0) == (0 if fits else count)


@given(
    st.dictionaries(st.builds(Group, size=SIZES, plans=st.just(ALL), hosts=st.just(frozenset())), st.integers(1, 90))
)
def test_the_cost_keeps_its_bound(counts: Counts) -> None:
    offers = (
        Offer("small", Size(1600, 6400), 1.0),
        Offer("large", Size(4000, 16000), 2.2),
        Offer("fat", Size(1600, 64000), 3),
    )
    hosts, _ = cheapest(counts, offers)
    for offer in offers:
        load = sum(n * (g.size.cpu / offer.size.cpu + g.size.memory / offer.size.memory) for g, n in counts.items())
        assert cost(hosts) <= offer.cost * (2 * load + 1) + 1e-9


@settings(deadline=None)
@given(
    st.lists(st.builds(Size, cpu=st.sampled_from([100, 200, 400]), memory=st.sampled_from([1000, 4000])), max_size=6)
)
def test_small_cases_are_near_the_optimum(sizes: list[Size]) -> None:
    offers = (Offer("small", Size(400, 4000), 1.0), Offer("large", Size(800, 16000), 1.8))
    counts: Counts = {}
    for size in sizes:
        group = Group(size, ALL, frozenset())
        counts[group] = counts.get(group, 0) + 1
    assert cost(cheapest(counts, offers)[0]) <= 1.5 * optimum(tuple(sizes), offers) + 1e-9


def optimum(sizes: tuple[Size, ...], offers: tuple[Offer, ...]) -> float:
    """Try everything."""

    @cache
    def least(rest: tuple[Size, ...]) -> float:
        if not rest:
            return 0.0
        best = float("inf")
        for offer in offers:
            for chosen in range(1, 2 ** len(rest), 2):  # the first one is always on it
                taken = [one for at, one in enumerate(rest) if chosen >> at & 1]
                if offer.size.holds(Size(sum(s.cpu for s in taken), sum(s.memory for s in taken))):
                    left = tuple(one for at, one in enumerate(rest) if not chosen >> at & 1)
                    best = min(best, offer.cost + least(left))
        return best

    return least(sizes)


# --- devices ---

KINDS = (1, 2)
WANTS = st.one_of(
    st.none(),
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=3).map(lambda kinds: Wants(tuple(map(Wish, kinds)))),
    st.just(Wants(roles=frozenset({(1, "web")}), shuns=frozenset({(1, "web")}))),
)
WANTING = st.dictionaries(
    st.builds(Group, size=SIZES, plans=st.just(ALL), hosts=st.sets(st.integers(0, 5)).map(frozenset), wants=WANTS),
    st.integers(1, 9),
    max_size=6,
)


def devices(*kinds: int) -> tuple[Device, ...]:
    return tuple(Device(kind, 0, 0) for kind in kinds)


STOCKS = st.lists(st.sampled_from(KINDS), max_size=4).map(lambda kinds: Stock(devices(*kinds)))


def wanted(load: Counts, kind: int) -> int:
    return sum(n * sum(wish.vendor == kind for wish in g.wants.devices) for g, n in load.items() if g.wants)


def apart(load: Counts) -> int:
    return sum(n for g, n in load.items() if g.wants and g.wants.shuns)


def check_stock(load: Counts, stock: Stock) -> None:
    for kind in KINDS:
        assert wanted(load, kind) <= sum(one.vendor == kind for one in stock.devices)
    assert apart(load) <= 1


@given(WANTING, st.lists(st.tuples(SIZES, STOCKS), max_size=6))
def test_existing_hosts_get_no_more_than_they_have_devices(counts: Counts, hosts: list[tuple[Size, Stock]]) -> None:
    rooms = [(number, size) for number, (size, _) in enumerate(hosts)]
    left, placed = place(counts, rooms, {number: stock for number, (_, stock) in enumerate(hosts)})
    for host, load in placed.items():
        check_load(load, hosts[host][0])
        check_stock(load, hosts[host][1])
    for group, count in counts.items():
        assert left.get(group, 0) + sum(load.get(group, 0) for load in placed.values()) == count


@given(WANTING, OFFERS, st.tuples(STOCKS, STOCKS, STOCKS))
def test_new_hosts_hold_what_they_have_devices_for(
    counts: Counts, offers: tuple[Offer, ...], stocks: tuple[Stock, ...]
) -> None:
    offers = tuple(replace(one, stock=stock) for one, stock in zip(offers, stocks, strict=True))
    hosts, rest = cheapest(counts, offers)
    for host in hosts:
        check_load(host.load, host.offer.size)
        check_stock(host.load, host.offer.stock)
    for group, count in counts.items():
        fits = any(one.holds(group) for one in offers)
        assert sum(host.load.get(group, 0) for host in hosts) == (count if fits else 0)
        assert rest.get(group, 0) == (0 if fits else count)


@given(WANTING)
def test_the_cost_keeps_its_bound_with_devices_as_dimensions(counts: Counts) -> None:
    offers = (
        Offer("small", Size(1600, 6400), 1.0, stock=Stock(devices(1, 1, 1, 2, 2, 2))),
        Offer("large", Size(4000, 16000), 2.2, stock=Stock(devices(1, 1, 1, 1, 2, 2, 2, 2))),
    )
    hosts, _ = cheapest(counts, offers)
    for offer in offers:
        load = sum(n * (g.size.cpu / offer.size.cpu + g.size.memory / offer.size.memory) for g, n in counts.items())
        load += sum(wanted(counts, k) / sum(d.vendor == k for d in offer.stock.devices) for k in KINDS) + apart(counts)
        assert cost(hosts) <= offer.cost * (2 * load + 1) + 1e-9


def test_a_host_with_a_device_is_rented_for_those_that_want_one_only() -> None:
    offers = (Offer("small", Size(800, 800), 1.0), Offer("large", Size(800, 800), 9.0, stock=Stock(devices(1))))
    gpu = Group(Size(100, 100), ALL, frozenset(), Wants((Wish(1),)))
    hosts, rest = cheapest({gpu: 2, vm(400, 400): 2}, offers)
    assert sorted(one.offer.plan for one in hosts) == ["large", "large"], "the others fit beside"
    assert (cost(hosts), rest) == (18.0, {})
    hosts, _ = cheapest({vm(400, 400): 3}, offers)
    assert {one.offer.plan for one in hosts} == {"small"}


def test_the_mix_is_the_cheapest() -> None:
    offers = (Offer("small", Size(800, 32), 1.0), Offer("large", Size(3200, 128), 3.0))
    hosts, _ = cheapest({vm(800, 32): 5}, offers)
    assert sorted(one.offer.plan for one in hosts) == ["large", "small"]
    assert cost(hosts) == 4.0


def test_a_plan_with_much_memory_is_taken_for_machines_with_much_memory() -> None:
    offers = (Offer("small", Size(800, 32), 1.0), Offer("fat", Size(800, 512), 2.0))
    hosts, _ = cheapest({vm(100, 30): 8}, offers)
    assert [one.offer.plan for one in hosts] == ["fat"]
