"""The address blocks of a simulated packet project: what is reserved, where its parts go, and how the API shows both.

IPv4 comes from the networks for documentation (RFC 5737), IPv6 from 2001:db8::/32 (RFC 3849). A project gets a network
of 56 bits in a metro with its first device there, as with the real provider, of which the first 64 bits are for the
devices' own addresses.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Union
from uuid import uuid4

from hybrid_drivers.sandbox import packet_catalogue as catalogue
from hybrid_drivers.sandbox.fleet import Fleet
from hybrid_drivers.sandbox.packet_order import PacketOrder
from hybrid_drivers.sandbox.packet_views import timestamp
from hybrid_drivers.sandbox.unit import State

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
_POOLS = tuple(ipaddress.IPv4Network(one) for one in ("198.51.100.0/24", "203.0.113.0/24", "192.0.2.0/24"))
_V6 = ipaddress.IPv6Network("2001:db8:ff00::/40")


@dataclass(eq=False, kw_only=True)
class Assignment:
    """A part of a block that goes to a device."""

    network: Network
    device: str
    created: float
    id: str = field(default_factory=lambda: str(uuid4()))


@dataclass(eq=False, kw_only=True)
class Reservation:
    """A block; ``network`` is None while somebody has to approve it."""

    kind: str
    network: Network | None
    metro: str
    facility: str
    created: float
    visible_from: float
    tags: tuple[str, ...] = ()
    details: str = ""
    id: str = field(default_factory=lambda: str(uuid4()))
    assignments: list[Assignment] = field(default_factory=list)

    def free(self, bits: int) -> Iterator[Network]:
        """Yield the parts of ``bits`` bits that nobody has."""
        if self.network is None or bits < self.network.prefixlen:
            return
        parts = self.network.subnets(new_prefix=bits)
        if self.kind == "public_ipv6":
            next(parts)  # the devices' own
        held = [one.network for one in self.assignments]
        yield from (part for part in parts if not any(_overlap(part, one) for one in held))


class Blocks:
    """All blocks of the project; the caller holds a lock."""

    def __init__(self, fleet: Fleet[PacketOrder], project: str) -> None:
        self._fleet, self._project = fleet, project
        self._all: dict[str, Reservation] = {}
        self.released: list[Reservation] = []

    def all(self) -> Sequence[Reservation]:
        """Return every block, the metros' IPv6 networks among them; assignments of gone devices have ended."""
        for metro in sorted({unit.order.place for unit in self._fleet.units()}):
            self._give_v6(metro)
        for block in self._all.values():
            block.assignments = [one for one in block.assignments if self._lives(one.device)]
        return list(self._all.values())

    def listed(self) -> Sequence[Reservation]:
        """Return the blocks that lists show now."""
        return [one for one in self.all() if one.visible_from <= self._fleet.now()]

    def buy(self, kind: str, quantity: int, metro: str, facility: str, tags: tuple[str, ...]) -> Reservation:
        """Reserve IPv4 addresses, or ask for them (no network) when that would be more than the quota."""
        held = sum(one.network.num_addresses for one in self.all() if one.network and one.kind != "public_ipv6")
        quota, now = self._fleet.knobs.address_quota, self._fleet.now()
        network = None if quota and held + quantity > quota else self._find(quantity)
        block = Reservation(
            kind=kind,
            network=network,
            metro=metro,
            facility=facility,
            tags=tags,
            created=now,
            visible_from=now + self._fleet.knobs.wait("list_lag"),
        )
        self._all[block.id] = block
        return block

    def drop(self, block: Reservation) -> None:
        """Release a block."""
        del self._all[block.id]
        self.released.append(block)

    def find(self, identifier: str) -> Reservation | Assignment | None:
        """Return what has this id."""
        for block in self.all():
            if block.id == identifier:
                return block
            for one in block.assignments:
                if one.id == identifier:
                    return one
        return None

    def home(self, network: Network) -> Reservation | None:
        """Return the block that a network lies in."""
        return next((one for one in self.all() if one.network and _within(network, one.network)), None)

    def of_device(self, device: str) -> list[Assignment]:
        """Return what goes to a device."""
        return [one for block in self.all() for one in block.assignments if one.device == device]

    def _find(self, quantity: int) -> Network | None:
        bits = 32 - (quantity - 1).bit_length()
        held = [one.network for one in self._all.values() if one.network is not None]
        parts = (part for pool in _POOLS for part in pool.subnets(new_prefix=bits))
        return next((part for part in parts if not any(_overlap(part, one) for one in held)), None)

    def _give_v6(self, metro: str) -> None:
        if any(one.kind == "public_ipv6" and one.metro == metro for one in self._all.values()):
            return
        number = sorted(catalogue.METROS).index(metro)
        network = next(islice(_V6.subnets(new_prefix=56), number, None))
        now = self._fleet.now()
        block = Reservation(
            kind="public_ipv6", network=network, metro=metro, facility="", created=now, visible_from=now
        )
        self._all[block.id] = block

    def _lives(self, device: str) -> bool:
        unit = self._fleet.find(device)
        return unit is not None and unit.state is not State.GONE

    # --- how the API shows them ---

    def view(self, block: Reservation, *, whole: bool) -> dict[str, object]:
        """Describe a block; ``whole`` writes its assignments out."""
        given = [self.given(one) if whole else {"href": f"/ips/{one.id}"} for one in block.assignments]
        return {
            "id": block.id,
            "type": block.kind,
            "state": "created" if block.network else "pending",
            "tags": list(block.tags),
            "details": block.details,
            "metro": catalogue.metro_view(block.metro) if block.metro else None,
            "facility": catalogue.facility_view(block.facility) if block.facility else None,
            "addon": True,
            "bill": block.kind != "public_ipv6",
            "management": block.kind == "public_ipv6",
            "manageable": True,
            "enabled": block.network is not None,
            "public": True,
            "global_ip": block.kind == "global_ipv4",
            "created_at": timestamp(block.created),
            "assignments": given,
            "available": None,
            "project": {"href": f"/projects/{self._project}"},
            "href": f"/ips/{block.id}",
            **(_shown(block.network) if block.network else {"network": None, "cidr": None, "address_family": 4}),
        }

    def given(self, one: Assignment) -> dict[str, object]:
        """Describe an assignment."""
        home = self.home(one.network)
        return {
            "id": one.id,
            "public": True,
            "management": False,
            "manageable": True,
            "enabled": True,
            "global_ip": None,
            "tags": [],
            "created_at": timestamp(one.created),
            "assigned_to": {"href": f"/devices/{one.device}"},
            "parent_block": {"href": f"/ips/{home.id}"} if home else None,
            "href": f"/ips/{one.id}",
            **_shown(one.network),
        }


def _shown(network: Network) -> dict[str, object]:
    return {
        "address": str(network.network_address),
        "network": str(network.network_address),
        "netmask": str(network.netmask),
        "gateway": str(network.network_address),
        "cidr": network.prefixlen,
        "address_family": network.version,
    }


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def _within(one: Network, other: Network) -> bool:
    return _overlap(one, other) and one.prefixlen >= other.prefixlen
