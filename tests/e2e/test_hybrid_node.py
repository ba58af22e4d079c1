"""Packets to machines with addresses of a provider: ``hybrid``'s executables on two hypervisors in network namespaces.

The client's route stands for the provider: it has an address arrive at one of them. iptables of both kinds, and nft.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pytest
from tests.support.nat_lab import (
    ALIASES,
    CLIENT,
    DRIVER,
    MACHINES,
    PRIVATE,
    TRIED,
    Hypervisor,
    document,
    hypervisor,
    missing,
)

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(missing() != "", reason=missing() or "-")]
HYBRID = DRIVER.parent / "hybrid"
NODES = ("hypervisor", "second")
VMS = {"p": 4, "a": 5, "b": 44}
OWN = {4: "203.0.113.5", 6: "fd52::5"}
OTHER = {4: f"{ALIASES[4]}9", 6: f"{ALIASES[6]}9"}  # b's
ALL_GROUPS: Sequence[Mapping[str, str]] = [
    {"SECURITY_GROUP_ID": "5", "RULE_TYPE": way, "PROTOCOL": protocol, **more}
    for way in ("INBOUND", "outbound")
    for protocol, more in [
        ("TCP", {"RANGE": ",".join(str(port) for port in range(1000, 1060, 2))}),
        ("UDP", {"RANGE": "53,60000:61000", "IP": "10.1.0.3", "SIZE": "77"}),
        ("ICMP", {"ICMP_TYPE": "8"}),
        ("ICMP", {"ICMP_TYPE": "3/4", "IP": "10.0.0.0", "SIZE": "256"}),
        ("ICMP", {}),
        ("ICMPV6", {"ICMPV6_TYPE": "128"}),
        ("ICMPV6", {"ICMPV6_TYPE": "1/4", "IP6_ULA": "fd00::1", "SIZE": "4"}),
        ("ICMPV6", {}),
        ("IPSEC", {}),
        ("TCP", {}),
        ("ALL", {"NETWORK_ID": "3", "IP": "10.2.0.0", "IP6_GLOBAL": "2001:db8::", "SIZE": "256"}),
    ]
]


@pytest.fixture(scope="module", params=TRIED)
def shared(request: pytest.FixtureRequest) -> Iterator[tuple[Hypervisor, list[str]]]:
    with hypervisor(request.param, two=True) as made:
        for node in NODES:  # iptables makes its tables once and leaves them empty
            for action in ("remote_post", "remote_clean"):
                does(made, action, "a", private("a", VN_MAD="hybrid", **at(8)), on=node)
        arrives_at(made, "hypervisor")
        yield made, [state(made, node) for node in NODES]


@pytest.fixture
def lab(shared: tuple[Hypervisor, list[str]]) -> Iterator[Hypervisor]:
    """Two hypervisors without anything of ours; after the test there is nothing either, and all is as it was."""
    made, before = shared
    yield made
    for place in sorted(made.used):
        name, _, node = place.partition("@")
        does(made, "remote_clean", name, routed(), on=node)
    assert [state(made, node) for node in NODES] == before


def state(lab: Hypervisor, node: str) -> str:
    """Return all that a driver may have changed."""
    text = "ip route; ip -6 route | sed 's/ expires [^ ]*//'; ip neighbour show proxy; ip -6 neighbour show proxy"
    settings = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/*/{proxy_ndp,forwarding} 2>/dev/null || true"
    return lab.rules(node) + lab.says(node, f"{text}; bash -c '{settings}'")


def arrives_at(lab: Hypervisor, node: str) -> None:
    """Have the provider send p's addresses to a hypervisor."""
    net = 77 + NODES.index(node)
    lab.says("client", f"ip route replace 203.0.113.5 via 198.18.{net}.1; ip -6 route replace fd52::5 via fd{net}::1")


def routed(**more: str) -> dict[str, str]:
    """Return p's card: the guest has the public address itself."""
    addresses = {"IP": OWN[4], "IP6": OWN[6], "GATEWAY": "203.0.113.1", "IP6_GATEWAY": "fd52::1"}
    here = {"HYBRID_ADDRESS": OWN[4], "HYBRID_ADDRESS6": OWN[6]}
    return {"NIC_ID": "0", "BRIDGE": "br0", "BRIDGE_TYPE": "linux", "VN_MAD": "hybrid", **addresses, **here, **more}


