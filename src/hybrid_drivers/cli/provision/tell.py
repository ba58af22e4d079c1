"""Showing people how a provision comes on: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from hybrid_drivers.cli.output import printable
from hybrid_drivers.provision.progress import HostView

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

SHOWN = 40  # hosts in the live table; of more, those still on their way


class Lines:
    """One line for each thing that happens, with the time since the beginning; on standard error."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """Print what happened."""
        click.echo(f"[{time.monotonic() - self._began:7.1f} s] {printable(text)}", err=True)

    def hosts(self, views: Sequence[HostView]) -> None:
        """Changes of a host are said already."""

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Keep what moves away while a question is asked; here nothing moves."""
        yield


class LiveTable(Lines):
    """What happened, and below it how each host stands."""

    def __init__(self, live: Live) -> None:
        super().__init__()
        self._live = live

    def say(self, text: str) -> None:
        """Print above the table."""
        self._live.console.print(
            f"[{time.monotonic() - self._began:7.1f} s] {printable(text)}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    def hosts(self, views: Sequence[HostView]) -> None:
        """Draw the table anew."""
        self._live.update(_table(views), refresh=True)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Keep the table away while a question is asked."""
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()


@contextmanager
def teller() -> Iterator[Lines]:
    """Yield who tells people on standard error, as suits where that goes."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        yield LiveTable(live)


def _table(views: Sequence[HostView]) -> Table:
    from rich.table import Table
    from rich.text import Text

    ready = sum(one.ready for one in views)
    table = Table(box=None, title=f"{ready} of {len(views)} hosts ready", title_justify="left")
    for column in ("HOST", "STATE", "STEP", "ELAPSED", "LEFT"):
        table.add_column(column, justify="right" if column in ("ELAPSED", "LEFT") else "left", no_wrap=True)
    shown = views if len(views) <= SHOWN else [one for one in views if not one.ready][:SHOWN]
    for one in shown:
        words = (one.name, one.state, one.problem or one.step or one.address, lasting(one.elapsed), _left(one))
        style = "red" if one.failed else "green" if one.ready else ""
        table.add_row(*[Text(printable(word), style=style) for word in words])
    return table


def _left(one: HostView) -> str:
    if one.left is None:
        return ""
    return f"~{lasting(one.left)}" if one.left > 0 else "longer than usual"


def lasting(seconds: float) -> str:
    """Write a time for people: ``42 s``, ``3:07``, ``1:02:07``."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
