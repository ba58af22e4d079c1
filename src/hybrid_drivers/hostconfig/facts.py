"""What roles know besides their own parameters."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from hybrid_drivers.secret import Secret


@dataclass(frozen=True, kw_only=True, order=True)
class Peer:
    """A host of the same cluster, by the address at which the others reach it."""

    host_id: int
    address: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known when a host's configuration is compiled.

    ``oneadmin_keys``: public keys of the front-end's oneadmin, as lines of ``authorized_keys``;
    ``oneadmin_private_key`` goes to the host only when asked for; ``login_user``: as whom we log in;
    ``opennebula_version``: the front-end's, such as ``7.0.1``, empty when unknown; ``address``: the host's own among
    ``peers``, which are all provisioned hosts of its cluster that have a machine, itself included, ordered by host id;
    ``given``: all variables, for a role that needs a neighbour's; ``roles``: all roles of the host, also those of
    another of its scripts; empty when unknown.
    """

    oneadmin_keys: tuple[str, ...] = ()
    oneadmin_private_key: Secret | None = None
    login_user: str = "root"
    opennebula_version: str = ""
    address: str = ""
    peers: tuple[Peer, ...] = ()
    given: Mapping[str, str] = field(default_factory=dict)
    roles: frozenset[str] = frozenset()

    @property
    def members(self) -> tuple[str, ...]:
        """The IPv4 addresses of the hosts of the cluster, each once, ordered by host id.

        The same on all of them. Two hosts behind one address count once: an overlay cannot tell them apart, and one of
        them is most often a host object whose machine is gone.
        """
        return tuple(dict.fromkeys(peer.address for peer in sorted(self.peers) if is_ipv4(peer.address)))

    @property
    def others(self) -> tuple[str, ...]:
        """The ``members`` without this host."""
        return tuple(address for address in self.members if address != self.address)

    @property
    def unreachable(self) -> tuple[str, ...]:
        """The addresses of hosts that are no ``members``, because they are not IPv4."""
        found = (peer.address for peer in sorted(self.peers) if peer.address and not is_ipv4(peer.address))
        return tuple(dict.fromkeys(found))


def is_ipv4(text: str) -> bool:
    """Tell whether this is an IPv4 address."""
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
