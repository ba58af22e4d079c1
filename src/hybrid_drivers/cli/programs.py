"""Runs a command as a program: its name in the usage, its exit codes, and errors as sentences."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn

import click

from hybrid_drivers import __version__
from hybrid_drivers.errors import HybridError

log = logging.getLogger(__name__)


def run(load: Callable[[], click.Command], name: str, *, failure: int, misuse: int | None = None) -> NoReturn:
    """Run the command that ``load`` returns as the program ``name``, and exit.

    A failure exits with ``failure``, a wrong call with ``misuse`` (None: click's, mostly 2).

    An error of ours is one sentence; so is a fault of this program, whose traceback goes to the debug log only.
    """
    try:
        code = load().main(prog_name=name, standalone_mode=False, help_option_names=["-h", "--help"])
    except click.ClickException as error:
        error.show()
        code = error.exit_code if misuse is None else misuse
    except click.Abort:
        _say("Aborted.")
        code = failure
    except HybridError as error:
        _log_error()
        _say(f"Error: {error}")
        code = failure
    except BrokenPipeError:  # the reader (head, less) left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = failure
    except Exception as error:  # noqa: BLE001 - the process boundary: whatever happened is told in one sentence
        _log_error()
        _say(f"Error: {_unexpected(error, name)}")
        code = failure
    sys.exit(code if isinstance(code, int) else 0)


def with_version(command: click.Command, name: str) -> click.Command:
    """Give ``command`` the option ``--version`` (once)."""
    if not any(parameter.name == "version" for parameter in command.params):
        click.version_option(__version__, "-V", "--version", prog_name=name)(command)
    return command


def _unexpected(error: Exception, name: str) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{name} failed at something it does not expect, {type(error).__name__}: {error}; please report it."


def _say(text: str) -> None:
    """Write lines to standard error, safe to show and without known secrets."""
    from hybrid_drivers.agent.logs import masked
    from hybrid_drivers.cli.output.printable import printable

    for line in masked(text).splitlines() or [""]:
        click.echo(printable(line), err=True)


def _log_error() -> None:
    log.debug("ended by an error", exc_info=True)
