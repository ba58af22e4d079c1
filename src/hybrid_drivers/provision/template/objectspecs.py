"""One object of a template: its sections told apart, their keys and types checked."""

from __future__ import annotations

from collections.abc import Mapping

from hybrid_drivers.provision.template.model import Data, ObjectSpec, Place, Problem
from hybrid_drivers.provision.template.values import EMPTY, is_null, lines_of, text_of, to_data, unknown_key
from hybrid_drivers.yamlfile import Items, Scalar, Table

REQUIRED: Mapping[str, tuple[str, ...]] = {  # as OneProvision's own check has it
    "hosts": ("im_mad", "vm_mad"),
    "datastores": ("tm_mad",),
    "networks": ("vn_mad",),
}
CONNECTION = ("remote_user", "remote_port", "public_key", "private_key", "trust_first_use")  # the last is ours
META = ("uid", "gid", "uname", "gname", "mode", "wait", "wait_timeout", "timeout")
SECTIONS = ("connection", "provision", "configuration", "meta")


def read_object(kind: str, tree: Table, place: Place, problems: list[Problem]) -> tuple[ObjectSpec, tuple[int, ...]]:
    """Return the object at ``place`` and the ids in a cluster's ``datastores``; what is wrong goes to ``problems``."""
    return _ObjectReader(kind, place.file, place.key, problems).read(tree, place.line)


class _ObjectReader:
    def __init__(self, kind: str, file: str, key: str, problems: list[Problem]) -> None:
        self._kind, self._file, self._key, self._problems = kind, file, key, problems
        self._tree = EMPTY

    def read(self, tree: Table, line: int) -> tuple[ObjectSpec, tuple[int, ...]]:
        self._tree = tree
        datastores = self._datastores() if self._kind == "clusters" else ()
        apart = {*SECTIONS, *(["datastores"] if self._kind == "clusters" else [])}
        body = {key: to_data(value) for key, value in tree.values.items() if key not in apart}
        self._required(body, line)
        spec = ObjectSpec(
            kind=self._kind,
            body=body,
            provision=self._flat("provision"),
            connection=self._flat("connection", CONNECTION),
            configuration=self._section("configuration"),
            meta=self._flat("meta", META),
            file=self._file,
            line=line,
            key=self._key,
            lines=dict(lines_of(tree)),
        )
        return spec, datastores

    def _required(self, body: Mapping[str, Data], line: int) -> None:
        for key in REQUIRED.get(self._kind, ()):
            if body.get(key) in (None, ""):
                self._say(line, key, f"is missing: {self._kind} need it")
            elif not isinstance(body[key], str):
                self._say(self._tree.lines.get(key, line), key, "must be a single word")

    def _section(self, section: str) -> dict[str, Data]:
        value = self._tree.values.get(section)
        if value is None or is_null(value):
            return {}
        data = to_data(value)
        if not isinstance(data, dict):
            self._say(self._line(section), section, "must be a mapping")
            return {}
        return data

    def _flat(self, section: str, known: tuple[str, ...] = ()) -> dict[str, Data]:
        """Return a section whose values are single ones (or, in ``provision``, lists of them, or a JSON mapping)."""
        found = self._section(section)
        for key, value in list(found.items()):
            wrong = ""
            if known and key not in known:
                wrong = unknown_key(key, known)
            elif isinstance(value, (list, dict)) and known:
                wrong = "must be a single value"
            elif isinstance(value, list) and any(isinstance(one, (list, dict)) for one in value):
                wrong = "must be a single value or a list of single values"
            if wrong:
                self._say(self._line(f"{section}.{key}"), f"{section}.{key[:60]}", wrong)
                del found[key]
        return found

    def _datastores(self) -> tuple[int, ...]:
        value = self._tree.values.get("datastores")
        if value is None or is_null(value):
            return ()
        ids = []
        for one in value.items if isinstance(value, Items) else [value]:
            text = text_of(to_data(one)) if isinstance(one, Scalar) else ""
            if text.isascii() and text.isdigit() and len(text) < 10:
                ids.append(int(text))
            else:
                self._say(self._line("datastores"), "datastores", "must be a list of ids of datastores that exist")
        return tuple(dict.fromkeys(ids))

    def _line(self, key: str) -> int:
        section, _, name = key.partition(".")
        inner = self._tree.values.get(section)
        at = self._tree.lines.get(section, self._tree.line)
        return inner.lines.get(name, at) if name and isinstance(inner, Table) else at

    def _say(self, line: int, key: str, text: str) -> None:
        self._problems.append(Problem(file=self._file, line=line, key=f"{self._key}.{key}", text=text))
