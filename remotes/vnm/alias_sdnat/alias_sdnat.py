"""Network driver ``alias_sdnat``, the part that runs on a hypervisor: ``pre post clean update_sg update_nic``.

A NIC alias of a network of this driver has an address that its machine does not know: what comes for it goes on to the
address of the alias's parent NIC (DNAT), what that address sends out of the host leaves with the alias's (SNAT).
What is translated is routed, so that OpenNebula's security groups, which look at what a bridge passes, do not see it:
it is held to the alias's groups here.

A private address may be that of another machine, too, on another bridge, and with net.bridge.bridge-nf-call-iptables
what such a bridge passes comes by here: what a card sends is known by its bridge as well. Where SNAT is made that is
known by the connection's mark only: iptables never names there where a packet came in, nft since Linux 5.7.

The classes and functions know neither the driver nor its names (``Names``): ``../hybrid/hybrid_node.py`` uses them.

``onehost sync`` copies this folder to the hosts; nothing else of the drivers is there. Python 3.6 (RHEL 8), standard
library only. Each rule carries its whole meaning as its comment, ``sdnat/VM/NIC/...``: what a run adds and removes
follows from the comments alone, and a rule without one of the machine at hand is never touched. The newest machine's
rules stand first, so that what a lost ``clean`` left behind cannot take an address away.

Facts: OpenNebula 5.12 ``vnm_mad/remotes/alias_sdnat``, ``vmm_exec/one_vmm_exec.rb`` (what runs when, and the document),
``vnm_mad/remotes/lib/command.rb`` and ``share/pkgs/sudoers`` (oneadmin runs iptables, ip6tables and, since 7.0, nft);
groups: ``vnm_mad/remotes/lib/{sg_driver,security_groups,security_groups_iptables}.rb``, ``src/vnm/AddressRange.cc``.
"""

import base64
import binascii
import contextlib
import fcntl
import ipaddress
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import zlib
from typing import (
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
    Type,
    TypeVar,
    Union,
)
from xml.parsers import expat

MAX_INPUT = 8 * 1024 * 1024  # bytes
LOCK_WAIT = 30.0  # seconds for other runs to end; each takes a tenth of one
COMMAND_LIMIT = 20  # seconds for one command
ADDRESS_KEYS = {4: ("IP",), 6: ("IP6", "IP6_GLOBAL", "IP6_ULA")}  # the first one that is there
FORWARDING = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}
CHAINS = {  # of which table, and called from where
    "via": ("filter", ("FORWARD",)),  # what comes by an address of a card that is translated
    "to": ("filter", ("FORWARD",)),  # what comes for a card's own address
    "from": ("filter", ("FORWARD",)),  # what a card sends
    "notes": ("filter", ()),  # never run: what else belongs to a card
    "dnat": ("nat", ("PREROUTING", "OUTPUT")),
    "sent": ("nat", ("PREROUTING",)),  # by which bridge it came; called before its elder, which ends NAT's chains
    "snat": ("nat", ("POSTROUTING",)),
}
# nft: NAT just before everybody else's, filters just before theirs.
PRIORITY = {"PREROUTING": -110, "OUTPUT": -110, "POSTROUTING": 90, "FORWARD": -5}
CHAIN_OF = {"in": "dnat", "sent": "sent", "out": "snat", "back": "snat", "via": "via", "to": "to"}
CHAIN_OF.update({"from": "from", "leaves": "from", "turns": "from"})  # anything else is a note
PEER_KEYS = ("IP", "IP6", "IP6_GLOBAL", "IP6_ULA")  # of a security group's rule
PROTOCOLS = {
    "ALL": ("", 0),
    "TCP": ("6", 0),
    "UDP": ("17", 0),
    "IPSEC": ("50", 0),
    "ICMP": ("1", 4),
    "ICMPV6": ("58", 6),
}
NEIGHBOURS = ("133", "134", "135", "136", "137")  # ICMPv6's neighbour discovery
MAX_PORT = 65535
MARKS = 0xFFF00000  # the bits of a connection's mark that tell by which bridge a card's packet came in
INTERFACE = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.:@-]{0,14}")
NUMBER = re.compile(r"[0-9]{1,9}")

Card = Dict[str, str]  # a NIC or NIC_ALIAS of the document


class Problem(Exception):
    """What could not be done; the text is the sentence for people."""


class Names(NamedTuple):
    """What a driver's things on a host are called; rules with another ``mark`` are not its own."""

    driver: str
    mark: str  # short, since nft takes 127 bytes of comment
    table: str  # nft's, one a family: NAT in family inet is newer than RHEL 8's kernel
    chain: str  # what its chains' names begin with, at most 15 bytes

    def full(self, chain: str) -> str:
        """Return the name of a chain: one of ``CHAINS``, or a group's by its digest."""
        return f"{self.chain}-{chain}"

    def own(self) -> Dict[str, str]:
        """Return the key in ``CHAINS`` of each full name."""
        return {self.full(one): one for one in CHAINS}

    def jumps(self, chain: str) -> List[Tuple[str, str]]:
        """Return from where a chain is called, and by what in nft."""
        return [(hook, f"jump {self.full(chain)}") for hook in CHAINS[chain][1]]


NAMES = Names("alias_sdnat", "sdnat", "hybrid_alias", "hybrid-alias")


