"""Patterns of the shell as ``fnmatch(3)`` reads them without flags, which is how oned compares texts in requirements.

``*`` also matches ``/`` and a leading dot, a backslash takes the next character literally. The standard library's
``fnmatch`` knows no backslash and compiles to expressions whose time nobody bounds; here it is length times length.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

_CLASSES: Final[dict[str, Callable[[str], bool]]] = {
    "alnum": str.isalnum,
    "alpha": str.isalpha,
    "blank": lambda one: one in " \t",
    "digit": lambda one: one in "0123456789",
    "lower": str.islower,
    "punct": lambda one: one.isprintable() and not one.isalnum() and not one.isspace(),
    "space": str.isspace,
    "upper": str.isupper,
    "xdigit": lambda one: one in "0123456789abcdefABCDEF",
}
_Part = Callable[[str], bool] | None  # what one character must be; None: any number of any


def matches(pattern: str, text: str) -> bool:
    """Tell whether all of ``text`` is as ``pattern`` says."""
    parts = _parts(pattern)
    at = here = 0
    star, star_here = -1, 0
    while here < len(text):
        part = parts[at] if at < len(parts) else _nothing
        if part is None:
            star, star_here = at, here
            at += 1
        elif part(text[here]):
            at, here = at + 1, here + 1
        elif star >= 0:  # let the last star take one character more
            star_here += 1
            at, here = star + 1, star_here
        else:
            return False
    return all(part is None for part in parts[at:])


def _nothing(_one: str) -> bool:
    return False


@lru_cache(maxsize=4096)
def _parts(pattern: str) -> tuple[_Part, ...]:
    found: list[_Part] = []
    at = 0
    while at < len(pattern):
        one = pattern[at]
        at += 1
        if one == "*":
            if not found or found[-1] is not None:
                found.append(None)
        elif one == "?":
            found.append(lambda _one: True)
        elif one == "[" and (end := _end(pattern, at)):
            found.append(_set(pattern[at : end - 1]))
            at = end
        else:
            if one == "\\" and at < len(pattern):
                one = pattern[at]
                at += 1
            found.append(one.__eq__)
    return tuple(found)


def _end(pattern: str, at: int) -> int:
    """Return where the set that begins before ``at`` ends, 0 when it does not: then ``[`` stands for itself."""
    here = at + (pattern[at : at + 1] in ("!", "^"))
    here += pattern[here : here + 1] == "]"
    while here < len(pattern) and pattern[here] != "]":
        closed = pattern.find(":]", here + 2) if pattern.startswith("[:", here) else -1
        here = closed + 2 if closed > 0 else here + (2 if pattern[here] == "\\" else 1)
    return here + 1 if here < len(pattern) else 0


def _set(inner: str) -> Callable[[str], bool]:
    wanted = inner[:1] not in ("!", "^")
    members: list[Callable[[str], bool]] = []
    at = 0 if wanted else 1
    while at < len(inner):
        name, colon, _ = inner[at + 2 :].partition(":]") if inner.startswith("[:", at) else ("", "", "")
        if colon:
            members.append(_CLASSES.get(name, _nothing))
            at += len(name) + 4
            continue
        first, at = _member(inner, at)
        last = first
        if inner[at : at + 1] == "-" and at + 1 < len(inner):
            last, at = _member(inner, at + 1)
        members.append(_between(first, last))
    return lambda one: any(member(one) for member in members) is wanted


def _member(inner: str, at: int) -> tuple[str, int]:
    if inner[at] == "\\" and at + 1 < len(inner):
        at += 1
    return inner[at], at + 1


def _between(first: str, last: str) -> Callable[[str], bool]:
    return lambda one: first <= one <= last
