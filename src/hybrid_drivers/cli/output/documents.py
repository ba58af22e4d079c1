"""Writes data for programs: JSON, YAML and XML of mappings, lists and dataclasses.

Fields of dataclasses get upper-case names, as oned's documents have them; a field marked ``repr=False`` is one that
must not be shown, and is left out. A :class:`Secret` is ``***``. Characters that would do something to a terminal are
written as escapes in all three, which readers undo (XML has none for control characters: U+FFFD stands for them).
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Union

from hybrid_drivers.cli.output.printable import UNSAFE, escaped
from hybrid_drivers.model import Template
from hybrid_drivers.secret import Secret

Plain = Union[None, bool, int, float, str, list["Plain"], dict[str, "Plain"]]
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_.-]")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def plain(value: object) -> Plain:
    """Return ``value`` made of nothing but what JSON has."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, (int, float)):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Secret):
        return "***"
    if isinstance(value, Template):
        return _template(value)
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if dataclasses.is_dataclass(value):
        shown = [one.name for one in dataclasses.fields(value) if one.repr]
        return {name.upper(): plain(getattr(value, name)) for name in shown}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(inner) for inner in value]
    return str(value)


def _template(template: Template) -> dict[str, Plain]:
    """Return a template's attributes; one that comes several times is a list, as in oned's own JSON."""
    found: dict[str, list[Plain]] = {}
    for name, value in template:
        found.setdefault(name, []).append(plain(value))
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def to_json(value: object) -> str:
    """Write JSON, two blanks a level."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=False)
    return UNSAFE.sub(lambda match: match.group() if match.group() == "\n" else escaped(match.group()), text)


def to_yaml(value: object) -> str:
    """Write a YAML document."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def represent_text(self, text: str) -> yaml.ScalarNode:
            return self.represent_scalar("tag:yaml.org,2002:str", text, style='"' if UNSAFE.search(text) else None)

    Dumper.add_representer(str, Dumper.represent_text)
    text: str = yaml.dump(plain(value), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return UNSAFE.sub(lambda match: match.group() if match.group() == "\n" else escaped(match.group()), text).rstrip()


def to_xml(value: Mapping[str, object]) -> str:
    """Write an XML document of a mapping with one key, the root element. Lists repeat their element."""
    ((root, inner),) = value.items()
    return "\n".join(_element(root, plain(inner), ""))


def _element(name: str, value: Plain, indent: str) -> Iterator[str]:
    tag = _NOT_A_NAME.sub("_", name)
    tag = tag if tag[:1].isalpha() or tag[:1] == "_" else f"_{tag}"
    if isinstance(value, list):
        for one in value:
            yield from _element(name, one, indent)
    elif isinstance(value, dict):
        yield f"{indent}<{tag}>"
        for key, inner in value.items():
            yield from _element(key, inner, indent + "  ")
        yield f"{indent}</{tag}>"
    else:
        yield f"{indent}<{tag}/>" if value in (None, "") else f"{indent}<{tag}>{_content(value)}</{tag}>"


def _content(value: Plain) -> str:
    text = json.dumps(value) if isinstance(value, bool) else str(value)
    text = _NOT_XML.sub("\ufffd", re.sub("[&<>]", lambda match: _MARKUP[match.group()], text))
    return UNSAFE.sub(lambda match: match.group() if match.group() in "\n\t" else f"&#{ord(match.group())};", text)
