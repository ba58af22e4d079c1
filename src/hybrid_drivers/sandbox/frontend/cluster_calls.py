"""The calls of clusters, and of what is in them."""

from __future__ import annotations

from collections.abc import Callable

from hybrid_drivers.sandbox.frontend.calls import Code, Context, Method, Refused, change_template, no_such
from hybrid_drivers.sandbox.frontend.host_calls import get_cluster, get_host, holder, rename
from hybrid_drivers.sandbox.frontend.objects import ClusterObject
from hybrid_drivers.sandbox.frontend.store import name_fault

_FIRST_OWN = 100


def cluster_allocate(context: Context, name: str) -> int:
    """one.cluster.allocate."""
    fault = name_fault(name)
    if not fault and (taken := holder(context.store.clusters.values(), name)) is not None:
        fault = f"NAME is already taken by CLUSTER {taken}."
    if fault:
        raise Refused(Code.ALLOCATE, f"Error allocating a new cluster. {fault}")
    return context.store.add_cluster(name).id


def cluster_delete(context: Context, cluster_id: int) -> int:
    """one.cluster.delete: only empty ones, and never those oned made itself."""
    cluster = get_cluster(context, cluster_id)
    if cluster_id < _FIRST_OWN:
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
    return get_cluster(context, cluster_id).xml()


def cluster_update(context: Context, cluster_id: int, text: str, how: int = 0) -> int:
    """one.cluster.update."""
    cluster = get_cluster(context, cluster_id)
    cluster.template = change_template(cluster.template, text, how)
    return cluster_id


def cluster_rename(context: Context, cluster_id: int, name: str) -> int:
    """one.cluster.rename."""
    rename(get_cluster(context, cluster_id), name, "cluster", context.store.clusters.values())
    return cluster_id


def cluster_add_host(context: Context, cluster_id: int, host_id: int) -> int:
    """one.cluster.addhost: the host leaves its old cluster."""
    cluster, host = get_cluster(context, cluster_id), get_host(context, host_id)
    if host.cluster_id != cluster.id:
        context.store.move_host(host, cluster.id)
        context.monitor.update_host(host)
    return cluster_id


def cluster_del_host(context: Context, cluster_id: int, host_id: int) -> int:
    """one.cluster.delhost: the host goes to the default cluster."""
    cluster, host = get_cluster(context, cluster_id), get_host(context, host_id)
    if host.cluster_id == cluster.id and cluster.id != 0:
        context.store.move_host(host, 0)
        context.monitor.update_host(host)
    return cluster_id


def clusterpool_info(context: Context) -> str:
    """one.clusterpool.info: the newest first."""
    clusters = context.store.clusters
    return f"<CLUSTER_POOL>{''.join(clusters[one].xml() for one in sorted(clusters, reverse=True))}</CLUSTER_POOL>"


def _membership(kind: str, *, joins: bool) -> Callable[[Context, int, int], int]:
    """Make the call that puts a datastore or network into a cluster, or takes it out."""

    def call(context: Context, cluster_id: int, object_id: int) -> int:
        cluster = get_cluster(context, cluster_id)
        datastores, vnets = context.store.datastores, context.store.vnets
        found = datastores.get(object_id) if kind == "datastore" else vnets.get(object_id)
        if found is None:
            raise no_such(kind, object_id)
        for members, member in ((_members(cluster, kind), object_id), (found.clusters, cluster_id)):
            members.add(member) if joins else members.discard(member)
        return cluster_id

    return call


def _members(cluster: ClusterObject, kind: str) -> set[int]:
    return cluster.datastores if kind == "datastore" else cluster.vnets


METHODS = {
    "one.cluster.allocate": Method(cluster_allocate, "s", writes=True),
    "one.cluster.delete": Method(cluster_delete, "i", writes=True),
    "one.cluster.info": Method(cluster_info, "i|b"),
    "one.cluster.update": Method(cluster_update, "is|i", writes=True),
    "one.cluster.rename": Method(cluster_rename, "is", writes=True),
    "one.cluster.addhost": Method(cluster_add_host, "ii", writes=True),
    "one.cluster.delhost": Method(cluster_del_host, "ii", writes=True),
    "one.clusterpool.info": Method(clusterpool_info),
    "one.cluster.adddatastore": Method(_membership("datastore", joins=True), "ii", writes=True),
    "one.cluster.deldatastore": Method(_membership("datastore", joins=False), "ii", writes=True),
    "one.cluster.addvnet": Method(_membership("virtual network", joins=True), "ii", writes=True),
    "one.cluster.delvnet": Method(_membership("virtual network", joins=False), "ii", writes=True),
}
