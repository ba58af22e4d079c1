"""What the crash matrix takes for a broken promise."""

from __future__ import annotations

import pytest
from proof.crash.matrix import Case, Ended
from proof.crash_matrix import Part

CASE = Case(flow="create", driver="packet", point="http POST /devices @ agent.renting.create", when="after")
GOOD: dict[str, object] = {"case": CASE, "killed": True, "cycles": 2}


def part(**more: object) -> Part:
    outcome = Ended(**{**GOOD, **more})  # type: ignore[arg-type] # the fields of an outcome
    return Part(pair=("create", "packet"), points=[CASE.point], unnamed=(), due=[CASE], outcomes=[outcome])


def test_a_kill_after_which_all_is_well_breaks_nothing() -> None:
    assert part().broken == []
    assert part().figures == {
        **{"points": 1, "kills": 1, "due": 1, "orphans": 0, "doubles": 0},
        **{"most cycles": 2, "lost": 0, "unnamed": 0},
    }


@pytest.mark.parametrize(
    "more",
    [{"killed": False}, {"orphans": 1}, {"duplicates": 1}, {"cycles": 3}, {"cycles": 0}, {"problem": "not within"}],
    ids=str,
)
def test_everything_else_does(more: dict[str, object]) -> None:
    (text,) = part(**more).broken
    assert text.startswith("create/packet: ")


def test_an_effect_without_a_name_does_too() -> None:
    found = part()
    found.unnamed = ["UNNAMED socket.connect @ agent.node.configure"]
    assert found.broken == ["create/packet: UNNAMED socket.connect @ agent.node.configure"]
