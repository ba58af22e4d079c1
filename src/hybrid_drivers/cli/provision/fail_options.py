"""The options that say what happens when something fails, and the question when none was given."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from hybrid_drivers.cli.output import printable
from hybrid_drivers.cli.provision.tell import Lines
from hybrid_drivers.provision.failures import Failures, Mode, chain

F = TypeVar("F", bound=Callable[..., Any])
LETTERS = {"q": Mode.QUIT, "r": Mode.RETRY, "s": Mode.SKIP, "c": Mode.CLEANUP}
MEANING = {
    Mode.QUIT: "leave everything as it is",
    Mode.RETRY: "try again",
    Mode.SKIP: "go on without it (a host's machine is given back)",
    Mode.CLEANUP: "take everything away again",
}


def fail_options(*, cleanup: bool = True) -> Callable[[F], F]:
    """Give a command OneProvision's options for failures, and the keyword argument ``failures``.

    ``cleanup``: whether it may take everything away again. Where something was there before it may not.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            ours = {name: kwargs.pop(name) for name in list(kwargs) if name.startswith("fail_") or name == "batch"}
            return function(*args, failures=_failures(**ours, cleanup=cleanup), **kwargs)

        decorated: Any = wrapped
        for option in reversed(_options(cleanup)):
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return] # the same signature but for our parameters

    return decorate


def _options(cleanup: bool) -> Sequence[Callable[[F], F]]:
    away = (
        "Then take everything away again." if cleanup else "Here the same as --fail-skip: what was there before stays."
    )
    modes = ", ".join(mode.value for mode in MEANING)
    return (
        click.option("--batch", "-b", is_flag=True, help="Ask nothing; do what the options below say."),
        click.option("--fail-retry", type=_COUNT, default=0, metavar="N", help="First try again, N times."),
        click.option("--fail-skip", is_flag=True, help="Then go on without what failed."),
        click.option("--fail-cleanup", is_flag=True, help=away),
        click.option("--fail-quit", is_flag=True, help="Then stop and leave everything as it is (the default)."),
        click.option("--fail-modes", metavar="MODE,...", default="", help=f"Go through these in this order: {modes}."),
        click.option("--fail-sleep", type=_SECONDS, default=0, metavar="SECONDS", help="Wait before each of them."),
    )


_COUNT, _SECONDS = click.IntRange(min=0), click.FloatRange(min=0)


def _failures(
    *,
    batch: bool,
    fail_retry: int,
    fail_skip: bool,
    fail_cleanup: bool,
    fail_quit: bool,
    fail_modes: str,
    fail_sleep: float,
    cleanup: bool,
) -> Failures:
    words = [word.strip().lower() for word in fail_modes.split(",") if word.strip()]
    modes = chain(words, retry=fail_retry, cleanup=fail_cleanup, skip=fail_skip, quit_=fail_quit)
    if not cleanup:
        modes = tuple(Mode.SKIP if mode is Mode.CLEANUP else mode for mode in modes)
    told = bool(words or fail_retry or fail_skip or fail_cleanup or fail_quit)
    if batch or told:
        return Failures(modes=modes, retries=fail_retry or (1 if Mode.RETRY in modes else 0), pause=fail_sleep)
    letters = [letter for letter, mode in LETTERS.items() if cleanup or mode is not Mode.CLEANUP]
    return Failures(pause=fail_sleep, ask=functools.partial(ask, letters))


@contextmanager
def pausing(failures: Failures, tell: Lines) -> Iterator[None]:
    """Keep a live table away from questions; ``tell`` is who shows it."""
    if failures.ask is None:
        yield
        return
    question = failures.ask

    def quietly(what: str, modes: Sequence[Mode]) -> Mode:
        with tell.paused():
            return question(what, modes)

    failures.ask = quietly
    try:
        yield
    finally:
        failures.ask = question


def ask(letters: Sequence[str], what: str, _modes: Sequence[Mode]) -> Mode:
    """Ask on the terminal what to do, one of ``letters``; without one, or at its end, it is quit."""
    click.echo(printable(f"Failed: {what}"), err=True)
    if not sys.stdin.isatty():
        return Mode.QUIT
    for letter in letters:
        click.echo(f"  {letter}: {LETTERS[letter].value}: {MEANING[LETTERS[letter]]}", err=True)
    while True:
        try:
            word = click.prompt("What now?", default="q", err=True).strip().lower()
        except click.Abort:  # Ctrl-C, or the end of input
            return Mode.QUIT
        chosen = LETTERS.get(word[:1]) if word[:1] in letters else None
        if chosen is not None and chosen.value.startswith(word):
            return chosen
