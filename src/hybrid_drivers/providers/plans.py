"""What hosts of a plan have, as the provider entry's ``plans`` says: ``PLAN: {cpu: 8, memory: 32768}``.

Besides, for virtual machines that want them: ``pci: ["10de:20b0:0302", "15b3:*:0200"]`` (vendor, device and class of
each device; or a mapping of these to how many there are) and ``numa: {nodes: 2, cores: 16, threads: 2, hugepages:
{2048: 1024}}`` (cores and pages of each node, sizes of pages in KiB).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from hybrid_drivers.providers.base import ProviderEntry

_LEAST, _MOST = 0.01, 1e9
_MANY: Final = 1024  # more devices, nodes, cores or threads than any machine has
_PAGES: Final = 2**31  # more pages of a size than any node has
_DEVICE: Final = re.compile(r"([0-9a-fA-F]{1,4}|\*)(:([0-9a-fA-F]{1,4}|\*)){2}").fullmatch
_NUMA_KEYS: Final = {"nodes", "cores", "threads"}


@dataclass(frozen=True, kw_only=True)
class PlanNuma:
    """NUMA nodes that are all alike; ``pages``: size in KiB -> how many a node."""

    nodes: int
    cores: int
    threads: int
    pages: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PlanSize:
    """What a host of the plan has for virtual machines: cores (as oned counts them), MiB, devices and NUMA nodes."""

    cpu: float
    memory: float
    pci: tuple[str, ...] = ()  # each like 10de:20b0:0302
    numa: PlanNuma | None = None


def size_of(entry: ProviderEntry, plan: str) -> PlanSize | None:
    """Return what a plan has, None when the entry does not tell."""
    table = entry.settings.get("plans")
    one = table.get(plan) if isinstance(table, Mapping) else None
    if not isinstance(one, Mapping):
        return None
    return PlanSize(
        cpu=float(str(one["cpu"])),
        memory=float(str(one["memory"])),
        pci=tuple(kind for kind, count in _devices(one.get("pci")).items() for _ in range(count)),
        numa=_numa(one["numa"]) if isinstance(one.get("numa"), Mapping) else None,
    )


def problems(table: object) -> Sequence[str]:
    """Return sentences about a ``plans`` table that is wrong."""
    found = []
    for plan, one in table.items() if isinstance(table, Mapping) else ():
        name = f"plan '{str(plan)[:60]}' of key 'plans'"
        told: Mapping[object, object] = one if isinstance(one, Mapping) else {}
        if not {"cpu", "memory"} <= set(told) <= {"cpu", "memory", "pci", "numa"} or not all(
            _is_amount(told[key]) for key in ("cpu", "memory")
        ):
            found.append(f"{name} must be like {{cpu: 8, memory: 32768}}: cores and MiB")
        if "pci" in told and not _are_devices(told["pci"]):
            found.append(f'{name}: pci must be a list like ["10de:20b0:0302"], or a mapping of these to how many')
        if "numa" in told and not _is_numa(told["numa"]):
            found.append(f"{name}: numa must be like {{nodes: 2, cores: 16, threads: 2, hugepages: {{2048: 1024}}}}")
    return found


def _devices(told: object) -> Mapping[str, int]:
    found: dict[str, int] = {}
    if isinstance(told, Mapping):
        found = {str(kind): int(str(count)) for kind, count in told.items()}
    elif isinstance(told, Sequence) and not isinstance(told, str):
        for kind in told:
            found[str(kind)] = found.get(str(kind), 0) + 1
    return found


def _are_devices(told: object) -> bool:
    try:
        found = _devices(told)
    except ValueError:
        return False
    kinds = isinstance(told, (Mapping, list, tuple)) and all(map(_DEVICE, found))
    return kinds and all(0 < one <= _MANY for one in found.values())


def _numa(told: Mapping[str, object]) -> PlanNuma:
    pages = told.get("hugepages")
    sizes = pages if isinstance(pages, Mapping) else {}
    return PlanNuma(
        **{key: int(str(told[key])) for key in _NUMA_KEYS},
        pages={int(str(size)): int(str(count)) for size, count in sizes.items()},
    )


def _is_numa(told: object) -> bool:
    if not isinstance(told, Mapping) or not _NUMA_KEYS <= set(told) <= {*_NUMA_KEYS, "hugepages"}:
        return False
    if not isinstance(told.get("hugepages", {}), Mapping):
        return False
    try:
        found = _numa(told)
    except ValueError:
        return False
    counts = (found.nodes, found.cores, found.threads)
    return all(0 < one <= _MANY for one in counts) and all(
        size > 0 and 0 <= count < _PAGES for size, count in found.pages.items()
    )


def _is_amount(value: object) -> bool:
    try:
        return not isinstance(value, bool) and _LEAST <= float(str(value)) < _MOST
    except ValueError:
        return False
