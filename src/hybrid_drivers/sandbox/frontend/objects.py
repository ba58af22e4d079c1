"""oned's objects and their XML, byte for byte as a real oned 7.4.0 writes it (recorded documents in the fixtures)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from hybrid_drivers.model import HostState, Template
from hybrid_drivers.sandbox.frontend.attributes import Attributes, cdata
from hybrid_drivers.sandbox.frontend.owned import OwnedObject, ids

_CAPACITY = ("TOTALCPU", "TOTALMEMORY")
_USAGE = ("FREECPU", "FREEMEMORY", "USEDCPU", "USEDMEMORY")
_DISK = {"FREE_DISK": "DS_LOCATION_FREE_MB", "MAX_DISK": "DS_LOCATION_TOTAL_MB", "USED_DISK": "DS_LOCATION_USED_MB"}
_INVENTORY = ("VM", "VM_POLL", "PCI", "CORE", "HUGEPAGE", "MEMORY_NODE", "WILDS", "TOTAL_WILDS")
_MONITORED = {  # OpenNebula HostMonitoringTemplate.cc: name in a MONITOR_HOST message -> group and name in the XML
    "FREECPU": ("CAPACITY", "FREE_CPU"),
    "FREEMEMORY": ("CAPACITY", "FREE_MEMORY"),
    "USEDCPU": ("CAPACITY", "USED_CPU"),
    "USEDMEMORY": ("CAPACITY", "USED_MEMORY"),
    "CPUSPEED": ("SYSTEM", "CPU_SPEED"),
    "NETRX": ("SYSTEM", "NETRX"),
    "NETTX": ("SYSTEM", "NETTX"),
}


@dataclass(kw_only=True)
class HostObject:
    """A host. ``total_*`` is what it last reported, ``disk`` what its datastores hold (MiB)."""

    id: int
    name: str
    im_mad: str
    vm_mad: str
    cluster_id: int
    state: HostState = HostState.INIT
    previous: HostState = HostState.INIT
    template: Attributes = field(default_factory=Attributes)
    total_cpu: int = 0
    total_memory: int = 0
    vms: set[int] = field(default_factory=set)
    disk: dict[str, str] = field(default_factory=lambda: dict.fromkeys(("DISK_USAGE", *_DISK), "0"))
    monitoring: str = "<MONITORING/>"

    def __post_init__(self) -> None:
        for name, value in (("RESERVED_CPU", ""), ("RESERVED_MEM", "")):
            self.template.set(name, value)
        self.write_drivers()

    def write_drivers(self) -> None:
        """Take new driver names from the template, and put them back when an update left them out."""
        self.im_mad = self.template.text("IM_MAD") or self.im_mad
        self.vm_mad = self.template.text("VM_MAD") or self.vm_mad
        self.template.set("IM_MAD", self.im_mad)
        self.template.set("VM_MAD", self.vm_mad)

    def enable(self) -> None:
        """DISABLED with capacity becomes MONITORED at once, everything else starts over at INIT (``Host.cc``)."""
        known = self.state is HostState.DISABLED and self.total_cpu > 0
        self.state = HostState.MONITORED if known else HostState.INIT

    def disable(self) -> None:
        """Take no new work; monitoring goes on."""
        self.state = HostState.DISABLED

    def offline(self) -> None:
        """Forget the capacity; messages are ignored from here on."""
        self.state = HostState.OFFLINE
        self.total_cpu = self.total_memory = 0
        self.template.remove(*_CAPACITY, *_USAGE)

    def fail(self, reason: str) -> None:
        """Note a monitoring error; a disabled host keeps its state."""
        if self.state not in (HostState.OFFLINE, HostState.DISABLED):
            self.state = HostState.ERROR
        now = time.strftime("%a %b %e %H:%M:%S %Y")
        self.template.set("ERROR", f"{now} : Error monitoring Host {self.name} ({self.id}): {reason}")

    def system_information(self, told: Template) -> None:
        """Take in a SYSTEM_HOST message.

        7.4 shows TOTALCPU and TOTALMEMORY in the template (recorded); up to 7.0 they are taken out of it, so that a
        message without them sets the capacity to 0 (``Host::update_info``). Both hold here: shown, and never kept
        from an earlier message.
        """
        self.template.remove("ERROR", *_INVENTORY, *_CAPACITY)
        self.template.merge(told)
        self.total_cpu = self.template.number("TOTALCPU")
        self.total_memory = self.template.number("TOTALMEMORY")
        for shown, reported in _DISK.items():
            if reported in told:
                self.disk[shown] = str(self.template.number(reported))
        self.template.remove(*_DISK.values(), *_INVENTORY)
        if self.state not in (HostState.OFFLINE, HostState.DISABLED):
            self.state = HostState.MONITORED

    def usage(self, told: Template, now: int) -> None:
        """Take in a MONITOR_HOST message; only what oned stores of it remains."""
        groups: dict[str, Attributes] = {"CAPACITY": Attributes(), "SYSTEM": Attributes()}
        numbers = Attributes(told)
        for name, (group, shown) in _MONITORED.items():
            if name in told:
                groups[group].set(shown, str(numbers.number(name)))
        inner = "".join(attributes.xml(group) for group, attributes in groups.items())
        self.monitoring = f"<MONITORING><TIMESTAMP>{now}</TIMESTAMP><ID>{self.id}</ID>{inner}</MONITORING>"

    def xml(self, cluster: str, used: tuple[float, int] = (0, 0), *, monitoring: bool = True) -> str:
        """Return ``<HOST>``; the pool shows it without what was monitored.

        ``used``: cores and MiB that its machines take.
        """
        disk = "".join(f"<{name}>{cdata(self.disk[name])}</{name}>" for name in sorted(self.disk))
        return (
            f"<HOST><ID>{self.id}</ID><NAME>{escape(self.name)}</NAME><STATE>{int(self.state)}</STATE>"
            f"<PREV_STATE>{int(self.previous)}</PREV_STATE><IM_MAD>{cdata(self.im_mad)}</IM_MAD>"
            f"<VM_MAD>{cdata(self.vm_mad)}</VM_MAD><CLUSTER_ID>{self.cluster_id}</CLUSTER_ID>"
            f"<CLUSTER>{escape(cluster)}</CLUSTER><HOST_SHARE><MEM_USAGE>{used[1] * 1024}</MEM_USAGE>"
            f"<CPU_USAGE>{round(used[0] * 100)}</CPU_USAGE>"
            f"<TOTAL_MEM>{self.total_memory}</TOTAL_MEM><TOTAL_CPU>{self.total_cpu}</TOTAL_CPU>"
            f"<MAX_MEM>{self.max_memory}</MAX_MEM><MAX_CPU>{self.max_cpu}</MAX_CPU>"
            f"<RUNNING_VMS>{len(self.vms)}</RUNNING_VMS><VMS_THREAD>1</VMS_THREAD><DATASTORES>{disk}</DATASTORES>"
            f"<PCI_DEVICES></PCI_DEVICES><NUMA_NODES></NUMA_NODES></HOST_SHARE>{ids('VMS', self.vms)}"
            f"{self.template.xml()}"
            f"{self.monitoring if monitoring else '<MONITORING/>'}</HOST>"
        )

    @property
    def max_cpu(self) -> int:
        """Return what machines may have of it, percent of a core."""
        return self._free("RESERVED_CPU", self.total_cpu)

    @property
    def max_memory(self) -> int:
        """Return what machines may have of it, KiB."""
        return self._free("RESERVED_MEM", self.total_memory)

    def _free(self, reserved: str, total: int) -> int:
        text = self.template.text(reserved).strip()
        try:
            return int(total * (1 - int(text[:-1]) / 100)) if text.endswith("%") else total - int(text or 0)
        except ValueError:
            return total


@dataclass(kw_only=True)
class ClusterObject:
    """A cluster: the ids of what is in it."""

    id: int
    name: str
    hosts: set[int] = field(default_factory=set)
    datastores: set[int] = field(default_factory=set)
    vnets: set[int] = field(default_factory=set)
    template: Attributes = field(default_factory=lambda: Attributes([("RESERVED_CPU", ""), ("RESERVED_MEM", "")]))

    def xml(self) -> str:
        """Return ``<CLUSTER>``."""
        members = ids("HOSTS", self.hosts) + ids("DATASTORES", self.datastores) + ids("VNETS", self.vnets)
        return f"<CLUSTER><ID>{self.id}</ID><NAME>{escape(self.name)}</NAME>{members}{self.template.xml()}</CLUSTER>"


@dataclass(kw_only=True)
class DocumentObject(OwnedObject):
    """A document; its encrypted attributes are kept in the clear and shown encrypted."""

    type: int

    def xml(self, shown: Callable[[str, str], str] | None) -> str:
        """Return ``<DOCUMENT>``; ``shown`` encrypts what is not to be shown."""
        return (
            f"<DOCUMENT>{self.head()}<TYPE>{self.type}</TYPE>{self.rights()}{self.template.xml(shown=shown)}</DOCUMENT>"
        )


@dataclass(kw_only=True)
class ZoneObject:
    """The one zone there is."""

    id: int = 0
    name: str = "OpenNebula"
    template: Attributes = field(default_factory=Attributes)

    def xml(self) -> str:
        """Return ``<ZONE>``."""
        return (
            f"<ZONE><ID>{self.id}</ID><NAME>{escape(self.name)}</NAME><STATE>0</STATE>{self.template.xml()}"
            "<SERVER_POOL></SERVER_POOL></ZONE>"
        )
