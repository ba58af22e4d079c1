"""``onehybrid configure``: what is asked, what is shown, and how it exits; the agent is a table of answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from click.testing import CliRunner

from hybrid_drivers.cli import configure as command

Event = dict[str, Any]


def step(host: int, status: str, name: str = "set x", notes: Sequence[str] = ()) -> Event:
    numbers = {"number": 1, "total": 2, "seconds": 0.1, "notes": list(notes)}
    return {"host": host, "event": "step", "role": "ddc", "name": name, "status": status, **numbers}


def end(host: int, outcome: str = "done", message: str = "") -> Event:
    return {"host": host, "event": "end", "outcome": outcome, "message": message, "seconds": 1.5}


class FakeAgent:
    """Answers ``configure`` with two hosts, and each poll with the next of ``batches``."""

    def __init__(self, *batches: Sequence[Event]) -> None:
        self.batches, self.asked, self.since = list(batches), dict[str, Any](), list[int]()

    def __call__(self, action: str, argument: str, *, start: bool = False) -> str:
        asked = json.loads(argument)
        if action == "configure":
            assert start
            self.asked = asked
            hosts = [
                {"id": 1, "name": "10.0.0.1", "friendly": "edge1"},
                {"id": 2, "name": "edge2", "friendly": "edge2"},
            ]
            return json.dumps({"job": "j", "hosts": hosts})
        assert (action, asked["job"]) == ("configure-poll", "j")
        self.since.append(asked["since"])
        return json.dumps({"events": self.batches.pop(0), "done": not self.batches})


def run(monkeypatch: pytest.MonkeyPatch, agent: FakeAgent, *words: str) -> tuple[int, str]:
    monkeypatch.setattr(command, "ask", agent)
    result = CliRunner().invoke(command.configure, words)
    return result.exit_code, result.output


def test_steps_are_shown_as_they_come_and_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = FakeAgent([step(1, "ok", "same"), step(1, "changed", notes=["reboot later"])], [], [end(1), end(2)])
    code, output = run(monkeypatch, agent, "edge1", "2")
    assert (code, agent.since) == (0, [0, 2, 2])
    assert agent.asked == {"hosts": ["edge1", "2"], "cluster": "", "all": False, "check": False}
    assert output.splitlines() == [
        "edge1 (10.0.0.1): ddc: set x  changed",
        "edge1 (10.0.0.1): ddc: set x: reboot later",
        "",
        "edge1 (10.0.0.1)  1 of 2 steps changed, 1.5 s",
        "edge2             0 of 0 steps changed, 1.5 s",
    ]


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([step(1, "ok"), end(1), end(2)], 0),
        ([step(1, "would-change"), end(1), end(2)], 2),
        ([step(1, "would-change"), end(1), end(2, "failed", "no SSH")], 1),
        ([end(1), end(2, "refused", "not READY yet")], 1),
    ],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_the_exit_code_of_a_look(
    monkeypatch: pytest.MonkeyPatch, events: list[Event], code: int, as_json: bool
) -> None:
    words = ["--check", "--all", *(["--json"] if as_json else [])]
    found, output = run(monkeypatch, FakeAgent(events), *words)
    assert found == code
    if as_json:
        told = json.loads(output)["hosts"]
        assert [one["outcome"] for one in told] == [e["outcome"] for e in events if e["event"] == "end"]
    for event in events:
        assert event.get("message", "") in output


@pytest.mark.parametrize("words", [[], ["edge1", "--all"], ["--all", "--cluster", "x"], ["--chek", "edge1"]])
def test_a_mistake_of_use_is_no_difference(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    assert run(monkeypatch, FakeAgent(), *words)[0] == 1