def private(name: str, **more: str) -> dict[str, str]:
    addresses = {"IP": PRIVATE[4] + MACHINES[name], "IP6": PRIVATE[6] + MACHINES[name]}
    return {"NIC_ID": "0", "BRIDGE": "br0", "VN_MAD": "bridge", **addresses, **more}


def at(last: int, **more: str) -> dict[str, str]:
    """Return where a card's traffic arrives: an address that the client sends to the first hypervisor."""
    return {"HYBRID_ADDRESS": f"{ALIASES[4]}{last}", "HYBRID_ADDRESS6": f"{ALIASES[6]}{last}", **more}


def alias(last: int, **more: str) -> dict[str, str]:
    addresses = {"IP": f"{ALIASES[4]}{last}", "IP6": f"{ALIASES[6]}{last}"}
    kind = {"NIC_ID": "1", "PARENT_ID": "0", "EXTERNAL": "YES", "VN_MAD": "hybrid"}
    return {**kind, **addresses, **at(last), **more}


def does(
    lab: Hypervisor,
    action: str,
    name: str,
    nic: Mapping[str, str],
    *aliases: Mapping[str, str],
    on: str = "hypervisor",
    rules: Sequence[Mapping[str, str]] = (),
) -> None:
    whole = action == "remote_clean" and not any("ATTACH" in one for one in aliases)
    lab.used = lab.used - {f"{name}@{on}"} if whole else lab.used | {f"{name}@{on}"}
    xml = document(VMS[name], [nic], aliases, rules)
    assert lab.drive(action, xml, driver=HYBRID, on=on) == (0, "")


def sees(family: int, own: str) -> str:
    """What a machine answers that was reached by the client."""
    return f"{CLIENT[family]} {own}"


def test_a_public_address_is_routed_to_its_machine(lab: Hypervisor) -> None:
    does(lab, "pre", "p", routed())
    for family in (4, 6):
        assert lab.ask("client", OWN[family]) == ""
    does(lab, "remote_post", "b", private("b"), alias(9))
    assert lab.ask("client", OTHER[4], port=82, patience=5) == "x"
    does(lab, "remote_post", "p", routed())
    for family in (4, 6):
        assert lab.ask("client", OWN[family], patience=5) == sees(family, OWN[family])
        assert lab.ask("p", CLIENT[family], patience=5) == f"{OWN[family]} {CLIENT[family]}"  # by its gateway
    made = state(lab, "hypervisor")
    for action in ("remote_post", "update_sg", "update_nic", "pre"):
        does(lab, action, "p", routed() if action == "remote_post" else routed(HYBRID_ADDRESS="", HYBRID_ADDRESS6=""))
        assert state(lab, "hypervisor") == made
    for _ in range(2):
        does(lab, "remote_clean", "p", routed())
    for family in (4, 6):
        assert lab.ask("client", OWN[family]) == ""
        assert lab.ask("client", OTHER[family], patience=5) == sees(family, PRIVATE[family] + MACHINES["b"])
    assert lab.ask("client", OTHER[4], port=82, patience=5) == "x"  # the same connection


def test_an_inside_address_is_exchanged(lab: Hypervisor) -> None:
    """Of a NIC whose guest has another one than the provider sends to, and of an alias of another driver's NIC."""
    does(lab, "remote_post", "a", private("a", VN_MAD="hybrid", **at(8)))
    does(lab, "remote_post", "b", private("b"), alias(9))
    for family in (4, 6):
        for name, last in (("a", 8), ("b", 9)):
            own, outside = PRIVATE[family] + MACHINES[name], f"{ALIASES[family]}{last}"
            assert lab.ask("client", outside, patience=5) == sees(family, own)
            assert lab.ask(name, CLIENT[family], patience=5) == f"{outside} {CLIENT[family]}"
        assert lab.ask("a", PRIVATE[family] + MACHINES["b"], patience=5).startswith(PRIVATE[family])
    does(lab, "remote_clean", "b", private("b"), alias(9, ATTACH="YES"))
    for family in (4, 6):
        assert lab.ask("client", OTHER[family]) == ""
        assert lab.ask("client", f"{ALIASES[family]}8", patience=5) != ""


