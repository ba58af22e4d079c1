"""What commands log, to standard error: nothing, ``--verbose`` or ``--debug``, as OneProvision has them.

Letters are OneProvision's: ``-d`` and ``-D`` (OpenNebula ``oneprovision_helper.rb``, ``VERBOSE`` and ``DEBUG``).
Every line is masked as the agent's log is, and safe to show. Warnings are told without being asked for.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from typing import Any, TextIO, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
FORMAT = "%(asctime)s %(levelname)-7s %(message)s"
DEBUG_FORMAT = "%(asctime)s.%(msecs)03d %(levelname)-7s %(name)s: %(message)s"
TIME = "%Y-%m-%d %H:%M:%S"


def logging_options(*, letter: bool = True) -> Callable[[F], F]:
    """Give a command ``--verbose`` and ``--debug``; nothing of it reaches the command.

    ``letter``: whether ``-d`` is verbose; commands that list have it for ``--delay``.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def wrapped(*args: Any, log_verbose: bool, log_debug: bool, **kwargs: Any) -> Any:
            set_up(verbose=log_verbose, debug=log_debug)
            return function(*args, **kwargs)

        decorated: Any = wrapped
        short = ["-d"] if letter else []
        decorated = click.option("--debug", "-D", "log_debug", is_flag=True, help="Log all that is done.")(decorated)
        verbose = click.option("--verbose", *short, "log_verbose", is_flag=True, help="Log what is done.")
        return verbose(decorated)  # type: ignore[no-any-return] # the same signature but for our parameters

    return decorate


def set_up(*, verbose: bool = False, debug: bool = False, stream: TextIO | None = None) -> None:
    """Log to ``stream`` (standard error) from now on; replaces what was set up before."""
    from hybrid_drivers.agent import logs

    level = "debug" if debug else "info" if verbose else "warning"
    handler = logging.StreamHandler(stream) if stream else _StandardError()
    handler.setFormatter(_formatter(debug))
    root = logging.getLogger()
    for old in root.handlers[:]:
        if getattr(old, "of_a_command", False):
            root.removeHandler(old)
    handler.of_a_command = True  # type: ignore[attr-defined] # how the next set_up knows it
    root.addHandler(handler)
    logs.set_level(level)


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at that moment: a live table takes its place, to keep lines above it."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        """The class above sets what it was made with."""


def _formatter(debug: bool) -> logging.Formatter:
    from hybrid_drivers.agent.logs import MaskingFormatter
    from hybrid_drivers.cli.output.printable import printable

    class SafeFormatter(MaskingFormatter):
        def format(self, record: logging.LogRecord) -> str:
            record.exc_text = None  # another handler's, which may show more
            return "\n".join(map(printable, super().format(record).split("\n")))

    return SafeFormatter(DEBUG_FORMAT if debug else FORMAT, TIME)
