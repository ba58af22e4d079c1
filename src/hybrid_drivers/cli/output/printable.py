"""Text that is safe to show: nothing in it moves the cursor, changes colours or turns the direction of writing.

Names come from providers, hosts and other users. An escape sequence in one of them must not reach a terminal.
"""

from __future__ import annotations

import enum
import re
import unicodedata

# Control characters (C0, DEL, C1), line and paragraph separators, marks and overrides of direction, lone surrogates.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
ELLIPSIS = "…"


def printable(text: str) -> str:
    r"""Return ``text`` with every unsafe character written out, such as ``\x1b``."""
    return UNSAFE.sub(_written, text)


def _written(match: re.Match[str]) -> str:
    character = match.group()
    return _SHORT.get(character) or (f"\\x{ord(character):02x}" if ord(character) < 0x100 else escaped(character))


def escaped(character: str) -> str:
    r"""Return ``character`` (of the basic plane) as JSON and YAML write it: ``\u009b``."""
    return f"\\u{ord(character):04x}"


NOTHING = "-"


def cell(value: object, nothing: str = NOTHING) -> str:
    """Return a value as people read it, not yet safe to show: ``yes``, ``no``, and ``nothing`` where there is none."""
    if value is None or value in ("", {}):
        return nothing
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(cell(one) for one in value) or nothing
    return str(value)


def width(text: str) -> int:
    """Return how many places of a terminal safe text takes: 2 for wide characters, 0 for combining ones."""
    return len(text) if text.isascii() else sum(map(_places, text))


def _places(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fit(text: str, places: int, *, left: bool) -> str:
    """Return safe text cut or filled to ``places``; what was cut ends in an ellipsis."""
    if width(text) > places:
        text = _cut(text, places - 1) + ELLIPSIS
    fill = " " * (places - width(text))
    return text + fill if left else fill + text


def _cut(text: str, places: int) -> str:
    taken = 0
    for number, character in enumerate(text):
        taken += _places(character)
        if taken > places:
            return text[:number]
    return text
