"""Playbooks: named lists of roles, under OneProvision's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.parameters import check_names
from hybrid_drivers.hostconfig.roles import PEER_ROLES, known_parameters, steps_of
from hybrid_drivers.hostconfig.steps import Step

_BEFORE = ("python", "ddc", "opennebula-repository")
_AFTER = ("opennebula-ssh", "tuntap", "bridged-networking", "iptables", "tuned", "sysctl")

# OneProvision 6.x had one for each provider; they differed in names of interfaces, which are not needed here.
_EVPN_AFTER = ("opennebula-ssh", "frr", "iptables", "tuned", "sysctl")
_EVPN = (*_BEFORE, "opennebula-node-kvm", *_EVPN_AFTER)

PLAYBOOKS: Mapping[str, tuple[str, ...]] = {
    "default": (*_BEFORE, "opennebula-node-kvm", *_AFTER),
    "default_lxc": (*_BEFORE, "opennebula-node-lxc", *_AFTER),
    "static_vxlan": (
        *(*_BEFORE, "opennebula-node-kvm", "opennebula-ssh", "tuntap", "bridged-networking"),
        *("opennebula-p2p-vxlan", "iptables", "tuned", "sysctl"),
    ),
    "evpn": _EVPN,
    "evpn_lxc": (*_BEFORE, "opennebula-node-lxc", *_EVPN_AFTER),
    **dict.fromkeys(("aws", "equinix", "packet", "google", "digitalocean", "vultr", "scaleway"), _EVPN),
    "onprem": tuple(role for role in _EVPN if role != "iptables"),  # OneProvision left it as the owner has it
    "dummy": ("dummy",),
}
SUFFIXES = (".yml", ".yaml")  # of Ansible's playbooks


def plan(playbooks: Sequence[str], facts: Facts, *, peers_only: bool = False) -> tuple[Step, ...]:
    """Return the steps of the playbooks, in order; a role named twice counts where it comes first.

    ``peers_only``: only those of the roles that depend on ``facts.peers``.

    Raises:
        ConfigError: an unknown playbook or parameter, or a value that does not fit; the text names it.
    """
    roles = dict.fromkeys(role for name in playbooks for role in _roles(name))
    facts = replace(facts, roles=facts.roles or frozenset(roles))
    check_names(facts.given, known_parameters())
    wanted = [role for role in roles if role in PEER_ROLES or not peers_only]
    return tuple(step for role in wanted for step in steps_of(role, facts))


def is_path(playbook: str) -> bool:
    """Tell whether a playbook is Ansible's: named by its file."""
    return "/" in playbook or playbook.endswith(SUFFIXES)


def depend_on_peers(playbooks: Sequence[str]) -> bool:
    """Tell whether the playbooks must run again when a host joins or leaves the cluster; Ansible's need not.

    Raises:
        ConfigError: an unknown playbook.
    """
    return not PEER_ROLES.isdisjoint(roles_of(playbooks))


def roles_of(playbooks: Sequence[str]) -> frozenset[str]:
    """Return the roles of all playbooks of ours.

    Raises:
        ConfigError: an unknown playbook.
    """
    return frozenset(role for name in playbooks if not is_path(name) for role in _roles(name))


def _roles(playbook: str) -> tuple[str, ...]:
    if playbook in PLAYBOOKS:
        return PLAYBOOKS[playbook]
    if is_path(playbook):
        raise ConfigError(f"playbook '{playbook}' is Ansible's, which cannot be part of a script of ours")
    known = ", ".join(PLAYBOOKS)
    raise ConfigError(
        f"there is no playbook '{playbook}'; known are {known}; Ansible's are named by file: {playbook}.yml"
    )
