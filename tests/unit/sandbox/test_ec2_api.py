from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import requests
from tests.support.ec2_account import USER_DATA, Account, refused, tags
from tests.support.simulators import quick, wait_for

from hybrid_drivers.sandbox.ec2_api import Ec2Simulator
from hybrid_drivers.sandbox.machines.none import NoMachines


@pytest.fixture
def simulator() -> Iterator[Ec2Simulator]:
    one = Ec2Simulator(NoMachines(), quick())
    one.start()
    yield one
    one.stop()


@pytest.fixture
def account(simulator: Ec2Simulator) -> Account:
    return Account(simulator)


def test_an_instance_goes_from_pending_to_running_with_its_tags_from_the_start(account: Account) -> None:
    account.simulator.knobs.provisioning = 0.2
    made = account.ec2.run_instances(
        **account.order(TagSpecifications=tags(Name="edge <1> & é", owner="a"), KeyName="mine")
    )["Instances"][0]
    assert made["State"] == {"Code": 0, "Name": "pending"}
    assert made["Tags"] == [{"Key": "Name", "Value": "edge <1> & é"}, {"Key": "owner", "Value": "a"}]
    assert "PublicIpAddress" not in made
    assert made["PrivateIpAddress"].startswith("198.19.")
    last = account.until(made["InstanceId"], "running")
    assert last["PublicIpAddress"].startswith("198.18.")
    assert last["Placement"]["AvailabilityZone"] == f"{account.simulator.region}a"
    assert last["KeyName"] == "mine"
    assert abs(last["LaunchTime"].timestamp() - time.time()) < 60


def test_the_same_token_is_the_same_instance(account: Account) -> None:
    first = account.run(ClientToken="t-1", UserData=USER_DATA)
    assert account.run(ClientToken="t-1", UserData=USER_DATA) == first
    assert account.run(ClientToken="t-1", UserData=USER_DATA, Placement={"AvailabilityZone": "eu-central-1b"}) == first
    assert account.ids() == [first]
    assert account.get(first)["ClientToken"] == "t-1"
    assert account.run(ClientToken="t-2", UserData=USER_DATA) != first


def test_the_same_token_many_times_at_once_is_one_instance(account: Account) -> None:
    with ThreadPoolExecutor(20) as pool:
        made = set(pool.map(lambda _: account.run(ClientToken="t-1"), range(20)))
    assert len(made) == 1
    assert len(account.simulator.machines) == 1


def test_other_parameters_under_a_token_are_an_error(account: Account) -> None:
    account.run(ClientToken="t-1")
    for change in ({"InstanceType": "m5.metal"}, {"UserData": "other"}, {"TagSpecifications": tags(a="b")}):
        assert refused(partial(account.run, ClientToken="t-1", **change)) == ("IdempotentParameterMismatch", 400)
    assert len(account.ids()) == 1


def test_the_token_of_a_terminated_instance_is_spent(account: Account) -> None:
    account.terminate(account.running(ClientToken="t-1"))
    assert refused(lambda: account.run(ClientToken="t-1")) == ("IdempotentInstanceTerminated", 400)
    account.run(ClientToken="t-2")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ImageId": "ami-00000000000000000"}, "InvalidAMIID.NotFound"),
        ({"ImageId": "debian"}, "InvalidAMIID.Malformed"),
        ({"ImageId": "resolve:ssm:/aws/service/canonical/ubuntu/desktop"}, "InvalidParameterValue"),
        ({"InstanceType": "c9.huge"}, "InvalidParameterValue"),
        ({"Placement": {"AvailabilityZone": "mars-1a"}}, "InvalidParameterValue"),
        ({"SubnetId": "subnet-x"}, "InvalidSubnetID.NotFound"),
        ({"ClientToken": "x" * 65}, "InvalidParameterValue"),
        ({"ClientToken": "\u00e9"}, "InvalidParameterValue"),
        ({"UserData": "x" * 16385}, "InvalidParameterValue"),
        ({"MinCount": 2}, "InvalidParameterValue"),
        ({"CpuOptions": {"NestedVirtualization": "enabled"}}, "Unsupported"),
        ({"TagSpecifications": tags(**{"aws:x": "1"})}, "InvalidParameterValue"),
        ({"DryRun": True}, "DryRunOperation"),
    ],
)
def test_wrong_orders_are_refused_by_code(account: Account, change: dict[str, object], code: str) -> None:
    expected = 412 if code == "DryRunOperation" else 400
    assert refused(lambda: account.run(**change)) == (code, expected)
    assert account.simulator.machines == []


