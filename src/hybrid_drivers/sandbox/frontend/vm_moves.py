"""Where a machine may go: what ``one.vm.deploy`` and ``one.vm.migrate`` refuse, in a real oned's sentences.

Tried on 7.4.0: a host of another cluster without its datastore, and a datastore of another transfer driver. Others are
those of OpenNebula ``VirtualMachineAPI.cc``; capacity is looked at when the caller wants it. Words of ours: a datastore
that is no system datastore, a cluster without one, what exactly is too little.
"""

from __future__ import annotations

from hybrid_drivers.model import HostState
from hybrid_drivers.sandbox.frontend.calls import Code, Context, Refused, no_such
from hybrid_drivers.sandbox.frontend.datastore_objects import SYSTEM, DatastoreObject
from hybrid_drivers.sandbox.frontend.host_calls import get_host
from hybrid_drivers.sandbox.frontend.objects import HostObject
from hybrid_drivers.sandbox.frontend.vm_objects import Lcm, State, VmObject
from hybrid_drivers.sandbox.frontend.vm_resources import ResourceFault, clusters_of


def place_of(context: Context, host_id: int, datastore_id: int) -> tuple[HostObject, DatastoreObject | None]:
    """Return a host and the datastore named with it (-1: None). Raises: Refused."""
    host = get_host(context, host_id)
    if host.state is HostState.OFFLINE:
        raise _refused("Host is offline, cannot use it to deploy VM")
    if datastore_id == -1:
        return host, None
    datastore = context.store.datastores.get(datastore_id)
    if datastore is None:
        raise no_such("datastore", datastore_id)
    if datastore.type != SYSTEM:
        raise Refused(Code.INTERNAL, f"datastore [{datastore_id}] is not a system datastore.")
    return host, datastore


def check_deploy(
    context: Context, vm: VmObject, host: HostObject, datastore: DatastoreObject | None
) -> DatastoreObject:
    """Return the datastore a machine that waits is started with. Raises: Refused."""
    found = datastore or _default(context, host.cluster_id)
    if host.cluster_id not in found.clusters:
        raise _refused(f"datastore [{found.id}] and host [{host.id}] are not in the same cluster [{host.cluster_id}].")
    if vm.state not in (State.PENDING, State.HOLD):
        raise _refused(f"Deploy action is not available for state {vm.word}")
    return found


def check_move(
    context: Context, vm: VmObject, host: HostObject, datastore: DatastoreObject | None, *, live: bool
) -> DatastoreObject:
    """Return the system datastore a machine is moved to. Raises: Refused."""
    runs = vm.state is State.ACTIVE and vm.lcm_state is Lcm.RUNNING
    if not runs and vm.state is not State.POWEROFF:
        raise _refused(f"Migrate action is not available for state {vm.word}")
    here = vm.history[-1]
    if here.host_id == host.id and (datastore is None or datastore.id == here.datastore_id):
        raise _refused(f"VM is already running on host [{here.host_id}] and datastore [{here.datastore_id}]")
    _check_resources(context, vm, host)
    target = datastore or context.store.datastores[here.datastore_id]
    if target.id != here.datastore_id:
        _check_datastore(target, here.tm_mad, live=live)
    if target.clusters and host.cluster_id not in target.clusters:
        raise _refused(
            f"Cannot migrate VM [{vm.id}] to host [{host.id}] and system datastore [{target.id}]. Host is in cluster "
            f"[{host.cluster_id}], and the datastore is in cluster [{_joined(target.clusters)}]"
        )
    return target


def check_capacity(context: Context, vm: VmObject, host: HostObject) -> None:
    """Refuse a machine that a host has no room for. Raises: Refused."""
    cpu, memory = context.store.used(host)
    wanted_cpu, wanted_memory = float(vm.template.text("CPU", "0")), vm.template.number("MEMORY")
    if cpu * 100 + wanted_cpu * 100 > host.max_cpu or (memory + wanted_memory) * 1024 > host.max_memory:
        what = f"Not enough capacity: CPU {wanted_cpu:g}, MEMORY {wanted_memory}"
        raise _refused(f"virtual machine [{vm.id}] does not fit in host [{host.id}]. {what}")


def _check_resources(context: Context, vm: VmObject, host: HostObject) -> None:
    """Images and networks bind a machine to their clusters."""
    try:
        wanted = clusters_of(context.store, vm)
    except ResourceFault as exc:
        raise _refused(str(exc)) from exc
    if wanted and host.cluster_id not in wanted:
        raise _refused(
            f"Cannot migrate  VM [{vm.id}] to host [{host.id}]. Host is in cluster [{host.cluster_id}], and VM "
            f"requires to be placed on cluster [{_joined(wanted)}]"
        )


def _check_datastore(target: DatastoreObject, tm_mad: str, *, live: bool) -> None:
    if live:
        raise _refused("A migration to a different system datastore cannot be performed live.")
    if target.template.text("DS_MIGRATE") == "NO":
        raise _refused("System datastore migration not supported by driver")
    if target.tm_mad != tm_mad:
        raise _refused("Cannot migrate to a system datastore with a different driver")


def _default(context: Context, cluster_id: int) -> DatastoreObject:
    datastores = context.store.datastores
    found = [one for one in context.store.clusters[cluster_id].datastores if datastores[one].type == SYSTEM]
    if not found:
        raise _refused(f"cluster [{cluster_id}] has no system datastore.")
    return datastores[min(found)]


def _joined(clusters: set[int]) -> str:
    return ",".join(str(one) for one in sorted(clusters))


def _refused(sentence: str) -> Refused:
    return Refused(Code.ACTION, sentence)
