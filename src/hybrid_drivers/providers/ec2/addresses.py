"""Public addresses of the ec2 driver.

IPv4: elastic IPs, one a block. A machine gets one's traffic at a secondary private address of its first interface, so
virtual machines have inside addresses; which private address that is comes from the subnet's free ones, unless the
inside address itself can be had. IPv6: addresses of the subnet, part of which is reserved for a range
(``explicit`` CIDR reservation); nothing is exchanged on the way. Source: see ``ips.py``.
"""

from __future__ import annotations

import contextlib
import ipaddress
import threading
from collections.abc import Mapping, Sequence

from hybrid_drivers.errors import (
    AddressGone,
    ConfigError,
    CredentialsRejected,
    PermanentError,
    ProviderError,
    Unsupported,
    WrongState,
)
from hybrid_drivers.model_addresses import Assignment, Block, ReserveRequest
from hybrid_drivers.network.addresses import free_network
from hybrid_drivers.providers import tagging
from hybrid_drivers.providers.base import ProviderEntry
from hybrid_drivers.providers.ec2 import states
from hybrid_drivers.providers.ec2.client import Ec2Client
from hybrid_drivers.providers.ec2.ips import Ec2Ips, Row

_NETWORK, _SUBNET = "one-network", "one-subnet"  # tags of a reservation in a subnet: lists of tags are all there is
_LARGEST6 = 1 << 48  # addresses of a reservation in a subnet's 64 bits
_OWN6 = 1 << 16  # addresses at a subnet's beginning that are left to the API, which takes the first four for itself


