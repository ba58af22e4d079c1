"""From oned's objects to what a decision about growing rests on: hosts by stage, VMs by where they could run. Pure.

Why a VM waits is in its SCHED_MESSAGE: ``[HOST] ...`` (7.x, recorded; ``SchedulerFailure.cc``), or the sentences of
``SchedulerManagerDriver.cc`` and 6.x's ``Scheduler.cc``. An empty one is a VM the scheduler has said nothing about yet:
it counts, for it must also wait for GROW_AFTER and fit nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from hybrid_drivers.agent.growth import stock
from hybrid_drivers.agent.growth.affinity import applied
from hybrid_drivers.agent.growth.model import NOTHING, HostView, Stage, Waiting
from hybrid_drivers.agent.growth.packing import SPOT_SUFFIX, Offer, Size
from hybrid_drivers.agent.growth.wants import untold, wants_of
from hybrid_drivers.agent.record import ASLEEP, GROWN, IM_MAD, HostRecord, number
from hybrid_drivers.agent.record import read as read_record
from hybrid_drivers.agent.spot import SPOT, interruption_of, is_over, is_spared, is_spot
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Cluster, Host, HostState, OnedObject, Template, Value, Vm
from hybrid_drivers.model_shares import HostShare, VmGroup
from hybrid_drivers.model_vms import VmDetail
from hybrid_drivers.oned import requirements
from hybrid_drivers.oned.requirements import HostFacts, Requirement

SYSTEM_DATASTORE: Final = 1  # ``Datastore.h``
KIB: Final = 1024
NEVER_READY: Final = 7200.0  # seconds after which room that has not come is not counted on any more
NEVER_BEGUN: Final = 600.0  # seconds a host may wait for a valid PROVISION, until it counts as failed
LATE_CAPACITY: Final = 600.0  # seconds after READY in which the probes must have told the capacity
_NO_ID: Final = 2**31 - 1  # of a host not made yet: it will have one, and none that anybody can have written down
_NO_NAME: Final = ""  # as long as its address is not known, which becomes its name
_TAKES_VMS: Final = (HostState.MONITORED, HostState.MONITORING_MONITORED)
DISABLED: Final = (HostState.DISABLED, HostState.MONITORING_DISABLED)
_OF_ONE_HOST: Final = (  # what people or we tell of one host, and another of its plan does not have by itself
    *(GROWN, ASLEEP, SPOT, "PROTECTED", "ERROR", "HOSTNAME"),
    *("PIN_POLICY", "ISOLCPUS", "VMS_THREAD"),
)
_WANTS_A_HOST: Final = ("[HOST]", "No hosts enabled", "No host meets", "No host with enough capacity")


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """What oned has, as of one pass; ``now`` in unix seconds."""

    now: float
    hosts: Sequence[Host]
    clusters: Mapping[int, Cluster]
    datastores: Sequence[OnedObject]
    vms: Sequence[Vm]  # those that wait
    placed: Sequence[VmDetail] | None = None  # all, when a cluster consolidates
    shares: Mapping[int, HostShare] = field(default_factory=dict)  # of hosts; read when any VM wants such things
    vm_groups: Sequence[VmGroup] | None = None  # read when any VM is of one
    groups_problem: str = ""  # why they could not be read
    _facts: dict[int, HostFacts] = field(default_factory=dict)
    _read: dict[str, Requirement] = field(default_factory=dict)
    _siblings: dict[str, Host | None] = field(default_factory=dict)

    def facts(self, host: Host) -> HostFacts:
        """Return what requirements see of a host."""
        if host.id not in self._facts:
            sibling = self.sibling(host.template.vector(GROWN).get("PLAN", ""))
            self._facts[host.id] = facts_of(host, self.clusters.get(host.cluster_id), sibling)
        return self._facts[host.id]

    def sibling(self, plan: str) -> Host | None:
        """Return a host of that plan which has told what it is, None when there is none."""
        if not self._siblings:
            told = [one for one in self.hosts if one.max_cpu and one.template.vector(GROWN)]
            self._siblings.update({one.template.vector(GROWN).get("PLAN", ""): one for one in told})
            self._siblings.setdefault("", None)
        return self._siblings.get(plan) if plan else None

    def requirement(self, text: str) -> Requirement:
        """Read an expression, each once. Raises: ConfigError."""
        if text not in self._read:
            self._read[text] = requirements.parse(text)
        return self._read[text]


# --- hosts ------------------------------------------------------------------------------------------------------------


def view_host(host: Host, cluster_id: int, now: float, share: HostShare | None = None) -> HostView:
    """Return how far a host is, and what room (and, of its ``share``, what else) it has or will have."""
    record = read_record(host)
    grown = host.template.vector(GROWN)
    ours = host.im_mad == IM_MAD
    stage = stage_of(record, now) if ours else _stage_of_other(host)
    return HostView(
        id=host.id,
        name=record.friendly_name,
        stage=stage,
        plan=_offered_as(host, grown),
        room=_room(host, stage, grown),
        stock=stock.read(grown) if stage is Stage.COMING else stock.free_of(share),
        vms=max(host.running_vms, len(host.vm_ids)),
        member=ours and host.cluster_id == cluster_id,
        made=ours and grown.get("CLUSTER_ID") == str(cluster_id) and host.cluster_id == cluster_id,
        protected=host.template.text("PROTECTED").lower() in ("yes", "true"),
        spot=is_spot(host.template),
        price=record.price,
        ordered_at=number(grown.get("ORDERED_AT", "")) or record.since or record.ready_at,
        ready_at=record.ready_at if record.ready else 0.0,
        problem=host.template.text("PROVISION_ERROR"),
        spared=is_spared(record, now),
    )


def _offered_as(host: Host, grown: Mapping[str, str]) -> str:
    plan = grown.get("PLAN", "")
    return plan + SPOT_SUFFIX if plan and is_spot(host.template) else plan


def stage_of(record: HostRecord, now: float) -> Stage:
    """Return the stage of a rented host."""
    host = record.host
    ordered = number(host.template.vector(GROWN).get("ORDERED_AT", "")) or now
    if not record.ready:
        if record.failure is not None:
            return Stage.FAILED
        if host.state in DISABLED:
            return Stage.DISABLED
        if host.template.text("PROVISION_SOLD_OUT") and not record.deploy_id:
            return Stage.SOLD_OUT
        if not record.deploy_id and record.intent is None and now - ordered > NEVER_BEGUN:
            return Stage.FAILED
        return Stage.COMING if now - ordered <= NEVER_READY else Stage.OTHER
    if record.failure is not None:
        return Stage.LOST
    known = interruption_of(record)
    if known is not None and not is_over(known, now):
        return Stage.LEAVING
    if host.state in DISABLED:
        return Stage.DISABLED
    if host.state in _TAKES_VMS and host.max_cpu > 0:
        return Stage.USABLE
    if host.state is HostState.OFFLINE:
        return Stage.OTHER  # by people
    return Stage.COMING if now - record.ready_at <= LATE_CAPACITY else Stage.SILENT


def _stage_of_other(host: Host) -> Stage:
    if host.state in DISABLED:
        return Stage.DISABLED
    return Stage.USABLE if host.state in _TAKES_VMS and host.max_cpu > 0 else Stage.OTHER


def _room(host: Host, stage: Stage, grown: Mapping[str, str]) -> Size:
    if stage is Stage.COMING:
        return Size(int(number(grown.get("CPU", "")) or 0), int(number(grown.get("MEMORY", "")) or 0))
    if stage in (Stage.USABLE, Stage.DISABLED):
        return Size(host.max_cpu - host.used_cpu, host.max_memory - host.used_memory)
    return NOTHING


# --- what requirements see --------------------------------------------------------------------------------------------


def facts_of(host: Host, cluster: Cluster | None, sibling: Host | None) -> HostFacts:
    """Return what requirements see of a host; of one on its way, what they will see, as of one not made yet."""
    grown = host.template.vector(GROWN)
    coming = not host.max_cpu
    whole = _room(host, Stage.COMING, grown) if coming else Size(host.max_cpu, host.max_memory)
    plain = {
        "ID": host.id,
        "NAME": _NO_NAME if coming and grown else host.name,
        "STATE": int(host.state),
        "IM_MAD": host.im_mad,
        **_plain(host.cluster_id, cluster, host.vm_mad, whole, Size(host.used_cpu, host.used_memory)),
        "RUNNING_VMS": host.running_vms,
    }
    if told := host.template.text("HYPERVISOR"):
        plain["HYPERVISOR"] = told
    own = [*host.template, *(_lasting_of(sibling) if coming and sibling else ())]
    seen = requirements.facts(Template(own), cluster.template if cluster else None, **plain)
    return HostFacts(values=seen.values, vm_ids=frozenset(host.vm_ids))


def facts_to_be(cluster: Cluster, offer: Offer, sibling: Host | None, vm_mad: str) -> HostFacts:
    """Return what requirements will see of a new host; what probes tell is taken from a ``sibling`` of its plan."""
    plain = {
        "ID": _NO_ID,
        "NAME": _NO_NAME,
        "IM_MAD": IM_MAD,
        **_plain(cluster.id, cluster, vm_mad, offer.size, NOTHING),
        "RUNNING_VMS": 0,
        "PROVISION/PLAN": offer.rents,
        **({SPOT: "YES"} if offer.spot else {}),
    }
    return requirements.facts(Template(_lasting_of(sibling) if sibling else ()), cluster.template, **plain)


def _plain(cluster_id: int, cluster: Cluster | None, vm_mad: str, whole: Size, used: Size) -> dict[str, object]:
    """Return elements of a host; probes tell the driver's name as HYPERVISOR (``im_mad/remotes``: kvm, qemu, lxc)."""
    return {
        "CLUSTER_ID": cluster_id,
        "CLUSTER": cluster.name if cluster else "",
        "VM_MAD": vm_mad,
        "HYPERVISOR": vm_mad,
        "MAX_CPU": whole.cpu,
        "MAX_MEM": whole.memory,
        "CPU_USAGE": used.cpu,
        "MEM_USAGE": used.memory,
        "FREE_CPU": whole.cpu - used.cpu,
        "FREE_MEMORY": whole.memory - used.memory,
    }