def test_user_data_that_is_not_base64_is_malformed(account: Account) -> None:
    def spoil(params: dict[str, Any], **_: object) -> None:
        params["body"]["UserData"] = "%%%"

    account.ec2.meta.events.register("before-call.ec2.RunInstances", spoil)
    assert refused(account.run) == ("InvalidUserData.Malformed", 400)


def test_nested_virtualization_on_a_type_that_has_it(account: Account) -> None:
    account.run(InstanceType="c8i.large", CpuOptions={"NestedVirtualization": "enabled"})


def test_an_image_that_a_parameter_names(account: Account) -> None:
    parameter = "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id"
    account.run(ImageId=f"resolve:ssm:{parameter}")
    [made] = [one for found in account.ec2.describe_instances()["Reservations"] for one in found["Instances"]]
    assert made["ImageId"] == "ami-0ab24040000000002"


def test_a_wrong_key_secret_or_region_is_an_auth_failure(simulator: Ec2Simulator) -> None:
    for change in ({"aws_access_key_id": "AKIDOTHER"}, {"aws_secret_access_key": "x"}, {"region_name": "us-east-1"}):
        assert refused(Account(simulator, **change).run) == ("AuthFailure", 401)
    reply = requests.post(simulator.url, data={"Action": "RunInstances"}, timeout=5)
    assert (reply.status_code, "<Code>AuthFailure</Code>" in reply.text) == (401, True)
    assert simulator.secret_access_key not in reply.text
    assert simulator.machines == []


def test_describe_by_id_and_by_filters(account: Account) -> None:
    one = account.running(TagSpecifications=tags(owner="a", host="1"), ClientToken="t-1")
    account.simulator.knobs.provisioning = 60
    two = account.run(TagSpecifications=tags(owner="a", host="2"), SubnetId="subnet-0defa000000000001")
    assert account.ids(InstanceIds=[two, one]) == [two, one]
    assert account.by("tag:owner", "a") == [one, two]
    assert account.by("tag:owner", "b") == []
    assert account.by("tag:host", "1", "2") == [one, two]
    assert account.by("tag:host", "?") == [one, two]
    assert account.by("tag-key", "ow*") == [one, two]
    assert account.by("client-token", "t-1") == [one]
    assert account.by("instance-id", two) == [two]
    assert account.by("availability-zone", "*b") == [two]
    assert account.by("instance-state-name", "running") == [one]
    both = [{"Name": "tag:owner", "Values": ["a"]}, {"Name": "tag:host", "Values": ["2"]}]
    assert account.ids(Filters=both) == [two]
    assert refused(lambda: account.by("colour", "red")) == ("InvalidParameterValue", 400)


def test_pages_follow_their_token(account: Account) -> None:
    made = account.ec2.run_instances(**account.order(MinCount=12, MaxCount=12))["Instances"]
    pages = list(account.ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5}))
    sizes = [sum(len(group["Instances"]) for group in page["Reservations"]) for page in pages]
    assert sizes == [5, 5, 2]
    assert account.ids() == [one["InstanceId"] for one in made]
    assert refused(lambda: account.ids(MaxResults=2)) == ("InvalidParameterValue", 400)
    assert refused(lambda: account.ids(NextToken="x")) == ("InvalidNextToken", 400)
    with_ids = {"InstanceIds": [made[0]["InstanceId"]], "MaxResults": 5}
    assert refused(lambda: account.ids(**with_ids)) == ("InvalidParameterCombination", 400)


def test_unknown_and_malformed_ids(account: Account) -> None:
    assert refused(lambda: account.get("i-00000000000000000")) == ("InvalidInstanceID.NotFound", 400)
    assert refused(lambda: account.get("edge1")) == ("InvalidInstanceID.Malformed", 400)
    one = account.run()
    both = [one, "i-00000000000000000"]
    assert refused(lambda: account.ec2.terminate_instances(InstanceIds=both))[0] == "InvalidInstanceID.NotFound"
    assert account.get(one)["State"]["Name"] != "shutting-down"


