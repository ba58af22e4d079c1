"""``oneprovision`` on a terminal: the live table, questions and answers, Ctrl-C, inputs; and plain lines elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.lab import no_secret_came_out, quick_lab
from tests.support.terminal import CTRL_C, OnTerminal

from hybrid_drivers.sandbox.lab import Lab

HOSTS = """
name: site
playbook: dummy
defaults:
  provision: {provider: packet-ams, plan: c3.small.x86, os: debian_12, metro: am}
hosts:
  - {im_mad: kvm, vm_mad: kvm, provision: {hostname: "edge-${index}", count: 2}}
"""
INPUTS = """
name: asked
cluster: {name: asked, comment: "${input.comment} ${input.size}"}
inputs:
  - {name: comment, type: text, description: "What is it for?"}
  - {name: size, type: list, options: [small, big], default: small}
  - {name: secret, type: password, description: A secret}
"""
SECRET = "typed-in-secret"
FULL = "maximum number of devices"


@pytest.fixture(scope="module")
def shared() -> Iterator[Lab]:
    with quick_lab(agent={"sweep": 60}) as made:  # as it is by default: nothing may wait for it
        yield made


@pytest.fixture
def lab(shared: Lab) -> Iterator[Lab]:
    """The laboratory of this module, as it was."""
    yield shared
    shared.simulator.knobs.change({"quota": 0, "provisioning": 0.1})
    for known in json.loads(shared.run("oneprovision", "list", "--json").stdout)["DOCUMENT_POOL"]["DOCUMENT"]:
        assert shared.run("oneprovision", "delete", str(known["ID"]), "--cleanup").returncode == 0
    shared.wait_empty()
    no_secret_came_out(shared)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "edge.yaml"
    path.write_text(HOSTS)
    return str(path)


def on_terminal(lab: Lab, *words: str, columns: int = 100) -> OnTerminal:
    return OnTerminal(["oneprovision", *words], lab.frontend.environment, columns)


def shown(lab: Lab, which: str = "site") -> dict[str, Any]:
    found = json.loads(lab.run("oneprovision", "show", which, "--json").stdout)["DOCUMENT"]
    assert isinstance(found, dict)
    return found


# --- the table --------------------------------------------------------------------------------------------------------


def test_a_live_table_shows_each_host_with_its_state_and_step(lab: Lab, file: str) -> None:
    lab.simulator.knobs.change({"provisioning": 1})
    with on_terminal(lab, "create", file) as screen:
        screen.until("0 of 2 hosts ready\nHOST ")
        screen.until("STATE")
        screen.until("ELAPSED")
        screen.until("STEP")
        screen.until("\nedge-0 ")
        screen.until("DEPLOYING")
        screen.until("at packet-ams")
        assert "\x1b[33mDEPLOYING" in screen.seen
        screen.until("2 of 2 hosts ready\n")
        assert screen.ends() == 0
    assert "\x1b[32mREADY" in screen.seen
    assert re.search(r"\[ +[0-9.]+ s\] host edge-1 \(id \d+\): READY at 127\.", screen.text)
    # Above the table is only what stays true: its steps on the way are in the table, and in the history.
    said = re.findall(r"\[ +[0-9.]+ s\] (.*?)\s*\n", screen.text)
    assert [line for line in said if "edge-" in line and " made" not in line and ": READY at " not in line] == []
    assert "): DEPLOYING" in lab.run("oneprovision", "events", "site").stdout
    number = shown(lab)["ID"]
    assert screen.text.startswith(f"ID: {number}\n")
    # The table is gone at the end: the cursor goes up, each line is cleared, and only the id is below what was said.
    last = screen.seen[screen.seen.rindex("hosts ready") :]
    assert last.count("\x1b[2K") >= 4
    assert last.endswith(f"\x1b[2KID: {number}\r\n")


@pytest.mark.parametrize(("columns", "typed"), [(60, "\n"), (200, "\x04")], ids=["narrow", "wide"])  # Enter, Ctrl-D
def test_a_long_problem_leaves_the_other_columns_alone(lab: Lab, file: str, columns: int, typed: str) -> None:
    lab.simulator.knobs.change({"quota": 1})
    with on_terminal(lab, "create", file, columns=columns) as screen:
        table = screen.until("What now? [q]: ").rpartition("hosts ready")[2]
        screen.type(typed)
        assert screen.ends() == 255
    lines = [line for line in table.splitlines() if " ERROR " in line]
    assert len(lines) == 1
    assert re.match(r"edge-[01] +ERROR ", lines[0])
    assert len(lines[0]) <= columns


def test_a_table_higher_than_the_terminal_shows_what_failed_first(lab: Lab, file: str) -> None:
    Path(file).write_text(HOSTS.replace("count: 2", "count: 40"))
    lab.simulator.knobs.change({"quota": 39})
    with on_terminal(lab, "create", file) as screen:
        table = screen.until("What now? [q]: ").rpartition("hosts ready\n")[2]
        screen.type("s\n")
        assert screen.ends() == 0
    assert table.splitlines()[1].split()[1] == "ERROR"
    assert re.search(r"\nand \d+ more\n", table)


def test_into_a_pipe_go_plain_lines(lab: Lab, file: str) -> None:
    done = lab.run("oneprovision", "create", file)
    assert done.returncode == 0
    assert re.fullmatch(r"(ID: \d+)\n\1\n", done.stdout)
    lines = done.stderr.splitlines()
    assert all(re.match(r"\[ *\d+\.\d s\] ", line) for line in lines)
    assert [line for line in lines if "edge-1" in line and "READY at" in line]
    assert [line for line in lines if re.search(r"edge-1 \(id \d+\): (PENDING|DEPLOYING|BOOTING|CON)", line)]
    assert "\x1b" not in done.stderr


def test_the_log_is_above_the_table(lab: Lab, file: str) -> None:
    with on_terminal(lab, "create", file, "--debug") as screen:
        assert screen.ends() == 0
    logged = [line for line in screen.seen.split("\r\n") if " DEBUG " in line]
    table = [line for line in screen.seen.split("\r\n") if "hosts ready" in line]
    assert table
    # A line of the log never begins in the middle of the table: it begins a line, cleared where the table was.
    assert all(re.match(r"(\r?\x1b\[\d*[A-Za-z]|\r|\x1b\[\?25[lh])*\d{4}-", line) for line in logged), logged


# --- questions --------------------------------------------------------------------------------------------------------


def test_skip_goes_on_without_the_host(lab: Lab, file: str) -> None:
    lab.simulator.knobs.change({"quota": 1})
    with on_terminal(lab, "create", file) as screen:
        asked = screen.until("What now? [q]: ")
        for line in ("Failed: host edge-", FULL, "q: quit:", "r: retry:", "s: skip:", "c: cleanup:"):
            assert line in asked
        screen.type("nonsense\n")
        screen.answer("What now? [q]: ", "s")
        assert screen.ends() == 0
    assert "left out: host edge-" in screen.text
    found = shown(lab)
    assert (found["STATE"], len(found["HOSTS"]), len(lab.alive())) == ("RUNNING", 1, 1)


def test_retry_tries_again_at_once(lab: Lab, file: str) -> None:
    lab.simulator.knobs.change({"quota": 1})
    with on_terminal(lab, "create", file) as screen:
        screen.until("What now? [q]: ")
        lab.simulator.knobs.change({"quota": 0})
        screen.type("retry\n")
        assert screen.ends() == 0
    assert "2 of 2 hosts ready" in screen.text
    assert screen.text.count("Failed: ") == 1
    assert (shown(lab)["STATE"], len(lab.alive())) == ("RUNNING", 2)


@pytest.mark.parametrize("typed", ["q\n", CTRL_C], ids=["q", "Ctrl-C"])
def test_quit_leaves_everything_and_says_how_to_go_on(lab: Lab, file: str, typed: str) -> None:
    lab.simulator.knobs.change({"quota": 1})
    with on_terminal(lab, "create", file) as screen:
        screen.until("What now? [q]: ")
        if typed != CTRL_C:
            screen.type(typed)
        assert (screen.interrupted() if typed == CTRL_C else screen.ends()) == 255
    found = shown(lab)
    assert (found["STATE"], len(found["HOSTS"])) == ("ERROR", 2)
    assert f"'oneprovision resume {found['ID']}' goes on" in screen.text.replace("\n", "")
    assert f"ID: {found['ID']}\n" in screen.text


def test_cleanup_takes_everything_away(lab: Lab, file: str) -> None:
    lab.simulator.knobs.change({"quota": 1})
    with on_terminal(lab, "create", file) as screen:
        screen.answer("What now? [q]: ", "c")
        after = screen.until("DELETING")
        assert screen.ends() == 255
    assert "all machines are given back" in screen.text
    assert "hosts ready" not in screen.text[len(after) :]
    assert "taken away again" in screen.text
    assert (lab.alive(), lab.oned.documents(703), lab.oned.hosts()) == ([], [], [])


def test_what_was_there_before_is_never_offered_for_cleanup(lab: Lab, file: str) -> None:
    assert lab.run("oneprovision", "create", file).returncode == 0
    lab.simulator.knobs.change({"quota": 2})
    with on_terminal(lab, "scale", "site", "3") as screen:
        asked = screen.until("What now? [q]: ")
        assert "s: skip:" in asked
        assert "c: cleanup:" not in asked
        screen.type("c\n")
        screen.answer("What now? [q]: ", "s")
        assert screen.ends() == 0
    assert (len(lab.alive()), shown(lab)["STATE"]) == (2, "RUNNING")


# --- Ctrl-C -----------------------------------------------------------------------------------------------------------


def test_an_interrupt_says_how_to_go_on(lab: Lab, file: str) -> None:
    lab.simulator.knobs.change({"provisioning": 2})
    with on_terminal(lab, "create", file) as screen:
        screen.until("DEPLOYING")
        assert screen.interrupted() == 255
    number = screen.text.partition("\n")[0].removeprefix("ID: ")
    assert screen.text.splitlines()[-1] == f"Error: interrupted; 'oneprovision resume {number}' goes on"
    assert "Traceback" not in screen.text
    assert "\x1b[?25h" in screen.seen  # the cursor is there again
    done = lab.run("oneprovision", "resume", number)  # nobody holds it any more
    assert done.returncode == 0, done.stderr
    assert (shown(lab)["STATE"], lab.made()) == ("RUNNING", len(lab.simulator.machines))
    assert len(lab.alive()) == 2


def test_an_interrupt_of_top_is_no_failure(lab: Lab) -> None:
    with on_terminal(lab, "top") as screen:
        screen.until("DATASTORES")
        assert screen.interrupted() == 0
    assert "Error" not in screen.text


# --- inputs and confirmations -----------------------------------------------------------------------------------------


def test_inputs_are_asked_for_and_passwords_are_not_shown(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "asked.yaml"
    path.write_text(INPUTS)
    with on_terminal(lab, "create", str(path)) as screen:
        screen.answer("What is it for?: ", "tests")
        screen.answer("size [small, big] [small]: ", "")
        screen.answer("A secret: ", SECRET)
        assert screen.ends() == 0
    assert "tests" in screen.text
    assert SECRET not in screen.seen
    found = lab.run("oneprovision", "show", "asked", "--json").stdout
    assert SECRET not in found
    assert json.loads(found)["DOCUMENT"]["INPUTS"] == {"comment": "tests", "size": "small", "secret": "***"}
    cluster = next(one for one in lab.oned.clusters() if one.name == "asked")
    assert cluster.template.text("COMMENT") == "tests small"


def test_without_a_terminal_inputs_are_named(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "asked.yaml"
    path.write_text(INPUTS)
    done = lab.run("oneprovision", "create", str(path))
    assert (done.returncode, done.stdout) == (255, "")
    assert "comment" in done.stderr
    assert "secret" in done.stderr
    assert "--user-inputs" in done.stderr
    assert lab.oned.documents(703) == []


def test_what_takes_away_is_asked_about(lab: Lab, file: str) -> None:
    assert lab.run("oneprovision", "create", file).returncode == 0
    with on_terminal(lab, "scale", "site", "1") as screen:
        screen.answer("give back edge-1? [y/N]: ", "n")
        assert screen.ends() == 255
    assert "nothing was changed" in screen.text
    with on_terminal(lab, "scale", "site", "1") as screen:
        screen.until("[y/N]: ")
        assert screen.interrupted() == 255
    assert "nothing was changed: nobody answered" in screen.text
    assert len(lab.alive()) == 2
    with on_terminal(lab, "scale", "site", "1") as screen:
        screen.answer("[y/N]: ", "y")
        assert screen.ends() == 0
    lab.wait(lambda: len(lab.alive()) == 1)
