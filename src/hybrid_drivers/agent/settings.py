"""``hybrid.yaml``: what holds for all hosts, and how the agent behaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hybrid_drivers.agent.logs import LEVELS
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.yamlfile import Scalar, Table, parse_yaml, plain

SECTIONS = ("defaults", "agent", "zone_id")
LEAST = {
    "workers": 1,
    "tries": 1,
    "sweep": 0.1,
    "growth": 0.1,
    "interruptions": 0.1,
    "log_size": 1,
    "configure_limit": 1,
}
LEAST_DRIFT = 60.0  # seconds: a look costs CPU time here and on the host, and there may be a thousand hosts
DEFAULTS = ("provision", "connection", "configuration", "playbook")


@dataclass(frozen=True, kw_only=True)
class AgentSettings:
    """Settings of the agent; the names are the keys of the file's ``agent`` section. Times are seconds."""

    idle_exit: float = 300.0  # without any work for so long the agent ends; 0: never
    log_level: str = "info"
    log_size: int = 10  # MiB after which the log is rotated
    log_count: int = 5  # old logs that are kept
    stop_limit: float = 20.0  # running calls get so long to end when the agent is stopped
    workers: int = 128  # hosts worked on at once
    claim_delay: float = 1.0  # how long an intent stands in oned before it is acted on
    sweep: float = 60.0  # between two comparisons of oned's hosts with the providers' machines
    quarantine: float = 300.0  # how long a machine without a host is watched before it is given back
    configure_limit: float = 3600.0  # one run of the configuration on one host
    drift: float = 21600.0  # between two looks whether a READY host is still as it was configured; 0: never
    growth: float = 30.0  # between two looks of clusters that grow on demand (ELASTIC)
    interruptions: float = 15.0  # between two questions whether spot machines are taken back, while there are any
    tries: int = 3  # machines that failed before they were ready, until a host is given up


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The whole file. ``provision`` and ``connection`` have upper-case keys, as PROVISION and PROVISION_CONNECTION."""

    provision: Mapping[str, str] = field(default_factory=dict)
    connection: Mapping[str, str] = field(default_factory=dict)
    configuration: Mapping[str, object] = field(default_factory=dict)  # parameters of the roles
    playbook: str = "default"
    zone_id: int = 0
    agent: AgentSettings = field(default_factory=AgentSettings)


def read_settings(path: Path) -> Settings:
    """Read ``path``; a missing file means the defaults.

    Raises:
        ConfigError: the file is not YAML, a key is unknown or a value is not of its kind; file, line and key are named.
    """
    try:
        tree = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path} cannot be read: {exc}") from exc
    return _Reader(path).settings(tree) if isinstance(tree, Table) else Settings()


class _Reader:
    """Reads the tree of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def settings(self, tree: Table) -> Settings:
        self._known(tree, SECTIONS, "")
        defaults = self._table(tree, "defaults")
        self._known(defaults, DEFAULTS, "defaults.")
        zone = self._scalar(tree, "zone_id", "0")
        if not zone.isdigit():
            raise self._wrong(tree, "zone_id", "must be a zone's id")
        return Settings(
            provision=self._words(defaults, "provision"),
            connection=self._words(defaults, "connection"),
            configuration=self._plain(defaults, "configuration"),
            playbook=self._scalar(defaults, "playbook", "default"),
            zone_id=int(zone),
            agent=self._agent(self._table(tree, "agent")),
        )

    def _agent(self, table: Table) -> AgentSettings:
        kinds = {one.name: str(one.type) for one in fields(AgentSettings)}  # the types as text: see __future__
        self._known(table, tuple(kinds), "agent.")
        values: dict[str, Any] = {}
        for name in table.values:
            text = self._scalar(table, name, "")
            if kinds[name] == "str":
                if text not in LEVELS:
                    raise self._wrong(table, name, f"must be one of {', '.join(LEVELS)}")
                values[name] = text
                continue
            try:
                number = float(text)
            except ValueError:
                number = -1.0
            if not LEAST.get(name, 0) <= number < float("inf"):
                raise self._wrong(table, name, f"must be a number, {LEAST.get(name, 0):g} or more")
            if name == "drift" and 0 < number < LEAST_DRIFT:
                raise self._wrong(table, name, f"must be 0 (never) or a number, {LEAST_DRIFT:g} or more")
            values[name] = int(number) if kinds[name] == "int" else number
        return AgentSettings(**values)

    def _known(self, table: Table, names: tuple[str, ...], prefix: str) -> None:
        for key in table.values:
            if key not in names:
                line = table.lines.get(key, 0)
                known = ", ".join(sorted(names))
                raise ConfigError(f"{self._path}:{line}: unknown key '{prefix}{key[:60]}'; known are {known}")

    def _wrong(self, table: Table, key: str, what: str) -> ConfigError:
        return ConfigError(f"{self._path}:{table.lines.get(key, 0)}: '{key}' {what}")

    def _table(self, parent: Table, key: str) -> Table:
        value = parent.values.get(key, Table(values={}, lines={}))
        if isinstance(value, Scalar) and value.kind == "null":
            value = Table(values={}, lines={})
        if not isinstance(value, Table):
            raise self._wrong(parent, key, "must be a section of keys and values")
        return value

    def _scalar(self, parent: Table, key: str, default: str) -> str:
        value = parent.values.get(key)
        if value is None:
            return default
        if not isinstance(value, Scalar) or value.kind == "null":
            raise self._wrong(parent, key, "must be a single value")
        return value.text

    def _words(self, parent: Table, key: str) -> dict[str, str]:
        table = self._table(parent, key)
        return {name.upper(): self._scalar(table, name, "") for name in table.values}

    def _plain(self, parent: Table, key: str) -> dict[str, object]:
        return {name: plain(value) for name, value in self._table(parent, key).values.items()}
