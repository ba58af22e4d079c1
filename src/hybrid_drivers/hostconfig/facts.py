"""What roles know besides their own parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hybrid_drivers.secret import Secret


@dataclass(frozen=True, kw_only=True, order=True)
class Peer:
    """A host of the same cluster, by the address at which the others reach it (IPv4)."""

    host_id: int
    address: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known when a host's configuration is compiled.

    ``oneadmin_keys``: public keys of the front-end's oneadmin, as lines of ``authorized_keys``;
    ``oneadmin_private_key`` goes to the host only when asked for; ``opennebula_version``: the front-end's, such as
    ``7.0.1``, empty when unknown; ``address``: the host's own among ``peers``, which are all provisioned hosts of its
    cluster that have a machine, itself included, ordered by host id; ``given``: all variables, for a role that needs
    a neighbour's.
    """

    oneadmin_keys: tuple[str, ...] = ()
    oneadmin_private_key: Secret | None = None
    opennebula_version: str = ""
    address: str = ""
    peers: tuple[Peer, ...] = ()
    given: Mapping[str, str] = field(default_factory=dict)
