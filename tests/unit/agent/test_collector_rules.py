"""Which machines nobody needs: the rule the collector gives machines back by."""

from __future__ import annotations

import pytest

from hybrid_drivers.agent.collector import stray
from hybrid_drivers.model import Machine, MachineState, MachineTags


def machine(host_id: int = 7, *, id: str = "m1", state: MachineState = MachineState.RUNNING) -> Machine:
    return Machine(id=id, state=state, tags=MachineTags(owner="us", host_id=host_id, token="t"))


def test_a_machine_whose_host_is_gone_is() -> None:
    assert "no host" in stray(machine(), {8: "m2"}, {"m1", "m2"})


def test_the_machine_of_a_host_is_not() -> None:
    assert not stray(machine(), {7: "m1"}, {"m1"})


def test_one_that_is_not_recorded_yet_is_not() -> None:
    assert not stray(machine(), {7: ""}, {"m1"})


def test_the_second_machine_of_a_host_is_while_the_first_exists() -> None:
    assert "m2" in stray(machine(), {7: "m2"}, {"m1", "m2"})


def test_the_only_machine_of_a_host_is_not_even_if_the_host_names_another() -> None:
    """The record may be an old one that was put back; on the machine virtual machines may run."""
    assert not stray(machine(), {7: "m-of-last-year"}, {"m1"})


@pytest.mark.parametrize(
    "other",
    [
        machine(-1),
        machine(state=MachineState.DELETING),
        machine(state=MachineState.GONE),
        Machine(id="m1", state=MachineState.RUNNING),
    ],
    ids=["of a 5.12 tool", "going", "gone", "of somebody else"],
)
def test_what_is_not_ours_or_on_its_way_out_is_not(other: Machine) -> None:
    assert not stray(other, {}, {"m1"})
