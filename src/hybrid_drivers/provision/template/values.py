"""From the YAML tree to plain values, and where each stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hybrid_drivers.providers.attributes import did_you_mean
from hybrid_drivers.provision.template.model import Data, Number
from hybrid_drivers.yamlfile import Items, Scalar, Table, Tree

_TRUE = {"yes", "true", "on"}  # as Ruby's Psych and PyYAML read it, YAML 1.1
EMPTY = Table(values={}, lines={})


def to_data(tree: Tree) -> Data:
    """Return a tree as plain values; numbers are :class:`Number`."""
    if isinstance(tree, Table):
        return {key: to_data(value) for key, value in tree.values.items()}
    if isinstance(tree, Items):
        return [to_data(one) for one in tree.items]
    return scalar(tree)


def scalar(tree: Scalar) -> str | bool | None:
    """Return a scalar: None for null, a boolean for one that was not quoted, else its text."""
    if tree.kind == "null":
        return None
    if tree.kind == "boolean":
        return tree.text.lower() in _TRUE
    return Number(tree.text) if tree.kind == "number" else tree.text


def is_null(tree: Tree | None) -> bool:
    """Tell whether nothing is there, or null."""
    return tree is None or (isinstance(tree, Scalar) and tree.kind == "null")


def lines_of(tree: Tree, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Yield every key below ``tree`` with dots between levels, list items by number, and its line."""
    if isinstance(tree, Table):
        for key, value in tree.values.items():
            yield f"{prefix}{key}", tree.lines.get(key, 0)
            yield from lines_of(value, f"{prefix}{key}.")
    elif isinstance(tree, Items):
        for at, value in enumerate(tree.items):
            yield f"{prefix}{at}", value.line
            yield from lines_of(value, f"{prefix}{at}.")


def text_of(value: Data) -> str:
    """Return a scalar as text: booleans as YES and NO, null as nothing."""
    if isinstance(value, bool):
        return "YES" if value else "NO"
    return value if isinstance(value, str) else ""


def unknown_key(key: str, known: Sequence[str]) -> str:
    """Say that a key is unknown, with the nearest known one, or all where they are few."""
    hint = did_you_mean(key, known)
    return f"unknown key{hint or ('' if len(known) > 12 else '; known are ' + ', '.join(known))}"
