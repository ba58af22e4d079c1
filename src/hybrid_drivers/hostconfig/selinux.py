"""SELinux booleans, as OneProvision's variable ``opennebula_node_selinux_booleans`` lists them."""

from __future__ import annotations

import re

import yaml

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig.primitives import command
from hybrid_drivers.hostconfig.steps import Step, words

DEFAULT = "[{name: virt_use_nfs, state: 'yes'}]"
_NAME = re.compile(r"[A-Za-z0-9_]+\Z")
_STATES = {
    **dict.fromkeys(("yes", "on", "true", "1"), "1"),
    **dict.fromkeys(("no", "off", "false", "0"), "0"),
}


def booleans(role: str, text: str) -> list[Step]:
    """Return the step that sets them, now and for every boot; it does nothing where SELinux is off or missing.

    Raises:
        ConfigError: ``text`` is not a YAML list of ``{name, state}``.
    """
    settings = [f"{name}={value}" for name, value in parse(text)]
    if not settings:
        return []
    apply = f"setsebool -P {words(*settings)}"
    return [command(role, "set SELinux booleans", check=f"selinux_booleans_are {words(*settings)}", apply=apply)]


def parse(text: str) -> list[tuple[str, str]]:
    """Return names with ``0`` or ``1``.

    Raises:
        ConfigError: ``text`` is not a YAML list of ``{name, state}``.
    """
    try:
        items = yaml.safe_load(text) or []
        return [(_name(item["name"]), _STATES[str(item["state"]).lower()]) for item in items]
    except (yaml.YAMLError, KeyError, TypeError, ValueError, RecursionError) as exc:
        raise ConfigError(
            f"configuration: opennebula_node_selinux_booleans is '{text}', expected a list like {DEFAULT}"
        ) from exc


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.match(value):
        raise ValueError(value)
    return value
