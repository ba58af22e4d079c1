"""Packets through the rules of ``alias_sdnat``: network namespaces stand for the client, the hypervisor, its machines.

The driver's executables run in the hypervisor's namespace as vmm_exec runs them, with iptables of both kinds and nft.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from tests.support.nat_lab import (
    ALIASES,
    CLIENT,
    MACHINES,
    PRIVATE,
    TRIED,
    Hypervisor,
    document,
    hypervisor,
    missing,
)

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(missing() != "", reason=missing() or "-")]
VMS = {"a": 4, "b": 44}


@pytest.fixture(scope="module", params=TRIED)
def shared(request: pytest.FixtureRequest) -> Iterator[tuple[Hypervisor, str]]:
    with hypervisor(request.param) as made:
        for backend in {request.param, "iptables-nft"}:  # iptables makes its tables once and leaves them empty
            does(made, "post", "a", alias(1, 8), backend=backend)
            does(made, "clean", "a", alias(1, 8), backend=backend)
        yield made, made.rules()


@pytest.fixture
def host(shared: tuple[Hypervisor, str]) -> Iterator[Hypervisor]:
    """A hypervisor without rules of ours; after the test there are none either, and everything else is as it was."""
    made, before = shared
    yield made
    for name in sorted(made.used):
        clean(made, name)
    assert made.rules() == before


def nic(name: str) -> dict[str, str]:
    private = {"IP": PRIVATE[4] + MACHINES[name], "IP6": PRIVATE[6] + MACHINES[name]}
    return {"NIC_ID": "0", "ALIAS_IDS": "1", "BRIDGE": "br0", "VN_MAD": "bridge", **private}


def alias(number: int, last: int, **more: str) -> dict[str, str]:
    public = {"IP": f"{ALIASES[4]}{last}", "IP6": f"{ALIASES[6]}{last}"}
    return {"NIC_ID": str(number), "PARENT_ID": "0", "EXTERNAL": "YES", "VN_MAD": "alias_sdnat", **public, **more}


def does(
    host: Hypervisor,
    action: str,
    name: str,
    *aliases: dict[str, str],
    backend: str = "",
    rules: Sequence[dict[str, str]] = (),
) -> None:
    whole = action == "clean" and not any("ATTACH" in one for one in aliases) and not backend
    host.used = host.used - {name} if whole else host.used | {name}
    assert host.drive(action, document(VMS[name], [nic(name)], aliases, rules), backend=backend) == (0, "")


def clean(host: Hypervisor, name: str) -> None:
    does(host, "clean", name, alias(1, 8))


def sees(family: int, name: str) -> str:
    """What a machine answers that was reached by the client: both ends with their own addresses."""
    return f"{CLIENT[family]} {PRIVATE[family]}{MACHINES[name]}"


def test_a_machine_is_reached_by_its_alias_until_it_is_detached(host: Hypervisor) -> None:
    does(host, "pre", "a", alias(1, 8))
    for family in (4, 6):
        assert host.ask("client", f"{ALIASES[family]}8") == ""
    does(host, "post", "a", alias(1, 8))
    does(host, "post", "b", alias(1, 9))
    made = host.rules()
    for action in ("post", "update_sg", "update_nic"):
        does(host, action, "a", alias(1, 8))
    assert host.rules() == made
    for family in (4, 6):
        assert host.ask("client", f"{ALIASES[family]}8", patience=5) == sees(family, "a")
        assert host.ask("client", f"{ALIASES[family]}9", patience=5) == sees(family, "b")
    does(host, "clean", "a", alias(1, 8, ATTACH="YES"))
    for family in (4, 6):
        assert host.ask("client", f"{ALIASES[family]}8") == ""
        assert host.ask("client", f"{ALIASES[family]}9", patience=5) == sees(family, "b")


def test_what_a_machine_sends_out_carries_its_alias(host: Hypervisor) -> None:
    for family in (4, 6):
        assert host.ask("a", CLIENT[family]) == ""  # nobody knows its private address
    does(host, "post", "a", alias(1, 8))
    for family in (4, 6):
        assert host.ask("a", CLIENT[family], patience=5) == f"{ALIASES[family]}8 {CLIENT[family]}"
    does(host, "post", "a", alias(1, 8), alias(2, 9, ATTACH="YES"))
    for family in (4, 6):
        assert host.ask("a", CLIENT[family], patience=5) == f"{ALIASES[family]}8 {CLIENT[family]}"
        assert host.ask("client", f"{ALIASES[family]}9", patience=5) == sees(family, "a")
    does(host, "clean", "a", alias(1, 8, ATTACH="YES"), alias(2, 9))
    for family in (4, 6):
        assert host.ask("a", CLIENT[family], patience=5) == f"{ALIASES[family]}9 {CLIENT[family]}"


def test_among_machines_of_a_bridge_addresses_stay(host: Hypervisor) -> None:
    does(host, "post", "a", alias(1, 8))
    for family in (4, 6):
        here, there = (PRIVATE[family] + MACHINES[name] for name in ("a", "b"))
        assert host.ask("a", there, patience=5) == f"{here} {there}"
        assert host.ask("b", f"{ALIASES[family]}8", patience=5) == f"{there} {here}"


def test_a_security_group_decides_what_passes(host: Hypervisor) -> None:
    """In by the alias, and out with it; what goes another way is not the alias's."""
    opens = {"SECURITY_GROUP_ID": "5", "PROTOCOL": "TCP", "RANGE": "80"}
    rules = [{**opens, "RULE_TYPE": "INBOUND"}, {**opens, "RULE_TYPE": "OUTBOUND"}]
    card, other = alias(1, 8, SECURITY_GROUPS="5"), alias(2, 9)
    does(host, "post", "b", alias(1, 7))
    does(host, "post", "a", card, other, rules=rules)
    for family in (4, 6):
        public = f"{ALIASES[family]}8"
        assert host.ask("client", public, patience=5) == sees(family, "a")
        assert host.ask("client", public, port=81) == ""
        assert host.ask("client", f"{ALIASES[family]}9", port=81, patience=5) == sees(family, "a")
        assert host.ask("client", f"{ALIASES[family]}7", port=81, patience=5) == sees(family, "b")
        assert host.ask("a", CLIENT[family], patience=5) == f"{public} {CLIENT[family]}"
        assert host.ask("a", CLIENT[family], port=81) == ""
        assert host.ask("a", PRIVATE[family] + MACHINES["b"], port=81, patience=5) != ""
    opens["RANGE"] = "81"
    does(host, "update_sg", "a", card, other, rules=[{**opens, "RULE_TYPE": "INBOUND"}])
    for family in (4, 6):
        assert host.ask("client", f"{ALIASES[family]}8", port=81, patience=5) == sees(family, "a")
        assert host.ask("client", f"{ALIASES[family]}8") == ""


