"""The recorded messages of address ranges, and what is refused."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.oned import ipam_actions as actions
from hybrid_drivers.oned.process import Call

RECORDED = Path(__file__).parents[2] / "data/oned-7.4/actions"


def call(action: str, document: bytes, *argv: str, driver: str = "packet") -> Call:
    stdin = base64.b64encode(document) + b"\n"
    return Call(family="ipam", driver=driver, action=action, argv=argv or ("4",), stdin=stdin)


def recorded(action: str) -> Call:
    entries = {one["name"]: one for one in json.loads((RECORDED / "index.json").read_text())}
    argv = entries[f"ipam.{action}"]["argv"]
    return call(action, (RECORDED / f"ipam.{action}.xml").read_bytes(), *argv)


def test_a_registration() -> None:
    found = actions.parse_ipam(recorded("register_address_range"))
    assert type(found) is actions.Register
    assert (found.driver, found.request_id) == ("packet", "4")
    assert (found.ar["FACILITY"], found.ar["SIZE"], found.ar["PACKET_TOKEN"]) == ("ams1", "2", "tok")
    assert "tok" not in repr(found)


@pytest.mark.parametrize(
    ("action", "kind", "ip"),
    [
        ("get_address", actions.GetAddress, ""),
        ("allocate_address", actions.AllocateAddress, "198.51.100.9"),
        ("free_address", actions.FreeAddress, "198.51.100.9"),
    ],
)
def test_an_action_on_addresses(action: str, kind: type[actions.OnAddress], ip: str) -> None:
    found = actions.parse_ipam(recorded(action))
    assert type(found) is kind
    assert (found.ip, found.size, found.ar["DEPLOY_ID"]) == (ip, 1, "7f3c-block")


def test_a_range_that_goes_is_told_as_it_came() -> None:
    document = (RECORDED / "ipam.register_address_range.xml").read_bytes()
    assert type(actions.parse_ipam(call("unregister_address_range", document))) is actions.Unregister


RANGE = "<IPAM_DRIVER_ACTION_DATA><AR><IPAM_MAD>{}</IPAM_MAD></AR><ADDRESS>{}</ADDRESS></IPAM_DRIVER_ACTION_DATA>"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (call("nonsense", b"<X/>"), "no action 'nonsense'"),
        (call("get_address", b"<X/>"), "is a <X>"),
        (call("get_address", b"no xml"), "is not XML"),
        (call("get_address", RANGE.format("ec2", "").encode()), "for an address range of IPAM_MAD 'ec2'"),
        (call("get_address", RANGE.format("packet", "<SIZE>0</SIZE>").encode()), "SIZE is 0"),
        (call("get_address", RANGE.format("packet", "<SIZE>x</SIZE>").encode()), "expected a whole number"),
        (call("get_address", RANGE.format("packet", "").encode(), "1", "2"), "with 2 arguments"),
        (Call(family="ipam", driver="packet", action="get_address", argv=("1",), stdin=b"*"), "is not base64"),
    ],
)
def test_what_is_refused(wrong: Call, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        actions.parse_ipam(wrong)
