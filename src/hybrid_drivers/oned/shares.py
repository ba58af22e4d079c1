"""Reading what a host has beyond processors and memory (HOST_SHARE), and VM groups.

Hosts: a recorded pool (7.4), ``HostSharePCI.cc``, ``HostShareNUMA.cc``. VM groups are not recorded: ``VMGroup.cc``,
``VMGroupRole.cc``. Only whoever plans with it reads this: in a pool of 1,000 hosts there may be 100,000
cores.
"""

from __future__ import annotations

from hybrid_drivers.errors import OnedError
from hybrid_drivers.model import Host
from hybrid_drivers.model_shares import HostShare, HugePages, NumaCore, NumaNode, PciDevice, VmGroup, VmRole
from hybrid_drivers.oned.fields import Node, filled, whole
from hybrid_drivers.oned.xml import parse, read_host

_NO_IDS: tuple[int, ...] = ()
_RESERVED = -2  # in CPUS of a core: "0:-2,16:-1,32:7": reserved, free, of machine 7


def parse_hosts_and_shares(data: str, what: str) -> tuple[list[Host], dict[int, HostShare]]:
    """Read ``<HOST_POOL>`` and, by the host's id, what is shared of each. Raises: OnedError."""
    nodes = parse(data, "HOST_POOL", what, OnedError).nodes("HOST")
    hosts = [read_host(one) for one in nodes]
    return hosts, {host.id: read_share(one) for host, one in zip(hosts, nodes, strict=True)}


def read_share(host: Node) -> HostShare:
    """Read HOST_SHARE of a ``<HOST>``. Raises: OnedError."""
    return HostShare(
        devices=tuple(map(_device, host.nodes("HOST_SHARE/PCI_DEVICES/PCI"))),
        nodes=tuple(map(_node, host.nodes("HOST_SHARE/NUMA_NODES/NODE"))),
    )


def _device(node: Node) -> PciDevice:
    return PciDevice(
        address=node.get("ADDRESS", str, ""),
        short_address=node.get("SHORT_ADDRESS", str, ""),
        vendor=node.get("VENDOR", str, ""),
        device=node.get("DEVICE", str, ""),
        class_=node.get("CLASS", str, ""),
        vm_id=node.get("VMID", whole, -1),
    )


def _node(node: Node) -> NumaNode:
    return NumaNode(
        id=node.need("NODE_ID", whole),
        cores=tuple(sorted(map(_core, node.nodes("CORE")), key=lambda one: one.id)),
        memory=node.get("MEMORY/TOTAL", whole, 0),
        used_memory=node.get("MEMORY/USAGE", whole, 0),
        pages=tuple(map(_pages, node.nodes("HUGEPAGE"))),
        distance=node.get("MEMORY/DISTANCE", _ids, ()),
    )


def _core(node: Node) -> NumaCore:
    cpus: dict[str, set[int]] = {}
    for one in node.get("CPUS", str, "").split(","):
        cpu, _, holder = one.partition(":")
        if cpu.strip():
            cpus.setdefault(cpu.strip(), set()).add(whole(holder) if holder.strip() else -1)
    dedicated = node.get("DEDICATED", str, "").upper() in ("YES", "TRUE", "1")
    return NumaCore(
        id=node.need("ID", whole),
        cpus=len(cpus),
        reserved=sum(_RESERVED in holders for holders in cpus.values()),
        free=node.get("FREE", whole, 0),
        used=dedicated or any(holder >= 0 for holders in cpus.values() for holder in holders),
    )


def _pages(node: Node) -> HugePages:
    return HugePages(size=node.need("SIZE", whole), pages=node.get("PAGES", whole, 0), used=node.get("USAGE", whole, 0))


def _ids(text: str) -> tuple[int, ...]:
    return tuple(whole(one) for one in text.replace(",", " ").split())


def parse_vm_groups(data: str, what: str) -> list[VmGroup]:
    """Read ``<VM_GROUP_POOL>``. Raises: OnedError."""
    return [_vm_group(one) for one in parse(data, "VM_GROUP_POOL", what, OnedError).nodes("VM_GROUP")]


def _vm_group(node: Node) -> VmGroup:
    roles = [_role(one) for one in node.nodes("ROLES/ROLE")]
    return VmGroup(
        id=node.need("ID", whole),
        name=node.need("NAME", filled),
        roles={one.name: one for one in roles},
        affined=tuple(_names(one.text) for one in node.nodes("TEMPLATE/AFFINED")),
        anti_affined=tuple(_names(one.text) for one in node.nodes("TEMPLATE/ANTI_AFFINED")),
    )


def _role(node: Node) -> VmRole:
    return VmRole(
        name=node.need("NAME", filled),
        policy=node.get("POLICY", str, "").upper(),
        vm_ids=frozenset(node.get("VMS", _ids, _NO_IDS)),
        host_ids=frozenset(node.get("HOST_AFFINED", _ids, _NO_IDS)),
        not_host_ids=frozenset(node.get("HOST_ANTI_AFFINED", _ids, _NO_IDS)),
    )


def _names(text: str) -> frozenset[str]:
    return frozenset(one.strip() for one in text.split(",") if one.strip())
