"""What ``remotes/hooks/alias_ip`` is run for: the document a hook is handed, parsed once into frozen values.

A hook with ``ARGUMENTS="$TEMPLATE"`` gets base64 of the machine's ``<VM>`` as it was when it changed its state, one
with ``ARGUMENTS="$API"`` base64 of the call's ``<CALL_INFO>``, which does not name the call; on standard input with
``ARGUMENTS_STDIN="yes"``, else as an argument (OpenNebula ``onehem-server.rb``, ``HookStateVM.cc``, ``HookAPI.cc``).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Final, Union

from hybrid_drivers.errors import ConfigError, HybridError, OnedError
from hybrid_drivers.oned.fields import Node, whole
from hybrid_drivers.oned.process import Call
from hybrid_drivers.oned.xml import MAX_INPUT, as_drivers_get_it, from_base64, parse

ACTION: Final = "alias_ip"
HOTPLUG_NIC: Final = 25  # lcm_state (``VirtualMachine.h``)
DETACHED: Final = (24, 47)  # of a card, of an alias: why a record of the history ended (``VMActions.h``)
_NOT_SEEN: Final = 0  # the action of a record that goes on
_CARDS: Final = ("NIC", "NIC_ALIAS")


@dataclass(frozen=True, kw_only=True)
class Card:
    """A network card, or an alias of one (``parent_id``); ``attach``: it is being plugged in or out."""

    id: str
    vn_mad: str
    parent_id: str = ""
    attach: bool = False


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A virtual machine as a document has it; ``host`` is where it is or was last, empty when it never was anywhere.

    ``detaching``: what was done to it last is taking a card out.
    """

    id: int
    state: int
    lcm_state: int
    host: str
    cards: tuple[Card, ...]
    detaching: bool = False
    document: bytes = field(repr=False)

    def plugged(self, ids: Collection[str] = ()) -> Machine:
        """Return it with just these cards marked as being plugged in or out, and where it is in its document alone."""
        document = as_drivers_get_it(self.document, ids)
        return replace(self, cards=tuple(replace(one, attach=one.id in ids) for one in self.cards), document=document)

    def unplugged(self) -> Machine:
        """Return it with all cards marked that go with those which are plugged out: aliases go with their card.

        oned itself marks the card alone (``VirtualMachine.cc``, set_detach_nic and delete_attach_alias).
        """
        going = {one.id for one in self.cards if one.attach}
        return self.plugged(going | {one.id for one in self.cards if one.parent_id in going})


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A machine has changed its state."""

    machine: Machine


@dataclass(frozen=True, kw_only=True)
class CardCall:
    """Somebody called for a card to be plugged into a machine or out of it; ``taken``: oned did not refuse."""

    vm_id: int
    taken: bool


HookEvent = Union[Changed, CardCall]


def parse_hook(call: Call) -> HookEvent:
    """Turn a call into what has happened.

    Raises:
        ConfigError: another executable's name, no document, or one of another kind.
    """
    if call.action != ACTION:
        raise ConfigError(f"the hybrid drivers have no action '{call.action[:40]}' in 'hooks'")
    what = "the document that the hook alias_ip was handed"
    given = call.stdin.strip() or (call.argv[-1].encode("utf-8", "surrogateescape") if call.argv else b"")
    if not given:
        raise ConfigError(
            'the hook alias_ip was handed no document: it needs ARGUMENTS="$TEMPLATE" and ARGUMENTS_STDIN="yes"; '
            "'onehybrid hooks install' sets both"
        )
    document = from_base64(given, what)
    if document.lstrip().startswith(b"<CALL_INFO>"):
        return _card_call(parse(document, "CALL_INFO", what, ConfigError, MAX_INPUT))
    return Changed(machine=read_machine(document, what, ConfigError))


def _card_call(node: Node) -> CardCall:
    """The machine's id is the second argument of attachnic and detachnic, behind the session."""
    for one in node.nodes("PARAMETERS/PARAMETER"):
        if one.get("TYPE", str, "") == "IN" and one.get("POSITION", whole, 0) == 2:
            return CardCall(vm_id=one.need("VALUE", whole), taken=node.get("RESULT", str, "") in ("1", "true"))
    raise ConfigError("the call that the hook alias_ip was handed names no virtual machine")


def read_machine(document: bytes, what: str, error: type[HybridError] = OnedError) -> Machine:
    """Read ``<VM>``; ``what`` names it in errors. Raises: HybridError, of class ``error``."""
    node = parse(document, "VM", what, error)
    history = sorted(node.nodes("HISTORY_RECORDS/HISTORY"), key=lambda one: one.get("SEQ", whole, 0))
    actions = [one.get("ACTION", whole, _NOT_SEEN) for one in history]
    done = [one for one in actions if one != _NOT_SEEN]  # the last record goes on: why it ended is not known yet
    return Machine(
        id=node.need("ID", whole),
        state=node.need("STATE", whole),
        lcm_state=node.need("LCM_STATE", whole),
        host=history[-1].get("HOSTNAME", str, "") if history else "",
        cards=tuple(_card(one) for kind in _CARDS for one in node.nodes(f"TEMPLATE/{kind}")),
        detaching=bool(done) and done[-1] in DETACHED,
        document=document,
    )


def _card(node: Node) -> Card:
    return Card(
        id=node.get("NIC_ID", str, ""),
        vn_mad=node.get("VN_MAD", str, ""),
        parent_id=node.get("PARENT_ID", str, ""),
        attach=node.get("ATTACH", str, "").upper() == "YES",
    )
