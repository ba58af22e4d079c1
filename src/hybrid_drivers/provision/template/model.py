"""A provision template as it was written: frozen values, with the place of each in its file.

Facts about the format: OpenNebula ``src/oneprovision/lib/provision/provision_config.rb`` (6.x) and
``src/oneprovision/lib/utils.rb`` (5.12), and the templates below ``share/oneprovision``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Union

import yaml

from hybrid_drivers.errors import ConfigError

# YAML as we keep it: scalars have their text, booleans and null are told apart.
Data = Union[str, bool, None, "list[Data]", "dict[str, Data]"]

LISTS = ("datastores", "networks", "hosts", "images", "marketplaceapps", "templates", "vntemplates", "flowtemplates")
KINDS = ("clusters", *LISTS)  # in the order they are made
SECTIONS = ("connection", "provision", "configuration")
MOST_SHOWN = 100  # problems of one template


class Number(str):
    """A number that stands in the YAML without quotes; a string with its text everywhere but where types count."""

    __slots__ = ()

    @property
    def plain(self) -> int | float | str:
        """Return it as YAML 1.1 and JSON have it; the text where it is no plain decimal number."""
        for kind in (int, float):
            try:
                value = kind(self)
            except ValueError:
                continue
            return value if math.isfinite(value) and not _odd(self) else str(self)
        return str(self)


def _odd(text: str) -> bool:
    """Tell whether YAML 1.1 reads the text in another way than Python: an octal number, or with underscores."""
    digits = text.lstrip("+-")
    return "_" in digits or (len(digits) > 1 and digits[0] == "0" and digits.isdigit())


def _represent_number(dumper: yaml.SafeDumper, number: Number) -> yaml.ScalarNode:
    """Write a number without quotes, under the tag that YAML itself would give its text."""
    tag = dumper.resolve(yaml.ScalarNode, str(number), (True, False))  # type: ignore[no-untyped-call] # PyYAML's stubs
    return dumper.represent_scalar(tag, str(number))


yaml.SafeDumper.add_representer(Number, _represent_number)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where something stands: file, line (from 1; 0: unknown) and key, with dots between levels."""

    file: str
    line: int
    key: str = ""

    def problem(self, text: str) -> Problem:
        """Say what is wrong here."""
        return Problem(file=self.file, line=self.line, key=self.key, text=text)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with a template; ``str()`` is ``file:line: key: text``."""

    file: str
    line: int
    key: str
    text: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.key}: {self.text}" if self.key else f"{where}: {self.text}"


class TemplateError(ConfigError):
    """A template is wrong; ``problems`` are all that were found, ``str()`` has one on each line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [str(one) for one in self.problems[:MOST_SHOWN]]
        if (more := len(self.problems) - len(lines)) > 0:
            lines.append(f"and {more} more")
        super().__init__("\n".join(lines))


@dataclass(frozen=True, kw_only=True)
class ObjectSpec:
    """One object of the template. ``body`` are all keys but the five sections, as in the YAML.

    ``key`` is its own (``hosts.0``); ``lines`` are those of the keys in it, named with dots (``provision.plan``,
    ``ar.0.ip``). ``index`` is a host's number within the provision, from 0, where it is known.
    """

    kind: str
    body: Mapping[str, Data] = field(default_factory=dict, repr=False)
    provision: Mapping[str, Data] = field(default_factory=dict, repr=False)
    connection: Mapping[str, Data] = field(default_factory=dict, repr=False)
    configuration: Mapping[str, Data] = field(default_factory=dict, repr=False)
    meta: Mapping[str, Data] = field(default_factory=dict)
    index: int | None = None
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)
    key: str = field(default="", compare=False)
    lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)

    @property
    def name(self) -> str:
        """Return its name as it was written, empty when it has none."""
        named = next((self.body[key] for key in ("name", "NAME") if self.body.get(key)), "")
        return named if isinstance(named, str) else ""

    def at(self, key: str = "") -> Place:
        """Return where a key of it stands (``provision.plan``): the nearest one known above it."""
        known = key
        while known and known not in self.lines:
            known = known.rpartition(".")[0]
        path = ".".join(one for one in (self.key, key) if one)
        return Place(file=self.file, line=self.lines.get(known, self.line), key=path)


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """A question to whoever makes the provision; ``default`` None: none. Limits are text, as written."""

    name: str
    type: str = "text"
    description: str = ""
    default: str | None = field(default=None, repr=False)
    options: tuple[str, ...] = ()
    min_value: str | None = None
    max_value: str | None = None
    mandatory: bool = True  # of 6.x; an input that is not, and has no default, is empty
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)

    def at(self, key: str = "") -> Place:
        """Return where it stands."""
        return Place(file=self.file, line=self.line, key=f"inputs.{self.name}" + (f".{key}" if key else ""))


@dataclass(frozen=True, kw_only=True)
class ProvisionTemplate:
    """A whole template, its parents merged in; sections of objects are without ``defaults`` (``merge.py``).

    ``provider`` is the provider's own name, where one is given (``defaults.provision.provider`` or ``provider_name``,
    a host's, else the top-level key); ``provider_kind`` the top-level key, which in 6.x says what the template is for
    (``aws``, ``equinix``, ...). ``places`` are those of top-level keys and of ``defaults.SECTION.KEY``.
    """

    name: str
    description: str = ""
    version: str = ""
    playbooks: tuple[str, ...] = ()
    provider: str = ""
    provider_kind: str = ""
    defaults_connection: Mapping[str, Data] = field(default_factory=dict, repr=False)
    defaults_provision: Mapping[str, Data] = field(default_factory=dict, repr=False)
    defaults_configuration: Mapping[str, Data] = field(default_factory=dict, repr=False)
    cluster: ObjectSpec
    cluster_datastores: tuple[int, ...] = ()
    datastores: tuple[ObjectSpec, ...] = ()
    networks: tuple[ObjectSpec, ...] = ()
    hosts: tuple[ObjectSpec, ...] = ()
    images: tuple[ObjectSpec, ...] = ()
    marketplaceapps: tuple[ObjectSpec, ...] = ()
    templates: tuple[ObjectSpec, ...] = ()
    vntemplates: tuple[ObjectSpec, ...] = ()
    flowtemplates: tuple[ObjectSpec, ...] = ()
    inputs: tuple[InputSpec, ...] = ()
    extra: Mapping[str, Data] = field(default_factory=dict, repr=False)
    places: Mapping[str, Place] = field(default_factory=dict, compare=False, repr=False)

    def objects(self, kind: str) -> Sequence[ObjectSpec]:
        """Return the objects of a kind (``clusters``, ``datastores``, ...), in the order they were written."""
        if kind == "clusters":
            return (self.cluster,)
        found = getattr(self, kind)
        assert isinstance(found, tuple)  # noqa: S101 # LISTS are fields of tuples
        return found

    def defaults(self, section: str) -> Mapping[str, Data]:
        """Return ``defaults`` of a section: connection, provision or configuration."""
        known = {
            "connection": self.defaults_connection,
            "provision": self.defaults_provision,
            "configuration": self.defaults_configuration,
        }
        return known[section]

    def at(self, key: str) -> Place:
        """Return where a top-level key, or ``defaults.SECTION.KEY``, stands."""
        known = key
        while known and known not in self.places:
            known = known.rpartition(".")[0]
        found = self.places.get(known) or self.places.get("name") or Place(file="template", line=0)
        return Place(file=found.file, line=found.line if known else 0, key=key)
