"""The network interfaces of simulated instances and the elastic IPs that go to them: what they have, and their views.

Each instance has one interface. Elastic IPs come, in no order, from the networks for documentation (RFC 5737), and two
are no neighbours. Source: Amazon EC2 API reference (Address, NetworkInterface, Subnet); a default VPC has a subnet of
20 bits in each zone.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hybrid_drivers.sandbox import ec2_catalogue as catalogue
from hybrid_drivers.sandbox import ec2_views as views
from hybrid_drivers.sandbox.ec2_order import InstanceOrder, new_id
from hybrid_drivers.sandbox.ec2_wire import Failure
from hybrid_drivers.sandbox.fleet import Fleet
from hybrid_drivers.sandbox.unit import State

_POOLS = tuple(ipaddress.IPv4Network(one) for one in ("198.51.100.0/24", "203.0.113.0/24", "192.0.2.0/24"))
_OVER = (State.GONE, State.FAILED)


@dataclass(eq=False, kw_only=True)
class Elastic:
    """An elastic IP; associated while ``association`` is not empty."""

    address: str
    tags: Mapping[str, str]
    visible_from: float
    id: str = field(default_factory=lambda: new_id("eipalloc"))
    association: str = ""
    instance: str = ""
    private: str = ""

    def end(self) -> None:
        """End its association."""
        self.association = self.instance = self.private = ""


@dataclass(frozen=True)
class Subnet:
    """The default subnet of a zone."""

    id: str
    zone: str
    v4: ipaddress.IPv4Network
    v6: ipaddress.IPv6Network

    def view(self) -> dict[str, object]:
        """Describe it as DescribeSubnets does."""
        v6 = {"associationId": f"subnet-cidr-assoc-{self.id[7:]}", "ipv6CidrBlock": str(self.v6)}
        return {
            "subnetId": self.id,
            "state": "available",
            "vpcId": catalogue.VPC,
            "cidrBlock": str(self.v4),
            "availabilityZone": self.zone,
            "availableIpAddressCount": self.v4.num_addresses - 5,
            "defaultForAz": True,
            "ownerId": catalogue.ACCOUNT,
            "ipv6CidrBlockAssociationSet": [{**v6, "ipv6CidrBlockState": {"state": "associated"}}],
        }


def subnets(region: str) -> dict[str, Subnet]:
    """Return the default subnets of a region by id."""
    found = {}
    for number, zone in enumerate(catalogue.zones(region)):
        name = catalogue.default_subnet(zone)
        v4 = ipaddress.IPv4Network((f"172.31.{16 * number}.0", 20))
        found[name] = Subnet(name, zone, v4, ipaddress.IPv6Network((f"2001:db8:ec2:{number}::", 64)))
    return found


class Interfaces:
    """What the interfaces of all instances have; the caller holds a lock."""

    def __init__(self, fleet: Fleet[InstanceOrder], region: str) -> None:
        self._fleet = fleet
        self.subnets = subnets(region)
        self._elastic: dict[str, Elastic] = {}
        self._private: dict[str, list[str]] = {}
        self._v6: dict[str, list[str]] = {}

    # --- elastic IPs ---

    def elastic(self) -> Sequence[Elastic]:
        """Return every elastic IP; associations with instances that are gone have ended."""
        for one in self._elastic.values():
            if one.instance and self._unit(one.instance) is None:
                one.end()
        return list(self._elastic.values())

    def allocate(self, tags: Mapping[str, str]) -> Elastic:
        """Reserve one more. Raises: Failure."""
        quota, held = self._fleet.knobs.address_quota, {one.address for one in self._elastic.values()}
        if quota and len(held) >= quota:
            raise Failure("AddressLimitExceeded", "The maximum number of addresses has been reached.")
        address = next((one for one in _scattered() if one not in held), None)
        if address is None:
            raise Failure(
                "InsufficientAddressCapacity", "Insufficient addresses are available to satisfy your request."
            )
        made = Elastic(address=address, tags=tags, visible_from=self._fleet.now() + self._fleet.knobs.wait("list_lag"))
        self._elastic[made.id] = made
        return made

    def find(self, allocation: str) -> Elastic:
        """Return an elastic IP. Raises: Failure."""
        found = next((one for one in self.elastic() if one.id == allocation), None)
        if found is None or found.visible_from > self._fleet.now():
            raise Failure("InvalidAllocationID.NotFound", f"The allocation ID '{allocation}' does not exist")
        return found

    def release(self, one: Elastic) -> None:
        """Forget an elastic IP."""
        del self._elastic[one.id]

    # --- interfaces ---

    def instances(self) -> Iterator[views.Instance]:
        """Yield the instances that have an interface."""
        for unit in self._fleet.units():
            if unit.state not in _OVER:
                yield unit

    def of_interface(self, interface: str) -> views.Instance:
        """Return the instance of an interface. Raises: Failure."""
        found = self._unit(f"i-{interface.removeprefix('eni-')}")
        if found is None:
            text = f"The networkInterface ID '{interface}' does not exist"
            raise Failure("InvalidNetworkInterfaceID.NotFound", text)
        return found

    def private(self, instance: str) -> list[str]:
        """Return the secondary private addresses of an instance, to be changed."""
        return self._private.setdefault(instance, [])

    def v6(self, instance: str) -> list[str]:
        """Return the IPv6 addresses of an instance, to be changed."""
        return self._v6.setdefault(instance, [])

    def holder(self, address: str) -> views.Instance | None:
        """Return the instance that has a private or IPv6 address."""
        for unit in self.instances():
            if address in (views.private_address(unit), *self.private(unit.id), *self.v6(unit.id)):
                return unit
        return None

    def subnet_of(self, unit: views.Instance) -> Subnet:
        """Return the subnet an instance is in; one the simulator does not know is that of the zone."""
        known = self.subnets.get(unit.order.subnet)
        return known or next(one for one in self.subnets.values() if one.zone == unit.order.place)

    def _unit(self, instance: str) -> views.Instance | None:
        unit = self._fleet.find(instance)
        return None if unit is None or unit.state in _OVER else unit

    # --- how the API shows them ---

    def view(self, unit: views.Instance) -> dict[str, object]:
        """Describe the interface of an instance."""
        here = {one.private: one for one in self.elastic() if one.instance == unit.id}
        first = views.private_address(unit) or ""
        rows = [
            {"privateIpAddress": one, "primary": one == first, "association": _association(here.get(one))}
            for one in (first, *self.private(unit.id))
        ]
        interface = interface_of(unit.id)
        return {
            "networkInterfaceId": interface,
            "subnetId": unit.order.subnet,
            "vpcId": catalogue.VPC,
            "availabilityZone": unit.order.place,
            "ownerId": catalogue.ACCOUNT,
            "status": "in-use",
            "sourceDestCheck": True,
            "privateIpAddress": first,
            "privateIpAddressesSet": rows,
            "ipv6AddressesSet": [{"ipv6Address": one} for one in self.v6(unit.id)],
            "attachment": {
                "attachmentId": f"eni-attach-{interface[4:]}",
                "instanceId": unit.id,
                "instanceOwnerId": catalogue.ACCOUNT,
                "deviceIndex": 0,
                "status": "attached",
                "deleteOnTermination": True,
            },
            "groupSet": [{"groupId": one, "groupName": one} for one in unit.order.groups],
        }


def address_view(one: Elastic) -> dict[str, object]:
    """Describe an elastic IP as DescribeAddresses does."""
    return {
        "allocationId": one.id,
        "publicIp": one.address,
        "domain": "vpc",
        "publicIpv4Pool": "amazon",
        "associationId": one.association or None,
        "instanceId": one.instance or None,
        "networkInterfaceId": interface_of(one.instance) if one.instance else None,
        "networkInterfaceOwnerId": catalogue.ACCOUNT if one.instance else None,
        "privateIpAddress": one.private or None,
        "tagSet": views.tags(one.tags),
    }


def interface_of(instance: str) -> str:
    """Return the id of an instance's interface."""
    return f"eni-{instance.removeprefix('i-')}"


def _association(one: Elastic | None) -> dict[str, str] | None:
    if one is None:
        return None
    return {
        "publicIp": one.address,
        "ipOwnerId": catalogue.ACCOUNT,
        "allocationId": one.id,
        "associationId": one.association,
    }


def _scattered() -> Iterator[str]:
    """Yield the addresses of the pools, neighbours far apart."""
    for step in range(256):
        for pool in _POOLS:
            yield str(pool[step * 89 % 256])
