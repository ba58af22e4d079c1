"""OpenNebula's requirement expressions (SCHED_REQUIREMENTS, AUTOMATIC_REQUIREMENTS): read once, asked of many hosts.

Grammar and meaning are those of OpenNebula ``src/parsers/expr_bool.y`` and ``expr_parser.l``: comparisons ``=``,
``!=``, ``<``, ``>`` and ``@>`` (any of several values) between an attribute and a number or a pattern. ``!``, ``&`` and
``|`` have **one precedence and group from the left** (one ``%left`` line): ``a | b & c`` is ``(a | b) & c``. What an
attribute name means is in ``HostXML.cc`` (``paths``) and ``HostXML.h`` (CURRENT_VMS): here :class:`HostFacts`.
"""

from __future__ import annotations

import operator as operators
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Template
from hybrid_drivers.oned.globbing import matches

MAX_LENGTH: Final = 65536  # characters
MAX_DEPTH: Final = 100  # of parentheses and ``!``

_TOKEN = re.compile(
    r'(?P<operator>[@!&|=><()*+/^-](?!(?<=-)[0-9]))|(?P<word>[A-Za-z][0-9A-Za-z_]*)|"(?P<quoted>[^"]*)"'
    r"|(?P<number>-?[0-9]+(?:\.[0-9]+)?)"
)
_PATHS: Final = (  # of a host, the longest first; a name without them is looked for below each
    *("/HOST/HOST_SHARE/DATASTORES/", "/HOST/MONITORING/CAPACITY/", "/HOST/MONITORING/SYSTEM/"),
    *("/HOST/CLUSTER_TEMPLATE/", "/HOST/HOST_SHARE/", "/HOST/TEMPLATE/", "/HOST/"),
)
_SPECIAL: Final = frozenset("*?[\\")
_COMPARE: Final = {"=": operators.eq, "!": operators.ne, ">": operators.gt, "<": operators.lt}
_INTEGER = re.compile(r"\s*([+-]?[0-9]+)").match
_FRACTION = re.compile(r"\s*([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)").match


@dataclass(frozen=True, kw_only=True)
class HostFacts:
    """A host that is, or is to be: all values of each name, vectors as ``PROVISION/PLAN``, and its VMs."""

    values: Mapping[str, Sequence[str]]
    vm_ids: frozenset[int] = frozenset()

    def of(self, name: str) -> Sequence[str]:
        """Return the values of an attribute, none when it is not known."""
        return self.values.get(name, ())


Check = Callable[[HostFacts], bool]


@dataclass(frozen=True)
class Requirement:
    """An expression that was read; two of the same text are equal."""

    text: str
    check: Check

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Requirement) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def met_by(self, host: HostFacts) -> bool:
        """Tell whether a host meets it."""
        return self.check(host)


def joined(automatic: str, own: str) -> str:
    """Join AUTOMATIC_REQUIREMENTS and SCHED_REQUIREMENTS as oned does (``SchedulerManagerDriver.cc``)."""
    return f"{automatic} & ( {own} )" if automatic and own else automatic or own


def facts(own: Template, cluster: Template | None = None, **plain: object) -> HostFacts:
    """Make the facts of a host: ``plain`` are its own elements (ID, NAME, CLUSTER_ID, ...), first of all values."""
    found: dict[str, list[str]] = {name: [str(value)] for name, value in plain.items()}
    for template in (own, *([cluster] if cluster else [])):
        for name, value in template:
            parts = [(name, value)] if isinstance(value, str) else [(f"{name}/{key}", v) for key, v in value.items()]
            for key, text in parts:
                found.setdefault(key, []).append(text)
    return HostFacts(values=found)


def parse(text: str) -> Requirement:
    """Read an expression; blank means true.

    Raises:
        ConfigError: it is not an expression, too long or too deep; the text says where.
    """
    if len(text) > MAX_LENGTH:
        raise ConfigError(f"a requirement of {len(text)} characters is longer than the {MAX_LENGTH} allowed")
    return Requirement(text, _Reader(text).whole())


@dataclass(frozen=True)
class _Token:
    kind: str  # operator | text | number | end
    value: str
    at: int


def _tokens(text: str) -> Iterator[_Token]:
    """Yield the tokens; what is none is passed over, as flex does (and echoes it)."""
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup or ""
        yield _Token("text" if kind in ("word", "quoted") else kind, found.group(kind), found.start())
    yield _Token("end", "the end", len(text))