class Ec2Addresses:
    """The capability; the provider class has it."""

    translates = True
    one_by_one = True
    entry: ProviderEntry
    _client: Ec2Client
    _ips: Ec2Ips
    _spots: threading.RLock

    # --- reserving and releasing ---

    def reserve(self, request: ReserveRequest) -> Block:
        """AllocateAddress, or a reservation in the subnet's IPv6 network."""
        if request.family == 6:
            return self._reserve6(request)
        if request.size != 1:
            raise Unsupported(f"ec2 {self.entry.name}: elastic IPs are reserved one by one")
        row = self._ips.allocate(tagging.address_pairs(request.tags))
        return Block(
            id=str(row["AllocationId"]),
            network=f"{row['PublicIp']}/32",
            family=4,
            tags=request.tags,
            place=self.entry.text("region"),
        )

    def _reserve6(self, request: ReserveRequest) -> Block:
        subnet = request.attributes.get("SUBNETID", "").strip()
        if not subnet or "," in subnet:
            raise ConfigError("an IPv6 range needs SUBNETID: the one subnet the hosts are in")
        network = _network6(self._ips.subnet(subnet))
        if network is None:
            raise Unsupported(f"ec2 {self.entry.name}: {subnet} has no IPv6 network: give it one first")
        if request.size == 0:
            return Block(id=subnet, network=str(network), family=6, place=subnet, shared=True)
        if request.size > _LARGEST6:
            raise ConfigError(f"SIZE of an IPv6 range must be {_LARGEST6} at most, not {request.size}")
        taken = [*_reserved(self._ips.reservations(subnet)), *_in_use(self._ips.of_subnet(subnet))]
        others = [ipaddress.IPv6Network(one) for one in request.taken]
        taken += [one for one in others if one.prefixlen > network.prefixlen]  # MACs make addresses within all of it
        part = free_network(network, 128 - (request.size - 1).bit_length(), taken, _OWN6)
        if part is None:
            raise PermanentError(f"ec2 {self.entry.name}: {subnet} has no room for {request.size} IPv6 addresses")
        pairs = {**tagging.address_pairs(request.tags), _NETWORK: str(part), _SUBNET: subnet}
        made = self._ips.reserve(subnet, str(part), pairs)
        return Block(id=made, network=str(part), family=6, tags=request.tags, place=subnet)

    def blocks(self, owner: str) -> Sequence[Block]:
        """List elastic IPs and reservations in subnets with this owner's tag."""
        found = [self._elastic(row) for row in self._ips.addresses(owner)]
        found += [_reservation(key, pairs) for key, pairs in self._ips.reservation_tags().items()]
        return [one for one in found if one.tags and one.tags.owner == owner]

    def block(self, block_id: str) -> Block:
        """Describe one block, of whichever kind its id is."""
        if block_id.startswith("scr-"):
            pairs = self._ips.reservation_tags().get(block_id)
            if pairs is None:
                raise AddressGone(f"ec2 {self.entry.name}: there is no reservation {block_id}")
            return _reservation(block_id, pairs)
        if block_id.startswith("subnet-"):
            network = _network6(self._ips.subnet(block_id))
            return Block(id=block_id, network=str(network or ""), family=6, place=block_id, shared=True)
        return self._elastic(self._ips.address(_checked(block_id)))

    def release(self, block_id: str) -> None:
        """Release it, after taking it from its machine; a subnet's own network stays.

        ReleaseAddress answers AuthFailure for an address that was released and is somebody else's by now.
        """
        if block_id.startswith("subnet-"):
            return
        try:
            if block_id.startswith("scr-"):
                self._ips.withdraw(block_id)
                return
            try:
                self._ips.release(_checked(block_id))
            except WrongState:
                self.unassign("", block_id)
                self._ips.release(block_id)
        except AddressGone:
            return
        except CredentialsRejected:
            with contextlib.suppress(AddressGone):
                self._ips.address(block_id)  # raises another error when it is the credentials that are wrong
                raise

    def _elastic(self, row: Row) -> Block:
        return Block(
            id=str(row.get("AllocationId") or ""),
            network=f"{row.get('PublicIp')}/32",
            family=4,
            tags=tagging.address_tags(states.pairs(row.get("Tags"))),
            place=self.entry.text("region"),
        )

    def inside(self, attributes: Mapping[str, str]) -> tuple[str, Sequence[str]]:
        """Wish for addresses of the subnet, when one is named: then they need no exchange on the machine either.

        The first four and the last of a subnet are Amazon's own.
        """
        subnet = attributes.get("SUBNETID", "").strip()
        if not subnet or "," in subnet:
            return "", ()
        network = ipaddress.IPv4Network(self._ips.subnet(subnet)["CidrBlock"])
        rows = [one for row in self._ips.of_subnet(subnet) for one in row.get("PrivateIpAddresses") or []]
        own = [str(network[number]) for number in (0, 1, 2, 3, -1)]
        return str(network), [*own, *(str(one["PrivateIpAddress"]) for one in rows)]

    # --- assigning ---

    def assignment(self, address: str, block_id: str) -> Assignment | None:
        """Look where the elastic IP is associated, or which interface has the IPv6 address."""
        if _is6(address):
            row = self._ips.with_ipv6(address)
            return _of_interface(row, address) if row else None
        row = self._ips.address(_checked(block_id))
        if not row.get("AssociationId"):
            return None
        return Assignment(
            id=str(row["AssociationId"]),
            machine_id=str(row.get("InstanceId") or ""),
            private=str(row.get("PrivateIpAddress") or ""),
        )

    def assignments(self, block_id: str) -> Mapping[str, Assignment]:
        """Look where the elastic IP is associated, or which IPv6 addresses interfaces of the subnet have."""
        block = self.block(block_id)
        if block.family == 4:
            found = self.assignment(block.first, block_id)
            return {block.first: found} if found else {}
        network = ipaddress.ip_network(block.network) if block.network else None
        return {
            address: _of_interface(row, address)
            for row in self._ips.of_subnet(block.place)
            for address in (str(one["Ipv6Address"]) for one in row.get("Ipv6Addresses") or [])
            if network and ipaddress.ip_address(address) in network
        }

    def assign(self, address: str, block_id: str, machine_id: str, *, private: str | None = None) -> Assignment:
        """Associate the elastic IP with a private address of the machine's first interface; undo on failure."""
        with self._spots:
            return self._assign6(address, machine_id) if _is6(address) else self._assign4(block_id, machine_id, private)

    def _assign4(self, block_id: str, machine_id: str, private: str | None) -> Assignment:
        before = self._ips.address(_checked(block_id))
        interface = self._ips.primary_interface(machine_id)
        here = str(interface["NetworkInterfaceId"])
        if before.get("NetworkInterfaceId") == here and before.get("AssociationId"):
            at = str(before.get("PrivateIpAddress") or "")
            return Assignment(id=str(before["AssociationId"]), machine_id=machine_id, private=at)
        spot, added = self._private(interface, private, str(before.get("PrivateIpAddress") or ""))
        try:
            made = self._ips.associate(block_id, here, spot)
        except ProviderError:
            if added:
                with contextlib.suppress(ProviderError):
                    self._ips.drop_private(here, spot)
            raise
        self._leave(before, here, spot)
        return Assignment(id=made, machine_id=machine_id, private=spot)

    def _private(self, interface: Row, wish: str | None, before: str) -> tuple[str, bool]:
        """Return a secondary address of the interface that no elastic IP has, and whether it was added for this.

        The wish may be there already: an earlier call left it behind. Any other one may be the operator's own, so it is
        never taken; what was added in a call whose answer was lost stays unused until the machine goes.
        """
        here, rows = str(interface["NetworkInterfaceId"]), interface.get("PrivateIpAddresses") or []
        spare = {str(one["PrivateIpAddress"]) for one in rows if not one.get("Primary") and not one.get("Association")}
        if wish and wish in spare:
            return wish, False
        if wish:
            try:
                return self._ips.add_private(here, wish, take=wish == before), True
            except (PermanentError, WrongState) as exc:  # another subnet's, or somebody has it
                if isinstance(exc, CredentialsRejected):
                    raise
        return self._ips.add_private(here, None), True

    def _leave(self, before: Row, here: str, spot: str) -> None:
        """Take the private address from the machine that had the elastic IP before."""
        old, private = before.get("NetworkInterfaceId"), str(before.get("PrivateIpAddress") or "")
        if old and private and (old, private) != (here, spot) and private != spot:
            self._drop_private(str(old), private)

    def _drop_private(self, interface: str, private: str) -> None:
        """Take a secondary address away; the first address of an interface and what is gone are left as they are."""
        try:
            self._ips.drop_private(interface, private)
        except PermanentError as exc:
            if isinstance(exc, CredentialsRejected):
                raise

    def _assign6(self, address: str, machine_id: str) -> Assignment:
        here = self._ips.primary_interface(machine_id)
        now = self._ips.with_ipv6(address)
        if now is not None and now["NetworkInterfaceId"] == here["NetworkInterfaceId"]:
            return _of_interface(now, address)
        if now is not None:
            self._ips.drop_ipv6(str(now["NetworkInterfaceId"]), address)
        self._ips.add_ipv6(str(here["NetworkInterfaceId"]), address)
        return _of_interface(here, address)

    def unassign(self, address: str, block_id: str) -> None:
        """Disassociate the elastic IP and take its private address from the interface, or the IPv6 address."""
        with self._spots:
            self._unassign(address, block_id)

    def _unassign(self, address: str, block_id: str) -> None:
        if _is6(address):
            row = self._ips.with_ipv6(address)
            if row is not None:
                self._ips.drop_ipv6(str(row["NetworkInterfaceId"]), address)
            return
        try:
            row = self._ips.address(_checked(block_id))
        except AddressGone:
            return
        if row.get("AssociationId"):
            self._ips.disassociate(str(row["AssociationId"]))
        if row.get("NetworkInterfaceId") and row.get("PrivateIpAddress"):
            self._drop_private(str(row["NetworkInterfaceId"]), str(row["PrivateIpAddress"]))