class Rule(NamedTuple):
    """One rule; ``alias`` and ``parent`` are the addresses outside and inside.

    NAT is ``in`` (DNAT), ``out`` (SNAT of what leaves), ``back`` (SNAT of what another alias sends back), both of what
    ``sent`` has marked where there is a bridge. Filters are
    ``via`` (its ``bridge`` is the digest of what is let through), ``to``, ``from``, ``leaves`` and ``turns`` (like
    ``out`` and ``back``; their ``alias`` is the digest); no digest: everything. Any other word is a note.
    """

    vm: int
    nic: int
    what: str
    alias: str
    parent: str
    bridge: str = ""

    @property
    def family(self) -> int:
        """Return 4 or 6."""
        return 6 if ":" in self.alias + self.parent else 4

    @property
    def chain(self) -> str:
        """Return the chain it stands in, a key of ``CHAINS``."""
        return CHAIN_OF.get(self.what, "notes")

    @property
    def group(self) -> str:
        """Return the digest of what a filter lets through; empty when that is everything, or this is no filter."""
        return self.bridge if self.what == "via" else self.alias if self.chain in ("to", "from") else ""

    def comment(self, mark: str) -> str:
        """Return what tells it apart from all others."""
        return "/".join((mark, str(self.vm), str(self.nic), self.what, self.alias, self.parent, self.bridge))

    @classmethod
    def of_comment(cls, text: str, mark: str) -> Optional["Rule"]:
        """Read a comment; None when it has another mark."""
        parts = text.split("/")
        if len(parts) != 7 or parts[0] != mark or not (NUMBER.fullmatch(parts[1]) and NUMBER.fullmatch(parts[2])):
            return None
        return cls(int(parts[1]), int(parts[2]), parts[3], parts[4], parts[5], parts[6])


class Entry(NamedTuple):
    """A rule that stands in a chain (full name); ``rule`` is None for one of somebody else; ``where`` removes it."""

    chain: str
    rule: Optional[Rule]
    where: str


class Group(NamedTuple):
    """What a chain of its own does that lets through what security groups allow, for both programs."""

    iptables: List[List[str]]
    nft: List[str]

    @property
    def digest(self) -> str:
        """Return what the chain is named by: with other contents it is another chain."""
        import hashlib  # a tenth of a run's start, and often not needed

        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]


Groups = Dict[str, Group]  # by digest


class Change(NamedTuple):
    """What a chain loses and gets; ``groups`` are those that have to be there."""

    remove: Sequence[Entry]
    add: Sequence[Rule]
    groups: Groups


class Vm(NamedTuple):
    """What the document says of the machine."""

    id: int
    nics: List[Card]
    aliases: List[Card]
    devices: List[Card]
    allowed: List[Card]  # the rules of security groups


# --- the document -----------------------------------------------------------------------------------------------------


