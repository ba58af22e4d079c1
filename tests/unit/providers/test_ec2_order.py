"""From PROVISION attributes to what RunInstances is really sent."""

from __future__ import annotations

import base64

import pytest
from tests.support.ec2_replies import (
    ATTRIBUTES,
    parameters,
    provider,
)
from tests.support.providers import OWNER, USER_DATA

from hybrid_drivers.errors import (
    ConfigError,
)
from hybrid_drivers.providers.ec2.devices import block_devices


def test_the_parameters_of_a_create() -> None:
    found = parameters(ATTRIBUTES)
    assert base64.b64decode(found.pop("UserData")).decode() == USER_DATA
    tags = {found[f"TagSpecification.1.Tag.{n}.Key"]: found[f"TagSpecification.1.Tag.{n}.Value"] for n in range(1, 5)}
    assert tags == {"one-owner": OWNER, "one-host": "7", "one-token": "t-1", "Name": "edge one"}
    assert found["TagSpecification.1.ResourceType"] == "instance"
    wanted = {
        "Action": "RunInstances",
        "MinCount": "1",
        "MaxCount": "1",
        "ImageId": "ami-0123456789abcdef0",
        "InstanceType": "c5.metal",
        "ClientToken": "t-1",
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions.HttpTokens": "required",
        "MetadataOptions.HttpPutResponseHopLimit": "1",
        "Placement.AvailabilityZone": "eu-1a",
    }
    assert {key: found.get(key) for key in wanted} == wanted


def test_the_parameters_with_everything_of_5_12_and_more() -> None:
    found = parameters(
        {
            "AMI": "ami-0123456789abcdef0",
            "INSTANCETYPE": "c8i.large",
            "REGION_NAME": "eu-1",
            "SUBNETID": "subnet-1",
            "SECURITYGROUPIDS": "sg-1,sg-2",
            "KEYPAIR": "mine",
            "CLOUD_INIT": "true",
            "TENANCY": "dedicated",
            "PLACEMENTGROUP": "near",
            "EBS_OPTIMIZED": "YES",
            "BLOCKDEVICEMAPPING": "/dev/sda1=:100:true:gp3",
            "PRIVATEIP": "10.0.0.9",
            "TAGS": "team=edge,cost=7",
            "SPOT_INSTANCE": "YES",
            "SPOT_PRICE_MAX": "1.5",
            "NESTED_VIRTUALIZATION": "YES",
            "USERDATA": "#!/bin/sh\n",
        },
        user_data="",
    )
    wanted = {
        "SubnetId": "subnet-1",
        "SecurityGroupId.2": "sg-2",
        "KeyName": "mine",
        "Placement.Tenancy": "dedicated",
        "Placement.GroupName": "near",
        "EbsOptimized": "true",
        "BlockDeviceMapping.1.Ebs.VolumeSize": "100",
        "PrivateIpAddress": "10.0.0.9",
        "TagSpecification.1.Tag.1.Key": "team",
        "InstanceMarketOptions.MarketType": "spot",
        "InstanceMarketOptions.SpotOptions.MaxPrice": "1.5",
        "CpuOptions.NestedVirtualization": "enabled",
        "UserData": base64.b64encode(b"#!/bin/sh\n").decode(),
    }
    assert {key: found.get(key) for key in wanted} == wanted
    assert "Placement.AvailabilityZone" not in found


def test_the_same_request_has_the_same_parameters_every_time() -> None:
    assert parameters(ATTRIBUTES) == parameters(ATTRIBUTES)


@pytest.mark.parametrize(
    ("attributes", "places"),
    [
        ({}, ["eu-1a", "eu-1b"]),
        ({"SUBNETID": "subnet-1,subnet-2"}, ["subnet-1", "subnet-2"]),
        ({"AVAILABILITYZONE": ""}, ["eu-1"]),
    ],
)
def test_placements(attributes: dict[str, str], places: list[str]) -> None:
    found = provider().placements({**ATTRIBUTES, **attributes})
    assert [(one.plan, one.place) for one in found] == [
        (plan, place) for plan in ("c5.metal", "m5.metal") for place in places
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"AMI": ""}, "PROVISION lacks AMI"),
        ({"PLAN": "c5.large"}, "PLAN and INSTANCETYPE mean the same and differ"),
        ({"REGION_NAME": "us-1"}, "REGION_NAME us-1 is not the region of file ec2-lab.yaml"),
        ({"EC2_SECRET": "x"}, "EC2_SECRET belongs into the provider entry"),
        ({"BLOCKDEVICEMAPPING": "sda"}, "BLOCKDEVICEMAPPING must be"),
        ({"SPOT_PRICE_MAX": "1"}, "needs SPOT_INSTANCE"),
        ({"EBS_OPTIMIZED": "x"}, "EBS_OPTIMIZED must be YES or NO"),
        ({"TAGS": "=x"}, "TAGS must be a list"),
        ({"INSTANCETYP": "x"}, "did you mean 'INSTANCETYPE'"),
    ],
)
def test_wrong_attributes_are_named_before_anything_is_sent(change: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        provider().placements({**ATTRIBUTES, **change})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/dev/sdb=ephemeral0", [{"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"}]),
        ("/dev/sdb=none /dev/sdc=none", [{"DeviceName": f"/dev/sd{one}", "NoDevice": ""} for one in "bc"]),
        ("/dev/sda=snap-1", [{"DeviceName": "/dev/sda", "Ebs": {"DeleteOnTermination": True, "SnapshotId": "snap-1"}}]),
        (
            "/dev/sda=snap-1:50:false:io2:3000:encrypted",
            [
                {
                    "DeviceName": "/dev/sda",
                    "Ebs": {
                        "DeleteOnTermination": False,
                        "SnapshotId": "snap-1",
                        "VolumeSize": 50,
                        "VolumeType": "io2",
                        "Iops": 3000,
                        "Encrypted": True,
                    },
                }
            ],
        ),
    ],
)
def test_block_devices(text: str, expected: list[dict[str, object]]) -> None:
    assert block_devices(text) == expected


@pytest.mark.parametrize("bad", ["=x", "/dev/sda=", "/dev/sda=:big", "/dev/sda=a:1:b", "/dev/sda=1:2:true:4:5:no:7"])
def test_wrong_block_devices(bad: str) -> None:
    with pytest.raises(ConfigError, match="BLOCKDEVICEMAPPING"):
        block_devices(bad)
