"""Shows listings and pages in the form that was asked for."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic

from hybrid_drivers.cli.output import documents, filters, table
from hybrid_drivers.cli.output.columns import Column, Listing, R
from hybrid_drivers.cli.output.page import Section, page
from hybrid_drivers.cli.output.printable import cell, printable
from hybrid_drivers.cli.output.terminal import Terminal
from hybrid_drivers.cli.output.watch import watch
from hybrid_drivers.clock import Clock, SystemClock

WRITERS: dict[str, Callable[[Mapping[str, object]], str]] = {
    "json": documents.to_json,
    "yaml": documents.to_yaml,
    "xml": documents.to_xml,
}


@dataclass(frozen=True, kw_only=True)
class ListOutput(Generic[R]):
    """Shows the rows of a listing as the options say."""

    listing: Listing[R]
    form: str | None = None  # json, yaml, xml, csv; None: a table
    columns: Sequence[str] = ()
    filters: Sequence[filters.Filter[R]] = ()
    any_of: bool = False  # rows that meet one of the filters, instead of all
    layout: table.Layout = field(default_factory=table.Layout)
    delimiter: str = ","
    every: float | None = None  # seconds from one look to the next; None: one look only
    terminal: Terminal = field(default_factory=Terminal.here)
    clock: Clock = field(default_factory=SystemClock)

    def run(self, fetch: Callable[[], Iterable[R]]) -> None:
        """Show what ``fetch`` returns; it is called again and again when watching is asked for."""
        if self.every is not None:
            watch(lambda: self.text(fetch()), self.terminal, self.clock, self.every)
        elif text := self.text(fetch()):
            self.terminal.write(text)

    def text(self, rows: Iterable[R]) -> str:
        """Return what is shown of ``rows``."""
        rows = filters.select(rows, self.filters, any_of=self.any_of)
        if self.form in WRITERS:
            return WRITERS[self.form](self.listing.document(rows))
        columns = self.listing.chosen(self.columns)
        if self.form == "csv":
            return self._csv(columns, rows)
        return "\n".join(table.lines(columns, rows, self.layout, self.terminal))

    def _csv(self, columns: Sequence[Column[R]], rows: Iterable[R]) -> str:
        """Return the columns as RFC 4180 has them, but for the line end; control characters are written out."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, delimiter=self.delimiter, lineterminator="\n")
        if self.layout.header:
            writer.writerow([column.name for column in columns])
        for row in rows:
            writer.writerow([printable(cell(column.get(row), nothing="")) for column in columns])
        return buffer.getvalue().rstrip("\n")


@dataclass(frozen=True, kw_only=True)
class ShowOutput:
    """Shows one thing as the options say; ``element`` is the root of what programs get."""

    element: str
    form: str | None = None
    terminal: Terminal = field(default_factory=Terminal.here)

    def show(self, data: object, sections: Callable[[], Iterable[Section]]) -> None:
        """Show all of ``data`` (a mapping or a dataclass) to a program, or the ``sections`` to people."""
        if self.form in WRITERS:
            self.terminal.write(WRITERS[self.form]({self.element: data}))
        else:
            self.terminal.write("\n".join(page(sections(), self.terminal)))
