"""Reading YAML (and JSON) that an operator wrote, keeping line numbers and the text as it was written.

Only plain data: no tags, no aliases (a few lines of them can fill the memory) but where the caller bounds them, no key
twice. Scalars keep their text, so that a token ``012345`` or a metro ``no`` is not turned into a number or a boolean.
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
DEEPEST = 64  # levels of lists and mappings; an alias that leads back to itself ends here
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
_CONTAINER_TAGS = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
_MERGE = "tag:yaml.org,2002:merge"


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


def parse_yaml(text: str, name: str, *, most: int | None = None) -> Tree:
    """Return the one document in ``text``.

    ``most`` allows aliases and merge keys (``<<``), and bounds how many values there are with them followed.

    Raises:
        ConfigError: not YAML, or more than plain data; the text begins with ``name:line:``.
    """
    try:
        root = (_Composer(text) if most is None else _Loader(text, most)).get_single_node()
        return Scalar(text="", kind="null") if root is None else _Converter(name, most).tree(root, 0)
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise ConfigError(f"{name}:{line}: not YAML: {exc.problem or exc.context}") from exc
    except (yaml.YAMLError, ValueError, OverflowError) as exc:  # the latter: an escape beyond Unicode
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


class _Loader(yaml.SafeLoader):
    """PyYAML's composer, which stops at too many values; only its nodes are used, nothing is constructed from them."""

    def __init__(self, text: str, most: int) -> None:
        super().__init__(text)
        self._most, self._left = most, 2 * most  # keys are nodes too

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        """Compose the next node."""
        self._left -= 1
        if self._left < 0:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call] # PyYAML's stubs leave it untyped
            raise yaml.composer.ComposerError(None, None, f"more than {self._most} values", mark)
        return super().compose_node(parent, index)  # type: ignore[arg-type] # the stubs want an int


class _Composer(yaml.SafeLoader):
    """The composer without aliases, refused before they are followed."""

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        """Compose the next node, which may not be an alias."""
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call] # PyYAML's stubs leave it untyped
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not allowed", event.start_mark)
        return super().compose_node(parent, index)  # type: ignore[arg-type] # the stubs want an int


class _Converter:
    """Nodes to our tree, within bounds: aliases make the nodes a graph, in which a few lines can stand for millions."""

    def __init__(self, name: str, most: int | None) -> None:
        self._name, self._most, self._left = name, most, most or 0

    def tree(self, node: yaml.Node, depth: int) -> Tree:
        """Return ``node``, which is ``depth`` levels down, and all below it."""
        line = node.start_mark.line + 1
        self._count(line, depth)
        if node.tag not in _PLAIN_TAGS and node.tag not in _CONTAINER_TAGS:
            raise ConfigError(f"{self._name}:{line}: the tag {node.tag[:60]} is not allowed")
        if isinstance(node, yaml.MappingNode):
            return self._table(node, line, depth)
        if isinstance(node, yaml.SequenceNode):
            return Items(items=[self.tree(one, depth + 1) for one in node.value], line=line)
        return Scalar(text=self._text(node, line), kind=_PLAIN_TAGS.get(node.tag, "text"), line=line)

    def _count(self, line: int, depth: int) -> None:
        self._left -= 1
        if depth > DEEPEST:
            raise ConfigError(f"{self._name}:{line}: more than {DEEPEST} levels of lists and mappings")
        if self._most is not None and self._left < 0:
            raise ConfigError(f"{self._name}:{line}: more than {self._most} values, aliases (*name) followed")

    def _text(self, node: yaml.Node, line: int) -> str:
        text = str(node.value)
        if any("\ud800" <= char <= "\udfff" for char in text):
            raise ConfigError(f"{self._name}:{line}: half of a character (U+D800 to U+DFFF) is not allowed")
        return text

    def _table(self, node: yaml.MappingNode, line: int, depth: int) -> Table:
        values: dict[str, Tree] = {}
        lines: dict[str, int] = {}
        merged: list[Table] = []
        for key, value in node.value:
            at = key.start_mark.line + 1
            word = self._key(key, at)
            if self._most is not None and key.tag == _MERGE:
                merged += self._merged(value, at, depth)
                continue
            if word in values:
                raise ConfigError(f"{self._name}:{at}: key '{word[:60]}' is there twice (first in line {lines[word]})")
            values[word], lines[word] = self.tree(value, depth + 1), at
        for table in merged:  # own keys win, then those of the first
            lines.update({key: at for key, at in table.lines.items() if key not in values})
            values.update({key: value for key, value in table.values.items() if key not in values})
        return Table(values=values, lines=lines, line=line)

    def _key(self, key: yaml.Node, at: int) -> str:
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{self._name}:{at}: a key must be a word")
        if key.tag not in _PLAIN_TAGS:
            raise ConfigError(f"{self._name}:{at}: the tag {key.tag[:60]} is not allowed")
        return self._text(key, at)

    def _merged(self, value: yaml.Node, at: int, depth: int) -> list[Table]:
        tree = self.tree(value, depth + 1)
        tables = list(tree.items) if isinstance(tree, Items) else [tree]
        found = [one for one in tables if isinstance(one, Table)]
        if len(found) != len(tables):
            raise ConfigError(f"{self._name}:{at}: key '<<' must be a mapping or a list of mappings")
        return found


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
