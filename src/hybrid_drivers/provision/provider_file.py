"""Reading a provider from a YAML file an operator hands in: with the keys of ``providers.d``, or as OneProvision 6.x.

Everything that is wrong is told at once, with file and line, and no secret in it.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.providers import entries
from hybrid_drivers.providers.base import ProviderEntry
from hybrid_drivers.providers.checks import EntryReader
from hybrid_drivers.provision.provider_dialects import Converter, is_oneprovision
from hybrid_drivers.yamlfile import LARGEST, Scalar, Table, Tree, parse_yaml

STANDARD_INPUT = "-"


@dataclass(frozen=True, kw_only=True)
class ProviderFile:
    """What a file said. ``warnings`` are sentences for people."""

    entry: ProviderEntry
    warnings: tuple[str, ...] = ()


def read_provider_file(path: str, name: str = "") -> ProviderFile:
    """Read a file, or standard input (``-``). ``name`` goes over the one in it, that over the file's own name.

    Raises:
        ConfigError: all that is wrong with it, joined with ``; ``.
    """
    where = "standard input" if path == STANDARD_INPUT else path
    text, warnings = _text(path, where)
    tree = parse_yaml(text, where)
    if not isinstance(tree, Table):
        raise ConfigError(f"{where}: must be a mapping with the key 'driver', or 'provider' as in OneProvision 6.x")
    fallback = "" if path == STANDARD_INPUT else Path(path).stem
    return ProviderFile(entry=read_provider(tree, where, name=name, fallback=fallback), warnings=warnings)


def read_provider(tree: Table, where: str, *, name: str = "", fallback: str = "") -> ProviderEntry:
    """Return the checked entry in a tree of either dialect; ``where`` begins each sentence.

    Raises:
        ConfigError: all that is wrong with it, joined with ``; ``.
    """
    problems: list[str] = []

    def say(line: int, sentence: str) -> None:
        problems.append(f"{where}:{line}: {sentence}" if line else f"{where}: {sentence}")

    try:
        chosen = entries.checked_name(name or _name_in(tree, say) or fallback, "the name")
    except ConfigError as exc:
        say(0, f"{exc}; give one with --name, or as 'name:' in the file")
        chosen = "unnamed"
    names: dict[str, str] = {}
    converted: Table | None = Table(values=_without_name(tree), lines=tree.lines, line=tree.line)
    if is_oneprovision(tree):
        converter = Converter(say=say)
        converted, names = converter.convert(tree), converter.names
    if converted is None:
        raise ConfigError("; ".join(problems))
    return EntryReader(chosen, where, where, names, problems).read(converted)


def _name_in(tree: Table, say: Callable[[int, str], None]) -> str:
    value = tree.values.get("name")
    if value is not None and not isinstance(value, Scalar):
        say(tree.lines.get("name", 0), "key 'name' must be a single value")
        return ""
    return value.text.strip() if value else ""


def _without_name(tree: Table) -> dict[str, Tree]:
    return {key: value for key, value in tree.values.items() if key != "name"}


def _text(path: str, where: str) -> tuple[str, tuple[str, ...]]:
    """Return the file's text, and a warning when others may read it: it holds credentials."""
    warnings = []
    try:
        if path == STANDARD_INPUT:
            raw = sys.stdin.buffer.read(LARGEST + 1)
        else:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO must not hold us up
            with os.fdopen(handle, "rb") as file:
                status = os.fstat(handle)
                if not stat.S_ISREG(status.st_mode):
                    raise ConfigError(f"{where}: not a regular file; give '-' to read standard input")
                if status.st_mode & 0o077:
                    warnings.append(f"{where} holds credentials and others may read it: chmod 600 it, or remove it")
                raw = file.read(LARGEST + 1)
        return _decoded(raw, where), tuple(warnings)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "its name has a character that is not allowed"
        raise ConfigError(f"{where}: cannot be read: {reason}") from exc


def _decoded(raw: bytes, where: str) -> str:
    if len(raw) > LARGEST:
        raise ConfigError(f"{where}: larger than 1 MiB, which no provider is")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{where}: byte {exc.start} is not UTF-8 text") from exc