def read_vm(data: bytes) -> Vm:
    """Read standard input: base64 ``<VM>``, its elements scattered over several ``<TEMPLATE>``. Raises: Problem."""
    if len(data) > MAX_INPUT:
        raise Problem(f"standard input is longer than {MAX_INPUT} bytes")
    try:
        text = base64.b64decode(b"".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Problem("standard input is not base64, as OpenNebula hands a VM over") from None
    found = _Reader(text)
    if found.root != "VM" or not NUMBER.fullmatch(found.id):
        raise Problem("standard input is not a VM document with an ID")
    return Vm(
        int(found.id), *(found.cards.get(kind, []) for kind in ("NIC", "NIC_ALIAS", "PCI", "SECURITY_GROUP_RULE"))
    )


class _Reader:
    """What is read of a document: ``ID``, and the vectors in each ``TEMPLATE``. Raises: Problem.

    A document type declaration is refused: there is none in what OpenNebula sends, and entities need one. ElementTree
    would take longer to load than all the reading.
    """

    def __init__(self, data: bytes) -> None:
        self.root = self.id = ""
        self.cards: Dict[str, List[Card]] = {}
        self._path: List[str] = []
        self._text: List[str] = []
        parser = expat.ParserCreate("utf-8")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.StartDoctypeDeclHandler = _refuse_doctype
        try:
            parser.Parse(data, True)
        except expat.ExpatError as exc:
            raise Problem(f"standard input is not XML: {exc}") from None

    def _start(self, name: str, _: Dict[str, str]) -> None:
        self.root = self.root or name
        self._path.append(name)
        self._text.clear()
        if len(self._path) == 3 and self._path[1] == "TEMPLATE":
            self.cards.setdefault(name, []).append({})

    def _end(self, name: str) -> None:
        if len(self._path) == 4 and self._path[1] == "TEMPLATE":
            self.cards[self._path[2]][-1][name] = "".join(self._text).strip()
        elif self._path[1:] == ["ID"]:
            self.id = "".join(self._text).strip()
        self._path.pop()
        self._text.clear()


def _refuse_doctype(*_: object) -> None:
    raise Problem("standard input holds a document type declaration, which is not accepted")


# --- what is wanted ---------------------------------------------------------------------------------------------------


def concerned(vm: Vm, driver: str = NAMES.driver) -> List[Card]:
    """Return the aliases a run is about: all of the driver; of a hot-plug only what is plugged or hangs on it."""
    mine = [one for one in vm.aliases if one.get("VN_MAD") == driver]
    if not is_hotplug(vm):
        return mine
    plugged = {one.get("NIC_ID") for one in vm.nics + vm.devices if attaches(one)}
    return [one for one in mine if attaches(one) or one.get("PARENT_ID") in plugged]


def is_hotplug(vm: Vm) -> bool:
    """Tell whether something of the machine is being attached or detached."""
    return any(attaches(one) for one in vm.nics + vm.devices + vm.aliases)


def attaches(card: Card) -> bool:
    """Tell whether a card is being plugged or unplugged."""
    return card.get("ATTACH", "").upper() == "YES"


def nic_id(vm: Vm, alias: Card) -> int:
    """Return an alias's id, unique among the NICs and aliases of its machine. Raises: Problem."""
    text = alias.get("NIC_ID", "")
    if not NUMBER.fullmatch(text):
        raise Problem(f"VM {vm.id}: a NIC alias has no NIC_ID that is a number, but '{text[:40]}'")
    return int(text)


def parent_of(vm: Vm, alias: Card, name: str) -> Card:
    """Return the NIC that an alias belongs to. Raises: Problem."""
    parent = next((one for one in vm.nics if one.get("NIC_ID") == alias.get("PARENT_ID", "-")), None)
    if parent is None:
        raise Problem(f"{name} has no parent: there is no NIC with NIC_ID '{alias.get('PARENT_ID', '')[:40]}'")
    return parent


def bridge_of(card: Card, whose: str) -> str:
    """Return the bridge of a card, empty without one. Raises: Problem."""
    bridge = card.get("BRIDGE", "")
    if bridge and not INTERFACE.fullmatch(bridge):
        raise Problem(f"{whose} has '{bridge[:40]}' for its BRIDGE, which cannot be an interface")
    return bridge


def rules_of(vm: Vm, alias: Card, warn: Callable[[str], None]) -> Tuple[List[Rule], Groups]:
    """Return the rules of an alias, for each family that it and its parent have. Raises: Problem."""
    nic = nic_id(vm, alias)
    name = f"VM {vm.id}: NIC alias {nic}"
    parent = parent_of(vm, alias, name)
    if parent.get("VN_MAD") == NAMES.driver:
        raise Problem(f"{name}: its parent NIC is in a network of {NAMES.driver}, too, where machines have no card")
    bridge = bridge_of(parent, name + "'s parent")
    rules: List[Rule] = []
    groups: Groups = {}
    for family in (4, 6):
        outside, inside = address_of(name, alias, family), address_of(name + "'s parent", parent, family)
        if outside and inside:
            nat = translation(vm.id, nic, outside, inside, bridge)
            rules += nat + filters_of(nat, *allowed(vm, alias, family, groups, warn))
        elif outside:
            warn(f"{name}: {outside} stays unreachable, its parent has no IPv{family} address")
    if not rules:
        raise Problem(f"{name} and its parent have no addresses of the same family")
    return rules, groups


def translation(vm: int, nic: int, alias: str, parent: str, bridge: str) -> List[Rule]:
    """With net.bridge.bridge-nf-call-iptables machines of one bridge pass NAT too: among them addresses stay."""
    kinds = ("in", "sent", "out", "back") if bridge else ("in", "out")
    return [Rule(vm, nic, what, alias, parent, "" if what == "in" else bridge) for what in kinds]


def address_of(name: str, card: Card, family: int) -> str:
    """Return a card's address of a family, empty without one. Raises: Problem."""
    text = next((card[key] for key in ADDRESS_KEYS[family] if card.get(key)), "")
    return usable_address(name, text, family) if text else ""


def usable_address(name: str, text: str, family: int) -> str:
    """Return an address in its usual form. Raises: Problem."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise Problem(f"{name} has '{text[:60]}' for its IPv{family} address") from None
    unusable = address.is_multicast or address.is_unspecified or address.is_loopback or address.is_link_local
    if address.version != family or unusable or "%" in text:
        raise Problem(f"{name} has {text[:60]} for its IPv{family} address, which cannot be translated")
    return str(address)


# --- security groups --------------------------------------------------------------------------------------------------


def filters_of(nat: Sequence[Rule], let_in: str, let_out: str) -> List[Rule]:
    """Return the filters that belong to NAT rules: exactly what is translated is filtered."""
    what = {"out": "leaves", "back": "turns"}
    return [
        Rule(one.vm, one.nic, "via", one.alias, one.parent, let_in)
        if one.what == "in"
        else Rule(one.vm, one.nic, what[one.what], let_out, one.parent, one.bridge)
        for one in nat
        if one.what != "sent"
    ]


def allowed(vm: Vm, card: Card, family: int, groups: Groups, warn: Callable[[str], None]) -> Tuple[str, str]:
    """Return the digests of what may come to a card and of what it may send, and put what they mean in ``groups``."""
    ways = [group_of(vm, card, family, way, warn) for way in ("INBOUND", "OUTBOUND")]
    groups.update((one.digest, one) for one in ways if one is not None)
    let_in, let_out = ("" if one is None else one.digest for one in ways)
    return let_in, let_out


def group_of(vm: Vm, card: Card, family: int, way: str, warn: Callable[[str], None]) -> Optional[Group]:
    """Return what the security groups of a card allow; None is everything, as for a card without any.

    A group without rules in the document allows nothing. oned does not send those of a hot-plugged alias that no other
    card has (``src/vm/VirtualMachineNics.cc``, ``set_up_attach_nic``): that is told.
    """
    names = [one.strip() for one in card.get("SECURITY_GROUPS", "").split(",") if one.strip()]
    if not names:
        return None
    known = {one.get("SECURITY_GROUP_ID") for one in vm.allowed}
    for name in names:
        if name not in known:
            warn(f"VM {vm.id}: OpenNebula sent no rules of security group {name[:20]}: it lets nothing through")
    group = Group(
        [["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "RETURN"]],
        ["ct state established,related return"],
    )
    if family == 6:
        group.iptables.extend(["-p", "ipv6-icmp", "--icmpv6-type", one, "-j", "RETURN"] for one in NEIGHBOURS)
        group.nft.append(f"icmpv6 type {{ {', '.join(NEIGHBOURS)} }} return")
    for rule in vm.allowed:
        if rule.get("SECURITY_GROUP_ID") not in names or rule.get("RULE_TYPE", "").upper() != way:
            continue
        try:
            found = list(_matches(rule, family, way))
        except ValueError as exc:
            warn(f"VM {vm.id}: a rule of security group {rule['SECURITY_GROUP_ID']} is not understood: {exc}")
            continue
        if ([], "") in found:
            return None
        group.iptables.extend([*words, "-j", "RETURN"] for words, _ in found)
        group.nft.extend(f"{text} return" for _, text in found)
    group.iptables.append(["-j", "DROP"])
    group.nft.append("drop")
    return group


def _matches(rule: Card, family: int, way: str) -> Iterator[Tuple[List[str], str]]:
    """Yield what a rule allows, for iptables and for nft. Raises: ValueError."""
    flag, side = ("-s", "saddr") if way == "INBOUND" else ("-d", "daddr")
    traffic = list(_traffic(rule, family))
    for net in _peers(rule, family):
        for words, text in traffic:
            if net:
                yield [flag, net, *words], f"{_nft(family)} {side} {net} {text}".strip()
            else:
                yield words, text


def _peers(rule: Card, family: int) -> List[str]:
    """Return the networks at the other end; an empty name is everywhere. oned puts a network's ranges into the rule."""
    if not any(rule.get(key) for key in (*PEER_KEYS, "SIZE", "NETWORK_ID")):
        return [""]
    nets: List[str] = []
    for text in filter(None, map(rule.get, PEER_KEYS)):
        first, size = ipaddress.ip_address(text), int(rule.get("SIZE", ""))
        if first.version == family:
            nets += map(str, ipaddress.summarize_address_range(first, first + (size - 1)))
    return nets


def _traffic(rule: Card, family: int) -> Iterator[Tuple[List[str], str]]:
    protocol = rule.get("PROTOCOL", "").upper()
    if protocol not in PROTOCOLS:
        raise ValueError(f"PROTOCOL '{protocol[:20]}'")
    number, only = PROTOCOLS[protocol]
    name = protocol.lower()
    if only not in (0, family):
        return
    if protocol in ("TCP", "UDP") and rule.get("RANGE"):
        for ports in _ports(rule["RANGE"]):
            listed = ",".join(one.replace("-", ":") for one in ports)
            yield ["-p", name, "-m", "multiport", "--dports", listed], f"{name} dport {{ {', '.join(ports)} }}"
    elif protocol in ("ICMP", "ICMPV6") and rule.get(f"{protocol}_TYPE"):
        kind = rule[f"{protocol}_TYPE"]
        if not re.fullmatch(r"[0-9]{1,3}(/[0-9]{1,3})?", kind):
            raise ValueError(f"{protocol}_TYPE '{kind[:20]}'")
        code = "".join(f" {name} code {one}" for one in kind.split("/")[1:])
        yield ["-p", number, f"--{name}-type", kind], f"{name} type {kind.split('/')[0]}{code}"
    elif number:
        yield ["-p", number], f"meta l4proto {number}"
    else:
        yield [], ""


def _ports(text: str) -> Iterator[List[str]]:
    """Yield a RANGE (``22,80:90``), sorted and without overlaps, in parts that iptables takes: 15, a range is two."""
    spans: List[Tuple[int, int]] = []
    for first, last in sorted(_span(one) for one in text.split(",")):
        if spans and first <= spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], max(last, spans[-1][1]))
        else:
            spans.append((first, last))
    names = [str(first) if first == last else f"{first}-{last}" for first, last in spans]
    for at in range(0, len(names), 7):
        yield names[at : at + 7]


