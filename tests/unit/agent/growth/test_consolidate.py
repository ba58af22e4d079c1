"""Consolidation decided: single decisions, and whole traces that must keep the rules (the world asserts them)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.consolidation_world import ConsolidatingWorld
from tests.support.growth_world import GIB, OFFERS, PLANS, GrowthWorld, Provider, Vm, burst, diurnal, sawtooth

from hybrid_drivers.agent.growth.consolidate import EDGE, LONGEST, REST, RETRY_AFTER
from hybrid_drivers.agent.growth.decide import decide
from hybrid_drivers.agent.growth.memory import HOUR, Memory
from hybrid_drivers.agent.growth.model import (
    Action,
    Decision,
    Delete,
    Disable,
    Enable,
    Guest,
    HostView,
    Migrate,
    Placed,
    Stage,
    State,
    Waiting,
)
from hybrid_drivers.agent.growth.packing import Size
from hybrid_drivers.agent.growth.policy import Policy
from hybrid_drivers.agent.growth.schedule import Moment

NOW = 1_000_000.0
WHOLE = Size(800, 32 * GIB)
POLICY = Policy(max_hosts=8, consolidate="yes")
LONG_AGO = dict.fromkeys(range(20), NOW - 9000)
MEMORY = Memory(policy="p", month="2026-11", settled_at=NOW - 30, little=LONG_AGO)
GONE = Memory(policy="p", little=LONG_AGO, disabled={1: NOW - 60}, emptying={1: NOW - 60})


def guest(number: int, at: int, cpu: int = 100, **more: object) -> Guest:
    made = Guest(id=number, host=at, size=Size(cpu, 2 * GIB), hosts=frozenset(range(20)) - {at})
    return replace(made, **more)  # type: ignore[arg-type]


def host(number: int, guests: Iterable[Guest] = (), stage: Stage = Stage.USABLE, **more: object) -> HostView:
    on = [one for one in guests if one.host == number]
    room = WHOLE
    for one in on:
        room = room.less(one.size)
    made = HostView(
        id=number, name=f"h{number}", stage=stage, plan="small", room=room, vms=len(on), member=True, made=True,
        price=0.5, ordered_at=NOW - 7200, ready_at=NOW - 7000,
    )  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]


def decided(
    hosts: Iterable[HostView],
    guests: Iterable[Guest],
    *,
    policy: Policy = POLICY,
    memory: Memory = MEMORY,
    waiting: tuple[Waiting, ...] = (),
    disk: int = 100,
) -> Decision:
    found = tuple(hosts)
    return decide(
        State(
            now=NOW, moment=Moment(weekday=0, minute=600), month="2026-11", month_left=240 * HOUR, policy=policy,
            policy_digest="p", memory=memory, hosts=found, waiting=waiting, offers=OFFERS,
            placed=Placed(guests=tuple(guests), free_disk={one.id: {-1: disk} for one in found}),
        )
    )  # fmt: skip


def two(*more: Guest, first: int = 100, second: int = 300) -> tuple[list[HostView], list[Guest]]:
    guests = [guest(1, 1, first), guest(2, 2, second), *more]
    return [host(1, guests), host(2, guests)], guests


def gone(*guests: Guest, vms: int | None = None) -> tuple[list[HostView], list[Guest]]:
    """Host 1 is being emptied, host 2 is there."""
    every = [*guests, guest(9, 2, 300)]
    first = host(1, every, Stage.DISABLED)
    return [first if vms is None else replace(first, vms=vms), host(2, every)], every


def kinds(decision: Decision) -> list[type[Action]]:
    return [type(one) for one in decision.actions]


def vm(**more: object) -> Waiting:
    made = Waiting(id=50, size=Size(100, GIB), since=NOW - 1, plans=PLANS, hosts=frozenset())
    return replace(made, **more)  # type: ignore[arg-type]


# --- beginning ---


def test_the_least_used_host_is_disabled_first() -> None:
    found = decided(*two())
    assert found.actions == (
        Disable(host_id=1, reason="12 % of it are used, and its 1 VMs fit on other hosts", empty=True),
    )
    assert (found.memory.emptying, found.memory.disabled) == ({1: NOW}, {1: NOW})


def test_a_vm_that_no_plan_and_no_host_would_hold_does_not_keep_the_others_apart() -> None:
    hosts, guests = two()
    assert kinds(decided(hosts, guests, waiting=(vm(size=Size(99999, 1)),))) == [Disable]
    assert kinds(decided(hosts, guests, waiting=(vm(),))) == []


def test_the_dearest_goes_first() -> None:
    hosts, guests = two()
    found = decided([hosts[0], replace(hosts[1], price=0.9)], guests)
    assert [one.host_id for one in found.actions if isinstance(one, Disable)] == [2]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"problem": "uses PCI devices"}, "VM 1 uses PCI devices"),
        ({"settled": False}, "VM 1 is just starting, stopping or changing"),
        ({"hosts": frozenset({7})}, "VM 1 fits on no other host"),
        ({"disk": 101}, "VM 1 fits on no other host"),
        ({"size": Size(100, 31 * GIB)}, ""),  # much of its memory: it is not little used
    ],
)
def test_a_vm_that_cannot_go_keeps_its_host(change: dict[str, object], told: str) -> None:
    guests = [replace(guest(1, 1), **change), guest(2, 2, 500)]  # type: ignore[arg-type]
    found = decided([host(1, guests), host(2, guests)], guests)
    assert found.actions == ()
    assert found.stays.get(1, "") == told


@pytest.mark.parametrize(
    ("policy", "memory", "told"),
    [
        (replace(POLICY, consolidate="no"), MEMORY, ""),
        (replace(POLICY, min_hosts=2), MEMORY, "MIN_HOSTS=2"),
        (POLICY, replace(MEMORY, ordered_at=NOW - 10), "a host was ordered or given back within COOLDOWN"),
        (POLICY, replace(MEMORY, deleted_at=NOW - 10), "a host was ordered or given back within COOLDOWN"),
        (POLICY, replace(MEMORY, little={1: NOW - 60}), "it is little used for 60 s (CONSOLIDATE_AFTER=1800)"),
        (POLICY, replace(MEMORY, little={1: NOW + 60}), "it could not be emptied; it is tried again in 60 s"),
        (POLICY, replace(MEMORY, moves=((1, NOW - 60),)), "VM 1 was moved within the hour"),
        (
            replace(POLICY, max_moves_hour=1),
            replace(MEMORY, moves=((7, NOW - 60),)),
            "it has 1 VMs (MAX_MOVES_HOUR=1, 1 moves were within the hour)",
        ),
        (replace(POLICY, billing=HOUR), MEMORY, "its hour is paid for"),
    ],
)
def test_when_no_host_is_emptied(policy: Policy, memory: Memory, told: str) -> None:
    hosts, guests = two()
    found = decided([replace(hosts[0], ordered_at=NOW - 8000), hosts[1]], guests, policy=policy, memory=memory)
    assert not [one for one in found.actions if isinstance(one, Disable) and one.host_id == 1]
    assert found.stays.get(1, "") == told


def test_at_the_end_of_a_paid_hour_it_is() -> None:
    hosts, guests = two()
    first = replace(hosts[0], ordered_at=NOW - HOUR + EDGE - 1)
    assert kinds(decided([first, hosts[1]], guests, policy=replace(POLICY, billing=HOUR))) == [Disable]


@pytest.mark.parametrize(
    ("changes", "waiting"),
    [
        ({"protected": True}, ()),
        ({"made": False}, ()),
        ({"stage": Stage.DISABLED}, ()),  # by people
        ({"vms": 2}, ()),  # one that is not shown
        ({}, (vm(),)),
    ],
)
def test_which_host_is_left_alone(changes: dict[str, object], waiting: tuple[Waiting, ...]) -> None:
    hosts, guests = two(second=700)
    assert decided([replace(hosts[0], **changes), hosts[1]], guests, waiting=waiting).actions == ()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "other",
    [
        {"stage": Stage.COMING},
        {"stage": Stage.DISABLED},
        {"stage": Stage.LOST},
        {"vms": 0},  # it goes by itself, or is a warm one
        {"ordered_at": NOW - 99999},  # too old: it goes soon
    ],
)
def test_where_nothing_is_moved_to(other: dict[str, object]) -> None:
    hosts, guests = two(second=700)
    policy = replace(POLICY, max_host_age=90000)
    found = decided([hosts[0], replace(hosts[1], **other)], guests, policy=policy)  # type: ignore[arg-type]
    assert not any(isinstance(one, Disable) and one.empty for one in found.actions)


def test_a_host_of_other_people_that_is_empty_takes_them_but_for_the_warm_one() -> None:
    guests = [guest(1, 1)]
    hosts = [host(1, guests), host(2, made=False)]
    assert kinds(decided(hosts, guests)) == [Disable]
    found = decided(hosts, guests, policy=replace(POLICY, warm_hosts=1))
    assert (found.actions, found.stays) == ((), {1: "WARM_HOSTS=1"})


def test_what_arrived_a_short_while_ago_takes_disk_that_was_not_measured_yet() -> None:
    guests = [guest(1, 1, disk=60), guest(2, 2, 300, disk=50)]
    hosts = [host(1, guests), host(2, guests)]
    assert kinds(decided(hosts, guests)) == [Disable]
    found = decided(hosts, guests, memory=replace(MEMORY, moves=((2, NOW - 60),)))
    assert found.stays[1] == "VM 1 fits on no other host"


def test_what_is_emptied_does_not_count_for_the_floors_any_more() -> None:
    hosts, guests = two()
    memory = replace(MEMORY, idle={3: NOW - 5000})
    found = decided([*hosts, host(3)], guests, memory=memory, policy=replace(POLICY, min_hosts=2))
    assert [one.host_id for one in found.actions if isinstance(one, Disable)] == [1]
    found = decided([*hosts, host(3)], guests, memory=memory, policy=replace(POLICY, min_hosts=1))
    assert [one.host_id for one in found.actions if isinstance(one, Disable)] == [1, 3]


# --- going on ---


def test_vms_are_moved_one_after_the_other() -> None:
    hosts, guests = gone(guest(1, 1, 200), guest(2, 1, 100, live=False))
    first = decided(hosts, guests, memory=GONE)
    assert first.actions == (Migrate(vm_id=1, host_id=1, target=2, live=True, reason="its host is emptied"),)
    assert (first.memory.moves, first.memory.sent) == (((1, NOW),), {1: 1, 2: 1})
    on_its_way = [guest(1, 2, 200, settled=False), guest(2, 1, 100, live=False)]
    hosts, guests = gone(*on_its_way, vms=2)
    assert decided(hosts, guests, memory=first.memory).actions == ()
    hosts, guests = gone(guest(1, 2, 200), on_its_way[1])
    second = decided(hosts, guests, memory=first.memory)
    assert [(one.vm_id, one.live) for one in second.actions if isinstance(one, Migrate)] == [(2, False)]


def test_an_emptied_host_is_given_back_when_all_have_arrived() -> None:
    memory = replace(GONE, sent={1: 1})
    hosts, guests = gone(guest(1, 2, settled=False))
    found = decided(hosts, guests, memory=memory)
    assert (found.actions, found.notes) == ((), ("host 1 is kept until VM 1, which was on it, is elsewhere",))
    failed = decided(*gone(guest(1, 2, settled=False, problem="is PROLOG_MIGRATE_POWEROFF_FAILURE")), memory=memory)
    assert (failed.actions, failed.memory.sent) == ((), {1: 1})
    hosts, guests = gone(guest(1, 2))
    assert decided(hosts, guests, memory=memory).actions == (Delete(host_id=1, reason="it has been emptied"),)
    assert kinds(decided(hosts, guests[1:], memory=memory)) == [Delete], "the VM has ended"


def test_without_a_look_nothing_that_was_begun_is_deleted() -> None:
    hosts, _ = gone()
    state = State(
        now=NOW, moment=Moment(weekday=0, minute=600), month="2026-11", month_left=1.0, policy=POLICY,
        hosts=tuple(hosts), policy_digest="p", memory=replace(GONE, sent={1: 1}),
    )  # fmt: skip
    assert decide(state).actions == ()
    used = replace(state, hosts=(replace(hosts[0], vms=1), hosts[1]))
    assert (kinds(decide(used)), decide(used).memory.sent) == ([Enable], {1: 1})


@pytest.mark.parametrize(
    ("memory", "more", "told"),
    [
        (GONE, {"policy": replace(POLICY, consolidate="no")}, "CONSOLIDATE is switched off"),
        (GONE, {"waiting": (vm(),)}, "VMs wait for room"),
        (replace(GONE, emptying={1: NOW - LONGEST - 1}), {}, "it took longer than 6 hours to empty it"),
        (
            replace(GONE, emptying={1: NOW - 900}, moves=((1, NOW - 800), (1, NOW - 400))),
            {},
            "VM 1 could not be moved: its log says why",
        ),
    ],
)
def test_when_it_is_enabled_again(memory: Memory, more: dict[str, object], told: str) -> None:
    hosts, guests = gone(guest(1, 1))
    found = decided(hosts, guests, memory=memory, **more)  # type: ignore[arg-type]
    assert found.actions[0] == Enable(host_id=1, reason=f"it is not emptied: {told}")
    assert (found.memory.emptying, found.memory.sent) == ({}, {})
    assert found.memory.disabled == {1: NOW - 60}, "until it is seen enabled: we may be killed before that"
    again = decided(hosts, guests, memory=found.memory)
    assert again.actions == (Enable(host_id=1, reason="it is needed again"),)
    rest = decided([host(1, guests), hosts[1]], guests, memory=found.memory)
    assert (rest.actions, rest.memory.disabled) == ((), {})


def test_one_that_a_waiting_vm_fits_on_is_taken_back_and_left_alone_for_a_while() -> None:
    hosts, guests = gone(guest(1, 1))
    found = decided(hosts, guests, memory=GONE, waiting=(vm(hosts=frozenset({1})),))
    assert found.actions == (Enable(host_id=1, reason="it is needed again"),)
    later = decided(
        [host(1, guests), hosts[1]], guests, memory=replace(found.memory, little=LONG_AGO, emptying={1: 0.0})
    )
    assert later.memory.little[1] == NOW


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"problem": "is locked"}, "VM 1 is locked"),
        ({"size": Size(600, GIB)}, "VM 1 fits on no other host any more"),
    ],
)
def test_what_changed_meanwhile_keeps_the_host_for_a_while(change: dict[str, object], told: str) -> None:
    found = decided(*gone(replace(guest(1, 1), **change)), memory=GONE)  # type: ignore[arg-type]
    assert found.actions == (Enable(host_id=1, reason=f"it is not emptied: {told}"),)
    assert found.memory.little[1] == NOW + REST


def test_a_move_that_failed_is_tried_once_more_and_later() -> None:
    early = replace(GONE, emptying={1: NOW - 900}, moves=((1, NOW - RETRY_AFTER + 1),))
    assert decided(*gone(guest(1, 1)), memory=early).actions == ()
    late = replace(early, moves=((1, NOW - RETRY_AFTER),))
    found = decided(*gone(guest(1, 1)), memory=late)
    assert kinds(found) == [Migrate]
    assert len(found.memory.moves) == 2
    spent = replace(late, moves=tuple((one, NOW - 300) for one in range(30, 40)))
    assert decided(*gone(guest(1, 1)), memory=spent).actions == (), "the budget"


def test_it_goes_back_to_protected_hosts_and_floors() -> None:
    hosts, guests = gone(guest(1, 1))
    assert kinds(decided([replace(hosts[0], protected=True), hosts[1]], guests, memory=GONE)) == [Enable]
    assert kinds(decided(hosts, guests, memory=GONE, policy=replace(POLICY, min_hosts=2))) == [Enable]


# --- traces ---

QUICK = Policy(
    max_hosts=20, grow_after=60, shrink_after=600, cooldown=300, max_orders_hour=60, consolidate="yes",
    consolidate_after=900,
)  # fmt: skip
SLOW = Provider(ready_after=lambda chance: chance.uniform(600, 2400))


def test_what_is_left_of_a_burst_ends_up_together() -> None:
    """Ninety VMs come, most end: hosts that hold one or two VMs each are emptied, until little can be saved."""
    vms = [replace(one, lifetime=1e9 if one.id % 6 == 1 else 4000) for one in burst(3, size=90, at=[600])]
    again = [replace(one) for one in vms]
    alone = GrowthWorld(QUICK, vms, seed=3, step=60.0).run(9 * HOUR)
    world = ConsolidatingWorld(QUICK, again, seed=3, step=60.0)
    world.run(9 * HOUR)
    assert world.lost() == world.waiting() == []
    assert world.moves
    assert world.money < alone.money
    assert len(world.hosts) < len(alone.hosts)
    count = len(world.actions)
    world.run(12 * HOUR)
    assert len(world.actions) == count, "it comes to rest"


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    policy=st.builds(
        Policy,
        min_hosts=st.integers(0, 2),
        max_hosts=st.integers(4, 12),
        warm_hosts=st.integers(0, 1),
        shrink_after=st.sampled_from([0.0, 300.0]),
        cooldown=st.sampled_from([0.0, 300.0]),
        max_host_age=st.sampled_from([0.0, 0.0, 7200.0]),
        billing=st.sampled_from([0.0, HOUR]),
        consolidate=st.sampled_from(["yes", "live"]),
        consolidate_after=st.sampled_from([0.0, 600.0]),
        consolidate_below=st.sampled_from([50.0, 100.0]),
        max_moves_hour=st.sampled_from([3, 10, 100]),
    ),
    trace=st.sampled_from([partial(burst, size=25), partial(sawtooth, size=8)]),
    provider=st.sampled_from([Provider(), SLOW]),
    crashes=st.sampled_from([0.0, 0.3]),
    failing=st.sampled_from([0.0, 0.4]),
)
def test_no_trace_breaks_a_rule(  # noqa: PLR0917 # what is varied
    seed: int, policy: Policy, trace: Callable[[int], list[Vm]], provider: Provider, crashes: float, failing: float
) -> None:
    world = ConsolidatingWorld(
        policy, trace(seed), provider=provider, crashes=crashes, seed=seed, step=60.0, failing=failing, longest=900.0
    )
    world.run(7 * HOUR)
    assert world.lost() == []


@pytest.mark.long
@pytest.mark.parametrize("seed", range(6))
def test_days_with_moves_and_kills(seed: int) -> None:
    world = ConsolidatingWorld(QUICK, diurnal(seed), seed=seed, crashes=0.2, failing=0.2)
    world.run(60 * HOUR)
    assert world.lost() == world.waiting() == []
    assert world.hosts == {}
