"""Several real machines that form a cluster, as tests of host configuration see them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.machines import make_identity
from tests.support.node import Node

from hybrid_drivers.hostconfig.facts import Facts, Peer
from hybrid_drivers.hostconfig.report import RunReport
from hybrid_drivers.hostconfig.roles import steps_of
from hybrid_drivers.hostconfig.runner import SshTarget
from hybrid_drivers.hostconfig.script import Script, compile_script, render
from hybrid_drivers.sandbox.machines import make_machines
from hybrid_drivers.sandbox.machines.nspawn import NspawnMachines, why_not
from hybrid_drivers.sandbox.machines.sources import MirrorUnreachable
from hybrid_drivers.sandbox.machines.suites import DEFAULT

SUITES = [
    pytest.param(DEFAULT, id="debian-12"),
    *(
        pytest.param(suite, id=name, marks=pytest.mark.long)
        for suite, name in (("trixie", "debian-13"), ("jammy", "ubuntu-22.04"), ("noble", "ubuntu-24.04"))
    ),
]


@pytest.fixture(scope="module", params=SUITES)
def cluster_yard(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NspawnMachines]:
    """A yard of each system; all but Debian 12 are for ``make long``. Skips with the reason where there can be none."""
    if reason := why_not(request.param):
        pytest.skip(reason)
    try:
        yard = make_machines("nspawn", tmp_path_factory.mktemp("yard"), suite=request.param)
    except MirrorUnreachable as exc:
        pytest.skip(str(exc))
    assert isinstance(yard, NspawnMachines)
    yield yard
    yard.close()


@dataclass
class Cluster:
    """The machines, in the order of their host ids; ``members`` are those that are hosts of the cluster now."""

    nodes: list[Node]
    members: list[Node] = field(default_factory=list)
    reports: dict[str, list[RunReport]] = field(default_factory=dict)

    def facts(self, node: Node) -> Facts:
        peers = [Peer(host_id=self.nodes.index(one), address=one.target.address) for one in self.members]
        return Facts(address=node.target.address, peers=tuple(peers))

    def script(self, node: Node, roles: Sequence[str], given: dict[str, str] | None = None) -> Script:
        facts = self.facts(node)
        with_given = Facts(address=facts.address, peers=facts.peers, given=given or {})
        return render([step for role in roles for step in steps_of(role, with_given)])

    def play(
        self,
        playbook: str,
        given: dict[str, str],
        *,
        on: Iterable[Node] | None = None,
        peers_only: bool = False,
        check_only: bool = False,
    ) -> list[RunReport]:
        """Run a playbook on the members, or those given, all at once; ``peers_only`` is what follows a change."""
        nodes = list(self.members if on is None else on)

        def one(node: Node) -> RunReport:
            script = compile_script([playbook], given, self.facts(node), peers_only=peers_only)
            return node.runs(script, check_only=check_only)

        with ThreadPoolExecutor(len(nodes)) as pool:
            return list(pool.map(one, nodes))

    def run(self, roles: Sequence[str], *, on: Iterable[Node] | None = None, **options: bool) -> list[RunReport]:
        """Run roles on the members, all at once, and return their reports in order."""
        nodes = list(self.members if on is None else on)
        with ThreadPoolExecutor(len(nodes)) as pool:
            return list(pool.map(lambda node: node.runs(self.script(node, roles), **options), nodes))


@contextmanager
def cluster_of(yard: NspawnMachines, folder: Path, size: int, name: str) -> Iterator[Cluster]:
    """Start ``size`` machines; they are destroyed at the end."""
    identity = make_identity(folder)
    nodes = []
    for number in range(size):
        addresses = yard.prepare(f"{name}{number}", f"{name}{number}", identity.user_data)
        target = SshTarget(addresses.public_v4, 22, "root", identity.private_key, (identity.host_key,))
        nodes.append(Node(yard, f"{name}{number}", target))
    try:
        with ThreadPoolExecutor(size) as pool:
            list(pool.map(lambda node: yard.power_on(node.id), nodes))
        yield Cluster(nodes)
    finally:
        for node in nodes:
            yard.destroy(node.id)


def changed(reports: Iterable[RunReport]) -> list[list[str]]:
    """Return the names of the steps that changed something, a list for each report."""
    return [[step.name for step in report.changed] for report in reports]


def add_guest(node: Node, bridge: str, address: str) -> None:
    """Put a namespace named guest on the bridge, in the place of a virtual machine."""
    mtu = node.says(f"cat /sys/class/net/{bridge}/mtu").strip()
    mac = f"02:00:00:00:00:{int(address.rsplit('.', 1)[1]):02x}"  # a machine that restarts keeps its own
    peer = f"type veth peer name eth0 mtu {mtu} address {mac} netns guest"
    node.says(
        f"ip netns add guest; ip link add veth-g mtu {mtu} {peer}; ip link set veth-g master {bridge} up;"
        f"ip -n guest addr add {address}/24 dev eth0; ip -n guest link set eth0 up"
    )


def add_evpn_network(node: Node) -> None:
    """Make a virtual network's devices with the commands of OpenNebula's driver (vnm_mad/remotes/vxlan/vxlan.rb).

    The network's settings: VXLAN_MODE=evpn, MTU=1450, IP_LINK_CONF="nolearning="; VXLAN_TEP=dev is the default.
    """
    node.says(
        "ip link add name onebr.50 type bridge; ip link set onebr.50 up;"
        "ip link add eth0.50 mtu 1450 type vxlan id 50 ttl 16 dev eth0 nolearning; ip link set eth0.50 up;"
        "ip link set eth0.50 master onebr.50"
    )


def ping(node: Node, address: str, options: str = "") -> bool:
    """Tell whether the guest of ``node`` gets an answer from ``address``."""
    return "OK" in node.says(
        f"ip netns exec guest ping -c 1 -W 1 {options} {address} >/dev/null 2>&1 && echo OK || true"
    )


@contextmanager
def pinging(node: Node, address: str) -> Iterator[None]:
    """Have the guest of ``node`` ping all the time; not one answer may be missing."""
    node.says(f"ip netns exec guest ping -i 0.05 -W 1 {address} >/tmp/ping 2>&1 & echo $! >/tmp/ping.pid")
    assert until(lambda: node.says("grep -c 'bytes from' /tmp/ping || true").strip() not in ("", "0"))
    yield
    summary = node.says("sleep 0.3; kill -INT $(cat /tmp/ping.pid); sleep 0.2; cat /tmp/ping")
    assert " 0% packet loss" in summary, summary


def until(condition: Callable[[], bool], limit: float = 30.0) -> bool:
    """Wait until the condition holds and tell whether it did."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True
