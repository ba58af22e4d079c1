"""The calls of hosts."""

from __future__ import annotations

from collections.abc import Iterable

from hybrid_drivers.sandbox.frontend.calls import Code, Context, Method, Refused, change_template, no_such
from hybrid_drivers.sandbox.frontend.objects import ClusterObject, HostObject
from hybrid_drivers.sandbox.frontend.store import name_fault

_ENABLE, _DISABLE, _OFFLINE = 0, 1, 2


def get_host(context: Context, host_id: int) -> HostObject:
    """Return a host. Raises: Refused."""
    host = context.store.hosts.get(host_id)
    if host is None:
        raise no_such("host", host_id)
    return host


def get_cluster(context: Context, cluster_id: int) -> ClusterObject:
    """Return a cluster. Raises: Refused."""
    cluster = context.store.clusters.get(cluster_id)
    if cluster is None:
        raise no_such("cluster", cluster_id)
    return cluster


def holder(pool: Iterable[HostObject | ClusterObject], name: str) -> int | None:
    """Return the id of what is called ``name``, None when nothing is."""
    return next((one.id for one in pool if one.name == name), None)


def host_allocate(context: Context, name: str, im_mad: str, vm_mad: str, cluster_id: int = -1) -> int:
    """one.host.allocate: cluster -1 is the default one; monitoring starts at once."""
    cluster = get_cluster(context, 0 if cluster_id == -1 else cluster_id)
    fault = name_fault(name)
    if not fault and not im_mad:
        fault = "IM_MAD_NAME cannot be empty."
    if not fault and not vm_mad:
        fault = "VMM_MAD_NAME cannot be empty."
    if not fault and (taken := holder(context.store.hosts.values(), name)) is not None:
        fault = f"NAME is already taken by HOST {taken}."
    if fault:
        raise Refused(Code.ALLOCATE, f"Error allocating a new host. {fault}")
    host = context.store.add_host(name, im_mad, vm_mad, cluster.id)
    context.monitor.update_host(host)
    return host.id


def host_delete(context: Context, host_id: int) -> int:
    """one.host.delete: first the object goes, then monitoring is stopped."""
    if get_host(context, host_id).vms:
        raise Refused(Code.ACTION, "Cannot delete host. Can not remove a host with running VMs")
    context.monitor.delete_host(context.store.remove_host(host_id))
    return host_id


def host_info(context: Context, host_id: int, _decrypt: bool = False) -> str:
    """one.host.info: on 7.x nothing of a host is encrypted by default."""
    return context.store.host_xml(get_host(context, host_id))


def host_update(context: Context, host_id: int, text: str, how: int = 0) -> int:
    """one.host.update."""
    host = get_host(context, host_id)
    host.template = change_template(host.template, text, how)
    host.write_drivers()
    context.monitor.update_host(host)
    return host_id


def host_rename(context: Context, host_id: int, name: str) -> int:
    """one.host.rename."""
    host = get_host(context, host_id)
    rename(host, name, "host", context.store.hosts.values())
    context.monitor.update_host(host)
    return host_id


def host_status(context: Context, host_id: int, status: int) -> int:
    """one.host.status: 0 enable, 1 disable, 2 offline."""
    host = get_host(context, host_id)
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


def rename(one: HostObject | ClusterObject, name: str, kind: str, pool: Iterable[HostObject | ClusterObject]) -> None:
    """Give a host or cluster another name. Raises: Refused."""
    if one.name == name:
        return
    if (taken := holder(pool, name)) is not None:
        raise Refused(Code.ACTION, f"{kind} cannot be renamed to {name} because it collides with {kind} {taken}")
    if fault := name_fault(name):
        raise Refused(Code.ACTION, fault)
    one.name = name


METHODS = {
    "one.host.allocate": Method(host_allocate, "sss|i", writes=True),
    "one.host.delete": Method(host_delete, "i", writes=True),
    "one.host.info": Method(host_info, "i|b"),
    "one.host.update": Method(host_update, "is|i", writes=True),
    "one.host.rename": Method(host_rename, "is", writes=True),
    "one.host.status": Method(host_status, "ii", writes=True),
    "one.hostpool.info": Method(hostpool_info),
}
