"""The calls of hosts and clusters."""

from __future__ import annotations

from collections.abc import Iterable

from hybrid_drivers.sandbox.frontend.calls import Code, Context, Method, Refused, change_template, no_such
from hybrid_drivers.sandbox.frontend.objects import ClusterObject, HostObject
from hybrid_drivers.sandbox.frontend.store import name_fault

_ENABLE, _DISABLE, _OFFLINE = 0, 1, 2
_FIRST_OWN_CLUSTER = 100


def _host(context: Context, host_id: int) -> HostObject:
    host = context.store.hosts.get(host_id)
    if host is None:
        raise no_such("host", host_id)
    return host


def _cluster(context: Context, cluster_id: int) -> ClusterObject:
    cluster = context.store.clusters.get(cluster_id)
    if cluster is None:
        raise no_such("cluster", cluster_id)
    return cluster


def _holder(pool: Iterable[HostObject | ClusterObject], name: str) -> int | None:
    return next((one.id for one in pool if one.name == name), None)


def host_allocate(context: Context, name: str, im_mad: str, vm_mad: str, cluster_id: int = -1) -> int:
    """one.host.allocate: cluster -1 is the default one; monitoring starts at once."""
    cluster = _cluster(context, 0 if cluster_id == -1 else cluster_id)
    fault = name_fault(name)
    if not fault and not im_mad:
        fault = "IM_MAD_NAME cannot be empty."
    if not fault and not vm_mad:
        fault = "VMM_MAD_NAME cannot be empty."
    if not fault and (taken := _holder(context.store.hosts.values(), name)) is not None:
        fault = f"NAME is already taken by HOST {taken}."
    if fault:
        raise Refused(Code.ALLOCATE, f"Error allocating a new host. {fault}")
    host = context.store.add_host(name, im_mad, vm_mad, cluster.id)
    context.monitor.update_host(host)
    return host.id


def host_delete(context: Context, host_id: int) -> int:
    """one.host.delete: first the object goes, then monitoring is stopped."""
    if _host(context, host_id).running_vms:
        raise Refused(Code.ACTION, "Cannot delete host. Can not remove a host with running VMs")
    context.monitor.delete_host(context.store.remove_host(host_id))
    return host_id


def host_info(context: Context, host_id: int, _decrypt: bool = False) -> str:
    """one.host.info: on 7.x nothing of a host is encrypted by default."""
    return context.store.host_xml(_host(context, host_id))


def host_update(context: Context, host_id: int, text: str, how: int = 0) -> int:
    """one.host.update."""
    host = _host(context, host_id)
    host.template = change_template(host.template, text, how)
    host.write_drivers()
    context.monitor.update_host(host)
    return host_id


def host_rename(context: Context, host_id: int, name: str) -> int:
    """one.host.rename."""
    host = _host(context, host_id)
    _rename(host, name, "host", context.store.hosts.values())
    context.monitor.update_host(host)
    return host_id


def host_status(context: Context, host_id: int, status: int) -> int:
    """one.host.status: 0 enable, 1 disable, 2 offline."""
    host = _host(context, host_id)
    if status == _ENABLE:
        host.enable()
    elif status == _DISABLE:
        host.disable()
    elif status == _OFFLINE:
        host.offline()
    else:
        raise Refused(Code.INTERNAL, "Wrong status code")
    context.monitor.update_host(host)
    return host_id


def hostpool_info(context: Context) -> str:
    """one.hostpool.info: the newest first, without what was monitored."""
    store = context.store
    hosts = "".join(store.host_xml(store.hosts[one], monitoring=False) for one in sorted(store.hosts, reverse=True))
    return f"<HOST_POOL>{hosts}</HOST_POOL>"


def _rename(one: HostObject | ClusterObject, name: str, kind: str, pool: Iterable[HostObject | ClusterObject]) -> None:
    if one.name == name:
        return
    if (taken := _holder(pool, name)) is not None:
        raise Refused(Code.ACTION, f"{kind} cannot be renamed to {name} because it collides with {kind} {taken}")
    if fault := name_fault(name):
        raise Refused(Code.ACTION, fault)
    one.name = name


