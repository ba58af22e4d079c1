"""Network driver ``alias_sdnat``, the part that runs on a hypervisor: ``pre post clean update_sg update_nic``.

A NIC alias of a network of this driver has an address that its machine does not know: what comes for it goes on to the
address of the alias's parent NIC (DNAT), what that address sends out of the host leaves with the alias's (SNAT).

``onehost sync`` copies this folder to the hosts; nothing else of the drivers is there. Python 3.6 (RHEL 8), standard
library only. Each rule carries its whole meaning as its comment, ``sdnat/VM/NIC/...``: what a run adds and removes
follows from the comments alone, and a rule without one of the machine at hand is never touched. The newest machine's
rules stand first, so that what a lost ``clean`` left behind cannot take an address away.

Facts: OpenNebula 5.12 ``vnm_mad/remotes/alias_sdnat``, ``vmm_exec/one_vmm_exec.rb`` (what runs when, and the document),
``vnm_mad/remotes/lib/command.rb`` and ``share/pkgs/sudoers`` (oneadmin runs iptables, ip6tables and, since 7.0, nft).
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
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple, Union
from xml.etree import ElementTree
from xml.parsers import expat

DRIVER = "alias_sdnat"
MARK = "sdnat"  # short, since nft takes 127 bytes of comment
MAX_INPUT = 8 * 1024 * 1024  # bytes
LOCK = f"/tmp/onevnm-{DRIVER}-{os.geteuid()}.lock"  # noqa: S108 - links are not followed, the mode is 0600
LOCK_WAIT = 30.0  # seconds for other runs to end; each takes a tenth of one
COMMAND_LIMIT = 20  # seconds for one command
ADDRESS_KEYS = {4: ("IP",), 6: ("IP6", "IP6_GLOBAL", "IP6_ULA")}  # the first one that is there
FORWARDING = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}
TABLE = "hybrid_alias"  # nft's, one a family: NAT in family inet is newer than RHEL 8's kernel
DNAT, SNAT = "hybrid-alias-dnat", "hybrid-alias-snat"
HOOKS = {DNAT: ("PREROUTING", "OUTPUT"), SNAT: ("POSTROUTING",)}
PRIORITY = {"PREROUTING": -110, "OUTPUT": -110, "POSTROUTING": 90}  # nft: just before everybody else's NAT
INTERFACE = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.:@-]{0,14}")
NUMBER = re.compile(r"[0-9]{1,9}")

JUMPS = [(hook, f"jump {chain}", chain) for chain, hooks in HOOKS.items() for hook in hooks]  # nft's

Card = Dict[str, str]  # a NIC or NIC_ALIAS of the document


class Problem(Exception):
    """What could not be done; the text is the sentence for people."""


class Rule(NamedTuple):
    """One rule: ``in`` (DNAT), ``out`` (SNAT of what leaves), ``back`` (SNAT of what another alias sends back)."""

    vm: int
    nic: int
    what: str
    alias: str
    parent: str
    bridge: str = ""

    @property
    def family(self) -> int:
        """Return 4 or 6."""
        return 6 if ":" in self.alias else 4

    @property
    def chain(self) -> str:
        """Return the chain it stands in."""
        return DNAT if self.what == "in" else SNAT

    @property
    def comment(self) -> str:
        """Return what tells it apart from all others."""
        return "/".join((MARK, str(self.vm), str(self.nic), self.what, self.alias, self.parent, self.bridge))

    @classmethod
    def of_comment(cls, text: str) -> Optional["Rule"]:
        """Read a comment; None when it is none of ours."""
        parts = text.split("/")
        if len(parts) != 7 or parts[0] != MARK or not (NUMBER.fullmatch(parts[1]) and NUMBER.fullmatch(parts[2])):
            return None
        return cls(int(parts[1]), int(parts[2]), parts[3], parts[4], parts[5], parts[6])


class Entry(NamedTuple):
    """A rule that stands in a chain; ``rule`` is None for one of somebody else; ``where`` is what removes it."""

    chain: str
    rule: Optional[Rule]
    where: str


class Vm(NamedTuple):
    """What the document says of the machine."""

    id: int
    nics: List[Card]
    aliases: List[Card]
    devices: List[Card]


# --- the document -----------------------------------------------------------------------------------------------------


def read_vm(data: bytes) -> Vm:
    """Read standard input: base64 ``<VM>``, its elements scattered over several ``<TEMPLATE>``. Raises: Problem."""
    if len(data) > MAX_INPUT:
        raise Problem(f"standard input is longer than {MAX_INPUT} bytes")
    try:
        root = parse_xml(base64.b64decode(b"".join(data.split()), validate=True))
    except (binascii.Error, ValueError):
        raise Problem("standard input is not base64, as OpenNebula hands a VM over") from None
    number = (root.findtext("ID") or "").strip()
    if root.tag != "VM" or not NUMBER.fullmatch(number):
        raise Problem("standard input is not a VM document with an ID")
    kinds = ("NIC", "NIC_ALIAS", "PCI")
    nics, aliases, devices = ([_card(one) for one in root.findall("TEMPLATE/" + kind)] for kind in kinds)
    return Vm(int(number), nics, aliases, devices)


def parse_xml(data: bytes) -> ElementTree.Element:
    """Parse a document without a type declaration: there is none in what OpenNebula sends, and entities need one."""
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(data, True)
    except expat.ExpatError as exc:
        raise Problem(f"standard input is not XML: {exc}") from None
    return builder.close()


def _refuse_doctype(*_: object) -> None:
    raise Problem("standard input holds a document type declaration, which is not accepted")


def _card(element: ElementTree.Element) -> Card:
    return {one.tag: (one.text or "").strip() for one in element}


# --- what is wanted ---------------------------------------------------------------------------------------------------


def concerned(vm: Vm) -> List[Card]:
    """Return the aliases a run is about: all of this driver; of a hot-plug only what is plugged or hangs on it."""
    mine = [one for one in vm.aliases if one.get("VN_MAD") == DRIVER]
    if not is_hotplug(vm):
        return mine
    plugged = {one.get("NIC_ID") for one in vm.nics + vm.devices if _attaches(one)}
    return [one for one in mine if _attaches(one) or one.get("PARENT_ID") in plugged]


def families(vm: Vm) -> Set[int]:
    """Return the families of the addresses that the aliases a run is about have."""
    return {
        family for one in concerned(vm) for family, keys in ADDRESS_KEYS.items() if any(one.get(key) for key in keys)
    }


def is_hotplug(vm: Vm) -> bool:
    """Tell whether something of the machine is being attached or detached."""
    return any(_attaches(one) for one in vm.nics + vm.devices + vm.aliases)


def _attaches(card: Card) -> bool:
    return card.get("ATTACH", "").upper() == "YES"


def nic_id(vm: Vm, alias: Card) -> int:
    """Return an alias's id, unique among the NICs and aliases of its machine. Raises: Problem."""
    text = alias.get("NIC_ID", "")
    if not NUMBER.fullmatch(text):
        raise Problem(f"VM {vm.id}: a NIC alias has no NIC_ID that is a number, but '{text[:40]}'")
    return int(text)


