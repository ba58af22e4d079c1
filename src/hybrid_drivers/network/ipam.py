"""What is decided about a new address range: what it needs, and what oned is told of it.

A driver's answer to a registration replaces all attributes of the range (OpenNebula ``IPAMRequest.h``, ``get_ar``).
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model_addresses import Block
from hybrid_drivers.network.addresses import Span, free_span, span_of
from hybrid_drivers.network.ranges import BLOCK, BLOCK6, OLD_BLOCK, PUBLIC, Attributes

INSIDE = "100.64.0.0/16"  # inside addresses where nobody says others: carriers' own (RFC 6598), no VPC has them unasked
_KINDS = {"IP4": (4,), "IP6": (6,), "IP6_STATIC": (6,), "IP4_6": (4, 6), "IP4_6_STATIC": (4, 6)}
# What oned or we make of a range: of no meaning in a request.
OWN = frozenset(
    {"AR_ID", "ALLOCATED", "LEASES", "USED_LEASES", "NEXT_INDEX", "SHARED", "PARENT_NETWORK", "PARENT_NETWORK_AR_ID"}
    | {"IP", "IP_END", "IP6", "IP6_END", "IP6_GLOBAL", "IP6_GLOBAL_END", "IP6_ULA", "IP6_ULA_END", "MAC_END"}
    | {
        "GLOBAL_PREFIX",
        "PREFIX_LENGTH",
        BLOCK,
        BLOCK6,
        PUBLIC,
        OLD_BLOCK,
        "PROVIDER",
        "RENTED_FROM",
        "DRIVER",
        "PM_MAD",
    }
)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a new range is to be: TYPE and SIZE."""

    kind: str
    size: int

    @property
    def families(self) -> tuple[int, ...]:
        """Return the families its addresses are of."""
        return _KINDS[self.kind]

    @property
    def static6(self) -> bool:
        """Tell whether IPv6 addresses are counted, not made of MACs."""
        return self.kind.endswith("_STATIC")


def wanted(ar: Attributes) -> Wanted:
    """Read what a range is to be.

    Raises:
        ConfigError: TYPE or SIZE is missing or wrong.
    """
    kind, size = (ar.get("TYPE") or "IP4").strip().upper(), ar.get("SIZE", "").strip()
    if kind not in _KINDS:
        raise ConfigError(f"the address range's TYPE must be one of {', '.join(_KINDS)}, not '{kind[:40]}'")
    if not (size.isascii() and size.isdigit() and len(size) < 19 and int(size) > 0):
        raise ConfigError(f"the address range's SIZE must be a whole number from 1, not '{size[:40]}'")
    return Wanted(kind=kind, size=int(size))


def token_of(owner: str, driver: str, request_id: str, ar: Attributes) -> str:
    """Return what marks a registration: the same request of oned has the same, 32 hex digits."""
    told = "\0".join(f"{key}={ar[key]}" for key in sorted(ar))
    return hashlib.sha256(f"{owner}\0{driver}\0{request_id}\0{told}".encode()).hexdigest()[:32]


def inside_addresses(pool: str, taken: Iterable[Span], count: int) -> str:
    """Return the first of ``count`` free inside addresses in a row, never those at the ends of the network ``pool``.

    Raises:
        ConfigError: ``pool`` is no IPv4 network, or has not so many free ones.
    """
    try:
        network = ipaddress.IPv4Network(pool.strip(), strict=False)
    except ValueError:
        raise ConfigError(f"CIDR must be an IPv4 network like 10.0.1.0/24, not '{pool[:40]}'") from None
    low, high = span_of(network)
    found = free_span((low + 1, high - 1), taken, count)
    if found is None:
        raise ConfigError(f"{network} has no {count} free addresses in a row for the inside of the address range")
    return str(ipaddress.IPv4Address(found))


@dataclass(frozen=True, kw_only=True)
class Reserved:
    """What was reserved for a range; ``inside`` is the first inside address where the provider translates."""

    blocks: Sequence[Block] = ()  # of IPv4, in the order of the addresses
    block6: Block | None = None
    inside: str = ""


def described(ar: Attributes, wish: Wanted, driver: str, provider: str, got: Reserved) -> dict[str, str]:
    """Return the attributes of a new range: those of the request that are the operator's, and what was reserved."""
    told = {key: value for key, value in ar.items() if key not in OWN}
    told |= {"TYPE": wish.kind, "SIZE": str(wish.size), "IPAM_MAD": driver, "PROVIDER": provider}
    if got.blocks:
        told["IP"] = got.inside or got.blocks[0].first
        told[BLOCK] = ",".join(one.id for one in got.blocks)
        if got.inside:
            told[PUBLIC] = ",".join(one.first for one in got.blocks)
    if got.block6 is not None:
        told[BLOCK6] = got.block6.id
        network = ipaddress.IPv6Network(got.block6.network)
        if wish.static6:
            told["IP6"] = str(network[1 if got.block6.shared else 0])  # the first of a whole network is its routers'
            told["PREFIX_LENGTH"] = "64"
        else:
            told["GLOBAL_PREFIX"] = str(network.network_address)
    return told
