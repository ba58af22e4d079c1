"""What network actions do for the other cards when one fails, and what the sweep makes up for afterwards."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from remotes.vnm.alias_sdnat.alias_sdnat import Commands, Rule, read_vm
from remotes.vnm.hybrid.hybrid_node import Run
from tests.support.vnm_world import World, vnm_world

from hybrid_drivers.errors import ConfigError, HostError, HybridError, TransientError
from hybrid_drivers.oned.vnm_actions import Clean, Post


@pytest.fixture(params=["packet", "ec2"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with vnm_world(str(request.param), tmp_path) as made:
        made.leases = {0: 7, 1: 7, 2: 8}
        yield made


def fails(world: World, program: str = "remote_post") -> None:
    world.nodes.failing[program] = HostError("no")


def undone(world: World) -> set[int]:
    """Return of which cards, 0 to 3, the node's last remote_clean removes rules."""
    _, program, document = world.nodes.ran[-1]
    assert program == "remote_clean"
    vm = read_vm(base64.b64encode(document.encode()))
    goes = Run(vm, mock.Mock(spec=Commands)).leaving()
    return {nic for nic in range(4) if goes(Rule(7, nic, "to", "", "10.0.0.1"))}


def programs_ran(world: World) -> list[str]:
    return [program for _, program, _ in world.nodes.ran]


# --- undo -------------------------------------------------------------------------------------------------------------


def test_cards_that_worked_before_keep_their_rules(world: World) -> None:
    world.post(7, 0, 0)
    fails(world)
    with pytest.raises(HostError):
        world.post(7, 0, 0, 1)
    assert (world.where(), undone(world) & {0, 1}) == ({0: 0}, {1})


def test_so_does_the_alias_of_a_card_that_is_undone(world: World) -> None:
    """The node lets aliases go with a NIC that is marked; in whichever order the cards were sent."""
    world.post(7, 0, 1)
    fails(world)
    nic, alias = world.cards(0, 1)
    made = world.action(Post, 7, 0, 0, (nic, replace(alias, kind="NIC_ALIAS")))
    document = made.document.replace(b"<NIC_ALIAS>", b"<NIC_ALIAS><PARENT_ID>0</PARENT_ID>")
    with pytest.raises(HostError):
        world.networks.answer(replace(made, document=document))
    assert undone(world) & {0, 1} == {0}


def test_nothing_is_undone_at_the_node_when_nothing_was_sent(world: World) -> None:
    world.post(7, 0, 0, 1)
    fails(world)
    with pytest.raises(HostError):
        world.post(7, 0, 0, 1)
    assert world.where() == {0: 0, 1: 0}
    assert programs_ran(world) == ["remote_post"]


def test_an_undone_plugging_takes_only_what_was_plugged(world: World) -> None:
    world.post(7, 0, 0)
    fails(world)
    with pytest.raises(HostError):
        world.post(7, 0, 0, 1, attach=1)
    assert (world.where(), undone(world) & {0, 1}) == ({0: 0}, {1})


# --- a broken account -------------------------------------------------------------------------------------------------


def broken(world: World, number: int) -> Any:
    """Return the cards of VM 7, of which one is of a network that no account can be found for."""
    world.ranges[2, 0] = {**world.ranges[1, 0], "IPAM_MAD": "ec2" if world.driver == "packet" else "packet"}
    return tuple(replace(one, network_id=2) if one.nic_id == number else one for one in world.cards(0, 1))


@pytest.mark.parametrize("number", [0, 1])
def test_each_card_leaves_on_its_own(world: World, number: int) -> None:
    world.post(7, 0, 0, 1)
    cards = broken(world, number)
    with pytest.raises(ConfigError, match="IPAM_MAD"):
        world.networks.answer(world.action(Clean, 7, 0, 0, cards))
    assert world.where() == {number: 0}
    assert world.nodes.ran[-1][1] == "remote_clean"


def test_the_node_is_cleaned_though_no_account_is_left(world: World) -> None:
    world.post(7, 0, 0)
    with pytest.raises(ConfigError, match="IPAM_MAD"):
        world.networks.answer(world.action(Clean, 7, 0, 0, broken(world, 0)[:1]))
    assert world.nodes.ran[-1][1] == "remote_clean"


def test_a_broken_account_of_another_card_does_not_refuse_the_one_that_is_attached(world: World) -> None:
    cards = broken(world, 0)
    plugged = (cards[0], replace(cards[1], attach=True))
    world.networks.answer(world.action(Post, 7, 0, 0, plugged))
    assert world.where() == {1: 0}
    with pytest.raises(ConfigError, match="IPAM_MAD"):
        world.networks.answer(world.action(Post, 7, 0, 0, (replace(cards[0], attach=True), cards[1])))
    with pytest.raises(ConfigError, match="IPAM_MAD"):
        world.networks.answer(world.action(Post, 7, 0, 0, cards))


