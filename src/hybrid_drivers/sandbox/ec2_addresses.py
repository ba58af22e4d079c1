"""The address calls of the EC2 API: elastic IPs, private and IPv6 addresses of interfaces."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Mapping, Sequence
from itertools import islice

from hybrid_drivers.sandbox import ec2_select as select
from hybrid_drivers.sandbox import ec2_views as views
from hybrid_drivers.sandbox.ec2_instances import Content, LostReply
from hybrid_drivers.sandbox.ec2_interfaces import Elastic, Interfaces, address_view, interface_of
from hybrid_drivers.sandbox.ec2_order import InstanceOrder, new_id, read_tags
from hybrid_drivers.sandbox.ec2_wire import Failure, Parameters
from hybrid_drivers.sandbox.fleet import Fleet

_DONE: Content = {"return": True}


class Addresses:
    """Answers the address calls of one region; each method takes the parameters and returns the reply's content.

    What changes something raises LostReply besides Failure.
    """

    def __init__(self, fleet: Fleet[InstanceOrder], region: str) -> None:
        self._fleet = fleet
        self.lock = threading.RLock()
        self.interfaces = Interfaces(fleet, region)

    def described(self) -> list[Mapping[str, object]]:
        """Describe every elastic IP, for people and tests."""
        with self.lock:
            return [
                {
                    "id": one.id,
                    "kind": "elastic",
                    "network": f"{one.address}/32",
                    "tags": dict(one.tags),
                    "assigned": {one.address: one.instance} if one.instance else {},
                    "private": one.private,
                }
                for one in self.interfaces.elastic()
            ]

    def tag_rows(self) -> list[dict[str, str]]:
        """Return the rows of DescribeTags."""
        with self.lock:
            return [
                {"resourceId": one.id, "resourceType": "elastic-ip", **tag}
                for one in self.interfaces.elastic()
                for tag in views.tags(one.tags)
            ]

    # --- elastic IPs ---

    def allocate(self, told: Parameters) -> Content:
        """AllocateAddress."""
        with self.lock:
            one = self.interfaces.allocate(read_specified(told, "elastic-ip"))
            return self._said({"allocationId": one.id, "publicIp": one.address, "domain": "vpc"})

    def describe(self, told: Parameters) -> Content:
        """DescribeAddresses: by id, by filters; there are no pages."""
        with self.lock:
            ids = told.listed("AllocationId")
            now = self._fleet.now()
            shown = [one for one in self.interfaces.elastic() if one.visible_from <= now]
            found = [self.interfaces.find(one) for one in ids] if ids else shown
            return {"addressesSet": [address_view(one) for one in select.filtered(found, told, _filters(told))]}

    def release(self, told: Parameters) -> Content:
        """ReleaseAddress: not while it is associated."""
        with self.lock:
            one = self.interfaces.find(told.required("AllocationId"))
            if one.association:
                raise Failure("InvalidIPAddress.InUse", f"Address {one.address} is in use.")
            self.interfaces.release(one)
            return self._said(_DONE)

    def associate(self, told: Parameters) -> Content:
        """AssociateAddress: with an address that the interface has."""
        with self.lock:
            one = self.interfaces.find(told.required("AllocationId"))
            unit = self.interfaces.of_interface(told.required("NetworkInterfaceId"))
            private = told.text("PrivateIpAddress") or views.private_address(unit) or ""
            if private not in (views.private_address(unit), *self.interfaces.private(unit.id)):
                raise Failure("InvalidParameterValue", f"Private address {private} is not on the interface")
            elsewhere = one.association and (one.instance, one.private) != (unit.id, private)
            if elsewhere and not told.yes("AllowReassociation"):
                text = f"resource {one.id} is already associated with associate-id {one.association}"
                raise Failure("Resource.AlreadyAssociated", text)
            for other in self.interfaces.elastic():
                if other is not one and (other.instance, other.private) == (unit.id, private):
                    other.end()
            if elsewhere or not one.association:
                one.association = new_id("eipassoc")
            one.instance, one.private = unit.id, private
            return self._said({"return": True, "associationId": one.association})

    def disassociate(self, told: Parameters) -> Content:
        """DisassociateAddress."""
        wanted = told.required("AssociationId")
        with self.lock:
            for one in self.interfaces.elastic():
                if one.association == wanted:
                    one.end()
            return self._said(_DONE)

    # --- interfaces ---

    def describe_interfaces(self, told: Parameters) -> Content:
        """DescribeNetworkInterfaces: by filters, in pages."""
        with self.lock:
            interfaces = self.interfaces
            readers: Mapping[str, select.Reader[views.Instance]] = {
                "network-interface-id": lambda one: [interface_of(one.id)],
                "attachment.instance-id": lambda one: [one.id],
                "subnet-id": lambda one: [one.order.subnet],
                "addresses.private-ip-address": lambda one: interfaces.private(one.id),
                "ipv6-addresses.ipv6-address": lambda one: interfaces.v6(one.id),
            }
            units = select.filtered(list(interfaces.instances()), told, readers)
            some, token = select.page(units, told)
            return {"networkInterfaceSet": [interfaces.view(one) for one in some], "nextToken": token}

    def assign_private(self, told: Parameters) -> Content:
        """AssignPrivateIpAddresses: these, or so many of the subnet's free ones."""
        with self.lock:
            unit = self.interfaces.of_interface(told.required("NetworkInterfaceId"))
            wanted = told.listed("PrivateIpAddress") or self._free(
                unit, told.number("SecondaryPrivateIpAddressCount", 0)
            )
            mine = self.interfaces.private(unit.id)
            more = [one for one in wanted if one not in mine]
            self._room(unit, len(mine) + len(more))
            for one in more:
                self._take(unit, one, take=told.yes("AllowReassignment"))
            given = [{"privateIpAddress": one} for one in wanted]
            interface = interface_of(unit.id)
            return self._said({"networkInterfaceId": interface, "assignedPrivateIpAddressesSet": given, "return": True})

    def _take(self, unit: views.Instance, address: str, *, take: bool) -> None:
        if ipaddress.IPv4Address(address) not in self.interfaces.subnet_of(unit).v4:
            raise Failure("InvalidParameterValue", f"Address {address} does not fall within the subnet's address range")
        holder = self.interfaces.holder(address)
        if holder is not None:
            if not take or address not in self.interfaces.private(holder.id):
                raise Failure("InvalidParameterValue", f"Address {address} is already in use")
            self.interfaces.private(holder.id).remove(address)
        self.interfaces.private(unit.id).append(address)
        for one in self.interfaces.elastic():  # an elastic IP goes with its private address
            if one.private == address:
                one.instance = unit.id

    def _free(self, unit: views.Instance, count: int) -> list[str]:
        if not count:
            raise Failure("MissingParameter", "Either the addresses or their count must be given")
        network = self.interfaces.subnet_of(unit).v4
        hosts = map(str, islice(network, 4, network.num_addresses - 1))
        found = list(islice((one for one in hosts if self.interfaces.holder(one) is None), count))
        if len(found) < count:
            raise Failure("InsufficientFreeAddressesInSubnet", "The subnet has not enough free addresses")
        return found

    def _room(self, unit: views.Instance, secondary: int) -> None:
        most = self._fleet.knobs.addresses_each
        if most and secondary + 1 > most:
            text = f"Number of private addresses will exceed limit {most} of {unit.order.plan}."
            raise Failure("PrivateIpAddressLimitExceeded", text)

    def unassign_private(self, told: Parameters) -> Content:
        """UnassignPrivateIpAddresses: an elastic IP that was at one loses its association."""
        with self.lock:
            unit = self.interfaces.of_interface(told.required("NetworkInterfaceId"))
            for one in told.listed("PrivateIpAddress"):
                if one not in self.interfaces.private(unit.id):
                    text = f"Some of the specified addresses are not assigned to interface: [{one}]"
                    raise Failure("InvalidParameterValue", text)
                self.interfaces.private(unit.id).remove(one)
                for elastic in self.interfaces.elastic():
                    if (elastic.instance, elastic.private) == (unit.id, one):
                        elastic.end()
            return self._said(_DONE)

    def assign_v6(self, told: Parameters) -> Content:
        """AssignIpv6Addresses: these."""
        with self.lock:
            unit = self.interfaces.of_interface(told.required("NetworkInterfaceId"))
            wanted = told.listed("Ipv6Addresses")
            for one in wanted:
                if ipaddress.IPv6Address(one) not in self.interfaces.subnet_of(unit).v6:
                    raise Failure("InvalidParameterValue", f"Address {one} is not in the subnet's network")
                if self.interfaces.holder(one) not in (None, unit):
                    raise Failure("InvalidParameterValue", f"Address {one} is already in use")
            held = self.interfaces.v6(unit.id)
            held += [one for one in wanted if one not in held]
            return self._said({"networkInterfaceId": interface_of(unit.id), "assignedIpv6Addresses": wanted})

    def unassign_v6(self, told: Parameters) -> Content:
        """UnassignIpv6Addresses."""
        with self.lock:
            unit = self.interfaces.of_interface(told.required("NetworkInterfaceId"))
            gone = told.listed("Ipv6Addresses")
            held = self.interfaces.v6(unit.id)
            if missing := [one for one in gone if one not in held]:
                raise Failure("InvalidParameterValue", f"Address {missing[0]} is not assigned to the interface")
            held[:] = [one for one in held if one not in gone]
            return self._said({"networkInterfaceId": interface_of(unit.id), "unassignedIpv6Addresses": gone})

    def _said(self, content: Content) -> Content:
        if self._fleet.knobs.strikes("lost_address_reply"):
            raise LostReply
        return content


def read_specified(told: Parameters, kind: str) -> dict[str, str]:
    """Read the tags of ``TagSpecification.N`` for a kind of resource. Raises: Failure."""
    tags: dict[str, str] = {}
    for group in told.groups("TagSpecification"):
        if group.text("ResourceType") == kind:
            tags.update(read_tags(group))
    return tags


def _filters(told: Parameters) -> Mapping[str, select.Reader[Elastic]]:
    known: dict[str, select.Reader[Elastic]] = {
        "allocation-id": lambda one: [one.id],
        "association-id": lambda one: [one.association],
        "domain": lambda _: ["vpc"],
        "instance-id": lambda one: [one.instance],
        "private-ip-address": lambda one: [one.private],
        "public-ip": lambda one: [one.address],
        "tag-key": lambda one: list(one.tags),
    }
    names = [group.text("Name") for group in told.groups("Filter")]
    return {**known, **{name: _tag(name[4:]) for name in names if name.startswith("tag:")}}


def _tag(key: str) -> select.Reader[Elastic]:
    def read(one: Elastic) -> Sequence[str]:
        return [one.tags[key]] if key in one.tags else []

    return read
