"""The address calls of EC2 that we use, one method each, and nothing but the wire.

Source: the EC2 API reference, as botocore's service model has it: an elastic IP is tagged in AllocateAddress itself
(TagSpecifications, resource type ``elastic-ip``); "when you move a secondary private IP address to another network
interface, any Elastic IP address that is associated with the IP address is also moved" (AssignPrivateIpAddresses);
AssociateAddress and DisassociateAddress are idempotent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hybrid_drivers.errors import AddressGone, MachineGone, OutcomeUnknown, TransientError
from hybrid_drivers.providers import tagging
from hybrid_drivers.providers.ec2.client import Ec2Client

Row = Mapping[str, Any]
PAGE = 1000  # interfaces at once
_RESERVATION = "subnet-cidr-reservation"


class Ec2Ips:
    """The addresses of one account in one region."""

    def __init__(self, client: Ec2Client) -> None:
        self._client = client

    # --- elastic IPs ---

    def allocate(self, pairs: Mapping[str, str]) -> Row:
        """AllocateAddress with its tags. Raises: OutcomeUnknown."""
        what = "reserving an elastic IP"
        tags = _tags("elastic-ip", pairs)
        row = self._client.change("allocate_address", what, lost=OutcomeUnknown, Domain="vpc", TagSpecifications=tags)
        if not row.get("AllocationId") or not row.get("PublicIp"):
            raise OutcomeUnknown(f"{what}: the answer names no address; it must be looked up")
        return dict(row)

    def address(self, allocation: str) -> Row:
        """DescribeAddresses of one. Raises: AddressGone."""
        what = f"looking at {allocation}"
        rows = self._client.read("describe_addresses", what, AllocationIds=[allocation]).get("Addresses") or []
        if not rows:
            raise AddressGone(f"{what}: there is none")
        return dict(rows[0])

    def addresses(self, owner: str) -> list[Row]:
        """DescribeAddresses of all with the owner's tag; the API has no pages for them."""
        filters = [{"Name": f"tag:{tagging.OWNER}", "Values": [owner]}]
        return list(
            self._client.read("describe_addresses", "listing elastic IPs", Filters=filters).get("Addresses") or []
        )

    def release(self, allocation: str) -> None:
        """ReleaseAddress."""
        self._client.change("release_address", f"releasing {allocation}", AllocationId=allocation)

    def associate(self, allocation: str, interface: str, private: str) -> str:
        """AssociateAddress, taking it from wherever it is; return the id of the association."""
        row = self._client.change(
            "associate_address",
            f"associating {allocation} with {interface}",
            AllocationId=allocation,
            NetworkInterfaceId=interface,
            PrivateIpAddress=private,
            AllowReassociation=True,
        )
        return str(row.get("AssociationId") or "")

    def disassociate(self, association: str) -> None:
        """DisassociateAddress."""
        self._client.change("disassociate_address", f"ending {association}", AssociationId=association)

    # --- addresses of network interfaces ---

    def primary_interface(self, instance: str) -> Row:
        """DescribeNetworkInterfaces: the first interface of an instance.

        Raises:
            MachineGone: there is no such instance (any more).
        """
        rows = self._interfaces(f"looking at the interfaces of {instance}", {"attachment.instance-id": instance})
        for row in rows:
            if (row.get("Attachment") or {}).get("DeviceIndex") == 0:
                return row
        if not self._client.instance(instance).state.exists:
            raise MachineGone(f"{instance} is terminated")
        raise TransientError(f"{instance} shows no network interface; it will be asked again")

    def with_ipv6(self, address: str) -> Row | None:
        """DescribeNetworkInterfaces: the one that has an IPv6 address."""
        filters = {"ipv6-addresses.ipv6-address": address}
        return next(iter(self._interfaces(f"looking for {address}", filters)), None)

    def of_subnet(self, subnet: str) -> list[Row]:
        """DescribeNetworkInterfaces: all of a subnet, over all pages."""
        return self._interfaces(f"listing the interfaces of {subnet}", {"subnet-id": subnet})

    def add_private(self, interface: str, address: str | None, *, take: bool = False) -> str:
        """AssignPrivateIpAddresses: this one, or (None) one of the subnet's free ones; return it.

        ``take``: another interface may have it.
        """
        wish: dict[str, Any] = {"PrivateIpAddresses": [address]} if address else {"SecondaryPrivateIpAddressCount": 1}
        row = self._client.change(
            "assign_private_ip_addresses",
            f"giving {interface} another private address",
            NetworkInterfaceId=interface,
            AllowReassignment=take,
            **wish,
        )
        found = [str(one.get("PrivateIpAddress")) for one in row.get("AssignedPrivateIpAddresses") or []]
        if not (address or found):
            raise TransientError(f"{interface}: the answer names no private address; it will be tried again")
        return address or found[0]

    def drop_private(self, interface: str, address: str) -> None:
        """UnassignPrivateIpAddresses."""
        self._client.change(
            "unassign_private_ip_addresses",
            f"taking {address} from {interface}",
            NetworkInterfaceId=interface,
            PrivateIpAddresses=[address],
        )

    def add_ipv6(self, interface: str, address: str) -> None:
        """AssignIpv6Addresses."""
        self._client.change(
            "assign_ipv6_addresses",
            f"giving {interface} {address}",
            NetworkInterfaceId=interface,
            Ipv6Addresses=[address],
        )

    def drop_ipv6(self, interface: str, address: str) -> None:
        """UnassignIpv6Addresses."""
        self._client.change(
            "unassign_ipv6_addresses",
            f"taking {address} from {interface}",
            NetworkInterfaceId=interface,
            Ipv6Addresses=[address],
        )

    def _interfaces(self, what: str, filters: Mapping[str, str]) -> list[Row]:
        query: dict[str, Any] = {"Filters": [{"Name": key, "Values": [value]} for key, value in filters.items()]}
        found: list[Row] = []
        token = ""
        while True:
            more = {"NextToken": token} if token else {}
            reply = self._client.read("describe_network_interfaces", what, MaxResults=PAGE, **query, **more)
            found += reply.get("NetworkInterfaces") or []
            token = reply.get("NextToken") or ""
            if not token:
                return found

    # --- subnets and what is reserved in them ---

    def subnet(self, subnet: str) -> Row:
        """DescribeSubnets of one."""
        rows = self._client.read("describe_subnets", f"looking at {subnet}", SubnetIds=[subnet]).get("Subnets") or []
        if not rows:
            raise TransientError(f"looking at {subnet}: an empty answer; it will be asked again")
        return dict(rows[0])

    def reservations(self, subnet: str) -> list[Row]:
        """GetSubnetCidrReservations: those of IPv6."""
        reply = self._client.read("get_subnet_cidr_reservations", f"looking at {subnet}", SubnetId=subnet)
        return list(reply.get("SubnetIpv6CidrReservations") or [])

    def reserve(self, subnet: str, cidr: str, pairs: Mapping[str, str]) -> str:
        """CreateSubnetCidrReservation, ``explicit``: the API gives none of it out by itself. Return its id."""
        what = f"reserving {cidr} in {subnet}"
        row = self._client.change(
            "create_subnet_cidr_reservation",
            what,
            lost=OutcomeUnknown,
            SubnetId=subnet,
            Cidr=cidr,
            ReservationType="explicit",
            TagSpecifications=_tags(_RESERVATION, pairs),
        )
        made = (row.get("SubnetCidrReservation") or {}).get("SubnetCidrReservationId")
        if not made:
            raise OutcomeUnknown(f"{what}: the answer names no reservation; it must be looked up")
        return str(made)

    def withdraw(self, reservation: str) -> None:
        """DeleteSubnetCidrReservation."""
        what = f"releasing {reservation}"
        self._client.change("delete_subnet_cidr_reservation", what, SubnetCidrReservationId=reservation)

    def reservation_tags(self) -> dict[str, dict[str, str]]:
        """DescribeTags of all reservations in subnets: id -> tags. They can be listed in no other way but by subnet."""
        filters = [{"Name": "resource-type", "Values": [_RESERVATION]}]
        found: dict[str, dict[str, str]] = {}
        token = ""
        while True:
            more = {"NextToken": token} if token else {}
            reply = self._client.read("describe_tags", "listing reservations in subnets", Filters=filters, **more)
            for row in reply.get("Tags") or []:
                found.setdefault(str(row["ResourceId"]), {})[str(row["Key"])] = str(row.get("Value") or "")
            token = reply.get("NextToken") or ""
            if not token:
                return found


def _tags(kind: str, pairs: Mapping[str, str]) -> list[dict[str, object]]:
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in pairs.items()]}]