def test_an_alias_of_a_machine_that_has_an_address_of_its_own(lab: Hypervisor) -> None:
    """It leads in; what the machine sends carries its own. Detaching takes the alias alone."""
    does(lab, "remote_post", "p", routed())
    does(lab, "remote_post", "p", routed(), alias(8, ATTACH="YES"))
    for family in (4, 6):
        assert lab.ask("client", f"{ALIASES[family]}8", patience=5) == sees(family, OWN[family])
        assert lab.ask("p", CLIENT[family], patience=5) == f"{OWN[family]} {CLIENT[family]}"
    does(lab, "remote_clean", "p", routed(), alias(8, ATTACH="YES"))
    for family in (4, 6):
        assert lab.ask("client", f"{ALIASES[family]}8") == ""
        assert lab.ask("client", OWN[family], patience=5) == sees(family, OWN[family])


def test_security_groups(lab: Hypervisor) -> None:
    """Of a routed address, also for what its bridge passes, and of an exchanged one."""
    opens = {"SECURITY_GROUP_ID": "5", "PROTOCOL": "TCP", "RANGE": "80"}
    let_in, let_out = {**opens, "RULE_TYPE": "INBOUND"}, {**opens, "RULE_TYPE": "OUTBOUND"}
    groups = {"SECURITY_GROUPS": "5"}
    does(lab, "remote_post", "p", routed(**groups), rules=[let_in, let_out])
    does(lab, "remote_post", "a", private("a", VN_MAD="hybrid", **at(8), **groups), rules=[let_in])
    does(lab, "remote_post", "b", private("b"), alias(9))
    for family in (4, 6):
        for public in (OWN[family], f"{ALIASES[family]}8"):
            assert lab.ask("client", public, patience=5).startswith(CLIENT[family])
            assert lab.ask("client", public, port=81) == ""
        assert lab.ask("client", OTHER[family], port=81, patience=5) != ""
        assert lab.ask("p", CLIENT[family], patience=5) != ""
        assert lab.ask("p", CLIENT[family], port=81) == ""
        assert lab.ask("a", CLIENT[family]) == ""
        inside = PRIVATE[family] + MACHINES["a"]
        assert lab.ask("b", inside, patience=5) != ""
        assert lab.ask("b", inside, port=81) == ""
    bare = routed(**groups, HYBRID_ADDRESS="", HYBRID_ADDRESS6="")  # as oned hands it over
    does(lab, "update_sg", "p", bare, rules=[{**let_in, "RANGE": "81"}])
    for family in (4, 6):
        assert lab.ask("client", OWN[family], port=81, patience=5) != ""
        assert lab.ask("client", OWN[family]) == ""
    does(lab, "update_sg", "p", bare, rules=ALL_GROUPS)  # every kind of rule is one that the programs take
    made = lab.rules()
    does(lab, "update_sg", "p", bare, rules=ALL_GROUPS)
    assert lab.rules() == made


def test_a_stranger_of_the_same_private_address_on_another_bridge_is_left_alone(lab: Hypervisor) -> None:
    """With a group that lets nothing through: of an exchanged address, and of an external alias."""
    groups = {"SECURITY_GROUPS": "5"}
    for nic, aliases in [
        (private("a", VN_MAD="hybrid", **at(8), **groups), []),
        (private("a"), [alias(8, **groups)]),
        (private("a"), [alias(8)]),
    ]:
        with lab.strangers():
            does(lab, "remote_post", "a", nic, *aliases, rules=[{"SECURITY_GROUP_ID": "5"}])
            for family in (4, 6):
                mine, others = PRIVATE[family] + MACHINES["a"], f"{PRIVATE[family]}9"
                assert lab.ask("c", others, patience=5) == f"{mine} {others}"
                assert lab.ask("e", mine, patience=5) == f"{others} {mine}"
                with lab.arriving() as seen:
                    lab.ask("c", CLIENT[family])
                    assert seen() == {mine}
        does(lab, "remote_clean", "a", nic)


