from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from hybrid_drivers.sandbox.__main__ import main


@contextmanager
def running(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command; yields the process and what it printed before it was ready."""
    command = [sys.executable, "-m", "hybrid_drivers.sandbox", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        printed = ""
        while "Ctrl-C" not in printed:
            line = process.stdout.readline()
            assert line, f"it ended early after {printed!r}"
            printed += line
        yield process, printed
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_packet_serves_with_the_printed_credentials_and_ends_cleanly(ending: signal.Signals) -> None:
    with running("packet", "--listen", "127.0.0.1:0", "--knob", "list_lag=3", "--knob", "quota=2") as (
        process,
        printed,
    ):
        found = re.search(r"at (\S+)\n +token: (\S+)\n +project: (\S+)", printed)
        assert found
        url, token, project = found.groups()
        reply = requests.get(f"{url}/projects/{project}", headers={"X-Auth-Token": token}, timeout=5)
        assert reply.status_code == 200
        assert requests.get(f"{url}/_sandbox/knobs", timeout=5).json()["list_lag"] == 3
        process.send_signal(ending)
        assert process.wait(10) == 0


def test_ec2_prints_what_a_client_needs() -> None:
    with running("ec2", "--machines", "none") as (process, printed):
        for name in ("access key id: AKIA", "secret access key: ", "region: eu-central-1", "image: ami-"):
            assert name in printed
        process.terminate()
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["packet", "--knob", "colour=red"], "no knob 'colour'"),
        (["packet", "--knob", "quota=many"], "knob quota"),
        (["packet", "--listen", "203.0.113.1:1"], "cannot listen"),
    ],
)
def test_wrong_words_are_one_sentence_and_exit_1(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 1
    told = capsys.readouterr().err
    assert complaint in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["moon"], ["packet", "--listen", "nowhere"], ["packet", "--machines", "x"]])
def test_a_wrong_command_line_is_exit_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2


def test_help_names_every_knob(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    assert "lost_reply" in told
    assert "bad_host_key" in told
