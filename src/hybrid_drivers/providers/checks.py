"""Checking one provider entry against the field tables of its driver; every problem is found, each with its line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.providers import registry
from hybrid_drivers.providers.attributes import GENERIC, GENERIC_PREFIXES, unknown_key
from hybrid_drivers.providers.base import Field, ProviderEntry, Setting
from hybrid_drivers.providers.driver import COMMON_SETTINGS, Driver, common_problems
from hybrid_drivers.providers.limits import LIMIT_NAMES
from hybrid_drivers.providers.values import Wrong, attribute, converted, number
from hybrid_drivers.yamlfile import Scalar, Table, Tree

_OWN_KEYS = ("driver", "defaults", "limits")


@dataclass
class EntryReader:
    """Turns the tree of one entry into a ``ProviderEntry``.

    ``where`` begins each sentence (a path, or "document 12"), ``source`` is what the entry remembers of it. ``names``
    gives settings the name under which the operator knows them, where that is another (5.12 attributes).
    """

    name: str
    where: str
    source: str
    names: Mapping[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def read(self, tree: Table) -> ProviderEntry:
        """Return the checked entry.

        Raises:
            ConfigError: everything that is wrong, joined with ``; ``.
        """
        driver = self._driver(tree)
        settings = self._settings(tree, driver)
        entry = ProviderEntry(
            name=self.name,
            driver=driver.name,
            settings=settings,
            defaults=self._defaults(tree, driver),
            limits=self._limits(tree),
            source=self.source,
        )
        if not self.problems:
            for sentence in (*common_problems(settings), *driver.check(settings)):
                self._problem(0, sentence)
        if self.problems:
            raise ConfigError("; ".join(self.problems))
        return entry

    def _driver(self, tree: Table) -> Driver:
        value = tree.values.get("driver")
        if not isinstance(value, Scalar) or not value.text:
            known = ", ".join(one.name for one in registry.built_in())
            self._problem(tree.line, f"key 'driver' is missing; known drivers: {known}")
            raise ConfigError("; ".join(self.problems))
        try:
            return registry.driver(value.text)
        except ConfigError as exc:
            self._problem(value.line, str(exc))
            raise ConfigError("; ".join(self.problems)) from exc

    def _settings(self, tree: Table, driver: Driver) -> dict[str, Setting]:
        fields = {one.name: one for one in (*driver.settings, *COMMON_SETTINGS)}
        settings: dict[str, Setting] = {}
        for key, value in tree.values.items():
            line = tree.lines.get(key, 0)
            if key in fields:
                self._setting(fields[key], value, line, settings)
            elif key not in _OWN_KEYS:
                self._problem(line, unknown_key(key, f"driver {driver.name}", {*fields, *_OWN_KEYS}))
        for one in fields.values():
            if one.required and not settings.get(one.name) and one.name not in tree.values:
                name = self.names.get(one.name, one.name)
                self._problem(0, f"key '{name}' is missing for driver {driver.name} ({one.help})")
        return settings

    def _setting(self, spec: Field, value: Tree, line: int, settings: dict[str, Setting]) -> None:
        try:
            settings[spec.name] = converted(spec, value)
        except Wrong as exc:
            self._problem(line, f"key '{self.names.get(spec.name, spec.name)}' {exc}")

    def _defaults(self, tree: Table, driver: Driver) -> dict[str, str]:
        known = {one.name for one in driver.attributes} | set(driver.aliases) | GENERIC
        defaults = {}
        for key, value, line in self._pairs(tree, "defaults"):
            name = key.upper()
            if name in driver.inline and name not in known:
                self._problem(
                    line, f"{name} is a credential or setting: write it as '{driver.inline[name]}:' of the entry"
                )
            elif name not in known and not name.startswith(GENERIC_PREFIXES):
                self._problem(line, unknown_key(name, f"defaults of driver {driver.name}", known))
            else:
                try:
                    defaults[name] = attribute(value)
                except Wrong as exc:
                    self._problem(line, f"{name} {exc}")
        return defaults

    def _limits(self, tree: Table) -> dict[str, float]:
        limits = {}
        for key, value, line in self._pairs(tree, "limits"):
            if key not in LIMIT_NAMES:
                self._problem(line, unknown_key(key, "limits", LIMIT_NAMES))
                continue
            try:
                limits[key] = number(value)
            except Wrong as exc:
                self._problem(line, f"limit '{key}' {exc} of seconds")
        return limits

    def _pairs(self, tree: Table, key: str) -> list[tuple[str, Tree, int]]:
        section = tree.values.get(key)
        if section is None or (isinstance(section, Scalar) and section.kind == "null"):
            return []
        if not isinstance(section, Table):
            self._problem(tree.lines.get(key, 0), f"key '{key}' must be a mapping")
            return []
        return [(name, value, section.lines.get(name, 0)) for name, value in section.values.items()]

    def _problem(self, line: int, sentence: str) -> None:
        self.problems.append(f"{self._at(line)}{sentence}")

    def _at(self, line: int) -> str:
        return f"{self.where}:{line}: " if line else f"{self.where}: "
