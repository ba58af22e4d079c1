"""What the commands that change something have in common: a question before, people told meanwhile, the id after."""

from __future__ import annotations

from collections.abc import Callable

import click

from hybrid_drivers.cli.output import printable
from hybrid_drivers.cli.provision.fail_options import pausing
from hybrid_drivers.cli.provision.tell import teller
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.provision.failures import Failures, Quit
from hybrid_drivers.provision.progress import Teller


def carry_out(provision_id: int, work: Callable[[Teller], None], failures: Failures) -> None:
    """Do ``work`` while people are told, and print the provision's id at the end.

    Raises:
        ConfigError: it was interrupted or stopped; the text says how to go on.
    """
    try:
        with teller() as tell, pausing(failures, tell):
            work(tell)
    except KeyboardInterrupt:
        raise ConfigError(f"interrupted; 'oneprovision apply {provision_id}' goes on") from None
    except Quit as exc:
        raise ConfigError(f"{exc}; 'oneprovision apply {provision_id}' goes on") from exc
    click.echo(f"ID: {provision_id}")


def sure(question: str, yes: bool) -> None:
    """Ask. Raises: ConfigError: the answer is no, or nobody can be asked."""
    if yes:
        return
    try:
        agreed = click.confirm(printable(question), err=True)
    except click.Abort:
        raise ConfigError("nothing was changed: nobody answered (--yes does not ask)") from None
    if not agreed:
        raise ConfigError("nothing was changed")
