"""What ``iptables`` and ``nft`` keep, in memory: as much as the drivers on hypervisors use, and strict about it.

A command they would refuse is a ``Problem``, as from the driver's own ``Commands``. That the real ones take the same
commands is the matter of ``tests/e2e/test_{alias_sdnat,hybrid_node}.py``.
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from remotes.vnm.alias_sdnat.alias_sdnat import Commands, Problem

BUILT_IN = {"nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"), "filter": ("INPUT", "FORWARD", "OUTPUT")}
TARGETS = {"nat": ("DNAT", "SNAT", "CONNMARK"), "filter": ("RETURN", "DROP")}


def check(holds: object, why: str) -> None:
    if not holds:
        raise Problem(why)


@dataclass
class IptablesTable:
    """A table of one family; rules are what follows ``-A CHAIN``."""

    width: int
    name: str
    chains: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chains = {name: [] for name in BUILT_IN[self.name]}

    def run(self, words: Sequence[str]) -> str:
        verb, *rest = words
        if verb == "-S":
            return self._list()
        chain, *rest = rest
        if verb == "-N":
            check(chain not in self.chains, "Chain already exists.")
            check(len(chain) <= 28, f"chain name {chain} too long (must be under 29 chars)")
            self.chains[chain] = []
            return ""
        check(chain in self.chains, "No chain by that name.")
        does = {"-I": self._insert, "-A": self._append, "-D": self._delete, "-F": self._flush, "-X": self._remove}
        does[verb](chain, rest)
        return ""

    def _insert(self, chain: str, rest: Sequence[str]) -> None:
        at = int(rest[0])
        check(1 <= at <= len(self.chains[chain]) + 1, "Index of insertion too big.")
        self.chains[chain].insert(at - 1, self._made(rest[1:]))

    def _append(self, chain: str, rest: Sequence[str]) -> None:
        self.chains[chain].append(self._made(rest))

    def _made(self, words: Sequence[str]) -> str:
        for verb, target in itertools.pairwise(words):
            if verb == "-g" or (verb == "-j" and target not in TARGETS[self.name]):
                check(target in self.chains, "Couldn't load target.")
        return self._shown(words)

    def _flush(self, chain: str, _rest: Sequence[str]) -> None:
        self.chains[chain].clear()

    def _delete(self, chain: str, rest: Sequence[str]) -> None:
        rule = self._shown(rest)
        check(rule in self.chains[chain], "Bad rule (does a matching rule exist in that chain?).")
        self.chains[chain].remove(rule)

    def _remove(self, chain: str, _rest: Sequence[str]) -> None:
        check(not self.chains[chain], "Directory not empty.")
        rules = [rule.split() for rules in self.chains.values() for rule in rules]
        check(not any(chain in rule for rule in rules), "Too many links.")
        del self.chains[chain]

    def _shown(self, words: Sequence[str]) -> str:
        """Return a rule as ``-S`` shows it: hosts with their width, comments in quotes."""
        return " ".join(self._word(before, word) for before, word in zip(["", *words], words, strict=False))

    def _word(self, before: str, word: str) -> str:
        if before in ("-s", "-d") and "/" not in word:
            return f"{word}/{self.width}"
        return f'"{word}"' if before == "--comment" else word

    def _list(self) -> str:
        built_in = [f"-P {name} ACCEPT" for name in BUILT_IN[self.name]]
        own = [f"-N {name}" for name in self.chains if name not in BUILT_IN[self.name]]
        rules = [f"-A {name} {rule}" for name, rules in self.chains.items() for rule in rules]
        return "".join(line + "\n" for line in [*built_in, *own, *rules])


@dataclass
class NftTable:
    """One table of nft; rules have handles."""

    chains: dict[str, tuple[str, list[tuple[int, str]]]] = field(default_factory=dict)

    def text(self, name: str) -> str:
        lines = [f"table {name} {{ # handle 1"]
        for chain, (hook, rules) in self.chains.items():
            lines += [f"\tchain {chain} {{ # handle 1", *([f"\t\t{hook} policy accept;"] if hook else [])]
            lines += [*(f"\t\t{rule} # handle {handle}" for handle, rule in rules), "\t}", ""]
        return "".join(line + "\n" for line in [*lines, "}"])


class NatTables(Commands):
    """A host's rules, and the driver's ``Commands`` on them; ``programs`` are those that are installed.

    ``refuse`` is asked before each changing command and may raise.
    """

    def __init__(self, programs: Collection[str] = ("iptables", "ip6tables", "nft")) -> None:
        super().__init__()
        self.programs = set(programs)
        widths = {"iptables": 32, "ip6tables": 128}
        self.iptables = {name: IptablesTable(width, "nat") for name, width in widths.items()}
        self.filters = {name: IptablesTable(width, "filter") for name, width in widths.items()}
        self.nft: dict[str, NftTable] = {}
        self.changes: list[str] = []
        self.refuse: Callable[[str], None] = lambda _: None
        self._handle = 1

    def has(self, program: str) -> bool:
        return program in self.programs

    def run(self, words: Sequence[str], stdin: str = "") -> str:
        check(words[0] in self.programs, f"{words[0]} cannot be run")
        if words[0] == "nft":
            return self._nft(words, stdin)
        check(words[1:4] == ["-w", "10", "-t"], f"unexpected {words}")
        if words[5] != "-S":
            self._changing(shlex.join(words))
        return {"nat": self.iptables, "filter": self.filters}[words[4]][words[0]].run(words[5:])

    def everything(self) -> str:
        return f"{self.iptables} {self.filters} {self.nft}"

    def rules(self) -> list[str]:
        """Return all rules, in their order."""
        tables = [*self.iptables.values(), *self.filters.values()]
        texts = [rule for table in tables for rules in table.chains.values() for rule in rules]
        return texts + [rule for table in self.nft.values() for _, rules in table.chains.values() for _, rule in rules]

    def _changing(self, what: str) -> None:
        self.refuse(what)
        self.changes.append(what)

    def _nft(self, words: Sequence[str], stdin: str) -> str:
        if words[1:] == ["list", "tables"]:
            return "".join(f"table {name}\n" for name in self.nft)
        if words[1:4] == ["-a", "list", "table"]:
            return self.nft[" ".join(words[4:])].text(" ".join(words[4:]))
        check(words[1:] == ["-f", "-"], f"unexpected {words}")
        self._changing(stdin)
        for line in stdin.splitlines():
            self._statement(line)
        return ""

    def _statement(self, line: str) -> None:
        verb, kind, family, name, *rest = line.split(" ")
        table = f"{family} {name}"
        if (verb, kind) == ("delete", "table"):
            del self.nft[table]
        elif (verb, kind) == ("add", "table"):
            self.nft.setdefault(table, NftTable())
        elif (verb, kind) == ("add", "chain"):
            hook = re.sub(r"[{}]", "", " ".join(rest[1:])).strip()
            self.nft[table].chains.setdefault(rest[0], (hook, []))
        elif (verb, kind) == ("flush", "chain"):
            self.nft[table].chains[rest[0]][1].clear()
        elif (verb, kind) == ("delete", "chain"):
            every = [text.split() for _, rules in self.nft[table].chains.values() for _, text in rules]
            check(not any(rest[0] in words for words in every), "Device or resource busy")
            check(not self.nft[table].chains.pop(rest[0])[1], "Device or resource busy")
        else:
            targets = [after for word, after in itertools.pairwise(rest) if word in ("jump", "goto")]
            check(all(one in self.nft[table].chains for one in targets), "No such file or directory")
            self._rule(verb, self.nft[table].chains[rest[0]][1], rest[1:])

    def _rule(self, verb: str, rules: list[tuple[int, str]], rest: Sequence[str]) -> None:
        handles = [handle for handle, _ in rules]
        if verb == "delete":
            del rules[handles.index(int(rest[1]))]
            return
        at = 0 if verb == "insert" else len(rules)
        if rest[0] == "position":
            at, rest = handles.index(int(rest[1])) + 1, rest[2:]
        self._handle += 1
        rules.insert(at, (self._handle, " ".join(rest)))
