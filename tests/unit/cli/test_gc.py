"""``onehybrid gc``: what it prints."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from hybrid_drivers.cli import gc

TOLD = {
    "strays": [
        {"provider": "ams", "machine": "m1", "name": "edge1", "reason": "has our tag but no host in oned",
         "watched": 300, "given_back_in": 120}
    ],
    "leaving": [
        {"provider": "ams", "machine": "m2", "name": "edge2", "for": 30},
        {"provider": "ams", "machine": "", "name": "edge3", "for": 5},
    ],
    "stopped": [{"provider": "ams", "host": 7, "name": "edge7", "machine": "m7", "state": "stopped"}],
    "unasked": True,
}  # fmt: skip
NOTHING = {"strays": [], "leaving": [], "stopped": [], "unasked": False}


@pytest.mark.parametrize(
    ("options", "asked", "last"),
    [(["--dry-run"], ("gc", "--dry-run"), "Some provider could not be asked: it may have more (see the agent's log)."),
     ([], ("gc",), "The agent looks again now.")],
)  # fmt: skip
def test_what_is_found(monkeypatch: pytest.MonkeyPatch, options: list[str], asked: tuple[str, ...], last: str) -> None:
    calls: list[tuple[str, ...]] = []

    def ask(*words: str, start: bool) -> str:
        calls.append(words)
        return json.dumps(TOLD)

    monkeypatch.setattr(gc, "ask", ask)
    lines = CliRunner().invoke(gc.gc, options).output.splitlines()
    assert lines[0] == "ams: machine m1 (edge1) has our tag but no host in oned; given back in 120 s"
    assert lines[1:3] == [
        "ams: machine m2 (edge2) is being given back, for 30 s now",
        "ams: what was made for host edge3 is being given back, for 5 s now",
    ]
    assert lines[3].startswith("ams: machine m7 of host 7 (edge7) is stopped")
    assert (calls, lines[-1]) == ([asked], last)


def test_nothing_is_found() -> None:
    assert gc.lines(NOTHING) == ["There is no machine that no host needs."]
