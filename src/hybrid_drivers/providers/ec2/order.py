"""From PROVISION attributes to the parameters of RunInstances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hybrid_drivers.errors import ConfigError, PermanentError
from hybrid_drivers.model import CreateRequest
from hybrid_drivers.providers import attributes as attr
from hybrid_drivers.providers.ec2 import states
from hybrid_drivers.providers.ec2.devices import block_devices

LONGEST_TOKEN = 64  # ASCII characters (RunInstances ClientToken)
LARGEST_USER_DATA = 16 * 1024  # bytes before base64


def run_parameters(request: CreateRequest, found: Mapping[str, str], user_data: str) -> dict[str, Any]:
    """Return the parameters; ``found`` are the attributes under their canonical names.

    Raises:
        ConfigError, PermanentError: something cannot be sent; nothing was.
    """
    if not request.token.isascii() or len(request.token) > LONGEST_TOKEN:
        raise PermanentError(f"creating {request.hostname}: the token is longer than {LONGEST_TOKEN} ASCII characters")
    if len(user_data.encode()) > LARGEST_USER_DATA:
        raise PermanentError(f"creating {request.hostname}: the user-data is larger than EC2's 16 KiB; shorten it")
    tags = states.tag_pairs(request.tags, attr.pairs_list(found.get("TAGS", ""), "TAGS"))
    parameters: dict[str, Any] = {
        "MinCount": 1,
        "MaxCount": 1,
        "ImageId": found["AMI"],
        "InstanceType": request.placement.plan,
        "ClientToken": request.token,
        "InstanceInitiatedShutdownBehavior": "terminate",
        # Guests of the machine must not read its data: a session token, and one hop only.
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")],
        **optional_parameters(found),
    }
    if user_data:
        parameters["UserData"] = user_data  # boto3 encodes it
    _place(request.placement.place, found, parameters)
    return parameters


def optional_parameters(found: Mapping[str, str]) -> dict[str, Any]:
    """Return what the attributes add to every order.

    Raises:
        ConfigError: one is malformed.
    """
    parameters: dict[str, Any] = {}
    for key, name in (("KEYPAIR", "KeyName"), ("PRIVATEIP", "PrivateIpAddress")):
        if key in found:
            parameters[name] = found[key]
    if "SECURITYGROUPIDS" in found:
        parameters["SecurityGroupIds"] = attr.comma_list(found["SECURITYGROUPIDS"])
    if "BLOCKDEVICEMAPPING" in found:
        parameters["BlockDeviceMappings"] = block_devices(found["BLOCKDEVICEMAPPING"])
    if "EBS_OPTIMIZED" in found:
        parameters["EbsOptimized"] = attr.truth(found["EBS_OPTIMIZED"], "EBS_OPTIMIZED")
    if attr.truth(found.get("NESTED_VIRTUALIZATION", "NO"), "NESTED_VIRTUALIZATION"):
        parameters["CpuOptions"] = {"NestedVirtualization": "enabled"}
    if attr.truth(found.get("SPOT_INSTANCE", "NO"), "SPOT_INSTANCE"):
        parameters["InstanceMarketOptions"] = _spot(found.get("SPOT_PRICE_MAX", ""))
    elif "SPOT_PRICE_MAX" in found:
        raise ConfigError("SPOT_PRICE_MAX needs SPOT_INSTANCE=YES")
    return parameters


def _spot(price: str) -> dict[str, Any]:
    options = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
    return {"MarketType": "spot", "SpotOptions": {**options, **({"MaxPrice": price} if price else {})}}


def _place(place: str, found: Mapping[str, str], parameters: dict[str, Any]) -> None:
    placement = {}
    if "SUBNETID" in found:
        parameters["SubnetId"] = place  # the subnet says the zone
    elif "AVAILABILITYZONE" in found:
        placement["AvailabilityZone"] = place
    if "TENANCY" in found:
        placement["Tenancy"] = found["TENANCY"]
    if "PLACEMENTGROUP" in found:
        placement["GroupName"] = found["PLACEMENTGROUP"]
    if placement:
        parameters["Placement"] = placement
