"""Lays a listing out as aligned columns.

On a terminal the columns are as wide as their values where there is room; where there is none, the widest give way
down to their declared width. Into a pipe nothing is cut unless widths are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hybrid_drivers.cli.output.columns import Column, R
from hybrid_drivers.cli.output.printable import cell, fit, printable, width
from hybrid_drivers.cli.output.terminal import Terminal

GOOD = frozenset(("RUNNING", "READY", "ON", "MONITORED", "DONE", "OK", "SUCCESS", "YES"))
BAD = frozenset(("ERROR", "ERR", "FAILED", "FAIL", "FAILURE", "REFUSED", "ORPHAN", "GONE"))
_QUIET = frozenset(("-", "", "OFF", "NO", "DISABLED", "OFFLINE", "DSBL"))


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What is asked of the widths; names of columns are in upper case."""

    header: bool = True
    sizes: Mapping[str, int] = field(default_factory=dict)
    adjust: frozenset[str] = frozenset()  # never cut
    expand: Mapping[str, float | None] | None = None  # shares of the free room; None: by width; empty: all columns
    fixed: bool = False  # keep to the declared widths


def colour(state: str) -> str:
    """Return the name of a state's colour: good, bad, busy, or nothing for what is at rest."""
    word = state.upper()
    if word in GOOD:
        return "good"
    if word in BAD:
        return "bad"
    return "" if word in _QUIET else "busy"


def lines(columns: Sequence[Column[R]], rows: Sequence[R], layout: Layout, terminal: Terminal) -> list[str]:
    """Return the header (unless it is not wanted) and a line for each row."""
    cells = [[printable(cell(column.get(row))) for column in columns] for row in rows]
    widths = measure(columns, cells, layout, terminal.width)
    shown = [_line(columns, row, widths, terminal) for row in cells]
    if not layout.header:
        return shown
    names = [fit(column.name, places, left=column.left) for column, places in zip(columns, widths, strict=True)]
    return [terminal.header(" ".join(names)) if terminal.styled else " ".join(names).rstrip(), *shown]


def _line(columns: Sequence[Column[R]], row: Sequence[str], widths: Sequence[int], terminal: Terminal) -> str:
    parts = []
    for column, text, places in zip(columns, row, widths, strict=True):
        part = fit(text, places, left=column.left)
        parts.append(terminal.coloured(part, colour(text)) if column.state else part)
    return " ".join(parts).rstrip()


def measure(
    columns: Sequence[Column[R]], cells: Sequence[Sequence[str]], layout: Layout, room: int | None
) -> list[int]:
    """Return the width of each column; ``room`` is that of the terminal."""
    needed = [_needed(column, [row[at] for row in cells], layout) for at, column in enumerate(columns)]
    floors = [_floor(column, places, layout) for column, places in zip(columns, needed, strict=True)]
    if layout.fixed:
        return floors
    if room is None:
        return needed
    free = room - len(columns) + 1
    widths = [
        max(places, column.width) if column.name not in layout.sizes else places
        for column, places in zip(columns, needed, strict=True)
    ]
    if sum(widths) > free:
        widths = _shrunk(needed, floors, free)
    return widths if layout.expand is None else _expanded(columns, widths, layout.expand, free)


def _needed(column: Column[R], texts: Sequence[str], layout: Layout) -> int:
    if column.name in layout.sizes:
        return layout.sizes[column.name]
    return max([len(column.name) if layout.header else 1, *map(width, texts)])


def _floor(column: Column[R], needed: int, layout: Layout) -> int:
    if column.name in layout.sizes or column.name in layout.adjust:
        return max(needed, 0)
    return column.width if layout.fixed else min(needed, column.width)


def _shrunk(needed: Sequence[int], floors: Sequence[int], free: int) -> list[int]:
    """Take places from whichever column is furthest above its floor, until all fit or none is above."""
    widths = list(needed)
    while sum(widths) > free:
        spare = [places - floor for places, floor in zip(widths, floors, strict=True)]
        if max(spare) <= 0:
            break
        widths[spare.index(max(spare))] -= 1
    return widths


def _expanded(
    columns: Sequence[Column[R]], widths: Sequence[int], wanted: Mapping[str, float | None], free: int
) -> list[int]:
    """Give the room that is left to the columns wanted; the last of them takes what rounding leaves."""
    grown, room = list(widths), free - sum(widths)
    if room <= 0:
        return grown
    chosen = [at for at, column in enumerate(columns) if not wanted or column.name in wanted]
    total = sum(widths[at] for at in chosen)
    for at in chosen:
        share = wanted.get(columns[at].name)
        grown[at] += min(round(room * (widths[at] / total if share is None else share)), free - sum(grown))
    if chosen and all(wanted.get(columns[at].name) is None for at in chosen):
        grown[chosen[-1]] += max(free - sum(grown), 0)
    return grown
