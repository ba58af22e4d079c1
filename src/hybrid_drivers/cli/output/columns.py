"""Declares listings: their columns, and what a row is for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from hybrid_drivers.errors import ConfigError

R = TypeVar("R")


@dataclass(frozen=True)
class Column(Generic[R]):
    """One column. ``width`` is what it may be cut down to; ``get`` takes the value out of a row.

    ``state`` columns are coloured on a terminal; those not in the ``default`` are shown when asked for.
    """

    name: str  # upper case, as the header shows it
    help: str
    width: int
    get: Callable[[R], object]
    left: bool = False
    state: bool = False
    default: bool = True


@dataclass(frozen=True, kw_only=True)
class Listing(Generic[R]):
    """A list of things: how people see it (``columns``) and programs (``pool`` holds an ``element`` a row).

    Programs get ``data(row)``, or the row itself: a mapping or a dataclass.
    """

    pool: str
    element: str
    columns: tuple[Column[R], ...]
    data: Callable[[R], object] | None = None

    def column(self, name: str) -> Column[R]:
        """Return the column called ``name``, in upper or lower case.

        Raises:
            ConfigError: there is none; the error names those there are.
        """
        for column in self.columns:
            if column.name == name.strip().upper():
                return column
        names = ", ".join(column.name for column in self.columns)
        raise ConfigError(f"There is no column '{name.strip()}' in this list; it has {names}.")

    def chosen(self, names: Sequence[str]) -> tuple[Column[R], ...]:
        """Return the columns called ``names`` in that order, the default ones when there are no names."""
        if names:
            return tuple(self.column(name) for name in names)
        return tuple(column for column in self.columns if column.default)

    def document(self, rows: Iterable[R]) -> dict[str, object]:
        """Return what programs get: all of every row, always a list however many there are."""
        return {self.pool: {self.element: [self.data(row) if self.data else row for row in rows]}}

    def table(self, rows: Sequence[R]) -> Table[R]:
        """Return rows to be shown in a :class:`Section` of a page."""
        return Table(self, rows)


@dataclass(frozen=True)
class Table(Generic[R]):
    """A listing with its rows."""

    listing: Listing[R]
    rows: Sequence[R]
