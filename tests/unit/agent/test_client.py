"""The thin client: what goes through it, and how it fails. Real client processes, real agents with a toy core."""

from __future__ import annotations

import ast
import base64
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.agent_tree import CLIENT, AgentTree, agent_tree

from hybrid_drivers.agent import client, protocol, starter
from hybrid_drivers.config import Location
from hybrid_drivers.oned import process
from hybrid_drivers.oned.process import Answer, Call


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[AgentTree]:
    with agent_tree(tmp_path / "one") as made:
        yield made


# --- what goes through -------------------------------------------------------------------------------------------


def test_arguments_and_stdin_arrive_as_they_were(tree: AgentTree) -> None:
    stdin = bytes(range(256)) * 1000
    code, out, err = tree.call("im", "provision", "control", "", "two words", "ü\n'\"$x", stdin=stdin)
    answer = json.loads(out)
    assert (code, err) == (0, b"")
    assert answer["argv"] == ["", "two words", "ü\n'\"$x"]
    assert (answer["family"], answer["driver"], answer["action"]) == ("im", "provision", "control")
    assert base64.b64decode(answer["stdin"]) == stdin
    assert answer["env"] == {"PWD": "/"}


def test_outputs_and_exit_code_are_relayed(tree: AgentTree) -> None:
    assert tree.call("ipam", "packet", "get_address", "refuse") == (7, b"out\n", b"INFO: err\n")


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("im", (1, b"failed: INFO: the plan 'x' is unknown; take one of the list\n", b"")),
        ("vnm", (1, b"", b"failed: INFO: the plan 'x' is unknown; take one of the list\n")),
        (
            "pm",
            (
                255,
                b"",
                b"ERROR MESSAGE --8<------\nfailed: INFO: the plan 'x' is unknown; take one of the list\n"
                b"ERROR MESSAGE ------>8--\n",
            ),
        ),
    ],
)
def test_a_failure_is_told_in_the_dialect_of_the_family(
    tree: AgentTree, family: str, expected: tuple[int, bytes, bytes]
) -> None:
    assert tree.call(family, "packet", "deploy", "fail") == expected


def test_pm_does_not_wait_for_stdin_that_stays_open(tree: AgentTree) -> None:
    reader, writer = os.pipe()
    try:
        process_ = tree.popen("pm", "packet", "poll", "id-1", stdin=reader)
        out, _ = process_.communicate(timeout=20)
        assert json.loads(out)["stdin"] == ""
    finally:
        os.close(reader)
        os.close(writer)


def test_stdin_may_be_closed(tree: AgentTree) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec '{tree.client}' im provision x <&-"], env=tree.environment, capture_output=True
    )
    assert json.loads(done.stdout)["stdin"] == ""


def test_too_much_stdin_is_one_sentence(tree: AgentTree) -> None:
    code, out, _ = tree.call("im", "provision", "x", stdin=b"x" * (client.STDIN_LIMIT + 1))
    assert (code, out) == (1, b"Standard input is larger than 16 MiB.\n")
    assert not tree.agents()


