"""Public addresses of the packet driver: reservations of a project, assigned to its devices.

Sources: the published OpenAPI 1.0.0 description, and the provider's pages on reserved addresses: IPv4 blocks of 1 to
256 addresses, a power of two, in a metro (``global_ipv4``: in none); every address of a block can be used. IPv6 is not
sold: a project has a network of 56 bits in each metro from its first device there on, which cannot be asked for (the
provider's Terraform documentation of reserved blocks), and any part of it can be assigned to a device.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Mapping, Sequence

from hybrid_drivers.errors import (
    AddressGone,
    CapacityExhausted,
    ConfigError,
    OutcomeUnknown,
    PermanentError,
    QuotaExceeded,
    WrongState,
)
from hybrid_drivers.model_addresses import Assignment, Block, ReserveRequest
from hybrid_drivers.providers import tagging
from hybrid_drivers.providers.base import ProviderEntry
from hybrid_drivers.providers.packet import ips
from hybrid_drivers.providers.packet.client import PacketClient

LARGEST = 256  # addresses in a reservation (the provider's page "Reserved Public IPv4 Addresses")
SOLD = ("public_ipv4", "global_ipv4")
_GIVEN = "public_ipv6"
_NETWORK = 64  # bits: one IPv6 network for each range


class PacketAddresses:
    """The capability; the provider class has it."""

    translates = False
    one_by_one = False
    entry: ProviderEntry
    _client: PacketClient
    _ips: ips.PacketIps

    def reserve(self, request: ReserveRequest) -> Block:
        """POST a reservation with its tags, or choose a part of the project's IPv6 network."""
        return self._choose(request) if request.family == 6 else self._buy(request)

    def _buy(self, request: ReserveRequest) -> Block:
        kind = request.attributes.get("PACKET_IP_TYPE") or SOLD[0]
        if kind not in SOLD:
            raise ConfigError(f"PACKET_IP_TYPE must be {' or '.join(SOLD)}, not '{kind[:40]}'")
        if not 1 <= request.size <= LARGEST:
            raise ConfigError(f"SIZE must be from 1 to {LARGEST} at this provider, not {request.size}")
        pairs = tagging.address_pairs(request.tags)
        body = {
            "type": kind,
            "quantity": 1 << (request.size - 1).bit_length(),
            "tags": [f"{key}={value}" for key, value in pairs.items()],
            "fail_on_approval_required": True,
            "details": "address range of OpenNebula",
            **({} if kind == "global_ipv4" else self._place(request.attributes)),
        }
        row = self._ips.reserve(body, f"reserving {request.size} addresses")
        block = ips.block_of(row)
        if not block.network:  # over quota, and the API did not fail as it was told to
            with contextlib.suppress(AddressGone):
                self._ips.delete(block.id, f"withdrawing the request {block.id}")
            raise QuotaExceeded(
                f"packet {self.entry.name}: reserving {request.size} addresses: the request is {row.get('state')}, as "
                "it is over the project's limit of addresses; ask the provider to raise it, or delete address ranges"
            )
        return block

    def _choose(self, request: ReserveRequest) -> Block:
        place = self._place(request.attributes)
        (kind, code), *_ = place.items()
        taken = [ipaddress.ip_network(one) for one in request.taken]
        mine = [one for one in self._ips.reservations() if one.get("type") == _GIVEN]
        there = [one for one in mine if ips.place_of(one, kind) == code]
        if not there:
            raise PermanentError(
                f"packet {self.entry.name}: the project has no IPv6 network in {kind} {code}: the provider gives one "
                "with the first device there, so make a host first"
            )
        for row in there:
            for text in self._ips.available(str(row["id"]), _NETWORK):
                if not any(ipaddress.ip_network(text).overlaps(one) for one in taken):
                    return Block(id=str(row["id"]), network=text, family=6, place=code, shared=True)
        raise CapacityExhausted(f"packet {self.entry.name}: every IPv6 network of {kind} {code} is in use")

    def _place(self, attributes: Mapping[str, str]) -> dict[str, str]:
        found = {key: attributes[key.upper()].strip() for key in ("metro", "facility") if attributes.get(key.upper())}
        if not found:
            raise ConfigError('the address range needs METRO or FACILITY: where the hosts are, like METRO="am"')
        key = "metro" if "metro" in found else "facility"
        if "," in found[key]:
            raise ConfigError(f"{key.upper()} of an address range must be one place, not '{found[key][:60]}'")
        return {key: found[key].lower()}

    def blocks(self, owner: str) -> Sequence[Block]:
        """List the project's reservations with this owner's tag."""
        found = [ips.block_of(row) for row in self._ips.reservations() if row.get("type") != _GIVEN]
        return [one for one in found if one.tags and one.tags.owner == owner]

    def block(self, block_id: str) -> Block:
        """GET the reservation; before it is called gone, the token and the project are tried."""
        return ips.block_of(self._row(block_id))

    def release(self, block_id: str) -> None:
        """DELETE the reservation, its assignments first when the API asks for that; IPv6 stays the project's."""
        try:
            row = self._row(block_id)
            if row.get("address_family") == 6:
                return
            try:
                self._ips.delete(block_id, f"releasing address block {block_id}")
            except WrongState:
                for address, one in ips.assignments_of(row).items():
                    self._drop(one.id, address)
                self._ips.delete(block_id, f"releasing address block {block_id}")
        except AddressGone:
            return

    def inside(self, attributes: Mapping[str, str]) -> tuple[str, Sequence[str]]:
        """Wish for nothing: there are no inside addresses."""
        del attributes
        return "", ()

    def assignment(self, address: str, block_id: str) -> Assignment | None:
        """GET the reservation with its assignments."""
        return ips.assignments_of(self._row(block_id)).get(str(ipaddress.ip_address(address)))

    def assignments(self, block_id: str) -> Mapping[str, Assignment]:
        """GET the reservation with its assignments."""
        return ips.assignments_of(self._row(block_id))

    def assign(self, address: str, block_id: str, machine_id: str, *, private: str | None = None) -> Assignment:
        """POST the address to the device, after taking it from another; what was lost on the way is looked up."""
        del private  # the device gets the address itself
        now = self.assignment(address, block_id)
        if now is not None and now.machine_id == machine_id:
            return now
        if now is not None:
            self._drop(now.id, address)
        bits = ipaddress.ip_address(address).max_prefixlen
        try:
            return ips.assignment_of(self._ips.assign(machine_id, f"{address}/{bits}"))
        except (OutcomeUnknown, WrongState):
            made = self.assignment(address, block_id)
            if made is not None and made.machine_id == machine_id:
                return made
            raise

    def unassign(self, address: str, block_id: str) -> None:
        """DELETE the assignment."""
        try:
            now = self.assignment(address, block_id)
        except AddressGone:
            return
        if now is not None:
            self._drop(now.id, address)

    def _drop(self, assignment_id: str, address: str) -> None:
        with contextlib.suppress(AddressGone):
            self._ips.delete(assignment_id, f"taking {address} from its device")

    def _row(self, block_id: str) -> ips.Row:
        if not block_id.strip():
            raise PermanentError("an empty block id was given; name the block of addresses to act on")
        try:
            return self._ips.reservation(block_id)
        except AddressGone as exc:
            self._client.check_access()  # 403 and 404 are also what a wrong token or endpoint gets
            raise AddressGone(str(exc)) from exc
