"""Any sequence of what happens to machines on two hosts: each host has what the cards on it need, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from remotes.vnm.alias_sdnat.alias_sdnat import Rule, read_vm
from remotes.vnm.hybrid.hybrid_node import ACTIONS, Run
from tests.support.examples import examples
from tests.support.nat_lab import document
from tests.support.node_tables import NodeTables
from tests.unit.vnm.test_hybrid_node import on_host
from tests.unit.vnm.test_sdnat_document import stdin

VMS, HOSTS, ALIASES = (3, 4, 44), (0, 1), (1, 12)
vms, hosts, ids = st.sampled_from(VMS), st.sampled_from(HOSTS), st.sampled_from(ALIASES)
GROUP = {"SECURITY_GROUP_ID": "5", "RULE_TYPE": "INBOUND", "PROTOCOL": "TCP"}


@dataclass
class Machine:
    """Where oned has it, its aliases, and what each host was told of it: the ids of its cards."""

    host: int = -1
    aliases: list[int] = field(default_factory=list)
    cards: dict[int, set[int]] = field(default_factory=lambda: {host: set() for host in HOSTS})


def nic(vm: int, known: bool) -> dict[str, str]:
    address = f"203.0.113.{vm}"
    card = {"NIC_ID": "0", "VN_MAD": "hybrid", "BRIDGE": "br0", "IP": address, "GATEWAY": "203.0.113.254"}
    return {**card, "SECURITY_GROUPS": "5", **({"HYBRID_ADDRESS": address} if known else {})}


def alias(vm: int, number: int, known: bool) -> dict[str, str]:
    card = {"NIC_ID": str(number), "PARENT_ID": "0", "EXTERNAL": "YES", "VN_MAD": "hybrid", "IP": f"10.{vm}.0.{number}"}
    return {**card, **({"HYBRID_ADDRESS": card["IP"]} if known else {})}


class Hosts(RuleBasedStateMachine):
    """Two hosts and their machines."""

    @initialize(
        programs=st.sampled_from([("iptables", "ip6tables"), ("nft",), ("iptables", "ip6tables", "nft")]),
        forwards=st.sampled_from("01"),
    )
    def begin(self, programs: tuple[str, ...], forwards: str) -> None:
        self.hosts = [NodeTables(programs) for _ in HOSTS]
        self.hosts[1].settings["net/ipv4/ip_forward"] = forwards
        self.bare = [one.everything() for one in self.hosts]
        self.machines = {vm: Machine() for vm in VMS}

    def act(self, host: int, action: str, vm: int, aliases: Sequence[Mapping[str, str]], port: int = 80) -> None:
        known = action == "remote_post"
        xml = document(vm, [nic(vm, known)], aliases, [{**GROUP, "RANGE": str(port)}])
        run = Run(read_vm(stdin(xml)), self.hosts[host])
        with pytest.MonkeyPatch.context() as patch:
            on_host(self.hosts[host], patch)
            ACTIONS[action](run)
        assert run.problems == []

    def cards(self, vm: int, known: bool, plugged: int = 0) -> list[dict[str, str]]:
        found = [alias(vm, one, known) for one in self.machines[vm].aliases]
        return [{**one, "ATTACH": "YES"} if one["NIC_ID"] == str(plugged) else one for one in found]

    def post(self, vm: int, host: int) -> None:
        machine = self.machines[vm]
        self.act(host, "remote_post", vm, self.cards(vm, True))
        machine.cards[host] = {0, *machine.aliases}

    def clean(self, vm: int, host: int) -> None:
        self.act(host, "remote_clean", vm, self.cards(vm, False))
        self.machines[vm].cards[host] = set()

    @rule(vm=vms, host=hosts, aliases=st.lists(ids, unique=True))
    def a_machine_starts(self, vm: int, host: int, aliases: list[int]) -> None:
        if self.machines[vm].host < 0:
            self.machines[vm].host, self.machines[vm].aliases = host, aliases
            self.post(vm, host)

    @rule(vm=vms, post_first=st.booleans(), lost=st.booleans())
    def a_machine_moves(self, vm: int, post_first: bool, lost: bool) -> None:
        machine = self.machines[vm]
        if machine.host >= 0:
            old, machine.host = machine.host, 1 - machine.host
            steps = [(self.post, machine.host)] if lost else [(self.clean, old), (self.post, machine.host)]
            for step, host in steps[::-1] if post_first else steps:
                step(vm, host)

    @rule(vm=vms, times=st.integers(1, 2))
    def a_machine_ends(self, vm: int, times: int) -> None:
        for host in HOSTS:  # a clean that was lost is made up for
            for _ in range(times):
                self.clean(vm, host)
        self.machines[vm].host = -1

    @rule(vm=vms, number=ids)
    def an_alias_is_attached_or_detached(self, vm: int, number: int) -> None:
        machine = self.machines[vm]
        if machine.host < 0:
            return
        cards = machine.cards[machine.host]
        if number in machine.aliases:
            self.act(machine.host, "remote_clean", vm, self.cards(vm, False, number))
            cards.discard(number)
            machine.aliases.remove(number)
        else:
            machine.aliases.append(number)
            self.act(machine.host, "remote_post", vm, self.cards(vm, True, number))
            cards.add(number)
        machine.cards[machine.host] = cards & {0, *machine.aliases}

    @rule(vm=vms, port=st.integers(80, 82))
    def its_groups_change(self, vm: int, port: int) -> None:
        machine = self.machines[vm]
        if machine.host >= 0:
            self.act(machine.host, "update_sg", vm, self.cards(vm, False), port)

    @invariant()
    def each_host_has_what_its_cards_need(self) -> None:
        for number, host in enumerate(getattr(self, "hosts", [])):
            cards = {(vm, one) for vm, machine in self.machines.items() for one in machine.cards[number]}
            texts = [word.strip('"') for text in host.rules() for word in text.split() if "hybrid/" in word]
            noted = [one for one in (Rule.of_comment(text, "hybrid") for text in texts) if one is not None]
            at = [one for one in noted if one.what == "at"]
            assert sorted((one.vm, one.nic) for one in at) == sorted(cards)
            assert {(one.vm, one.nic) for one in noted} == cards
            assert set(host.routes) == {one.parent for one in at}
            assert bool(host.proxies) == any(one == 0 for _, one in cards)
            assert cards or host.everything() == self.bare[number]


Hosts.TestCase.settings = settings(max_examples=examples(20), stateful_step_count=25)
TestHosts = Hosts.TestCase
