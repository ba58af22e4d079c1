"""Reads the syntax OpenNebula's configuration files share, with the place of every value.

``oned.conf`` and ``monitord.conf`` hold ``NAME = value`` and ``NAME = [ KEY = value, ... ]`` with ``#`` comments
(OpenNebula ``src/template/template_parser.l``); names are compared in upper case, as oned does. A shell reads
``vmm_execrc`` (OpenNebula ``madcommon.sh``). Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_BLANK = re.compile(r"(?:\s+|#[^\n]*)*")
_NAME = re.compile(r"([A-Za-z_][\w/.-]*)\s*=[ \t]*")
_QUOTED = {'"': re.compile(r'"(?:[^"\\]|\\.)*"', re.S), "'": re.compile(r"'[^']*'")}
_BARE = {"top": re.compile(r"[^\n#]*"), "vector": re.compile(r"[^\n#,\]]*")}


class SyntaxProblem(Exception):
    """The text is not what OpenNebula would accept; the message names the line."""


@dataclass(frozen=True)
class Attribute:
    """One active (not commented out) attribute; ``start`` and ``end`` enclose its value without the quotes."""

    name: str
    value: str
    start: int
    end: int
    parts: tuple[Attribute, ...] = ()

    def part(self, name: str) -> Attribute | None:
        """Return the first ``KEY`` of a vector attribute called ``name``."""
        return next((part for part in self.parts if part.name == name), None)


def attributes(text: str) -> list[Attribute]:
    """Return every active attribute of ``text`` in order.

    Raises:
        SyntaxProblem: a quote or a bracket is not closed, or something is neither attribute nor comment.
    """
    found, at = [], _skip(text, 0)
    while at < len(text):
        attribute, at = _attribute(text, at, "top")
        found.append(attribute)
        at = _skip(text, at)
    return found


def shell_variable(text: str, name: str) -> Attribute | None:
    """Return the last assignment of variable ``name`` in a file that a shell reads, ignoring the rest of it."""
    lines = rf"^[ \t]*(?:export[ \t]+)?{re.escape(name)}=(?:\"([^\"]*)\"|'([^']*)'|([^\s;#\"']*))"
    found = None
    for match in re.finditer(lines, text, re.M):
        number = next(group for group in (1, 2, 3) if match.group(group) is not None)
        found = Attribute(name, match.group(number), match.start(number), match.end(number))
    return found


def _skip(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _attribute(text: str, at: int, level: str) -> tuple[Attribute, int]:
    match = _NAME.match(text, at)
    if not match:
        raise _problem(text, at, "is not NAME = value")
    name, at = match.group(1).upper(), match.end()
    if level == "top":  # a vector may open on the next line
        ahead = _skip(text, at)
        if text.startswith("[", ahead):
            parts, end = _vector(text, ahead + 1)
            return Attribute(name, text[ahead + 1 : end - 1], ahead + 1, end - 1, tuple(parts)), end
    if quoted := _QUOTED.get(text[at : at + 1]):
        match = quoted.match(text, at)
        if not match:
            raise _problem(text, at, "has a quote that is not closed")
        return Attribute(name, text[at + 1 : match.end() - 1], at + 1, match.end() - 1), match.end()
    match = _BARE[level].match(text, at)
    value = match.group().rstrip() if match else ""
    return Attribute(name, value, at, at + len(value)), at + len(value)


def _vector(text: str, at: int) -> tuple[list[Attribute], int]:
    parts: list[Attribute] = []
    opened = at
    while True:
        at = _skip(text, at)
        if at >= len(text):
            raise _problem(text, opened, "has a bracket that is not closed")
        if text[at] == "]":
            return parts, at + 1
        if text[at] == ",":
            at += 1
            continue
        part, at = _attribute(text, at, "vector")
        parts.append(part)


def _problem(text: str, at: int, what: str) -> SyntaxProblem:
    return SyntaxProblem(f"line {text.count(chr(10), 0, at) + 1} {what}")
