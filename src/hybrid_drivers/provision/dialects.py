"""OneProvision's names of providers and of keys, and what stands for them here.

Sources: OpenNebula ``src/oneprovision/lib/terraform/providers/`` (one file each), ``src/pm_mad/remotes`` of 5.12, the
templates below ``share/oneprovision``, and OneProvision 5.12's documentation of its drivers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Value
from hybrid_drivers.providers import registry
from hybrid_drivers.providers.attributes import GENERIC

T = TypeVar("T")
DRIVERS: Mapping[str, str] = {
    "aws": "ec2",
    "ec2": "ec2",
    "equinix": "packet",
    "packet": "packet",
    "onprem": "static",
    "dummy": "dummy",
}
OTHERS = ("google", "digitalocean", "vultr", "vultr_metal", "vultr_virtual", "scaleway")  # OneProvision's alone


def driver_of(provider: str) -> str:
    """Return our driver for what OneProvision calls ``provider``; a driver's own name stands for itself.

    Raises:
        ConfigError: there is none.
    """
    if provider in DRIVERS:
        return DRIVERS[provider]
    if provider in OTHERS:
        known = ", ".join(one.name for one in registry.built_in())
        raise ConfigError(f"OneProvision's provider '{provider}' has no driver here; there are {known}")
    return registry.driver(provider).name


# Keys of a host's ``provision`` that steer OneProvision, or other parts of a 6.x cluster, and order no machine.
STEERING = frozenset(
    {
        "COUNT", "INDEX", "PROVIDER", "PROVIDER_NAME", "DRIVER", "PM_MAD", "ANSIBLE_PLAYBOOK", "CIDR", "HCI_CIDR",
        "CEPH_FULL_COUNT", "CEPH_OSD_COUNT", "CEPH_CLIENT_COUNT", "CEPH_GROUP",
    }
)  # fmt: skip
_KEYS: Mapping[str, Mapping[str, str]] = {  # driver -> its other names in templates
    "ec2": {"SECURITYGROUPSIDS": "SECURITYGROUPIDS"},  # so in the examples of 5.12's documentation
}
# ``ami: default`` of 6.x: Canonical's current Ubuntu, which EC2 looks up itself (RunInstances, ``resolve:ssm:``).
UBUNTU_AMI = "resolve:ssm:/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id"
UBUNTU_ROOT = "/dev/sda1"  # the name of the root disk in those images


def machine_attributes(driver: str, provision: Mapping[str, str]) -> dict[str, str]:
    """Return what a template says about a machine as the attributes of our driver: upper case, without steering keys.

    Credentials must have been taken out before (``template.inline``).
    """
    other = _KEYS.get(driver, {})
    found = {other.get(key.upper(), key.upper()): text for key, text in provision.items() if text}
    found = {key: text for key, text in found.items() if key not in STEERING}
    return _ec2(found) if driver == "ec2" else found


def _ec2(found: dict[str, str]) -> dict[str, str]:
    """Replace 6.x's ``ami: default`` and ``root_size`` (GB) by what says the same to EC2."""
    size = found.pop("ROOT_SIZE", "")
    if size and "BLOCKDEVICEMAPPING" not in found:
        found["BLOCKDEVICEMAPPING"] = f"{UBUNTU_ROOT}=:{size}"
    if found.get("AMI") == "default":
        found["AMI"] = UBUNTU_AMI
    return found


def known_attributes(driver: str) -> frozenset[str]:
    """Return all keys that may stand in a host's ``provision`` for our ``driver``, upper case.

    Raises:
        ConfigError: there is no such driver.
    """
    row = registry.driver(driver)
    own = {one.name for one in row.attributes} | set(row.aliases) | set(row.inline)
    return frozenset({*own, *GENERIC, *STEERING, *_KEYS.get(driver, {}), *(["ROOT_SIZE"] if driver == "ec2" else [])})


# OpenNebula's own drivers of public addresses know providers of OneProvision's only, and do the same as ours.
_NETWORK_DRIVERS: Mapping[str, str] = {"elastic": "hybrid"}
_ADDRESS_DRIVERS: Mapping[str, str] = {"aws": "ec2", "equinix": "packet"}


def network_attributes(attributes: Iterable[tuple[str, Value]]) -> Iterator[tuple[str, Value]]:
    """Yield the attributes of a network or network template, with its drivers as they are called here."""
    for name, value in attributes:
        if name == "VN_MAD" and isinstance(value, str):
            yield name, _NETWORK_DRIVERS.get(value, value)
        elif name == "AR" and not isinstance(value, str) and "IPAM_MAD" in value:
            yield name, {**value, "IPAM_MAD": _ADDRESS_DRIVERS.get(value["IPAM_MAD"], value["IPAM_MAD"])}
        else:
            yield name, value


HYPERVISOR = "oneprovision_hypervisor"  # 6.x: which packages its playbooks install; here playbooks differ by that
_LXC: Mapping[str, str] = {  # playbook -> the same with LXC
    **dict.fromkeys(("evpn", "aws", "equinix", "packet", "google", "digitalocean", "vultr", "scaleway"), "evpn_lxc"),
    "default": "default_lxc",
}


def host_configuration(
    playbooks: Sequence[str], configuration: Mapping[str, T]
) -> tuple[tuple[str, ...], dict[str, T]]:
    """Return a host's playbooks and parameters as they are called here."""
    left = {key: value for key, value in configuration.items() if key != HYPERVISOR}
    if configuration.get(HYPERVISOR) == "lxc":
        return tuple(_LXC.get(one, one) for one in playbooks), left
    return tuple(playbooks), left
