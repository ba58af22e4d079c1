"""Starting the agent: one for any number of callers, apart from them, for the right user, or a sentence why not."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.agent_tree import PATHS, AgentTree, agent_tree, eventually

from hybrid_drivers.agent import client, sockets, starter
from hybrid_drivers.config import Location
from hybrid_drivers.errors import AgentError

NOBODY = 65534
SYSTEM_PYTHON = "/usr/bin/python3"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[AgentTree]:
    with agent_tree(tmp_path / "one") as made:
        yield made


@pytest.fixture
def shared_tree() -> Iterator[AgentTree]:
    """A tree other users can look into, run by a Python they can run."""
    if not others_can_run_us():
        pytest.skip(f"other users cannot run {SYSTEM_PYTHON} with the modules of this environment")
    with tempfile.TemporaryDirectory(prefix="hybrid-") as folder:
        Path(folder).chmod(0o755)
        with agent_tree(Path(folder) / "one", python=SYSTEM_PYTHON) as made:
            yield made


def others_can_run_us() -> bool:
    code = f"import sys; sys.path[:0] = {PATHS}; import hybrid_drivers.agent.daemon, tests.support.toy_core"
    try:
        done = subprocess.run([SYSTEM_PYTHON, "-c", code], user=NOBODY, group=NOBODY, extra_groups=[], cwd="/")
    except OSError:
        return False
    return done.returncode == 0


# --- starting the agent ------------------------------------------------------------------------------------------


def test_a_hundred_callers_get_one_agent(tree: AgentTree) -> None:
    callers = [tree.popen("im", "provision", "control", str(number)) for number in range(100)]
    answers = [json.loads(caller.communicate(timeout=80)[0]) for caller in callers]
    assert [answer["argv"] for answer in answers] == [[str(number)] for number in range(100)]
    assert {answer["pid"] for answer in answers} == set(tree.agents())
    assert len(tree.agents()) == 1
    assert (tree.state / "starts").read_text() == "1"


def test_a_killed_agent_is_started_again(tree: AgentTree) -> None:
    first = tree.status()["pid"]
    os.kill(first, signal.SIGKILL)
    eventually(lambda: not tree.agents(), "the agent is gone")
    assert tree.status()["pid"] != first


def test_the_agent_is_apart_from_its_caller(tree: AgentTree) -> None:
    with (tree.top / "inherited").open("w") as inherited:
        done = subprocess.run(
            [tree.client, "im", "p", "x", "environment"],
            env=tree.environment | {"PROVIDER_TOKEN": "hidden"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            pass_fds=[inherited.fileno()],
            timeout=30,
        )
    added = {"MALLOC_ARENA_MAX", "PWD", "LC_CTYPE"}  # by the starter, sh, Python
    assert set(json.loads(done.stdout)) <= {*client.AGENT_ENVIRONMENT, *added}
    (agent,) = tree.agents()
    files = {os.readlink(f"/proc/{agent}/fd/{fd}") for fd in os.listdir(f"/proc/{agent}/fd")}
    assert str(tree.top / "inherited") not in files
    assert os.readlink(f"/proc/{agent}/cwd") == "/"
    assert os.getsid(agent) == agent
    assert oct((tree.state / "agent.out").stat().st_mode)[-3:] == "600"
    assert oct((tree.state / "agent.sock").stat().st_mode)[-3:] == "600"
    assert oct(tree.state.stat().st_mode)[-3:] == "700"


@pytest.mark.parametrize("family", ["im", "ipam", "vnm"])
def test_a_call_that_may_be_repeated_survives_the_death_of_the_agent_once(tree: AgentTree, family: str) -> None:
    code, out, err = tree.call(family, "provision", "control", "die")
    assert (code, out + err) == (1, b"The agent ended during the call, which may be done in part: see its log.\n")
    assert (tree.state / "dies").read_text() == "11"


@pytest.mark.parametrize(("family", "code"), [("hooks", 1), ("pm", 255)])
def test_other_calls_are_not_repeated(tree: AgentTree, family: str, code: int) -> None:
    got, out, err = tree.call(family, "packet", "deploy", "die")
    assert (got, out) == (code, b"")
    assert b"The agent ended during the call" in err
    assert (tree.state / "dies").read_text() == "1"


def test_a_call_that_meets_an_ending_agent_goes_to_the_next(tree: AgentTree) -> None:
    """The old one still finishes a call and so holds the lock; nothing of the new call was begun there."""
    slow = tree.popen("ipam", "packet", "get_address", "hold")
    eventually((tree.state / "holds").exists, "the slow call runs")
    (first,) = tree.agents()
    os.kill(first, signal.SIGTERM)
    eventually(lambda: not tree.listening(), "the socket is closed")
    new = tree.popen("ipam", "packet", "get_address", "quick")
    eventually(lambda: len(tree.agents()) > 1, "another agent is tried")
    (tree.state / "go").touch()
    out, err = slow.communicate(timeout=30)
    assert (err, json.loads(out)["pid"]) == (b"", first)
    out, err = new.communicate(timeout=30)
    assert (err, json.loads(out)["pid"]) == (b"", tree.status()["pid"])
    assert tree.agents() != [first]


def test_a_long_location(tmp_path: Path) -> None:
    with agent_tree(tmp_path / ("long-" * 20) / "one") as tree:
        assert len(str(tree.state / "agent.sock")) > sockets.SOCKET_PATH_LIMIT
        assert tree.status()["pid"] == tree.agents()[0]


# --- no agent to be had ------------------------------------------------------------------------------------------


def test_an_agent_that_refuses_to_start_tells_why(tree: AgentTree) -> None:
    (tree.top / "etc/hybrid/hybrid.yaml").write_text("agent:\n  idle_exot: 3\n")
    callers = [tree.popen("ipam", "packet", "get_address") for _ in range(20)]
    told = {caller.communicate(timeout=60)[1].decode() for caller in callers}
    assert len(told) == 1
    (sentence,) = told
    assert sentence.startswith(
        f"The agent did not start: {tree.top}/etc/hybrid/hybrid.yaml:2: unknown key 'agent.idle_"
    )
    assert sentence.count("\n") == 1
    tried = (tree.state / "agent.out").read_text().count("unknown key")
    assert tried < 10  # those that waited for a start that failed do not each try their own
    (tree.top / "etc/hybrid/hybrid.yaml").unlink()
    assert tree.status()["pid"]


def test_an_incomplete_installation_is_named(tree: AgentTree) -> None:
    (tree.lib / "venv/bin/python").unlink()
    code, out, _ = tree.call("im", "provision", "control")
    assert (code, out.count(b"\n")) == (1, 1)
    assert str(tree.lib / "venv/bin/python").encode() in out


def test_a_location_that_does_not_exist_is_not_made(tree: AgentTree) -> None:
    elsewhere = tree.top / "typo"
    done = subprocess.run(
        [tree.client, "ipam", "p", "x"],
        env=tree.environment | {"ONE_LOCATION": str(elsewhere)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    assert (done.returncode, done.stderr.decode()) == (
        1,
        f"Cannot start the agent: {elsewhere}/var/hybrid: No such file or directory.\n",
    )
    assert not elsewhere.exists()


def test_an_agent_that_never_listens_is_given_up(tree: AgentTree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.use_python(f"#!/bin/sh\nexec {sys.executable} -c 'import time; time.sleep(30)' \"$@\"\n")
    monkeypatch.setenv("ONE_LOCATION", str(tree.top))
    location = Location.from_environment(tree.environment)
    with pytest.raises(AgentError, match=r"opened no socket within 0 s: see .*/agent\.out\.$"):
        starter.start_agent(location, limit=0.3)


# --- whose it is ----------------------------------------------------------------------------------------------------


@as_root
def test_other_users_cannot_call(shared_tree: AgentTree) -> None:
    shared_tree.status()
    process_ = shared_tree.popen("ipam", "packet", "x", user=NOBODY, group=NOBODY, extra_groups=[])
    _, err = process_.communicate(timeout=20)
    assert process_.returncode == 1
    assert err.decode() == f"Cannot use {shared_tree.state}/agent.sock: Permission denied; run this as oneadmin.\n"


@as_root
def test_root_starts_the_agent_as_the_owner_of_its_folder(shared_tree: AgentTree) -> None:
    os.chown(shared_tree.top / "var", NOBODY, NOBODY)
    (agent,) = [shared_tree.status()["pid"]]
    assert [agent] == shared_tree.agents()
    assert owner_of(agent) == NOBODY
    files = [shared_tree.state, *shared_tree.state.iterdir(), shared_tree.top / "var/hybrid.log"]
    assert {path.stat().st_uid for path in files} == {NOBODY}
    own = shared_tree.popen("agent", "agent", "status", user=NOBODY, group=NOBODY, extra_groups=[])
    assert json.loads(own.communicate(timeout=20)[0])["pid"] == agent


@as_root
def test_nobody_else_reads_the_memory_of_the_agent(shared_tree: AgentTree) -> None:
    """Neither other users nor other processes of its own user, and it leaves no core file."""
    os.chown(shared_tree.top / "var", NOBODY, NOBODY)
    agent = shared_tree.status()["pid"]
    for name in ("environ", "maps", "mem"):
        read = ["head", "-c", "1", f"/proc/{agent}/{name}"]
        done = subprocess.run(read, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", capture_output=True)
        assert b"Permission denied" in done.stderr, name
    limits = Path(f"/proc/{agent}/limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)


def owner_of(pid: int) -> int:
    """Return the user a process runs as; its folder in /proc is root's, because its memory is private."""
    found = re.search(r"^Uid:\t(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


@as_root
def test_a_socket_of_another_user_is_not_trusted(shared_tree: AgentTree) -> None:
    shared_tree.state.mkdir()
    shared_tree.state.chmod(0o777)
    listen = f"import socket; s = socket.socket(socket.AF_UNIX); s.bind({str(shared_tree.state / 'agent.sock')!r}); "
    command = [SYSTEM_PYTHON, "-c", listen + "s.listen(); print('here', flush=True); input()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, user=NOBODY, group=NOBODY, extra_groups=[], stdin=pipe, stdout=pipe) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"here\n"
        code, _, err = shared_tree.call("ipam", "packet", "x")
        assert (code, f"belongs to user id {NOBODY}" in err.decode()) == (1, True)
        other.communicate(b"\n")
