"""Who needs a provider entry: without it nobody can give their machines and addresses back."""

from __future__ import annotations

import json
from pathlib import Path

from hybrid_drivers.config import Location
from hybrid_drivers.model import Cluster, Host
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.oned.objects import Objects

PROVISIONS = 703


def users_of(oned: Oned, location: Location, name: str) -> list[str]:
    """Return who uses the entry ``name``, for people; four calls of oned.

    A host uses the entry its machine was rented from, else the one it asks for itself, else its cluster's; a network
    the one its addresses are from.
    """
    clusters = {cluster.id: cluster for cluster in oned.clusters()}
    hosts = [host for host in oned.hosts() if _entry_of(host, clusters.get(host.cluster_id)) == name]
    provisions = [one for one in oned.documents(PROVISIONS) if name in _words(one.summary.get("PROVIDER", ""))]
    networks = [
        one
        for one in Objects(oned).pool("vnet")
        if any(ar.get("PROVIDER", "").strip() == name for ar in one.address_ranges)
    ]
    return [
        *(f"host {host.id} ({host.name})" for host in sorted(hosts, key=lambda host: host.id)),
        *(f"provision {one.id} ({one.name})" for one in sorted(provisions, key=lambda one: one.id)),
        *(f"network {one.id} ({one.name})" for one in sorted(networks, key=lambda one: one.id)),
        *(f"the machine of host {host} on its way back" for host in _leaving(location.state / "departures", name)),
    ]


def _entry_of(host: Host, cluster: Cluster | None) -> str:
    own = host.template.vector("PROVISION")
    shared = cluster.template.vector("PROVISION") if cluster and host.im_mad == "provision" else {}
    inline = own.get("DRIVER") or own.get("PM_MAD")  # names its own account, so the cluster's is not its
    return own.get("RENTED_FROM") or own.get("PROVIDER") or ("" if inline else shared.get("PROVIDER", ""))


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def _leaving(folder: Path, name: str) -> list[str]:
    """Return the hosts whose machines the agent is giving back (``agent/departures.py`` writes these notes)."""
    found: dict[object, str] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            note = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # gone meanwhile, or damaged: the agent sees to it
        if isinstance(note, dict) and note.get("account") == name:  # a host may have several, not all with its name
            host = note.get("host_id")
            found[host] = found.get(host) or str(note.get("name") or "")
    return [f"{host} ({called})" if called else str(host) for host, called in found.items()]