def _span(text: str) -> Tuple[int, int]:
    if not re.fullmatch(r" *[0-9]{1,5}(:[0-9]{1,5})? *", text):
        raise ValueError(f"RANGE '{text[:20]}'")
    first, _, last = text.partition(":")
    span = int(first), int(last or first)
    if not span[0] <= span[1] <= MAX_PORT:
        raise ValueError(f"RANGE '{text[:20]}'")
    return span


# --- from what is there to what is wanted (pure) ----------------------------------------------------------------------


def plan(
    entries: Sequence[Entry], wanted: Sequence[Rule], managed: Callable[[Rule], bool]
) -> Tuple[List[Entry], List[Rule]]:
    """Return what to remove and what to add; of the rules that are ``managed`` exactly ``wanted`` are left, once."""
    remove: List[Entry] = []
    there: Set[Rule] = set()
    for entry in entries:
        if entry.rule is None:
            continue
        if entry.rule in wanted and entry.rule not in there:
            there.add(entry.rule)
        elif managed(entry.rule):
            remove.append(entry)
    return remove, [rule for rule in wanted if rule not in there]


def behind(entries: Sequence[Entry], vm: int) -> int:
    """Return how many entries of a chain new rules of a machine go behind: those up to its own last one."""
    own = [at for at, one in enumerate(entries, 1) if one.rule is not None and one.rule.vm == vm]
    return own[-1] if own else 0


def _without(entries: Sequence[Entry], remove: Sequence[Entry]) -> List[Entry]:
    left = list(entries)
    for one in remove:  # of equal ones iptables removes the first, too
        left.remove(one)
    return left


def _within(entries: Sequence[Entry], chain: str) -> List[Entry]:
    return [one for one in entries if one.chain == chain]


def _groups_used(entries: Sequence[Entry], add: Sequence[Rule]) -> Set[str]:
    return {one.rule.group for one in entries if one.rule is not None} | {one.group for one in add}


def _group_chains(names: Names, found: Sequence[str]) -> List[str]:
    """Return the digests of the groups that have a chain."""
    head = names.full("")
    return [one[len(head) :] for one in found if re.fullmatch(re.escape(head) + "[0-9a-f]{12}", one)]