def test_arguments_that_are_no_text_are_refused_in_the_familys_dialect(tree: AgentTree) -> None:
    process_ = subprocess.run(
        [os.fsencode(tree.client), b"ipam", b"packet", b"get_address", b"\xff\xfe"],
        env=tree.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    assert (process_.returncode, process_.stdout) == (1, b"")
    assert process_.stderr == b"The agent refused the call: the arguments must be UTF-8 text.\n"


def test_too_few_words(tree: AgentTree) -> None:
    code, _, err = tree.call("vnm")
    assert (code, err.startswith(b"Usage: hybrid-client")) == (1, True)


# --- limits ---------------------------------------------------------------------------------------------------------


def test_a_call_ends_within_its_limit(tree: AgentTree) -> None:
    tree.status()
    shorter = f"import sys; sys.path.insert(0, {str(CLIENT.parent)!r}); import client; client.LIMITS['im'] = 0.5; "
    command = [sys.executable, "-IS", "-c", shorter + "sys.exit(client.main())", "im", "p", "x", "sleep", "60"]
    began = time.monotonic()
    done = subprocess.run(command, env=tree.environment, stdin=subprocess.DEVNULL, capture_output=True)
    assert (done.returncode, done.stdout) == (
        1,
        b"No answer within 0.5 s: the agent is busy or hangs; see its log.\n",
    )
    assert time.monotonic() - began < 20


def test_limits_leave_oned_time() -> None:
    assert client.LIMITS["im"] < 90  # one_im_sh -w 90
    assert client.LIMITS["ipam"] < 90  # oned forgets an IPAM request after 90 s
    assert client.LIMITS["pm"] == 0
    assert client.LIMITS["ipam"] > starter.START_LIMIT


# --- the copies of rules that live elsewhere -------------------------------------------------------------------------


@given(st.text() | st.sampled_from(["", "INFO: x", "1 x", "\u0663", "--8< >8--", "a\r\n\tb", "WARNING:x"]))
def test_failure_rules_agree(text: str) -> None:
    assert client.plain_line(text) == process.plain_line(text)
    if text.isprintable():
        for family in ("im", "pm", "ipam", "vnm"):
            ours = process.failure(text, family=family)
            assert client.failure(text, family) == (ours.code, ours.stdout, ours.stderr)


TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=30)


@given(st.lists(TEXT), st.dictionaries(TEXT.map(lambda name: name.replace("=", "_")), TEXT), st.binary())
def test_the_client_writes_what_the_agent_reads(argv: list[str], env: dict[str, str], stdin: bytes) -> None:
    call = Call(family="im", driver="provision", action="control", argv=tuple(argv), env=env, stdin=stdin)
    pairs = [f"{name}={value}".encode() for name, value in env.items()]
    frame = client.request([b"im", b"provision", b"control"], [word.encode() for word in argv], pairs, stdin)
    assert frame == protocol.encode_call(call)
    assert protocol.decode_call(frame[5:]) == call


@given(st.integers(0, 255), st.binary(), st.binary())
def test_the_client_reads_what_the_agent_writes(code: int, out: bytes, err: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        answer = Answer(code=code, stdout=out, stderr=err)
        theirs.sendall(protocol.VERSION + protocol.encode_answer(answer))
        assert client.ask(ours, b"") == (code, out, err)
        assert protocol.decode_answer(protocol.encode_answer(answer)[4:]) == answer


@pytest.mark.parametrize("root", ["", "/srv/one", "/srv/one/"])
def test_folders_agree(root: str) -> None:
    place = client.Place(root)
    location = Location.from_environment({"ONE_LOCATION": root})
    assert (place.state, place.lib) == (str(location.state), str(location.lib))
    assert client.AGENT_ENVIRONMENT == starter.ENVIRONMENT


# --- what keeps it quick and alone -------------------------------------------------------------------------------


def test_nothing_heavy_is_imported_on_the_way_of_a_call(tree: AgentTree) -> None:
    tree.status()
    code = f"import sys; sys.path.insert(0, {str(CLIENT.parent)!r}); import client; client.main(); print(*sys.modules)"
    command = [sys.executable, "-IS", "-c", code, "ipam", "packet", "x", "refuse"]
    done = subprocess.run(command, env=tree.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "client" in loaded
    assert not loaded & {"socket", "subprocess", "json", "re", "enum", "typing", "pathlib", "signal", "fcntl", "struct"}


def test_it_is_one_file_for_old_pythons() -> None:
    source = CLIENT.read_text()
    parsed = ast.parse(source, feature_version=(3, 8))
    assert "hybrid_drivers" not in {
        name.split(".")[0]
        for node in ast.walk(parsed)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert source.startswith("#!")
