from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.packet_account import ORDER, Account, complaints
from tests.support.simulators import quick, wait_for

from hybrid_drivers.sandbox.machines.none import NoMachines
from hybrid_drivers.sandbox.packet_api import PacketSimulator

FIELDS = json.loads((Path(__file__).parents[2] / "data/packet/device-fields.json").read_text())
TYPES = {
    str: "string",
    bool: "boolean",
    list: "list",
    dict: "object",
    type(None): "null",
    int: "number",
    float: "number",
}


@pytest.fixture
def account() -> Iterator[Account]:
    simulator = PacketSimulator(NoMachines(), quick())
    simulator.start()
    one = Account(simulator)
    yield one
    one.session.close()
    simulator.stop()


def test_a_device_goes_from_queued_to_active_and_has_addresses_then(account: Account) -> None:
    account.knobs(queued=0.2)
    reply = account.call(
        "POST", account.devices, {**ORDER, "hostname": "edge1", "tags": ["one-host=7"], "userdata": "#!"}
    )
    assert reply.status_code == 201
    first = reply.json()
    assert (first["state"], first["ip_addresses"], first["provisioning_percentage"]) == ("queued", [], 0)
    assert account.get(first["id"])["ip_addresses"] == []
    last = account.until(first["id"], "active")
    assert (last["hostname"], last["tags"], last["userdata"]) == ("edge1", ["one-host=7"], "#!")
    kinds = [(one["address_family"], one["public"], one["cidr"]) for one in last["ip_addresses"]]
    assert kinds == [(4, True, 24), (6, True, 127), (4, False, 24)]
    assert last["root_password"]
    assert last["provisioning_percentage"] == 100


def test_every_documented_field_is_there_with_its_type(account: Account) -> None:
    device = account.get(account.active())
    meta = account.call("GET", account.devices).json()["meta"]
    parts = {"device": device, "ip_address": device["ip_addresses"][0], "meta": meta}
    parts |= {name: device[name] for name in ("operating_system", "plan", "metro", "facility")}
    for name, part in parts.items():
        for field, types in FIELDS[name].items():
            assert TYPES[type(part[field])] in types.split("|"), f"{name}.{field}"


@pytest.mark.parametrize("prefix", ["", "/metal/v1", "/"])
def test_paths_work_with_and_without_the_prefix(account: Account, prefix: str) -> None:
    assert account.call("GET", f"{prefix}{account.devices}").status_code == 200


def test_a_wrong_token_is_401_and_nothing_happens(account: Account) -> None:
    for headers in ({"X-Auth-Token": "wrong"}, {"X-Auth-Token": None}, {"X-Auth-Token": "\u00e9".encode()}):
        reply = account.call("POST", account.devices, ORDER, headers=headers)
        assert reply.status_code == 401
        assert account.simulator.token not in reply.text
    assert account.left() == []


def test_what_is_not_there_is_404(account: Account) -> None:
    assert account.call("GET", "/projects/other/devices").status_code == 404
    assert account.call("POST", "/projects/other/devices", ORDER).status_code == 404
    assert account.call("GET", "/devices/none").status_code == 404
    assert account.call("GET", "/nothing").status_code == 404
    assert account.call("DELETE", "/plans").status_code == 404


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"plan": ""}, "Plan can't be blank"),
        ({"plan": "c9.huge"}, "Plan c9.huge is not valid"),
        ({"operating_system": None}, "Operating system can't be blank"),
        ({"operating_system": "beos_5"}, "Operating system beos_5 is not valid"),
        ({"metro": ""}, "Facility can't be blank"),
        ({"metro": "zz"}, "Metro zz is not valid"),
        ({"facility": ["am6"]}, "Only one of facility and metro"),
        ({"metro": None, "facility": ["zz1"]}, "Facility zz1 is not valid"),
        ({"hostname": "under_score"}, "Hostname is invalid"),
        ({"tags": "one"}, "Tags is invalid"),
        ({"tags": [1]}, "Tags is invalid"),
        ({"customdata": "{"}, "Customdata is invalid"),
        ({"userdata": 5}, "Userdata must be a string"),
        ({"billing_cycle": "never"}, "Billing cycle"),
    ],
)
def test_wrong_orders_are_422_with_the_reason(account: Account, change: dict[str, object], complaint: str) -> None:
    reply = account.call("POST", account.devices, {**ORDER, **change})
    assert reply.status_code == 422
    assert complaint in complaints(reply)
    assert account.left() == []


def test_several_complaints_come_together_and_broken_json_is_one(account: Account) -> None:
    assert len(account.call("POST", account.devices, {}).json()["errors"]) == 3
    reply = account.call("POST", account.devices, data="{")
    assert (reply.status_code, complaints(reply)) == (422, "The body is not valid JSON")
    assert account.call("POST", account.devices, []).status_code == 422