def _lasting_of(sibling: Host) -> list[tuple[str, Value]]:
    """Return what another host of the same plan will tell too."""
    return [(name, value) for name, value in sibling.template if _lasting(name)]


def _lasting(name: str) -> bool:
    return not name.startswith(("PROVISION", "RESERVED_")) and name not in _OF_ONE_HOST


# --- waiting VMs ------------------------------------------------------------------------------------------------------


def waiting(cloud: Cloud, cluster: Cluster, offers: Sequence[Offer], vm_mad: str) -> tuple[Waiting, ...]:
    """Return the VMs that wait, and for each where it could run as far as requirements and VM groups say."""
    to_be = {one.plan: facts_to_be(cluster, one, cloud.sibling(one.rents), vm_mad) for one in offers}
    placed: dict[str, tuple[frozenset[str], frozenset[int]]] = {}
    found = []
    for vm in cloud.vms:
        text = requirements.joined(
            vm.template.text("AUTOMATIC_REQUIREMENTS"), vm.user_template.text("SCHED_REQUIREMENTS")
        )
        wants, impossible = wants_of(vm)
        refused = why_no_host_helps(vm)
        blocked = refused or impossible
        problem = blocked or _datastore_problem(cloud, cluster, vm)
        try:
            if text not in placed:
                wanted = cloud.requirement(text)
                hosts = frozenset(host.id for host in cloud.hosts if wanted.met_by(cloud.facts(host)))
                placed[text] = (frozenset(plan for plan, facts in to_be.items() if wanted.met_by(facts)), hosts)
            plans, there = placed[text]
        except ConfigError as exc:
            plans, there, problem = frozenset(), frozenset(), str(exc)
        if not plans and not problem:
            nothing = "there is no plan that can be ordered"
            problem = "no host of this cluster would meet its requirements" if offers else nothing
        if wants and not problem:
            problem = untold(wants, [one for one in offers if one.plan in plans])
        found.append(
            Waiting(
                id=vm.id,
                size=Size(round(vm.cpu * 100), vm.memory * KIB),
                since=float(vm.started),
                plans=plans,
                hosts=frozenset() if blocked else there,  # an idle host must not be kept for it
                problem=problem,
                refused=bool(refused),
                wants=wants,
            )
        )
    if cloud.vm_groups is None:
        return tuple(found)
    return applied(found, cloud.vms, cloud.vm_groups, cloud.hosts, problem=cloud.groups_problem)


