"""Single values of a provider entry: what a field wants of them, and what is wrong with them."""

from __future__ import annotations

import unicodedata

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.providers.attributes import truth
from hybrid_drivers.providers.base import Field, Setting
from hybrid_drivers.secret import Secret
from hybrid_drivers.yamlfile import Items, Scalar, Table, Tree, plain


class Wrong(ValueError):
    """What is wrong with one value; ends the sentence ``key 'x' ...``."""


def converted(spec: Field, value: Tree) -> Setting:
    """Return a value of an entry as its field wants it. Raises: Wrong."""
    if spec.kind == "list":
        return _list(value)
    if spec.kind == "mapping":
        if not isinstance(value, Table):
            raise Wrong("must be a mapping")
        return {key: plain(one) for key, one in value.values.items()}
    if spec.kind == "amounts":
        return _amounts(value)
    if spec.kind == "number":
        return number(value)
    if spec.kind == "boolean":
        return _boolean(value)
    text = _text(value)
    if spec.required and not text:
        raise Wrong("is empty")
    if not spec.secret:
        return text
    if not text.isascii() or not text.isprintable() or " " in text:
        raise Wrong("has a character that no credential has (a space, a line end?)")
    return Secret(text)


def _text(value: Tree) -> str:
    if not isinstance(value, Scalar):
        raise Wrong("must be a single value")
    if any(unicodedata.category(char) == "Cc" and char not in "\n\t" for char in value.text):
        raise Wrong("has a control character")
    return "" if value.kind == "null" else value.text.strip()


def number(value: Tree) -> float:
    """Return a number above 0, as a whole one where it is. Raises: Wrong."""
    try:
        found = float(_text(value))
    except ValueError:
        raise Wrong("must be a number") from None
    if not 0 < found < 1e9:
        raise Wrong("must be a positive number")
    return int(found) if found.is_integer() else found


def _amounts(value: Tree) -> dict[str, float]:
    if not isinstance(value, Table):
        raise Wrong("must be a mapping of numbers")
    found = {}
    for name, one in value.values.items():
        try:
            found[name] = float(_text(one))
        except ValueError:
            raise Wrong(f"has a value for '{name[:60]}' that is no number") from None
        if not 0 <= found[name] < 1e9:
            raise Wrong(f"has a value for '{name[:60]}' that is below 0 or too large")
    return found


def _boolean(value: Tree) -> bool:
    text = _text(value)
    try:
        return truth({"on": "yes", "off": "no"}.get(text.lower(), text), "")
    except ConfigError:
        raise Wrong("must be true or false") from None


def _list(value: Tree) -> tuple[object, ...]:
    if not isinstance(value, Items):
        raise Wrong("must be a list")
    return tuple(plain(one) for one in value.items)


def attribute(value: Tree) -> str:
    """Return a PROVISION attribute: a list becomes a comma list, a boolean YES or NO, as in templates.

    Raises:
        Wrong: it is neither a single value nor a list of these.
    """
    if isinstance(value, Items):
        return ",".join(_text(one) for one in value.items)
    if isinstance(value, Scalar) and value.kind == "boolean" and value.text.lower() in {"true", "false"}:
        return "YES" if value.text.lower() == "true" else "NO"
    return _text(value)
