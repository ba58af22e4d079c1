"""What the node part of ``hybrid`` wants for a card, and what it leaves on a host: against a host in memory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from remotes.vnm.alias_sdnat import alias_sdnat
from remotes.vnm.alias_sdnat.alias_sdnat import Commands, Problem, Rule, read_vm
from remotes.vnm.hybrid import hybrid_node
from remotes.vnm.hybrid.hybrid_node import ACTIONS, Run
from tests.support.nat_lab import DRIVER, document
from tests.support.node_tables import NodeTables
from tests.unit.vnm.test_sdnat_actions import BACKENDS
from tests.unit.vnm.test_sdnat_document import PYTHONS, stdin

HYBRID = DRIVER.parent / "hybrid"
PUBLIC = "203.0.113.5"
NIC = {"NIC_ID": "0", "VN_MAD": "hybrid", "BRIDGE": "br0", "IP": PUBLIC, "GATEWAY": "203.0.113.1"}
HERE = {**NIC, "HYBRID_ADDRESS": PUBLIC}
PRIVATE = {"NIC_ID": "0", "VN_MAD": "bridge", "BRIDGE": "br0", "IP": "192.168.150.5"}
ALIAS = {"NIC_ID": "1", "PARENT_ID": "0", "EXTERNAL": "YES", "VN_MAD": "hybrid", "IP": "198.51.100.8", "BRIDGE": "pub"}
ALIAS_HERE = {**ALIAS, "HYBRID_ADDRESS": "10.0.0.8"}


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> NodeTables:
    return on_host(NodeTables(), monkeypatch)


def on_host(tables: NodeTables, monkeypatch: pytest.MonkeyPatch) -> NodeTables:
    monkeypatch.setattr(alias_sdnat, "setting", tables.setting)
    monkeypatch.setattr(hybrid_node, "exists", lambda bridge: bridge in tables.bridges)
    return tables


def act(
    tables: NodeTables,
    action: str,
    nic: Mapping[str, str],
    *aliases: Mapping[str, str],
    vm: int = 4,
    rules: Sequence[Mapping[str, str]] = (),
) -> tuple[list[str], list[str]]:
    """Run an action and return what is wrong, and what it warns of."""
    run = Run(read_vm(stdin(document(vm, [nic], aliases, rules))), tables)
    ACTIONS[action](run)
    return run.problems, run.warnings


def fine(tables: NodeTables, action: str, nic: Mapping[str, str], *aliases: Mapping[str, str], vm: int = 4) -> None:
    assert act(tables, action, nic, *aliases, vm=vm) == ([], [])


def wanted(tables: NodeTables, nic: Mapping[str, str], *aliases: Mapping[str, str]) -> list[Rule]:
    run = Run(read_vm(stdin(document(4, [nic], aliases))), tables)
    rules, _ = run.wanted()
    assert run.problems == []
    return [one for one in rules if one.what not in ("forward", "gateway", "ndp")]


def test_an_address_that_the_guest_has_is_routed(host: NodeTables) -> None:
    assert wanted(host, HERE) == [
        Rule(4, 0, "at", PUBLIC, PUBLIC, "br0"),
        Rule(4, 0, "to", "", PUBLIC, "br0"),
        Rule(4, 0, "from", "", PUBLIC, "br0"),
    ]


def test_another_one_is_exchanged(host: NodeTables) -> None:
    found = wanted(host, {**NIC, "HYBRID_ADDRESS": "10.0.0.8"})
    assert [(one.what, one.alias, one.parent) for one in found if one.chain in ("dnat", "sent", "snat")] == [
        (what, "10.0.0.8", PUBLIC) for what in ("in", "sent", "out", "back")
    ]
    assert [one.what for one in found] == ["at", "in", "sent", "out", "back", "to", "from"]


def test_an_external_alias_leads_to_its_parent(host: NodeTables) -> None:
    found = wanted(host, PRIVATE, ALIAS_HERE)
    assert found[0] == Rule(4, 1, "at", "10.0.0.8", "192.168.150.5", "br0")  # on the parent's bridge
    assert [one.what for one in found] == ["at", "in", "sent", "out", "back", "via", "leaves", "turns"]
    found = wanted(host, HERE, ALIAS_HERE)
    assert [one.what for one in found if one.nic == 1] == ["at", "in", "via"]  # the machine sends with its own address


def test_an_alias_that_the_guest_has_itself_is_routed_to_its_parents_bridge(host: NodeTables) -> None:
    found = wanted(host, PRIVATE, {**ALIAS, "EXTERNAL": "NO", "HYBRID_ADDRESS": "198.51.100.8"})
    assert found[0] == Rule(4, 1, "at", "198.51.100.8", "198.51.100.8", "br0")
    assert [one.what for one in found] == ["at", "to", "from"]


@pytest.mark.parametrize(
    ("nic", "alias", "text"),
    [
        (NIC, {}, "VM 4: NIC 0 has neither HYBRID_ADDRESS nor HYBRID_ADDRESS6"),
        ({**HERE, "HYBRID_ADDRESS": "x"}, {}, "NIC 0 has 'x' for its IPv4 address"),
        ({**HERE, "IP": ""}, {}, f"NIC 0: {PUBLIC} leads nowhere, for want of an IPv4 address or a BRIDGE"),
        ({**HERE, "BRIDGE": ""}, {}, "leads nowhere"),
        ({**HERE, "BRIDGE": "a b"}, {}, "NIC 0 has 'a b' for its BRIDGE"),
        ({**HERE, "GATEWAY": "a b"}, {}, "NIC 0 has 'a b' for its gateway"),
        ({**HERE, "NIC_ID": ""}, {}, "NIC_ID"),
        (PRIVATE, {**ALIAS_HERE, "PARENT_ID": "9"}, "has no parent"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_leaves_nothing(
    host: NodeTables, nic: dict[str, str], alias: dict[str, str], text: str
) -> None:
    before = host.everything()
    (problem,), _ = act(host, "remote_post", nic, *([alias] if alias else []))
    assert text in problem
    assert host.everything() == before


@pytest.mark.parametrize("programs", BACKENDS, ids="+".join)
def test_all_is_made_once_and_taken_away_whole(programs: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    host = on_host(NodeTables(programs), monkeypatch)
    before = host.everything()
    card = {**HERE, "IP6": "fd52::5", "HYBRID_ADDRESS6": "fd52::5", "GATEWAY6": "fd52::1"}
    fine(host, "remote_post", card, ALIAS_HERE)
    assert host.routes == {PUBLIC: "dev br0 proto 175", "fd52::5": "dev br0 proto 175"}
    assert host.proxies == {("203.0.113.1", "br0"), ("fd52::1", "br0")}
    assert set(host.settings.values()) == {"1"}
    made = host.everything()
    bare = {key: value for key, value in card.items() if not key.startswith(("HYBRID", "GATEWAY"))}  # as oned has it
    for action, nic, alias in (
        ("remote_post", card, ALIAS_HERE),
        ("update_sg", bare, ALIAS),
        ("update_nic", bare, ALIAS),
    ):
        fine(host, action, nic, alias)
        assert host.everything() == made
    fine(host, "remote_clean", bare, ALIAS)
    assert host.everything() == before
    fine(host, "remote_clean", bare, ALIAS)
    assert host.everything() == before


def test_what_was_there_before_stays(host: NodeTables) -> None:
    host.settings["net/ipv4/ip_forward"] = "1"
    host.proxies.add(("203.0.113.1", "br0"))
    host.routes[PUBLIC] = "dev br0 proto static"
    before = host.everything()
    fine(host, "remote_post", HERE)
    fine(host, "remote_clean", NIC)
    assert host.everything() == before


def test_the_last_card_takes_what_they_share(host: NodeTables) -> None:
    before = host.everything()
    other = {**HERE, "IP": "203.0.113.6", "HYBRID_ADDRESS": "203.0.113.6"}
    fine(host, "remote_post", HERE)
    fine(host, "remote_post", other, vm=5)
    fine(host, "remote_clean", NIC)
    assert host.routes == {"203.0.113.6": "dev br0 proto 175"}
    assert host.proxies == {("203.0.113.1", "br0")}
    assert host.settings["net/ipv4/ip_forward"] == "1"
    fine(host, "remote_clean", other, vm=5)
    assert host.everything() == before


def test_an_address_that_came_to_another_machine_stays_with_it(host: NodeTables) -> None:
    """The clean of the first one was late, or never came."""
    fine(host, "remote_post", HERE)
    fine(host, "remote_post", HERE, vm=5)
    fine(host, "remote_clean", NIC)
    assert host.routes == {PUBLIC: "dev br0 proto 175"}
    assert {rule.split("hybrid/")[1].split("/")[0] for rule in host.rules() if "hybrid/" in rule} == {"5"}


def test_a_detached_card_goes_alone(host: NodeTables) -> None:
    fine(host, "remote_post", HERE)
    made = host.everything()
    fine(host, "remote_post", HERE, {**ALIAS_HERE, "ATTACH": "YES"})
    assert any("10.0.0.8" in rule for rule in host.rules())
    fine(host, "remote_clean", NIC, {**ALIAS, "ATTACH": "YES"})
    assert not any("10.0.0.8" in rule for rule in host.rules())
    assert host.routes == {PUBLIC: "dev br0 proto 175"}
    fine(host, "remote_clean", {**NIC, "ATTACH": "YES"})
    assert host.rules() == []
    assert made != host.everything()


def test_a_card_that_failed_to_attach_later_is_forgotten_by_the_next_action(host: NodeTables) -> None:
    """oned runs no clean for it; and a gateway that changed is followed."""
    own = {**ALIAS, "EXTERNAL": "NO", "HYBRID_ADDRESS": "198.51.100.8"}
    fine(host, "remote_post", HERE)
    made = host.everything()
    fine(host, "remote_post", HERE, {**own, "ATTACH": "YES", "GATEWAY": "198.51.100.1"})
    assert set(host.routes) == {PUBLIC, "198.51.100.8"}
    fine(host, "update_sg", NIC)
    assert host.everything() == made
    fine(host, "remote_post", {**HERE, "GATEWAY": "203.0.113.2"})
    assert host.proxies == {("203.0.113.2", "br0")}


def test_a_gateway_that_is_the_host_itself_needs_no_proxy(host: NodeTables) -> None:
    fine(host, "remote_post", {**HERE, "GATEWAY": "192.168.150.1"})
    assert host.proxies == set()


def test_a_route_of_somebody_else_is_told_and_kept(host: NodeTables) -> None:
    host.routes[PUBLIC] = "via 10.9.9.9 dev eth1"
    before = host.everything()
    (problem,), _ = act(host, "remote_post", HERE)
    assert f"this host has a route of its own to {PUBLIC}: '{PUBLIC} via 10.9.9.9 dev eth1" in problem
    assert host.everything() == before


def test_oneadmin_may_not_change_settings_and_that_is_told(host: NodeTables) -> None:
    host.denied = {"sysctl"}
    told = "this host does not have what cards of hybrid need: set net.ipv4.ip_forward to 1"
    assert act(host, "remote_post", HERE) == ([], [told])
    host.settings["net/ipv4/ip_forward"] = "1"  # as the administrator was told
    fine(host, "remote_clean", NIC)
    assert host.settings["net/ipv4/ip_forward"] == "1"
    assert host.rules() == []


def test_a_host_that_listens_to_its_ipv6_router_goes_on_doing_so(host: NodeTables) -> None:
    host.router = "default via fe80::1 dev eth0 proto ra metric 1024"
    card = {**NIC, "IP6": "fd52::5", "HYBRID_ADDRESS6": "fd52::5"}
    problems, warnings = act(host, "remote_post", card)
    assert problems == []
    assert warnings == [
        "this host has its IPv6 route of its router: set net.ipv6.conf.all.forwarding to 1 and accept_ra to 2"
    ]
    assert host.settings["net/ipv6/conf/all/forwarding"] == "0"


def test_update_sg_leaves_cards_alone_that_have_not_come_yet(host: NodeTables) -> None:
    before = host.everything()
    fine(host, "update_sg", NIC, ALIAS)
    assert host.everything() == before


def test_pre_makes_the_bridge_of_a_nic_and_nothing_else(host: NodeTables) -> None:
    fine(host, "pre", {**NIC, "BRIDGE": "new"}, ALIAS)
    assert host.bridges == {"br0", "new"}
    assert host.changes == ["ip link add name new type bridge", "ip link set new up"]
    fine(host, "pre", {**NIC, "BRIDGE": "new"})
    fine(host, "pre", {**NIC, "BRIDGE": "other", "VN_MAD": "vxlan"})
    fine(host, "pre", {**NIC, "BRIDGE": "ovs", "BRIDGE_TYPE": "openvswitch"})
    assert host.bridges == {"br0", "new"}
    host.programs.clear()
    problems, _ = act(host, "pre", NIC)
    assert problems == ["VM 4: IPv4 addresses cannot be translated: this host has neither iptables nor nft"]


@pytest.mark.parametrize("refused", range(1, 8))
def test_whatever_fails_nothing_is_left(host: NodeTables, refused: int) -> None:
    before = host.everything()

    def refuse(what: str) -> None:
        if len(host.changes) == refused - 1:
            host.refuse = lambda _: None
            raise Problem(f"'{what[:20]}' failed")

    host.refuse = refuse
    problems, _ = act(host, "remote_post", HERE)
    if problems:
        assert host.everything() == before
    else:
        assert refused > 4  # rules, forwarding, the proxy, the route: all done
    host.refuse = lambda _: None
    fine(host, "remote_post", HERE)
    fine(host, "remote_clean", HERE)
    assert host.everything() == before


def test_other_drivers_cards_are_none_of_ours(host: NodeTables) -> None:
    before = host.everything()
    card = {**HERE, "VN_MAD": "alias_sdnat", "HYBRID_ADDRESS": "nonsense"}
    for action in ACTIONS:
        fine(host, action, card, {**ALIAS_HERE, "VN_MAD": "bridge"})
    assert host.everything() == before


# --- as it runs on a host ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("python", PYTHONS)
def test_the_executables_run_it(tmp_path: Path, python: str) -> None:
    """With the Python of an old host, its sibling beside it, and nothing to do."""
    (tmp_path / "python3").symlink_to(
        subprocess.check_output([python, "-c", "import sys; print(sys.executable)"], text=True).strip()
    )
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    nothing = stdin(document(4, [PRIVATE], []))
    done = subprocess.run([HYBRID / "update_nic"], input=nothing, capture_output=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    bad = stdin(document(4, [{**HERE, "BRIDGE": "a b"}], []))
    done = subprocess.run([HYBRID / "pre"], input=bad, capture_output=True, env=environment)
    assert done.returncode == 1
    assert done.stderr == b"hybrid: VM 4: NIC 0 has 'a b' for its BRIDGE, which cannot be an interface\n"


def test_sudo_is_asked_for_what_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """sudoers has ``ip route *``: ``sudo -l ip`` would say no."""
    program = tmp_path / "sudo"
    program.write_text('#!/bin/sh\ncase "$*" in *"ip route "*) ;; *) exit 1;; esac\necho "$*"\n')
    program.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 9869)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    commands = Commands()
    assert commands.run(["ip", "route", "del", "10.0.0.1"]) == "-n ip route del 10.0.0.1\n"
    assert not commands.may(["ip", "neighbour", "add", "proxy", "10.0.0.1"])
    with pytest.raises(Problem, match="sudo does not let user 9869 run ip on this host"):
        commands.run(["ip", "neighbour", "add", "proxy", "10.0.0.1"])
