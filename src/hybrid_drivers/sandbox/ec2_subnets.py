"""The subnet calls of the EC2 API: describe them, and reserve parts of their IPv6 networks."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from hybrid_drivers.sandbox import ec2_catalogue as catalogue
from hybrid_drivers.sandbox import ec2_select as select
from hybrid_drivers.sandbox import ec2_views as views
from hybrid_drivers.sandbox.ec2_addresses import Addresses, read_specified
from hybrid_drivers.sandbox.ec2_instances import Content, LostReply
from hybrid_drivers.sandbox.ec2_interfaces import Subnet
from hybrid_drivers.sandbox.ec2_order import InstanceOrder, new_id
from hybrid_drivers.sandbox.ec2_wire import Failure, Parameters
from hybrid_drivers.sandbox.fleet import Fleet


@dataclass(frozen=True, kw_only=True)
class Reserved:
    """A part of a subnet's IPv6 network that the API gives to nobody by itself."""

    subnet: str
    network: ipaddress.IPv6Network
    tags: Mapping[str, str]
    id: str = field(default_factory=lambda: new_id("scr"))

    def view(self) -> dict[str, object]:
        """Describe it as GetSubnetCidrReservations does."""
        return {
            "subnetCidrReservationId": self.id,
            "subnetId": self.subnet,
            "cidr": str(self.network),
            "reservationType": "explicit",
            "ownerId": catalogue.ACCOUNT,
            "tagSet": views.tags(self.tags),
        }


class Subnets:
    """Answers the subnet calls of one region; each method takes the parameters and returns the reply's content."""

    def __init__(self, fleet: Fleet[InstanceOrder], addresses: Addresses) -> None:
        self._fleet = fleet
        self._lock, self._subnets = addresses.lock, addresses.interfaces.subnets
        self._reserved: dict[str, Reserved] = {}

    def described(self) -> list[Mapping[str, object]]:
        """Describe every reservation, for people and tests."""
        with self._lock:
            return [
                {"id": one.id, "kind": "subnet", "network": str(one.network), "tags": dict(one.tags), "assigned": {}}
                for one in self._reserved.values()
            ]

    def tag_rows(self) -> list[dict[str, str]]:
        """Return the rows of DescribeTags."""
        with self._lock:
            return [
                {"resourceId": one.id, "resourceType": "subnet-cidr-reservation", **tag}
                for one in self._reserved.values()
                for tag in views.tags(one.tags)
            ]

    def describe(self, told: Parameters) -> Content:
        """DescribeSubnets: by id, or all."""
        ids = told.listed("SubnetId") or list(self._subnets)
        some, token = select.page([self._find(one) for one in ids], told)
        return {"subnetSet": [one.view() for one in some], "nextToken": token}

    def reserve(self, told: Parameters) -> Content:
        """CreateSubnetCidrReservation, of IPv6 only; raises LostReply besides Failure."""
        subnet = self._find(told.required("SubnetId"))
        try:
            network = ipaddress.IPv6Network(told.required("Cidr"))
        except ValueError:
            raise Failure("InvalidParameterValue", "Value for parameter cidr is invalid.") from None
        if not network.subnet_of(subnet.v6):
            raise Failure("InvalidParameterValue", f"{network} is not within the subnet")
        with self._lock:
            if any(one.network.overlaps(network) for one in self._reserved.values()):
                raise Failure("InvalidSubnetCidrReservation.Conflict", f"{network} overlaps with another reservation")
            tags = read_specified(told, "subnet-cidr-reservation")
            made = Reserved(subnet=subnet.id, network=network, tags=tags)
            self._reserved[made.id] = made
        if self._fleet.knobs.strikes("lost_address_reply"):
            raise LostReply
        return {"subnetCidrReservation": made.view()}

    def reservations(self, told: Parameters) -> Content:
        """GetSubnetCidrReservations."""
        subnet = self._find(told.required("SubnetId"))
        with self._lock:
            found = [one.view() for one in self._reserved.values() if one.subnet == subnet.id]
        return {"subnetIpv4CidrReservationSet": [], "subnetIpv6CidrReservationSet": found}

    def withdraw(self, told: Parameters) -> Content:
        """DeleteSubnetCidrReservation."""
        wanted = told.required("SubnetCidrReservationId")
        with self._lock:
            found = self._reserved.pop(wanted, None)
        if found is None:
            raise Failure("InvalidSubnetCidrReservationID.NotFound", f"The reservation '{wanted}' does not exist")
        return {"deletedSubnetCidrReservation": found.view()}

    def _find(self, subnet: str) -> Subnet:
        if subnet not in self._subnets:
            raise Failure("InvalidSubnetID.NotFound", f"The subnet ID '{subnet}' does not exist")
        return self._subnets[subnet]
