"""Networks with addresses of a provider: the real executables, client and agent, run by the stand-in as oned does."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator

import pytest
from tests.support.lab import ONE_PROVIDER, PROVIDERS, no_secret_came_out, provider_of, quick_lab
from tests.support.ranges import Networks

from hybrid_drivers.agent.owner import ATTRIBUTE
from hybrid_drivers.errors import AllocateRefused, OnedError
from hybrid_drivers.model_addresses import AddressTags, ReserveRequest
from hybrid_drivers.providers.base import PublicAddresses

once = pytest.mark.parametrize("networks", ONE_PROVIDER, indirect=True)


@pytest.fixture(params=PROVIDERS)
def networks(request: pytest.FixtureRequest) -> Iterator[Networks]:
    with quick_lab(str(request.param)) as lab:
        yield Networks(lab)


@pytest.fixture
def packet() -> Iterator[Networks]:
    with quick_lab("packet") as lab:
        yield Networks(lab)


@pytest.fixture
def ec2() -> Iterator[Networks]:
    with quick_lab("ec2") as lab:
        yield Networks(lab)


def test_the_life_of_a_network(networks: Networks) -> None:
    vnet = networks.ready("public", networks.range(3, GATEWAY="192.0.2.254", SECURITY_GROUPS="0"))
    ar = networks.ar(vnet)
    assert (ar["SIZE"], ar["TYPE"], ar["GATEWAY"], ar["SECURITY_GROUPS"]) == ("3", "IP4", "192.0.2.254", "0")
    assert set(ar["DEPLOY_ID"].split(",")) == set(networks.blocks())
    assert len(networks.blocks()) == (3 if networks.driver == "ec2" else 1)
    first = ipaddress.IPv4Address(ar["IP"])
    vms = [networks.vm(vnet) for _ in range(3)]
    assert [networks.nic(vm)["IP"] for vm in vms] == [str(first + number) for number in range(3)]
    with pytest.raises(AllocateRefused, match="Cannot get IP/MAC lease"):
        networks.vm(vnet)
    networks.terminate(vms[1])
    networks.lab.wait(lambda: networks.used(vnet) == 2)
    again = networks.vm(vnet)
    assert networks.nic(again)["IP"] == str(first + 1)
    for vm in (vms[0], vms[2], again):
        networks.terminate(vm)
    networks.lab.wait(lambda: networks.used(vnet) == 0)
    networks.delete(vnet)
    assert networks.blocks() == {}


@once
def test_an_address_by_name(networks: Networks) -> None:
    vnet = networks.ready("public", networks.range(2))
    wanted = str(ipaddress.IPv4Address(networks.ar(vnet)["IP"]) + 1)
    vm = networks.vm(vnet, IP=wanted)
    assert networks.nic(vm)["IP"] == wanted
    assert networks.lab.frontend.events[-1].action == "ALLOCATE_ADDRESS"


@once
def test_many_ranges_share_nothing(networks: Networks) -> None:
    one = networks.ready("one", networks.range(2), networks.range(2))
    other = networks.ready("other", networks.range(1))
    networks.objects.add_address_range(one, networks.range(2))
    ars = [*networks.get(one).address_ranges, *networks.get(other).address_ranges]
    spans = [
        range(int(ipaddress.IPv4Address(ar["IP"])), int(ipaddress.IPv4Address(ar["IP"])) + int(ar["SIZE"]))
        for ar in ars
    ]
    assert len({number for span in spans for number in span}) == 7
    blocks = [block for ar in ars for block in ar["DEPLOY_ID"].split(",")]
    assert sorted(blocks) == sorted(networks.blocks())
    networks.objects.remove_address_range(one, 1)
    assert set(networks.blocks()) == {block for ar in (ars[0], ars[2], ars[3]) for block in ar["DEPLOY_ID"].split(",")}
    networks.delete(one)
    networks.delete(other)
    assert networks.blocks() == {}


def test_inline_credentials_become_a_document_and_are_echoed_nowhere(networks: Networks) -> None:
    entry = networks.lab.entry()
    for path in (networks.lab.location.etc / "providers.d").iterdir():
        path.unlink()
    if networks.driver == "packet":
        names = {"PACKET_TOKEN": "token", "PACKET_PROJECT": "project", "PACKET_ENDPOINT": "endpoint"}
    else:
        names = {"EC2_ACCESS": "access_key", "EC2_SECRET": "secret_key", "EC2_ENDPOINT": "endpoint"}
        names["REGION_NAME"] = "region"
    credentials = {key: str(entry[name]) for key, name in names.items()}
    vnet = networks.ready("public", networks.range(2, PROVIDER="", **credentials))
    ar = networks.ar(vnet)
    assert ar["PROVIDER"].startswith("inline-")
    assert not {"PACKET_TOKEN", "PACKET_PROJECT", "EC2_ACCESS", "EC2_SECRET"} & set(ar)
    assert networks.nic(networks.vm(vnet))["IP"] == ar["IP"]
    said = json.dumps([run.output for run in networks.lab.frontend.events]) + json.dumps(dict(ar))
    assert not [
        value for key, value in credentials.items() if key != "REGION_NAME" and "ENDPOINT" not in key and value in said
    ]
    other = networks.ready("again", networks.range(1, PROVIDER="", **credentials))
    assert networks.ar(other)["PROVIDER"] == ar["PROVIDER"]
    no_secret_came_out(networks.lab)


@once
def test_what_is_wrong_is_one_sentence_in_the_network(networks: Networks) -> None:
    wrong = {
        "there is no provider 'nobody'": {"PROVIDER": "nobody"},
        "SIZE must be a whole number from 1, not 'many'": {"SIZE": "many"},
        "TYPE must be one of": {"TYPE": "ETHER"},
        "names no provider: give it PROVIDER=": {"PROVIDER": ""},
    }
    if networks.driver == "packet":
        wrong["needs METRO or FACILITY"] = {"METRO": ""}
        wrong["SIZE must be from 1 to 256"] = {"SIZE": "257"}
    for number, (sentence, changes) in enumerate(wrong.items()):
        vnet = networks.make(f"wrong{number}", {key: v for key, v in {**networks.range(), **changes}.items() if v})
        assert sentence in networks.problem(vnet)
        networks.delete(vnet)
    assert networks.blocks() == {}


def test_a_quota_leaves_nothing_behind(networks: Networks) -> None:
    networks.lab.simulator.knobs.address_quota = 2
    vnet = networks.make("big", networks.range(4))
    assert "limit" in networks.problem(vnet)
    assert networks.blocks() == {}


def test_provider_troubles_are_told_and_leave_nothing(networks: Networks) -> None:
    knobs = networks.lab.simulator.knobs
    for number, status in enumerate((429, 500, 503)):
        knobs.change(
            {
                "error_rate": 1,
                "error_status": status,
                "error_calls": "ips" if networks.driver == "packet" else "Address",
            }
        )
        vnet = networks.make(f"trouble{number}", networks.range(1))
        assert "ec2" in networks.problem(vnet) or "packet" in networks.problem(vnet)
        knobs.error_rate = 0
        networks.delete(vnet)
        assert networks.blocks() == {}


def test_a_range_is_deleted_when_the_provider_lets_it(networks: Networks) -> None:
    vnet = networks.ready("public", networks.range(2))
    networks.lab.simulator.knobs.change({"error_rate": 1, "error_status": 503})
    with pytest.raises(OnedError):
        networks.objects.delete("vnet", vnet)
    assert networks.ar(vnet)["DEPLOY_ID"]
    networks.lab.simulator.knobs.error_rate = 0
    networks.delete(vnet)
    assert networks.blocks() == {}


def test_a_block_the_provider_lost_does_not_keep_its_network(networks: Networks) -> None:
    vnet = networks.ready("public", networks.range(2))
    provider = provider_of(networks.lab)
    assert isinstance(provider, PublicAddresses)
    for block in networks.ar(vnet)["DEPLOY_ID"].split(","):
        provider.release(block)
    networks.delete(vnet)


def test_a_lost_reply_is_adopted(networks: Networks) -> None:
    networks.lab.simulator.knobs.change({"lost_address_reply": 1, "list_lag": 0.3})
    vnet = networks.ready("public", networks.range(2))
    assert set(networks.ar(vnet)["DEPLOY_ID"].split(",")) == set(networks.blocks())


# --- IPv6 -------------------------------------------------------------------------------------------------------------


def test_both_families_at_packet(packet: Networks) -> None:
    vnet = packet.make("early", packet.range(2, TYPE="IP4_6"))
    assert "make a host first" in packet.problem(vnet)
    assert packet.blocks() == {}
    packet.lab.create("edge1")
    packet.lab.wait(lambda: packet.lab.made() == 1)
    one, other = (
        packet.ready(name, packet.range(2, TYPE=kind)) for name, kind in (("m", "IP4_6"), ("s", "IP4_6_STATIC"))
    )
    made, counted = packet.nic(packet.vm(one)), packet.nic(packet.vm(other))
    prefix = ipaddress.IPv6Network(f"{packet.ar(one)['GLOBAL_PREFIX']}/64")
    assert ipaddress.IPv6Address(made["IP6_GLOBAL"]) in prefix
    assert counted["IP6"] == packet.ar(other)["IP6"]
    assert ipaddress.IPv6Address(counted["IP6"]) not in prefix
    assert len(packet.public()) == 2


def test_ipv6_alone_is_had_by_name(ec2: Networks) -> None:
    vnet = ec2.ready("six", ec2.range(4, TYPE="IP6_STATIC", SUBNETID="subnet-0defa000000000000"))
    with pytest.raises(AllocateRefused):
        ec2.vm(vnet)
    first = ec2.ar(vnet)["IP6"]
    assert f'like IP6="{first}"' in ec2.lab.frontend.events[-1].output
    assert ec2.nic(ec2.vm(vnet, IP6=first))["IP6"] == first
    assert [one["kind"] for one in ec2.blocks().values()] == ["subnet"]


def test_both_families_at_ec2(ec2: Networks) -> None:
    vnet = ec2.ready("both", ec2.range(2, TYPE="IP4_6_STATIC", SUBNETID="subnet-0defa000000000001"))
    nic = ec2.nic(ec2.vm(vnet))
    assert nic["IP"] == ec2.ar(vnet)["IP"]
    assert ipaddress.IPv4Address(nic["IP"]) in ipaddress.IPv4Network("172.31.16.0/20")
    assert nic["IP6"] == ec2.ar(vnet)["IP6"]
    ec2.terminate(0)
    ec2.lab.wait(lambda: ec2.used(vnet) == 0)
    ec2.delete(vnet)
    assert ec2.blocks() == {}


def test_inside_addresses_are_where_the_operator_wants_them(ec2: Networks) -> None:
    own = ec2.ready("own", ec2.range(2, CIDR="10.9.0.0/29"))
    assert (ec2.ar(own)["IP"], len(ec2.ar(own)["EXTERNAL_IP"].split(","))) == ("10.9.0.1", 2)
    more = ec2.ready("more", ec2.range(3, CIDR="10.9.0.0/29"))
    assert ec2.ar(more)["IP"] == "10.9.0.3"
    full = ec2.make("full", ec2.range(2, CIDR="10.9.0.0/29"))
    assert "10.9.0.0/29 has no 2 free addresses in a row" in ec2.problem(full)
    anywhere = ec2.ready("anywhere", ec2.range(1))
    assert ipaddress.IPv4Address(ec2.ar(anywhere)["IP"]) in ipaddress.IPv4Network("100.64.0.0/16")


# --- what is left behind ----------------------------------------------------------------------------------------------


def test_the_collector_releases_what_no_range_names(networks: Networks) -> None:
    vnet = networks.ready("public", networks.range(1))
    kept = set(networks.blocks())
    provider, owner = provider_of(networks.lab), networks.lab.oned.zone(0).text(ATTRIBUTE)
    assert isinstance(provider, PublicAddresses)

    def left_behind(whose: str) -> str:
        tags = AddressTags(owner=whose, token="of-a-call-that-was-cut-off")
        return provider.reserve(ReserveRequest(tags=tags, family=4, size=1, attributes={"METRO": "am"})).id

    ours, theirs = left_behind(owner), left_behind("somebody-else")
    networks.ready("more", networks.range(1))  # so that there is a reason to look
    networks.lab.wait(lambda: ours not in networks.blocks())
    assert {theirs, *kept} < set(networks.blocks())
    assert networks.ar(vnet)["DEPLOY_ID"] in networks.blocks()
