"""The agent's process: one at a time, signals, the calls for people, and its end."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.support.agent_tree import AgentTree, agent_tree, eventually
from tests.support.toy_core import SECRET

from hybrid_drivers.agent.service import IdleWatch
from hybrid_drivers.cli.main import GROUPS, cli
from hybrid_drivers.errors import HybridError


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[AgentTree]:
    with agent_tree(tmp_path / "one") as made:
        yield made


def log_of(tree: AgentTree) -> str:
    return (tree.top / "var/hybrid.log").read_text()


def onehybrid(tree: AgentTree, *words: str) -> Result:
    return CliRunner().invoke(cli, words, env={"ONE_LOCATION": str(tree.top)})


# --- one at a time -----------------------------------------------------------------------------------------------


def test_a_second_process_ends_quietly(tree: AgentTree) -> None:
    first = tree.status()["pid"]
    second = tree.daemon()
    assert second.communicate(timeout=20) == (b"", b"")
    assert second.returncode == 0
    assert tree.agents() == [first]


def test_a_waiting_process_takes_over(tree: AgentTree) -> None:
    first = tree.status()["pid"]
    waiting = tree.daemon("--wait")
    try:
        eventually(lambda: len(tree.agents()) == 2, "both are there")
        time.sleep(0.2)
        assert waiting.poll() is None
        assert tree.status()["pid"] == first
        os.kill(first, signal.SIGKILL)
        eventually(lambda: (tree.state / "starts").read_text() == "11", "the second one starts")
        assert tree.status()["pid"] == waiting.pid
    finally:
        waiting.kill()
        waiting.communicate()


def test_a_waiting_process_can_be_ended(tree: AgentTree) -> None:
    tree.status()
    waiting = tree.daemon("--wait")
    eventually(lambda: len(tree.agents()) == 2, "both are there")
    time.sleep(0.3)
    waiting.terminate()
    waiting.communicate(timeout=10)
    assert waiting.returncode == -signal.SIGTERM


# --- signals and settings ----------------------------------------------------------------------------------------


def test_term_finishes_the_running_call(tree: AgentTree) -> None:
    agent = tree.daemon()
    eventually(tree.listening, "it listens")
    caller = tree.popen("ipam", "packet", "get_address", "sleep", "1")
    eventually(lambda: tree.status()["calls"] > 1, "the call runs")
    agent.terminate()
    assert json.loads(caller.communicate(timeout=20)[0])["pid"] == agent.pid
    assert agent.wait(timeout=10) == 0
    assert (tree.state / "stops").exists()
    assert not tree.listening()


def test_hup_reads_the_configuration_again(tree: AgentTree) -> None:
    agent = tree.status()["pid"]
    settings = tree.top / "etc/hybrid/hybrid.yaml"
    settings.write_text("agent: {log_level: debug}\n")
    os.kill(agent, signal.SIGHUP)
    eventually(lambda: tree.status()["reloads"] == 1, "it has read it")
    tree.call("im", "provision", "x", "bug")
    eventually(lambda: "Traceback" in log_of(tree), "it logs at level debug")
    assert SECRET not in log_of(tree)
    settings.write_text("agent: {log_level: loud}\n")
    os.kill(agent, signal.SIGHUP)
    eventually(lambda: "the configuration was not read again" in log_of(tree), "the mistake is logged")
    assert tree.status()["pid"] == agent


def test_without_work_it_ends_and_the_next_call_starts_it(tree: AgentTree) -> None:
    (tree.top / "etc/hybrid/hybrid.yaml").write_text("agent: {idle_exit: 0.3}\n")
    first = tree.status()["pid"]
    time.sleep(1)
    assert tree.agents() == [first]  # there is work
    (tree.state / "idle").touch()
    eventually(lambda: not tree.agents(), "it has ended")
    assert not tree.listening()
    assert tree.status()["pid"] != first


def test_an_agent_nobody_can_reach_ends(tree: AgentTree) -> None:
    """Its folder was removed, lock and all: another will be started, and there must not be two."""
    (tree.top / "etc/hybrid/hybrid.yaml").write_text("agent: {idle_exit: 0.4}\n")  # it looks around four times as often
    first = tree.status()["pid"]
    tree.state.rename(tree.top / "elsewhere")
    assert tree.status()["pid"] != first
    eventually(lambda: first not in tree.agents(), "the first one has ended")
    assert tree.listening()
    assert len(tree.agents()) == 1


@pytest.mark.parametrize(
    ("looks", "due"),
    [
        ([(10, False)], [False]),
        ([(99, False), (100, False)], [False, True]),
        ([(99, True), (100, False), (198, False), (199, False)], [False, False, False, True]),
    ],
)
def test_idle_watch(looks: list[tuple[float, bool]], due: list[bool]) -> None:
    watch = IdleWatch(100, now=0)
    assert [watch.due(now, busy) for now, busy in looks] == due
    assert not IdleWatch(0, now=0).due(1e9, False)


def test_the_log_is_private_and_where_it_cannot_be_written_that_is_told(tree: AgentTree) -> None:
    tree.status()
    assert oct((tree.top / "var/hybrid.log").stat().st_mode)[-3:] == "640"
    tree.clean()
    (tree.top / "var/hybrid.log").unlink()
    (tree.top / "var/hybrid.log").mkdir()  # even root cannot write there
    code, _, err = tree.call("ipam", "packet", "x")
    assert (code, b"hybrid.log" in err) == (1, True)


# --- for people --------------------------------------------------------------------------------------------------


def test_status_stop_and_what_they_say_without_an_agent(tree: AgentTree) -> None:
    told = onehybrid(tree, "agent", "status")
    assert (told.exit_code, isinstance(told.exception, HybridError)) == (1, True)
    assert str(told.exception).startswith(f"No agent runs for {tree.state}; ")
    assert not tree.agents()
    pid = tree.status()["pid"]
    shown = json.loads(onehybrid(tree, "agent", "status", "--json").output)
    assert (shown["pid"], shown["hosts"]) == (pid, {"ready": 3})
    table = onehybrid(tree, "agent", "status").output
    assert str(pid) in table
    assert "ready 3" in table
    assert onehybrid(tree, "agent", "stop").output == f"The agent (process {pid}) has stopped.\n"
    assert not tree.agents()


def test_run_starts_it_in_the_background(tree: AgentTree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE_LOCATION", str(tree.top))
    output = onehybrid(tree, "agent", "run").output
    assert output == f"The agent (process {tree.agents()[0]}) runs.\n"
    assert onehybrid(tree, "agent", "run").output == output


def test_reload_and_log_level(tree: AgentTree) -> None:
    tree.status()
    assert onehybrid(tree, "agent", "reload").exit_code == 0
    eventually(lambda: tree.status()["reloads"] == 1, "it has read it")
    (tree.top / "etc/hybrid/hybrid.yaml").write_text("agent: {idle_exit: soon}\n")
    assert "idle_exit" in str(onehybrid(tree, "agent", "reload").exception)
    assert onehybrid(tree, "agent", "log-level", "debug").output == "The agent logs from level debug.\n"
    tree.call("im", "provision", "x", "fail")
    assert "Traceback" in log_of(tree)
    assert onehybrid(tree, "agent", "log-level", "loud").exit_code == 2
    code, _, err = tree.call("agent", "agent", "dance")
    assert (code, err) == (1, b"The agent has no action dance; it has status, stop, reload, log-level.\n")


def test_groups_are_imported_only_when_used() -> None:
    result = CliRunner().invoke(cli, ["--help"])
    assert result.exit_code == 0
    assert all(f"  {name} " in result.output and line in result.output for name, (_, line) in GROUPS.items())
    assert CliRunner().invoke(cli, ["nonsense"]).exit_code == 2