def rules_of(vm: Vm, alias: Card, warn: Callable[[str], None]) -> List[Rule]:
    """Return the rules of an alias, for each family that it and its parent have. Raises: Problem."""
    nic = nic_id(vm, alias)
    name = f"VM {vm.id}: NIC alias {nic}"
    parent = next((one for one in vm.nics if one.get("NIC_ID") == alias.get("PARENT_ID", "-")), None)
    if parent is None:
        raise Problem(f"{name} has no parent: there is no NIC with NIC_ID '{alias.get('PARENT_ID', '')[:40]}'")
    if parent.get("VN_MAD") == DRIVER:
        raise Problem(f"{name}: its parent NIC is in a network of {DRIVER}, too, where machines have no card")
    bridge = parent.get("BRIDGE", "")
    if bridge and not INTERFACE.fullmatch(bridge):
        raise Problem(f"{name}: the BRIDGE of its parent, '{bridge[:40]}', cannot be an interface")
    rules: List[Rule] = []
    for family in (4, 6):
        outside, inside = _address(name, alias, family), _address(name + "'s parent", parent, family)
        if outside and inside:
            rules += _pair(vm.id, nic, outside, inside, bridge)
        elif outside:
            warn(f"{name}: {outside} stays unreachable, its parent has no IPv{family} address")
    if not rules:
        raise Problem(f"{name} and its parent have no addresses of the same family")
    return rules


