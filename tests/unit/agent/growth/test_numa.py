"""NUMA nodes: where the virtual nodes of a machine fit, by the rules of ``HostShareNUMA.cc``."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_drivers.agent.growth import numa
from hybrid_drivers.agent.growth.numa import Core, Node, Numa, Topology, even, read, render, serve, topology
from hybrid_drivers.model import Template
from hybrid_drivers.model_shares import HugePages, NumaCore, NumaNode

GIB = 1024 * 1024  # KiB
HOST = even(nodes=2, cores=4, threads=2, memory=16 * GIB, pages={2048: 1024})  # 8 GiB, 2 of them huge, a node


def often(asked: Topology, host: Numa = HOST) -> int:
    count, left = 0, serve(host, asked)
    while left is not None and count < 100:
        count, left = count + 1, serve(left, asked)
    return count


@pytest.mark.parametrize(
    ("asked", "times"),
    [
        (Topology(((2, GIB),)), 8),  # THREAD: two threads of one core each
        (Topology(((2, GIB),), threads=1), 8),
        (Topology(((1, GIB),)), 16),
        (Topology(((2, GIB),), whole_cores=True), 4),  # CORE: a core for each
        (Topology(((8, GIB),)), 2),
        (Topology(((8, GIB),), whole_cores=True), 0),
        (Topology(((9, GIB),)), 0),  # no virtual node is spread over two
        (Topology(((8, GIB), (8, GIB))), 1),
        (Topology(((4, GIB), (4, GIB))), 2),
        (Topology(((3, GIB),), threads=2), 0),  # three threads are not pairs
        (Topology(((3, GIB),)), 4),
        (Topology(((4, GIB),), threads=4), 0),  # its cores have two
        (Topology(((1, 8 * GIB),)), 2),
        (Topology(((1, 9 * GIB),)), 0),
        (Topology(((1, GIB),), page=2048), 4),
        (Topology(((1, GIB),), page=1048576), 0),
        (Topology(((4, GIB),), pinned=False, page=2048), 4),
        (Topology(((4, GIB),), pinned=False, node=1), 8),
        (Topology(((4, GIB),), pinned=False, node=1, page=2048), 2),
        (Topology(((4, GIB),), pinned=False, node=2), 0),
    ],
)
def test_so_many_fit_on_a_host(asked: Topology, times: int) -> None:
    assert often(asked) == times


def test_memory_is_taken_from_the_nearest_node_that_has_it() -> None:
    nodes = (Node(0, (Core(2),), GIB, near=(0, 1)), Node(1, (), 4 * GIB, near=(1, 0)))
    left = serve(Numa(2, nodes), Topology(((2, 2 * GIB),)))
    assert left is not None
    assert [one.memory for one in left.nodes] == [GIB, 2 * GIB]


def test_what_a_machine_asks_for_is_read() -> None:
    told = {"PIN_POLICY": "thread", "SOCKETS": "2", "THREADS": "2", "HUGEPAGE_SIZE": "2"}
    parts = [("NUMA_NODE", {"TOTAL_CPUS": "4", "MEMORY": "1048576"})] * 2
    asked = topology(Template([("TOPOLOGY", told), *parts]))
    assert asked == Topology(((4, GIB), (4, GIB)), threads=2, page=2048)
    core = topology(Template([("TOPOLOGY", {"PIN_POLICY": "CORE"}), parts[0]]))
    assert core == Topology(((4, GIB),), whole_cores=True)
    near = topology(Template([("TOPOLOGY", {"PIN_POLICY": "NONE", "NODE_AFFINITY": "0"}), parts[0]]))
    assert near == Topology(((4, GIB),), pinned=False, node=0)
    assert topology(Template([("TOPOLOGY", {"PIN_POLICY": "NONE", "CORES": "2"})])) is None
    assert topology(Template()) is None


def test_a_host_tells_what_is_free_and_what_another_like_it_will_have() -> None:
    cores = (
        NumaCore(id=0, cpus=2, reserved=0, free=0, used=True),
        NumaCore(id=1, cpus=2, reserved=1, free=1, used=False),
        NumaCore(id=2, cpus=2, reserved=2, free=0, used=False),
    )
    pages = (HugePages(size=2048, pages=10, used=4),)
    node = NumaNode(id=0, cores=cores, memory=100, used_memory=30, pages=pages, distance=(0,))
    free = (Core(0, False), Core(1, True), Core(0, False))
    assert numa.free_of([node]) == Numa(2, (Node(0, free, 70, ((2048, 6),), (0,)),))
    whole = (Core(2, True), Core(1, True), Core(0, False))
    assert numa.all_of([node]) == Numa(2, (Node(0, whole, 100, ((2048, 10),), (0,)),))
    assert numa.free_of([]) is None


CORES = st.lists(st.integers(0, 4).map(lambda free: Core(free, free > 0)), min_size=1, max_size=4).map(tuple)
PAGES = st.dictionaries(st.sampled_from([2048, 1048576]), st.integers(0, 99)).map(lambda told: tuple(told.items()))
NODES = st.builds(Node, st.integers(0, 3), CORES, st.integers(0, 10**9), PAGES, st.sampled_from([(), (0, 1)]))
NUMAS = st.builds(Numa, st.sampled_from([1, 2, 4]), st.lists(NODES, min_size=1, max_size=2).map(tuple))


@given(NUMAS)
def test_nodes_are_read_as_they_were_written(host: Numa) -> None:
    assert read(render(host)) == host
    assert read("") is read("2") is read("2 nonsense") is None


ASKED = st.builds(
    Topology,
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5 * GIB)), min_size=1, max_size=2).map(tuple),
    whole_cores=st.booleans(),
    threads=st.sampled_from([0, 1, 2]),
    page=st.sampled_from([0, 2048]),
)


@given(ASKED, st.lists(ASKED, max_size=5))
def test_nothing_is_given_twice(first: Topology, more: list[Topology]) -> None:
    left = HOST
    for one in (first, *more):
        after = serve(left, one)
        if after is None:
            continue
        threads = sum(core.free for node in left.nodes for core in node.cores)
        kept = sum(core.free for node in after.nodes for core in node.cores)
        cpus = sum(part for part, _ in one.parts)
        assert threads - kept >= cpus
        memory = sum(part for _, part in one.parts)
        assert sum(node.memory for node in left.nodes) - sum(node.memory for node in after.nodes) == memory
        assert all(node.memory >= 0 and all(count >= 0 for _, count in node.pages) for node in after.nodes)
        left = after
    assert serve(replace(HOST, nodes=()), first) is None
