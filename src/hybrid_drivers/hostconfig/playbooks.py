"""Playbooks: named lists of roles, under OneProvision's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.parameters import check_names
from hybrid_drivers.hostconfig.roles import PEER_ROLES, known_parameters, steps_of
from hybrid_drivers.hostconfig.steps import Step

PLAYBOOKS: Mapping[str, tuple[str, ...]] = {
    "default": (
        "python",
        "ddc",
        "opennebula-node-kvm",
        "opennebula-ssh",
        "tuntap",
        "bridged-networking",
        "iptables",
        "sysctl",
    ),
    "dummy": ("dummy",),
}


def plan(playbooks: Sequence[str], facts: Facts, *, peers_only: bool = False) -> tuple[Step, ...]:
    """Return the steps of the playbooks, in order; a role named twice counts where it comes first.

    ``peers_only``: only those of the roles that depend on ``facts.peers``.

    Raises:
        ConfigError: an unknown playbook or parameter, or a value that does not fit; the text names it.
    """
    roles = dict.fromkeys(role for name in playbooks for role in _roles(name))
    check_names(facts.given, known_parameters())
    wanted = [role for role in roles if role in PEER_ROLES or not peers_only]
    return tuple(step for role in wanted for step in steps_of(role, facts))


def depend_on_peers(playbooks: Sequence[str]) -> bool:
    """Tell whether the playbooks must run again when a host joins or leaves the cluster.

    Raises:
        ConfigError: an unknown playbook.
    """
    return any(role in PEER_ROLES for name in playbooks for role in _roles(name))


def _roles(playbook: str) -> tuple[str, ...]:
    if playbook in PLAYBOOKS:
        return PLAYBOOKS[playbook]
    known = ", ".join(PLAYBOOKS)
    if "/" in playbook or playbook.endswith((".yml", ".yaml")):
        raise ConfigError(f"playbook '{playbook}': Ansible playbooks are not available yet; known are {known}")
    raise ConfigError(f"there is no playbook '{playbook}'; known are {known}")
