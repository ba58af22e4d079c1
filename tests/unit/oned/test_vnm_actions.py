"""The recorded messages of network drivers, and what is refused."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.oned import vnm_actions as actions
from hybrid_drivers.oned.process import Call
from hybrid_drivers.oned.xml import with_values

RECORDED = Path(__file__).parents[2] / "data/oned-7.4/actions"


def call(action: str, document: bytes, *argv: str, driver: str = "packet") -> Call:
    stdin = base64.b64encode(document) + b"\n"
    return Call(family="vnm", driver=driver, action=action, argv=argv, stdin=stdin)


def recorded(name: str) -> Call:
    """The cards of the recorded messages have VN_MAD packet."""
    argv = {one["name"]: one for one in json.loads((RECORDED / "index.json").read_text())}[f"vnm.{name}"]["argv"]
    return call(name.partition(".")[0], (RECORDED / f"vnm.{name}.xml").read_bytes(), *argv)


def test_a_post() -> None:
    found = actions.parse_vnm(recorded("post"))
    assert isinstance(found, actions.Post)
    assert (found.vm_id, found.host, found.host_id, found.host_name) == (4, "h1", 2, "h1")
    nic, alias = found.cards
    assert (nic.kind, nic.nic_id, nic.network_id, nic.range_id, nic.ip) == ("NIC", 0, 1, 0, "192.168.150.5")
    assert (alias.kind, alias.nic_id, alias.network_id, alias.ip) == ("NIC_ALIAS", 1, 2, "198.51.100.8")
    assert found.concerned == found.cards


def test_an_attached_card_is_the_only_one_concerned() -> None:
    found = actions.parse_vnm(recorded("post.nic_attach"))
    assert isinstance(found, actions.Post)
    assert [one.nic_id for one in found.cards] == [0, 1, 2]
    assert [one.nic_id for one in found.concerned] == [2]


def test_a_card_of_another_driver_concerns_none_of_ours_but_its_aliases() -> None:
    """oned has all drivers of a machine clean up when a card is detached: ours must keep what stays."""
    document = recorded("post").stdin
    text = base64.b64decode(document).decode()
    nic, marked = "<NIC><ALIAS_IDS>", "<NIC><ATTACH>YES</ATTACH><ALIAS_IDS>"
    bridge = text.replace("<VN_MAD><![CDATA[packet]]></VN_MAD></NIC>", "<VN_MAD>bridge</VN_MAD></NIC>")
    found = actions.parse_vnm(call("clean", bridge.replace(nic, marked).encode(), "h1"))
    assert isinstance(found, actions.Clean)
    assert [(one.kind, one.nic_id) for one in found.concerned] == [("NIC_ALIAS", 1)]
    other = bridge.replace(nic, marked).replace("<PARENT_ID><![CDATA[0]]>", "<PARENT_ID><![CDATA[5]]>")
    found = actions.parse_vnm(call("clean", other.encode(), "h1"))
    assert isinstance(found, actions.Clean)
    assert (len(found.cards), found.concerned) == (1, ())


def test_a_clean() -> None:
    found = actions.parse_vnm(recorded("clean"))
    assert isinstance(found, actions.Clean)
    assert (found.vm_id, found.host, [one.mac for one in found.cards]) == (
        4,
        "h1",
        ["02:00:c0:a8:96:05", "02:00:c6:33:64:08"],
    )


def test_a_new_network() -> None:
    found = actions.parse_vnm(recorded("vnet_create"))
    assert type(found) is actions.CreateNetwork
    assert (found.vnet_id, [one["IPAM_MAD"] for one in found.ranges]) == (2, ["packet"])
    assert "tok" not in repr(found)


def test_cards_of_other_drivers_are_passed_over() -> None:
    document = (RECORDED / "vnm.post.xml").read_bytes()
    found = actions.parse_vnm(call("post", document, "one-4", "h1", driver="hybrid"))
    assert isinstance(found, actions.Post)
    assert found.cards == ()


def test_cards_get_elements() -> None:
    document = (RECORDED / "vnm.post.xml").read_bytes()
    once = with_values(document, "it", {("NIC_ALIAS", "1"): {"HYBRID_ADDRESS": "10.0.0.9"}})
    assert once.count(b"<HYBRID_ADDRESS>10.0.0.9</HYBRID_ADDRESS></NIC_ALIAS>") == 1
    again = with_values(once, "it", {("NIC_ALIAS", "1"): {"HYBRID_ADDRESS": "10.0.0.8"}})
    assert again == once.replace(b"10.0.0.9", b"10.0.0.8")


BAD = [
    ("pre", b"<VM><ID>4</ID></VM>", (), "no action 'pre' in 'vnm'"),
    ("post", b"<VM><ID>4</ID></VM>", ("h1",), "1 arguments, expected <deploy id> <host>"),
    ("clean", b"<VM><ID>4</ID></VM>", (), "0 arguments, expected <host>"),
    ("clean", b"<VNET><ID>4</ID></VNET>", ("h1",), "is a <VNET>, expected <VM>"),
    ("clean", b"<VM><ID>four</ID></VM>", ("h1",), "VM/ID is 'four', expected a whole number"),
    (
        "clean",
        b"<VM><ID>4</ID><TEMPLATE><NIC><VN_MAD>packet</VN_MAD><NIC_ID>0</NIC_ID></NIC></TEMPLATE></VM>",
        ("h1",),
        "NIC/NETWORK_ID is missing",
    ),
    ("vnet_create", b"<VNET><ID>4</ID></VNET>", (), "0 arguments, expected <vnet id>"),
    ("vnet_create", b"<VNET><ID>4</ID></VNET>", ("5",), "called for network 5, but .* is of 4"),
    ("vnet_delete", b"<VNET><ID>4</ID><VN_MAD>bridge</VN_MAD></VNET>", ("4",), "of VN_MAD 'bridge'"),
]


@pytest.mark.parametrize(("action", "document", "argv", "sentence"), BAD)
def test_what_is_refused(action: str, document: bytes, argv: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        actions.parse_vnm(call(action, document, *argv))


def test_standard_input_must_be_base64() -> None:
    with pytest.raises(ConfigError, match="is not base64"):
        actions.parse_vnm(Call(family="vnm", driver="hybrid", action="clean", argv=("h1",), stdin=b"<VM/>"))
