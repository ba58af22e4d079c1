"""Where addresses go when virtual machines come, go and move: the agent's code over the real simulators."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from tests.support.providers import OWNER, until
from tests.support.vnm_world import Cut, World, vnm_world

from hybrid_drivers.agent import assignment_collector
from hybrid_drivers.errors import ConfigError, HostError, HostUnreachable, HybridError, TransientError
from hybrid_drivers.oned.vnm_actions import Post

Act = Callable[[], None]


@pytest.fixture(params=["packet", "ec2"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with vnm_world(str(request.param), tmp_path) as made:
        made.leases = {0: 7, 1: 7, 2: 8}
        yield made


def programs(world: World) -> list[tuple[int, str]]:
    return [(host, program) for host, program, _ in world.nodes.ran]


def test_addresses_come_and_go_with_their_machine(world: World) -> None:
    world.post(7, 0, 0, 1)
    world.post(8, 1, 2)
    assert world.where() == {0: 0, 1: 0, 2: 1}
    world.clean(7, 0, 0, 1)
    assert world.where() == {2: 1}
    assert programs(world) == [(0, "remote_post"), (1, "remote_post"), (0, "remote_clean")]


def test_the_node_is_told_where_traffic_arrives(world: World) -> None:
    world.post(7, 0, 0)
    world.clean(7, 0, 0)
    for _, _, document in world.nodes.ran:
        address = document.partition("<HYBRID_ADDRESS>")[2].partition("<")[0]
        assert (address == world.public(0)) == (world.driver == "packet")
        assert address


def test_the_node_is_told_gateways(world: World) -> None:
    world.ranges[1, 0]["GATEWAY"] = "192.0.2.254"
    world.post(7, 0, 0)
    assert "<GATEWAY>192.0.2.254</GATEWAY>" in world.nodes.ran[-1][2]


def test_repeating_is_harmless(world: World) -> None:
    for _ in range(2):
        world.post(7, 0, 0, 1)
        assert world.where() == {0: 0, 1: 0}
    for _ in range(2):
        world.clean(7, 0, 0, 1)
        assert world.where() == {}


def test_a_live_migration_names_the_old_host_to_both(world: World) -> None:
    """argv has the old host, the document the new one (one_vmm_exec.rb, migrate)."""
    world.post(7, 0, 0, 1)
    world.clean(7, 0, 0, 1, now_on=1)
    assert world.where() == {}
    world.post(7, 1, 0, 1, argv=0)
    assert world.where() == {0: 1, 1: 1}


def test_a_clean_that_comes_after_the_move_leaves_the_address(world: World) -> None:
    world.post(7, 0, 0, 1)
    world.post(7, 1, 0, 1, argv=0)
    world.clean(7, 0, 0, 1, now_on=1)
    assert world.where() == {0: 1, 1: 1}
    assert programs(world)[-1] == (0, "remote_clean")


def test_only_the_attached_card_is_concerned(world: World) -> None:
    world.post(7, 0, 0)
    world.post(7, 0, 0, 1, attach=1)
    assert world.where() == {0: 0, 1: 0}
    assert world.nodes.ran[-1][2].count("<HYBRID_ADDRESS>") == 2
    world.clean(7, 0, 0, 1, attach=1)
    assert world.where() == {0: 0}
    assert world.nodes.ran[-1][2].count("<HYBRID_ADDRESS>") == 1


def test_a_node_that_fails_leaves_nothing(world: World) -> None:
    world.post(7, 0, 0)
    world.nodes.failing["remote_post"] = HostError("no bridge br0")
    with pytest.raises(HostError, match="no bridge br0"):
        world.post(7, 0, 0, 1, attach=1)
    assert world.where() == {0: 0}
    with pytest.raises(HostError):
        world.post(8, 1, 2)
    assert world.where() == {0: 0}


def test_an_undo_does_not_take_what_has_moved_on(world: World) -> None:
    def moved() -> None:
        world.bench.addresses.assign(world.public(0), blocks[0], world.machines[2])

    blocks = world.ranges[1, 0]["DEPLOY_ID"].split(",")
    world.nodes.meanwhile, world.nodes.failing = (
        moved,
        {"remote_post": HostError("no"), "remote_clean": HostError("no")},
    )
    with pytest.raises(HostError):
        world.post(7, 0, 0)
    assert world.where() == {0: 2}


def test_a_failed_host_loses_its_address_to_the_new_one(world: World) -> None:
    """The node does not answer: the provider's part is done, the failure told; the machine goes on elsewhere."""
    world.post(7, 0, 0)
    world.nodes.failing["remote_clean"] = HostUnreachable("192.0.2.0: no SSH on port 22")
    with pytest.raises(HostUnreachable):
        world.clean(7, 0, 0)
    assert world.where() == {}
    world.post(7, 1, 0)
    assert world.where() == {0: 1}


