"""What the commands that change something have in common: a question before, people told meanwhile, the id after."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import click

from hybrid_drivers.cli.output import printable
from hybrid_drivers.cli.provision.fail_options import pausing
from hybrid_drivers.cli.provision.tell import teller
from hybrid_drivers.clock import Clock
from hybrid_drivers.errors import ConfigError, HybridError
from hybrid_drivers.provision.failures import Failures, Mode, Quit
from hybrid_drivers.provision.progress import Teller

Work = Callable[[Teller], None]


def carry_out(provision_id: int, work: Work, failures: Failures, again: str = "the same command") -> None:
    """Do ``work`` while people are told, and print the provision's id at the end. ``again``: what goes on with it.

    Raises:
        ConfigError: it was interrupted or stopped; the text says how to go on.
    """
    try:
        with teller() as tell, pausing(failures, tell):
            work(tell)
    except KeyboardInterrupt:
        raise ConfigError(f"interrupted; {again} goes on") from None
    except Quit as exc:
        raise ConfigError(f"{exc}; {again} goes on") from exc
    click.echo(f"ID: {provision_id}")


def carry_out_all(works: Mapping[str, Work], done: str, failures: Failures, clock: Clock) -> None:
    """Do works one after the other, each called by its name; ``failures`` says what to do when one fails.

    Raises:
        HybridError: one failed and is where it ends, or some were left out.
        ConfigError: it was interrupted.
    """
    try:
        left_out = [name for name, work in works.items() if not _done(name, work, done, failures, clock)]
    except KeyboardInterrupt:
        raise ConfigError("interrupted; the same command goes on") from None
    if left_out:
        raise HybridError(f"left out: {', '.join(left_out)}; the lines above say why")


def _done(name: str, work: Work, done: str, failures: Failures, clock: Clock) -> bool:
    """Do one of several works; tell whether it was done or skipped. A refusal is nothing to ask about."""
    while True:
        try:
            with teller() as tell:
                work(tell)
        except HybridError as exc:
            if isinstance(exc, ConfigError) and not failures.batch:
                raise
            mode = failures.decide(name, str(exc))
            if mode is Mode.SKIP:
                click.echo(printable(f"{name} is left out: {exc}"), err=True)
                return False
            if mode is not Mode.RETRY:
                raise
            clock.sleep(failures.pause)
        else:
            click.echo(printable(f"{name} {done}"))
            return True


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