def iptables_entries(names: Names, text: str) -> List[Entry]:
    """Read our chains in the answers of ``iptables -t nat -S`` and ``-t filter -S``."""
    found, own = [], names.own()
    for line in text.splitlines():
        if line.startswith(f"-A {names.chain}-") and line.split(" ", 2)[1] in own:
            words = shlex.split(line)
            comment = words[words.index("--comment") + 1] if "--comment" in words[:-1] else ""
            found.append(Entry(words[1], Rule.of_comment(comment, names.mark), line[3:]))
    return found


def iptables_commands(names: Names, text: str, change: Change) -> List[List[str]]:
    """Return the commands behind ``iptables -t``; ``text`` is the answer of ``-S`` for both tables.

    Each command counts at once: new filters stand before NAT is made, and before the old ones go.
    """
    lines = text.splitlines()
    remove, add, groups = change
    entries = iptables_entries(names, text)
    left = _without(entries, remove)
    own = names.own()
    commands: List[List[str]] = []
    for digest, group in groups.items():
        chain = names.full(digest)
        if sum(line.startswith(f"-A {chain} ") for line in lines) != len(group.iptables):
            commands.append(["filter", "-F" if f"-N {chain}" in lines else "-N", chain])
            commands += [["filter", "-A", chain, *words] for words in group.iptables]
    gone = [(CHAINS[own[one.chain]][0], ["-D", *shlex.split(one.where)]) for one in remove]
    for table, before in (("filter", entries), ("nat", left)):
        commands += [[table, *words] for its, words in gone if its == "nat" == table]
        for chain in (one for one in CHAINS if CHAINS[one][0] == table):
            mine = [rule for rule in add if rule.chain == chain]
            if mine or _within(left, names.full(chain)):
                commands += _stand(names, chain, lines, _within(before, names.full(chain)), mine)
    commands += [["filter", *words] for its, words in gone if its == "filter"]
    for name, chain in own.items():
        table, hooks = CHAINS[chain]
        if f"-N {name}" in lines and not _within(left, name) and all(rule.chain != chain for rule in add):
            commands += [[table, "-D", hook, "-j", name] for hook in hooks if f"-A {hook} -j {name}" in lines]
            commands.append([table, "-X", name])
    used = _groups_used(left, add)
    for digest in _group_chains(names, [line[3:] for line in lines if line.startswith("-N ")]):
        if digest not in used:
            commands += [["filter", verb, names.full(digest)] for verb in ("-F", "-X")]
    return commands


def _stand(
    names: Names, chain: str, lines: Sequence[str], there: Sequence[Entry], mine: Sequence[Rule]
) -> List[List[str]]:
    """Have a chain, called from where it should be, and ``mine`` in it."""
    (table, hooks), name = CHAINS[chain], names.full(chain)
    commands = [] if f"-N {name}" in lines else [[table, "-N", name]]
    at = str(behind(there, mine[0].vm) + 1) if mine else ""
    commands += [[table, "-I", name, at, *iptables_words(names, rule)] for rule in reversed(mine)]
    missing = [hook for hook in hooks if f"-A {hook} -j {name}" not in lines]
    return commands + [[table, "-I", hook, "1", "-j", name] for hook in missing]


def iptables_words(names: Names, rule: Rule) -> List[str]:
    """Return a rule as iptables takes it."""
    comment = ["-m", "comment", "--comment", rule.comment(names.mark)]
    if rule.chain == "notes":
        return comment
    let = ["-g", names.full(rule.group)] if rule.group else ["-j", "RETURN"]
    came, goes = (["-i", rule.bridge], ["-o", rule.bridge]) if rule.bridge else ([], [])
    mark = f"{mark_of(rule.bridge):#x}/{MARKS:#x}"
    marked = ["-m", "connmark", "--mark", mark] if rule.bridge else []
    leaves = ["-s", rule.parent, *(["!", *goes] if rule.bridge else [])]
    turns = ["-s", rule.parent, *goes, "-m", "conntrack", "--ctstate", "DNAT"]
    snat = ["-j", "SNAT", "--to-source", rule.alias]
    match, verdict = {
        "in": (["-d", rule.alias], ["-j", "DNAT", "--to-destination", rule.parent]),
        "sent": (["-s", rule.parent, *came], ["-j", "CONNMARK", "--set-xmark", mark]),
        "out": ([*leaves, *marked], snat),
        "back": ([*turns, *marked], snat),
        "via": (["-d", rule.parent, "-m", "conntrack", "--ctorigdst", rule.alias], let),
        "to": (["-d", rule.parent, *goes], let),
        "from": (["-s", rule.parent, *came], let),
        "leaves": ([*leaves, *came], let),
        "turns": ([*turns, *came], let),
    }[rule.what]
    return [*match, *comment, *verdict]


def mark_of(bridge: str) -> int:
    """Return what marks connections that came in by a bridge; never zero."""
    return (zlib.crc32(bridge.encode()) & MARKS) | 0x100000


def nft_entries(names: Names, text: str) -> List[Entry]:
    """Read the answer of ``nft -a list table``: all rules but the jumps to our chains, and the groups'."""
    jumps = {jump for chain in CHAINS for jump in names.jumps(chain)}
    groups = {names.full(one) for one in _group_chains(names, _nft_chains(text))}
    return [
        Entry(chain, Rule.of_comment(_comment(words), names.mark), handle)
        for chain, words, handle in _nft_rules(text)
        if (chain, words) not in jumps and chain not in groups
    ]


def _comment(words: str) -> str:
    found = re.search(r' comment "([^"]*)"$', words)
    return found.group(1) if found else ""