def test_a_machine_that_is_gone_needs_no_cleaning(world: World) -> None:
    world.post(7, 0, 0)
    world.bench.provider.delete(world.machines[0])
    until(lambda: world.machines[0] not in {one.id for one in world.bench.provider.list(OWNER)})
    world.nodes.failing["remote_clean"] = HostUnreachable("192.0.2.0: no SSH on port 22")
    world.clean(7, 0, 0)
    assert world.where() == {}


def test_a_host_that_is_gone_needs_no_cleaning(world: World) -> None:
    world.post(7, 0, 0)
    world.post(8, 1, 2)
    del world.hosts[0]
    world.clean(7, 0, 0)
    world.clean(7, 0, 2)  # a lease of somebody else, at a machine that a host has
    assert world.where() == {2: 1}


def test_an_address_that_has_a_new_holder_stays(world: World) -> None:
    """oned frees leases before the clean of a deleted machine (LifeCycleActions.cc, trigger_delete)."""
    world.post(7, 0, 0)
    world.leases = {0: 9}
    world.post(9, 0, 0)
    world.clean(7, 0, 0)
    assert world.where() == {0: 0}
    assert "HYBRID_ADDRESS" not in world.nodes.ran[-1][2]


REFUSED = [
    (lambda w: w.post(7, 3, 0), ConfigError, "host host3 is not rented from a provider"),
    (lambda w: w.post(7, 55, 0), ConfigError, "there is no host host55"),
    (lambda w: w.post(9, 0, 0), ConfigError, "is leased to virtual machine 7"),
    (lambda w: w.post(7, 0, 3), ConfigError, "NIC 3: its address range at .* has no public address for"),
    (lambda w: w.pci(7, 0), ConfigError, "PCI 0: a PCI card cannot have an address of VN_MAD hybrid"),
    (lambda w: w.slow() or w.post(7, 0, 0), TransientError, "the provider is too slow"),
    (lambda w: w.ranges.clear() or w.post(7, 0, 0), ConfigError, "network 1 has no address range 0"),
]