def _pair(vm: int, nic: int, alias: str, parent: str, bridge: str) -> List[Rule]:
    """With net.bridge.bridge-nf-call-iptables machines of one bridge pass NAT too: among them addresses stay."""
    kinds = ("in", "out", "back") if bridge else ("in", "out")
    return [Rule(vm, nic, what, alias, parent, "" if what == "in" else bridge) for what in kinds]


def _address(name: str, card: Card, family: int) -> str:
    text = next((card[key] for key in ADDRESS_KEYS[family] if card.get(key)), "")
    if not text:
        return ""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise Problem(f"{name} has '{text[:60]}' for its IPv{family} address") from None
    unusable = address.is_multicast or address.is_unspecified or address.is_loopback or address.is_link_local
    if address.version != family or unusable or "%" in text:
        raise Problem(f"{name} has {text[:60]} for its IPv{family} address, which cannot be translated")
    return str(address)


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


def behind(left: Sequence[Entry], chain: str, vm: int) -> int:
    """Return how many entries of a chain new rules of a machine go behind: those up to its own last one."""
    own = [at for at, one in enumerate(_within(left, chain), 1) if one.rule is not None and one.rule.vm == vm]
    return own[-1] if own else 0


def _without(entries: List[Entry], remove: Sequence[Entry]) -> List[Entry]:
    for one in remove:  # of equal ones iptables removes the first, too
        entries.remove(one)
    return entries


def _within(entries: Sequence[Entry], chain: str) -> List[Entry]:
    return [one for one in entries if one.chain == chain]


def iptables_entries(text: str) -> List[Entry]:
    """Read our chains in the answer of ``iptables -t nat -S``."""
    found = []
    for line in text.splitlines():
        words = shlex.split(line) if line.startswith((f"-A {DNAT} ", f"-A {SNAT} ")) else []
        if words:
            comment = words[words.index("--comment") + 1] if "--comment" in words[:-1] else ""
            found.append(Entry(words[1], Rule.of_comment(comment), line[3:]))
    return found


def iptables_commands(text: str, remove: Sequence[Entry], add: Sequence[Rule]) -> List[List[str]]:
    """Return the commands behind ``iptables -t nat``; ``text`` is the answer of ``-S``."""
    lines = text.splitlines()
    left = _without(iptables_entries(text), remove)
    commands = [["-D", *shlex.split(one.where)] for one in remove]
    for chain, hooks in HOOKS.items():
        there, mine = "-N " + chain in lines, [rule for rule in add if rule.chain == chain]
        jumps = [hook for hook in hooks if f"-A {hook} -j {chain}" in lines]
        if mine or _within(left, chain):
            commands += [] if there else [["-N", chain]]
            at = str(behind(left, chain, mine[0].vm) + 1) if mine else ""
            commands += [["-I", chain, at, *iptables_words(rule)] for rule in reversed(mine)]
            commands += [["-I", hook, "1", "-j", chain] for hook in hooks if hook not in jumps]
        elif there:
            commands += [["-D", hook, "-j", chain] for hook in jumps] + [["-X", chain]]
    return commands