def test_a_stranger_of_the_same_private_address_on_another_bridge_is_left_alone(host: Hypervisor) -> None:
    """Neither what its bridge passes nor what is routed for it is translated, or held to the alias's groups."""
    sends = {"SECURITY_GROUP_ID": "5", "PROTOCOL": "TCP", "RANGE": "81", "RULE_TYPE": "OUTBOUND"}
    with host.strangers():
        for cards in ([alias(1, 8)], [alias(1, 8, SECURITY_GROUPS="5")]):
            does(host, "post", "a", *cards, rules=[sends])
            for family in (4, 6):
                mine, others = PRIVATE[family] + MACHINES["a"], f"{PRIVATE[family]}9"
                assert host.ask("c", others, patience=5) == f"{mine} {others}"
                assert host.ask("e", mine, patience=5) == f"{others} {mine}"
                with host.arriving() as seen:
                    host.ask("c", CLIENT[family])
                    assert seen() == {mine}
                assert host.ask("a", CLIENT[family], port=81, patience=5) == f"{ALIASES[family]}8 {CLIENT[family]}"


def test_the_host_s_own_masquerade_comes_behind(host: Hypervisor) -> None:
    """As the role ``iptables`` hides machines that have no address of their own; iptables cannot come before nft's."""
    rules = "nft add table ip guests; nft add chain ip guests out '{ type nat hook postrouting priority 100; }';"
    make = f"{rules} nft add rule ip guests out ip saddr 192.168.150.0/24 oifname eth0 masquerade"
    undo = "nft delete table ip guests"
    if (iptables := {"iptables-nft": "iptables", "iptables-legacy": "iptables-legacy"}.get(host.backend)) is not None:
        rule = "POSTROUTING -s 192.168.150.0/24 -o eth0 -j MASQUERADE"
        make, undo = (f"{iptables} -t nat {verb} {rule}" for verb in ("-A", "-D"))
    host.says("hypervisor", make)
    try:
        does(host, "post", "a", alias(1, 8))
        assert host.ask("a", CLIENT[4], patience=5) == f"198.51.100.8 {CLIENT[4]}"
        assert host.ask("b", CLIENT[4], patience=5) == f"198.18.77.1 {CLIENT[4]}"
    finally:
        host.says("hypervisor", undo)


