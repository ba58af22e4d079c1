"""The comparison with other tools in its short form; ``make proof`` plays all faults through all of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from proof.other_tools import FAULTS, TOOLS, Came, play

TOOL = {one.name: one for one in TOOLS}
FAULT = {one.name: one for one in FAULTS}


@pytest.mark.parametrize(
    ("fault", "left"),
    [("delete that lies", 1), pytest.param("reply of the create lost", 0, marks=pytest.mark.long)],
)
def test_a_script_of_other_people_is_measured(fault: str, left: int) -> None:
    came = play(TOOL["boto3"], FAULT[fault], Path(sys.executable))
    assert (came.doubles, came.left) == (0, left)


@pytest.mark.long
def test_ours_is_measured_when_it_is_killed_before_its_record() -> None:
    came = play(TOOL["ours, packet"], FAULT["killed before the note"], None)
    assert came == Came(doubles=0, left=0, calls=came.calls)
    assert came.calls > 3