def iptables_words(rule: Rule) -> List[str]:
    """Return a rule as iptables takes it."""
    comment = ["-m", "comment", "--comment", rule.comment]
    if rule.what == "in":
        return ["-d", rule.alias, *comment, "-j", "DNAT", "--to-destination", rule.parent]
    match = {
        "out": ["!", "-o", rule.bridge] if rule.bridge else [],
        "back": ["-o", rule.bridge, "-m", "conntrack", "--ctstate", "DNAT"],
    }[rule.what]
    return ["-s", rule.parent, *match, *comment, "-j", "SNAT", "--to-source", rule.alias]


def nft_entries(text: str) -> List[Entry]:
    """Read the answer of ``nft -a list table``: all rules but the jumps to our chains."""
    return [
        Entry(chain, Rule.of_comment(_comment(words)), handle)
        for chain, words, handle in _nft_rules(text)
        if (chain, words) not in {(hook, jump) for hook, jump, _ in JUMPS}
    ]


def _comment(words: str) -> str:
    found = re.search(r' comment "([^"]*)"$', words)
    return found.group(1) if found else ""


def _nft_rules(text: str) -> Iterator[Tuple[str, str, str]]:
    chain = ""
    for line in text.splitlines():
        opened = re.match(r"\s*chain (\S+) \{", line)
        rule = re.match(r"\s+(\S.*) # handle (\d+)$", line)
        if opened:
            chain = opened.group(1)
        elif rule:
            yield chain, rule.group(1), rule.group(2)


def nft_script(family: int, text: str, remove: Sequence[Entry], add: Sequence[Rule]) -> str:
    """Return one transaction for ``nft -f``; ``text`` is the answer of ``nft -a list table``, empty without one."""
    table = f"{_nft(family)} {TABLE}"
    left = _without(nft_entries(text), remove)
    if not add and not left:
        return f"delete table {table}\n" if text else ""
    there = {(chain, words) for chain, words, _ in _nft_rules(text)}
    lines = [f"delete rule {table} {one.chain} handle {one.where}" for one in remove]
    for hook, jump, chain in JUMPS:
        if (hook, jump) not in there:
            lines += [f"add table {table}", f"add chain {table} {chain}"]
            lines += [f"add chain {table} {hook} {{ type nat hook {hook.lower()} priority {PRIORITY[hook]}; }}"]
            lines += [f"add rule {table} {hook} {jump}"]
    for chain in HOOKS:
        mine = [rule for rule in add if rule.chain == chain]
        at = behind(left, chain, mine[0].vm) if mine else 0
        place = f"position {_within(left, chain)[at - 1].where}" if at else ""
        verb = f"add rule {table} {chain} {place}" if at else f"insert rule {table} {chain}"
        lines += [f"{verb} {nft_words(rule)}" for rule in reversed(mine)]
    return "".join(line + "\n" for line in lines)


def _nft(family: int) -> str:
    return "ip" if family == 4 else "ip6"


def nft_words(rule: Rule) -> str:
    """Return a rule as nft takes it."""
    family, comment = _nft(rule.family), f'comment "{rule.comment}"'
    if rule.what == "in":
        return f"{family} daddr {rule.alias} dnat to {rule.parent} {comment}"
    match = {
        "out": f'oifname != "{rule.bridge}" ' if rule.bridge else "",
        "back": f'oifname "{rule.bridge}" ct status dnat ',
    }[rule.what]
    return f"{family} saddr {rule.parent} {match}snat to {rule.alias} {comment}"


# --- the host ---------------------------------------------------------------------------------------------------------