def test_pages_are_ten_long_and_told_in_meta(account: Account) -> None:
    made = [account.create(hostname=f"h{number}") for number in range(23)]
    first = account.call("GET", account.devices).json()
    assert [one["id"] for one in first["devices"]] == made[:10]
    meta = first["meta"]
    assert (meta["total"], meta["current_page"], meta["last_page"], meta["previous"]) == (23, 1, 3, None)
    seen, link = [], meta["self"]["href"]
    while link:
        page = account.call("GET", link).json()
        seen += [one["id"] for one in page["devices"]]
        link = (page["meta"]["next"] or {}).get("href")
    assert seen == made
    assert account.listed(per_page="5000") == made
    assert account.listed(page="9") == []
    assert len(account.listed(page="x", per_page="-3")) == 10


def test_lists_can_be_narrowed(account: Account) -> None:
    one = account.create(hostname="edge1", tags=["one-owner=a", "one-host=1"])
    two = account.create(hostname="edge2", tags=["one-owner=a"], metro="da")
    three = account.create(hostname="other", metro=None, facility=["ny5"])
    assert account.listed() == [one, two, three]
    assert account.listed(tag="one-owner=a") == [one, two]
    assert account.listed(tag="one-owner") == []
    assert account.listed(hostname="edge1") == [one]
    assert account.listed(search="edge") == [one, two]
    assert account.listed(metro="da") == [two]
    assert account.get(three)["metro"]["code"] == "ny"
    assert account.get(three)["facility"]["code"] == "ny5"


def test_deleting_is_refused_while_provisioning_or_locked_and_then_final(account: Account) -> None:
    account.knobs(provisioning=0.2, slow_delete=0.2)
    device = account.create()
    reply = account.call("DELETE", f"/devices/{device}")
    assert (reply.status_code, complaints(reply)) == (422, "Cannot delete a device while it is provisioning")
    account.until(device, "active")
    assert account.call("PATCH", f"/devices/{device}", {"locked": True}).json()["locked"] is True
    assert account.call("DELETE", f"/devices/{device}").status_code == 422
    account.call("PATCH", f"/devices/{device}", {"locked": False})
    reply = account.call("DELETE", f"/devices/{device}?force_delete=true")
    assert (reply.status_code, reply.content) == (204, b"")
    assert account.get(device)["state"] == "deprovisioning"
    wait_for(lambda: account.call("GET", f"/devices/{device}").status_code == 404)
    assert account.listed() == []
    assert account.call("DELETE", f"/devices/{device}").status_code == 404
    (gone,) = account.call("GET", "/_sandbox/machines").json()["machines"]
    assert gone["state"] == "gone"
    assert gone["created"] < gone["deleted"] <= time.time()


def test_actions_switch_the_device(account: Account) -> None:
    account.knobs(stopping=0.1, starting=0.1, reinstalling=0.1)
    device = account.active()

    def act(kind: str) -> int:
        return account.call("POST", f"/devices/{device}/actions", {"type": kind}).status_code

    assert act("power_on") == 422
    assert act("explode") == 422
    assert act("power_off") == 202
    assert account.get(device)["state"] == "powering_off"
    account.until(device, "inactive")
    assert act("reboot") == 422
    assert act("power_on") == 202
    assert account.get(device)["state"] == "powering_on"
    account.until(device, "active")
    assert act("reboot") == 202
    assert act("reinstall") == 202
    assert account.get(device)["state"] == "reinstalling"
    account.until(device, "active")


def test_updates_are_checked_and_kept(account: Account) -> None:
    device = account.create()
    account.call("PUT", f"/devices/{device}", {"hostname": "new", "tags": ["x"], "customdata": {"a": 1}})
    shown = account.get(device)
    assert (shown["hostname"], shown["tags"], shown["customdata"]) == ("new", ["x"], {"a": 1})
    assert account.call("PATCH", f"/devices/{device}", {"hostname": "no space"}).status_code == 422
    assert account.listed(tag="x") == [device]


def test_the_catalogue(account: Account) -> None:
    (small,) = [one for one in account.call("GET", "/plans").json()["plans"] if one["slug"] == "c3.small.x86"]
    assert small["pricing"]["hour"] > 0
    assert small["specs"]["memory"]["total"] == "32GB"
    systems = account.call("GET", "/operating-systems").json()["operating_systems"]
    assert "debian_12" in [one["slug"] for one in systems]
    assert "am" in [one["code"] for one in account.call("GET", "/locations/metros").json()["metros"]]
    assert "am6" in [one["code"] for one in account.call("GET", "/facilities").json()["facilities"]]
    assert account.call("GET", f"/projects/{account.simulator.project}").json()["name"] == "sandbox"
