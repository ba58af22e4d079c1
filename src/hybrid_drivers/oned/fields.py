"""Reading XML through declared fields: where a value stands, whether it must be there, and what it has to be.

No XML library is touched here; ``xml.py`` hands in the parsed elements.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from hybrid_drivers.errors import HybridError
from hybrid_drivers.model import HostState, RaftState, Template, Value

T = TypeVar("T")
_WHOLE = re.compile(r"-?[0-9]{1,18}").fullmatch
_PERMISSIONS = tuple(f"PERMISSIONS/{who}_{may}" for who in ("OWNER", "GROUP", "OTHER") for may in "UMA")
Element = Any  # an lxml element: only ``xml.py`` may name that library


class Node:
    """One element of a document, with the document's name and the error to raise when a field is not as declared."""

    __slots__ = ("_element", "_error", "_what")

    def __init__(self, element: Element, what: str, error: type[HybridError]) -> None:
        self._element, self._what, self._error = element, what, error

    @property
    def tag(self) -> str:
        """Return the element's name."""
        return str(self._element.tag)

    @property
    def text(self) -> str:
        """Return all the text in the element."""
        return _text(self._element)

    def need(self, path: str, adapter: Callable[[str], T]) -> T:
        """Return the field at ``path`` (below this element) as ``adapter`` makes it.

        Raises:
            HybridError: of the document's kind, naming the path, when the field is missing or refused by the adapter.
        """
        found = self._element.find(path)
        if found is None:
            raise self._error(f"{self._what}: {self.tag}/{path} is missing")
        return self._adapt(path, _text(found), adapter)

    def get(self, path: str, adapter: Callable[[str], T], default: T) -> T:
        """Return the field at ``path`` as ``adapter`` makes it, or ``default`` when it is missing or empty."""
        text = self._element.findtext(path)
        return self._adapt(path, text, adapter) if text else default

    def nodes(self, path: str) -> list[Node]:
        """Return every element at ``path``."""
        return [Node(one, self._what, self._error) for one in self._element.findall(path)]

    def children(self) -> list[Node]:
        """Return the elements directly below."""
        return [Node(one, self._what, self._error) for one in self._element]

    def template(self, path: str = "TEMPLATE", only: Collection[str] | None = None) -> Template:
        """Return the template at ``path``: elements with elements in them are vector attributes. None there: empty.

        ``only``: the names to read, for whoever wants little of many objects.
        """
        found = self._element.find(path)
        wanted = () if found is None else found if only is None else found.iterchildren(*only)
        return Template((one.tag, _value(one)) for one in wanted)

    def ids(self, path: str) -> tuple[int, ...]:
        """Return the whole numbers of all elements at ``path``."""
        return tuple(one.need(".", whole) for one in self.nodes(path))

    def vector(self, path: str) -> dict[str, str]:
        """Return the elements below ``path`` as a vector attribute, the first where several stand; none: empty."""
        found = self._element.find(path)
        return {} if found is None else {one.tag: _text(one) for one in found}

    def mode(self) -> int:
        """Return PERMISSIONS as octal bits (0o640: owner use and manage, group use)."""
        return int("".join(self.need(path, bit) for path in _PERMISSIONS), 2)

    def _adapt(self, path: str, text: str, adapter: Callable[[str], T]) -> T:
        try:
            return adapter(text)
        except ValueError as exc:
            raise self._error(f"{self._what}: {self.tag}/{path} is '{text[:40]}', expected {exc}") from exc


def _text(element: Element) -> str:
    """Return all the text in an element; mostly nothing else is in it, and a pool has a hundred thousand of them."""
    return "".join(element.itertext()) if len(element) else element.text or ""


def _value(element: Element) -> Value:
    if len(element):
        return {one.tag: _text(one) for one in element}
    return element.text or ""


# --- adapters: ValueError's text says what was expected ---------------------------------------------------------------


def whole(text: str) -> int:
    """Read a whole number."""
    if not _WHOLE(text.strip()):
        raise ValueError("a whole number")
    return int(text)


def number(text: str) -> float:
    """Read a decimal number."""
    if not re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]*)?([eE][-+]?[0-9]{1,3})?", text.strip()):
        raise ValueError("a number")
    return float(text)


def bit(text: str) -> str:
    """Read 0 or 1, as text."""
    if text not in ("0", "1"):
        raise ValueError("0 or 1")
    return text


def filled(text: str) -> str:
    """Read text that is not empty."""
    if not text.strip():
        raise ValueError("some text")
    return text


def port(text: str) -> int:
    """Read a TCP or UDP port."""
    value = whole(text)
    if not 0 < value < 65536:
        raise ValueError("a port from 1 to 65535")
    return value


def host_state(text: str) -> HostState:
    """Read a host's STATE."""
    value = whole(text)
    if value not in HostState.__members__.values():
        raise ValueError("a host state from 0 to 8")
    return HostState(value)


def raft_state(text: str) -> RaftState:
    """Read the STATE of ``one.zone.raftstatus``."""
    value = whole(text)
    if value not in RaftState.__members__.values():
        raise ValueError("a raft state from 0 to 3")
    return RaftState(value)