class Commands:
    """Runs programs as root: by sudo, unless this is root."""

    def __init__(self) -> None:
        self._path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/bin", "/bin"))
        self._sudo = ["sudo", "-n"] if os.geteuid() else []
        self._allowed: Set[str] = set()

    def has(self, program: str) -> bool:
        """Tell whether a program is installed."""
        return shutil.which(program, path=self._path) is not None

    def run(self, words: Sequence[str], stdin: str = "") -> str:
        """Return what a command prints. Raises: Problem."""
        if self._sudo and words[0] not in self._allowed:  # asked first: sudo mails refusals to the administrator
            if self._run([*self._sudo, "-l", words[0]], "").returncode:
                raise Problem(f"sudo does not let user {os.geteuid()} run {words[0]} on this host")
            self._allowed.add(words[0])
        done = self._run(self._sudo + list(words), stdin)
        if done.returncode:
            said = " ".join(done.stderr.split())[:300] or f"exit code {done.returncode}"
            raise Problem(f"'{' '.join(words)[:200]}' failed on this host: {said}")
        return str(done.stdout)

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
    """NAT of one family by iptables; each command is one change."""

    def __init__(self, commands: Commands, family: int) -> None:
        self._commands, self.family = commands, family
        self.program = "iptables" if family == 4 else "ip6tables"
        self._text = ""

    def read(self) -> List[Entry]:
        """Return the rules of our chains. Raises: Problem."""
        self._text = self._do(["-S"])
        return iptables_entries(self._text)

    def change(self, remove: Sequence[Entry], add: Sequence[Rule]) -> None:
        """Remove and add rules. Raises: Problem; then some of it may be done."""
        for words in iptables_commands(self._text, remove, add):
            self._do(words)

    def _do(self, words: List[str]) -> str:
        return self._commands.run([self.program, "-w", "10", "-t", "nat", *words])


class Nft:
    """NAT of one family by nft, in a table of its own; all or nothing."""

    program = "nft"

    def __init__(self, commands: Commands, family: int) -> None:
        self._commands, self.family = commands, family
        self._text = ""

    def read(self) -> List[Entry]:
        """Return the rules of our table. Raises: Problem."""
        table = [_nft(self.family), TABLE]
        there = f"table {' '.join(table)}" in self._commands.run(["nft", "list", "tables"]).splitlines()
        self._text = self._commands.run(["nft", "-a", "list", "table", *table]) if there else ""
        return nft_entries(self._text)

    def change(self, remove: Sequence[Entry], add: Sequence[Rule]) -> None:
        """Remove and add rules. Raises: Problem; then nothing is done."""
        script = nft_script(self.family, self._text, remove, add)
        if script:
            self._commands.run(["nft", "-f", "-"], script)


Nat = Union[Iptables, Nft]


