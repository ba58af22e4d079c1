"""The filters of ``--filter``: ``NAME=edge1``, ``HOSTS>2``, ``STAT!=RUNNING``, ``NAME~edge``.

Operators as in OpenNebula's ``cli_helper.rb``. Two differences: numbers are compared as numbers, and ``<=`` is not
read as ``<`` followed by a value that begins with ``=``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from hybrid_drivers.cli.output.columns import Column, Listing, R
from hybrid_drivers.cli.output.printable import cell
from hybrid_drivers.errors import ConfigError

Compare = Callable[[Any, Any], bool]  # two texts, or two numbers
OPERATORS: dict[str, Compare] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
ORDERING = ("<", "<=", ">", ">=")
_TERM = re.compile(r"([^<>=!~]+)(<=|>=|!=|=|<|>|~)(.*)", re.S)


@dataclass(frozen=True)
class Filter(Generic[R]):
    """One condition on one column."""

    column: Column[R]
    operator: str
    value: str

    def takes(self, row: R) -> bool:
        """Tell whether the row meets it; text is compared as it is shown, upper and lower case apart.

        What is no number is neither less nor more than one.
        """
        shown = cell(self.column.get(row))
        if self.operator == "~":
            return self.value in shown
        numbers = _number(shown), _number(self.value)
        if numbers[0] is None and numbers[1] is not None and self.operator in ORDERING:
            return False
        return OPERATORS[self.operator](*((shown, self.value) if None in numbers else numbers))


def parse(listing: Listing[R], term: str) -> Filter[R]:
    """Read one condition.

    Raises:
        ConfigError: it is none, or there is no such column.
    """
    match = _TERM.fullmatch(term.strip())
    if not match:
        raise ConfigError(f"The filter '{term}' is not COLUMN, one of = != < <= > >= ~, and a value.")
    return Filter(listing.column(match.group(1)), match.group(2), match.group(3).strip())


def select(rows: Iterable[R], filters: Sequence[Filter[R]], *, any_of: bool) -> list[R]:
    """Return the rows that meet all filters (or, with ``any_of``, at least one); all rows when there is none."""
    if not filters:
        return list(rows)
    enough = any if any_of else all
    return [row for row in rows if enough(one.takes(row) for one in filters)]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
