"""One file of a template: its tree checked for keys and types, and taken apart. Every problem is kept, none is raised.

What a key may be is OneProvision's: ``provision_config.rb`` (``check``, ``partial_load``) of 6.x, ``utils.rb``
(``check_config``) of 5.12; the keys beside them are those of the templates below ``share/oneprovision``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hybrid_drivers.hostconfig.playbooks import SUFFIXES, is_path
from hybrid_drivers.provision.template.inputspecs import read_input
from hybrid_drivers.provision.template.model import (
    LISTS,
    SECTIONS,
    Data,
    InputSpec,
    ObjectSpec,
    Place,
    Problem,
)
from hybrid_drivers.provision.template.objectspecs import read_object
from hybrid_drivers.provision.template.values import EMPTY, is_null, lines_of, text_of, to_data, unknown_key
from hybrid_drivers.yamlfile import Items, Scalar, Table, Tree

TEXTS = ("name", "description", "version", "provider")
OTHERS = ("extends", "playbook", "playbooks", "ansible", "defaults", "cluster", "inputs", *LISTS)
# Keys of 6.x templates that say something to other tools only; they are kept and not looked at.
FOREIGN = ("image", "provision_type", "ceph_vars", "plain", "tags", "start_time", "state")
FOREIGN_SHAPE = re.compile(r"[a-z0-9_]+_configuration|x-.*|\..*")
ANSIBLE = ("playbook", "ver_min", "ver_max")


@dataclass
class Draft:
    """What one file says, or several merged."""

    texts: dict[str, str] = field(default_factory=dict)
    extends: list[str] = field(default_factory=list)
    playbooks: list[str] = field(default_factory=list)
    defaults: dict[str, dict[str, Data]] = field(default_factory=dict)
    cluster: ObjectSpec | None = None
    cluster_datastores: tuple[int, ...] = ()
    lists: dict[str, list[ObjectSpec]] = field(default_factory=dict)
    inputs: list[InputSpec] = field(default_factory=list)
    extra: dict[str, Data] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)


class FileReader:
    """Reads the tree of one file; ``folder`` is where it is, for playbooks beside it."""

    def __init__(self, file: str, folder: Path | None, problems: list[Problem]) -> None:
        self._file, self._folder, self._problems = file, folder, problems
        self._draft = Draft()
        self._lines: Mapping[str, int] = {}
        self._ways: Mapping[str, Callable[[str, Tree], None]] = {
            **dict.fromkeys(TEXTS, self._text),
            "extends": self._extends,
            "playbook": self._playbook,
            "playbooks": self._playbook,
            "ansible": self._ansible,
            "defaults": self._defaults,
            "cluster": self._cluster,
            "inputs": self._inputs,
            **dict.fromkeys(LISTS, self._list),
        }

    def read(self, tree: Tree) -> Draft:
        """Return what the file says; what is wrong in it is left out and told as a problem."""
        if not isinstance(tree, Table):
            if not is_null(tree):
                self._say(tree.line, "", "a template is a mapping with at least the key 'name'")
            return self._draft
        self._lines = tree.lines
        for key, value in tree.values.items():
            self._draft.places[key] = Place(file=self._file, line=tree.lines.get(key, 0), key=key)
            self._key(key, value)
        return self._draft

    def _key(self, key: str, value: Tree) -> None:
        if key in self._ways:
            if not is_null(value):
                self._ways[key](key, value)
        elif key in FOREIGN or FOREIGN_SHAPE.fullmatch(key):
            self._draft.extra[key] = to_data(value)
        elif key in SECTIONS:  # so in examples of OneProvision's documentation, with the indentation lost
            self._say(self._line(key), key, "must be below 'defaults:', two spaces further in")
        else:
            self._say(self._line(key), key[:60], unknown_key(key, (*TEXTS, *OTHERS, *FOREIGN)))

    def _text(self, key: str, value: Tree) -> None:
        if not isinstance(value, Scalar):
            self._say(self._line(key), key, "must be a single value")
        else:
            self._draft.texts[key] = text_of(to_data(value))

    def _extends(self, key: str, value: Tree) -> None:
        self._draft.extends = [text for text, _ in self._words(key, value) if text]

    def _playbook(self, key: str, value: Tree) -> None:
        for text, _ in self._words(key, value):
            self._draft.playbooks += [self._found(one.strip()) for one in text.split(",") if one.strip()]

    def _found(self, playbook: str) -> str:
        """Make the path of a playbook absolute that is beside this file; others are Ansible's folder's or built in."""
        if self._folder is None or not is_path(playbook) or "\0" in playbook:
            return playbook
        for suffix in ("", *SUFFIXES):
            path = self._folder / f"{playbook}{suffix}"
            try:
                if path.is_file():
                    return str(path.resolve())
            except OSError:  # a name that is too long
                break
        return playbook

    def _ansible(self, key: str, value: Tree) -> None:
        left: dict[str, Data] = {}
        for name, one in self._table(key, value).items():
            if name == "playbook":
                self._playbook("ansible.playbook", one)
            elif name in ANSIBLE:
                left[name] = to_data(one)
            else:
                self._say(self._inner(value, name), f"{key}.{name[:60]}", unknown_key(name, ANSIBLE))
        if left:
            self._draft.extra[key] = left

    def _defaults(self, key: str, value: Tree) -> None:
        for name, section in self._table(key, value).items():
            if name not in SECTIONS:
                self._say(self._inner(value, name), f"{key}.{name[:60]}", unknown_key(name, SECTIONS))
            elif not is_null(section):
                self._default_section(f"{key}.{name}", section, self._inner(value, name))

    def _default_section(self, path: str, section: Tree, line: int) -> None:
        # Read as an object with that one section: the rules for sections are the same.
        name = path.rpartition(".")[2]
        alone = Table(values={name: section}, lines={name: line}, line=line)
        spec, _ = read_object("defaults", alone, Place(file=self._file, line=line, key="defaults"), self._problems)
        section_of = {"connection": spec.connection, "provision": spec.provision, "configuration": spec.configuration}
        self._draft.defaults[name] = dict(section_of[name])
        for one, at in lines_of(alone):
            self._draft.places[f"defaults.{one}"] = Place(file=self._file, line=at, key=f"defaults.{one}")

    def _cluster(self, key: str, value: Tree) -> None:
        if isinstance(value, Table):
            spec, datastores = read_object("clusters", value, self._draft.places[key], self._problems)
            self._draft.cluster, self._draft.cluster_datastores = spec, datastores
        else:
            self._say(self._line(key), key, "must be one mapping: there is one cluster")

    def _list(self, key: str, value: Tree) -> None:
        found = self._draft.lists.setdefault(key, [])
        for at, one in self._items(key, value):
            if isinstance(one, Table):
                place = Place(file=self._file, line=one.line, key=f"{key}.{at}")
                found.append(read_object(key, one, place, self._problems)[0])
            else:
                self._say(one.line, f"{key}.{at}", "must be a mapping of attributes")

    def _inputs(self, key: str, value: Tree) -> None:
        for at, one in self._items(key, value):
            if not isinstance(one, Table):
                self._say(one.line, f"{key}.{at}", "must be a mapping with at least the key 'name'")
            elif spec := read_input(one, self._file, f"{key}.{at}", self._problems):
                if any(other.name == spec.name for other in self._draft.inputs):
                    self._say(one.line, f"{key}.{at}.name", f"there is another input '{spec.name}'")
                self._draft.inputs.append(spec)

    # --- shapes -------------------------------------------------------------------------------------------------------

    def _words(self, key: str, value: Tree) -> Iterator[tuple[str, int]]:
        """Yield one word or those of a list."""
        for one in value.items if isinstance(value, Items) else [value]:
            if not isinstance(one, Scalar):
                self._say(one.line or self._line(key), key, "must be a word or a list of words")
            elif not is_null(one):
                yield text_of(to_data(one)), one.line

    def _items(self, key: str, value: Tree) -> Iterator[tuple[int, Tree]]:
        if isinstance(value, Items):
            yield from enumerate(value.items)
        else:
            self._say(self._line(key), key, "must be a list (each item begins with '-')")

    def _table(self, key: str, value: Tree) -> Mapping[str, Tree]:
        if isinstance(value, Table):
            return value.values
        self._say(self._line(key), key, "must be a mapping")
        return EMPTY.values

    def _line(self, key: str) -> int:
        return self._lines.get(key) or self._lines.get(key.partition(".")[0], 0)

    def _inner(self, value: Tree, name: str) -> int:
        return value.lines.get(name, value.line) if isinstance(value, Table) else value.line

    def _say(self, line: int, key: str, text: str) -> None:
        self._problems.append(Problem(file=self._file, line=line, key=key, text=text))
