"""The documents hooks are handed, and who would give machines their addresses."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from hybrid_drivers.oned.hook_actions import read_machine
from hybrid_drivers.oned.process import Call

ACTIVE, DONE, POWEROFF = 3, 6, 8
RUNNING, HOTPLUG_NIC = 3, 25
NIC_ATTACH, NIC_DETACH, ALIAS_ATTACH, ALIAS_DETACH = 23, 24, 46, 47


def card(number: int, *, kind: str = "NIC", vn_mad: str = "hybrid", **more: str) -> str:
    """Return a card's element; its address ends in its number unless ``IP`` says otherwise."""
    told = {
        "AR_ID": "0",
        "IP": f"198.51.100.{number}",
        "NETWORK_ID": "2",
        "NIC_ID": str(number),
        "VN_MAD": vn_mad,
        **more,
    }
    inner = "".join(f"<{key}><![CDATA[{told[key]}]]></{key}>" for key in sorted(told))
    return f"<{kind}>{inner}</{kind}>"


def alias(number: int, parent: int, **more: str) -> str:
    return card(number, kind="NIC_ALIAS", PARENT_ID=str(parent), **more)


def machine(
    state: int, lcm: int, *cards: str, host: str = "edge1", actions: Sequence[int] = (0,), vm_id: int = 7
) -> bytes:
    """Return ``<VM>``: one record of history an action, all on ``host`` (empty: no history)."""
    records = "".join(
        f"<HISTORY><OID>{vm_id}</OID><SEQ>{at}</SEQ><HOSTNAME>{host}</HOSTNAME><HID>1</HID><ACTION>{one}</ACTION></HISTORY>"
        for at, one in enumerate(actions)
    )
    history = f"<HISTORY_RECORDS>{records}</HISTORY_RECORDS>" if host else "<HISTORY_RECORDS/>"
    return (
        f"<VM><ID>{vm_id}</ID><NAME>ä</NAME><STATE>{state}</STATE><LCM_STATE>{lcm}</LCM_STATE>"
        f"<TEMPLATE>{''.join(cards)}</TEMPLATE>{history}</VM>"
    ).encode()


def call_info(*values: str, result: str = "1") -> bytes:
    """Return ``<CALL_INFO>`` of a call with these arguments behind the session."""
    parameters = "".join(
        f"<PARAMETER><POSITION>{at}</POSITION><TYPE>IN</TYPE><VALUE>{one}</VALUE></PARAMETER>"
        for at, one in enumerate(("oneadmin:****", *values), 1)
    )
    out = "<PARAMETER><POSITION>2</POSITION><TYPE>OUT</TYPE><VALUE>99</VALUE></PARAMETER>"
    return (
        f"<CALL_INFO><RESULT>{result}</RESULT><PARAMETERS>{out}{parameters}</PARAMETERS><EXTRA/></CALL_INFO>"
    ).encode()


def hook_call(document: bytes) -> Call:
    return Call(family="hooks", driver="alias_ip", action="alias_ip", stdin=base64.b64encode(document))


class Noted:
    """``VmAddresses`` that note what they were asked: ``(verb, ids of the cards it is about, host)``."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str], str]] = []

    def post(self, vm_document: bytes, host: str) -> None:
        self.asked.append(("post", about(vm_document), host))

    def clean(self, vm_document: bytes, host: str) -> None:
        self.asked.append(("clean", about(vm_document), host))


def about(vm_document: bytes) -> list[str]:
    """The cards a document is about: those that are plugged, or all."""
    cards = read_machine(vm_document, "the document").cards
    return [one.id for one in cards if one.attach] or [one.id for one in cards]
