"""The wall clock is set while the agent runs: what is watched for some minutes is watched for as long as that takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.agent_fakes import FakeProvider
from tests.support.busy_world import BusyWorld, opened
from tests.support.strangers import put

from hybrid_drivers.model import MachineTags, MachineState


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
