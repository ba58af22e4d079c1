"""Showing people how a provision comes on: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from hybrid_drivers.cli.output import Column, printable
from hybrid_drivers.cli.output.table import Layout, lines
from hybrid_drivers.cli.output.terminal import Terminal
from hybrid_drivers.provision.progress import HostView

if TYPE_CHECKING:
    from rich.live import Live


def _left(one: HostView) -> str:
    if one.left is None:
        return ""
    return f"~{lasting(one.left)}" if one.left > 0 else "late"


def lasting(seconds: float) -> str:
    """Write a time for people: ``42 s``, ``3:07``, ``1:02:07``."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


COLUMNS: tuple[Column[HostView], ...] = (
    Column("HOST", "The name it was given", 20, lambda one: one.name, left=True),
    Column("STATE", "How far it is", 11, lambda one: "GONE" if one.gone else one.state, left=True, state=True),
    Column("ELAPSED", "Time since the machine was ordered", 7, lambda one: lasting(one.elapsed)),
    Column("LEFT", "What hosts of this kind took, less that", 6, _left),
    Column("STEP", "What is being done, or wrong", 10, lambda one: one.problem or one.step or one.address, left=True),
)
LAYOUT = Layout(adjust=frozenset({"STATE", "ELAPSED", "LEFT"}))
AROUND = 4  # lines of the terminal for the title, the header, the count of what is not shown, and the cursor


class Lines:
    """One line for each thing that happens, with the time since the beginning; on standard error."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """Print what happened."""
        click.echo(f"[{time.monotonic() - self._began:7.1f} s] {printable(text)}", err=True)

    def passing(self, text: str) -> None:
        """Print it: there is no table."""
        self.say(text)

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
        told = f"[{time.monotonic() - self._began:7.1f} s] {printable(text)}"
        self._live.console.print(told, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def passing(self, text: str) -> None:
        """Say nothing: the table shows it."""

    def hosts(self, views: Sequence[HostView]) -> None:
        """Draw the table anew; without hosts there is none."""
        from rich.text import Text

        console = self._live.console
        terminal = Terminal(sys.stderr, console.width, not console.no_color)
        shown = _table(views, terminal, console.height - AROUND) if views else []
        self._live.update(Text.from_ansi("\n".join(shown), no_wrap=True, overflow="crop"), refresh=True)

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
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield Lines()
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    # What others print meanwhile appears above the table, but what is meant for a file or a pipe goes there.
    with Live(console=console, auto_refresh=False, transient=True, redirect_stdout=sys.stdout.isatty()) as live:
        yield LiveTable(live)


def _table(views: Sequence[HostView], terminal: Terminal, room: int) -> list[str]:
    """Return the lines that fit into ``room``: what failed first, what is ready last."""
    ready = sum(one.ready for one in views)
    title = f"{ready} of {len(views)} hosts ready"
    shown = sorted(views, key=lambda one: (not one.failed, one.ready, one.index))[: max(1, room)]
    more = [f"and {len(views) - len(shown)} more"] if len(shown) < len(views) else []
    return [title, *lines(COLUMNS, shown, LAYOUT, terminal), *more]
