"""Commands when something fails: what the options mean, who is asked what, and works done one after the other."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
import pytest
from click.testing import CliRunner

from hybrid_drivers.cli.provision.carrying import carry_out_all
from hybrid_drivers.cli.provision.fail_options import fail_options
from hybrid_drivers.clock import SystemClock
from hybrid_drivers.errors import ConfigError, HybridError
from hybrid_drivers.provision.failures import Failures, Mode
from hybrid_drivers.provision.progress import Teller


def failures(*words: str, cleanup: bool = True) -> Failures:
    """Return what a command makes of these options."""
    found: list[Failures] = []

    @click.command()
    @fail_options(cleanup=cleanup)
    def command(failures: Failures) -> None:
        found.append(failures)

    done = CliRunner().invoke(command, words, standalone_mode=False)
    if done.exception:
        raise done.exception
    return found[0]


@pytest.mark.parametrize(
    ("words", "modes", "retries"),
    [
        ("--batch", [Mode.QUIT], 0),
        ("--fail-skip", [Mode.SKIP], 0),
        ("--fail-retry 3 --fail-cleanup", [Mode.RETRY, Mode.CLEANUP], 3),
        ("--fail-modes retry,skip", [Mode.RETRY, Mode.SKIP], 1),
        ("--fail-modes Retry,cleanup --fail-retry 2", [Mode.RETRY, Mode.CLEANUP], 2),
    ],
)
def test_options_are_a_chain_and_nobody_is_asked(words: str, modes: list[Mode], retries: int) -> None:
    found = failures(*words.split())
    assert (list(found.modes), found.retries, found.batch) == (modes, retries, True)


def test_where_something_was_there_before_nothing_takes_all_away() -> None:
    assert list(failures("--fail-retry", "1", "--fail-cleanup", cleanup=False).modes) == [Mode.RETRY, Mode.SKIP]
    assert list(failures("--fail-modes", "cleanup", cleanup=False).modes) == [Mode.SKIP]


@pytest.mark.parametrize(
    ("cleanup", "typed", "mode"),
    [
        (True, ["c"], Mode.CLEANUP),
        (True, ["x", "Ret"], Mode.RETRY),
        (False, ["c", "s"], Mode.SKIP),
        (False, ["", "r"], Mode.RETRY),
        (True, [], Mode.QUIT),
    ],
)
def test_a_person_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cleanup: bool, typed: list[str], mode: Mode
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    answers = iter(typed)

    def prompt(*_words: object, **_settings: object) -> str:
        try:
            return next(answers)
        except StopIteration:
            raise click.Abort from None

    monkeypatch.setattr(click, "prompt", prompt)
    assert failures(cleanup=cleanup).decide("host 1", "sold\x1b[31m out") is mode
    said = capsys.readouterr().err
    assert said.startswith("Failed: host 1: sold\\x1b[31m out\n")
    assert ("c: cleanup" in said) is cleanup


def test_without_a_terminal_nobody_is_asked() -> None:
    assert failures().decide("host 1", "sold out") is Mode.QUIT


# --- one after the other ----------------------------------------------------------------------------------------------


class Work:
    """Something that fails the first times."""

    def __init__(self, *errors: HybridError) -> None:
        self.errors, self.tries = list(errors), 0

    def __call__(self, _tell: Teller) -> None:
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)


def carry(failures: Failures, *works: Work) -> None:
    carry_out_all({f"work {at}": work for at, work in enumerate(works)}, "is done", failures, SystemClock())


def refusing(_what: str, _modes: Sequence[Mode]) -> Mode:
    raise AssertionError("nobody is to be asked")


def test_all_are_done_and_retried(capsys: pytest.CaptureFixture[str]) -> None:
    often = Work(HybridError("no"), HybridError("no"))
    carry(Failures(modes=(Mode.RETRY, Mode.QUIT), retries=2), often, Work())
    assert often.tries == 3
    assert capsys.readouterr().out == "work 0 is done\nwork 1 is done\n"


def test_what_is_skipped_is_told_and_the_others_are_done(capsys: pytest.CaptureFixture[str]) -> None:
    never, other = Work(*[HybridError("it is stuck")] * 9), Work()
    with pytest.raises(HybridError, match=r"^left out: work 0; the lines above say why$"):
        carry(Failures(modes=(Mode.RETRY, Mode.SKIP), retries=1), never, other)
    assert (never.tries, other.tries) == (2, 1)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("work 1 is done\n", "work 0 is left out: it is stuck\n")


def test_the_first_failure_is_the_end_otherwise() -> None:
    other = Work()
    with pytest.raises(HybridError, match="it is stuck"):
        carry(Failures(), Work(HybridError("it is stuck")), other)
    assert other.tries == 0


def test_a_refusal_is_no_question() -> None:
    with pytest.raises(ConfigError, match="virtual machines run"):
        carry(Failures(ask=refusing), Work(ConfigError("virtual machines run")))


def test_an_interrupt_says_how_to_go_on() -> None:
    class Interrupted(Work):
        def __call__(self, _tell: Teller) -> None:
            raise KeyboardInterrupt

    with pytest.raises(ConfigError, match=r"^interrupted; the same command goes on$"):
        carry(Failures(), Interrupted())
