"""The whole playbooks on two real machines: their guests are in one network, also after a reboot."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.cluster import (  # noqa: F401 - cluster_yard is a fixture
    Cluster,
    add_evpn_network,
    add_guest,
    changed,
    cluster_of,
    cluster_yard,
    ping,
    until,
)
from tests.support.node import Node

from hybrid_drivers.sandbox.machines.nspawn import NspawnMachines

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.long]
GIVEN = {"opennebula_repository_enabled": "no"}


@pytest.fixture(params=["static_vxlan", "evpn"])
def playbook(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def cluster(cluster_yard: NspawnMachines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:  # noqa: F811
    with cluster_of(cluster_yard, tmp_path_factory.mktemp("cluster"), 2, "whole") as made:
        made.members = made.nodes
        yield made


def connect_guests(nodes: list[Node], playbook: str) -> None:
    for node in nodes:
        if playbook == "evpn":
            add_evpn_network(node)
        add_guest(node, "onebr.50" if playbook == "evpn" else "vxbr100", f"10.9.0.{int(node.id[-1]) + 1}")


def test_the_whole_playbook(cluster: Cluster, playbook: str) -> None:
    first, second = cluster.nodes
    cluster.play(playbook, GIVEN)
    assert changed(cluster.play(playbook, GIVEN)) == [[], []]
    assert changed(cluster.play(playbook, GIVEN, peers_only=True)) == [[], []]
    connect_guests(cluster.nodes, playbook)
    assert until(lambda: ping(first, "10.9.0.2"))
    first.reboot()
    assert changed(cluster.play(playbook, GIVEN, check_only=True)) == [[], []]
    connect_guests([first], playbook)
    assert until(lambda: ping(second, "10.9.0.1"))
