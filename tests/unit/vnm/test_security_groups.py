"""What the drivers on hypervisors make of OpenNebula's security groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from remotes.vnm.alias_sdnat.alias_sdnat import Group, group_of, read_vm
from tests.support.nat_lab import document
from tests.support.nat_tables import NatTables
from tests.unit.vnm.test_sdnat_actions import BACKENDS, act, bare, comments
from tests.unit.vnm.test_sdnat_document import ALIAS, NIC, stdin

CARD = {**ALIAS, "SECURITY_GROUPS": "5"}


def allow(protocol: str, **more: str) -> dict[str, str]:
    return {"SECURITY_GROUP_ID": "5", "RULE_TYPE": "inbound", "PROTOCOL": protocol, **more}


def group(
    *rules: Mapping[str, str], family: int = 4, way: str = "INBOUND", card: Mapping[str, str] = CARD
) -> tuple[Group | None, list[str]]:
    warnings: list[str] = []
    vm = read_vm(stdin(document(4, [NIC], [card], rules)))
    return group_of(vm, vm.aliases[0], family, way, warnings.append), warnings


def inside(found: Group | None) -> list[tuple[str, str]]:
    """Return what a group lets through beyond what every one does, for iptables and for nft."""
    assert found is not None
    assert found.iptables[0] == ["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "RETURN"]
    assert found.nft[0] == "ct state established,related return"
    assert (found.iptables[-1], found.nft[-1]) == (["-j", "DROP"], "drop")
    iptables = [" ".join(one) for one in found.iptables[1:-1] if "--icmpv6-type 13" not in " ".join(one)]
    nft = [one for one in found.nft[1:-1] if not one.startswith("icmpv6 type {")]
    assert all(one.endswith(" -j RETURN") for one in iptables)
    assert all(one.endswith(" return") for one in nft)
    ends = len(" -j RETURN"), len(" return")
    return [(one[: -ends[0]], two[: -ends[1]]) for one, two in zip(iptables, nft, strict=True)]


@pytest.mark.parametrize(
    ("rule", "family", "expected"),
    [
        (allow("TCP"), 4, [("-p 6", "meta l4proto 6")]),
        (allow("udp"), 6, [("-p 17", "meta l4proto 17")]),
        (allow("IPSEC"), 4, [("-p 50", "meta l4proto 50")]),
        (allow("TCP", RANGE="22"), 4, [("-p tcp -m multiport --dports 22", "tcp dport { 22 }")]),
        (
            allow("UDP", RANGE="80,20:25,24:30,31"),
            4,
            [("-p udp -m multiport --dports 20:31,80", "udp dport { 20-31, 80 }")],
        ),
        (allow("ICMP"), 4, [("-p 1", "meta l4proto 1")]),
        (allow("ICMP"), 6, []),
        (allow("ICMP", ICMP_TYPE="8"), 4, [("-p 1 --icmp-type 8", "icmp type 8")]),
        (allow("ICMP", ICMP_TYPE="3/4"), 4, [("-p 1 --icmp-type 3/4", "icmp type 3 icmp code 4")]),
        (allow("ICMPV6"), 6, [("-p 58", "meta l4proto 58")]),
        (allow("ICMPV6"), 4, []),
        (allow("ICMPV6", ICMPV6_TYPE="128"), 6, [("-p 58 --icmpv6-type 128", "icmpv6 type 128")]),
        (allow("ALL", IP="10.0.0.0", SIZE="256"), 4, [("-s 10.0.0.0/24", "ip saddr 10.0.0.0/24")]),
        (allow("ALL", IP="10.0.0.0", SIZE="256"), 6, []),
        (
            allow("TCP", IP="10.0.0.1", SIZE="2", RANGE="22"),
            4,
            [
                ("-s 10.0.0.1/32 -p tcp -m multiport --dports 22", "ip saddr 10.0.0.1/32 tcp dport { 22 }"),
                ("-s 10.0.0.2/32 -p tcp -m multiport --dports 22", "ip saddr 10.0.0.2/32 tcp dport { 22 }"),
            ],
        ),
        (
            allow("ALL", NETWORK_ID="7", IP="10.0.0.4", IP6_ULA="fd00::4", IP6_GLOBAL="2001:db8::8", SIZE="4"),
            6,
            [("-s 2001:db8::8/126", "ip6 saddr 2001:db8::8/126"), ("-s fd00::4/126", "ip6 saddr fd00::4/126")],
        ),
        (allow("ALL", NETWORK_ID="7", MAC="02:00:00:00:00:01", SIZE="4"), 4, []),  # a range of Ethernet addresses
        (allow("ALL", NETWORK_ID="7"), 4, []),
        (allow("TCP", RULE_TYPE="OUTBOUND"), 4, []),
        (allow("TCP", SECURITY_GROUP_ID="6"), 4, []),
    ],
)
def test_what_a_rule_lets_through(rule: dict[str, str], family: int, expected: list[tuple[str, str]]) -> None:
    other = allow("TCP", RULE_TYPE="OUTBOUND")  # so that the group has rules in the document
    found, warnings = group(rule, other, family=family)
    assert (inside(found), warnings) == (expected, [])


def test_outbound_rules_look_at_where_it_goes() -> None:
    found, _ = group(allow("TCP", RULE_TYPE="OUTBOUND", IP="10.0.0.0", SIZE="16"), way="OUTBOUND")
    assert inside(found) == [("-d 10.0.0.0/28 -p 6", "ip daddr 10.0.0.0/28 meta l4proto 6")]


def test_neighbours_find_each_other_whatever_is_allowed() -> None:
    found, _ = group(allow("TCP"), family=6)
    assert found is not None
    assert "icmpv6 type { 133, 134, 135, 136, 137 } return" in found.nft
    assert ["-p", "ipv6-icmp", "--icmpv6-type", "135", "-j", "RETURN"] in found.iptables


def test_more_ports_than_iptables_takes_become_several_rules() -> None:
    found, _ = group(allow("TCP", RANGE=",".join(f"{port}:{port + 5}" for port in range(100, 300, 10))))
    parts = [one.split("--dports ")[1].split(",") for one, _ in inside(found)]
    assert sum(map(len, parts)) == 20
    assert all(sum(1 + (":" in one) for one in part) <= 15 for part in parts)


def test_without_groups_and_with_a_rule_for_all_everything_passes() -> None:
    assert group(card=ALIAS) == (None, [])
    assert group(allow("TCP"), allow("ALL")) == (None, [])


def test_several_groups_add_up() -> None:
    rules = [allow("TCP"), allow("UDP", SECURITY_GROUP_ID="6"), allow("IPSEC", SECURITY_GROUP_ID="7")]
    found, _ = group(*rules, card={**CARD, "SECURITY_GROUPS": "5,6"})
    assert [one for one, _ in inside(found)] == ["-p 6", "-p 17"]


def test_a_group_without_rules_lets_nothing_through_and_is_told() -> None:
    found, warnings = group()
    assert inside(found) == []
    assert warnings == ["VM 4: OpenNebula sent no rules of security group 5: it lets nothing through"]


@pytest.mark.parametrize(
    "rule",
    [
        allow("GRE"),
        allow("TCP", RANGE="22; drop"),
        allow("TCP", RANGE="30:20"),
        allow("TCP", RANGE="70000"),
        allow("ICMP", ICMP_TYPE="echo"),
        allow("ALL", IP="nonsense", SIZE="1"),
        allow("ALL", IP="10.0.0.1"),
        allow("ALL", IP="10.0.0.1", SIZE="0"),
    ],
)
def test_a_rule_that_is_not_understood_lets_nothing_through(rule: dict[str, str]) -> None:
    found, warnings = group(rule, allow("UDP"))
    assert [one for one, _ in inside(found)] == ["-p 17"]
    assert len(warnings) == 1
    assert "a rule of security group 5 is not understood: " in warnings[0]


# --- in the tables ----------------------------------------------------------------------------------------------------


def post(tables: NatTables, rules: Sequence[Mapping[str, str]], vm: int = 4, action: str = "post") -> None:
    card = {**CARD, "IP": f"198.51.100.{vm}", "IP6": f"fd51::{vm}"}
    nic = {**NIC, "IP": f"192.168.150.{vm}", "IP6": f"fd15::{vm}"}
    assert act(tables, action, [card], vm=vm, nic=nic, rules=rules) == []


def group_chains(tables: NatTables) -> int:
    found = [name for table in tables.filters.values() for name in table.chains]
    found += [name for table in tables.nft.values() for name in table.chains]
    return sum(len(name) == len("hybrid-alias-123456789abc") and name.startswith("hybrid-alias-") for name in found)


@pytest.mark.parametrize("programs", BACKENDS, ids="+".join)
def test_update_sg_replaces_what_is_let_through_and_nothing_else(programs: tuple[str, ...]) -> None:
    tables = NatTables(programs)
    post(tables, [allow("TCP", RANGE="80")])
    post(tables, [allow("TCP", RANGE="80")], vm=44)
    assert group_chains(tables) == 4  # in and out, a family; machines with the same groups share them
    theirs = [one for one in comments(tables) if one.startswith("sdnat/44/")]
    before = comments(tables)
    tables.changes.clear()
    post(tables, [allow("TCP", RANGE="443")], action="update_sg")
    assert not any(" nat " in one or "alias-dnat" in one or "alias-snat" in one for one in tables.changes)
    assert [one for one in comments(tables) if one.startswith("sdnat/44/")] == theirs
    assert len(set(comments(tables)) - set(before)) == 2  # what may come in, a family
    assert any("443" in one for one in tables.rules())
    assert group_chains(tables) == 6
    post(tables, [], vm=44, action="clean")
    assert not any("--dports 80" in one or "dport { 80" in one for one in tables.rules())
    post(tables, [], action="clean")
    assert bare(tables)


@pytest.mark.parametrize("programs", BACKENDS, ids="+".join)
def test_a_flushed_group_is_filled_again(programs: tuple[str, ...]) -> None:
    tables = NatTables(programs)
    post(tables, [allow("TCP", RANGE="80")])
    whole = tables.rules()
    for table in tables.filters.values():
        for name, rules in table.chains.items():
            if "DROP" in str(rules):
                table.run(["-F", name])
    for nft in tables.nft.values():
        for _, texts in nft.chains.values():
            if "drop" in str(texts):
                texts.clear()
    assert tables.rules() != whole
    post(tables, [allow("TCP", RANGE="80")], action="update_sg")
    assert tables.rules() == whole


def test_chains_of_a_run_that_was_killed_go_with_the_next() -> None:
    tables = NatTables(("iptables", "ip6tables"))
    tables.filters["iptables"].run(["-N", "hybrid-alias-0123456789ab"])
    tables.filters["iptables"].run(["-A", "hybrid-alias-0123456789ab", "-j", "DROP"])
    post(tables, [], action="clean")
    assert bare(tables)


def test_filters_stand_before_what_they_guard() -> None:
    tables = NatTables(("iptables", "ip6tables"))
    post(tables, [allow("TCP", RANGE="80")])
    mine = [one for one in tables.changes if one.startswith("iptables")]
    assert max(at for at, one in enumerate(mine) if "-t filter" in one) < min(
        at for at, one in enumerate(mine) if "-t nat" in one
    )
