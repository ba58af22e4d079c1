"""``onehybrid gc``: what it prints, and how it ends."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from click.testing import CliRunner

from hybrid_drivers.cli import gc
from hybrid_drivers.cli.output.terminal import Terminal

STRAY = {"provider": "ams", "machine": "m1", "name": "edge1", "reason": "has our tag but no host in oned",
         "created": 1000.0, "since": 4000.0, "watched": 300.0, "age": 3700, "given_back_in": 120}  # fmt: skip
BLOCK = {"provider": "aws", "block": "e-1", "network": "192.0.2.8/32", "watched": 300.0, "since": 1.0, "released_in": 0}
NOTHING: dict[str, Any] = {
    "accounts": [{"provider": "ams", "machines": 3, "of_hosts": 3}],
    **{key: [] for key in ("strays", "released", "leaving", "left", "stopped", "blocks", "released_blocks")},
    "unasked": [],
    **dict.fromkeys(("held", "late"), False),
    "dry_run": True,
}
TOLD: dict[str, Any] = {
    **NOTHING,
    "strays": [STRAY],
    "blocks": [BLOCK],
    "leaving": [
        {"provider": "ams", "machine": "m2", "name": "edge2", "for": 30},
        {"provider": "ams", "machine": "", "name": "edge3", "for": 5},
    ],
    "left": [{"provider": "ams", "machine": "m5", "name": "old", "reason": "was made by a 5.12 tool"}],
    "stopped": [{"provider": "ams", "host": 7, "name": "edge7", "machine": "m7", "state": "stopped"}],
}


def told(**more: Any) -> list[str]:
    lines = gc.report({**TOLD, **more}, Terminal(sys.stdout, None, False))
    return [" ".join(line.split()) for line in lines]


def test_what_waits_is_shown_with_its_times_and_reason() -> None:
    lines = told()
    assert lines[0] == "PROVIDER WHAT NAME AGE WATCHED NEXT WHY"
    assert lines[1] == "ams machine m1 edge1 1:01:40 3:00 given back in 2:00 has our tag but no host in oned"
    assert lines[2].startswith("aws block e-1 192.0.2.8/32 - 5:00 would be released now has our tag but no")
    assert lines[3] == "ams machine m2 edge2 - - being given back for 30 s now"
    assert lines[4].startswith("ams all of its host edge3")
    assert lines[5].startswith("ams machine m5 old - - left was made by a 5.12 tool")
    assert lines[6] == "ams: 3 machines have this cloud's tag, 3 of them are of hosts."
    assert lines[7].startswith("ams: machine m7 of host 7 (edge7) is stopped")


def test_what_keeps_it_from_the_whole_truth_is_said() -> None:
    lines = told(held=True, unasked=["ams", "aws"], late=True)
    assert [line.split()[0] for line in lines[:3]] == ["Could", "A", "PROVIDER"]
    assert lines[0].endswith(": ams, aws.")
    assert " held " in lines[3]
    assert lines[-1].startswith("Nothing is given back")


@pytest.mark.parametrize(
    ("answer", "code"),
    [(NOTHING, 0), (TOLD, 2), ({**NOTHING, "blocks": [BLOCK]}, 2), ({**NOTHING, "unasked": ["ams"]}, 1),
     ({**TOLD, "late": True}, 1), ({**NOTHING, "stopped": TOLD["stopped"], "left": TOLD["left"]}, 0)],
)  # fmt: skip
@pytest.mark.parametrize("options", [["--dry-run"], ["--json"]])
def test_its_exit_code(monkeypatch: pytest.MonkeyPatch, options: list[str], answer: dict[str, Any], code: int) -> None:
    asked: list[tuple[str, ...]] = []

    def ask(*words: str, start: bool) -> str:
        asked.append(words)
        return json.dumps(answer)

    monkeypatch.setattr(gc, "ask", ask)
    done = CliRunner().invoke(gc.gc, options)
    assert done.exit_code == code
    assert asked == [("gc", "--dry-run") if "--dry-run" in options else ("gc",)]
    assert "--json" not in options or json.loads(done.output) == answer


def test_a_mistake_of_use_is_not_taken_for_something_that_waits() -> None:
    assert CliRunner().invoke(gc.gc, ["--dry"]).exit_code == 1


def test_nothing_is_found() -> None:
    lines = gc.report(NOTHING, Terminal(sys.stdout, None, False))
    assert lines[0] == "There is nothing that nobody needs."
    lines = gc.report({**NOTHING, "unasked": ["ams"]}, Terminal(sys.stdout, None, False))
    assert not any("There is nothing" in line for line in lines), "nobody knows"
