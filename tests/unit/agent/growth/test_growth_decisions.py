"""Growing decided: single decisions, and whole traces that must keep the rules (``growth_world`` asserts them)."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.growth_world import GIB, OFFERS, PLANS, GrowthWorld, Provider, Vm, burst, diurnal, sawtooth

from hybrid_drivers.agent.growth.decide import decide
from hybrid_drivers.agent.growth.devices import Device, Wish
from hybrid_drivers.agent.growth.memory import HOUR, Memory, is_changed, read, render
from hybrid_drivers.agent.growth.model import (
    Decision,
    Delete,
    Disable,
    Enable,
    HostView,
    Order,
    Returning,
    Stage,
    State,
    Waiting,
)
from hybrid_drivers.agent.growth.packing import Offer, Size
from hybrid_drivers.agent.growth.policy import Policy
from hybrid_drivers.agent.growth.schedule import Moment, read_schedule
from hybrid_drivers.agent.growth.stock import Stock, Wants

NOW = 1_000_000.0
POLICY = Policy(max_hosts=8)


def vm(number: int, cpu: int = 400, *, waited: float = 100.0, **more: object) -> Waiting:
    made = Waiting(id=number, size=Size(cpu, 4 * GIB), since=NOW - waited, plans=PLANS, hosts=frozenset(range(100)))
    return replace(made, **more)  # type: ignore[arg-type]


def host(number: int, stage: Stage = Stage.USABLE, *, plan: str = "small", **more: object) -> HostView:
    size = next(one.size for one in OFFERS if one.plan == plan)
    made = HostView(
        id=number, name=f"h{number}", stage=stage, plan=plan, room=size, member=True, made=True, price=0.5,
        ordered_at=NOW - 7200, ready_at=NOW - 7000 if stage in (Stage.USABLE, Stage.DISABLED) else 0.0,
    )  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]


def decided(
    *things: Waiting | HostView | Returning,
    policy: Policy = POLICY,
    memory: Memory | None = None,
    offers: tuple[Offer, ...] = OFFERS,
    moment: Moment | None = None,
    month_began: float = 0.0,
) -> Decision:
    hosts = tuple(one for one in things if isinstance(one, HostView))
    idle = {one.id: NOW - 5000 for one in hosts if one.ready_at and not one.vms}
    return decide(
        State(
            now=NOW,
            moment=moment or Moment(weekday=0, minute=600),
            month="2026-11",
            month_left=10 * 24 * HOUR,
            month_began=month_began,
            policy=policy,
            policy_digest="p",
            memory=memory or Memory(idle=idle, policy="p", month="2026-11", settled_at=NOW - 30),
            hosts=hosts,
            waiting=tuple(one for one in things if isinstance(one, Waiting)),
            offers=offers,
            returning=tuple(one for one in things if isinstance(one, Returning)),
        )
    )


def ordered(decision: Decision) -> list[str]:
    return [one.plan for one in decision.actions if isinstance(one, Order)]


# --- growing ---


def test_a_waiting_vm_gets_the_cheapest_host() -> None:
    found = decided(vm(1))
    assert found.actions == (Order(plan="small", price=0.5, reason="1 VMs wait and fit on it", vms=(1,)),)
    assert (found.memory.orders, found.memory.ordered_at) == ((NOW,), NOW)


def test_vms_that_must_share_a_host_are_ordered_for_and_told_together() -> None:
    found = decided(vm(1, 800, mates=(5, 6)), vm(2, 800, mates=(7,), problem="nothing suits them"))
    assert found.actions == (Order(plan="small", price=0.5, reason="3 VMs wait and fit on it", vms=(1, 5, 6)),)
    assert found.waits == {
        **dict.fromkeys((1, 5, 6), "waits for a new host"),
        **dict.fromkeys((2, 7), "nothing suits them"),
    }


def test_a_host_without_the_device_is_no_room_for_who_wants_it() -> None:
    gpu = Stock((Device(1, 2, 3),))
    offers = (OFFERS[0], replace(OFFERS[1], stock=gpu))
    wants = Wants((Wish(vendor=1),))
    assert ordered(decided(vm(1, wants=wants), host(1), offers=offers)) == ["large"]
    assert ordered(decided(vm(1, wants=wants), host(1, stock=gpu), offers=offers)) == []
    coming = host(1, Stage.COMING, plan="large", stock=gpu)
    assert ordered(decided(vm(1, wants=wants), vm(2, wants=wants), coming, offers=offers)) == ["large"]


@pytest.mark.parametrize(
    "things",
    [
        (vm(1, waited=30),),  # not long enough
        (vm(1), host(7)),  # free room
        (vm(1), host(7, Stage.COMING)),  # on its way
        (vm(1, problem="[DS] only"),),
        (vm(1, plans=frozenset()),),
        (vm(1, 4900),),  # on no plan
    ],
)
def test_nothing_is_ordered(things: tuple[Waiting | HostView, ...]) -> None:
    assert ordered(decided(*things)) == []


def test_room_that_requirements_refuse_is_no_room() -> None:
    assert ordered(decided(vm(1, hosts=frozenset({8})), host(7))) == ["small"]
    assert ordered(decided(vm(1, plans=frozenset({"large"})))) == ["large"]


def test_many_are_packed() -> None:
    assert sorted(ordered(decided(*(vm(number, 800) for number in range(7))))) == ["large", "large", "small"]


def test_a_host_on_its_way_holds_only_what_fits() -> None:
    found = decided(*(vm(number, 400) for number in range(3)), host(7, Stage.COMING))
    assert ordered(found) == ["small"]


# --- limits ---


@pytest.mark.parametrize(
    ("policy", "memory", "told"),
    [
        (Policy(max_hosts=1), Memory(), "1 hosts are MAX_HOSTS=1"),
        (Policy(max_hosts=8, max_cost_hour=0.9), Memory(), "0.50 + 0.50 = 1.00 an hour is more than MAX_COST_HOUR=0.9"),
        (
            Policy(max_hosts=8, max_cost_month=120),
            Memory(month="2026-11", spent=100.0, settled_at=NOW),
            "100.00 spent + 24 h of 1.00 = 124.00 is more than MAX_COST_MONTH=120",
        ),
        (Policy(max_hosts=8, max_orders_hour=2), Memory(orders=(NOW - 10, NOW - 20)), "MAX_ORDERS_HOUR=2"),
        (Policy(max_hosts=8, cooldown=300), Memory(deleted_at=NOW - 10), "given back 10 s ago (COOLDOWN)"),
        (
            Policy(max_hosts=8, max_failures=2),
            Memory(failures=2, failed_at=NOW - 10, policy="p"),
            "2 creations failed in a row (MAX_FAILURES=2)",
        ),
    ],
)
def test_limits_are_told_with_the_arithmetic(policy: Policy, memory: Memory, told: str) -> None:
    full = host(7, vms=1, room=Size(0, 0), plan="small")
    found = decided(vm(1, 800), full, policy=policy, memory=memory, offers=OFFERS[:1])
    assert ordered(found) == []
    assert told in found.notes[0]


def test_what_a_vm_waits_for_in_vain_is_told_of_each() -> None:
    found = decided(vm(1), vm(2, 9900), policy=Policy(max_hosts=0))
    assert found.waits == {
        1: "gets no new host: 0 hosts are MAX_HOSTS=0",
        2: "gets no new host: they fit on no plan that can be ordered",
    }
    assert [one.partition(" get no new host: ")[0] for one in found.notes] == ["1 waiting VMs"] * 2
    sold_out = Memory(sold_out={"huge": NOW + 10}, policy="p")
    assert "are sold out" in decided(vm(1, 4000), memory=sold_out).waits[1]


def test_within_the_limits_a_part_is_ordered() -> None:
    policy = Policy(max_hosts=8, max_cost_hour=2.0)
    found = decided(*(vm(number, 800) for number in range(9)), policy=policy)
    assert sum(one.price or 0 for one in found.actions if isinstance(one, Order)) <= 2.0
    assert sorted(ordered(found)) == ["large", "small"]
    assert "5 waiting VMs get no new host" in found.notes[0]


def test_a_changed_policy_lets_the_brake_go() -> None:
    memory = Memory(failures=3, failed_at=NOW - 10, policy="before")
    assert ordered(decided(vm(1), memory=memory)) == ["small"]


def test_a_price_nobody_tells_is_no_price_under_a_cap() -> None:
    unknown = (Offer("small", Size(800, 32 * GIB), None),)
    assert ordered(decided(vm(1), offers=unknown)) == ["small"]
    capped = decided(vm(1), offers=unknown, policy=Policy(max_hosts=8, max_cost_hour=9))
    assert "its price is not known" in capped.notes[0]
    assert ordered(decided(vm(1), offers=(*unknown, OFFERS[1]))) == ["large"]


def test_machines_on_their_way_back_count_for_every_limit() -> None:
    back = Returning(machine="m1", host="edge-grow-1", price=0.5)
    found = decided(vm(1), back, policy=Policy(max_hosts=1))
    assert (ordered(found), "1 hosts, 1 of them being given back, are MAX_HOSTS=1" in found.notes[0]) == ([], True)
    found = decided(vm(1), back, policy=Policy(max_hosts=8, max_cost_hour=0.9))
    assert (ordered(found), "0.50 + 0.50 = 1.00 an hour" in found.notes[0]) == ([], True)
    assert ordered(decided(vm(1), back)) == ["small"]
    hour_ago = Memory(month="2026-11", settled_at=NOW - HOUR, policy="p")
    assert decided(back, memory=hour_ago).memory.spent == pytest.approx(0.5)


def test_a_machine_on_its_way_back_whose_price_nobody_knows_is_a_brake_on_costs_only() -> None:
    back = Returning(machine="m1", host="edge-grow-1")
    assert ordered(decided(vm(1), back)) == ["small"]
    found = decided(vm(1), back, policy=Policy(max_hosts=8, max_cost_month=9999))
    assert (ordered(found), "machine m1 of edge-grow-1 is being given back" in found.notes[0]) == ([], True)


# --- what fails ---


def test_failed_hosts_are_given_back_and_counted_once() -> None:
    first = decided(host(7, Stage.FAILED), memory=Memory(policy="p", failures=1))
    assert [type(one) for one in first.actions] == [Delete]
    assert first.memory.failures == 2
    again = decided(host(7, Stage.FAILED), memory=first.memory)
    assert again.memory.failures == 2


def test_a_host_that_came_ends_the_row_of_failures() -> None:
    memory = Memory(policy="p", failures=2, failed_at=NOW - 9000)
    assert decided(host(7), memory=memory).memory.failures == 0


def test_a_plan_sold_out_is_left_alone_for_a_while() -> None:
    first = decided(vm(1), host(7, Stage.SOLD_OUT))
    assert [type(one) for one in first.actions] == [Delete, Order]
    assert ordered(first) == ["large"]
    assert first.memory.sold_out == {"small": NOW + POLICY.sold_out_for}
    later = replace(first.memory, sold_out={"small": NOW - 1})
    assert ordered(decided(vm(1), memory=later)) == ["small"]
    every = Memory(sold_out=dict.fromkeys(PLANS, NOW + 10))
    assert "every plan is sold out" in decided(vm(1), memory=every).notes[0]


def test_a_host_whose_machine_is_lost_goes_when_no_vm_is_on_it() -> None:
    lost = host(7, Stage.LOST, ready_at=NOW - 7000)
    found = decided(lost, policy=Policy(max_hosts=8, min_hosts=1))
    assert [type(one) for one in found.actions] == [Delete, Order]
    assert (found.memory.failures, found.memory.deleted_at) == (0, 0.0)
    assert decided(replace(lost, vms=1)).actions == ()
    assert decided(replace(lost, protected=True)).actions == ()
    assert decided(replace(lost, made=False)).actions == ()


def test_what_failed_hosts_said_is_in_the_event_and_the_note() -> None:
    said = "Hostname is invalid. Ask somebody."
    first = decided(host(7, Stage.FAILED, problem=said), policy=Policy(max_hosts=2, max_failures=1))
    assert first.actions == (Delete(host_id=7, reason="it could not be made: Hostname is invalid."),)
    note = decided(vm(1), policy=Policy(max_hosts=2, max_failures=1), memory=first.memory).notes[0]
    assert "(MAX_FAILURES=1), the last one: Hostname is invalid.; mend" in note
    lost = decided(host(7, Stage.LOST, ready_at=NOW - 7000, problem="x" * 500)).actions[0]
    assert len(lost.reason) < 200


def test_a_host_that_takes_no_vms_for_long_is_given_back_and_one_with_vms_is_not() -> None:
    silent = host(7, Stage.SILENT, ready_at=NOW - 7000)
    first = decided(silent)
    assert (first.actions, first.memory.silent) == ((), {7: NOW})
    long = replace(first.memory, silent={7: NOW - 700})
    assert [type(one) for one in decided(silent, memory=long).actions] == [Delete]
    for kept in ({"vms": 1}, {"protected": True}, {"made": False}):
        assert decided(replace(silent, **kept), memory=long).actions == ()
    assert decided(silent, memory=long, policy=Policy(max_hosts=2, shrink_after=900)).actions == ()
    assert decided(host(7, vms=1), memory=long).memory.silent == {}


def test_a_host_the_provider_spared_is_enabled_until_that_is_seen_and_then_left_to_people() -> None:
    spared = host(7, Stage.DISABLED, vms=1, spot=True, spared=True)
    first = decided(spared)
    assert [type(one) for one in first.actions] == [Enable]
    assert [type(one) for one in decided(spared, memory=first.memory).actions] == [Enable], "we may have been killed"
    seen = decided(replace(spared, stage=Stage.USABLE), memory=first.memory)
    assert seen.actions == ()
    assert seen.memory.spared == {7}
    assert decided(spared, memory=seen.memory).actions == ()


# --- what is refused for another reason ---


class Unplaceable(GrowthWorld):
    """Its scheduler places nothing; it says why only when there is a host to be placed on."""

    def state(self) -> State:
        state = super().state()
        if not any(one.stage is Stage.USABLE for one in state.hosts):
            return state
        told: dict[str, Any] = {
            "problem": "it does not wait for a host: [DS] full",
            "refused": True,
            "hosts": frozenset(),
        }
        return replace(state, waiting=tuple(replace(one, **told) for one in state.waiting))

    def _schedule(self) -> None:
        pass


@pytest.mark.parametrize("crashes", [0.0, 0.3])
def test_a_vm_that_no_host_helps_brings_one_in_hours_and_none_stays(crashes: float) -> None:
    world = Unplaceable(POLICY, [Vm(1, 100.0, 1e9, Size(400, GIB))], crashes=crashes, seed=2)
    world.run(5 * HOUR)
    assert len(world.orders) <= (2 if crashes else 1)
    assert (len(world.hosts), len(world.actions) < 8) == (0, True)
    assert "no host comes for VM 1 until" in world.notes[-1]
    assert "[DS] full" in world.notes[-1]


def test_a_host_taken_back_for_a_vm_is_remembered_and_a_changed_policy_forgets() -> None:
    asleep = Memory(idle={7: NOW - 5000}, disabled={7: NOW - 30}, policy="p")
    back = decided(vm(1), host(7, Stage.DISABLED), memory=asleep).memory
    assert back.hoped == {1}
    assert decided(host(7), memory=back).memory.hoped == frozenset(), "it runs"
    waits = vm(1, problem="it does not wait for a host: [DS]", refused=True, hosts=frozenset())
    refused = decided(waits, host(7), memory=back).memory
    assert (set(refused.refused), refused.hoped) == ({1}, frozenset())
    assert ordered(decided(vm(1), memory=refused)) == []
    assert ordered(decided(vm(1), vm(2), memory=refused)) == ["small"], "another one's"
    assert ordered(decided(vm(1), memory=replace(refused, policy="before"))) == ["small"]


# --- floors ---


def test_floors_are_ordered_and_kept() -> None:
    assert ordered(decided(policy=Policy(max_hosts=8, min_hosts=2))) == ["small", "small"]
    assert ordered(decided(host(7, vms=1), policy=Policy(max_hosts=8, warm_hosts=1))) == ["small"]
    assert decided(host(7), host(8), policy=Policy(max_hosts=8, min_hosts=2)).actions == ()
    assert decided(host(7, vms=1), host(8), policy=Policy(max_hosts=8, warm_hosts=1)).actions == ()
    assert ordered(decided(vm(1), policy=Policy(max_hosts=8, min_hosts=1))) == ["small"]
    assert "MIN_HOSTS=2 is not met" in decided(policy=Policy(max_hosts=8, min_hosts=2), offers=()).notes[0]


def test_the_schedule_raises_the_floor() -> None:
    policy = Policy(max_hosts=8, schedule=read_schedule("mon 08:00-12:00 min=2"))
    assert ordered(decided(policy=policy, moment=Moment(weekday=0, minute=600))) == ["small", "small"]
    assert ordered(decided(policy=policy, moment=Moment(weekday=1, minute=600))) == []


def test_a_waiting_vm_takes_the_warm_host_and_another_is_ordered() -> None:
    assert ordered(decided(vm(1), host(7), policy=Policy(max_hosts=8, warm_hosts=1))) == ["small"]


# --- shrinking ---


def test_an_idle_host_is_disabled_then_deleted() -> None:
    first = decided(host(7))
    assert [type(one) for one in first.actions] == [Disable]
    assert first.memory.disabled == {7: NOW}
    second = decided(host(7, Stage.DISABLED), memory=first.memory)
    assert [type(one) for one in second.actions] == [Delete]
    assert second.memory.deleted_at == NOW


@pytest.mark.parametrize(
    "kept",
    [
        host(7, vms=1),
        host(7, protected=True),
        host(7, made=False),
        host(7, Stage.DISABLED),  # by people
        host(7, Stage.OTHER),
        host(7, Stage.LOST, vms=1),
        host(7, Stage.COMING),
    ],
)
def test_what_is_never_given_back(kept: HostView) -> None:
    assert decided(kept).actions == ()


def test_an_idle_host_stays_while_it_may_be_needed() -> None:
    recent = Memory(idle={7: NOW - 500}, policy="p")
    assert decided(host(7), memory=recent).actions == ()
    assert decided(host(7), vm(1, waited=1)).actions == ()
    grown = Memory(idle={7: NOW - 5000}, ordered_at=NOW - 10, policy="p")
    assert decided(host(7), memory=grown).actions == ()


def test_a_disabled_host_is_taken_back() -> None:
    asleep = Memory(idle={7: NOW - 5000}, disabled={7: NOW - 30}, policy="p")
    for things in ((vm(1), host(7, Stage.DISABLED)), (host(7, Stage.DISABLED, vms=1),)):
        found = decided(*things, memory=asleep)
        assert [type(one) for one in found.actions] == [Enable]
        assert found.memory.disabled == {7: NOW - 30}, "until it is seen enabled: we may be killed before that"
        assert decided(host(7, vms=1), memory=found.memory).memory.disabled == {}
    found = decided(host(7, Stage.DISABLED), memory=asleep, policy=Policy(max_hosts=8, min_hosts=1))
    assert [type(one) for one in found.actions] == [Enable]


def test_the_dearest_go_first_and_the_floor_stays() -> None:
    hosts = (host(7), host(8, price=1.3, plan="large"), host(9))
    found = decided(*hosts, policy=Policy(max_hosts=8, min_hosts=2))
    assert [one.host_id for one in found.actions if isinstance(one, Disable)] == [8]


def test_paid_hours_are_used_up() -> None:
    policy = Policy(max_hosts=8, billing=HOUR)
    early, late = host(7, ordered_at=NOW - HOUR - 600), host(7, ordered_at=NOW - 2 * HOUR + 200)
    assert decided(early, policy=policy).actions == ()
    assert [type(one) for one in decided(late, policy=policy).actions] == [Disable]


def test_old_hosts_are_replaced_one_by_one() -> None:
    policy = Policy(max_hosts=8, max_host_age=3600, min_hosts=1)
    two = (host(7, vms=1), host(8, vms=1, ordered_at=NOW - 9000))
    first = decided(*two, policy=policy)
    assert first.actions == (Disable(host_id=8, reason="it is older than MAX_HOST_AGE=3600 s", retire=True),)
    gone = replace(two[1], stage=Stage.DISABLED)
    assert decided(two[0], gone, policy=policy, memory=first.memory).actions == (), "its VM goes on"
    second = decided(two[0], replace(gone, vms=0), policy=policy, memory=first.memory)
    assert [type(one) for one in second.actions] == [Delete]
    assert second.memory.deleted_at == 0.0, "that is no shrinking"
    alone = decided(host(7, vms=1), policy=policy)
    assert ordered(alone) == ["small"], "another comes first"
    assert decided(host(7, vms=1), host(9, Stage.COMING, ordered_at=NOW), policy=policy).actions == ()
    assert decided(host(7, vms=1, protected=True), host(8, vms=1, ordered_at=NOW), policy=policy).actions == ()


def test_an_old_host_that_a_waiting_vm_needs_stays_until_it_is_on_it() -> None:
    policy = Policy(max_hosts=8, max_host_age=3600)
    assert decided(host(7, ordered_at=NOW - 9000), vm(1), policy=policy).actions == ()
    assert [type(one) for one in decided(host(7, ordered_at=NOW - 9000, vms=1), policy=policy).actions] == [Disable]


@pytest.mark.parametrize("policy", [Policy(max_hosts=5, min_hosts=1), Policy(max_hosts=5, warm_hosts=1)])
def test_a_host_on_its_way_holds_no_floor_for_one_that_is_there(policy: Policy) -> None:
    there, coming = host(7, price=1.3, plan="large"), host(8, Stage.COMING, ordered_at=NOW - 600)
    found = decided(there, coming, policy=policy)
    assert found.actions == ()
    memory = replace(found.memory, disabled={7: NOW - 30})
    again = decided(replace(there, stage=Stage.DISABLED), coming, policy=policy, memory=memory)
    assert [type(one) for one in again.actions] == [Enable]
    both = decided(there, replace(coming, stage=Stage.USABLE, ready_at=NOW - 10), policy=policy)
    assert [one.host_id for one in both.actions if isinstance(one, Disable)] == [7]


def test_a_spot_host_taken_back_elsewhere_does_not_lift_the_cooldown_here() -> None:
    memory = Memory(deleted_at=NOW - 10, policy="p")
    assert ordered(decided(vm(1), host(7, Stage.LEAVING, vms=1), memory=memory)) == ["small"]
    elsewhere = host(7, Stage.LEAVING, vms=1, member=False, made=False)
    assert ordered(decided(vm(1), elsewhere, memory=memory)) == []


# --- memory and cost ---


def test_a_gap_over_the_end_of_the_month_is_cut_there() -> None:
    memory = Memory(month="2026-10", spent=99.0, settled_at=NOW - 10 * HOUR, policy="p")
    found = decided(host(7, vms=1, ordered_at=1.0), memory=memory, month_began=NOW - 2 * HOUR)
    assert found.memory.spent == pytest.approx(1.0)


def test_hosts_without_a_price_are_named_under_a_limit_on_cost() -> None:
    unknown = host(7, price=None, vms=1)
    assert decided(unknown).notes == ()
    found = decided(unknown, host(8, vms=1), policy=Policy(max_hosts=8, max_cost_hour=2))
    assert "the price of host 7 is not known: MAX_COST_HOUR counts it as 0" in found.notes[0]


def test_costs_add_up_and_begin_anew_with_the_month() -> None:
    memory = Memory(month="2026-11", spent=10.0, settled_at=NOW - 1800, policy="p")
    young = host(8, vms=1, ordered_at=NOW - 900)
    assert decided(host(7, vms=1), young, memory=memory).memory.spent == pytest.approx(10 + 0.25 + 0.125)
    last = replace(memory, month="2026-10")
    assert decided(memory=last).memory.spent == 0.0


TIMES = st.integers(0, 2_000_000_000).map(float)
MEMORIES = st.builds(
    Memory,
    orders=st.lists(TIMES, max_size=4).map(tuple),
    ordered_at=TIMES,
    deleted_at=TIMES,
    failures=st.integers(0, 9),
    failed_at=TIMES,
    why_failed=st.sampled_from(["", "a quota, of 5 %: [it]"]),
    failed=st.frozensets(st.integers(0, 99), max_size=4),
    sold_out=st.dictionaries(st.sampled_from(["c3.small.x86", "m5.metal", "a:b"]), TIMES),
    idle=st.dictionaries(st.integers(0, 99), TIMES, max_size=4),
    silent=st.dictionaries(st.integers(0, 99), TIMES, max_size=4),
    spared=st.frozensets(st.integers(0, 99), max_size=4),
    disabled=st.dictionaries(st.integers(0, 99), TIMES, max_size=4),
    retiring=st.frozensets(st.integers(0, 99), max_size=4),
    emptying=st.dictionaries(st.integers(0, 99), TIMES, max_size=4),
    little=st.dictionaries(st.integers(0, 99), TIMES, max_size=4),
    moves=st.lists(st.tuples(st.integers(0, 99), TIMES), max_size=4).map(tuple),
    sent=st.dictionaries(st.integers(0, 99), st.integers(0, 99), max_size=4),
    hoped=st.frozensets(st.integers(0, 99), max_size=4),
    refused=st.dictionaries(
        st.integers(0, 99), st.tuples(TIMES, st.sampled_from(["", "[DS], 5 % of: 'it'"])), max_size=4
    ),
    month=st.sampled_from(["", "2026-11"]),
    spent=st.integers(0, 10**6).map(lambda one: one / 100),
    settled_at=TIMES,
    policy=st.sampled_from(["", "abc"]),
)


@given(MEMORIES)
def test_memory_comes_back_as_it_was_written(memory: Memory) -> None:
    assert read(render(memory)) == memory


@given(st.dictionaries(st.sampled_from(list(render(Memory()))), st.text(alphabet="0123456789:,.-x", max_size=12)))
def test_damaged_memory_is_no_memory(vector: dict[str, str]) -> None:
    assert isinstance(read(vector), Memory)


def test_a_sum_that_is_no_number_is_not_remembered() -> None:
    assert [read({"SPENT": one}).spent for one in ("nan", "inf", "2.5")] == [0.0, 0.0, 2.5]


def test_costs_alone_are_written_now_and_then() -> None:
    memory = Memory(spent=1.0, settled_at=NOW)
    assert not is_changed(memory, replace(memory, spent=1.1, settled_at=NOW + 60), ())
    assert is_changed(memory, replace(memory, spent=2.0, settled_at=NOW + 600), ())
    assert is_changed(memory, replace(memory, failures=1), ())


# --- traces ---

QUICK = Policy(max_hosts=20, grow_after=60, shrink_after=600, cooldown=300, max_orders_hour=60)
PROVIDERS = {
    "steady": Provider(),
    "slow": Provider(ready_after=lambda chance: chance.uniform(600, 2400)),
    "failing": Provider(failing=0.2),
    "clinging": Provider(keeps=1800),
    "drought": Provider(drought=lambda now: frozenset({"small", "large"}) if 3600 < now < 9000 else frozenset()),
}
TRACES: Mapping[str, Callable[[int], list[Vm]]] = {"burst": burst, "diurnal": diurnal, "sawtooth": sawtooth}


QUICKLY = [("burst", "slow", 0.3), ("diurnal", "drought", 0.3), ("sawtooth", "failing", 0.0)]  # each takes seconds
CASES = [
    pytest.param(*case, marks=() if case in QUICKLY else pytest.mark.long)
    for case in itertools.product(TRACES, PROVIDERS, [0.0, 0.3])
]


@pytest.mark.parametrize(("trace", "provider", "crashes"), CASES)
def test_a_trace_keeps_the_rules_and_serves_everybody(trace: str, provider: str, crashes: float) -> None:
    policy = replace(QUICK, max_failures=50, min_hosts=1, warm_hosts=1)
    world = GrowthWorld(policy, TRACES[trace](1), provider=PROVIDERS[provider], crashes=crashes, seed=3)
    world.run(60 * HOUR)
    assert world.waiting() == []
    assert len(world.waits) == len(world.vms)
    assert len(world.hosts) == 1, "it shrinks to its floor"


@settings(max_examples=examples(5))
@given(
    seed=st.integers(0, 10_000),
    policy=st.builds(
        Policy,
        min_hosts=st.integers(0, 2),
        max_hosts=st.integers(2, 12),
        warm_hosts=st.integers(0, 2),
        max_cost_hour=st.one_of(st.none(), st.integers(1, 12).map(float)),
        max_cost_month=st.one_of(st.none(), st.integers(50, 500).map(float)),
        max_orders_hour=st.integers(1, 20),
        grow_after=st.sampled_from([0.0, 60.0, 300.0]),
        shrink_after=st.sampled_from([0.0, 300.0, 1800.0]),
        cooldown=st.sampled_from([0.0, 300.0]),
        max_host_age=st.sampled_from([0.0, 0.0, 7200.0]),
        billing=st.sampled_from([0.0, HOUR]),
        schedule=st.sampled_from([(), read_schedule("mon-sun 08:00-12:00 min=2 warm=1")]),
    ),
    provider=st.sampled_from(sorted(PROVIDERS)),
    trace=st.sampled_from(["burst", "sawtooth"]),
    crashes=st.sampled_from([0.0, 0.2, 0.6]),
)
def test_no_trace_breaks_a_rule(seed: int, policy: Policy, provider: str, trace: str, crashes: float) -> None:
    world = GrowthWorld(
        policy, TRACES[trace](seed), provider=PROVIDERS[provider], crashes=crashes, seed=seed, step=60.0
    )
    world.run(8 * HOUR)


@pytest.mark.parametrize("crashes", [0.0, 0.5])
@pytest.mark.parametrize("provider", ["steady", "slow"])
def test_nothing_is_ordered_twice(provider: str, crashes: float) -> None:
    vms = [Vm(number, 60.0 * number, 1e9, Size(800, GIB)) for number in range(1, 13)]  # six to a huge host
    policy = Policy(max_hosts=20, grow_after=0, max_orders_hour=1000, cooldown=0)
    world = GrowthWorld(policy, vms, provider=PROVIDERS[provider], crashes=crashes, seed=1).run(6 * HOUR)
    capacity = sum(next(one.size.cpu for one in OFFERS if one.plan == host.plan) for host in world.hosts.values())
    assert (len(world.waits), world.waiting()) == (12, [])
    assert capacity // 800 == 12, "hosts for twelve VMs and no more"


def test_old_hosts_go_and_everybody_is_served() -> None:
    policy = replace(QUICK, max_host_age=4 * HOUR, min_hosts=2)
    world = GrowthWorld(policy, diurnal(4), seed=4).run(60 * HOUR)
    assert world.waiting() == []
    assert all(world.now - one.ordered < 6 * HOUR for one in world.hosts.values())
    assert len(world.hosts) in (2, 3)


@pytest.mark.parametrize("warm", [0, 2])
def test_steady_demand_ends_in_rest(warm: int) -> None:
    chance = random.Random(5)
    vms = [Vm(number, 60.0, 1e9, Size(chance.choice([100, 300, 700]), 4 * GIB)) for number in range(40)]
    world = GrowthWorld(replace(QUICK, warm_hosts=warm), vms).run(6 * HOUR)
    before = len(world.actions)
    world.run(30 * HOUR)
    assert len(world.actions) == before
    assert len(world.deletes) <= 2, "what was ordered was needed"


def test_every_host_given_back_was_idle_long_enough() -> None:
    world = GrowthWorld(QUICK, sawtooth(2)).run(20 * HOUR)
    assert world.deletes
    for when, gone in world.deletes:
        last = max((one.started + abs(one.lifetime) for one in world.vms.values() if one.host == gone.id), default=0)
        assert when - max(last, gone.ready) >= QUICK.shrink_after
