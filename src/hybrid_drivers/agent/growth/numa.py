"""NUMA nodes: where the virtual nodes of a pinned machine fit. Pure.

The rules are those of ``HostShareNUMA.cc`` (``make_topology``, read in its form of 2024), but that each virtual node is
taken off before the next is tried: oned's own test looks at them one by one, and then cannot deploy what it let pass.
Not modelled: that nodes near a machine's PCI devices are preferred, and other machines that leave threads of a core in
another order than this one would.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hybrid_drivers.model import Template
from hybrid_drivers.model_shares import NumaNode

_PINNED: Final = ("CORE", "THREAD", "SHARED")
_KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Core:
    """A core: threads that pinned machines may take, and whether none has any of it (what policy CORE asks for)."""

    free: int
    untouched: bool = True


@dataclass(frozen=True, slots=True)
class Node:
    """What is free of a node; memory and sizes of pages in KiB. ``near``: ids of all nodes, the nearest first."""

    id: int
    cores: tuple[Core, ...]
    memory: int
    pages: tuple[tuple[int, int], ...] = ()  # size, how many
    near: tuple[int, ...] = ()

    def groups(self, threads: int) -> int:
        """Return how many groups of so many threads of one core are free; 0 threads: whole cores."""
        if not threads:
            return sum(one.untouched for one in self.cores)
        return sum(one.free // threads for one in self.cores)

    def has(self, memory: int, page: int) -> bool:
        """Tell whether so much memory is free, in pages of that size when it is not 0."""
        free = dict(self.pages).get(page, 0)
        return memory <= self.memory and (not page or (free > 0 and free >= memory // page))

    def without_cores(self, cpus: int, threads: int) -> Node:
        """Return what is left without so many threads, taken off the first cores that have groups of them."""
        left = []
        for core in self.cores:
            taken = min(cpus, (core.free // threads) * threads) if threads else min(cpus, int(core.untouched))
            cpus -= taken
            gone = taken and not threads
            left.append(Core(0, False) if gone else Core(core.free - taken, core.untouched and not taken))
        return replace(self, cores=tuple(left))

    def without_memory(self, memory: int, page: int) -> Node:
        """Return what is left without so much memory."""
        pages = tuple((size, free - memory // page if size == page else free) for size, free in self.pages)
        return replace(self, memory=self.memory - memory, pages=pages if page else self.pages)


@dataclass(frozen=True, slots=True)
class Numa:
    """All nodes of a host, and the threads that a core of its has."""

    threads: int
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Topology:
    """What a machine asks for: virtual nodes (threads, KiB), and how they are to lie."""

    parts: tuple[tuple[int, int], ...]
    pinned: bool = True
    whole_cores: bool = False  # policy CORE
    threads: int = 0  # of a core that are given together; 0: as many as can be
    page: int = 0  # KiB; 0: no huge pages
    node: int = -1  # NODE_AFFINITY


def topology(template: Template) -> Topology | None:
    """Read TOPOLOGY and NUMA_NODE of a machine; None: it wants nothing special."""
    told = template.vector("TOPOLOGY")
    parts = tuple((_whole(one.get("TOTAL_CPUS")), _whole(one.get("MEMORY"))) for one in template.vectors("NUMA_NODE"))
    policy = told.get("PIN_POLICY", "").upper()
    asked = Topology(
        parts=parts,
        pinned=policy in _PINNED,
        whole_cores=policy == "CORE",
        threads=_whole(told.get("THREADS")),
        page=_whole(told.get("HUGEPAGE_SIZE")) * _KIB,
        node=_whole(told.get("NODE_AFFINITY"), -1),
    )
    return asked if parts and (asked.pinned or asked.page or asked.node >= 0) else None


def serve(numa: Numa, asked: Topology) -> Numa | None:
    """Return what is left after one machine; None: it cannot be served."""
    memory = sum(part for _, part in asked.parts)
    if asked.node >= 0:
        there = [one for one in numa.nodes if one.id == asked.node and one.has(memory, asked.page)]
        return _without(numa, there[0].id, memory, asked.page) if there else None
    if not asked.pinned:  # huge pages only: all in the node with the most of them
        able = [one for one in numa.nodes if one.has(memory, asked.page)]
        best = max(able, key=lambda one: dict(one.pages)[asked.page], default=None)
        return None if best is None else _without(numa, best.id, memory, asked.page)
    for threads in _ways(numa, asked):
        left: Numa | None = numa
        for cpus, part in asked.parts:
            left = _with_part(left, cpus, part, threads, asked.page) if left is not None else None
        if left is not None:
            return left
    return None


def _ways(numa: Numa, asked: Topology) -> Sequence[int]:
    """Return how many threads of a core may be given together, the most first; 0: whole cores."""
    if asked.whole_cores:
        return (0,)
    most = min(asked.threads or numa.threads, numa.threads)
    powers = [2**n for n in reversed(range(most.bit_length())) if 2**n <= most]
    able = [one for one in powers if all(cpus % one == 0 for cpus, _ in asked.parts)]
    return [one for one in able if one == asked.threads] if asked.threads else able


def _with_part(numa: Numa, cpus: int, memory: int, threads: int, page: int) -> Numa | None:
    """Put one virtual node on the node with the most room, and its memory as near as it is to be had."""
    unit = threads or 1
    able = [one for one in numa.nodes if one.groups(threads) * unit >= cpus]
    able.sort(key=lambda one: (1 - cpus / max(1, one.groups(threads) * unit), one.id), reverse=True)
    nodes = {one.id: one for one in numa.nodes}
    for hop in range(len(numa.nodes)):
        for one in able:
            near = one.near or (one.id, *(other for other in nodes if other != one.id))
            if hop < len(near) and near[hop] in nodes and nodes[near[hop]].has(memory, page):
                nodes[one.id] = one.without_cores(cpus, threads)
                nodes[near[hop]] = nodes[near[hop]].without_memory(memory, page)
                return replace(numa, nodes=tuple(nodes.values()))
    return None


def _without(numa: Numa, node_id: int, memory: int, page: int) -> Numa:
    nodes = tuple(one.without_memory(memory, page) if one.id == node_id else one for one in numa.nodes)
    return replace(numa, nodes=nodes)


def free_of(nodes: Sequence[NumaNode]) -> Numa | None:
    """Return what is free of a host's nodes; None: it has told of none."""
    return _numa(nodes, whole=False)


