"""What the ``vnm`` executables of the front-end are asked to do, parsed once into frozen values.

Recorded from a real oned 7.4.0. The document of a virtual machine is made by ``one_vmm_exec.rb`` (``get_vnm_drivers``)
of the attributes it thinks network drivers need: each element stands in a TEMPLATE or HISTORY_RECORDS of its own. Cards
of all drivers are in it. The one record of the history is the last one, which during a migration is that of the new
host (``VirtualMachineManager.cc``, ``save_action``: the message names the previous host beside the same document).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Union

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.oned.fields import Node, filled, whole
from hybrid_drivers.oned.process import Call
from hybrid_drivers.oned.xml import MAX_INPUT, from_base64, parse

CARDS: Final = ("NIC", "NIC_ALIAS", "PCI")


@dataclass(frozen=True, kw_only=True)
class Card:
    """A card of our driver. ``kind`` is its element's name, ``ip6`` are the IPv6 addresses it may be reached at."""

    kind: str
    nic_id: int
    network_id: int
    range_id: int
    ip: str = ""
    ip6: tuple[str, ...] = ()
    mac: str = ""
    attach: bool = False  # it is the one that is attached or detached, or an alias of that


@dataclass(frozen=True, kw_only=True)
class OnMachine:
    """An action on the cards of a virtual machine; ``document`` is all of what oned tells of it.

    ``host`` is what oned calls the host in argv: after a live migration both ``clean`` and ``post`` get the **old** one
    (``one_vmm_exec.rb``, migrate). ``host_id`` and ``host_name`` are those of the last record of the history.
    """

    driver: str
    vm_id: int
    host: str
    host_id: int | None
    host_name: str
    cards: tuple[Card, ...]
    document: bytes = field(repr=False)
    hotplug: bool = False  # a card, perhaps of another driver, is attached or detached

    @property
    def concerned(self) -> tuple[Card, ...]:
        """Return the cards it is about: what is attached or detached, else all.

        All drivers of a machine are run, whichever card it is: that one may be none of ours (``one_vmm_exec.rb``). The
        aliases of a card that is detached go with it, unmarked (``VirtualMachine.cc``, delete_attach_alias).
        """
        return tuple(one for one in self.cards if one.attach) if self.hotplug else self.cards


@dataclass(frozen=True, kw_only=True)
class Post(OnMachine):
    """The machine runs (or a card was attached): let its addresses reach it."""


@dataclass(frozen=True, kw_only=True)
class Clean(OnMachine):
    """The machine has left ``host`` (or a card is detached): its addresses are no longer there."""


@dataclass(frozen=True, kw_only=True)
class OnNetwork:
    """An action on a network, which oned holds locked meanwhile; ``ranges`` are the address ranges asked for."""

    vnet_id: int
    ranges: tuple[Mapping[str, str], ...] = field(repr=False)


class CreateNetwork(OnNetwork):
    """A network was made; its ranges are registered by their own drivers afterwards (recorded)."""


class DeleteNetwork(OnNetwork):
    """A network is about to be deleted."""


NetworkAction = Union[Post, Clean, CreateNetwork, DeleteNetwork]


def parse_vnm(call: Call) -> NetworkAction:
    """Turn a call into what it asks for.

    Raises:
        ConfigError: there is no such action, or argv or standard input is not as it has to be.
    """
    read = ACTIONS.get(call.action)
    if not read:
        raise ConfigError(f"the hybrid drivers have no action '{call.action[:40]}' in 'vnm'")
    return read(call)


def _on_machine(kind: type[Post] | type[Clean], usage: str) -> Callable[[Call], NetworkAction]:
    def read(call: Call) -> NetworkAction:
        if len(call.argv) != len(usage.split("> <")):
            raise ConfigError(f"{_name(call)} was called with {len(call.argv)} arguments, expected {usage}")
        what = f"standard input of {_name(call)} (VM)"
        document = from_base64(call.stdin, what)
        node = parse(document, "VM", what, ConfigError, MAX_INPUT)
        records = node.nodes("HISTORY_RECORDS/HISTORY")
        plugged = {
            one.get("NIC_ID", str, "") for name in CARDS for one in node.nodes(f"TEMPLATE/{name}") if _attaches(one)
        }
        return kind(
            driver=call.driver,
            vm_id=node.need("ID", whole),
            host=call.argv[-1],
            host_id=next((int(one) for one in _values(records, "HID") if one.isdigit()), None),
            host_name=next(iter(_values(records, "HOSTNAME")), ""),
            cards=tuple(_cards(node, call.driver, plugged)),
            document=document,
            hotplug=bool(plugged),
        )

    return read


def _values(records: list[Node], name: str) -> list[str]:
    return [text for one in records if (text := one.get(name, str, ""))]


def _cards(node: Node, driver: str, plugged: Collection[str]) -> list[Card]:
    found = []
    for kind in CARDS:
        for one in node.nodes(f"TEMPLATE/{kind}"):
            if one.get("VN_MAD", str, "") == driver:
                attach = _attaches(one) or one.get("PARENT_ID", str, "") in plugged
                found.append(_card(one, kind, attach=attach))
    return found


def _attaches(node: Node) -> bool:
    return node.get("ATTACH", str, "").upper() == "YES"


def _card(node: Node, kind: str, *, attach: bool) -> Card:
    six = [node.get(key, str, "") for key in ("IP6", "IP6_GLOBAL")]
    return Card(
        kind=kind,
        nic_id=node.need("NIC_ID", whole),
        network_id=node.need("NETWORK_ID", whole),
        range_id=node.need("AR_ID", whole),
        ip=node.get("IP", str, ""),
        ip6=tuple(one for one in six if one),
        mac=node.get("MAC", str, ""),
        attach=attach,
    )


def _on_network(kind: type[CreateNetwork] | type[DeleteNetwork]) -> Callable[[Call], NetworkAction]:
    def read(call: Call) -> NetworkAction:
        if len(call.argv) != 1:
            raise ConfigError(f"{_name(call)} was called with {len(call.argv)} arguments, expected <vnet id>")
        what = f"standard input of {_name(call)} (VNET)"
        node = parse(from_base64(call.stdin, what), "VNET", what, ConfigError, MAX_INPUT)
        vnet_id = node.need("ID", whole)
        if call.argv[0] != str(vnet_id):
            raise ConfigError(f"{_name(call)} was called for network {call.argv[0][:40]}, but {what} is of {vnet_id}")
        if (driver := node.need("VN_MAD", filled)) != call.driver:
            raise ConfigError(f"{_name(call)} was called for a network of VN_MAD '{driver[:40]}'")
        ranges = [*node.nodes("TEMPLATE/AR"), *node.nodes("AR_POOL/AR")]
        return kind(vnet_id=vnet_id, ranges=tuple(one.vector(".") for one in ranges))

    return read


def _name(call: Call) -> str:
    return f"vnm/{call.driver}/{call.action}"


ACTIONS: Final[Mapping[str, Callable[[Call], NetworkAction]]] = {
    "post": _on_machine(Post, "<deploy id> <host>"),
    "clean": _on_machine(Clean, "<host>"),
    "vnet_create": _on_network(CreateNetwork),
    "vnet_delete": _on_network(DeleteNetwork),
}
