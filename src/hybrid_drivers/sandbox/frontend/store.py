"""What the stand-in remembers: the pools. Two stand-ins given the same store are two servers of one cloud."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from hybrid_drivers.model import Value
from hybrid_drivers.sandbox.frontend.attributes import Attributes
from hybrid_drivers.sandbox.frontend.cipher import Cipher
from hybrid_drivers.sandbox.frontend.datastore_objects import DatastoreObject
from hybrid_drivers.sandbox.frontend.hem import HookExecution
from hybrid_drivers.sandbox.frontend.hook_objects import HookObject
from hybrid_drivers.sandbox.frontend.image_objects import ImageObject
from hybrid_drivers.sandbox.frontend.ipam import OneIpam
from hybrid_drivers.sandbox.frontend.market_objects import AppObject
from hybrid_drivers.sandbox.frontend.objects import ClusterObject, DocumentObject, HostObject, ZoneObject
from hybrid_drivers.sandbox.frontend.oned_conf import OnedConf
from hybrid_drivers.sandbox.frontend.owned import TemplateObject
from hybrid_drivers.sandbox.frontend.pool import Agenda, Pool
from hybrid_drivers.sandbox.frontend.vm_objects import VmObject
from hybrid_drivers.sandbox.frontend.vmgroup_objects import VmGroupObject
from hybrid_drivers.sandbox.frontend.vnet_objects import VnetObject

FORBIDDEN_IN_NAMES = "&|:\\\";/'#{}$<>"
LONGEST_NAME = 128


@dataclass
class Turn:
    """Something that one thread does at a time."""

    busy: bool = False


@dataclass
class Store:
    """All objects, and the one lock that guards them and everything that follows from their changes.

    ``vms`` is for tests: state and whole ``<VM>`` document of machines that are only to be listed. ``users`` and
    ``groups`` are names by id; all calls are oneadmin's. ``ipam`` are the address drivers of the front-end that runs,
    ``hem`` runs its hooks; ``births``: a machine is being made.
    """

    hosts: dict[int, HostObject] = field(default_factory=dict)
    clusters: dict[int, ClusterObject] = field(default_factory=dict)
    documents: Pool[DocumentObject] = field(default_factory=Pool)
    datastores: Pool[DatastoreObject] = field(default_factory=Pool)
    vnets: Pool[VnetObject] = field(default_factory=Pool)
    images: Pool[ImageObject] = field(default_factory=Pool)
    templates: Pool[TemplateObject] = field(default_factory=Pool)
    vntemplates: Pool[TemplateObject] = field(default_factory=Pool)
    apps: Pool[AppObject] = field(default_factory=Pool)
    machines: Pool[VmObject] = field(default_factory=Pool)
    hooks: Pool[HookObject] = field(default_factory=Pool)
    vm_groups: Pool[VmGroupObject] = field(default_factory=Pool)
    zone: ZoneObject = field(default_factory=ZoneObject)
    vms: list[tuple[int, str]] = field(default_factory=list)
    users: dict[int, str] = field(default_factory=lambda: {0: "oneadmin", 1: "serveradmin"})
    groups: dict[int, str] = field(default_factory=lambda: {0: "oneadmin", 1: "users"})
    agenda: Agenda = field(default_factory=Agenda)
    lock: threading.RLock = field(default_factory=threading.RLock)
    cipher: Cipher = field(default_factory=Cipher)
    ipam: OneIpam | None = None
    hem: HookExecution | None = None
    births: Turn = field(default_factory=Turn)

    def __post_init__(self) -> None:
        self._host_ids = itertools.count()
        self._cluster_ids = itertools.count(100)  # 0 is the default one, the first made by a person 100
        self.zone.template.add([("ENDPOINT", "http://localhost:2633/RPC2"), ("ENDPOINT_GRPC", "localhost:2634")])
        self.clusters.setdefault(0, ClusterObject(id=0, name="default"))
        self._bootstrap()

    def _bootstrap(self) -> None:
        """Make the datastores every oned has from its first start on (``DatastorePool.cc``; ``local`` since 7.0)."""
        conf = OnedConf.stock()
        for name, kind in (("system", "SYSTEM_DS"), ("default", "IMAGE_DS"), ("files", "FILE_DS")):
            driver = {} if kind == "SYSTEM_DS" else {"DS_MAD": "fs"}
            made = self.datastores.put(DatastoreObject(id=-1, name=name, clusters={0}))
            told = Attributes([("TYPE", kind), ("TM_MAD", "local"), *driver.items()])
            made.template = made.take(told, conf)
            self.clusters[0].datastores.add(made.id)
        self.datastores.skip_to(100)

    def add_host(self, name: str, im_mad: str, vm_mad: str, cluster_id: int) -> HostObject:
        """Make a host; the caller has checked names and drivers."""
        host = HostObject(id=next(self._host_ids), name=name, im_mad=im_mad, vm_mad=vm_mad, cluster_id=cluster_id)
        self.hosts[host.id] = host
        self.clusters[cluster_id].hosts.add(host.id)
        return host

    def remove_host(self, host_id: int) -> HostObject:
        """Forget a host everywhere and return it."""
        host = self.hosts.pop(host_id)
        self.clusters[host.cluster_id].hosts.discard(host_id)
        return host

    def move_host(self, host: HostObject, cluster_id: int) -> None:
        """Put a host into another cluster."""
        self.clusters[host.cluster_id].hosts.discard(host.id)
        host.cluster_id = cluster_id
        self.clusters[cluster_id].hosts.add(host.id)

    def add_cluster(self, name: str) -> ClusterObject:
        """Make an empty cluster."""
        cluster = ClusterObject(id=next(self._cluster_ids), name=name)
        self.clusters[cluster.id] = cluster
        return cluster

    def add_app(
        self, name: str, kind: str = "IMAGE", size: int = 100, attributes: Mapping[str, Value] | None = None
    ) -> AppObject:
        """Put an app into the marketplace: IMAGE, VMTEMPLATE (with one or more DISK) or SERVICE_TEMPLATE; MiB."""
        return self.apps.put(AppObject.of(name, kind, size, attributes or {}))

    def vm_changed(self, vm: VmObject) -> None:
        """Tell of a machine that has come into another state."""
        if self.hem is not None:
            self.hem.vm_changed(vm)

    def host_xml(self, host: HostObject, *, monitoring: bool = True) -> str:
        """Return a host's document with its cluster's name."""
        return host.xml(self.clusters[host.cluster_id].name, self.used(host), monitoring=monitoring)

    def used(self, host: HostObject) -> tuple[float, int]:
        """Return what the machines on a host take of it, those that are off included: cores, MiB."""
        on = [self.machines[one].template for one in host.vms if one in self.machines]
        return sum(float(one.text("CPU", "0")) for one in on), sum(one.number("MEMORY") for one in on)


def name_fault(name: str) -> str:
    """Say what is wrong with an object's name in oned's words; empty when nothing is (``PoolObjectSQL.cc``)."""
    if not name:
        return "Invalid NAME, it cannot be empty"
    if bad := next((char for char in name if char in FORBIDDEN_IN_NAMES), ""):
        return f"Invalid NAME, char '{bad}' is not allowed"
    if len(name.encode()) > LONGEST_NAME:
        return "Invalid NAME, max length is 128 chars"
    return ""
