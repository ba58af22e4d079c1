"""Reading YAML (and JSON) that an operator wrote, keeping line numbers and the text as it was written.

Only plain data: no tags, no anchors, no aliases (a few lines of them can fill the memory), no key twice. Scalars keep
their text, so that a token ``012345`` or a metro ``no`` is not turned into a number or a boolean.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Union

import yaml

from hybrid_drivers.errors import ConfigError

LARGEST = 1024 * 1024  # bytes
_PLAIN_TAGS = {
    "tag:yaml.org,2002:str": "text",
    "tag:yaml.org,2002:int": "number",
    "tag:yaml.org,2002:float": "number",
    "tag:yaml.org,2002:bool": "boolean",
    "tag:yaml.org,2002:null": "null",
    "tag:yaml.org,2002:timestamp": "text",
    "tag:yaml.org,2002:value": "text",
    "tag:yaml.org,2002:merge": "text",
}


@dataclass(frozen=True, kw_only=True)
class Scalar:
    """A scalar as written; ``kind`` is text, number, boolean or null. ``line`` counts from 1; 0: not from a file."""

    text: str
    kind: str
    line: int = 0


@dataclass(frozen=True, kw_only=True)
class Items:
    """A list."""

    items: Sequence[Tree]
    line: int = 0


@dataclass(frozen=True, kw_only=True)
class Table:
    """A mapping; ``lines`` are those of its keys."""

    values: Mapping[str, Tree]
    lines: Mapping[str, int]
    line: int = 0


Tree = Union[Scalar, Items, Table]


def read_private(path: Path, uid: int | None = None) -> str:
    """Return the text of a file that holds secrets.

    Raises:
        ConfigError: it cannot be read, is no file, is larger than 1 MiB, is not UTF-8, may be read or written by
            others, or belongs to neither root nor ``uid`` (default: who runs this).
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO must not hold us up
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror}") from exc
    with os.fdopen(handle, "rb") as file:
        _check_private(path, os.fstat(handle), os.geteuid() if uid is None else uid)
        raw = file.read(LARGEST + 1)
    if len(raw) > LARGEST:
        raise ConfigError(f"{path}: larger than 1 MiB, which no provider entry is")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: byte {exc.start} is not UTF-8 text") from exc


def parse_yaml(text: str, name: str) -> Tree:
    """Return the one document in ``text``.

    Raises:
        ConfigError: not YAML, or more than plain data; the text begins with ``name:line:``.
    """
    try:
        root = _Composer(text).get_single_node()
        return Scalar(text="", kind="null") if root is None else _tree(root, name)
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise ConfigError(f"{name}:{line}: not YAML: {exc.problem or exc.context}") from exc
    except yaml.YAMLError as exc:
        raise ConfigError(f"{name}: not YAML text: a character that is not allowed") from exc
    except RecursionError as exc:
        raise ConfigError(f"{name}: nested too deeply") from exc


def parse_json(text: str, name: str) -> Tree:
    """Return a JSON document as the same tree, without lines.

    Raises:
        ConfigError: not JSON, or too large.
    """
    if len(text) > LARGEST:
        raise ConfigError(f"{name}: larger than 1 MiB, which no provider entry is")
    try:
        return _from_plain(json.loads(text))
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"{name}: the body is not a JSON document") from exc


def plain(tree: Tree) -> object:
    """Return the tree as str, float, bool, None, list and dict."""
    if isinstance(tree, Table):
        return {key: plain(value) for key, value in tree.values.items()}
    if isinstance(tree, Items):
        return [plain(one) for one in tree.items]
    return None if tree.kind == "null" else tree.text


class _Composer(yaml.SafeLoader):
    """PyYAML's composer, refusing aliases before they are followed."""

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        """Compose the next node, which may not be an alias."""
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call] # PyYAML's stubs leave it untyped
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not allowed", event.start_mark)
        return super().compose_node(parent, index)  # type: ignore[arg-type] # the stubs want an int


def _tree(node: yaml.Node, name: str) -> Tree:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        return _table(node, name, line)
    if isinstance(node, yaml.SequenceNode):
        return Items(items=[_tree(one, name) for one in node.value], line=line)
    if node.tag not in _PLAIN_TAGS:
        raise ConfigError(f"{name}:{line}: the tag {node.tag[:60]} is not allowed")
    return Scalar(text=node.value, kind=_PLAIN_TAGS[node.tag], line=line)


def _table(node: yaml.MappingNode, name: str, line: int) -> Table:
    values: dict[str, Tree] = {}
    lines: dict[str, int] = {}
    for key, value in node.value:
        at = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{name}:{at}: a key must be a word")
        if key.value in values:
            raise ConfigError(f"{name}:{at}: key '{key.value[:60]}' is there twice (first in line {lines[key.value]})")
        values[key.value], lines[key.value] = _tree(value, name), at
    return Table(values=values, lines=lines, line=line)


def _from_plain(value: object) -> Tree:
    if isinstance(value, dict):
        return Table(values={str(k): _from_plain(v) for k, v in value.items()}, lines=dict.fromkeys(map(str, value), 0))
    if isinstance(value, list):
        return Items(items=[_from_plain(one) for one in value])
    if value is None:
        return Scalar(text="", kind="null")
    if isinstance(value, bool):
        return Scalar(text="true" if value else "false", kind="boolean")
    return Scalar(text=str(value), kind="text" if isinstance(value, str) else "number")


def _check_private(path: Path, status: os.stat_result, uid: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{path}: not a regular file")
    if status.st_uid not in {0, uid}:
        raise ConfigError(f"{path}: belongs to user {status.st_uid}, so it is not trusted: chown {uid} {path}")
    if status.st_mode & 0o077:
        raise ConfigError(f"{path}: others may read or write it, and it holds credentials: chmod 600 {path}")
