"""The documents hooks are handed, read and changed."""

from __future__ import annotations

from base64 import b64encode

import pytest
from tests.support.hooks import (
    ACTIVE,
    ALIAS_DETACH,
    HOTPLUG_NIC,
    NIC_ATTACH,
    RUNNING,
    alias,
    call_info,
    card,
    hook_call,
    machine,
)

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.oned.hook_actions import CardCall, Changed, Machine, parse_hook, read_machine
from hybrid_drivers.oned.process import Call


def changed(document: bytes) -> Machine:
    found = parse_hook(hook_call(document))
    assert isinstance(found, Changed)
    return found.machine


def test_a_machine_that_runs() -> None:
    found = changed(machine(ACTIVE, RUNNING, card(0), alias(1, 0, vn_mad="alias_sdnat", IP6="2001:db8::1")))
    assert (found.id, found.state, found.lcm_state, found.host, found.detaching) == (7, 3, 3, "edge1", False)
    assert [(one.id, one.vn_mad, one.parent_id, one.attach) for one in found.cards] == [
        ("0", "hybrid", "", False),
        ("1", "alias_sdnat", "0", False),
    ]


def test_the_last_record_is_where_it_is_whatever_their_order() -> None:
    document = machine(ACTIVE, RUNNING, actions=(1, 0))
    new = document.replace(b"<SEQ>0</SEQ><HOSTNAME>edge1", b"<SEQ>2</SEQ><HOSTNAME>edge2")
    assert changed(new).host == "edge2"


def test_one_that_waits_is_nowhere() -> None:
    assert changed(machine(1, 0, card(0), host="")).host == ""


@pytest.mark.parametrize(
    ("actions", "detaching"),
    [((ALIAS_DETACH, 0), True), ((24, 0), True), ((24, NIC_ATTACH, 0), False), ((54, 0), False), ((0,), False)],
)
def test_what_was_done_last_is_in_the_history(actions: tuple[int, ...], detaching: bool) -> None:
    assert changed(machine(ACTIVE, HOTPLUG_NIC, actions=actions)).detaching is detaching


def test_a_document_is_handed_on_as_network_drivers_get_it() -> None:
    moved = machine(ACTIVE, RUNNING, card(0), alias(1, 0, ATTACH="YES"), actions=(1, 2, 0))
    whole = read_machine(moved.replace(b"<SEQ>2</SEQ><HOSTNAME>edge1", b"<SEQ>2</SEQ><HOSTNAME>edge2"), "it")
    told = whole.plugged({"0"})
    again = read_machine(told.document, "it")
    assert (again.cards, again.host) == (told.cards, "edge2")
    assert [one.attach for one in again.cards] == [True, False]
    assert told.document.count(b"<HISTORY>") == 1
    assert "ä".encode() in told.document


def test_aliases_go_with_their_card() -> None:
    whole = read_machine(machine(ACTIVE, HOTPLUG_NIC, card(0, ATTACH="YES"), card(1), alias(2, 0), alias(3, 1)), "it")
    gone = whole.unplugged()
    assert [one.id for one in gone.cards if one.attach] == ["0", "2"]
    assert read_machine(gone.document, "it").cards == gone.cards
    assert not any(one.attach for one in read_machine(gone.plugged().document, "it").cards)


@pytest.mark.parametrize(("result", "taken"), [("1", True), ("true", True), ("0", False)])
def test_a_call_for_a_card(result: str, taken: bool) -> None:
    found = parse_hook(hook_call(call_info("12", "3", result=result)))
    assert found == CardCall(vm_id=12, taken=taken)


def test_the_document_as_an_argument_as_512_had_it() -> None:
    document = b64encode(machine(ACTIVE, RUNNING)).decode()
    found = parse_hook(Call(family="hooks", driver="alias_ip", action="alias_ip", argv=("7", document)))
    assert isinstance(found, Changed)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (Call(family="hooks", driver="alias_ip", action="other"), "no action 'other'"),
        (Call(family="hooks", driver="alias_ip", action="alias_ip"), "ARGUMENTS_STDIN"),
        (Call(family="hooks", driver="alias_ip", action="alias_ip", stdin=b"<VM/>"), "not base64"),
        (hook_call(b"<HOST/>"), "is a <HOST>, expected <VM>"),
        (hook_call(b"no document"), "is not XML"),
        (hook_call(b""), "ARGUMENTS_STDIN"),
        (hook_call(b"<VM><ID>x</ID></VM>"), "VM/ID is 'x', expected a whole number"),
        (hook_call(b"<!DOCTYPE VM [<!ENTITY a 'b'>]><VM><ID>1</ID></VM>"), "document type"),
        (hook_call(b"<CALL_INFO><RESULT>1</RESULT></CALL_INFO>"), "names no virtual machine"),
        (hook_call(call_info("all")), "'all', expected a whole number"),
    ],
)
def test_what_is_no_hook_document_is_said(call: Call, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse_hook(call)
