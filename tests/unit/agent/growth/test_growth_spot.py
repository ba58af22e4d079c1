"""Spot machines in growing: which are offered, what they count for, and what takes over when there are none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.agent.growth.test_growth_decisions import NOW, POLICY, decided, host, ordered, vm

from hybrid_drivers.agent.accounts import Account
from hybrid_drivers.agent.growth import interrupted, spot_offers
from hybrid_drivers.agent.growth.memory import Memory, read, render
from hybrid_drivers.agent.growth.model import Delete, HostView, Order, Stage, Waiting
from hybrid_drivers.agent.growth.packing import SPOT_SUFFIX, Offer, Size
from hybrid_drivers.agent.growth.policy import Policy
from hybrid_drivers.agent.growth.view import Cloud, facts_to_be, view_host
from hybrid_drivers.agent.spot import GONE_BY
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Cluster, Host, HostState, Placement, Template, Vm
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.oned.requirements import parse
from hybrid_drivers.providers.base import Price, ProviderEntry

GIB = 1024 * 1024
SMALL = Offer("small", Size(800, 32 * GIB), 0.5)
SPOT = Offer("small" + SPOT_SUFFIX, SMALL.size, 0.5, 0.1)
BOTH = (SPOT, SMALL)
PLANS = frozenset(one.plan for one in BOTH)
REMEMBERED = Memory(policy="p", month="2026-11", settled_at=NOW - 30)


def waits(number: int, cpu: int = 800) -> Waiting:
    return vm(number, cpu, plans=PLANS)


def spot_host(number: int, stage: Stage = Stage.USABLE, *, vms: int = 1, room: Size = SMALL.size) -> HostView:
    return replace(host(number, stage), spot=True, plan=SPOT.plan, vms=vms, room=room)


# --- offers ---


class Market:
    """A provider with one place, whose spot price is given."""

    def __init__(self, price: float | None, entry: Mapping[str, float]) -> None:
        self.price = price
        self.entry = ProviderEntry(name="acme", driver="dummy", settings={"spot_prices": dict(entry)})
        self.asked: list[Mapping[str, str]] = []

    def placements(self, attributes: Mapping[str, str]) -> tuple[Placement, ...]:
        self.asked.append(attributes)
        return (Placement(plan=attributes["PLAN"], place="here"),)

    def spot_price_hour(self, plan: str, place: str) -> Price | None:
        assert (plan, place) == ("small", "here")
        return None if self.price is None else Price(amount=self.price)


def offered(
    policy: Policy,
    offer: Offer = SMALL,
    price: float | None = 0.1,
    table: Mapping[str, float] | None = None,
    **own: str,
) -> tuple[list[Offer], list[str]]:
    account = cast(Account, SimpleNamespace(name="acme", provider=Market(price, table or {})))
    return spot_offers.with_spot(policy, [offer], account, own, "PLAN")


def policy(wanted: str, cap: float | None = None) -> Policy:
    return replace(POLICY, spot=wanted, spot_max_price=cap)


def test_yes_offers_both_only_offers_one_no_offers_what_there_was() -> None:
    assert offered(policy("yes")) == ([SPOT, SMALL], [])
    assert offered(policy("only")) == ([SPOT], [])
    assert offered(policy("no")) == ([SMALL], [])


@pytest.mark.parametrize(
    ("cap", "on_demand", "limit"), [(None, 0.5, 0.5), (0.2, 0.5, 0.2), (9.0, 0.5, 0.5), (0.2, None, 0.2)]
)
def test_a_spot_machine_may_cost_the_cap_and_never_more_than_on_demand(
    cap: float | None, on_demand: float | None, limit: float
) -> None:
    (found, *_), problems = offered(policy("yes", cap), replace(SMALL, price=on_demand))
    assert (found.price, found.cost, problems) == (limit, 0.1, [])
    assert spot_offers.order(found) == {"SPOT_INSTANCE": "YES", "SPOT_PRICE_MAX": f"{limit:g}"}


def test_the_price_now_is_the_providers_then_the_entrys_then_the_cap() -> None:
    assert offered(policy("only"), price=0.1, table={"small": 0.3})[0][0].cost == 0.1
    assert offered(policy("only"), price=None, table={"small": 0.3})[0][0].cost == 0.3
    assert offered(policy("only"), price=None)[0][0].cost == 0.5


def test_without_a_cap_or_above_it_there_is_no_spot_offer_and_that_is_said() -> None:
    offers, problems = offered(policy("yes"), replace(SMALL, price=None))
    assert ([one.plan for one in offers], len(problems)) == (["small"], 1)
    assert "small has no spot offer: set SPOT_MAX_PRICE" in problems[0]
    offers, problems = offered(policy("yes", 0.2), price=0.3)
    assert (offers, problems) == ([SMALL], ["small has no spot offer: it costs more than 0.2 now"])


def test_of_several_places_those_count_that_are_within_the_cap() -> None:
    prices = {"near": 0.3, "far": 0.1, "gold": 0.9}
    market = Market(None, {f"small@{place}": price for place, price in prices.items()})
    places = tuple(Placement(plan="small", place=one) for one in prices)
    provider = SimpleNamespace(entry=market.entry, placements=lambda _: places)
    account = cast(Account, SimpleNamespace(name="acme", provider=provider))
    (found,), problems = spot_offers.with_spot(policy("only", 0.4), [SMALL], account, {}, "PLAN")
    assert (found.price, found.expected, problems) == (0.4, 0.3, [])


def test_provision_alone_may_ask_for_spot_machines_but_not_besides_elastic() -> None:
    offers, _ = offered(policy("no"), SPOT_INSTANCE="YES", SPOT_PRICE_MAX="0.4")
    assert [(one.plan, one.price) for one in offers] == [(SPOT.plan, 0.4)]
    with pytest.raises(ConfigError, match="take SPOT_INSTANCE and SPOT_PRICE_MAX out of PROVISION"):
        offered(policy("yes"), SPOT_PRICE_MAX="0.4")


# --- decisions ---


def test_the_cheaper_spot_offer_is_taken_and_counts_with_its_cap() -> None:
    found = decided(waits(1), offers=BOTH)
    (order,) = found.actions
    assert isinstance(order, Order)
    assert (order.plan, order.price) == (SPOT.plan, 0.5)
    limited = decided(waits(1), offers=BOTH, policy=replace(POLICY, max_cost_hour=0.4))
    assert (ordered(limited), "0.50 an hour is more than MAX_COST_HOUR" in limited.notes[0]) == ([], True)


@pytest.mark.parametrize("stage", [Stage.SOLD_OUT, Stage.FAILED])
def test_what_is_sold_out_as_spot_is_ordered_on_demand_at_once(stage: Stage) -> None:
    found = decided(waits(1), spot_host(3, stage), offers=BOTH)
    assert ordered(found) == ["small"]
    assert [one.host_id for one in found.actions if isinstance(one, Delete)] == [3]
    assert {*read(render(found.memory)).sold_out} == {SPOT.plan}
    again = decided(waits(1), offers=BOTH, memory=found.memory)
    assert ordered(again) == ["small"]


def test_on_demand_that_is_sold_out_leaves_spot() -> None:
    memory = replace(REMEMBERED, sold_out={"small": NOW + 60})
    assert ordered(decided(waits(1), offers=BOTH, memory=memory)) == [SPOT.plan]


def test_floors_are_on_demand_unless_there_are_spot_offers_only() -> None:
    least = replace(POLICY, min_hosts=1)
    assert ordered(decided(offers=BOTH, policy=least)) == ["small"]
    assert ordered(decided(offers=(SPOT,), policy=least)) == [SPOT.plan]
    assert ordered(decided(spot_host(3), offers=BOTH, policy=least)) == ["small"]
    assert ordered(decided(spot_host(3), offers=(SPOT,), policy=least)) == []
    gone = replace(REMEMBERED, sold_out={"small": NOW + 60})
    assert ordered(decided(offers=BOTH, policy=least, memory=gone)) == []


def test_a_floor_of_on_demand_hosts_is_not_given_back_for_a_spot_host() -> None:
    least = replace(POLICY, min_hosts=1)
    found = decided(host(1), spot_host(2, vms=0), offers=BOTH, policy=least)
    assert [getattr(one, "host_id", None) for one in found.actions] == [2]


def test_a_host_that_is_taken_back_is_no_room_and_never_enabled_again() -> None:
    memory = replace(REMEMBERED, disabled={3: NOW - 9}, deleted_at=NOW - 1)  # COOLDOWN does not hold it up
    leaving = spot_host(3, Stage.LEAVING)
    found = decided(waits(1), leaving, offers=BOTH, memory=memory)
    assert (ordered(found), len(found.actions)) == ([SPOT.plan], 1)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.sampled_from([100, 400, 800, 1600]), max_size=12),
    prices=st.tuples(st.floats(0.1, 2), st.floats(0.1, 2), st.floats(0, 1), st.floats(0, 1)),
    limit=st.floats(0, 6),
    sold_out=st.sets(st.sampled_from(["small", "small (spot)", "large", "large (spot)"])),
    least=st.integers(0, 3),
)
def test_no_order_is_over_the_limit_at_its_cap_or_of_what_is_sold_out(
    sizes: list[int], prices: tuple[float, float, float, float], limit: float, sold_out: set[str], least: int
) -> None:
    offers = tuple(
        one
        for plan, size, price, now in (("small", 800, prices[0], prices[2]), ("large", 1600, prices[1], prices[3]))
        for one in (
            Offer(plan + SPOT_SUFFIX, Size(size, 64 * GIB), price, price * now),
            Offer(plan, Size(size, 64 * GIB), price),
        )
    )
    caps = {one.plan: one.price or 0.0 for one in offers}
    waiting = [vm(number, size, plans=frozenset(caps)) for number, size in enumerate(sizes)]
    memory = replace(REMEMBERED, sold_out=dict.fromkeys(sold_out, NOW + 60))
    wanted = replace(POLICY, max_cost_hour=limit, min_hosts=least, spot="yes")
    found = decided(*waiting, policy=wanted, memory=memory, offers=offers)
    assert sum(caps[one] for one in ordered(found)) <= limit + 1e-9
    assert not sold_out & {*ordered(found)}
    floors = [one.plan for one in found.actions if isinstance(one, Order) and not one.vms]
    assert not any(one.endswith(SPOT_SUFFIX) for one in floors)


# --- what oned shows ---


def rented(number: int, *told: tuple[str, str | dict[str, str]], **more: object) -> Host:
    template = Template(
        [("GROWTH", {"CLUSTER_ID": "100", "PLAN": "small"}), ("PROVISION", {"DEPLOY_ID": "m-1"}), ("SPOT", "YES"),
         ("PROVISION_READY", "5"), *told]
    )  # fmt: skip
    made = Host(
        id=number, name="h", state=HostState.DISABLED, im_mad="provision", vm_mad="kvm", cluster_id=100,
        template=template, max_cpu=800, max_memory=32 * GIB,
    )  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]


NOTICE = ("PROVISION_INTERRUPTION", {"MACHINE": "m-1", "NOTICED": "9"})
OTHERS = ("PROVISION_INTERRUPTION", {"MACHINE": "m-0", "NOTICED": "9"})


def test_a_notice_makes_a_host_leave_while_it_is_for_its_machine() -> None:
    assert view_host(rented(3, NOTICE), 100, 19.0).stage is Stage.LEAVING
    assert view_host(rented(3, NOTICE, state=HostState.MONITORED), 100, 19.0).stage is Stage.LEAVING
    assert view_host(rented(3, OTHERS), 100, NOW).stage is Stage.DISABLED
    assert view_host(rented(3, NOTICE, ("PROVISION_FAILURE", {"REASON": "gone"})), 100, NOW).stage is Stage.LOST
    assert view_host(rented(3), 100, NOW).plan == SPOT.plan
    late = {"MACHINE": "m-1", "NOTICED": "9", "DISABLES": "YES"}
    spared = view_host(rented(3, ("PROVISION_INTERRUPTION", late)), 100, 10.0 + GONE_BY)
    assert (spared.stage, spared.spared) == (Stage.DISABLED, True)


@pytest.mark.parametrize(
    ("requirement", "spot_meets", "other_meets"),
    [('SPOT = "YES"', True, False), ('!(SPOT = "YES")', False, True), ('SPOT != "YES"', False, False)],
)
def test_requirements_see_which_offers_are_spot(requirement: str, spot_meets: bool, other_meets: bool) -> None:
    cluster = Cluster(id=100, name="edge", host_ids=(), template=Template())
    sibling = rented(3, ("ARCH", "x86_64"))
    met = [parse(requirement).met_by(facts_to_be(cluster, one, sibling, "kvm")) for one in BOTH]
    assert met == [spot_meets, other_meets]
    assert facts_to_be(cluster, SPOT, sibling, "kvm").of("PROVISION/PLAN") == ["small"]


def test_vms_of_a_host_that_leaves_wait_until_they_are_on_their_way() -> None:
    def one(vm_id: int, **more: object) -> Vm:
        made = Vm(
            id=vm_id, name="vm", state=3, lcm_state=3, cpu=1, memory=1, host_id=3, template=Template(),
            user_template=Template(),
        )  # fmt: skip
        return replace(made, **more)  # type: ignore[arg-type]

    vms = {1: one(1), 2: one(2, host_id=4), 5: one(5, state=8), 6: one(6, state=6)}
    oned = cast(Oned, SimpleNamespace(whole_vms=lambda: list(vms.values())))
    hosts = [rented(3, NOTICE, vm_ids=(1, 2, 5, 6)), rented(4, vm_ids=(2, 7))]
    assert [found.id for found in interrupted.displaced(oned, hosts, 19.0)] == [1, 5]
    cloud = Cloud(
        now=19.0, hosts=hosts, clusters={}, datastores=(), vms=[vms[1], replace(vms[2], state=1, host_id=None)]
    )
    assert [[found.id for found in interrupted.of_cluster(cloud, cluster).vms] for cluster in (100, 7)] == [[1, 2], [2]]
    assert interrupted.displaced(oned, hosts, 19.0 + GONE_BY) == []  # nobody rents for what is stuck for ever


def test_a_notice_is_told_once_in_the_events_of_its_cluster() -> None:
    (line,) = interrupted.events("", [rented(3, NOTICE), rented(4, OTHERS), rented(5, NOTICE, cluster_id=7)], 100)
    assert line == "host 3: the provider takes spot machine m-1 back, its VMs are to move"
    assert interrupted.events(f"2026 {line}", [rented(3, NOTICE)], 100) == []