def why_no_host_helps(vm: Vm) -> str:
    """Say why a new host would not help a VM that waits, nothing when it would."""
    message = vm.sched_message
    if message and not any(part in message for part in _WANTS_A_HOST):
        return f"it does not wait for a host: {message}"
    return ""


def _datastore_problem(cloud: Cloud, cluster: Cluster, vm: Vm) -> str:
    """Say that the cluster has no system datastore for a VM (``SchedulerManagerDriver.cc``, match_system_ds)."""
    text = requirements.joined(
        vm.template.text("AUTOMATIC_DS_REQUIREMENTS"), vm.user_template.text("SCHED_DS_REQUIREMENTS")
    )
    own = [one for one in cloud.datastores if one.id in cluster.datastore_ids and one.type == SYSTEM_DATASTORE]
    if not own:
        return "the cluster has no system datastore"
    try:
        wanted = cloud.requirement(text)
    except ConfigError as exc:
        return str(exc)
    if any(wanted.met_by(_datastore_facts(one)) for one in own):
        return ""
    return "no system datastore of the cluster meets its requirements"


def _datastore_facts(one: OnedObject) -> HostFacts:
    seen = requirements.facts(one.template, ID=one.id, NAME=one.name, TM_MAD=one.tm_mad, FREE_MB=one.free)
    return HostFacts(values={**seen.values, "CLUSTERS/ID": [str(cluster) for cluster in one.cluster_ids]})
