"""Commands as programs: names in the usage, exit codes, and one sentence whatever happens."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from hybrid_drivers import __version__
from hybrid_drivers.agent import logs
from hybrid_drivers.cli import lazygroup, main
from hybrid_drivers.errors import ConfigError

SECRET = "s3cret-in-a-fault"


@click.group()
def tools() -> None:
    """Stand for the real group."""


@tools.command()
@click.argument("how", default="")
@click.option("--amount", type=int)
def do(how: str, amount: int) -> None:
    """Do it, one way or another."""
    faults: dict[str, BaseException] = {
        "ours": ConfigError("The file x is wrong.\nSo is \x1b[31my."),
        "fault": ValueError(f"no {SECRET} here"),
        "file": FileNotFoundError(2, "No such file or directory", "/no/such"),
        "ctrl-c": KeyboardInterrupt(),
        "three": SystemExit(3),
    }
    if how in faults:
        raise faults[how]
    click.echo("done")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Return a call that is a program: exit code, standard output, standard error."""
    monkeypatch.setattr(main, "load", lambda name: {"provision": tools, "provider": tools}[name])

    def call(program: Callable[[], None], *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["x", *words])
        with pytest.raises(SystemExit) as ended:
            program()
        code = ended.value.code
        assert isinstance(code, int)
        return (code, *capsys.readouterr())

    return call


def test_the_name_it_was_called_by_is_in_the_usage(run: Callable[..., tuple[int, str, str]]) -> None:
    assert run(main.provision_main, "--help")[1].startswith("Usage: oneprovision [OPTIONS] COMMAND")
    assert run(main.provider_main, "do", "-h")[1].startswith("Usage: oneprovider do [OPTIONS] [HOW]")
    assert run(main.provision_main, "--version") == (0, f"oneprovision, version {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["do"], 0, ""),
        (["do", "ours"], 255, "Error: The file x is wrong.\nSo is \\x1b[31my.\n"),
        (["do", "file"], 255, "Error: /no/such: No such file or directory\n"),
        (["do", "ctrl-c"], 255, "\nAborted.\n"),
        (["do", "three"], 3, ""),
    ],
)
def test_failures_are_sentences(
    run: Callable[..., tuple[int, str, str]], words: list[str], code: int, said: str
) -> None:
    assert run(main.provision_main, *words) == (code, "done\n" if code == 0 else "", said)


@pytest.mark.parametrize("words", [["what"], ["do", "--what"], ["do", "--amount", "x"], ["do", "a", "b"]])
def test_a_wrong_call_exits_as_opennebulas_does(run: Callable[..., tuple[int, str, str]], words: list[str]) -> None:
    code, output, said = run(main.provision_main, *words)
    assert (code, output) == (255, "")
    assert "Usage: oneprovision" in said


def test_a_fault_of_ours_is_told_without_traceback_and_secrets(
    run: Callable[..., tuple[int, str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    logs.mask(SECRET)
    caplog.set_level(logging.DEBUG)
    code, output, said = run(main.provider_main, "do", "fault")
    assert (code, output) == (255, "")
    assert said == (
        "Error: oneprovider failed at something it does not expect, ValueError: no *** here; please report it.\n"
    )
    assert "Traceback" in caplog.text


def test_onehybrid_keeps_its_exit_codes(run: Callable[..., tuple[int, str, str]]) -> None:
    assert run(main.main, "what")[0] == 2
    assert run(main.main, "configure")[0] == 1
    assert run(main.main, "--version") == (0, f"onehybrid, version {__version__}\n", "")


@pytest.mark.parametrize(("program", "code"), [("provision_main", 255), ("main", 1)])
def test_a_program_that_cannot_even_be_loaded_says_so(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, program: str, code: int
) -> None:
    def broken(name: str) -> click.Command:
        raise ModuleNotFoundError(f"No module named 'what {name} needs'")

    monkeypatch.setattr(main, "load", broken)
    monkeypatch.setattr(lazygroup, "load", lambda table, name: broken(name))
    ended, output, said = run(getattr(main, program), "provision", "list")
    assert (ended, output) == (code, "")
    assert said.endswith("ModuleNotFoundError: No module named 'what provision needs'; please report it.\n")


@pytest.mark.parametrize(
    "words", [("provision", "host"), ("provision", "host", "what"), ("provider", "list", "--what")]
)
def test_a_wrong_call_of_a_group_exits_as_its_own_program_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(sys, "argv", ["x", *words])
    with pytest.raises(SystemExit) as ended:
        main.main()
    said = capsys.readouterr().err
    assert ended.value.code in ((0, 255) if words[-1] == "host" else (255,))  # help alone is no error to older clicks
    assert said.count("Usage: ") <= 1


def test_a_reader_that_left_is_no_traceback() -> None:
    program = Path(sys.executable).with_name("onehybrid")
    line = f'"{program}" --help | head -c 1; exit "${{PIPESTATUS[0]}}"'
    ended = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    assert ended.stderr == ""


def test_every_group_of_the_table_can_be_loaded() -> None:
    assert {main.load(name).name for name in main.GROUPS} == set(main.GROUPS)
