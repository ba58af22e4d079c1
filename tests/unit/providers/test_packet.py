"""What is special to packet: bodies, states, pages, and 403 for what is gone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.providers import CANARY, OWNER, FakeClock, entry
from tests.support.scripted_http import Scripted, ScriptedServer

from hybrid_drivers.errors import (
    ConfigError,
    CredentialsRejected,
    MachineGone,
    OutcomeUnknown,
    PermanentError,
    TransientError,
    WrongState,
)
from hybrid_drivers.model import Address, CreateRequest, MachineState, MachineTags
from hybrid_drivers.providers.base import Setting
from hybrid_drivers.providers.packet import states
from hybrid_drivers.providers.packet.provider import PacketProvider
from hybrid_drivers.secret import Secret

TAGS = MachineTags(owner=OWNER, host_id=7, token="t-1", name="edge1")
DEVICE = {
    "id": "d1",
    "state": "active",
    "hostname": "edge1",
    "tags": [f"one-owner={OWNER}", "one-host=7", "one-token=t-1", "one-name=edge1", "mine", "a=b"],
    "plan": {"slug": "c3.small.x86"},
    "metro": {"code": "am"},
    "facility": {"code": "ams1"},
    "created_at": "2023-11-14T22:13:20Z",
    "provisioning_percentage": 100,
    "root_password": CANARY,
    "ip_addresses": [
        {"address": "203.0.113.4", "address_family": 4, "public": True, "cidr": 31, "gateway": "203.0.113.5"},
        {"address": "2001:db8::1", "address_family": 6, "public": True, "cidr": 127, "gateway": "2001:db8::"},
        {"address": "10.1.2.3", "address_family": 4, "public": False, "cidr": 31, "gateway": "10.1.2.2"},
    ],
}
ATTRIBUTES = {"PLAN": "c3.small.x86, m3.small.x86", "METRO": "am,da", "OS": "debian_12"}
LISTED = Scripted(body={"devices": [], "meta": {"current_page": 1, "last_page": 1, "next": None}})


def provider(url: str = "http://127.0.0.1:9") -> PacketProvider:
    settings: dict[str, Setting] = {"token": Secret(CANARY), "project": "p/1", "endpoint": url}
    return PacketProvider(entry("packet", settings), clock=FakeClock(), state_dir=Path("/nonexistent"))


def created_body(attributes: dict[str, str], user_data: str = "#cloud-config\n") -> dict[str, object]:
    with ScriptedServer(Scripted(status=201, body=DEVICE)) as server:
        one = provider(server.url)
        one.create(
            CreateRequest(
                token="t-1",
                tags=TAGS,
                hostname="edge1",
                placement=one.placements(attributes)[0],
                attributes=attributes,
                user_data=user_data,
            )
        )
        method, path, _, body = server.seen[0]
    assert (method, path) == ("POST", "/projects/p%2F1/devices")
    found = json.loads(body)
    assert isinstance(found, dict)
    return found


def test_a_device_is_read_whole() -> None:
    machine = states.machine(DEVICE)
    assert (machine.id, machine.state, machine.tags) == ("d1", MachineState.RUNNING, TAGS)
    assert (machine.plan, machine.place, machine.hostname) == ("c3.small.x86", "am", "edge1")
    assert (machine.created, machine.progress) == (1_700_000_000.0, 100.0)
    assert machine.addresses[0] == Address(
        address="203.0.113.4", family=4, public=True, prefix=31, gateway="203.0.113.5"
    )
    assert machine.address() == "203.0.113.4"
    assert machine.address(prefer_private=True) == "10.1.2.3"
    assert CANARY not in repr(machine)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("queued", MachineState.STARTING),
        ("provisioning", MachineState.STARTING),
        ("reinstalling", MachineState.STARTING),
        ("powering_on", MachineState.STARTING),
        ("active", MachineState.RUNNING),
        ("powering_off", MachineState.STOPPING),
        ("inactive", MachineState.STOPPED),
        ("failed", MachineState.FAILED),
        ("deprovisioning", MachineState.DELETING),
        ("a word of tomorrow", MachineState.UNKNOWN),
    ],
)
def test_state_words(word: str, state: MachineState) -> None:
    machine = states.machine({"id": "d1", "state": word})
    assert machine.state is state
    assert bool(machine.failure) is (state is MachineState.FAILED)


@pytest.mark.parametrize(
    "odd", [None, [], {}, {"id": 5, "state": "active"}, {"id": "d1"}, {"id": "", "state": "active"}]
)
def test_a_device_without_id_or_state_is_no_device(odd: object) -> None:
    with pytest.raises(ValueError, match="device"):
        states.machine(odd)


def test_odd_fields_do_not_break_a_device() -> None:
    odd = {
        "tags": "x",
        "ip_addresses": [None, {"address": 5}],
        "plan": "x",
        "metro": None,
        "created_at": 5,
        "hostname": None,
    }
    machine = states.machine({"id": "d1", "state": "active", **odd})
    assert (machine.tags, machine.addresses, machine.plan, machine.created) == (None, (), "", None)


def test_the_body_of_a_create() -> None:
    assert created_body(ATTRIBUTES) == {
        "hostname": "edge1",
        "plan": "c3.small.x86",
        "operating_system": "debian_12",
        "metro": "am",
        "billing_cycle": "hourly",
        "tags": states.tag_list(TAGS),
        "no_ssh_keys": True,
        "userdata": "#cloud-config\n",
    }


def test_the_body_with_everything_of_5_12_and_more() -> None:
    body = created_body(
        {
            "PLAN": "c3.small.x86",
            "FACILITY": "ams1",
            "OS": "debian_12",
            "BILLING_CYCLE": "monthly",
            "TAGS": "a, b=c",
            "HARDWARE_RESERVATION": "next-available",
            "USERDATA": "#cloud-config\nmine: 1\n",
            "CUSTOMDATA": '{"rack": "a1"}',
            "SPOT_INSTANCE": "yes",
            "SPOT_PRICE_MAX": "0.5",
            "TERMINATION_TIME": "2026-01-01T00:00:00Z",
            "PROJECT_SSH_KEYS": "k1,k2",
        },
        user_data="",
    )
    assert body["facility"] == ["ams1"]
    assert "metro" not in body
    assert "no_ssh_keys" not in body
    assert body["tags"] == [*states.tag_list(TAGS), "a", "b=c"]
    assert body["userdata"] == "#cloud-config\nmine: 1\n"
    assert body["customdata"] == {"rack": "a1"}
    assert (body["hardware_reservation_id"], body["billing_cycle"]) == ("next-available", "monthly")
    assert (body["spot_instance"], body["spot_price_max"]) == (True, 0.5)
    assert body["project_ssh_keys"] == ["k1", "k2"]


def test_placements_are_plans_by_places() -> None:
    found = [(one.plan, one.place) for one in provider().placements(ATTRIBUTES)]
    assert found == [
        ("c3.small.x86", "am"),
        ("c3.small.x86", "da"),
        ("m3.small.x86", "am"),
        ("m3.small.x86", "da"),
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"METRO": ""}, "needs METRO or FACILITY"),
        ({"FACILITY": "ams1"}, "and not both"),
        ({"PLAN": ""}, "PROVISION lacks PLAN"),
        ({"OS": "", "PLAN": ""}, "lacks PLAN .*; PROVISION lacks OS"),
        ({"PLAN": ","}, "must each name at least one"),
        ({"PLANS": "x"}, "unknown key 'PLANS' .*did you mean 'PLAN'"),
        ({"PACKET_TOKEN": "x"}, "PACKET_TOKEN belongs into the provider entry"),
        ({"CUSTOMDATA": "[1]"}, "CUSTOMDATA must be a JSON object"),
        ({"SPOT_INSTANCE": "perhaps"}, "SPOT_INSTANCE must be YES or NO"),
        ({"SPOT_PRICE_MAX": "cheap"}, "SPOT_PRICE_MAX must be a number"),
        ({"HARDWARE_RESERVATION": "a", "HARDWARE_RESERVATION_ID": "b"}, "mean the same and differ"),
    ],
)
def test_wrong_attributes_are_named_before_anything_is_sent(change: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        provider().placements({**ATTRIBUTES, **change})


def test_a_created_device_that_cannot_be_read_must_be_looked_up() -> None:
    with ScriptedServer(Scripted(status=201, body={"href": "/x"})) as server:
        one = provider(server.url)
        request = CreateRequest(
            token="t", tags=TAGS, hostname="e", placement=one.placements(ATTRIBUTES)[0], attributes=ATTRIBUTES
        )
        with pytest.raises(OutcomeUnknown, match="must be looked up"):
            one.create(request)


@pytest.mark.parametrize("status", [403, 404])
def test_gone_is_believed_when_the_project_can_be_listed(status: int) -> None:
    with ScriptedServer(Scripted(status=status, body={"errors": ["no"]}), LISTED) as server:
        with pytest.raises(MachineGone):
            provider(server.url).get("d1")
        assert [path for _, path, _, _ in server.seen] == ["/devices/d1", "/projects/p%2F1/devices?per_page=1"]


@pytest.mark.parametrize(
    ("second", "expected"),
    [(401, CredentialsRejected), (403, CredentialsRejected), (404, PermanentError), (500, TransientError)],
)
def test_gone_is_not_believed_otherwise(second: int, expected: type[Exception]) -> None:
    answers = (Scripted(status=403), Scripted(status=second))
    for verb in ("get", "delete", "reboot"):
        with ScriptedServer(*answers) as server, pytest.raises(expected):
            getattr(provider(server.url), verb)("d1")


def test_a_list_without_devices_is_no_empty_list() -> None:
    bodies: list[object] = [{}, [], {"devices": None}, {"devices": [{"id": "d1"}]}]
    for body in bodies:
        with ScriptedServer(Scripted(body=body)) as server, pytest.raises(TransientError):
            provider(server.url).list(OWNER)


def test_a_list_is_filtered_again_and_shows_each_device_once() -> None:
    other = {**DEVICE, "id": "d2", "tags": [f"one-owner={OWNER}0"]}
    first = {"devices": [DEVICE, other], "meta": {"last_page": 2}}
    second = {"devices": [DEVICE, {**DEVICE, "id": "d3"}], "meta": {"last_page": 2}}
    with ScriptedServer(Scripted(body=first), Scripted(body=second)) as server:
        assert [one.id for one in provider(server.url).list(OWNER)] == ["d1", "d3"]
        assert "tag=one-owner%3D" in server.seen[0][1]
        assert "per_page=1000&page=2" in server.seen[1][1]


def test_a_delete_that_is_refused_is_a_success_only_while_it_goes() -> None:
    refused = Scripted(status=422, body={"errors": ["Cannot delete"]})
    with ScriptedServer(refused, Scripted(body={**DEVICE, "state": "deprovisioning"})) as server:
        provider(server.url).delete("d1")
    with (
        ScriptedServer(refused, Scripted(body={**DEVICE, "state": "provisioning"})) as server,
        pytest.raises(WrongState),
    ):
        provider(server.url).delete("d1")


def test_ids_cannot_reach_other_paths() -> None:
    with ScriptedServer(Scripted(status=404), LISTED) as server:
        provider(server.url).delete("../projects/p1?x=/#")
        assert server.seen[0][1] == "/devices/..%2Fprojects%2Fp1%3Fx%3D%2F%23"
        with pytest.raises(PermanentError, match="empty device id"):
            provider(server.url).delete(" ")


def test_actions() -> None:
    with ScriptedServer(Scripted(status=202)) as server:
        one = provider(server.url)
        one.power_on("d1")
        one.power_off("d1")
        one.reboot("d1")
        one.reset("d1")
        assert [json.loads(body)["type"] for *_, body in server.seen] == ["power_on", "power_off", "reboot", "reboot"]
        assert {path for _, path, _, _ in server.seen} == {"/devices/d1/actions"}
