"""Expressions in values: 5.12's ``<%= @datastores[0]['ID'] %>`` and 6.x's ``${datastore.0.id}``.

Both are closed grammars, parsed here; nothing is ever evaluated as code. Sources: OpenNebula
``src/oneprovision/lib/utils.rb`` (``evaluate_erb``), ``provision_config.rb`` (``check_rule``, ``eval_rules``) and
``provision.rb`` (``update_networks``, ``update_datastores``: the names after ``updates.``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from hybrid_drivers.providers.attributes import did_you_mean
from hybrid_drivers.provision.template.model import KINDS, Place, TemplateError

SINGLE = ("provision", "provision_id", "index", "provider")
# What OneProvision fills in after the hosts were configured.
UPDATES = ("default_ipv4_nic", "first_host", "ceph_hosts_list", "ceph_secret")
OBJECTS: Mapping[str, str] = {kind.removesuffix("s"): kind for kind in KINDS}
INPUTS, UPDATED = "inputs", "updates"  # as kinds of a Reference

LONGEST = 400  # characters of a block of 5.12's

_INPUT = re.compile(r"\$\{input\.([A-Za-z0-9_-]+)\}")
_WORD = re.compile(r"[A-Za-z0-9_-]+")
_RUBY = re.compile(
    r"""<%=\s*@(?P<kind>[a-z_]+)
        (?:\s*(?:\[\s*(?P<index>-?\d{1,6})\s*\]|\.(?P<end>first|last)\b))?
        (?P<path>(?:\s*(?:\[\s*'[^'\]]*'\s*\]|\[\s*"[^"\]]*"\s*\]|\[\s*\d{1,6}\s*\]|\.(?:id|name|to_s)\b))*)\s*%>""",
    re.VERBOSE | re.ASCII,
)
_STEP = re.compile(r"""\[\s*'([^']*)'\s*\]|\[\s*"([^"]*)"\s*\]|\[\s*(\d+)\s*\]|\.(id|name|to_s)\b""", re.ASCII)


class Reference(NamedTuple):
    """What an expression looks at: ``kind`` (``datastores``, ``inputs``, ``updates``), which one, and where in it."""

    kind: str
    which: int | str
    path: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """A stretch of a value: plain text, or an expression, which is one of SINGLE or a reference."""

    text: str
    single: str = ""
    reference: Reference | None = None

    @property
    def plain(self) -> bool:
        """Tell whether it is text to be taken as it is."""
        return not self.single and self.reference is None


def array_input(text: str) -> str:
    """Return the input's name when ``text`` is nothing but ``${input.NAME}``, else nothing."""
    match = _INPUT.fullmatch(text)
    return match.group(1) if match else ""


def parse(text: str, where: Place) -> list[Part]:
    """Take a value apart.

    Raises:
        TemplateError: an expression is not of the grammar; the text tells its column in the value.
    """
    if "${" not in text and "<%" not in text:
        return [Part(text)]
    return list(_parts(text, where))


def _parts(text: str, where: Place) -> Iterator[Part]:
    """Walk from expression to expression; each character is looked at a fixed number of times."""
    at, dollar, block = 0, text.find("${"), text.find("<%")
    while dollar >= 0 or block >= 0:
        ruby = dollar < 0 or 0 <= block < dollar
        begin = block if ruby else dollar
        end = text.find("%>" if ruby else "}", begin)
        if end < 0 and ruby:
            raise wrong(where, begin, "'<%' is not closed with '%>'")
        if end < 0:  # no expression for OneProvision either
            dollar = -1
            continue
        if begin > at:
            yield Part(text[at:begin])
        at = end + (2 if ruby else 1)
        yield (_ruby if ruby else _dollar)(text[begin:at], begin, where)
        dollar = text.find("${", at) if 0 <= dollar < at else dollar
        block = text.find("<%", at) if 0 <= block < at else block
    if at < len(text) or not at:
        yield Part(text[at:])


def _dollar(whole: str, at: int, where: Place) -> Part:
    words = whole[2:-1].split(".", 3)
    if len(words) == 1:
        if words[0] in SINGLE:
            return Part(whole, single=words[0])
        raise wrong(where, at, f"{short(whole)} is not known{did_you_mean(words[0][:40], SINGLE)}")
    if not all(_WORD.fullmatch(word) for word in words):
        raise wrong(where, at, f"{short(whole)} may have only letters, digits, '_' and '-' between its dots")
    if len(words) == 2 and words[0] == "input":
        return Part(whole, reference=Reference(INPUTS, words[1]))
    if len(words) == 2 and words[0] == "updates":
        if words[1] not in UPDATES:
            raise wrong(where, at, f"{short(whole)} is not known{did_you_mean(words[1][:40], UPDATES)}")
        return Part(whole, reference=Reference(UPDATED, words[1]))
    if words[0] not in OBJECTS:
        near = did_you_mean(words[0][:40], (*OBJECTS, "input", "updates"))
        raise wrong(where, at, f"{short(whole)}: '{short(words[0])}' is not known{near}")
    if len(words) != 3:
        raise wrong(where, at, f"{short(whole)} must be like ${{{words[0]}.NAME.ATTRIBUTE}}")
    return Part(whole, reference=Reference(OBJECTS[words[0]], _which(words[1]), (words[2].upper(),)))


def _which(word: str) -> int | str:
    return int(word) if re.fullmatch(r"-?\d{1,6}", word, re.ASCII) else word


def _ruby(whole: str, at: int, where: Place) -> Part:
    found = _RUBY.fullmatch(whole) if len(whole) <= LONGEST else None
    if found is None:
        expected = "expected <%= @name %> or <%= @datastores[0]['ID'] %>; code is never run"
        raise wrong(where, at, f"{short(whole)} is not understood: {expected}")
    kind, index, end, path = found.group("kind", "index", "end", "path")
    if kind in ("name", "id") and not (index or end or path.strip().removesuffix(".to_s")):
        return Part(whole, single="provision" if kind == "name" else "provision_id")
    if kind not in KINDS:
        raise wrong(where, at, f"{short(whole)}: '@{short(kind)}' is not known{did_you_mean(kind[:40], KINDS)}")
    steps = tuple(_steps(path))
    if index is None and end is None:
        raise wrong(where, at, f"{short(whole)} must say which one, like @{kind}[0]")
    if not steps:
        raise wrong(where, at, f"{short(whole)} must say which attribute, like @{kind}[0]['ID']")
    which = int(index) if index is not None else {"first": 0, "last": -1}[end]
    return Part(whole, reference=Reference(kind, which, steps))


def _steps(path: str) -> Iterator[str]:
    for step in _STEP.finditer(path):
        single, double, number, method = step.groups()
        if method in ("id", "name"):
            yield method.upper()
        elif method is None:
            name = single if single is not None else double
            yield from ([number] if name is None else [one.upper() for one in name.strip("/").split("/") if one])


def short(text: str) -> str:
    """Return an expression as it is shown in a sentence."""
    return text if len(text) <= 80 else f"{text[:77]}..."


def wrong(where: Place, at: int | None, text: str) -> TemplateError:
    """Return the error about a value; ``at`` counts its characters, from 0."""
    column = "" if at is None else f"at character {at + 1}: "
    return TemplateError([where.problem(f"{column}{text}")])
