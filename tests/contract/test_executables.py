"""Every executable of ``remotes/``: what oned gives it reaches the agent, what the agent answers reaches oned.

argv and standard input are those recorded from a real oned 7.4.0 (``tests/data/oned-7.4/actions``). The executables
run as installed: a tree of their own with the thin client, and an agent whose core echoes.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.agent_tree import TOP, AgentTree, agent_tree, eventually

RECORDED = TOP / "tests/data/oned-7.4/actions"
# Executables that hand their call to the agent; the others run on hypervisors and have tests of their own.
EXECUTABLES = sorted(
    path.relative_to(TOP / "remotes")
    for path in (TOP / "remotes").rglob("*")
    if path.is_file() and b"hybrid-client" in path.read_bytes()
)
PM_ARGUMENTS = {
    "deploy": ["/tmp/deployment.0", "edge9"],
    "shutdown": ["id-1", "edge9", "SHUTDOWN_POWEROFF", "6", "edge9"],
}
STORM = 500


def identity(path: Path) -> tuple[str, str, str]:
    """What an executable must say it is: family, driver and action; an IM's driver is its folder less ``.d``.

    A hook is one file: driver and action in one.
    """
    family, driver, action = path.parts if len(path.parts) == 3 else (*path.parts, path.name)
    return family, driver.removesuffix(".d"), action.removesuffix(".sh")


def recorded(path: Path) -> list[tuple[list[str], bytes]]:
    """Return the recorded calls (argv, standard input) of an executable; of ``pm`` those of its contract."""
    family, _, action = identity(path)
    if family == "pm":
        return [(PM_ARGUMENTS.get(action, ["id-1", "edge9", "6", "edge9"]), b"")]
    calls = []
    for entry in json.loads((RECORDED / "index.json").read_text()):
        script = entry["script"].replace("<driver>", path.parts[1])
        if script == str(path):
            document = (RECORDED / f"{entry['name']}.xml").read_bytes()
            calls.append((entry["argv"], base64.b64encode(document) + b"\n"))
    return calls


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentTree]:
    with agent_tree(tmp_path_factory.mktemp("front-end") / "one") as made:
        yield made


def run(tree: AgentTree, path: Path, *argv: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    return tree.call(*argv, stdin=stdin, program=tree.top / "var/remotes" / path)


def test_there_are_executables() -> None:
    assert {path.parts[0] for path in EXECUTABLES} >= {"im", "pm"}


@pytest.mark.parametrize("path", EXECUTABLES, ids=str)
def test_a_call_reaches_the_agent_as_oned_made_it(tree: AgentTree, path: Path) -> None:
    for argv, stdin in recorded(path) or [(["1"], b"PFg+PC9YPg==\n")]:
        code, out, err = run(tree, path, *argv, stdin=stdin)
        assert (code, err) == (0, b"")
        answer = json.loads(out)
        assert (answer["family"], answer["driver"], answer["action"]) == identity(path)
        assert answer["argv"] == argv
        assert base64.b64decode(answer["stdin"]) == stdin


@pytest.mark.parametrize("path", EXECUTABLES, ids=str)
def test_a_failure_is_what_oned_can_show(tree: AgentTree, path: Path) -> None:
    code, out, err = run(tree, path, "fail")
    family = path.parts[0]
    if family == "pm":
        assert (code, out) == (255, b"")
        assert re.fullmatch(rb"ERROR MESSAGE --8<------\n[^\n]+\nERROR MESSAGE ------>8--\n", err)
    else:
        assert (code, out == b"", err == b"") == (1, family != "im", family == "im")
        plain(out + err)


def plain(text: bytes) -> None:
    """Hold a failure to one line that oned's log pattern does not take for its own."""
    assert re.fullmatch(rb"(?!\d|(ERROR|INFO|WARN|WARNING|DEBUG):)[^\n]+\n", text)


@pytest.mark.parametrize("path", EXECUTABLES, ids=str)
def test_an_incomplete_installation_is_told(tree: AgentTree, tmp_path: Path, path: Path) -> None:
    done = subprocess.run(
        [tree.top / "var/remotes" / path, "1"],
        env={"ONE_LOCATION": str(tmp_path), "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    told = done.stdout + done.stderr
    assert str(tmp_path).encode() in told
    if path.parts[0] == "pm":
        assert (done.returncode, told.count(b"\n")) == (255, 3)
    else:
        assert done.returncode != 0
        plain(told)


@pytest.mark.parametrize("path", EXECUTABLES, ids=str)
def test_it_is_small_and_plain_shell(path: Path) -> None:
    source = (TOP / "remotes" / path).read_text()
    assert source.startswith("#!/bin/sh\n")
    assert source.count("\n") <= 16
    assert os.access(TOP / "remotes" / path, os.X_OK)


@pytest.mark.slow
def test_a_storm_of_monitoring_loses_nothing(tmp_path: Path) -> None:
    """500 START_MONITOR at once, as after a restart of oned, and no agent yet: one starts, each call is answered."""
    path = Path("im/provision.d/monitord-client_control.sh")
    ((argv, stdin),) = [call for call in recorded(path) if call[0][0] != "stop"]
    document = tmp_path / "stdin"
    document.write_bytes(stdin)
    with agent_tree(tmp_path / "one") as tree:
        program = tree.top / "var/remotes" / path
        callers = []
        for number in range(STORM):
            with document.open("rb") as file:
                callers.append(tree.popen(argv[0], str(number), f"edge{number}", program=program, stdin=file))
        answers: list[dict[str, Any]] = []
        for caller in callers:
            out, err = caller.communicate(timeout=90)
            assert (caller.returncode, err) == (0, b"")
            answers.append(json.loads(out))
        assert [answer["argv"][1] for answer in answers] == [str(number) for number in range(STORM)]
        assert {base64.b64decode(answer["stdin"]) for answer in answers} == {stdin}
        assert {answer["pid"] for answer in answers} == set(tree.agents())
        assert tree.status()["calls"] == STORM + 1
        assert (tree.state / "starts").read_text() == "1"


@pytest.mark.slow
def test_a_storm_survives_the_death_of_the_agent(tmp_path: Path) -> None:
    """The agent is killed while 60 calls run: each is asked again of the next agent and answered."""
    with agent_tree(tmp_path / "one") as tree:
        first = tree.status()["pid"]
        program = tree.top / "var/remotes/im/provision.d/monitord-client_control.sh"
        callers = [tree.popen("hold", str(number), program=program) for number in range(60)]
        held = tree.state / "holds"
        eventually(lambda: held.exists() and held.stat().st_size == 60, "all calls run", limit=60)
        os.kill(first, signal.SIGKILL)
        (tree.state / "go").touch()
        answers = [json.loads(caller.communicate(timeout=90)[0]) for caller in callers]
        assert [answer["argv"][1] for answer in answers] == [str(number) for number in range(60)]
        assert {answer["pid"] for answer in answers} == set(tree.agents())
        assert first not in tree.agents()
