"""The parameters of RunInstances: checked as EC2 checks them, and kept as an order."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import uuid4

from hybrid_drivers.sandbox import ec2_catalogue as catalogue
from hybrid_drivers.sandbox.ec2_wire import Failure, Parameters
from hybrid_drivers.sandbox.unit import Order

_USER_DATA_LIMIT = 16384  # bytes before base64 (EC2 user guide, "instance user data")
_TOKEN_LIMIT = 64

# not part of what makes two requests the same (EC2 devguide, "Ensuring idempotency": region and zone may differ)
_NOT_COMPARED = ("Action", "Version", "ClientToken", "DryRun", "Placement.AvailabilityZone")


@dataclass(frozen=True, kw_only=True)
class InstanceOrder(Order):
    """One instance as ordered; ``plan`` is its type and ``place`` its availability zone."""

    image: str
    subnet: str
    groups: tuple[str, ...]
    reservation: str
    launch_index: int = 0
    client_token: str = ""
    key_name: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    protected: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Launch:
    """A valid RunInstances call; ``fingerprint`` is the same for the same parameters."""

    order: InstanceOrder
    least: int
    most: int
    fingerprint: str


def new_id(kind: str) -> str:
    """Make an identifier such as ``i-0123456789abcdef0``."""
    return f"{kind}-0{uuid4().hex[:16]}"


def read_launch(told: Parameters, region: str) -> Launch:
    """Check the parameters of RunInstances; raises Failure with EC2's own code."""
    least, most = told.number("MinCount", 0), told.number("MaxCount", 0)
    if not 1 <= least <= most:
        raise Failure("InvalidParameterValue", f"Value ({least}) for parameter minCount is invalid.")
    zone, subnet = _place(told, region)
    order = InstanceOrder(
        hostname=new_id("i"),  # replaced by the instance's own identifier
        plan=_type(told),
        place=zone,
        user_data=_user_data(told.text("UserData")),
        image=_image(told.required("ImageId")),
        subnet=subnet,
        groups=tuple(told.listed("SecurityGroupId") or ["sg-0defa000000000000"]),
        reservation=new_id("r"),
        client_token=_token(told.text("ClientToken")),
        key_name=told.text("KeyName"),
        tags=_tags(told),
        spot=told.text("InstanceMarketOptions.MarketType") == "spot",
        max_price=_max_price(told.text("InstanceMarketOptions.SpotOptions.MaxPrice")),
        protected=told.yes("DisableApiTermination"),
        metadata=dict(told.below("MetadataOptions")),
    )
    compared = "\n".join(f"{key}={value}" for key, value in told if key not in _NOT_COMPARED)
    return Launch(order, least, most, hashlib.sha256(compared.encode()).hexdigest())


def read_tags(told: Parameters) -> dict[str, str]:
    """Read ``Tag.N.Key`` and ``Tag.N.Value``; raises Failure."""
    tags = {one.required("Key"): one.text("Value") for one in told.groups("Tag")}
    for key, value in tags.items():
        if key.startswith("aws:") or len(key) > 128 or len(value) > 256:
            raise Failure("InvalidParameterValue", f"Tag {key} is reserved, or its key or value is too long")
    return tags


def _tags(told: Parameters) -> dict[str, str]:
    tags: dict[str, str] = {}
    for group in told.groups("TagSpecification"):
        if group.text("ResourceType") == "instance":
            tags.update(read_tags(group))
    return tags


def _type(told: Parameters) -> str:
    name = told.text("InstanceType", "m5.large")
    if name not in catalogue.TYPES:
        raise Failure("InvalidParameterValue", f"Invalid value '{name}' for InstanceType.")
    if told.text("CpuOptions.NestedVirtualization") == "enabled" and not catalogue.TYPES[name].nested:
        raise Failure("Unsupported", f"Nested virtualization is not supported by instance type {name}.")
    return name


def _place(told: Parameters, region: str) -> tuple[str, str]:
    zone, subnet = told.text("Placement.AvailabilityZone"), told.text("SubnetId")
    if zone and zone not in catalogue.zones(region):
        raise Failure("InvalidParameterValue", f"Invalid availability zone: [{zone}]")
    if subnet and not re.fullmatch("subnet-[0-9a-f]{8,17}", subnet):
        raise Failure("InvalidSubnetID.NotFound", f"The subnet ID '{subnet}' does not exist")
    zone = zone or catalogue.zone_of_subnet(subnet, region)
    return zone, subnet or catalogue.default_subnet(zone)


def _max_price(text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise Failure("InvalidParameterValue", f"Invalid value '{text}' for SpotPrice.") from None


def _image(image: str) -> str:
    parameter = image.removeprefix("resolve:ssm:")
    if parameter != image:
        found = catalogue.resolved(parameter)
        if found is None:  # not recorded
            raise Failure("InvalidParameterValue", f"The parameter '{parameter}' does not exist")
        return found
    if not re.fullmatch("ami-[0-9a-f]{8,17}", image):
        raise Failure("InvalidAMIID.Malformed", f'Invalid id: "{image}" (expecting "ami-...")')
    if image not in catalogue.IMAGES:
        raise Failure("InvalidAMIID.NotFound", f"The image id '[{image}]' does not exist")
    return image


def _token(token: str) -> str:
    if len(token) > _TOKEN_LIMIT or not token.isascii():
        raise Failure(
            "InvalidParameterValue", "Invalid value for 'ClientToken': at most 64 ASCII characters are allowed"
        )
    return token


def _user_data(encoded: str) -> str:
    try:
        data = base64.b64decode(encoded, validate=True)
        text = data.decode()
    except (binascii.Error, UnicodeDecodeError) as exc:
        raise Failure("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.") from exc
    if len(data) > _USER_DATA_LIMIT:
        raise Failure("InvalidParameterValue", "User data is limited to 16384 bytes")
    return text
