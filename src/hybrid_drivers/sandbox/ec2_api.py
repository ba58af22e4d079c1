"""A simulator of the Amazon EC2 Query API, as far as renting, power and addresses need it: POST form in, XML out.

Signatures are checked (``sigv4``). One simulator is one region of one account.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence

from hybrid_drivers.clock import Clock
from hybrid_drivers.errors import ConfigError, SandboxError
from hybrid_drivers.sandbox import ec2_catalogue as catalogue
from hybrid_drivers.sandbox import ec2_select as select
from hybrid_drivers.sandbox import ec2_views as views
from hybrid_drivers.sandbox import sigv4
from hybrid_drivers.sandbox.ec2_addresses import Addresses
from hybrid_drivers.sandbox.ec2_instances import Content, Instances, LostReply
from hybrid_drivers.sandbox.ec2_order import InstanceOrder
from hybrid_drivers.sandbox.ec2_spot import Spots
from hybrid_drivers.sandbox.ec2_subnets import Subnets
from hybrid_drivers.sandbox.ec2_wire import Failure, Parameters, answer, failed
from hybrid_drivers.sandbox.fleet import Fleet
from hybrid_drivers.sandbox.http_server import Reply, Request
from hybrid_drivers.sandbox.knobs import Knobs
from hybrid_drivers.sandbox.machines import Machines
from hybrid_drivers.sandbox.simulator import Refusal, Simulator
from hybrid_drivers.sandbox.unit import State

ACCESS_KEY_ID = "AKIASANDBOX000000001"
SECRET_ACCESS_KEY = "sandbox-secret"  # opens nothing but this simulator

_REFUSALS = {
    429: Failure("RequestLimitExceeded", "Request limit exceeded."),
    500: Failure("InternalError", "An internal error has occurred"),
    503: Failure("Unavailable", "The service is unavailable. Please try again shortly."),
}


class Ec2Api:
    """The API of one account in one region, over a fleet of instances."""

    def __init__(self, fleet: Fleet[InstanceOrder], *, access_key_id: str, secret_access_key: str, region: str) -> None:
        self._fleet = fleet
        self._key, self._secret, self._region = access_key_id, secret_access_key, region
        self._spots = spots = Spots(fleet, region)
        self._instances = instances = Instances(fleet, region, spots)
        self.addresses = addresses = Addresses(fleet, region)
        self.subnets = subnets = Subnets(fleet, addresses)
        self._changing: Mapping[str, Callable[[Parameters], Content]] = {
            "RunInstances": instances.run,
            "TerminateInstances": instances.terminate,
            "StartInstances": instances.start,
            "StopInstances": instances.stop,
            "RebootInstances": instances.reboot,
            "ModifyInstanceAttribute": instances.modify,
            "CreateTags": instances.create_tags,
            "AllocateAddress": addresses.allocate,
            "ReleaseAddress": addresses.release,
            "AssociateAddress": addresses.associate,
            "DisassociateAddress": addresses.disassociate,
            "AssignPrivateIpAddresses": addresses.assign_private,
            "UnassignPrivateIpAddresses": addresses.unassign_private,
            "AssignIpv6Addresses": addresses.assign_v6,
            "UnassignIpv6Addresses": addresses.unassign_v6,
            "CreateSubnetCidrReservation": subnets.reserve,
            "DeleteSubnetCidrReservation": subnets.withdraw,
        }
        self._actions: Mapping[str, Callable[[Parameters], Content]] = {
            **self._changing,
            "DescribeInstances": instances.describe,
            "DescribeTags": self._describe_tags,
            "DescribeAddresses": addresses.describe,
            "DescribeNetworkInterfaces": addresses.describe_interfaces,
            "DescribeSubnets": subnets.describe,
            "GetSubnetCidrReservations": subnets.reservations,
            "DescribeSpotInstanceRequests": spots.describe,
            "DescribeSpotPriceHistory": spots.prices,
            "GetConsoleOutput": instances.console,
            "DescribeInstanceTypes": _describe_types,
            "DescribeImages": _describe_images,
            "DescribeRegions": _describe_regions,
            "DescribeAvailabilityZones": self._describe_zones,
        }

    def interrupt(self, machine_id: str, code: str) -> None:
        """Give a spot instance notice: ``marked-for-termination``, or by default that there is no capacity."""
        unit = self._fleet.find(machine_id)
        if unit is None or not unit.order.spot or unit.state is not State.ACTIVE:
            raise ConfigError(f"{machine_id} is no spot instance that runs")
        wait = self._fleet.knobs.wait("spot_notice")
        word = code or "instance-terminated-no-capacity"
        self._fleet.interrupt(unit, wait, word, "Server.SpotInstanceTermination")

    def start(self) -> None:
        """Let time pass for the instances."""
        self._fleet.start()

    def close(self) -> None:
        """Destroy every instance."""
        self._fleet.close()

    def machines(self) -> Sequence[Mapping[str, object]]:
        """Describe every instance ever made."""
        return [
            {
                "id": unit.id,
                "state": "gone" if unit.state is State.GONE else views.WORDS[unit.state],
                "hostname": unit.order.hostname,
                "plan": unit.order.plan,
                "place": unit.order.place,
                "tags": dict(unit.order.tags),
                "addresses": [one for one in (views.public_address(unit), views.private_address(unit)) if one],
                "created": unit.created,
                "deleted": unit.deleted,
                "failure": unit.failure,
            }
            for unit in self._fleet.units()
        ]

    def call_name(self, request: Request) -> str:
        """Name the call by its action."""
        action = Parameters.of(request).text("Action")
        return action if action in self._actions else "(unknown)"

    def refuse(self, refusal: Refusal) -> Reply:
        """Refuse as EC2 does when it is overrun (RequestLimitExceeded) or broken."""
        headers = {"Retry-After": f"{refusal.retry_after:g}"} if refusal.retry_after else {}
        return failed(_REFUSALS[refusal.status], headers)

    def answer(self, request: Request) -> Reply:
        """Check the signature, find the action, answer it."""
        told = Parameters.of(request)
        try:
            return self._answer(request, told)
        except Failure as failure:
            return failed(failure)
        except LostReply:
            return Reply(lost=True)
        except SandboxError as exc:
            return failed(Failure("InternalError", str(exc)))

    def _answer(self, request: Request, told: Parameters) -> Reply:
        try:
            sigv4.check(request, self._key, self._secret, self._region)
        except sigv4.BadSignature as exc:
            text = f"AWS was not able to validate the provided access credentials: {exc}"
            raise Failure("AuthFailure", text) from exc
        action = told.text("Action")
        if action not in self._actions:
            raise Failure("InvalidAction", f"The action {action} is not valid for this web service.")
        if action in self._changing and told.yes("DryRun"):
            raise Failure("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
        return answer(action, self._actions[action](told))

    def _describe_tags(self, told: Parameters) -> Content:
        rows = [*self._instances.tag_rows(), *self.addresses.tag_rows(), *self.subnets.tag_rows()]
        readers: Mapping[str, select.Reader[dict[str, str]]] = {
            "key": lambda row: [row["key"]],
            "value": lambda row: [row["value"]],
            "resource-id": lambda row: [row["resourceId"]],
            "resource-type": lambda row: [row["resourceType"]],
        }
        some, token = select.page(select.filtered(rows, told, readers), told)
        return {"tagSet": some, "nextToken": token}

    def _describe_zones(self, told: Parameters) -> Content:
        zones = told.listed("ZoneName") or catalogue.zones(self._region)
        unknown = [one for one in zones if one not in catalogue.zones(self._region)]
        if unknown:
            raise Failure("InvalidParameterValue", f"Invalid availability zone: [{unknown[0]}]")
        return {"availabilityZoneInfo": [catalogue.zone_view(one) for one in zones]}


class Ec2Simulator(Simulator):
    """A running EC2 API; ``access_key_id``, ``secret_access_key``, ``region`` and ``image`` are what to use it with."""

    def __init__(
        self,
        machines: Machines,
        knobs: Knobs | None = None,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        access_key_id: str = ACCESS_KEY_ID,
        secret_access_key: str = SECRET_ACCESS_KEY,
        region: str = catalogue.REGIONS[0],
        tls: ssl.SSLContext | None = None,
        clock: Clock | None = None,
    ) -> None:
        knobs = knobs or Knobs()
        self.access_key_id, self.secret_access_key, self.region = access_key_id, secret_access_key, region
        self.image = catalogue.DEFAULT_IMAGE
        fleet: Fleet[InstanceOrder] = Fleet(
            machines, knobs, clock=clock, shown_when_gone="terminated_shown", failed_go=True
        )
        api = Ec2Api(fleet, access_key_id=access_key_id, secret_access_key=secret_access_key, region=region)
        super().__init__(api, knobs, host=host, port=port, tls=tls, clock=clock)
        self._addresses = api

    @property
    def blocks(self) -> Sequence[Mapping[str, object]]:
        """Every elastic IP and every reservation in a subnet, and where they go."""
        return [*self._addresses.addresses.described(), *self._addresses.subnets.described()]


def _describe_types(told: Parameters) -> Content:
    names = told.listed("InstanceType")
    unknown = [one for one in names if one not in catalogue.TYPES]
    if unknown:
        text = f"The following supplied instance types do not exist: [{', '.join(unknown)}]"
        raise Failure("InvalidInstanceType", text)
    types = [catalogue.TYPES[one] for one in names or catalogue.TYPES]
    readers: Mapping[str, select.Reader[catalogue.InstanceType]] = {
        "instance-type": lambda one: [one.name],
        "bare-metal": lambda one: [str(one.metal).lower()],
        "current-generation": lambda _: ["true"],
        "processor-info.supported-architecture": lambda _: ["x86_64"],
    }
    some, token = select.page(select.filtered(types, told, readers), told)
    return {"instanceTypeSet": [one.view() for one in some], "nextToken": token}


def _describe_images(told: Parameters) -> Content:
    names = told.listed("ImageId")
    unknown = [one for one in names if one not in catalogue.IMAGES]
    if unknown:
        raise Failure("InvalidAMIID.NotFound", f"The image id '[{unknown[0]}]' does not exist")
    readers: Mapping[str, select.Reader[str]] = {
        "image-id": lambda one: [one],
        "name": lambda one: [catalogue.IMAGES[one][0]],
        "architecture": lambda _: ["x86_64"],
        "state": lambda _: ["available"],
        "virtualization-type": lambda _: ["hvm"],
        "root-device-type": lambda _: ["ebs"],
    }
    images = select.filtered(names or list(catalogue.IMAGES), told, readers)
    return {"imagesSet": [catalogue.image_view(one) for one in images]}


def _describe_regions(told: Parameters) -> Content:
    names = told.listed("RegionName") or list(catalogue.REGIONS)
    unknown = [one for one in names if one not in catalogue.REGIONS]
    if unknown:
        raise Failure("InvalidParameterValue", f"Invalid region '{unknown[0]}'")
    return {"regionInfo": [catalogue.region_view(one) for one in names]}