def test_an_address_left_behind_by_a_lost_clean_goes_to_the_newest_machine(host: Hypervisor) -> None:
    does(host, "post", "a", alias(1, 8))
    does(host, "post", "b", alias(1, 8))
    assert host.ask("client", "198.51.100.8", patience=5) == sees(4, "b")


def test_filters_see_the_private_address_and_the_client_s(host: Hypervisor) -> None:
    """What stands in FORWARD, like OpenNebula's chains, comes between DNAT and SNAT."""
    does(host, "post", "a", alias(1, 8))
    host.says("hypervisor", "nft add table ip t; nft add chain ip t f '{ type filter hook forward priority 0; }'")
    try:
        host.says("hypervisor", f"nft add rule ip t f ip saddr {CLIENT[4]} ip daddr 192.168.150.5 tcp dport 80 drop")
        assert host.ask("client", "198.51.100.8") == ""
        host.says("hypervisor", "nft flush chain ip t f; nft add rule ip t f ip daddr 198.51.100.8 drop")
        assert host.ask("client", "198.51.100.8", patience=5) == sees(4, "a")
    finally:
        host.says("hypervisor", "nft delete table ip t")


def test_a_host_where_nft_comes_into_use_later_keeps_one_set_of_rules(host: Hypervisor) -> None:
    does(host, "post", "a", alias(1, 8), backend="iptables-nft")
    does(host, "post", "a", alias(1, 8), backend="nft")
    assert host.ask("client", "198.51.100.8", patience=5) == sees(4, "a")
    assert "hybrid-alias" not in host.says("hypervisor", "iptables -t nat -S; ip6tables -t nat -S")
    does(host, "clean", "a", alias(1, 8), backend="nft")
    assert host.ask("client", "198.51.100.8") == ""


def test_a_host_that_does_not_forward_is_told(host: Hypervisor) -> None:
    host.used.add("a")
    host.says("hypervisor", "echo 0 >/proc/sys/net/ipv4/ip_forward")
    try:
        code, said = host.drive("post", document(4, [nic("a")], [alias(1, 8)]))
        assert (code, said) == (0, "WARN: this host does not forward IPv4: set net.ipv4.ip_forward to 1\n")
    finally:
        host.says("hypervisor", "echo 1 >/proc/sys/net/ipv4/ip_forward")


def test_runs_at_the_same_time_do_not_disturb_each_other(host: Hypervisor) -> None:
    documents = [document(number, [nic("a")], [alias(1, 100 + number)]) for number in range(10, 14)]
    try:
        runs = [host.start("post", one) for one in documents]
        assert [one.wait(60) for one in runs] == [0] * len(runs)
        assert host.rules().count("198.51.100.1") >= len(documents)
        for number in range(10, 14):
            assert host.ask("client", f"198.51.100.{100 + number}", patience=5) == sees(4, "a")
    finally:
        runs = [host.start("clean", one) for one in documents]
        assert [one.wait(60) for one in runs] == [0] * len(runs)
