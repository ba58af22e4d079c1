"""OpenNebula's template syntax, read exactly as oned reads it, oddities included.

Facts from OpenNebula ``src/parsers/template_parser.l`` and ``template_syntax.y``: the longest token wins; a double
quote after a backslash is part of the value, and on reading only ``\\"`` is undone, so **other backslashes stay as they
are written**; a value with ``]]>`` on its line makes the whole template unreadable; in a vector the first of two equal
keys wins; characters that fit nothing between tokens are skipped.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass

from hybrid_drivers.model import Template, Value

_BETWEEN = [  # (token, pattern) outside values; on equal length the earlier wins, as in flex
    ("skip", re.compile(r"[ \t]*#[^\n]*\n")),
    ("skip", re.compile(r"[ \t\n]+")),
    ("VARIABLE", re.compile(r"[A-Za-z0-9_]+")),
    ("EQUAL", re.compile(r"[ \t]*=[ \t]*")),
    ("EQUAL_EMPTY", re.compile(r"[ \t]*=[ \t]*\n")),
    ("COMMA", re.compile(r"[ \t\n]*,[ \t\n]*")),
    ("CBRACKET", re.compile(r"[ \t\n]*\][ \t\n]*")),
]
_OPEN = re.compile(r"[ \t]*\[[ \t\n]*")
_PLAIN = re.compile(r"[^=# \t\n,\[\]]+")
_CDATA_END = re.compile(r"[^\n]*\]\]>[^\n]*")


class TemplateSyntaxError(ValueError):
    """The text is not a template; ``str()`` is what oned would say about it."""


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    line: int
    columns: tuple[int, int]


def parse(text: str) -> Template:
    """Read ``text``, in template syntax or (when it starts with ``<``) as XML, as oned's calls do.

    Raises:
        TemplateSyntaxError: with oned's own words.
    """
    if text.startswith("<"):
        return _from_xml(text)
    return _Parser(_tokens(text)).template()


def _quoted_length(text: str, start: int) -> int:
    """Length of the longest quoted value at ``start`` (0: none): to the first quote without a backslash before it."""
    if not text.startswith('"', start):
        return 0
    last_escaped = -1
    at = start + 1
    while (found := text.find('"', at)) != -1:
        if found == start + 1 or text[found - 1] != "\\":
            return found + 1 - start
        last_escaped, at = found, found + 1
    return last_escaped + 1 - start if last_escaped != -1 else 0


def _next_value(text: str, at: int) -> tuple[str, int]:
    """Return the kind and length of the longest token of the value state; kind '' skips one character."""
    candidates = [
        ("OBRACKET", _match_length(_OPEN, text, at)),
        ("CCDATA", _match_length(_CDATA_END, text, at)),
        ("QUOTED", _quoted_length(text, at)),
        ("STRING", _match_length(_PLAIN, text, at)),
    ]
    return _longest(candidates)


def _match_length(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() - at if match else 0


def _longest(candidates: list[tuple[str, int]]) -> tuple[str, int]:
    kind, length = max(candidates, key=lambda one: one[1])  # max keeps the first of equals
    return (kind, length) if length else ("", 1)


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at, line, column, in_value = 0, 1, 0, False
    while at < len(text):
        if in_value:
            kind, length = _next_value(text, at)
        else:
            kind, length = _longest([(name, _match_length(pattern, text, at)) for name, pattern in _BETWEEN])
        piece = text[at : at + length]
        line += piece.count("\n")
        if kind not in ("", "skip"):
            tokens.append(_Token(kind, piece, line, (column, column + length)))
            in_value = kind == "EQUAL"
        at, column = at + length, column + length
    tokens.append(_Token("end of file", "", line, (column, column)))
    return tokens


class _Parser:
    """The grammar over the tokens: attributes one after another, plain or vector."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def template(self) -> Template:
        pairs: list[tuple[str, Value]] = []
        while self._peek() != "end of file":
            pairs.append(self._attribute())
        return Template(pairs)

    def _attribute(self) -> tuple[str, Value]:
        name = self._take("VARIABLE").text
        if self._take("EQUAL", "EQUAL_EMPTY").kind == "EQUAL_EMPTY":
            return name, ""
        if self._peek() == "OBRACKET":
            self._take("OBRACKET")
            return name, self._vector()
        return name, self._string()

    def _vector(self) -> dict[str, str]:
        values: dict[str, str] = {}
        if self._peek() == "CBRACKET":
            self._take("CBRACKET")
            return values
        while True:
            key = self._take("VARIABLE").text.upper()
            self._take("EQUAL")
            values.setdefault(key, self._string())
            if self._take("COMMA", "CBRACKET").kind == "CBRACKET":
                return values

    def _string(self) -> str:
        token = self._take("STRING", "QUOTED")
        text = token.text[1:-1] if token.kind == "QUOTED" else token.text
        return text.replace('\\"', '"')

    def _peek(self) -> str:
        return self._tokens[self._at].kind

    def _take(self, *kinds: str) -> _Token:
        token = self._tokens[self._at]
        if token.kind == "CCDATA":
            raise TemplateSyntaxError("Parse error.")
        if token.kind not in kinds:
            wanted = " or ".join("STRING" if kind == "QUOTED" else kind for kind in dict.fromkeys(kinds))
            found = "STRING" if token.kind == "QUOTED" else token.kind
            raise TemplateSyntaxError(
                f"Parse error: syntax error, unexpected {found}, expecting {wanted} at line {token.line}, "
                f"columns {token.columns[0]}:{token.columns[1]}"
            )
        self._at += 1
        return token


def _from_xml(text: str) -> Template:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise TemplateSyntaxError("Parse error: XML Template malformed.")
    try:
        root = ET.fromstring(text)
    except ET.ParseError as exc:
        raise TemplateSyntaxError("Parse error: XML Template malformed.") from exc
    pairs: list[tuple[str, Value]] = []
    for child in root:
        if len(child):
            pairs.append((child.tag, {inner.tag: inner.text for inner in child if inner.text}))
        elif child.text:
            pairs.append((child.tag, child.text))
    return Template(pairs)