def _nft_chains(text: str) -> List[str]:
    return re.findall(r"^\s*chain (\S+) \{", text, re.MULTILINE)


def _nft_rules(text: str) -> Iterator[Tuple[str, str, str]]:
    chain = ""
    for line in text.splitlines():
        opened = re.match(r"\s*chain (\S+) \{", line)
        rule = re.match(r"\s+(\S.*) # handle (\d+)$", line)
        if opened:
            chain = opened.group(1)
        elif rule:
            yield chain, rule.group(1), rule.group(2)


def nft_script(names: Names, family: int, text: str, change: Change) -> str:
    """Return one transaction for ``nft -f``; ``text`` is the answer of ``nft -a list table``, empty without one."""
    remove, add, groups = change
    table = f"{_nft(family)} {names.table}"
    left = _without(nft_entries(names, text), remove)
    if not add and not left:
        return f"delete table {table}\n" if text else ""
    there = [(chain, words) for chain, words, _ in _nft_rules(text)]
    lines = [f"delete rule {table} {one.chain} handle {one.where}" for one in remove]
    for digest, group in groups.items():
        chain = names.full(digest)
        if sum(one == chain for one, _ in there) != len(group.nft):
            lines += [f"add table {table}", f"add chain {table} {chain}", f"flush chain {table} {chain}"]
            lines += [f"add rule {table} {chain} {words}" for words in group.nft]
    for chain in CHAINS:
        name, mine = names.full(chain), [rule for rule in add if rule.chain == chain]
        own = _within(left, name)
        whole = name in _nft_chains(text) and all(jump in there for jump in names.jumps(chain))
        if (mine or own) and not whole:
            lines += _nft_stand(names, chain, table, there)
        at = behind(own, mine[0].vm) if mine else 0
        verb = f"add rule {table} {name} position {own[at - 1].where}" if at else f"insert rule {table} {name}"
        lines += [f"{verb} {nft_words(names, rule)}" for rule in reversed(mine)]
    used = _groups_used(left, add)
    for digest in _group_chains(names, _nft_chains(text)):
        if digest not in used:
            lines += [f"{verb} chain {table} {names.full(digest)}" for verb in ("flush", "delete")]
    return "".join(line + "\n" for line in lines)


def _nft_stand(names: Names, chain: str, table: str, there: Sequence[Tuple[str, str]]) -> List[str]:
    lines = [f"add table {table}", f"add chain {table} {names.full(chain)}"]
    for hook, jump in names.jumps(chain):
        kind = f"type {CHAINS[chain][0]} hook {hook.lower()} priority {PRIORITY[hook]};"
        lines.append(f"add chain {table} {hook} {{ {kind} }}")
        lines += [] if (hook, jump) in there else [f"insert rule {table} {hook} {jump}"]
    return lines


def _nft(family: int) -> str:
    return "ip" if family == 4 else "ip6"


def nft_words(names: Names, rule: Rule) -> str:
    """Return a rule as nft takes it."""
    family, comment = _nft(rule.family), f'comment "{rule.comment(names.mark)}"'
    if rule.chain == "notes":
        return f"counter {comment}"
    let = f"goto {names.full(rule.group)}" if rule.group else "return"
    came, goes = (f' iifname "{rule.bridge}"', f' oifname "{rule.bridge}"') if rule.bridge else ("", "")
    mark = mark_of(rule.bridge)
    marked = f" ct mark and {MARKS:#x} == {mark:#x}" if rule.bridge else ""
    leaves = f"{family} saddr {rule.parent}" + (f' oifname != "{rule.bridge}"' if rule.bridge else "")
    turns = f"{family} saddr {rule.parent}{goes} ct status dnat"
    sets = f"ct mark set ct mark and {MARKS ^ 0xFFFFFFFF:#x} or {mark:#x}"
    return {
        "in": f"{family} daddr {rule.alias} dnat to {rule.parent} {comment}",
        "sent": f"{family} saddr {rule.parent}{came} {sets} {comment}",
        "out": f"{leaves}{marked} snat to {rule.alias} {comment}",
        "back": f"{turns}{marked} snat to {rule.alias} {comment}",
        "via": f"{family} daddr {rule.parent} ct original {family} daddr {rule.alias} {let} {comment}",
        "to": f"{family} daddr {rule.parent}{goes} {let} {comment}",
        "from": f"{family} saddr {rule.parent}{came} {let} {comment}",
        "leaves": f"{leaves}{came} {let} {comment}",
        "turns": f"{turns}{came} {let} {comment}",
    }[rule.what]


# --- the host ---------------------------------------------------------------------------------------------------------