@pytest.mark.parametrize(("act", "error", "sentence"), REFUSED)
def test_what_is_refused(world: World, act: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        act(world)
    assert world.where() == {}
    assert world.nodes.ran == []


def test_a_machine_of_another_account_is_refused_in_one_sentence(world: World) -> None:
    unknown = {"packet": "0b5c9f6e-0000-4000-8000-00000000dead", "ec2": "i-00000000deadbeef0"}
    world.other_machine(0, unknown[world.driver])
    with pytest.raises(HybridError, match=r"cannot go to host host0: provider .* has no machine"):
        world.post(7, 0, 0)


def test_a_range_that_was_deleted_by_force_keeps_nobody_from_leaving(world: World) -> None:
    world.ranges.clear()
    world.clean(7, 0, 0)
    assert world.nodes.ran == []


def test_networks_without_a_provider_are_left_alone(world: World) -> None:
    world.ranges[1, 0] = {"AR_ID": "0", "TYPE": "IP4", "IP": "10.0.0.1", "SIZE": "3"}
    world.post(7, 3, 0)
    world.clean(7, 3, 0)
    assert world.nodes.ran == []
    assert b"WARN: network 1 has address ranges of no provider (IPAM_MAD none)" in world.vnet_created({"SIZE": "2"})
    assert world.vnet_created({"IPAM_MAD": world.driver}) == b""


def test_a_reservation_goes_by_the_range_it_is_a_part_of(world: World) -> None:
    """It has addresses of its own, and what the provider knows stands in the parent's."""
    parent = world.ranges[1, 0]
    child = {**parent, "IP": world.inside(1), "SIZE": "2", "IPAM_MAD": "internal"}
    world.ranges[2, 0] = {**child, "PARENT_NETWORK": "1", "PARENT_NETWORK_AR_ID": "0"}
    world.leases = {0: 7}  # of both ranges; the child's first is the parent's second
    card = replace(world.cards(1)[0], network_id=2)
    world.networks.answer(world.action(Post, 7, 0, 0, (card,)))
    assert world.where() == {1: 0}


# --- faults -----------------------------------------------------------------------------------------------------------


def test_lost_replies_change_nothing_in_the_end(world: World) -> None:
    acts: list[Act] = [lambda: world.post(7, 0, 0), lambda: world.post(7, 1, 0), lambda: world.clean(7, 1, 0)]
    for act in acts:
        world.bench.simulator.knobs.change({"lost_address_reply": 1})
        try:
            act()
        except HybridError:
            world.bench.simulator.knobs.change({"lost_address_reply": 0})
            act()
        world.bench.simulator.knobs.change({"lost_address_reply": 0})
    assert world.where() == {}


def test_an_agent_that_ends_anywhere_is_made_up_for(world: World) -> None:
    """At each change of an address in turn: the process ends before or after it, and oned repeats the action."""
    addresses = world.bench.addresses
    acts: list[tuple[str, Act]] = [
        ("assign", lambda: world.post(7, 0, 0, 1)),
        ("assign", lambda: world.post(7, 1, 0, 1)),
        ("unassign", lambda: world.clean(7, 1, 0, 1)),
    ]
    for before in (True, False):
        for name, act in acts:
            real = getattr(addresses, name)

            def ends(*told: Any, real: Any = real, before: bool = before, **more: Any) -> None:
                if not before:
                    real(*told, **more)
                raise Cut

            with mock.patch.object(type(addresses), name, staticmethod(ends)), pytest.raises(Cut):
                act()
            world.agent()
            act()
        assert world.where() == {}


@pytest.mark.parametrize("name", ["assignment", "assign", "unassign"])
def test_an_error_at_any_call_leaves_an_address_at_one_place(world: World, name: str) -> None:
    """The n-th call of a kind fails, for every n; then the same action is repeated."""
    acts: list[Act] = [
        lambda: world.post(7, 0, 0, 1),
        lambda: world.post(7, 1, 0, 1),
        lambda: world.clean(7, 0, 0, 1, now_on=1),
        lambda: world.clean(7, 1, 0, 1),
    ]
    real = getattr(world.bench.addresses, name)
    failed = 0
    for at in (1, 2, 3, 4):
        for act in acts:
            count = 0

            def fails(*told: Any, at: int = at, **more: Any) -> Any:
                nonlocal count, failed
                count += 1
                if count == at:
                    failed += 1
                    raise TransientError("HTTP 503")
                return real(*told, **more)

            before = world.where()
            with mock.patch.object(type(world.bench.addresses), name, staticmethod(fails)):
                try:
                    act()
                except TransientError:
                    assert set(world.where()) <= {0, 1}
                    assert set(world.where().values()) <= {*before.values(), 0, 1}
            act()
        assert world.where() == {}
    assert failed


def test_two_actions_on_one_address_wait_for_each_other(world: World) -> None:
    running, most, guard = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal running, most
        with guard:
            running, most = running + 1, max(most, running + 1)
        threading.Event().wait(0.02)
        with guard:
            running -= 1

    world.nodes.meanwhile = work
    callers = [threading.Thread(target=world.post, args=(7, host, 0)) for host in (0, 1, 0, 1)]
    for one in callers:
        one.start()
    for one in callers:
        one.join()
    assert most == 1
    assert len(world.where()) == 1


def test_waiting_for_an_address_has_a_limit(world: World) -> None:
    with world.locks.hold(["it/198.51.100.1"], 1.0):
        waiting = world.locks.hold(["it/198.51.100.1"], 0.01)
        with pytest.raises(TransientError, match=r"address 198\.51\.100\.1"):
            waiting.__enter__()


# --- the sweep --------------------------------------------------------------------------------------------------------


def test_the_sweep_takes_what_nobody_has(world: World) -> None:
    world.post(7, 0, 0, 1)
    world.post(8, 1, 2)
    world.sweep()
    assert len(world.where()) == 3
    world.freed(0)
    world.freed(2)
    world.sweep()
    assert world.where() == {1: 0}


def test_the_sweep_looks_at_all_at_first_and_once_an_hour(world: World) -> None:
    world.sweep()
    world.post(7, 0, 0)
    world.leases = {}
    world.sweep()
    assert not world.busy
    assert world.where() == {0: 0}
    world.time += 3600
    world.sweep()
    assert world.where() == {}


def test_the_sweep_looks_for_a_while_at_what_was_given_back_or_failed(world: World) -> None:
    """oned frees a lease only after the driver has answered."""
    world.post(7, 0, 0)
    world.sweep()
    world.nodes.failing["remote_post"] = HostError("no")
    with pytest.raises(HostError):
        world.post(7, 0, 0, 1)
    world.sweep()
    assert (world.busy, world.where()) == (True, {0: 0})
    world.leases = {}
    world.sweep()
    assert world.where() == {}
    world.time += 30
    world.sweep()
    assert not world.busy


def test_the_sweep_reads_leases_again_under_the_lock(world: World) -> None:
    """The lease comes back between the sweep's look and its change."""
    world.post(7, 0, 0)
    answers = [{}, {0: 7}]
    real = world.network_ranges

    def changing() -> Any:
        world.leases = answers.pop(0) if answers else world.leases
        return real()

    world.network_ranges = changing  # type: ignore[method-assign]
    with mock.patch.object(assignment_collector, "Objects", return_value=world):
        world.sweep()
    assert world.where() == {0: 0}
