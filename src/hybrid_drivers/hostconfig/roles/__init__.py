"""The roles: each is one file with its parameters (OneProvision's names and defaults) and its steps."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig import parameters
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.steps import Step

# Role -> module here with PARAMETERS (a frozen dataclass) and steps(parameters, facts).
_MODULES: Mapping[str, str] = {
    "bridged-networking": "bridged_networking",
    "ddc": "ddc",
    "dummy": "dummy",
    "frr": "frr",
    "iptables": "iptables",
    "opennebula-node-kvm": "opennebula_node_kvm",
    "opennebula-node-lxc": "opennebula_node_lxc",
    "opennebula-node-qemu": "opennebula_node_qemu",
    "opennebula-p2p-vxlan": "opennebula_p2p_vxlan",
    "opennebula-repository": "opennebula_repository",
    "opennebula-ssh": "opennebula_ssh",
    "python": "python",
    "sysctl": "sysctl",
    "tuned": "tuned",
    "tuntap": "tuntap",
}


# Roles whose steps depend on facts.peers: they run again on every host when one joins or leaves the cluster.
PEER_ROLES: frozenset[str] = frozenset({"frr", "opennebula-p2p-vxlan"})


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