class Commands:
    """Runs programs as root: by sudo, unless this is root."""

    def __init__(self) -> None:
        self._path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/bin", "/bin"))
        self._sudo = ["sudo", "-n"] if os.geteuid() else []
        self._allowed: Dict[str, bool] = {}

    def has(self, program: str) -> bool:
        """Tell whether a program is installed."""
        return shutil.which(program, path=self._path) is not None

    def may(self, words: Sequence[str]) -> bool:
        """Tell whether a command is allowed. It is asked first, since sudo mails refusals to the administrator."""
        what = words[0] if "ables" in words[0] or words[0] == "nft" else " ".join(words[:2])  # sudoers: 'ip route *'
        if self._sudo and what not in self._allowed:
            self._allowed[what] = self._run([*self._sudo, "-l", *words], "").returncode == 0
        return self._allowed.get(what, True)

    def run(self, words: Sequence[str], stdin: str = "") -> str:
        """Return what a command prints. Raises: Problem."""
        if not self.may(words):
            raise Problem(f"sudo does not let user {os.geteuid()} run {words[0]} on this host")
        done = self._run(self._sudo + list(words), stdin)
        if done.returncode:
            said = " ".join(done.stderr.split())[:300] or f"exit code {done.returncode}"
            raise Problem(f"'{' '.join(words)[:200]}' failed on this host: {said}")
        return str(done.stdout)

    def look(self, words: Sequence[str]) -> str:
        """Return what a command prints that everybody may run; empty when it fails."""
        done = self._run(words, "")
        return "" if done.returncode else str(done.stdout)

    def _run(self, words: Sequence[str], stdin: str) -> "subprocess.CompletedProcess[str]":
        try:
            return subprocess.run(
                words,
                input=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                universal_newlines=True,
                timeout=COMMAND_LIMIT,
                check=False,
                env={"PATH": self._path, "LC_ALL": "C"},
                cwd="/",
            )
        except subprocess.TimeoutExpired:
            raise Problem(f"'{' '.join(words)[:200]}' did not end within {COMMAND_LIMIT} s on this host") from None
        except OSError as exc:
            raise Problem(f"{words[0]} cannot be run on this host: {exc.strerror}") from None


class Iptables:
    """Rules of one family by iptables; each command is one change."""

    def __init__(self, commands: Commands, family: int, names: Names) -> None:
        self._commands, self.family, self._names = commands, family, names
        self.program = "iptables" if family == 4 else "ip6tables"
        self._text = ""

    def read(self) -> List[Entry]:
        """Return the rules of our chains. Raises: Problem."""
        self._text = self._do(["nat", "-S"]) + self._do(["filter", "-S"])
        return iptables_entries(self._names, self._text)

    def change(self, change: Change) -> None:
        """Carry out a change. Raises: Problem; then some of it may be done."""
        for words in iptables_commands(self._names, self._text, change):
            self._do(words)

    def _do(self, words: List[str]) -> str:
        return self._commands.run([self.program, "-w", "10", "-t", *words])


class Nft:
    """Rules of one family by nft, in a table of their own; all or nothing."""

    program = "nft"

    def __init__(self, commands: Commands, family: int, names: Names) -> None:
        self._commands, self.family, self._names = commands, family, names
        self._text = ""

    def read(self) -> List[Entry]:
        """Return the rules of our table. Raises: Problem."""
        table = [_nft(self.family), self._names.table]
        there = f"table {' '.join(table)}" in self._commands.run(["nft", "list", "tables"]).splitlines()
        self._text = self._commands.run(["nft", "-a", "list", "table", *table]) if there else ""
        return nft_entries(self._names, self._text)

    def change(self, change: Change) -> None:
        """Carry out a change. Raises: Problem; then nothing is done."""
        script = nft_script(self._names, self.family, self._text, change)
        if script:
            self._commands.run(["nft", "-f", "-"], script)


Keeper = Union[Iptables, Nft]


def tables(commands: Commands, family: int, names: Names) -> Tuple[List[Tuple[Keeper, List[Entry]]], List[str]]:
    """Return what keeps rules of a family here, the preferred one first, and why what is installed cannot be used.

    nft comes first: only there rules can stand before everybody's, such as a masquerade for all machines. OpenNebula
    before 7.0 lets oneadmin run iptables only. Whatever else is usable is asked for what an earlier choice left in it.
    """
    usable: List[Tuple[Keeper, List[Entry]]] = []
    why: List[str] = []
    for one in (Nft(commands, family, names), Iptables(commands, family, names)):
        if not commands.has(one.program):
            continue
        try:
            usable.append((one, one.read()))
        except Problem as problem:
            why.append(str(problem))
    return usable, why