def _checked(block_id: str) -> str:
    if not block_id.strip():
        raise PermanentError("an empty block id was given; name the block of addresses to act on")
    return block_id


def _is6(address: str) -> bool:
    return ":" in address


def _reservation(block_id: str, pairs: Mapping[str, str]) -> Block:
    return Block(
        id=block_id,
        network=pairs.get(_NETWORK, ""),
        family=6,
        tags=tagging.address_tags(pairs),
        place=pairs.get(_SUBNET, ""),
    )


def _of_interface(row: Row, address: str) -> Assignment:
    instance = str((row.get("Attachment") or {}).get("InstanceId") or "")
    return Assignment(id=f"{row['NetworkInterfaceId']}/{address}", machine_id=instance)


def _network6(subnet: Row) -> ipaddress.IPv6Network | None:
    """Return the IPv6 network of a subnet, None when it has none."""
    for one in subnet.get("Ipv6CidrBlockAssociationSet") or []:
        if (one.get("Ipv6CidrBlockState") or {}).get("State") == "associated":
            return ipaddress.IPv6Network(one["Ipv6CidrBlock"])
    return None


def _reserved(rows: Sequence[Row]) -> list[ipaddress.IPv6Network]:
    return [ipaddress.IPv6Network(row["Cidr"]) for row in rows]


def _in_use(interfaces: Sequence[Row]) -> list[ipaddress.IPv6Network]:
    rows = [one for interface in interfaces for one in interface.get("Ipv6Addresses") or []]
    return [ipaddress.IPv6Network(one["Ipv6Address"]) for one in rows]
