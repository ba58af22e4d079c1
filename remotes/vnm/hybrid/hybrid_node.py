"""Network driver ``hybrid``, the part that runs on a hypervisor: ``pre remote_post remote_clean update_sg update_nic``.

A card of this driver has an address of the provider's. The front-end has its traffic arrive at this host, and says at
which address: ``HYBRID_ADDRESS`` (IPv4), ``HYBRID_ADDRESS6``. Where the guest has that address itself it is routed to
the guest's bridge, otherwise exchanged for the address that the guest has (DNAT and SNAT, as ``alias_sdnat`` does).
What crosses the host is held to the card's security groups.

What a run changes besides rules (routes, proxies for the guest's gateway, kernel settings) is written down first, in
rules of a chain that is never run, and undone when no card needs it any longer. What was there before stays.

Python 3.6, standard library, and the rules of ``../alias_sdnat``.

Facts: OpenNebula ``vnm_mad/remotes/elastic/elastic.rb`` (route and proxy), ``elastic/pre`` (the bridge is made when it
is missing), ``share/pkgs/sudoers`` (oneadmin runs ``ip link``, ``ip route`` and ``ip neighbour``, and may not change
kernel settings); Linux ``net/ipv4/arp.c`` and ``net/ipv6/ndisc.c`` (proxies answer where forwarding is on, those of
IPv6 where ``proxy_ndp`` is, too).
"""

import importlib
import ipaddress
import os
import sys
from typing import Callable, Dict, Iterator, List, NamedTuple, Sequence, Set, Tuple

if __package__:
    from ..alias_sdnat import alias_sdnat as engine
else:
    sys.dont_write_bytecode = True
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "alias_sdnat"))
    engine = importlib.import_module("alias_sdnat")

NAMES = engine.Names("hybrid", "hybrid", "hybrid_node", "hybrid-node")
ADDRESS_KEYS = {4: "HYBRID_ADDRESS", 6: "HYBRID_ADDRESS6"}
GATEWAY_KEYS = {4: ("GATEWAY",), 6: ("IP6_GATEWAY", "GATEWAY6")}  # the second one is its name before 6.0
ANY = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - tells the family of a note
PROTOCOL = "175"  # of our routes, to tell them from others: nobody's in /etc/iproute2/rt_protos


class Place(NamedTuple):
    """Where the traffic of a card goes, for one family; kept as the note ``at``."""

    arrives: str  # at which address
    target: str  # the guest's
    bridge: str


