"""The keys the ec2 driver understands; light, so that reading configuration does not load boto3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hybrid_drivers.providers.base import Field, Setting
from hybrid_drivers.providers.driver import RATE_SETTINGS, Driver


def _check(settings: Mapping[str, Setting]) -> Sequence[str]:
    """Credentials come from one place: keys, a profile, or where boto3 itself looks (instance role)."""
    keys = [key for key in ("access_key", "secret_key") if settings.get(key)]
    others = [key for key in ("profile", "instance_role") if settings.get(key)]
    if len(keys) == 1:
        missing = "secret_key" if keys == ["access_key"] else "access_key"
        return [f"key '{missing}' is missing: {keys[0]} alone is no credential"]
    if len(others) + bool(keys) > 1:
        return ["give access_key and secret_key, or profile, or instance_role: true, and only one of these"]
    if not keys and not others:
        return ["credentials are missing: give access_key and secret_key, or profile, or instance_role: true"]
    return []


DRIVER = Driver(
    name="ec2",
    target="hybrid_drivers.providers.ec2.provider:Ec2Provider",
    settings=(
        Field(name="region", required=True, help="like eu-central-1; an entry is for one region"),
        Field(name="access_key", secret=True, help="access key id"),
        Field(name="secret_key", secret=True, help="secret access key"),
        Field(name="session_token", secret=True, help="of temporary credentials"),
        Field(name="profile", help="profile of ~/.aws instead of keys"),
        Field(name="instance_role", kind="boolean", help="the role of the front-end's own instance instead of keys"),
        Field(name="endpoint", help="URL of the API where it is not Amazon's"),
        *RATE_SETTINGS,
        Field(name="create_rate", kind="number", help="RunInstances calls a second, in the long run"),
        Field(name="create_burst", kind="number", help="RunInstances calls at once"),
    ),
    attributes=(
        Field(name="AMI", required=True, help="image id, like ami-0123456789abcdef0"),
        Field(name="INSTANCETYPE", required=True, help="like c5.metal; a comma list tries one after the other"),
        Field(name="REGION_NAME", help="must be the region of the entry"),
        Field(name="AVAILABILITYZONE", help="a comma list tries one after the other"),
        Field(name="SUBNETID", help="a comma list tries one after the other"),
        Field(name="SECURITYGROUPIDS", help="comma list"),
        Field(name="KEYPAIR", help="name of a key pair"),
        Field(name="USERDATA", help="user-data, used where we have none of our own"),
        Field(name="CLOUD_INIT", kind="boolean", help="of 5.12; user-data is always for cloud-init here"),
        Field(name="TENANCY", help="default, dedicated or host"),
        Field(name="PLACEMENTGROUP", help="name of a placement group"),
        Field(name="EBS_OPTIMIZED", kind="boolean"),
        Field(name="BLOCKDEVICEMAPPING", help="like /dev/sda1=:100:true:gp3, separated by spaces"),
        Field(name="PRIVATEIP", help="private address in the subnet"),
        Field(name="SPOT_INSTANCE", kind="boolean"),
        Field(name="SPOT_PRICE_MAX", help="dollars an hour"),
        Field(name="NESTED_VIRTUALIZATION", kind="boolean", help="KVM on instance types that are not metal"),
    ),
    aliases={"PLAN": "INSTANCETYPE", "INSTANCE_TYPE": "INSTANCETYPE", "KEYNAME": "KEYPAIR"},
    inline={
        "EC2_ACCESS": "access_key",
        "EC2_SECRET": "secret_key",
        "EC2_SESSION_TOKEN": "session_token",
        "EC2_ENDPOINT": "endpoint",
        "REGION_NAME": "region",
    },
    check=_check,
)