def cluster_allocate(context: Context, name: str) -> int:
    """one.cluster.allocate."""
    fault = name_fault(name)
    if not fault and (taken := _holder(context.store.clusters.values(), name)) is not None:
        fault = f"NAME is already taken by CLUSTER {taken}."
    if fault:
        raise Refused(Code.ALLOCATE, f"Error allocating a new cluster. {fault}")
    return context.store.add_cluster(name).id


def cluster_delete(context: Context, cluster_id: int) -> int:
    """one.cluster.delete: only empty ones, and never those oned made itself."""
    cluster = _cluster(context, cluster_id)
    if cluster_id < _FIRST_OWN_CLUSTER:
        raise Refused(Code.ACTION, "Cannot delete cluster. System clusters (ID < 100) cannot be deleted.")
    for ids, what in ((cluster.hosts, "hosts"), (cluster.datastores, "datastores"), (cluster.vnets, "vnets")):
        if ids:
            raise Refused(
                Code.ACTION,
                f"Cannot delete cluster. Cluster {cluster_id} is not empty, it contains {len(ids)} {what}.",
            )
    del context.store.clusters[cluster_id]
    return cluster_id


def cluster_info(context: Context, cluster_id: int, _decrypt: bool = False) -> str:
    """one.cluster.info."""
    return _cluster(context, cluster_id).xml()


def cluster_update(context: Context, cluster_id: int, text: str, how: int = 0) -> int:
    """one.cluster.update."""
    cluster = _cluster(context, cluster_id)
    cluster.template = change_template(cluster.template, text, how)
    return cluster_id


def cluster_rename(context: Context, cluster_id: int, name: str) -> int:
    """one.cluster.rename."""
    _rename(_cluster(context, cluster_id), name, "cluster", context.store.clusters.values())
    return cluster_id


def cluster_add_host(context: Context, cluster_id: int, host_id: int) -> int:
    """one.cluster.addhost: the host leaves its old cluster."""
    cluster, host = _cluster(context, cluster_id), _host(context, host_id)
    if host.cluster_id != cluster.id:
        context.store.move_host(host, cluster.id)
        context.monitor.update_host(host)
    return cluster_id


def cluster_del_host(context: Context, cluster_id: int, host_id: int) -> int:
    """one.cluster.delhost: the host goes to the default cluster."""
    cluster, host = _cluster(context, cluster_id), _host(context, host_id)
    if host.cluster_id == cluster.id and cluster.id != 0:
        context.store.move_host(host, 0)
        context.monitor.update_host(host)
    return cluster_id


def clusterpool_info(context: Context) -> str:
    """one.clusterpool.info: the newest first."""
    clusters = context.store.clusters
    return f"<CLUSTER_POOL>{''.join(clusters[one].xml() for one in sorted(clusters, reverse=True))}</CLUSTER_POOL>"


METHODS = {
    "one.host.allocate": Method(host_allocate, "sss|i", writes=True),
    "one.host.delete": Method(host_delete, "i", writes=True),
    "one.host.info": Method(host_info, "i|b"),
    "one.host.update": Method(host_update, "is|i", writes=True),
    "one.host.rename": Method(host_rename, "is", writes=True),
    "one.host.status": Method(host_status, "ii", writes=True),
    "one.hostpool.info": Method(hostpool_info),
    "one.cluster.allocate": Method(cluster_allocate, "s", writes=True),
    "one.cluster.delete": Method(cluster_delete, "i", writes=True),
    "one.cluster.info": Method(cluster_info, "i|b"),
    "one.cluster.update": Method(cluster_update, "is|i", writes=True),
    "one.cluster.rename": Method(cluster_rename, "is", writes=True),
    "one.cluster.addhost": Method(cluster_add_host, "ii", writes=True),
    "one.cluster.delhost": Method(cluster_del_host, "ii", writes=True),
    "one.clusterpool.info": Method(clusterpool_info),
}