def tables(commands: Commands, family: int) -> Tuple[List[Tuple[Nat, List[Entry]]], List[str]]:
    """Return what keeps NAT rules of a family here, the preferred one first, and why what is installed cannot be used.

    nft comes first: only there rules can stand before everybody's, such as a masquerade for all machines. OpenNebula
    before 7.0 lets oneadmin run iptables only. Whatever else is usable is asked for what an earlier choice left in it.
    """
    usable: List[Tuple[Nat, List[Entry]]] = []
    why: List[str] = []
    for one in (Nft(commands, family), Iptables(commands, family)):
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

    def __init__(self, vm: Vm, commands: Commands) -> None:
        self.vm, self._commands = vm, commands
        self.problems: List[str] = []
        self.warnings: List[str] = []

    def check(self) -> None:
        """Action ``pre``: nothing is changed yet, since nobody cleans up where a live migration did not arrive."""
        for family in sorted({rule.family for rule in self._wanted()[0]}):
            usable, why = tables(self._commands, family)
            if not usable:
                self._unusable(family, why)

    def put(self) -> None:
        """Actions ``post`` and ``update_*``: what is wanted is there, and nothing else of these aliases."""
        wanted, managed = self._wanted()
        for family in sorted({rule.family for rule in wanted}):
            self._look_at_forwarding(family)
        self._settle(wanted, managed)

    def clean(self) -> None:
        """Action ``clean``: nothing of the machine is left, or of what is being detached."""
        if not is_hotplug(self.vm):
            self._settle([], lambda rule: rule.vm == self.vm.id)
            return
        ids: Set[int] = set()
        for alias in concerned(self.vm):
            try:
                ids.add(nic_id(self.vm, alias))
            except Problem as problem:
                self.problems.append(str(problem))
        self._settle([], self._manages(ids))

    def _wanted(self) -> Tuple[List[Rule], Callable[[Rule], bool]]:
        rules: List[Rule] = []
        for alias in concerned(self.vm):
            try:
                found = rules_of(self.vm, alias, self.warnings.append)
            except Problem as problem:
                self.problems.append(str(problem))
                continue
            taken = {rule.alias for rule in rules} & {rule.alias for rule in found}
            if taken:
                self.problems.append(f"VM {self.vm.id}: two NIC aliases have the address {min(taken)}")
            else:
                rules += found
        return rules, self._manages({rule.nic for rule in rules})

    def _manages(self, ids: Set[int]) -> Callable[[Rule], bool]:
        """A run looks after the aliases it is about, and those that the machine no longer has."""
        named = {one.get("NIC_ID", "") for one in self.vm.aliases}
        complete = all(map(NUMBER.fullmatch, named))

        def managed(rule: Rule) -> bool:
            return rule.vm == self.vm.id and (rule.nic in ids or (complete and str(rule.nic) not in named))

        return managed

    def _settle(self, wanted: List[Rule], managed: Callable[[Rule], bool]) -> None:
        """Have ``wanted`` in what is preferred here, and nothing that is ``managed`` anywhere else."""
        for family in (4, 6):
            mine = [rule for rule in wanted if rule.family == family]
            usable, why = tables(self._commands, family)
            if not usable and (mine or (why and family in families(self.vm))):
                self._unusable(family, why)
            for place, (nat, entries) in enumerate(usable):
                remove, add = plan(entries, [] if place else mine, managed)
                try:
                    nat.change(remove, add)
                except Problem as problem:
                    self.problems.append(f"VM {self.vm.id}: {problem}")
                    self._undo(nat, add)

    def _unusable(self, family: int, why: Sequence[str]) -> None:
        reason = " and ".join(why) or f"this host has neither {Iptables(self._commands, family).program} nor nft"
        self.problems.append(f"VM {self.vm.id}: IPv{family} addresses cannot be translated: {reason}")

    def _undo(self, nat: Nat, added: Sequence[Rule]) -> None:
        """Leave no half of an alias behind: nobody cleans up after an attach that failed."""
        try:
            nat.change([one for one in nat.read() if one.rule in added], [])
        except Problem as problem:
            self.problems.append(f"and taking it back failed: {problem}")

    def _look_at_forwarding(self, family: int) -> None:
        try:
            with open("/proc/sys/" + FORWARDING[family]) as file:
                if file.read().strip() == "0":
                    name = FORWARDING[family].replace("/", ".")
                    self.warnings.append(f"this host does not forward IPv{family}: set {name} to 1")
        except OSError:
            pass  # no IPv6 here: the rules' own failure tells it better


ACTIONS: Dict[str, Callable[[Run], None]] = {
    "pre": Run.check,
    "post": Run.put,
    "clean": Run.clean,
    "update_sg": Run.put,
    "update_nic": Run.put,
}


def main(action: str, data: bytes) -> Tuple[int, str]:
    """Carry out an action; return the exit code and what goes to standard error (one plain line on a failure)."""
    told: List[str] = []
    problems: List[str] = []
    try:
        if action not in ACTIONS:
            raise Problem(f"driver {DRIVER} has no action '{action[:40]}'")
        run = Run(read_vm(data), Commands())
        told, problems = run.warnings, run.problems
        with alone(LOCK, LOCK_WAIT):
            ACTIONS[action](run)
    except Problem as problem:
        problems.append(str(problem))
    lines = [f"WARN: {one}" for one in told]
    if problems:
        lines.append(" ".join(f"{DRIVER}: {'; '.join(problems)}".split()))
    return (1 if problems else 0), "".join(line + "\n" for line in lines)


if __name__ == "__main__":
    code, said = main(sys.argv[1] if len(sys.argv) > 1 else "", sys.stdin.buffer.read(MAX_INPUT + 1))
    sys.stderr.write(said)
    sys.exit(code)
