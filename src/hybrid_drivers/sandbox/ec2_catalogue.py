"""What the EC2 simulator offers: regions, zones, instance types and images; a small part of the real catalogue.

Sources: "Amazon EC2 instance types" (processors and memory); EC2's API reference, CpuOptionsRequest (c8i, m8i and r8i
are the types with nested virtualization); EC2 User Guide, "Use a Systems Manager parameter instead of an AMI ID", and
Canonical's "Find Ubuntu images on AWS" (the names of their parameters).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

REGIONS = ("eu-central-1", "eu-north-1", "eu-west-1", "us-east-1", "us-east-2", "us-west-2")
ZONE_LETTERS = "abc"
VPC = "vpc-05a4db0c000000001"
ACCOUNT = "123456789012"  # the account number of AWS's own examples


@dataclass(frozen=True)
class InstanceType:
    """A kind of instance: virtual processors, memory in MiB, and whether guests can use KVM in it."""

    name: str
    vcpus: int
    memory: int
    metal: bool = False
    nested: bool = False

    def view(self) -> dict[str, object]:
        """Describe it as DescribeInstanceTypes does."""
        return {
            "instanceType": self.name,
            "currentGeneration": True,
            "freeTierEligible": self.name == "t3.micro",
            "supportedUsageClasses": ["on-demand", "spot"],
            "supportedRootDeviceTypes": ["ebs"],
            "supportedVirtualizationTypes": ["hvm"],
            "bareMetal": self.metal,
            "hypervisor": None if self.metal else "nitro",
            "processorInfo": {"supportedArchitectures": ["x86_64"]},
            "vCpuInfo": {"defaultVCpus": self.vcpus, "defaultCores": self.vcpus // 2, "defaultThreadsPerCore": 2},
            "memoryInfo": {"sizeInMiB": self.memory},
            "instanceStorageSupported": False,
            "burstablePerformanceSupported": self.name.startswith("t3."),
        }


TYPES = {
    one.name: one
    for one in (
        InstanceType("c5.metal", 96, 196608, metal=True),
        InstanceType("i3.metal", 72, 524288, metal=True),
        InstanceType("m5.metal", 96, 393216, metal=True),
        InstanceType("m7i.metal-24xl", 96, 393216, metal=True),
        InstanceType("c8i.large", 2, 4096, nested=True),
        InstanceType("c8i.xlarge", 4, 8192, nested=True),
        InstanceType("c8i.4xlarge", 16, 32768, nested=True),
        InstanceType("m8i.xlarge", 4, 16384, nested=True),
        InstanceType("r8i.xlarge", 4, 32768, nested=True),
        InstanceType("m5.large", 2, 8192),
        InstanceType("t3.micro", 2, 1024),
    )
}

IMAGES = {
    "ami-0deb1a12000000001": ("debian-12-amd64-sandbox", "Debian 12 (sandbox)"),
    "ami-0ab24040000000002": ("ubuntu-24.04-amd64-sandbox", "Ubuntu 24.04 (sandbox)"),
    "ami-0a1aa900000000003": ("almalinux-9-x86_64-sandbox", "AlmaLinux 9 (sandbox)"),
}
DEFAULT_IMAGE = "ami-0deb1a12000000001"
UBUNTU_PARAMETER = re.compile(
    r"/aws/service/canonical/ubuntu/server/\d\d\.\d\d/stable/(current|\d+(\.\d+)?)/amd64/hvm/ebs-gp[23]/ami-id"
)


def resolved(parameter: str) -> str | None:
    """Return the image that a public parameter of Systems Manager names; None: there is no such parameter."""
    return "ami-0ab24040000000002" if UBUNTU_PARAMETER.fullmatch(parameter) else None


def image_view(image: str) -> dict[str, object]:
    """Describe an image as DescribeImages does."""
    name, description = IMAGES[image]
    return {
        "imageId": image,
        "imageLocation": f"{ACCOUNT}/{name}",
        "imageState": "available",
        "imageOwnerId": ACCOUNT,
        "isPublic": True,
        "architecture": "x86_64",
        "imageType": "machine",
        "name": name,
        "description": description,
        "rootDeviceType": "ebs",
        "rootDeviceName": "/dev/xvda",
        "virtualizationType": "hvm",
        "enaSupport": True,
        "creationDate": "2026-01-01T00:00:00.000Z",
    }


def zones(region: str) -> list[str]:
    """Return the availability zones of a region."""
    return [f"{region}{letter}" for letter in ZONE_LETTERS]


def default_subnet(zone: str) -> str:
    """Return the default subnet of a zone."""
    return f"subnet-0defa000000000{ZONE_LETTERS.index(zone[-1]):03x}"


def zone_of_subnet(subnet: str, region: str) -> str:
    """Return the zone a subnet lies in; one we do not know lies in the first."""
    return next((zone for zone in zones(region) if default_subnet(zone) == subnet), zones(region)[0])


def region_view(region: str) -> dict[str, object]:
    """Describe a region as DescribeRegions does."""
    endpoint = f"ec2.{region}.amazonaws.com"
    return {"regionName": region, "regionEndpoint": endpoint, "optInStatus": "opt-in-not-required"}


def zone_view(zone: str) -> dict[str, object]:
    """Describe a zone as DescribeAvailabilityZones does."""
    return {
        "zoneName": zone,
        "zoneState": "available",
        "regionName": zone[:-1],
        "zoneId": f"sbx1-az{ZONE_LETTERS.index(zone[-1]) + 1}",
        "zoneType": "availability-zone",
        "optInStatus": "opt-in-not-required",
        "groupName": zone[:-1],
    }
