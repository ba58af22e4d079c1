"""The wall clock is set while the agent runs: what is watched for some minutes is watched for as long as that takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.agent_fakes import READY, FakeProvider
from tests.support.busy_world import BusyWorld, opened
from tests.support.strangers import put

from hybrid_drivers.model import MachineState, MachineTags


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_machine_without_a_host_stays_in_quarantine_for_its_time(tmp_path: Path, jump: float) -> None:
    with opened(BusyWorld(tmp_path, seed=1)) as world:
        provider: FakeProvider = world.provider
        world.agent(0)
        put(provider, MachineTags(owner="ours", host_id=1000, token="o", name="edge0"))
        world.pass_time(100)
        world.clocks[0].ahead = jump
        world.pass_time(world.settings.quarantine - 110)
        assert [one.state for one in world.ours()] == [MachineState.RUNNING]
        world.pass_time(300)
        assert [one.state for one in world.ours()] == [MachineState.GONE]


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_no_second_machine_is_made_before_the_lists_have_settled(tmp_path: Path, jump: float) -> None:
    with opened(BusyWorld(tmp_path, seed=1)) as world:
        provider: FakeProvider = world.provider
        provider.lost_replies, provider.list_lag = 1, 20.0
        host_id = world.create_host()
        world.pass_time(4)
        assert world.judge.created == 1
        world.clocks[0].ahead = jump
        world.pass_time(300)
        assert (world.store.phase(host_id), world.judge.created) == (READY, 1)


def test_an_answer_asked_for_before_the_clock_was_set_back_is_no_newer_for_that(tmp_path: Path) -> None:
    """The settle window is over when an answer was asked for after it, on whatever clock."""
    with opened(BusyWorld(tmp_path, seed=1)) as world:
        provider: FakeProvider = world.provider
        world.clocks[0].ahead = 600.0
        provider.lost_replies, provider.list_lag = 1, 20.0
        host_id = world.create_host()
        while world.judge.created == 0:
            world.pass_time(0.5)
        provider.while_listing = lambda: setattr(world.clocks[0], "ahead", 0.0)
        world.pass_time(300)
        assert (world.store.phase(host_id), world.judge.created) == (READY, 1)