class _Reader:
    """Descends once through the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0

    def whole(self) -> Check:
        if self._peek().kind == "end":
            return _true
        found = self._expression()
        if self._peek().kind != "end":
            raise self._wrong(self._peek(), "'&', '|' or the end")
        return found

    def _expression(self) -> Check:
        """Read a chain: ``&`` and ``|`` group from the left."""
        first, rest = self._operand(), []
        while self._is("&") or self._is("|"):
            rest.append((self._take().value, self._operand()))
        return _chain(first, rest) if rest else first

    def _operand(self) -> Check:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._wrong(self._peek(), f"no more than {MAX_DEPTH} parentheses and '!' in each other")
        try:
            if self._is("!"):
                self._take()
                return _inverse(self._operand())
            if self._is("("):
                self._take()
                inner = self._expression()
                self._need(")")
                return inner
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Check:
        name = self._take()
        if name.kind != "text" or not name.value:
            raise self._wrong(name, "an attribute")
        first = self._take()
        operator = first.value if first.kind == "operator" else ""
        if operator == "!":
            self._need("=")
        elif operator == "@":
            self._need(">")
        elif operator not in ("=", "<", ">"):
            raise self._wrong(first, "'=', '!=', '<', '>' or '@>'")
        right = self._take()
        if right.kind not in ("text", "number") or (right.kind == "text" and operator in ("<", ">")):
            raise self._wrong(right, "a number" if operator in ("<", ">") else "a number or a text")
        path = next((one for one in _PATHS if name.value.startswith(one)), "")
        attribute = name.value[len(path) :]
        if right.kind == "text":
            return _text_check(attribute, operator, right.value)
        return _number_check(attribute, operator, right.value)

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._peek()
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _is(self, operator: str) -> bool:
        return self._peek() == _Token("operator", operator, self._peek().at)

    def _need(self, operator: str) -> None:
        if not self._is(operator):
            raise self._wrong(self._peek(), f"'{operator}'")
        self._take()

    def _wrong(self, token: _Token, expected: str) -> ConfigError:
        shown = self._text if len(self._text) <= 80 else f"{self._text[:77]}..."
        return ConfigError(f"requirement '{shown}': expected {expected} at character {token.at + 1}")


def _true(_host: HostFacts) -> bool:
    return True


def _inverse(inner: Check) -> Check:
    return lambda host: not inner(host)


def _chain(first: Check, rest: Iterable[tuple[str, Check]]) -> Check:
    pairs = tuple(rest)

    def check(host: HostFacts) -> bool:
        met = first(host)
        for operator, one in pairs:
            met = (met and one(host)) if operator == "&" else (met or one(host))
        return met

    return check


def _text_check(name: str, operator: str, pattern: str) -> Check:
    """Compare with a pattern of the shell; an attribute that is not there, or an empty text, meets nothing."""
    if not pattern:
        return lambda _host: False
    fits: Callable[[str], bool] = partial(matches, pattern) if _SPECIAL & set(pattern) else pattern.__eq__
    if operator == "@":
        return lambda host: any(fits(one) for one in host.of(name))
    wanted = operator == "="

    def check(host: HostFacts) -> bool:
        values = host.of(name)
        return bool(values) and fits(values[0]) is wanted

    return check


def _number_check(name: str, operator: str, right: str) -> Check:
    """Compare with a number; one that is not there, or begins with no number, meets nothing (not even ``!=``)."""
    read = _fraction if "." in right else _integer
    wanted = float(right)
    if name == "CURRENT_VMS":
        return _current_vms(operator, wanted)
    if operator == "@":
        return lambda host: any(read(one) == wanted for one in host.of(name))
    compare = _COMPARE[operator]

    def check(host: HostFacts) -> bool:
        values = host.of(name)
        value = read(values[0]) if values else None
        if value is None:
            return False
        return bool(compare(value, wanted))

    return check


def _current_vms(operator: str, wanted: float) -> Check:
    """``= id`` is "that VM is on the host", ``!= id`` "it is not"; oned gives the other comparisons no meaning."""
    if operator not in ("=", "!"):
        return lambda _host: False
    return lambda host: (wanted in host.vm_ids) is (operator == "=")


def _integer(text: str) -> float | None:
    """Read as C++ streams do: the whole number a text begins with."""
    found = _INTEGER(text)
    return float(found[1]) if found else None


def _fraction(text: str) -> float | None:
    found = _FRACTION(text)
    return float(found[1]) if found else None
