"""What hosts have beyond processors and memory as a whole, and which virtual machines want to be together or apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class PciDevice:
    """A device of a host that can be passed to a virtual machine; hexadecimal numbers as texts, as oned has them."""

    address: str  # like 0000:02:00:0
    short_address: str  # like 02:00.0
    vendor: str
    device: str
    class_: str
    vm_id: int = -1  # -1: nobody has it


@dataclass(frozen=True, kw_only=True)
class NumaCore:
    """A core. ``free`` is how many threads pinned machines may still take, of ``cpus`` in all."""

    id: int
    cpus: int
    reserved: int  # of them, by ISOLCPUS
    free: int
    used: bool  # a pinned machine has some of it


@dataclass(frozen=True, kw_only=True)
class HugePages:
    """Pages of one size (KiB) in a node."""

    size: int
    pages: int
    used: int = 0


@dataclass(frozen=True, kw_only=True)
class NumaNode:
    """A NUMA node; memory in KiB, what is used of it only counts machines with a topology."""

    id: int
    cores: tuple[NumaCore, ...]
    memory: int
    used_memory: int = 0
    pages: tuple[HugePages, ...] = ()
    distance: tuple[int, ...] = ()  # ids of all nodes, the nearest first


@dataclass(frozen=True, kw_only=True)
class HostShare:
    """What a host has of these."""

    devices: tuple[PciDevice, ...] = ()
    nodes: tuple[NumaNode, ...] = ()


@dataclass(frozen=True, kw_only=True)
class VmRole:
    """A role of a VM group. ``policy``: AFFINED, ANTI_AFFINED or nothing, among the machines of the role."""

    name: str
    policy: str = ""
    vm_ids: frozenset[int] = frozenset()
    host_ids: frozenset[int] = frozenset()  # HOST_AFFINED: those only; empty: any
    not_host_ids: frozenset[int] = frozenset()  # HOST_ANTI_AFFINED


@dataclass(frozen=True, kw_only=True)
class VmGroup:
    """A VM group: roles by name, and rules between roles, each a set of names."""

    id: int
    name: str
    roles: Mapping[str, VmRole] = field(default_factory=dict)
    affined: tuple[frozenset[str], ...] = ()
    anti_affined: tuple[frozenset[str], ...] = ()