def test_nor_does_its_provider(world: World) -> None:
    real = world.bench.addresses.assignment

    def answers(address: str, block: str) -> Any:
        if address == world.public(0):
            raise TransientError("HTTP 503")
        return real(address, block)

    with mock.patch.object(type(world.bench.addresses), "assignment", staticmethod(answers)):
        world.post(7, 0, 0, 1, attach=1)
    assert world.where() == {1: 0}


# --- what the sweep makes up for --------------------------------------------------------------------------------------


def sweeps(world: World, seconds: int) -> None:
    for _ in range(seconds // 10):
        world.time += 9
        world.sweep()


def test_a_live_migration_whose_post_failed_is_made_up_for(world: World) -> None:
    world.post(7, 0, 0, 1)
    world.clean(7, 0, 0, 1, now_on=1)
    with (
        mock.patch.object(type(world.bench.addresses), "assign", side_effect=TransientError("HTTP 503")),
        pytest.raises(TransientError),
    ):
        world.post(7, 1, 0, 1, argv=0)
    world.moving.add(7)
    sweeps(world, 60)
    assert (world.where(), world.busy) == ({}, True)
    world.running[7] = (1, (0, 1))
    fails(world)
    sweeps(world, 60)
    assert (world.where(), world.busy) == ({0: 1, 1: 1}, True)  # it runs there: only the node is to follow
    world.nodes.failing.clear()
    sweeps(world, 300)
    assert world.where() == {0: 1, 1: 1}
    host, program, document = world.nodes.ran[-1]
    assert (host, program, document.count("<HYBRID_ADDRESS>")) == (1, "remote_post", 2)
    assert not world.busy
    told = len(world.nodes.ran)
    sweeps(world, 600)
    assert len(world.nodes.ran) == told


def test_an_address_that_came_from_another_host_stays_when_only_the_node_failed(world: World) -> None:
    world.post(7, 0, 0)
    fails(world)
    with pytest.raises(HostError):
        world.post(7, 1, 0, 1, argv=0)
    assert world.where() == {0: 1}
    assert undone(world) & {0, 1} == {1}
    world.nodes.failing.clear()
    world.running[7] = (1, (0, 1))
    sweeps(world, 60)
    assert world.where() == {0: 1, 1: 1}


def test_it_is_taken_away_when_another_address_failed(world: World) -> None:
    world.post(7, 0, 0)
    real = world.bench.addresses.assign

    def assign(address: str, *told: Any, **more: Any) -> Any:
        if address == world.public(1):
            raise TransientError("HTTP 503")
        return real(address, *told, **more)

    with mock.patch.object(type(world.bench.addresses), "assign", staticmethod(assign)), pytest.raises(HybridError):
        world.post(7, 1, 0, 1, argv=0)
    assert world.where() == {}


@pytest.mark.parametrize("host", [None, 3])
def test_what_does_not_run_on_a_rented_host_is_left_alone(world: World, host: int | None) -> None:
    fails(world)
    with pytest.raises(HostError):
        world.post(7, 0, 0)
    world.nodes.failing.clear()
    world.nodes.ran.clear()
    if host is not None:
        world.running[7] = (host, (0,))
    else:
        sweeps(world, 40)
        assert not world.busy
    sweeps(world, 4200)
    assert (world.where(), world.nodes.ran, world.busy) == ({}, [], False)


def test_repairs_are_rarer_with_time_and_end_after_an_hour(world: World) -> None:
    fails(world)
    with pytest.raises(HostError):
        world.post(7, 0, 0)
    world.running[7] = (0, (0,))
    world.nodes.ran.clear()
    tries = 0

    def tried() -> None:
        nonlocal tries
        tries += 1

    world.nodes.meanwhile = tried
    sweeps(world, 4500)
    assert 10 < tries < 30
    assert not world.busy
    world.nodes.failing.clear()
    sweeps(world, 600)
    assert programs_ran(world) == []


def test_a_repair_leaves_what_it_could_send(world: World) -> None:
    fails(world)
    with pytest.raises(HostError):
        world.post(7, 0, 0, 1)
    world.nodes.failing.clear()
    world.running[7] = (0, (0, 1))
    real = world.bench.addresses.assign

    def assign(address: str, *told: Any, **more: Any) -> Any:
        if address == world.public(1):
            raise TransientError("HTTP 503")
        return real(address, *told, **more)

    with mock.patch.object(type(world.bench.addresses), "assign", staticmethod(assign)):
        world.sweep()
    assert (world.where(), world.busy) == ({0: 0}, True)
    sweeps(world, 60)
    assert world.where() == {0: 0, 1: 0}


def test_a_machine_that_leaves_just_before_the_repair_is_left_alone(world: World) -> None:
    fails(world)
    with pytest.raises(HostError):
        world.post(7, 0, 0)
    world.nodes.failing.clear()
    answers = [(0, (0,)), (1, (0,))]
    real = world.read

    def moving(*told: Any) -> str:
        if answers:
            world.running[7] = answers.pop(0)
        return real(*told)

    world.parts.oned.read = moving  # type: ignore[method-assign, assignment]
    world.sweep()
    assert world.where() == {}
    sweeps(world, 120)
    assert world.where() == {0: 1}
