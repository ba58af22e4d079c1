"""The crash matrix in its short form: its points, and two kills. ``make proof`` does all of them."""

from __future__ import annotations

from proof.crash_matrix import matrix


def test_the_agent_is_killed_at_points_found_by_running_and_all_comes_right() -> None:
    (part,) = matrix([("create", "packet")], workers=1, most=2, seed=1)
    assert "http POST /projects/{id}/devices @ agent.renting.create" in part.points
    assert len(part.points) > 20
    assert part.broken == []
    assert part.figures["kills"] == 2
