"""A provider as OneProvision 6.x writes it, turned into the keys of our own entries; lines stay those of the file.

Source: OpenNebula ``share/oneprovision/edge-clusters/*/providers``, ``src/oneprovision/lib/provider/provider.rb`` and
the ``KEYS`` in ``src/oneprovision/lib/terraform/providers/*.rb``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.providers import registry
from hybrid_drivers.providers.attributes import unknown_key
from hybrid_drivers.providers.driver import COMMON_SETTINGS, Driver
from hybrid_drivers.provision.dialects import driver_of
from hybrid_drivers.yamlfile import Scalar, Table, Tree

# For OneProvision's web interface, or its own bookkeeping: nothing of it says how to reach an account.
WITHOUT_MEANING = ("plain", "provision_type", "location_key", "image", "registration_time", "version")
NAMES = ("name", "provider", "connection")
OWN = ("defaults", "limits")
_TRUE = Scalar(text="true", kind="boolean")


def is_oneprovision(tree: Table) -> bool:
    """Tell whether a provider is written as in OneProvision 6.x: ``provider`` or ``connection``, but no ``driver``."""
    return "driver" not in tree.values and bool({"provider", "connection"} & tree.values.keys())


@dataclass
class Converter:
    """Turns one such tree into one of our keys. ``say(line, sentence)`` is told what is wrong.

    ``names`` are the settings' names in the file where they differ (``connection.token``), for later sentences.
    """

    say: Callable[[int, str], None]
    names: dict[str, str] = field(default_factory=dict)
    _values: dict[str, Tree] = field(default_factory=dict)
    _lines: dict[str, int] = field(default_factory=dict)
    _defaults: dict[str, tuple[Tree, int]] = field(default_factory=dict)

    def convert(self, tree: Table) -> Table | None:
        """Return our tree, None when the driver is not known."""
        driver = self._driver(tree)
        if driver is None:
            return None
        self._put("driver", Scalar(text=driver.name, kind="text"), tree.lines.get("provider", 0))
        self._top(tree, driver)
        self._connection(tree, driver)
        if driver.name == "static" and "machines" not in self._values:
            self._any_address(tree)
        if self._defaults:
            self._put("defaults", self._merged_defaults(), 0)
        return Table(values=self._values, lines=self._lines, line=tree.line)

    def _driver(self, tree: Table) -> Driver | None:
        value = tree.values.get("provider")
        if not isinstance(value, Scalar) or not value.text:
            self.say(tree.lines.get("provider", tree.line), "key 'provider' is missing: name one like aws or equinix")
            return None
        try:
            return registry.driver(driver_of(value.text))
        except ConfigError as exc:
            self.say(value.line, str(exc))
            return None

    def _top(self, tree: Table, driver: Driver) -> None:
        ours = {one.name for one in (*driver.settings, *COMMON_SETTINGS)} | set(OWN)
        for key, value in tree.values.items():
            line = tree.lines.get(key, 0)
            if key in ours:
                self._put(key, value, line)
            elif key not in (*NAMES, *WITHOUT_MEANING):
                self.say(line, unknown_key(key, "a provider", {*ours, *NAMES, *WITHOUT_MEANING}))

    def _connection(self, tree: Table, driver: Driver) -> None:
        section = tree.values.get("connection")
        if section is None or (isinstance(section, Scalar) and section.kind == "null"):
            if driver.name in ("ec2", "packet"):
                self.say(0, "key 'connection' is missing: it holds the credentials")
            return
        if not isinstance(section, Table):
            self.say(tree.lines.get("connection", 0), "key 'connection' must be a mapping")
            return
        for key, value in section.values.items():
            self._connection_key(key.lower(), value, section.lines.get(key, 0), driver)

    def _connection_key(self, key: str, value: Tree, line: int, driver: Driver) -> None:
        """Take one key: a setting of the driver, or an attribute of what is rented (metro, facility)."""
        settings = {one.name for one in (*driver.settings, *COMMON_SETTINGS)}
        attributes = {one.name for one in driver.attributes} | set(driver.aliases)
        if key in self._values:
            self.say(line, f"key '{key}' is there twice: once in connection, once beside it")
        elif key in settings:
            self._put(key, value, line)
            self.names[key] = f"connection.{key}"
        elif key.upper() in attributes:
            self._defaults[key.upper()] = (value, line)
        else:
            known = settings | {name.lower() for name in attributes}
            self.say(line, unknown_key(key, f"connection of driver {driver.name}", known))

    def _any_address(self, tree: Table) -> None:
        """Let hosts name their machines, as OneProvision's onprem does; it looked at no host key, which we ask for."""
        if "any_address" not in self._values:
            self._put("any_address", _TRUE, 0)
        if "trust_first_use" not in self._values:
            self.say(
                tree.lines.get("provider", 0),
                "provider onprem lists no machines: add 'machines' with their host_key, or 'trust_first_use: true' to "
                "believe whoever answers first at the address a host names",
            )

    def _merged_defaults(self) -> Tree:
        """Return ``defaults`` with what ``connection`` said; those beside it are there already and win."""
        section = self._values.get("defaults")
        if section is not None and not isinstance(section, Table):
            return section  # its reader says what is wrong
        values = {key: value for key, (value, _) in self._defaults.items()}
        lines = {key: line for key, (_, line) in self._defaults.items()}
        if section is not None:
            values.update({key.upper(): value for key, value in section.values.items()})
            lines.update({key.upper(): section.lines.get(key, 0) for key in section.values})
        return Table(values=values, lines=lines)

    def _put(self, key: str, value: Tree, line: int) -> None:
        self._values[key], self._lines[key] = value, line or self._lines.get(key, 0)
