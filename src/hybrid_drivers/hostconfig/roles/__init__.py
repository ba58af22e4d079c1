"""The roles: each is one file with its parameters (OneProvision's names and defaults) and its steps."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig import parameters
from hybrid_drivers.hostconfig.steps import Step
from hybrid_drivers.secret import Secret

# Role -> module here with PARAMETERS (a frozen dataclass) and steps(parameters, facts).
_MODULES: Mapping[str, str] = {
    "bridged-networking": "bridged_networking",
    "ddc": "ddc",
    "dummy": "dummy",
    "iptables": "iptables",
    "opennebula-node-kvm": "opennebula_node_kvm",
    "opennebula-node-qemu": "opennebula_node_qemu",
    "opennebula-ssh": "opennebula_ssh",
    "python": "python",
    "sysctl": "sysctl",
    "tuntap": "tuntap",
}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What roles know besides their own parameters.

    ``oneadmin_keys``: public keys of the front-end's oneadmin; ``oneadmin_private_key`` goes to the host only when
    asked for; ``given``: all variables, for a role that needs a neighbour's.
    """

    oneadmin_keys: tuple[str, ...] = ()
    oneadmin_private_key: Secret | None = None
    given: Mapping[str, str] = field(default_factory=dict)


def known_parameters() -> set[str]:
    """Return the names of all parameters of all roles."""
    return {one.name for role in _MODULES for one in dataclasses.fields(_load(role)[0])}


def steps_of(role: str, facts: Facts) -> Sequence[Step]:
    """Return a role's steps.

    Raises:
        ConfigError: a value does not fit; the text names the variable.
    """
    kind, steps = _load(role)
    return steps(parameters.parse(kind, facts.given), facts)


def _load(role: str) -> tuple[type[Any], Callable[[Any, Facts], Sequence[Step]]]:
    if role not in _MODULES:
        raise ConfigError(f"there is no role '{role}'; known are {', '.join(_MODULES)}")
    module = importlib.import_module(f"{__name__}.{_MODULES[role]}")
    return module.PARAMETERS, module.steps
