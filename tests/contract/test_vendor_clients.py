"""The vendors' own clients use the simulators: what they cannot read, or read as something else, we serve wrongly."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support import ec2_account
from tests.support.simulators import quick
from tests.support.vendor_venv import packet_python

from hybrid_drivers.sandbox.ec2_api import Ec2Simulator
from hybrid_drivers.sandbox.machines.none import NoMachines
from hybrid_drivers.sandbox.packet_api import PacketSimulator

SESSION = Path(__file__).parents[1] / "support/packet_python_session.py"


def certificate(folder: Path) -> Path:
    """Make a certificate for 127.0.0.1 with its key in one file: packet-python speaks only TLS."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sandbox")])
    today = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path = folder / "sandbox.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What packet-python's own objects said in one session."""
    interpreter = packet_python()
    pem = certificate(tmp_path_factory.mktemp("tls"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    simulator = PacketSimulator(NoMachines(), quick(queued=0.1), tls=tls)
    simulator.start()
    try:
        words = [str(interpreter), str(SESSION), urlsplit(simulator.url).netloc, simulator.token, simulator.project]
        env = {**os.environ, "REQUESTS_CA_BUNDLE": str(pem)}
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, env=env)
    finally:
        simulator.stop()
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def test_packet_python_reads_the_catalogue(told: Mapping[str, Any]) -> None:
    assert told["plans"]["c3.small.x86"] > 0
    assert "debian_12 debian 12" in told["systems"]
    assert told["metros"]["am"] == "NL"
    assert "am6" in told["facilities"]
    assert (told["projects"], told["project"], told["user"]) == (
        ["5a4d0b0c-0000-4000-8000-000000000001"],
        "sandbox",
        "Sandbox",
    )
    assert (told["capacity"], told["fits"], told["fits metro"]) == ("normal", True, True)


def test_packet_python_makes_and_follows_a_device(told: Mapping[str, Any]) -> None:
    assert told["made"] == ["queued", [], ["one-host=1"], "edge1", "debian_12", False]
    assert told["active"] == ["am", "c3.small.x86", 100, True]
    assert told["addresses"] == [[4, True, 24], [6, True, 127], [4, False, 24]]
    assert told["renamed"] == "edge2"


def test_packet_python_reads_lists_and_their_pages(told: Mapping[str, Any]) -> None:
    assert told["pages"] == [10, 13]
    assert told["by tag"] == [True]


def test_packet_python_reads_errors(told: Mapping[str, Any]) -> None:
    assert told["early delete"] == "Error 422: Cannot delete a device while it is provisioning"
    assert told["bad order"] == "Error 422: Plan c9.huge is not valid, Facility can't be blank"
    assert told["gone"] == "Error 404: Not found"
    assert told["wrong token"] == "Error 401: Invalid authentication token"


def test_packet_python_reserves_and_assigns_addresses(told: Mapping[str, Any]) -> None:
    ips = told["ips"]
    network = ips["reserved"][5]
    assert ips["reserved"] == [31, 4, True, ["one-owner=me"], "am", network]
    first = ipaddress.ip_network(f"{network}/31")
    assert ips["free"] == [f"{one}/32" for one in first]
    assert ips["listed"] == [["one-owner=me"]]
    assert ips["given"][0] == ips["free"][0]
    assert ips["given"][1].startswith("/devices/")
    assert ips["given"][2] is True
    assert ips["of device"] == [network]
    for word in ("twice", "not ours", "in use", "odd"):
        assert ips[word].startswith("Error 422: "), word
    assert ips["released"] == "Error 404: Not found"


# --- boto3 -----------------------------------------------------------------------------------------------------------


class Watched(ec2_account.Account):
    """A boto3 user that keeps the XML of every answer, to be compared with botocore's own model of the API."""

    def __init__(self, simulator: Ec2Simulator) -> None:
        super().__init__(simulator)
        self.answers: list[tuple[str, bytes]] = []
        self.ec2.meta.events.register("before-parse.ec2.*", self._keep)

    def _keep(self, operation_model: Any, response_dict: Mapping[str, Any], **_: object) -> None:
        self.answers.append((operation_model.name, response_dict["body"]))


@pytest.fixture
def account() -> Iterator[Watched]:
    simulator = Ec2Simulator(NoMachines(), quick())
    simulator.start()
    yield Watched(simulator)
    simulator.stop()


def unknown(element: ElementTree.Element, shape: Any, path: str) -> list[str]:
    """Return the paths of elements that botocore's model of the answer does not have."""
    if shape.type_name == "list":
        return [one for child in element for one in unknown(child, shape.member, f"{path}/item")]
    if shape.type_name != "structure":
        return [path for _ in element]
    members = {member.serialization.get("name", name): member for name, member in shape.members.items()}
    found = []
    for child in element:
        tag = child.tag.rpartition("}")[2]
        if tag in members:
            found += unknown(child, members[tag], f"{path}/{tag}")
        elif tag not in ("requestId", "return"):
            found.append(f"{path}/{tag}")
    return found


def use_everything(account: Watched) -> None:
    """Make every call of the simulator once."""
    ec2 = account.ec2
    order = {"TagSpecifications": ec2_account.tags(Name="edge1"), "UserData": ec2_account.USER_DATA, "ClientToken": "t"}
    metadata = {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    one = account.running(**order, MetadataOptions=metadata, InstanceMarketOptions={"MarketType": "spot"})
    use_the_spot_market(account, one)
    ec2.create_tags(Resources=[one], Tags=[{"Key": "a", "Value": "b"}])
    ec2.describe_tags()
    ec2.get_console_output(InstanceId=one)
    ec2.reboot_instances(InstanceIds=[one])
    ec2.modify_instance_attribute(InstanceId=one, DisableApiTermination={"Value": False})
    ec2.stop_instances(InstanceIds=[one])
    account.until(one, "stopped")
    ec2.start_instances(InstanceIds=[one])
    account.until(one, "running")
    use_addresses(ec2, one)
    ec2.terminate_instances(InstanceIds=[one])
    account.until(one, "terminated")
    for describe in ("instance_types", "images", "regions", "availability_zones", "instances"):
        getattr(ec2, f"describe_{describe}")()
    ec2.describe_instance_types(MaxResults=5)


def use_the_spot_market(account: Watched, instance: str) -> None:
    """Make every call about spot instances once."""
    ec2 = account.ec2
    account.simulator.knobs.change({"spot_price": "c5.metal@*=0.4", "spot_notice": 3600})
    (price, *_) = ec2.describe_spot_price_history(InstanceTypes=["c5.metal"])["SpotPriceHistory"]
    assert (price["SpotPrice"], price["ProductDescription"]) == ("0.400000", "Linux/UNIX")
    account.simulator.interrupt(instance)
    code = [{"Name": "status-code", "Values": ["instance-terminated-no-capacity"]}]
    (asked,) = ec2.describe_spot_instance_requests(Filters=code, MaxResults=5)["SpotInstanceRequests"]
    assert (asked["InstanceId"], asked["State"], asked["Type"]) == (instance, "closed", "one-time")
    assert account.get(instance)["SpotInstanceRequestId"] == asked["SpotInstanceRequestId"]


def use_addresses(ec2: Any, instance: str) -> None:
    """Make every call about addresses once."""
    specified = [{"ResourceType": "elastic-ip", "Tags": [{"Key": "a", "Value": "b"}]}]
    allocation = ec2.allocate_address(Domain="vpc", TagSpecifications=specified)["AllocationId"]
    attached = [{"Name": "attachment.instance-id", "Values": [instance]}]
    (interface,) = ec2.describe_network_interfaces(Filters=attached, MaxResults=5)["NetworkInterfaces"]
    here, subnet = interface["NetworkInterfaceId"], interface["SubnetId"]
    given = ec2.assign_private_ip_addresses(NetworkInterfaceId=here, SecondaryPrivateIpAddressCount=1)
    private = given["AssignedPrivateIpAddresses"][0]["PrivateIpAddress"]
    ec2.associate_address(AllocationId=allocation, NetworkInterfaceId=here, PrivateIpAddress=private)
    (address,) = ec2.describe_addresses(Filters=[{"Name": "tag:a", "Values": ["b"]}])["Addresses"]
    assert (address["InstanceId"], address["PrivateIpAddress"]) == (instance, private)
    ec2.describe_network_interfaces()
    ec2.disassociate_address(AssociationId=address["AssociationId"])
    ec2.unassign_private_ip_addresses(NetworkInterfaceId=here, PrivateIpAddresses=[private])
    ec2.release_address(AllocationId=allocation)
    (found,) = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"]
    network = ipaddress.IPv6Network(found["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"])
    part = str(next(network.subnets(new_prefix=80)))
    made = ec2.create_subnet_cidr_reservation(SubnetId=subnet, Cidr=part, ReservationType="explicit")
    reservation = made["SubnetCidrReservation"]["SubnetCidrReservationId"]
    (kept,) = ec2.get_subnet_cidr_reservations(SubnetId=subnet)["SubnetIpv6CidrReservations"]
    assert kept["Cidr"] == part
    ec2.assign_ipv6_addresses(NetworkInterfaceId=here, Ipv6Addresses=[str(network[9])])
    ec2.describe_network_interfaces(Filters=[{"Name": "ipv6-addresses.ipv6-address", "Values": [str(network[9])]}])
    ec2.unassign_ipv6_addresses(NetworkInterfaceId=here, Ipv6Addresses=[str(network[9])])
    ec2.delete_subnet_cidr_reservation(SubnetCidrReservationId=reservation)


def test_boto3_knows_every_element_we_serve(account: Watched) -> None:
    use_everything(account)
    model = account.ec2.meta.service_model
    called = {name for name, _ in account.answers}
    assert called == set(account.simulator.calls)
    assert len(called) == 30
    for name, body in account.answers:
        root = ElementTree.fromstring(body)
        assert root.tag == f"{{http://ec2.amazonaws.com/doc/2016-11-15/}}{name}Response"
        shape = model.operation_model(name).output_shape
        assert (unknown(root, shape, name) if shape else []) == []


def test_boto3_waits_with_its_own_waiters(account: Watched) -> None:
    one = account.run()
    quickly = {"Delay": 0, "MaxAttempts": 500}
    account.ec2.get_waiter("instance_running").wait(InstanceIds=[one], WaiterConfig=quickly)
    account.ec2.stop_instances(InstanceIds=[one])
    account.ec2.get_waiter("instance_stopped").wait(InstanceIds=[one], WaiterConfig=quickly)
    account.ec2.terminate_instances(InstanceIds=[one])
    account.ec2.get_waiter("instance_terminated").wait(InstanceIds=[one], WaiterConfig=quickly)


def test_boto3_reads_an_error_with_its_request_id(account: Watched) -> None:
    with pytest.raises(account.ec2.exceptions.ClientError) as caught:
        account.run(ImageId="ami-00000000000000000")
    answer = caught.value.response
    assert answer["Error"]["Code"] == "InvalidAMIID.NotFound"
    assert answer["ResponseMetadata"]["RequestId"]


def test_botocores_own_retries_pass_a_short_storm_and_make_one_instance(account: Watched) -> None:
    """The trap the driver avoids: botocore repeats RunInstances by itself, with the token it was given."""
    import boto3

    simulator = account.simulator
    patient: Any = boto3.client(
        "ec2",
        endpoint_url=simulator.url,
        region_name=simulator.region,
        aws_access_key_id=simulator.access_key_id,
        aws_secret_access_key=simulator.secret_access_key,
    )
    simulator.knobs.lost_reply = 1
    made = patient.run_instances(**account.order(ClientToken="t-1"))["Instances"][0]["InstanceId"]
    assert account.ids() == [made]
    assert simulator.calls["RunInstances"] == 2
