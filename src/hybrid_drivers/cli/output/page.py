"""Lays out the details of one thing: headed sections of keys and values, lines, or tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hybrid_drivers.cli.output.columns import Table
from hybrid_drivers.cli.output.printable import cell, printable, width
from hybrid_drivers.cli.output.table import Layout, lines
from hybrid_drivers.cli.output.terminal import Terminal

HEADING = 80  # places, as OpenNebula's pages have them


@dataclass(frozen=True)
class Section:
    """A part of a page. Values that are mappings become a second level, lists of mappings one for each."""

    title: str
    pairs: Mapping[str, object] = field(default_factory=dict)
    text: Sequence[str] = ()
    table: Table[Any] | None = None


def page(sections: Iterable[Section], terminal: Terminal) -> list[str]:
    """Return the lines of a page; an empty line parts the sections."""
    found: list[str] = []
    for section in sections:
        found += [""] if found else []
        title = printable(section.title)
        found += [terminal.header(f"{title:<{HEADING}}") if terminal.styled else title]
        found += [*_pairs(section.pairs, ""), *map(printable, section.text)]
        if section.table:
            columns = section.table.listing.chosen(())
            found += lines(columns, section.table.rows, Layout(), terminal)
    return found


def _pairs(pairs: Mapping[str, object], indent: str) -> Iterator[str]:
    names = {key: printable(str(key)) for key in pairs}
    places = max(map(width, names.values()), default=0)
    for key, value in pairs.items():
        name = f"{indent}{names[key]}{' ' * (places - width(names[key]))} :"
        levels = _levels(value)
        if not levels:
            first, *more = map(printable, cell(value).splitlines() or [""])
            yield f"{name} {first}"
            yield from (f"{' ' * width(name)} {line}" for line in more)
        for level in levels:
            yield name
            yield from _pairs(level, indent + "  ")


def _levels(value: object) -> list[Mapping[str, object]]:
    """Return the mappings that are a level of their own: the value, or the members of a list; none for the rest."""
    if isinstance(value, Mapping):
        return [value] if value else []
    if isinstance(value, (list, tuple)) and all(isinstance(one, Mapping) for one in value):
        return list(value)
    return []
