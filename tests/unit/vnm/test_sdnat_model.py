"""Any sequence of what happens to several machines and their aliases on one host, against a model of the rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from remotes.vnm.alias_sdnat.alias_sdnat import filters_of, translation
from tests.support.examples import examples
from tests.support.nat_tables import NatTables
from tests.unit.vnm.test_sdnat_actions import act, comments
from tests.unit.vnm.test_sdnat_document import ALIAS, NIC

VMS = (3, 4, 44)  # one id begins as another does
IDS = (1, 2, 12)
vms, ids = st.sampled_from(VMS), st.sampled_from(IDS)


@dataclass
class Machine:
    """A machine as oned sees it: its aliases, and whether it is on the host; ``rules`` are the ids that have rules."""

    here: bool = False
    aliases: list[int] = field(default_factory=list)
    rules: set[int] = field(default_factory=set)


def card(vm: int, alias: int, **more: str) -> dict[str, str]:
    return {**ALIAS, "NIC_ID": str(alias), "IP": f"198.51.100.{vm + alias}", "IP6": f"fd51::{vm}:{alias}", **more}


def nic(vm: int) -> dict[str, str]:
    return {**NIC, "IP": f"192.168.150.{vm}", "IP6": f"fd15::{vm}"}


class Host(RuleBasedStateMachine):
    """A host, its machines and an administrator."""

    tables: NatTables
    bare: str

    @initialize(programs=st.sampled_from([("iptables", "ip6tables"), ("nft",), ("iptables", "ip6tables", "nft")]))
    def begin(self, programs: tuple[str, ...]) -> None:
        self.tables = NatTables(programs)
        self.machines = {vm: Machine() for vm in VMS}
        for table in self.tables.iptables.values():
            table.run(["-I", "POSTROUTING", "1", "-m", "comment", "--comment", "docker", "-j", "SNAT"])
        self.bare = self.tables.everything()

    def act(self, vm: int, action: str, aliases: Sequence[dict[str, str]]) -> None:
        others = [{**card(vm, 99), "VN_MAD": "hybrid", "IP": "nonsense"}]
        assert act(self.tables, action, [*others, *aliases], vm=vm, nic=nic(vm)) == []

    def cards(self, vm: int, plugged: int = 0) -> list[dict[str, str]]:
        return [card(vm, one, **({"ATTACH": "YES"} if one == plugged else {})) for one in self.machines[vm].aliases]

    @rule(vm=vms, aliases=st.lists(ids, unique=True, max_size=3))
    def a_machine_starts(self, vm: int, aliases: list[int]) -> None:
        machine = self.machines[vm]
        machine.here, machine.aliases = True, aliases
        self.act(vm, "pre", self.cards(vm))
        self.act(vm, "post", self.cards(vm))
        machine.rules = set(aliases)

    @rule(vm=vms, lost=st.booleans())
    def a_machine_ends(self, vm: int, lost: bool) -> None:
        machine = self.machines[vm]
        if not lost:
            self.act(vm, "clean", self.cards(vm))
            machine.rules.clear()
        machine.here = False

    @rule(vm=vms, alias=ids, fails_later=st.booleans())
    def an_alias_is_attached(self, vm: int, alias: int, fails_later: bool) -> None:
        machine = self.machines[vm]
        if machine.here and alias not in machine.aliases:
            machine.aliases.append(alias)
            for action in ("pre", "post"):
                self.act(vm, action, self.cards(vm, alias))
            machine.rules = (machine.rules & set(machine.aliases)) | {alias}
            if fails_later:  # in a step behind ours; oned runs no clean
                machine.aliases.remove(alias)

    @rule(vm=vms, alias=ids)
    def an_alias_is_detached(self, vm: int, alias: int) -> None:
        machine = self.machines[vm]
        if machine.here and alias in machine.aliases:
            self.act(vm, "clean", self.cards(vm, alias))
            machine.rules = (machine.rules & set(machine.aliases)) - {alias}
            machine.aliases.remove(alias)

    @rule(vm=vms, action=st.sampled_from(["post", "update_sg", "update_nic"]))
    def all_is_looked_at_again(self, vm: int, action: str) -> None:
        machine = self.machines[vm]
        if machine.here:
            self.act(vm, action, self.cards(vm))
            machine.rules = set(machine.aliases)

    @precondition(lambda self: "nft" not in self.tables.programs)
    @rule()
    def nft_comes_to_the_host(self) -> None:
        self.tables.programs.add("nft")
        for vm, machine in self.machines.items():  # until each machine's next action its rules stay where they are
            if machine.here:
                self.all_is_looked_at_again(vm, "update_sg")

    @invariant()
    def the_rules_are_the_models(self) -> None:
        if not hasattr(self, "tables"):
            return
        expected = sorted(
            found.comment("sdnat")
            for vm, machine in self.machines.items()
            for alias in machine.rules
            for outside, inside in zip(
                (card(vm, alias)["IP"], card(vm, alias)["IP6"]), (nic(vm)["IP"], nic(vm)["IP6"]), strict=True
            )
            for nat in [translation(vm, alias, outside, inside, "br0")]
            for found in [*nat, *filters_of(nat, "", "")]
        )
        assert sorted(comments(self.tables)) == expected
        if not expected:
            assert self.tables.everything() == self.bare

    @invariant()
    def outgoing_connections_keep_the_address_of_the_first_alias(self) -> None:
        if not hasattr(self, "tables"):
            return
        for vm, machine in self.machines.items():
            shown = [
                int(one.split("/")[2]) for one in comments(self.tables) if f"sdnat/{vm}/" in one and "/out/198" in one
            ]
            assert sorted(shown) == sorted(machine.rules)


Host.TestCase.settings = settings(max_examples=examples(20), stateful_step_count=25)
TestHost = Host.TestCase
