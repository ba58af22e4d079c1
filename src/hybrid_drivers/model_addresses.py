"""Public addresses at a provider: blocks of them, what a reservation asks for, and where an address goes.

Nothing here does input or output, and nothing of ours is imported.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class AddressTags:
    """What we write on a block when it is reserved, so that it can be found and told from other people's.

    What one request chose besides stands here too, for the next one must not choose it again before oned shows it.
    """

    owner: str  # HYBRID_OWNER of the zone
    token: str  # of the request it was reserved for: the same request has the same
    index: int = 0  # which address of its range, where each is a block of its own
    inside: str = ""  # the first inside address of the whole range, where the provider translates
    prefix6: str = ""  # the IPv6 network of the range, where that is not a block of its own


@dataclass(frozen=True, kw_only=True)
class Block:
    """Addresses reserved at a provider. ``network`` is a CIDR; a single address is a /32 or /128, none yet is empty.

    ``shared``: the provider gave it to the whole account, so that nobody gives it back (packet's IPv6 networks).
    """

    id: str
    network: str
    family: int  # 4 or 6
    tags: AddressTags | None = None  # None: not ours
    place: str = ""  # metro, region, subnet: the provider's own word
    shared: bool = False

    @property
    def first(self) -> str:
        """Return its first address."""
        return self.network.partition("/")[0]

    @property
    def size(self) -> int:
        """Return how many addresses it has."""
        return ipaddress.ip_network(self.network).num_addresses if self.network else 0


@dataclass(frozen=True, kw_only=True)
class ReserveRequest:
    """Everything a provider needs to reserve a block.

    ``size`` is how many addresses; 0 (IPv6 only) a network of 64 bits, in which virtual machines make their own of
    their MACs. ``attributes`` are those of the address range (upper-case keys, no credentials). ``taken`` are networks
    of this family that other ranges have, for providers that let us choose.
    """

    tags: AddressTags
    family: int
    size: int
    attributes: Mapping[str, str] = field(default_factory=dict)
    taken: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """Where an address goes. ``private`` is the address the machine gets it at, empty when that is the address itself.

    ``id`` is the provider's own of the assignment.
    """

    id: str
    machine_id: str
    private: str = ""