def test_terminating_works_at_once_and_twice_and_is_remembered(account: Account) -> None:
    account.simulator.knobs.slow_delete = 0.2
    one = account.run()
    change = account.ec2.terminate_instances(InstanceIds=[one])["TerminatingInstances"][0]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("pending", "shutting-down")
    last = account.until(one, "terminated")
    assert last["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert "PublicIpAddress" not in last
    again = account.ec2.terminate_instances(InstanceIds=[one])["TerminatingInstances"][0]
    assert again["CurrentState"]["Name"] == "terminated"
    (known,) = account.simulator.machines
    assert (known["state"], known["deleted"] is None) == ("gone", False)


def test_a_terminated_instance_is_forgotten_after_a_while(account: Account) -> None:
    account.simulator.knobs.terminated_shown = 0.3
    one = account.run()
    account.terminate(one)
    wait_for(lambda: account.ids() == [])
    assert refused(lambda: account.get(one))[0] == "InvalidInstanceID.NotFound"


def test_a_protected_instance_is_not_terminated_until_it_is_freed(account: Account) -> None:
    one = account.run(DisableApiTermination=True)
    assert refused(lambda: account.terminate(one)) == ("OperationNotPermitted", 400)
    account.ec2.modify_instance_attribute(InstanceId=one, DisableApiTermination={"Value": False})
    account.terminate(one)


def test_power(account: Account) -> None:
    account.simulator.knobs.change({"stopping": 0.1, "starting": 0.1, "provisioning": 0.2})
    one = account.run()
    assert refused(lambda: account.ec2.stop_instances(InstanceIds=[one])) == ("IncorrectInstanceState", 400)
    account.until(one, "running")
    assert account.ec2.start_instances(InstanceIds=[one])["StartingInstances"][0]["CurrentState"]["Name"] == "running"
    account.ec2.reboot_instances(InstanceIds=[one])
    assert account.get(one)["State"]["Name"] == "running"
    assert account.ec2.stop_instances(InstanceIds=[one])["StoppingInstances"][0]["CurrentState"]["Name"] == "stopping"
    stopped = account.until(one, "stopped")
    assert "PublicIpAddress" not in stopped
    assert stopped["PrivateIpAddress"]
    assert refused(lambda: account.ec2.reboot_instances(InstanceIds=[one])) == ("IncorrectInstanceState", 400)
    account.ec2.start_instances(InstanceIds=[one])
    account.until(one, "running")


def test_the_console_shows_the_host_key_once_the_instance_has_booted(account: Account) -> None:
    account.simulator.knobs.provisioning = 0.1
    one = account.run(UserData=USER_DATA)
    assert "Output" not in account.ec2.get_console_output(InstanceId=one)
    account.until(one, "running")
    lines = account.ec2.get_console_output(InstanceId=one)["Output"].splitlines()
    start = lines.index("-----BEGIN SSH HOST KEY KEYS-----")
    assert lines[start + 1 : start + 3] == [f"ssh-ed25519 AAAAC3Nza root@{one}", "-----END SSH HOST KEY KEYS-----"]


def test_tags_can_be_added_and_described(account: Account) -> None:
    one = account.run(TagSpecifications=tags(owner="a"))
    account.ec2.create_tags(Resources=[one], Tags=[{"Key": "owner", "Value": "b"}, {"Key": "x", "Value": ""}])
    assert account.get(one)["Tags"] == [{"Key": "owner", "Value": "b"}, {"Key": "x", "Value": ""}]
    shown = account.ec2.describe_tags(Filters=[{"Name": "key", "Values": ["owner"]}])["Tags"]
    assert shown == [{"ResourceId": one, "ResourceType": "instance", "Key": "owner", "Value": "b"}]


def test_the_catalogue(account: Account) -> None:
    (metal,) = account.ec2.describe_instance_types(InstanceTypes=["c5.metal"])["InstanceTypes"]
    assert (metal["BareMetal"], metal["VCpuInfo"]["DefaultVCpus"], metal["MemoryInfo"]["SizeInMiB"]) == (
        True,
        96,
        196608,
    )
    metals = account.ec2.describe_instance_types(Filters=[{"Name": "bare-metal", "Values": ["true"]}])["InstanceTypes"]
    assert all(one["InstanceType"].partition(".")[2].startswith("metal") for one in metals)
    images = account.ec2.describe_images(Filters=[{"Name": "name", "Values": ["debian-12-*"]}])["Images"]
    assert [one["ImageId"] for one in images] == [account.simulator.image]
    assert account.simulator.region in [one["RegionName"] for one in account.ec2.describe_regions()["Regions"]]
    zones = [one["ZoneName"] for one in account.ec2.describe_availability_zones()["AvailabilityZones"]]
    assert zones == [f"{account.simulator.region}{letter}" for letter in "abc"]