def all_of(nodes: Sequence[NumaNode]) -> Numa | None:
    """Return what a host like this one will have; a thread takes one machine, as without VMS_THREAD."""
    return _numa(nodes, whole=True)


def _numa(nodes: Sequence[NumaNode], *, whole: bool) -> Numa | None:
    cores = [core for one in nodes for core in one.cores]
    if not cores:
        return None
    return Numa(
        threads=cores[0].cpus,
        nodes=tuple(
            Node(
                id=one.id,
                cores=tuple(
                    Core(core.cpus - core.reserved if whole else core.free,
                         core.reserved < core.cpus and (whole or not core.used))
                    for core in one.cores
                ),
                memory=one.memory - (0 if whole else one.used_memory),
                pages=tuple((page.size, page.pages - (0 if whole else page.used)) for page in one.pages),
                near=one.distance,
            )
            for one in nodes
        ),
    )  # fmt: skip


def even(nodes: int, cores: int, threads: int, memory: int, pages: Mapping[int, int]) -> Numa:
    """Make the nodes of an entry's table: ``cores`` and ``pages`` are of each node, ``memory`` (KiB) of all."""
    one = Node(0, (Core(threads),) * cores, memory // max(1, nodes), tuple(pages.items()))
    return Numa(threads, tuple(replace(one, id=number) for number in range(nodes)))


def render(numa: Numa) -> str:
    """Write nodes for :func:`read`, each ``ID/MEMORY/FREE of each core/SIZExPAGES/NEAR``; they must be unused."""
    texts = [
        "/".join(
            (
                str(one.id),
                str(one.memory),
                ",".join(str(core.free) for core in one.cores),
                ",".join(f"{size}x{count}" for size, count in one.pages),
                ",".join(map(str, one.near)),
            )
        )
        for one in numa.nodes
    ]
    return " ".join((str(numa.threads), *texts))


def read(text: str) -> Numa | None:
    """Read what :func:`render` wrote; None: it is not that."""
    threads, *nodes = text.split() or ("",)
    try:
        return Numa(int(threads), tuple(_read_node(one) for one in nodes)) if nodes else None
    except ValueError:
        return None


def _read_node(text: str) -> Node:
    node_id, memory, cores, pages, near = text.split("/")
    return Node(
        id=int(node_id),
        cores=tuple(Core(free, free > 0) for free in _numbers(cores)),
        memory=int(memory),
        pages=tuple((int(size), int(count)) for size, _, count in (one.partition("x") for one in _parts(pages))),
        near=tuple(_numbers(near)),
    )


def _parts(text: str) -> Sequence[str]:
    return text.split(",") if text else ()


def _numbers(text: str) -> Iterable[int]:
    return map(int, _parts(text))


def _whole(text: str | None, default: int = 0) -> int:
    try:
        return int(text or default)
    except ValueError:
        return default