@pytest.mark.parametrize("first", ["clean", "post"])
def test_a_machine_that_moves_keeps_its_address(lab: Hypervisor, first: str) -> None:
    does(lab, "remote_post", "p", routed())
    does(lab, "remote_post", "b", private("b"), alias(9))
    assert lab.ask("client", OWN[4], patience=5) == sees(4, OWN[4])
    steps = [("remote_clean", "hypervisor"), ("remote_post", "second")]
    does(lab, "pre", "p", routed(), on="second")
    for action, node in steps if first == "clean" else steps[::-1]:
        does(lab, action, "p", routed(), on=node)
    for family in (4, 6):
        assert lab.ask("client", OWN[family]) == ""  # still sent to the first one, where it is no longer known
    arrives_at(lab, "second")
    try:
        for family in (4, 6):
            mine = CLIENT[family].replace("77", "78")
            assert lab.ask("client", OWN[family], patience=5) == f"{mine} {OWN[family]}"
            assert lab.ask("p2", mine, patience=5) == f"{OWN[family]} {mine}"
            assert lab.ask("client", OTHER[family], patience=5) != ""
    finally:
        arrives_at(lab, "hypervisor")


def test_what_a_host_had_stays_and_what_it_lacked_goes(lab: Hypervisor) -> None:
    """Forwarding and proxies that were there before; the last card that needs one takes it along."""
    off = "sysctl -qw net.ipv4.ip_forward=0; ip neighbour add proxy fd52::1 dev br0"
    lab.says("hypervisor", off)
    try:
        before = state(lab, "hypervisor")
        does(lab, "remote_post", "p", routed())
        other = {"HYBRID_ADDRESS": "203.0.113.6", "HYBRID_ADDRESS6": "fd52::6"}
        does(lab, "remote_post", "b", routed(IP="203.0.113.6", IP6="fd52::6", **other))
        assert lab.ask("client", OWN[4], patience=5) == sees(4, OWN[4])
        does(lab, "remote_clean", "p", routed())
        assert lab.says("hypervisor", "sysctl -n net.ipv4.ip_forward; ip neighbour show proxy") != "0\n"
        assert "203.0.113.1 dev br0" in state(lab, "hypervisor")
        does(lab, "remote_clean", "b", routed())
        assert state(lab, "hypervisor") == before
    finally:
        lab.says("hypervisor", "sysctl -qw net.ipv4.ip_forward=1; ip neighbour del proxy fd52::1 dev br0")


def test_a_post_that_cannot_be_done_leaves_nothing(lab: Hypervisor) -> None:
    before = state(lab, "hypervisor")
    lab.says("hypervisor", f"ip route add {OWN[4]} dev eth0")
    try:
        code, said = lab.drive("remote_post", document(4, [routed()], []), driver=HYBRID)
        assert code == 1
        assert said.startswith(f"hybrid: VM 4: this host has a route of its own to {OWN[4]}: '{OWN[4]} dev eth0")
        assert said.count("\n") == 1
    finally:
        lab.says("hypervisor", f"ip route del {OWN[4]} dev eth0")
    assert state(lab, "hypervisor") == before


def test_a_missing_bridge_is_made_before_the_machine_starts(lab: Hypervisor) -> None:
    card = routed(BRIDGE="br.new")
    does(lab, "pre", "p", card)
    try:
        does(lab, "remote_post", "p", card)
        assert "203.0.113.5 dev br.new proto 175" in lab.says("hypervisor", "ip route")
        assert lab.says("hypervisor", "sysctl -n net.ipv6.conf.br/new.proxy_ndp") == "1\n"
        does(lab, "remote_clean", "p", card)
        assert lab.says("hypervisor", "sysctl -n net.ipv6.conf.br/new.proxy_ndp") == "0\n"
    finally:
        lab.says("hypervisor", "ip link del br.new")