@contextlib.contextmanager
def alone(path: str, wait: float) -> Iterator[None]:
    """Keep other runs out for as long as this lasts. Raises: Problem (others keep running)."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as exc:
        raise Problem(f"the lock {path} cannot be opened: {exc.strerror}") from None
    try:
        until = time.monotonic() + wait
        while not _locked(lock):
            if time.monotonic() > until:
                raise Problem(f"other network actions have held {path} for {wait:.0f} s")
            time.sleep(0.05)
        yield
    finally:
        os.close(lock)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# --- actions ----------------------------------------------------------------------------------------------------------


class Run:
    """One action for one machine; ``problems`` and ``warnings`` are told at the end."""

    names = NAMES

    def __init__(self, vm: Vm, commands: Commands) -> None:
        self.vm, self.commands = vm, commands
        self.problems: List[str] = []
        self.warnings: List[str] = []
        self.groups: Groups = {}

    def concerned(self) -> List[Card]:
        """Return the cards the run is about."""
        return concerned(self.vm, self.names.driver)

    def ids(self) -> Set[str]:
        """Return the ids of all cards that the machine has."""
        return {one.get("NIC_ID", "") for one in self.vm.aliases}

    def rules_of(self, card: Card) -> Tuple[List[Rule], Groups]:
        """Return what a card needs. Raises: Problem."""
        return rules_of(self.vm, card, self.warnings.append)

    def check(self) -> None:
        """Action ``pre``: nothing is changed yet, since nobody cleans up where a live migration did not arrive."""
        self.look_for_keepers({rule.family for rule in self.wanted()[0]})

    def look_for_keepers(self, families: Set[int]) -> None:
        """See that rules of some families can be made here."""
        for family in sorted(families):
            usable, why = tables(self.commands, family, self.names)
            if not usable:
                self._unusable(family, why)

    def put(self) -> None:
        """Actions ``post`` and ``update_*``: what is wanted is there, and nothing else of these cards."""
        wanted, managed = self.wanted()
        for family in sorted({rule.family for rule in wanted}):
            self._look_at_forwarding(family)
        self.settle(wanted, managed)

    def clean(self) -> None:
        """Action ``clean``: nothing of the machine is left, or of what is being detached."""
        self.settle([], self.leaving())

    def leaving(self) -> Callable[[Rule], bool]:
        """Return what tells the rules that ``clean`` removes."""
        if not is_hotplug(self.vm):
            return lambda rule: rule.vm == self.vm.id
        ids: Set[int] = set()
        for card in self.concerned():
            try:
                ids.add(nic_id(self.vm, card))
            except Problem as problem:
                self.problems.append(str(problem))
        return self.manages(ids)

    def wanted(self) -> Tuple[List[Rule], Callable[[Rule], bool]]:
        """Return the rules of the cards the run is about, and what tells the rules it looks after."""
        rules: List[Rule] = []
        for card in self.concerned():
            try:
                found, groups = self.rules_of(card)
            except Problem as problem:
                self.problems.append(str(problem))
                continue
            outside, there = ({rule.alias for rule in one if rule.what == "in"} for one in (found, rules))
            if outside & there:
                self.problems.append(f"VM {self.vm.id}: two NIC aliases have the address {min(outside & there)}")
            else:
                rules += found
                self.groups.update(groups)
        return rules, self.manages({rule.nic for rule in rules})

    def manages(self, ids: Set[int]) -> Callable[[Rule], bool]:
        """A run looks after the cards it is about, and those that the machine no longer has."""
        named = self.ids()
        complete = all(map(NUMBER.fullmatch, named))

        def managed(rule: Rule) -> bool:
            return rule.vm == self.vm.id and (rule.nic in ids or (complete and str(rule.nic) not in named))

        return managed

    def settle(self, wanted: Sequence[Rule], managed: Callable[[Rule], bool]) -> None:
        """Have ``wanted`` in what is preferred here, and nothing that is ``managed`` anywhere else."""
        for family in (4, 6):
            mine = [rule for rule in wanted if rule.family == family]
            usable, why = tables(self.commands, family, self.names)
            if not usable and (mine or (why and family in self.families())):
                self._unusable(family, why)
            for place, (keeper, entries) in enumerate(usable):
                here = [] if place else mine
                remove, add = plan(entries, here, managed)
                groups = {rule.group: self.groups[rule.group] for rule in here if rule.group}
                try:
                    keeper.change(Change(remove, add, groups))
                except Problem as problem:
                    self.problems.append(f"VM {self.vm.id}: {problem}")
                    self._undo(keeper, add)

    def families(self) -> Set[int]:
        """Return the families of the addresses that the cards have."""
        cards = self.concerned()
        return {family for family, keys in ADDRESS_KEYS.items() if any(one.get(key) for one in cards for key in keys)}

    def _unusable(self, family: int, why: Sequence[str]) -> None:
        program = Iptables(self.commands, family, self.names).program
        reason = " and ".join(why) or f"this host has neither {program} nor nft"
        self.problems.append(f"VM {self.vm.id}: IPv{family} addresses cannot be translated: {reason}")

    def _undo(self, keeper: Keeper, added: Sequence[Rule]) -> None:
        """Leave no half of a card behind: nobody cleans up after an attach that failed."""
        try:
            keeper.change(Change([one for one in keeper.read() if one.rule in added], [], {}))
        except Problem as problem:
            self.problems.append(f"and taking it back failed: {problem}")

    def _look_at_forwarding(self, family: int) -> None:
        if setting(FORWARDING[family]) == "0":
            name = FORWARDING[family].replace("/", ".")
            self.warnings.append(f"this host does not forward IPv{family}: set {name} to 1")


def setting(path: str) -> str:
    """Return a kernel setting below /proc/sys; empty without it, as on a host without IPv6."""
    try:
        with open("/proc/sys/" + path) as file:
            return file.read().strip()
    except OSError:
        return ""


AnyRun = TypeVar("AnyRun", bound=Run)
ACTIONS: Dict[str, Callable[[Run], None]] = {
    "pre": Run.check,
    "post": Run.put,
    "clean": Run.clean,
    "update_sg": Run.put,
    "update_nic": Run.put,
}


def main(action: str, data: bytes) -> Tuple[int, str]:
    """Carry out an action; return the exit code and what goes to standard error (one plain line on a failure)."""
    return act(Run, ACTIONS, action, data)


def act(
    kind: Type[AnyRun], actions: Mapping[str, Callable[[AnyRun], None]], action: str, data: bytes
) -> Tuple[int, str]:
    """Carry out an action of a driver, as ``main``."""
    driver = kind.names.driver
    told: List[str] = []
    problems: List[str] = []
    try:
        if action not in actions:
            raise Problem(f"driver {driver} has no action '{action[:40]}'")
        run = kind(read_vm(data), Commands())
        told, problems = run.warnings, run.problems
        # Links are not followed, the mode is 0600.
        with alone(f"/tmp/onevnm-{driver}-{os.geteuid()}.lock", LOCK_WAIT):  # noqa: S108
            actions[action](run)
    except Problem as problem:
        problems.append(str(problem))
    lines = [f"WARN: {one}" for one in dict.fromkeys(told)]
    if problems:
        lines.append(" ".join(f"{driver}: {'; '.join(problems)}".split()))
    return (1 if problems else 0), "".join(line + "\n" for line in lines)


def stdin() -> bytes:
    """Return standard input, or as much of it as shows that it is too long."""
    return sys.stdin.buffer.read(MAX_INPUT + 1)


if __name__ == "__main__":
    code, said = main(sys.argv[1] if len(sys.argv) > 1 else "", stdin())
    sys.stderr.write(said)
    sys.exit(code)
