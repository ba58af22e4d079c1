"""Two front-ends whose agents both believe that they lead, for the seconds that a leader's answer is remembered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.agent_fakes import READY, FakeProvider
from tests.support.busy_world import BusyWorld

from hybrid_drivers.model import Template


@pytest.fixture
def world(tmp_path: Path) -> Iterator[BusyWorld]:
    made = BusyWorld(tmp_path, seed=1, frontends=2, latency=0.1)
    yield made
    made.close()


def slow(world: BusyWorld, whose: object, call: str, seconds: float) -> None:
    """Let the next such call of an agent take long until it is carried out."""
    ordinary = getattr(whose, call)

    def slowly(*args: object) -> object:
        setattr(whose, call, ordinary)
        world.tasks.sleep(seconds)
        return ordinary(*args)

    setattr(whose, call, slowly)


def both_look(world: BusyWorld) -> int:
    """Let both agents look at a new host without an intent; agent 1 takes longer for it, and is the one that leads."""
    world.agent(0)
    world.pass_time(1)
    slow(world, world.agent(0).oned, "update_host", 1.0)
    host_id = world.create_host()
    world.pass_time(0.01)
    world.lead(1)
    slow(world, world.agent(1).account.provider, "list", 4.0)
    return host_id


def test_an_intent_that_came_while_one_looked_is_not_written_over(world: BusyWorld) -> None:
    host_id = both_look(world)
    world.pass_time(4)
    assert world.judge.created == 1  # by agent 0, which still believes that it leads
    world.pass_time(10)
    assert world.store.intents[host_id]["AGENT"] == "agent0"
    assert world.judge.created == 1


def test_who_leaves_a_host_to_another_agent_does_not_beacon_for_it(world: BusyWorld) -> None:
    """Or monitord would never call again, and nobody take it over from an agent that does not lead any more."""
    host_id = both_look(world)
    world.pass_time(400)
    assert (world.store.phase(host_id), world.judge.created) == (READY, 1)


def test_a_create_that_waits_for_its_turn_is_not_sent_after_another_took_the_host_over(world: BusyWorld) -> None:
    world.agent(0)
    world.pass_time(1)
    provider: FakeProvider = world.provider
    provider.turn = 200.0  # seconds, as five hundred hosts have to wait for at two calls a second
    host_id = world.create_host()
    world.pass_time(3)
    provider.turn = 0.0
    world.lead(1)
    world.pass_time(600)
    assert world.store.phase(host_id) == READY
    assert world.judge.violations() == {}


def test_a_note_of_long_ago_does_not_take_the_machine_of_a_host_that_works(world: BusyWorld) -> None:
    """Agent 0 was killed right after it had noted to give back a machine that failed for a moment."""
    provider: FakeProvider = world.provider
    provider.doomed = 1
    agent = world.agent(0)
    ordinary = agent.oned.update_host

    def dies_after_the_note(*args: Any) -> None:
        if agent.parts.departures.all():
            world.kill(0)
            world.tasks.suspend()
        ordinary(*args)

    agent.oned.update_host = dies_after_the_note  # type: ignore[method-assign, assignment]
    host_id = world.create_host()
    while world.agents[0] is not None:
        world.pass_time(1)
    world.dead.clear()  # that server stays down for long
    unit = provider.units["m1"]
    unit.machine = replace(unit.machine, failure="")
    world.lead(1)
    world.pass_time(600)
    assert world.store.phase(host_id) == READY
    world.store.place(host_id, (7,))
    world.lead(0)
    world.pass_time(600)
    assert (world.mistakes, world.judge.violations(), world.judge.deleted) == ([], {}, 0)


@pytest.mark.parametrize("late", ["DEPLOYING", "ERROR"])
def test_a_late_message_over_a_ready_host_is_put_right(world: BusyWorld, late: str) -> None:
    """The other front-end's agent had sent it before it saw that the host was READY by then."""
    world.agent(0)
    host_id = world.create_host()
    while world.store.phase(host_id) != READY:
        world.pass_time(5)
    world.pass_time(60)
    world.store.merge(host_id, Template([("PROVISION_STATE", late)]))
    world.pass_time(200)
    assert world.store.phase(host_id) == READY
