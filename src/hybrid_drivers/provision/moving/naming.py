"""From words of a command line to virtual machines, and to the host or cluster they are to go to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Host, OnedObject, Vm
from hybrid_drivers.provision.hostlist import friendly
from hybrid_drivers.provision.moving.world import World, host_word, word

KINDS = ("host", "cluster")


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where machines are to go: to one host, or (``host`` None) to any of a cluster that has room."""

    cluster: OnedObject
    host: Host | None = None

    @property
    def word(self) -> str:
        """Name it for people."""
        return word(self.cluster) if self.host is None else host_word(self.host)

    def now(self, world: World) -> Target:
        """Return the same place as it is in a later ``world``. Raises: ConfigError (it is gone)."""
        host = None if self.host is None else world.hosts.get(self.host.id)
        cluster = world.clusters.get(self.cluster.id if host is None else host.cluster_id)
        if cluster is None or (host is None) is not (self.host is None):
            raise ConfigError(f"{self.word} is gone")
        return Target(cluster=cluster, host=host)


def find_target(world: World, told: str) -> Target:
    """Return the host or cluster with this id, name, or (of a host) name it was created with.

    ``host:...`` and ``cluster:...`` say which of both is meant.

    Raises:
        ConfigError: there is none, or there are several.
    """
    kind, colon, rest = told.partition(":")
    only = kind if colon and kind in KINDS else ""
    name = rest if only else told
    hosts = [] if only == "cluster" else _hosts(world, name)
    clusters = [] if only == "host" else _clusters(world, name)
    found = [Target(cluster=world.clusters[one.cluster_id], host=one) for one in hosts]
    found += [Target(cluster=one) for one in clusters]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f"'{told[:60]}' may be {_or(found)}: say which, as {_exact(found)}")
    what = only or "host or cluster"
    raise ConfigError(f"there is no {what} '{name[:60]}': 'onehost list' and 'onecluster list' show them")


def find_machines(pool: Sequence[Vm], words: Iterable[str]) -> list[int]:
    """Return the ids of the machines with these ids or names, each once.

    Raises:
        ConfigError: there is none, or several have the name.
    """
    found: dict[int, None] = {}
    for told in words:
        ids = [vm.id for vm in pool if told.isdecimal() and vm.id == int(told)]
        ids = ids or sorted(vm.id for vm in pool if vm.name == told)
        if len(ids) > 1:
            shown = ", ".join(map(str, ids))
            raise ConfigError(f"several virtual machines are called '{told[:60]}' (ids {shown}): name one by its id")
        if not ids:
            raise ConfigError(f"there is no virtual machine '{told[:60]}': 'onevm list' shows them")
        found[ids[0]] = None
    return list(found)


def _hosts(world: World, name: str) -> list[Host]:
    if name.isdecimal() and int(name) in world.hosts:
        return [world.hosts[int(name)]]
    return [host for _, host in sorted(world.hosts.items()) if name in (host.name, friendly(host))]


def _clusters(world: World, name: str) -> list[OnedObject]:
    if name.isdecimal() and int(name) in world.clusters:
        return [world.clusters[int(name)]]
    return [one for one in world.clusters.values() if one.name == name]


def _or(found: Sequence[Target]) -> str:
    return " or ".join(one.word for one in found)


def _exact(found: Sequence[Target]) -> str:
    return " or ".join(f"host:{one.host.id}" if one.host else f"cluster:{one.cluster.id}" for one in found)