class Run(engine.Run):
    """One action for one machine.

    Notes: ``at`` (a ``Place``), ``gateway`` (``alias`` is answered for on ``bridge``), ``ndp`` (``proxy_ndp`` of
    ``bridge``) and ``forward`` (forwarding of the family of ``alias``) were not there or off before.
    """

    names = NAMES

    def __init__(self, vm: engine.Vm, commands: engine.Commands) -> None:
        super().__init__(vm, commands)
        self._remembers = False
        self._noted: Set[engine.Rule] = set()

    # --- what is wanted ---

    def concerned(self) -> List[engine.Card]:
        """Return the cards the run is about: of a hot-plug only what is plugged or hangs on it."""
        nics = [one for one in self.vm.nics if one.get("VN_MAD") == NAMES.driver]
        if engine.is_hotplug(self.vm):
            nics = [one for one in nics if engine.attaches(one)]
        return nics + engine.concerned(self.vm, NAMES.driver)

    def ids(self) -> Set[str]:
        """Return the ids of all cards that the machine has."""
        return super().ids() | {one.get("NIC_ID", "") for one in self.vm.nics}

    def rules_of(self, card: engine.Card) -> Tuple[List[engine.Rule], engine.Groups]:
        """Return what a card needs, for each family of which it has an address here. Raises: Problem."""
        nic = engine.nic_id(self.vm, card)
        rules: List[engine.Rule] = []
        groups: engine.Groups = {}
        for family, place in self._places(card, nic):
            let_in, let_out = engine.allowed(self.vm, card, family, groups, self.warnings.append)
            nat: List[engine.Rule] = []
            if place.arrives != place.target:
                nat = engine.translation(self.vm.id, nic, *place)
            if self._has_own_way_out(card):
                nat = [one for one in nat if one.what == "in"]
            rules.append(engine.Rule(self.vm.id, nic, "at", *place))
            rules += nat
            if is_external(card):
                rules += engine.filters_of(nat, let_in, let_out)
            else:
                rules.append(engine.Rule(self.vm.id, nic, "to", let_in, place.target, place.bridge))
                rules.append(engine.Rule(self.vm.id, nic, "from", let_out, place.target, place.bridge))
            rules += self._claims(nic, card, family, place.bridge)
        if not (rules or self._remembers):
            raise engine.Problem(f"VM {self.vm.id}: NIC {nic} has neither {' nor '.join(ADDRESS_KEYS.values())}")
        return rules, groups

    def _has_own_way_out(self, card: engine.Card) -> bool:
        """Tell whether an external alias hangs on a card of this driver, which sends with an address of its own."""
        parents = [one for one in self.vm.nics if one.get("NIC_ID") == card.get("PARENT_ID", "-")]
        return is_external(card) and any(one.get("VN_MAD") == NAMES.driver for one in parents)

    def _places(self, card: engine.Card, nic: int) -> Iterator[Tuple[int, Place]]:
        """Yield the places of a card by family. Only the front-end knows them: others go by what is noted."""
        name = f"VM {self.vm.id}: NIC {nic}"
        host = engine.parent_of(self.vm, card, name) if "PARENT_ID" in card else card
        target_of = host if is_external(card) else card
        for family, key in ADDRESS_KEYS.items():
            noted = [one.alias for one in self._own_notes(nic, family) if one.what == "at"]
            text = card.get(key) or (noted[0] if noted and self._remembers else "")
            if not text:
                continue
            arrives = engine.usable_address(name, text, family)
            target = engine.address_of(name, target_of, family)
            bridge = engine.bridge_of(host, name)
            if not target or not bridge:
                raise engine.Problem(f"{name}: {arrives} leads nowhere, for want of an IPv{family} address or a BRIDGE")
            yield family, Place(arrives, target, bridge)

    def _claims(self, nic: int, card: engine.Card, family: int, bridge: str) -> Iterator[engine.Rule]:
        """Yield notes of what is to be on for a card: what is on already, and is nobody's, was there before.

        Only the front-end knows gateways (oned's ``INHERIT_VNET_ATTR`` does not name them): others keep what is noted.
        """
        if self._remembers:
            yield from (one for one in self._own_notes(nic, family) if one.what != "at")
            return
        forwards = engine.setting(engine.FORWARDING[family]) == "1"
        note = engine.Rule(self.vm.id, nic, "forward", ANY[family], "")
        if self._claimed(note) or (not forwards and self._may_forward(family)):
            yield note
        gateway = next((card[key] for key in GATEWAY_KEYS[family] if card.get(key)), "")
        if not gateway:
            return
        try:
            gateway = str(ipaddress.ip_address(gateway))
        except ValueError:
            raise engine.Problem(f"VM {self.vm.id}: NIC {nic} has '{gateway[:60]}' for its gateway") from None
        if gateway in self._addresses(bridge):
            return
        note = engine.Rule(self.vm.id, nic, "gateway", gateway, "", bridge)
        if self._claimed(note) or gateway not in self._proxies(family, bridge):
            yield note
        note = engine.Rule(self.vm.id, nic, "ndp", ANY[6], "", bridge)
        on = "1" in (engine.setting(f"net/ipv6/conf/{one}/proxy_ndp") for one in (bridge, "all"))
        if family == 6 and (self._claimed(note) or (not on and self._may_set(setting_of(note)))):
            yield note

    def _own_notes(self, nic: int, family: int) -> List[engine.Rule]:
        return [one for one in sorted(self._noted) if one[:2] == (self.vm.id, nic) and one.family == family]

    def _claimed(self, note: engine.Rule) -> bool:
        return any(one[2:] == note[2:] for one in self._noted)

    def _may_set(self, name: str) -> bool:
        if self.commands.may(["sysctl", "-qw", f"{name}=1"]):
            return True
        self.warnings.append(f"this host does not have what cards of {NAMES.driver} need: set {name} to 1")
        return False

    def _may_forward(self, family: int) -> bool:
        """Forwarding IPv6 makes a host deaf to its own router (Linux ``Documentation/networking/ip-sysctl``)."""
        name = engine.FORWARDING[family].replace("/", ".")
        if family == 6 and self._ip(6, "route", "show", "default", "proto", "ra"):
            self.warnings.append(f"this host has its IPv6 route of its router: set {name} to 1 and accept_ra to 2")
            return False
        return self._may_set(name)

    # --- what is there ---

    def _ip(self, family: int, *words: str) -> str:
        return self.commands.look(["ip", f"-{family}", *words])

    def _addresses(self, bridge: str) -> Set[str]:
        words = self.commands.look(["ip", "-o", "address", "show", "dev", bridge]).split()
        return {word.partition("/")[0] for word in words}

    def _proxies(self, family: int, bridge: str) -> Set[str]:
        return set(self._ip(family, "neighbour", "show", "proxy", "dev", bridge).split())

    def _read_notes(self) -> None:
        self._noted = {
            one.rule
            for family in (4, 6)
            for _, entries in engine.tables(self.commands, family, NAMES)[0]
            for one in entries
            if one.rule is not None and one.rule.chain == "notes"
        }

    # --- actions ---

    def prepare(self) -> None:
        """Action ``pre``: a bridge that is missing is made, as OpenNebula's drivers do."""
        for nic in (one for one in self.concerned() if "PARENT_ID" not in one):
            bridge = engine.bridge_of(nic, f"VM {self.vm.id}: NIC {engine.nic_id(self.vm, nic)}")
            if bridge and nic.get("BRIDGE_TYPE", "linux") == "linux" and not exists(bridge):
                self.commands.run(["ip", "link", "add", "name", bridge, "type", "bridge"])
                self.commands.run(["ip", "link", "set", bridge, "up"])
        self.look_for_keepers(self.families())

    def put(self) -> None:
        """Action ``remote_post``: all that the cards need is there, or nothing new."""
        if not self._arrange():
            self.settle([], self._undone(self.manages({engine.nic_id(self.vm, one) for one in self._numbered()})))

    def refresh(self) -> None:
        """Action ``update_sg``: the same with what was noted, since oned does not know the addresses here."""
        self._remembers = True
        self._arrange()

    def clean(self) -> None:
        """Action ``remote_clean``: nothing of the machine is left, or of what is being detached."""
        self._read_notes()
        self.settle([], self._undone(self.leaving()))

    def _numbered(self) -> List[engine.Card]:
        return [one for one in self.concerned() if engine.NUMBER.fullmatch(one.get("NIC_ID", ""))]

    def _arrange(self) -> bool:
        self._read_notes()
        wanted, managed = self.wanted()
        told = len(self.problems)
        self._undone(managed, wanted)
        self.settle(wanted, managed)
        self._noted.update(one for one in wanted if one.chain == "notes")
        if len(self.problems) == told:
            self._each(self._do, [one for one in wanted if one.chain == "notes"])
        return len(self.problems) == told

    def _undone(
        self, managed: Callable[[engine.Rule], bool], wanted: Sequence[engine.Rule] = ()
    ) -> Callable[[engine.Rule], bool]:
        """Undo what was noted for what goes; return ``managed``."""
        gone = {one for one in self._noted if managed(one) and one not in wanted}
        self._noted -= gone
        self._each(self._take_back, sorted(gone))
        return managed

    def _each(self, does: Callable[[engine.Rule], None], notes: Sequence[engine.Rule]) -> None:
        for note in notes:
            try:
                does(note)
            except engine.Problem as problem:
                self.problems.append(f"VM {self.vm.id}: {problem}")

    def _do(self, note: engine.Rule) -> None:
        """Bring about what a note says. Raises: Problem."""
        if note.what == "at":
            self._route(note)
        elif note.what == "gateway":
            if note.alias not in self._proxies(note.family, note.bridge):
                self.commands.run(["ip", "neighbour", "add", "proxy", note.alias, "dev", note.bridge])
        elif engine.setting(setting_of(note).replace(".", "/")) != "1":
            self.commands.run(["sysctl", "-qw", f"{setting_of(note)}=1"])

    def _route(self, note: engine.Rule) -> None:
        found = self._ip(note.family, "route", "get", note.parent).split()
        if found[:1] != ["local"] and ["dev", note.bridge] in [found[at : at + 2] for at in range(len(found))]:
            return
        other = self._ip(note.family, "route", "show", note.parent).strip()
        if other and f" proto {PROTOCOL} " not in f"{other} ":
            raise engine.Problem(f"this host has a route of its own to {note.parent}: '{other[:100]}'")
        self.commands.run(["ip", "route", "replace", note.parent, "dev", note.bridge, "proto", PROTOCOL])

    def _take_back(self, note: engine.Rule) -> None:
        """Undo what a note says, unless others need it. Raises: Problem."""
        if note.bridge and not exists(note.bridge):
            return  # and all that was on it
        if note.what == "at":
            shared = any(one.what == "at" and one.parent == note.parent for one in self._noted)
            route = [note.parent, "dev", note.bridge, "proto", PROTOCOL]
            if not shared and self._ip(note.family, "route", "show", *route):
                self.commands.run(["ip", "route", "del", *route])
        elif self._claimed(note):
            pass
        elif note.what == "gateway":
            if note.alias in self._proxies(note.family, note.bridge):
                self.commands.run(["ip", "neighbour", "del", "proxy", note.alias, "dev", note.bridge])
        elif note.what in ("ndp", "forward"):
            self.commands.run(["sysctl", "-qw", f"{setting_of(note)}=0"])


def is_external(card: engine.Card) -> bool:
    """Tell whether a card is an alias whose address its guest does not have."""
    return "PARENT_ID" in card and card.get("EXTERNAL", "").upper() == "YES"


def exists(bridge: str) -> bool:
    """Tell whether there is such an interface."""
    return os.path.exists(f"/sys/class/net/{bridge}")


def setting_of(note: engine.Rule) -> str:
    """Return the kernel setting that a note is about; dots within an interface's name are slashes for sysctl."""
    if note.what == "forward":
        return engine.FORWARDING[note.family].replace("/", ".")
    return f"net.ipv6.conf.{note.bridge.replace('.', '/')}.proxy_ndp"


def nothing(_: engine.Run) -> None:
    """Action ``update_nic``: what can change while a machine runs (bandwidth) is libvirt's."""


ACTIONS: Dict[str, Callable[[Run], None]] = {
    "pre": Run.prepare,
    "remote_post": Run.put,
    "remote_clean": Run.clean,
    "update_sg": Run.refresh,
    "update_nic": nothing,
}

if __name__ == "__main__":
    code, said = engine.act(Run, ACTIONS, sys.argv[1] if len(sys.argv) > 1 else "", engine.stdin())
    sys.stderr.write(said)
    sys.exit(code)
